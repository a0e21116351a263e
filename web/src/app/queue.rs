//! Steering a server's queue: pausing it, moving requests in it, taking requests back. For admins.

use shared::ids::{OperationId, ServerId};
use shared::jobs::{Generation, Requirement, ResourceKey};
use shared::names::{DomainName, SiteName};

use super::server::server_get;
use super::signal::Signal;
use super::site_rules::{claim_all, names_error};
use super::unit::Unit;
use super::{Actor, App, AppError};
use crate::store::account::{AccountRow, account_lock_in_tx};
use crate::store::audit::AuditAction;
use crate::store::desired_state::{DesiredState, Earlier, WayBack, resource_go_back_in_tx, way_back_in_tx};
use crate::store::list::Visible;
use crate::store::operation::{OperationRow, operation_settle_in_tx};
use crate::store::operation_list::operation_fetch_visible;
use crate::store::queue::{
    Parts, Shift, UnsentJob, jobs_cancel_in_tx, operation_parts_in_tx, queue_pause_in_tx, queue_shift_in_tx, requirements_of_others_in_tx,
};
use crate::store::site::site_list_of_account_in_tx;
use crate::store::site_name::{domain_claims_release_in_tx, site_names_replace_in_tx};

/// Has nothing new sent to a server from now on. What it has, it finishes.
///
/// # Errors
/// [`AppError::Forbidden`] for clients; [`AppError::NotFound`]; [`AppError::Conflict`] if it is paused.
pub async fn queue_pause(app: &App, actor: &Actor, id: ServerId) -> Result<(), AppError> {
    switch(app, actor, id, true).await
}

/// Has what waits for a server sent again.
///
/// # Errors
/// As [`queue_pause`].
pub async fn queue_resume(app: &App, actor: &Actor, id: ServerId) -> Result<(), AppError> {
    switch(app, actor, id, false).await
}

async fn switch(app: &App, actor: &Actor, id: ServerId, paused: bool) -> Result<(), AppError> {
    let server = server_get(app, actor, id).await?;
    let mut unit = Unit::begin(app, actor).await?;
    if !queue_pause_in_tx(&mut unit.tx, id, paused).await? {
        return Err(AppError::conflict(if paused { "This queue is paused already." } else { "This queue is not paused." }));
    }
    let action = if paused { AuditAction::QueuePause } else { AuditAction::QueueResume };
    unit.audit(action, server.name.as_str(), "").await?;
    unit.signal(Signal::ServerChanged(id));
    unit.signal(Signal::JobsQueued(id));
    unit.commit().await
}

/// Lets what waits of a request go out sooner or later than others of its server.
///
/// # Errors
/// [`AppError::Forbidden`] for clients; [`AppError::NotFound`]; [`AppError::Conflict`] if nothing of it waits, or it cannot be
/// moved further.
pub async fn operation_shift(app: &App, actor: &Actor, id: OperationId, shift: Shift) -> Result<OperationRow, AppError> {
    let (mut unit, operation, _) = begin(app, actor, id).await?;
    if queue_shift_in_tx(&mut unit.tx, id, shift).await? == 0 {
        return Err(AppError::conflict("It cannot be moved: nothing of it waits to be sent any more, or it is at the end already."));
    }
    let action = match shift {
        Shift::Sooner => AuditAction::QueueSooner,
        Shift::Later => AuditAction::QueueLater,
    };
    unit.audit(action, &operation.subject, &id.to_string()).await?;
    changed(&mut unit, &operation);
    unit.commit().await?;
    Ok(operation)
}

/// Takes a request back, all of it or nothing: what it wanted is wanted no more, and what it concerns is again as it was last
/// applied.
///
/// # Errors
/// [`AppError::Forbidden`] for clients; [`AppError::NotFound`]; [`AppError::Conflict`] if a part of it has left the panel, others
/// build on it, or nobody knows what was before.
pub async fn operation_cancel(app: &App, actor: &Actor, id: OperationId) -> Result<OperationRow, AppError> {
    let (mut unit, operation, account) = begin(app, actor, id).await?;
    may_cancel(operation_parts_in_tx(&mut unit.tx, id).await?)?;
    let jobs = jobs_cancel_in_tx(&mut unit.tx, id).await?;
    // Jobs may have been let go in between.
    if operation_parts_in_tx(&mut unit.tx, id).await?.open > 0 {
        return Err(sent());
    }
    let builds_on = requirements_of_others_in_tx(&mut unit.tx, operation.account_id, id).await?;
    // What needs others goes back before what it needs.
    for job in jobs.iter().rev() {
        let way = way_back_in_tx(&mut unit.tx, job.resource, job.generation).await?;
        refuse_nowhere(&way)?;
        refuse_needed(&way, job, &builds_on)?;
        resource_go_back_in_tx(&mut unit.tx, job.resource, &way).await?;
        if let (ResourceKey::Site(_), WayBack::Applied(desired, ..) | WayBack::Failed(desired, _), Some(account)) =
            (job.resource, &way, &account)
        {
            names_go_back(&mut unit, account, job.resource, desired).await?;
        }
    }
    operation_settle_in_tx(&mut unit.tx, id).await?;
    unit.audit(AuditAction::QueueCancel, &operation.subject, &id.to_string()).await?;
    changed(&mut unit, &operation);
    unit.commit().await?;
    Ok(operation)
}

/// The request, with its account locked: a request about the same account waits.
async fn begin<'a>(app: &'a App, actor: &'a Actor, id: OperationId) -> Result<(Unit<'a>, OperationRow, Option<AccountRow>), AppError> {
    actor.require_admin()?;
    let operation = operation_fetch_visible(&app.db, actor.visible(), id).await?.ok_or(AppError::NotFound)?.operation;
    let mut unit = Unit::begin(app, actor).await?;
    let account = account_lock_in_tx(&mut unit.tx, Visible::All, operation.account_id).await?;
    Ok((unit, operation, account))
}

fn changed(unit: &mut Unit<'_>, operation: &OperationRow) {
    unit.signal(Signal::OperationChanged { operation: operation.id, account: operation.account_id, owner: operation.owner_id });
    unit.signal(Signal::ServerChanged(operation.server_id));
}

fn sent() -> AppError {
    AppError::conflict(
        "It has been sent to its server, which finishes it whatever happens here. Ask for the change that undoes it; that goes out after it.",
    )
}

/// Nothing of it has left the panel.
fn may_cancel(parts: Parts) -> Result<(), AppError> {
    if parts.can_cancel() {
        Ok(())
    } else if parts.ended > 0 {
        Err(AppError::conflict("A part of it has been carried out. Ask for the change that undoes it instead."))
    } else if parts.open > 0 {
        Err(sent())
    } else {
        Err(AppError::conflict("There is nothing to cancel: nothing of it waits any more."))
    }
}

/// A resource that has nothing to go back to stays as it is wanted.
fn refuse_nowhere(way: &WayBack) -> Result<(), AppError> {
    let named = |earlier: &Earlier| format!("\u{201c}{} {}\u{201d}", earlier.kind.label(), earlier.subject);
    Err(AppError::conflict(match way {
        WayBack::Applied(..) | WayBack::Failed(..) | WayBack::Gone | WayBack::Nothing => return Ok(()),
        WayBack::Unknown => "Nobody knows any more what was before. Ask for the change that undoes it instead.".to_owned(),
        WayBack::UnderWay(earlier) => {
            format!(
                "An earlier change is under way: {}. Wait until that is done, or ask for the change that undoes this one.",
                named(earlier)
            )
        }
        WayBack::Overtaken(earlier) => {
            format!("It has taken the place of {}, which would be lost with it. Ask for the change you want instead.", named(earlier))
        }
    }))
}

/// What others wait for is not taken back.
fn refuse_needed(way: &WayBack, job: &UnsentJob, builds_on: &[(String, Requirement)]) -> Result<(), AppError> {
    let left = match way {
        WayBack::Applied(_, generation, _) => *generation,
        WayBack::Failed(_, earlier) => earlier.generation,
        WayBack::Gone | WayBack::Nothing | WayBack::Unknown | WayBack::UnderWay(_) | WayBack::Overtaken(_) => Generation(0),
    };
    let waits = builds_on.iter().find(|(_, requirement)| requirement.resource == job.resource && requirement.generation > left);
    match waits {
        Some((other, _)) => Err(AppError::conflict(format!("The change of {other} builds on this one. Cancel that first."))),
        None => Ok(()),
    }
}

/// A site answers to its names of before again, if they are still to be had.
async fn names_go_back(unit: &mut Unit<'_>, account: &AccountRow, key: ResourceKey, desired: &DesiredState) -> Result<(), AppError> {
    let (ResourceKey::Site(id), DesiredState::Site { aliases, .. }) = (key, desired) else { return Ok(()) };
    let sites = site_list_of_account_in_tx(&mut unit.tx, account.id).await?;
    let Some(domain) = sites.into_iter().find(|site| site.id == id).map(|site| site.domain) else { return Ok(()) };
    let aliases: Vec<SiteName> = aliases.iter().filter_map(|alias| alias.parse().ok()).collect();
    let taken = |_: AppError| AppError::conflict(taken_sentence(&domain));
    claim_all(&mut unit.tx, account, &domain, &aliases).await.map_err(taken)?;
    site_names_replace_in_tx(&mut unit.tx, id, &domain, &aliases).await.map_err(|error| taken(names_error(error, &domain)))?;
    domain_claims_release_in_tx(&mut unit.tx, account.id).await?;
    Ok(())
}

fn taken_sentence(domain: &DomainName) -> String {
    format!("A name that {} had before belongs to another site now. Ask for the change you want instead.", domain.to_unicode())
}
