//! Trying failed operations again.

use shared::ids::{AccountId, OperationId, SiteId};

use super::preview::{Preview, preview};
use super::signal::Signal;
use super::unit::{Proposed, Unit};
use super::worker_update::{Offer, worker_update_renewed};
use super::{Actor, App, AppError, Requested};
use crate::store::account::{account_fetch, account_lock_in_tx};
use crate::store::audit::AuditAction;
use crate::store::list::Visible;
use crate::store::operation::OperationRow;
use crate::store::operation_list::{Retried, operation_fetch_visible, operation_retry_in_tx};
use crate::store::site::site_fetch;
use crate::store::worker_update::worker_update_renew_in_tx;

/// Queues what failed of an operation again, in its order. What a newer request has overtaken stays as it is. An update of a worker
/// is to what the panel offers now: the package of before may not be here any more.
///
/// # Errors
/// [`AppError::NotFound`] if it is somebody else's; [`AppError::Conflict`] if nothing of it can be tried again.
pub async fn operation_retry(app: &App, actor: &Actor, id: OperationId, offer: Option<Offer<'_>>) -> Result<Requested, AppError> {
    let (mut unit, found, retried) = retry_open(app, actor, id, offer).await?;
    unit.audit(AuditAction::OperationRetry, &found.subject, &id.to_string()).await?;
    unit.signal(Signal::JobsQueued(found.server_id));
    // What it builds on is of the same account.
    for operation in retried.operations {
        unit.signal(Signal::OperationChanged { operation, account: found.account_id, owner: found.owner_id });
    }
    unit.commit().await?;
    if retried.queued.is_empty() {
        return Err(nothing_to_try());
    }
    Ok(Requested { operation: id, resource: found.resource })
}

/// What trying an operation again would change: its states as they would be sent again.
///
/// # Errors
/// As [`operation_retry`].
pub async fn operation_retry_preview(app: &App, actor: &Actor, id: OperationId, offer: Option<Offer<'_>>) -> Result<Preview, AppError> {
    let (unit, found, retried) = retry_open(app, actor, id, offer).await?;
    unit.forget().await?;
    if retried.queued.is_empty() {
        return Err(nothing_to_try());
    }
    preview(app, Proposed { about: vec![found.resource], server: found.server_id, jobs: retried.queued }).await
}

/// The request, not committed.
async fn retry_open<'a>(
    app: &'a App,
    actor: &'a Actor,
    id: OperationId,
    offer: Option<Offer<'_>>,
) -> Result<(Unit<'a>, OperationRow, Retried), AppError> {
    let found = operation_fetch_visible(&app.db, actor.visible(), id).await?.ok_or(AppError::NotFound)?.operation;
    let renewed = worker_update_renewed(app, found.resource, offer).await?;
    let mut unit = Unit::begin(app, actor).await?;
    // A request about the same account waits, so that its new state is either seen here or sees this.
    account_lock_in_tx(&mut unit.tx, Visible::All, found.account_id).await?;
    let mut retried = operation_retry_in_tx(&mut unit.tx, id).await?;
    if let Some((name, spec)) = renewed {
        for job in &mut retried.queued {
            worker_update_renew_in_tx(&mut unit.tx, job, &name, &spec).await?;
        }
    }
    Ok((unit, found, retried))
}

fn nothing_to_try() -> AppError {
    AppError::conflict("There is nothing to try again: it is under way, done, or a newer change has replaced it.")
}

/// Tries the newest request about a site again.
///
/// # Errors
/// As [`operation_retry`].
pub async fn site_retry(app: &App, actor: &Actor, id: SiteId) -> Result<Requested, AppError> {
    let site = site_fetch(&app.db, actor.visible(), id).await?.ok_or(AppError::NotFound)?;
    operation_retry(app, actor, site.last_operation, None).await
}

/// Tries the newest request about an account again.
///
/// # Errors
/// As [`operation_retry`].
pub async fn account_retry(app: &App, actor: &Actor, id: AccountId) -> Result<Requested, AppError> {
    let account = account_fetch(&app.db, actor.visible(), id).await?.ok_or(AppError::NotFound)?;
    operation_retry(app, actor, account.last_operation, None).await
}
