//! Updates of the servers' workers, as admins ask for them.

use serde::Deserialize;
use shared::ids::{AccountId, OperationId, ServerId};
use shared::jobs::{ResourceKey, WorkerSpec};
use shared::names::ServerName;

use super::server::server_get;
use super::signal::Signal;
use super::unit::Unit;
use super::{Actor, App, AppError};
use crate::config::Config;
use crate::store::StoreError;
use crate::store::audit::AuditAction;
use crate::store::operation::OperationKind;
use crate::store::rollout::{
    NewRollout, rollout_insert_in_tx, rollout_lock_unfinished_in_tx, rollout_renew_in_tx, rollout_retry_in_tx, rollout_set_state_in_tx,
};
use crate::store::rollout_state::RolloutState;
use crate::store::server::{ServerRow, server_fetch, server_list};
use crate::store::worker_update::{WorkerUpdate, worker_update_in_tx};
use crate::worker_package::WorkerOffer;

/// What a panel offers its servers.
#[derive(Debug, Clone, Copy)]
pub struct Offer<'a> {
    /// The version and its packages.
    pub worker: &'a WorkerOffer,
    /// The panel's address, for servers that were told no other, and how hosts know it.
    pub config: &'a Config,
}

impl Offer<'_> {
    fn spec(&self, server: &ServerRow) -> WorkerSpec {
        let panel = server.panel_url(&self.config.public_url);
        self.worker.spec(panel, self.config.trust_at(panel).fingerprint())
    }
}

/// Asks one server's worker to update itself.
///
/// # Errors
/// [`AppError::Forbidden`] for clients; [`AppError::NotFound`]; [`AppError::Conflict`] if there is nothing newer for it, if it
/// has not joined, or while an update is under way.
pub async fn worker_update(app: &App, actor: &Actor, id: ServerId, offer: Option<Offer<'_>>) -> Result<OperationId, AppError> {
    let server = server_get(app, actor, id).await?;
    let Some(offer) = offer.filter(|offer| offer.worker.is_newer_than(&server.version)) else {
        return Err(AppError::conflict("This panel has no newer worker for this server."));
    };
    if server.public_key.is_none() {
        return Err(AppError::conflict("No worker has joined as this server."));
    }
    let spec = offer.spec(&server);
    let mut unit = Unit::begin(app, actor).await?;
    let update = WorkerUpdate { server: id, name: &server.name, spec: &spec, asked_by: actor.user, asked_by_name: &actor.name };
    let Some(operation) = worker_update_in_tx(&mut unit.tx, &update).await? else {
        return Err(AppError::conflict("An update of this worker is under way."));
    };
    unit.audit(AuditAction::Operation(OperationKind::WorkerUpdate), server.name.as_str(), &operation.to_string()).await?;
    unit.signal(Signal::JobsQueued(id));
    unit.signal(Signal::OperationChanged { operation, account: AccountId::lane_of(id), owner: actor.user });
    unit.signal(Signal::ServerChanged(id));
    unit.commit().await?;
    Ok(operation)
}

/// What an update that is tried again is to install: what the panel offers now, where that is newer than what the server has.
///
/// # Errors
/// The database fails.
pub(super) async fn worker_update_renewed(
    app: &App,
    resource: ResourceKey,
    offer: Option<Offer<'_>>,
) -> Result<Option<(ServerName, WorkerSpec)>, AppError> {
    let (ResourceKey::Worker(id), Some(offer)) = (resource, offer) else { return Ok(None) };
    let server = server_fetch(&app.db, id).await?.filter(|server| offer.worker.is_newer_than(&server.version));
    Ok(server.map(|server| (server.name.clone(), offer.spec(&server))))
}

/// The form that starts a rollout, as typed.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub struct RolloutForm {
    /// How many servers at a time, once the first is well.
    pub at_once: String,
}

/// More at a time than this is no rollout any more.
const MOST_AT_ONCE: i64 = 50;

/// Starts updating every server that is online and behind: the first alone, then as many at a time as asked.
///
/// # Errors
/// [`AppError::Forbidden`] for clients; [`AppError::Invalid`] on `at_once`; [`AppError::Conflict`] if no server is behind, or
/// while another rollout is not over.
pub async fn rollout_start(app: &App, actor: &Actor, offer: Option<Offer<'_>>, form: &RolloutForm) -> Result<(), AppError> {
    actor.require_admin()?;
    let at_once = form.at_once.trim().parse::<i64>().ok().filter(|many| (1..=MOST_AT_ONCE).contains(many));
    let at_once = at_once.ok_or_else(|| AppError::invalid("at_once", format!("Enter a number from 1 to {MOST_AT_ONCE}.")))?;
    let nothing = || AppError::conflict("No server that is online has an older worker than this panel offers.");
    let offer = offer.ok_or_else(nothing)?;
    let servers = server_list(&app.db).await?.into_iter().filter(|server| server.online && offer.worker.is_newer_than(&server.version));
    let servers: Vec<_> = servers.map(|server| (server.id, offer.spec(&server))).collect();
    if servers.is_empty() {
        return Err(nothing());
    }
    let new = NewRollout { version: &offer.worker.version, at_once, asked_by: actor.user, asked_by_name: &actor.name, servers: &servers };
    let mut unit = Unit::begin(app, actor).await?;
    rollout_insert_in_tx(&mut unit.tx, &new).await.map_err(|error| {
        if error.is_duplicate_of("rollouts", "unfinished") { AppError::conflict("Another rollout is not over.") } else { error.into() }
    })?;
    let detail = format!("{} servers, {at_once} at a time", servers.len());
    unit.audit(AuditAction::RolloutStart, new.version.as_str(), &detail).await?;
    wake(&mut unit, servers.iter().map(|(server, _)| *server));
    unit.commit().await
}

/// Begins no further server of the rollout. What is under way ends by itself.
///
/// # Errors
/// [`AppError::Forbidden`] for clients; [`AppError::Conflict`] if none is open.
pub async fn rollout_cancel(app: &App, actor: &Actor) -> Result<(), AppError> {
    actor.require_admin()?;
    let mut unit = Unit::begin(app, actor).await?;
    let rollout = rollout_lock_unfinished_in_tx(&mut unit.tx).await?.ok_or_else(|| AppError::conflict("No rollout is under way."))?;
    rollout_set_state_in_tx(&mut unit.tx, &rollout.id, RolloutState::Cancelled).await?;
    unit.audit(AuditAction::RolloutCancel, rollout.version.as_str(), "").await?;
    wake(&mut unit, rollout.servers.into_iter().map(|server| server.server));
    unit.commit().await
}

/// Goes on with a rollout that a failure has stopped: what failed is tried again. **From here on it is to what the panel offers now**:
/// the packages of before may not be here any more.
///
/// # Errors
/// [`AppError::Forbidden`] for clients; [`AppError::Conflict`] if none has stopped.
pub async fn rollout_resume(app: &App, actor: &Actor, offer: Option<Offer<'_>>) -> Result<(), AppError> {
    actor.require_admin()?;
    let specs = match offer {
        Some(offer) => rollout_specs(app, offer).await?,
        None => Vec::new(),
    };
    let mut unit = Unit::begin(app, actor).await?;
    let stopped = rollout_lock_unfinished_in_tx(&mut unit.tx).await?.filter(|rollout| rollout.state == RolloutState::Stopped);
    let rollout = stopped.ok_or_else(|| AppError::conflict("No rollout has stopped."))?;
    rollout_retry_in_tx(&mut unit.tx, &rollout).await?;
    rollout_renew_in_tx(&mut unit.tx, &rollout, &specs).await?;
    rollout_set_state_in_tx(&mut unit.tx, &rollout.id, RolloutState::Running).await?;
    unit.audit(AuditAction::RolloutResume, rollout.version.as_str(), "").await?;
    wake(&mut unit, rollout.servers.into_iter().map(|server| server.server));
    unit.commit().await
}

/// A panel that was updated in the middle of a rollout: what was not begun yet is to what it offers now.
///
/// # Errors
/// The database fails.
pub async fn rollout_take_offer(app: &App, offer: Offer<'_>) -> Result<(), AppError> {
    let specs = rollout_specs(app, offer).await?;
    let mut tx = app.db.write().await?;
    // Another panel of the same database may offer a newer one already.
    if let Some(rollout) = rollout_lock_unfinished_in_tx(&mut tx).await?.filter(|rollout| rollout.version < offer.worker.version) {
        rollout_renew_in_tx(&mut tx, &rollout, &specs).await?;
        tracing::info!(from = %rollout.version, to = %offer.worker.version, "servers that the rollout has not begun get this panel's newer worker");
    }
    Ok(tx.commit().await.map_err(StoreError::from)?)
}

/// The job of every server that the offer is newer for.
async fn rollout_specs(app: &App, offer: Offer<'_>) -> Result<Vec<(ServerId, WorkerSpec)>, AppError> {
    let servers = server_list(&app.db).await?.into_iter().filter(|server| offer.worker.is_newer_than(&server.version));
    Ok(servers.map(|server| (server.id, offer.spec(&server))).collect())
}

fn wake(unit: &mut Unit<'_>, servers: impl Iterator<Item = ServerId>) {
    for server in servers {
        unit.signal(Signal::JobsQueued(server));
        unit.signal(Signal::ServerChanged(server));
    }
}
