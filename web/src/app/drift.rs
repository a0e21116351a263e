//! Drift: repaired when an admin says so, or by itself where one wants that.
//!
//! **A brake**: by itself, Gantry repairs no more than a twentieth of a server's resources at a time. If more have drifted, somebody
//! has done something at large, or a new release writes something else, and an admin is asked first. **A part of a report is not
//! taken for all of it**: findings arrive some at a time, and what the whole look came to is told by the worker's heartbeats.

use serde::Deserialize;
use shared::events::Look;
use shared::ids::ServerId;
use shared::jobs::ResourceKey;
use shared::live_read::{About, Ask, Says};

use super::repair::repair_in;
use super::server::server_get;
use super::signal::{Signal, Signals};
use super::unit::{Unit, settle};
use super::{Actor, App, AppError, Requested};
use crate::store::audit::AuditAction;
use crate::store::drift::{DriftCount, DriftPage, DriftRow, drift_count, drift_fetch, drift_list_repairable, drift_newest};
use crate::store::drift_fleet::{DriftPolicy, drift_policy_set_in_tx, drift_servers_to_repair};
use crate::store::server::server_fetch;
use crate::store::{Again, Db};

/// More than one in so many wants a person.
const BRAKE_SHARE: i64 = 20;
/// Repaired in one transaction. So many accounts are locked at most, and the disk is waited for once.
const AT_ONCE: i64 = 25;

/// How much has drifted that is not given up on: by what has arrived, or by the worker's last look if that found more. What was
/// repaired since the look counts until the next one.
#[must_use]
pub fn drifted_at_large(count: DriftCount, look: Option<Look>) -> i64 {
    let found = look.map_or(0, |look| i64::from(look.drifted));
    count.drifted.max(found) - count.given_up
}

/// Whether so much has drifted that nothing is repaired by itself. A single resource never is too much; what is given up on does not
/// count: it would hold up the repair of everything else.
#[must_use]
pub fn brakes(count: DriftCount, look: Option<Look>) -> bool {
    let drifted = drifted_at_large(count, look);
    count.drifted > 0 && drifted > 1 && drifted * BRAKE_SHARE > count.resources
}

/// Whether findings have arrived of a look that no heartbeat has told of: how much it found is known within seconds.
fn is_under_way(count: DriftCount, newest_ms: i64, look: Option<Look>) -> bool {
    look.is_none_or(|look| newest_ms > look.at_ms && count.drifted != i64::from(look.drifted))
}

/// The button that repairs one resource.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub struct RepairForm {
    /// Which, as `kind:id`.
    pub resource: String,
    /// The form's key.
    pub key: Option<String>,
}

/// Asks for a drifted resource as it should be.
///
/// # Errors
/// [`AppError::Forbidden`] for clients; [`AppError::NotFound`] if it has not drifted; [`AppError::Conflict`] if something newer is
/// wanted of it.
pub async fn drift_repair(app: &App, actor: &Actor, form: &RepairForm) -> Result<Requested, AppError> {
    actor.require_admin()?;
    settle(app, actor, form.key.as_deref(), repair(app, actor, form).await).await
}

async fn repair(app: &App, actor: &Actor, form: &RepairForm) -> Result<Requested, AppError> {
    let resource: ResourceKey = form.resource.parse().map_err(|_| AppError::NotFound)?;
    let drift = drift_fetch(&app.db, resource).await?.ok_or(AppError::NotFound)?;
    let mut unit = Unit::begin(app, actor).await?;
    let requested = repair_in(&mut unit, actor, &drift, form.key.as_deref()).await?;
    unit.commit().await?;
    Ok(requested)
}

/// Asks for everything that has drifted on a server as it should be: an admin's word that it shall be so, however much it is. How
/// many resources were asked for; those with a change under way are left to that.
///
/// # Errors
/// [`AppError::Forbidden`] for clients; [`AppError::NotFound`].
pub async fn drift_repair_server(app: &App, actor: &Actor, id: ServerId) -> Result<usize, AppError> {
    server_get(app, actor, id).await?;
    repair_all(&app.db, app.signals.as_ref(), actor, id, |_| true).await
}

async fn repair_all(
    db: &Db,
    signals: &dyn Signals,
    actor: &Actor,
    server: ServerId,
    is_due: fn(&DriftRow) -> bool,
) -> Result<usize, AppError> {
    let (mut repaired, mut after) = (0, None);
    loop {
        let DriftPage { rows, last } = drift_list_repairable(db, server, after, AT_ONCE).await?;
        let Some(last) = last else { return Ok(repaired) };
        after = Some(last);
        let due: Vec<&DriftRow> = rows.iter().filter(|drift| is_due(drift)).collect();
        match repair_soon(db, signals, actor, &due).await {
            Ok(more) => repaired += more,
            // What was asked for so far is: the rest is still shown as drift.
            Err(error) if repaired > 0 => {
                tracing::warn!(server.id = %server, repaired, error = &error as &dyn std::error::Error, "not all drift could be repaired");
                return Ok(repaired);
            }
            Err(error) => return Err(error),
        }
    }
}

/// Another transaction that was quicker is over by the next try.
const TRIES: u32 = 3;

async fn repair_soon(db: &Db, signals: &dyn Signals, actor: &Actor, drifts: &[&DriftRow]) -> Result<usize, AppError> {
    if drifts.is_empty() {
        return Ok(0);
    }
    for _ in 1..TRIES {
        match repair_some(db, signals, actor, drifts).await {
            Err(AppError::Unavailable(error)) if error.again() == Again::AtOnce => {}
            result => return result,
        }
    }
    repair_some(db, signals, actor, drifts).await
}

async fn repair_some(db: &Db, signals: &dyn Signals, actor: &Actor, drifts: &[&DriftRow]) -> Result<usize, AppError> {
    let mut unit = Unit::over(db, signals, actor).await?;
    let mut repaired = 0;
    for drift in drifts {
        let part = unit.part().await?;
        let result = repair_in(&mut unit, actor, drift, None).await;
        match unit.end(part, result).await? {
            Ok(_) => repaired += 1,
            Err(AppError::Internal(error)) => {
                tracing::error!(resource = %drift.resource, error = error.as_ref() as &dyn std::error::Error, "drift cannot be repaired");
            }
            // Somebody was quicker, with something newer.
            Err(_) => {}
        }
    }
    unit.commit().await?;
    Ok(repaired)
}

/// Repairs what has drifted on servers where an admin wants that by itself, unless it is too much or comes back again and again.
/// One server's trouble does not hold up the others.
///
/// # Errors
/// The database fails.
pub async fn repair_by_policy(db: &Db, signals: &dyn Signals) -> Result<(), AppError> {
    for server in drift_servers_to_repair(db).await? {
        match repair_by_itself(db, signals, server).await {
            Ok(0) => {}
            Ok(resources) => tracing::info!(server.id = %server, resources, "drift is repaired by itself"),
            Err(error) => {
                tracing::warn!(server.id = %server, error = &error as &dyn std::error::Error, "drift could not be repaired by itself");
            }
        }
    }
    Ok(())
}

async fn repair_by_itself(db: &Db, signals: &dyn Signals, server: ServerId) -> Result<usize, AppError> {
    let look = server_fetch(db, server).await?.and_then(|server| server.heartbeat?.look);
    let count = drift_count(db, server).await?;
    if brakes(count, look) || is_under_way(count, drift_newest(db, server).await?, look) {
        return Ok(0);
    }
    repair_all(db, signals, &Actor::gantry(), server, |drift| !drift.given_up).await
}

/// The form for what becomes of drift on a server.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub struct PolicyForm {
    /// `report` or `repair`.
    pub policy: String,
}

/// Sets what becomes of drift on a server.
///
/// # Errors
/// [`AppError::Forbidden`] for clients; [`AppError::NotFound`]; [`AppError::Conflict`] for an unknown policy.
pub async fn drift_policy_change(app: &App, actor: &Actor, id: ServerId, form: &PolicyForm) -> Result<(), AppError> {
    let name = server_get(app, actor, id).await?.name;
    let policy: DriftPolicy = form.policy.parse().map_err(|_| AppError::conflict("Choose whether drift is shown or repaired."))?;
    let mut unit = Unit::begin(app, actor).await?;
    drift_policy_set_in_tx(&mut unit.tx, id, policy).await?;
    unit.audit(AuditAction::DriftPolicySet, name.as_str(), policy.as_str()).await?;
    unit.signal(Signal::ServerChanged(id));
    unit.commit().await
}

/// Has a server compared with what was applied, now. False if its worker does not answer.
///
/// # Errors
/// [`AppError::Forbidden`] for clients; [`AppError::NotFound`].
pub async fn drift_check(app: &App, actor: &Actor, id: ServerId) -> Result<bool, AppError> {
    let server = server_get(app, actor, id).await?.name;
    let says = app.workers.ask(Ask { server, about: About::Drift }).await;
    Ok(matches!(says, Some(Says::Noted)))
}

#[cfg(test)]
mod tests {
    use shared::events::Look;

    use super::brakes;
    use crate::store::drift::DriftCount;

    #[test]
    fn more_than_one_in_twenty_brakes_and_a_single_one_never_does() {
        for (drifted, resources, expected) in
            [(0, 0, false), (1, 3, false), (2, 3, true), (2, 40, false), (3, 40, true), (50, 1000, false), (51, 1000, true)]
        {
            assert_eq!(brakes(DriftCount { drifted, given_up: 0, resources }, None), expected, "{drifted} of {resources}");
        }
    }

    #[test]
    fn what_is_given_up_on_holds_up_the_repair_of_nothing_else() {
        assert!(!brakes(DriftCount { drifted: 30, given_up: 29, resources: 40 }, None));
        assert!(brakes(DriftCount { drifted: 30, given_up: 27, resources: 40 }, None));
    }

    #[test]
    fn what_a_look_has_found_brakes_before_all_of_it_has_arrived_but_not_when_nothing_is_left() {
        let look = |drifted| Some(Look { at_ms: 1, resources: 1000, drifted });
        let arrived = |drifted| DriftCount { drifted, given_up: 0, resources: 1000 };
        assert!(brakes(arrived(24), look(1000)) && !brakes(arrived(24), look(24)) && !brakes(arrived(0), look(1000)));
    }
}
