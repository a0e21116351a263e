//! Servers whose host is gone for good, as admins give them up.

use shared::ids::ServerId;

use super::server::tell;
use super::signal::Signal;
use super::site_change::ConfirmDelete;
use super::unit::Unit;
use super::{Actor, App, AppError};
use crate::store::audit::AuditAction;
use crate::store::gone_server::{GivenUp, server_give_up_in_tx, server_users_in_tx};
use crate::store::placement::placement_lock_in_tx;

/// Gives up a server with the accounts on it. Nothing is done on the host; if it comes back, it is nobody.
///
/// # Errors
/// [`AppError::Forbidden`] for clients; [`AppError::NotFound`]; [`AppError::Invalid`] on `confirm` unless the name was typed;
/// [`AppError::Conflict`] while its worker answers.
pub async fn server_give_up(app: &App, actor: &Actor, id: ServerId, form: &ConfirmDelete) -> Result<(), AppError> {
    actor.require_admin()?;
    let mut unit = Unit::begin(app, actor).await?;
    // Locked, so that no account is placed there and no heartbeat comes in meanwhile.
    let server = placement_lock_in_tx(&mut unit.tx, id).await?.ok_or(AppError::NotFound)?;
    if form.confirm.trim() != server.name.as_str() {
        return Err(AppError::invalid("confirm", format!("Type {} to confirm.", server.name)));
    }
    let users = server_users_in_tx(&mut unit.tx, id).await?;
    let GivenUp::Gone(told) = server_give_up_in_tx(&mut unit.tx, id).await? else {
        return Err(AppError::conflict("The worker of this server answers, so its host is not gone. Nothing was changed."));
    };
    let given_up = if users.is_empty() { "none".to_owned() } else { users.join(" ") };
    let detail = format!("its host is gone; accounts given up: {given_up}");
    unit.audit(AuditAction::ServerDelete, server.name.as_str(), &detail).await?;
    tell(&mut unit, told);
    unit.signal(Signal::ServerChanged(id));
    // Wakes dispatch, which ends the worker's access and what lies on the bus for it.
    unit.signal(Signal::EnrolmentRequested);
    unit.commit().await
}
