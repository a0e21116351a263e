//! Drift: repaired when an admin says so, or by itself where one wants that.
//!
//! **A brake**: by itself, Gantry repairs no more than a twentieth of a server's resources at a time. If more have drifted, somebody
//! has done something at large, or a new release writes something else, and an admin is asked first.

use serde::Deserialize;
use shared::ids::{ServerId, UserId};
use shared::jobs::ResourceKey;
use shared::live_read::{About, Ask, Says};

use super::preview::server_named;
use super::repair::repair_in;
use super::signal::{Signal, Signals};
use super::unit::{Unit, settle};
use super::{Actor, App, AppError, Requested};
use crate::store::audit::AuditAction;
use crate::store::drift::{
    DriftCount, DriftFilter, DriftPolicy, DriftRow, drift_count, drift_list, drift_policy, drift_policy_set_in_tx, drift_repairs_since,
};
use crate::store::server::server_list;
use crate::store::{Db, now_ms};

/// More than one in so many wants a person.
const BRAKE_SHARE: i64 = 20;
/// What comes back after so many repairs within the time is changed by something else, which a person has to find.
const REPAIRS: i64 = 3;
const REPAIRS_WITHIN_MS: i64 = 3600 * 1000;
/// Repaired in one go; the next look finds the rest.
const AT_ONCE: i64 = 500;

/// Whether so much has drifted that nothing is repaired by itself. A single resource never is too much.
#[must_use]
pub const fn brakes(count: DriftCount) -> bool {
    count.drifted > 1 && count.drifted * BRAKE_SHARE > count.resources
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
    let drift = drift_list(&app.db, DriftFilter { resource: Some(resource), ..DriftFilter::default() }, 1).await?;
    let drift = drift.first().ok_or(AppError::NotFound)?;
    let mut unit = Unit::begin(app, actor).await?;
    let requested = repair_in(&mut unit, actor, drift, form.key.as_deref()).await?;
    unit.commit().await?;
    Ok(requested)
}

/// Asks for everything that has drifted on a server as it should be: an admin's word that it shall be so, however much it is. How
/// many resources were asked for; those with a change under way are left to that.
///
/// # Errors
/// [`AppError::Forbidden`] for clients; [`AppError::NotFound`].
pub async fn drift_repair_server(app: &App, actor: &Actor, id: ServerId) -> Result<usize, AppError> {
    actor.require_admin()?;
    server_named(app, id).await?;
    let drifts = drift_list(&app.db, DriftFilter { server: Some(id), ..DriftFilter::default() }, AT_ONCE).await?;
    repair_all(&app.db, app.signals.as_ref(), actor, drifts.iter()).await
}

async fn repair_all<'a>(
    db: &Db,
    signals: &dyn Signals,
    actor: &Actor,
    drifts: impl Iterator<Item = &'a DriftRow>,
) -> Result<usize, AppError> {
    let mut repaired = 0;
    for drift in drifts.filter(|drift| drift.settled) {
        let mut unit = Unit::over(db, signals, actor).await?;
        match repair_in(&mut unit, actor, drift, None).await {
            Ok(_) => {
                unit.commit().await?;
                repaired += 1;
            }
            // Somebody was quicker, with something newer.
            Err(AppError::Conflict(_) | AppError::NotFound) => {}
            Err(error) => return Err(error),
        }
    }
    Ok(repaired)
}

/// Repairs what has drifted on servers where an admin wants that by itself, unless it is too much or comes back again and again.
///
/// # Errors
/// The database fails.
pub async fn repair_by_policy(db: &Db, signals: &dyn Signals) -> Result<(), AppError> {
    let gantry = Actor::gantry();
    for server in server_list(db).await?.iter().filter(|server| server.online) {
        if drift_policy(db, server.id).await? != DriftPolicy::Repair {
            continue;
        }
        let count = drift_count(db, server.id).await?;
        if count.drifted == 0 || brakes(count) {
            continue;
        }
        let mut fresh = Vec::new();
        for drift in drift_list(db, DriftFilter { server: Some(server.id), ..DriftFilter::default() }, AT_ONCE).await? {
            if !comes_back(db, drift.resource).await? {
                fresh.push(drift);
            }
        }
        let repaired = repair_all(db, signals, &gantry, fresh.iter()).await?;
        if repaired > 0 {
            tracing::info!(server.name = %server.name, resources = repaired, "drift is repaired by itself");
        }
    }
    Ok(())
}

/// Whether repairing a resource by itself has been tried often enough for now.
///
/// # Errors
/// The database fails.
pub async fn comes_back(db: &Db, resource: ResourceKey) -> Result<bool, AppError> {
    Ok(drift_repairs_since(db, resource, UserId::GANTRY, now_ms() - REPAIRS_WITHIN_MS).await? >= REPAIRS)
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
    actor.require_admin()?;
    let name = server_named(app, id).await?;
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
    actor.require_admin()?;
    let server = server_named(app, id).await?;
    let says = app.workers.ask(Ask { server, about: About::Drift }).await;
    Ok(matches!(says, Some(Says::Noted)))
}

#[cfg(test)]
mod tests {
    use super::brakes;
    use crate::store::drift::DriftCount;

    #[test]
    fn more_than_one_in_twenty_brakes_and_a_single_one_never_does() {
        for (drifted, resources, expected) in
            [(0, 0, false), (1, 3, false), (2, 3, true), (2, 40, false), (3, 40, true), (50, 1000, false), (51, 1000, true)]
        {
            assert_eq!(brakes(DriftCount { drifted, resources }), expected, "{drifted} of {resources}");
        }
    }
}
