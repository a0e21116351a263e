//! The audit log as pages show it.

use super::{ListQuery, at};
use crate::app::Actor;
use crate::error::PageError;
use crate::paths;
use crate::state::AppState;
use crate::store::audit::{AuditAction, AuditFilter, AuditRow, AuditScope, audit_list};
use crate::store::operation::OperationKind;
use crate::store::user::user_fetch;
use crate::views::audit::{ListModel, Row};

/// The list: an admin's is everybody's, a client's their own.
///
/// # Errors
/// The database fails.
pub async fn audit_list_model(state: &AppState, actor: &Actor, query: &ListQuery, live: Option<String>) -> Result<ListModel, PageError> {
    let scope = if actor.is_admin() { AuditScope::All } else { AuditScope::Of(actor.user, &actor.login) };
    let filter =
        AuditFilter { search: query.q.clone(), who: query.who.clone(), action: query.action.clone(), object: query.object.clone() };
    let found = audit_list(state.db(), scope, &filter, query.paging()).await?;
    Ok(ListModel {
        now: jiff::Timestamp::now(),
        listing: query.listing(paths::AUDIT, found.total),
        rows: found.rows.iter().map(|line| row(actor, line)).collect(),
        who: who(state, actor, &query.who).await?,
        actions: AuditAction::all()
            .filter(|action| actor.is_admin() || is_for_clients(*action))
            .map(|action| (action.as_str().to_owned(), action.label().to_owned()))
            .collect(),
        live,
    })
}

fn row(actor: &Actor, line: &AuditRow) -> Row {
    let who = line.user.map_or_else(|| line.user_name.clone(), |user| user.to_string());
    let action = line.action.parse::<AuditAction>().ok();
    let operation = line.detail.parse().ok();
    // Where somebody else was when they did it is for admins only; where somebody tried to be this person is theirs to know.
    let theirs = line.user == Some(actor.user) || action == Some(AuditAction::SessionRefused);
    Row {
        id: line.id.to_string(),
        at: at(line.at_ms),
        who,
        name: line.user_name.clone(),
        action: action.map_or_else(|| line.action.clone(), |action| action.label().to_owned()),
        refused: action == Some(AuditAction::SessionRefused),
        object: line.subject.clone(),
        address: (actor.is_admin() || theirs).then(|| line.address.clone()).filter(|address| !address.is_empty()),
        operation,
        detail: if operation.is_none() { line.detail.clone() } else { String::new() },
    }
}

/// The name of the person whose lines alone are shown.
async fn who(state: &AppState, actor: &Actor, who: &str) -> Result<String, PageError> {
    match who.parse() {
        Ok(id) if actor.is_admin() => Ok(user_fetch(state.db(), id).await?.map_or_else(|| who.to_owned(), |user| user.name)),
        _ => Ok(who.to_owned()),
    }
}

/// Whether a client can do this, or have it done to their sign-in.
const fn is_for_clients(action: AuditAction) -> bool {
    match action {
        AuditAction::Operation(
            OperationKind::AccountCreate
            | OperationKind::AccountDelete
            | OperationKind::AccountRepair
            | OperationKind::PhpRepair
            | OperationKind::SiteRepair
            | OperationKind::WorkerUpdate,
        )
        | AuditAction::ServerAdd
        | AuditAction::ServerUpdate
        | AuditAction::ServerToken
        | AuditAction::ServerShutOut
        | AuditAction::ServerDelete
        | AuditAction::DriftPolicySet
        | AuditAction::RolloutStart
        | AuditAction::RolloutCancel
        | AuditAction::RolloutResume
        | AuditAction::ClientDelete
        | AuditAction::QueuePause
        | AuditAction::QueueResume
        | AuditAction::QueueSooner
        | AuditAction::QueueLater
        | AuditAction::QueueCancel
        | AuditAction::SecuritySeen
        | AuditAction::BusAdopt
        | AuditAction::UserAdd => false,
        AuditAction::Operation(
            OperationKind::AccountUpdate
            | OperationKind::AccountSuspend
            | OperationKind::AccountUnsuspend
            | OperationKind::PhpUpdate
            | OperationKind::SiteCreate
            | OperationKind::SiteUpdate
            | OperationKind::SiteSuspend
            | OperationKind::SiteUnsuspend
            | OperationKind::SiteDelete
            | OperationKind::SiteRollback,
        )
        | AuditAction::OperationRetry
        | AuditAction::SessionBegin
        | AuditAction::SessionRefused
        | AuditAction::SessionEnd
        | AuditAction::SessionEndOthers
        | AuditAction::PasswordChange
        | AuditAction::ClientCreate
        | AuditAction::ClientResetPassword
        | AuditAction::ClientSuspend
        | AuditAction::ClientUnsuspend
        | AuditAction::UserResetPassword => true,
    }
}
