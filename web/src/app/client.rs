//! Clients: people who own accounts. For admins.

use serde::Deserialize;
use shared::ids::UserId;
use shared::jobs::{Presence, ResourceKey};
use shared::secret::Secret;

use super::account_change::switch_in;
use super::preview::{Preview, preview_all};
use super::signal::Signal;
use super::site_change::{ConfirmDelete, Switch};
use super::unit::{Asked, Open, Place, Unit};
use super::user::login_taken;
use super::{Actor, App, AppError, FieldErrors};
use crate::auth::password::one_time_password;
use crate::store::account::{account_ids_of_owner_in_tx, account_lock_in_tx};
use crate::store::audit::AuditAction;
use crate::store::list::Visible;
use crate::store::operation::OperationKind;
use crate::store::session::session_delete_of_user_in_tx;
use crate::store::user::{
    Login, NewUser, PasswordLife, UserRole, UserRow, UserState, client_delete_in_tx, user_fetch, user_insert_in_tx, user_lock_in_tx,
    user_set_password_in_tx, user_set_state_in_tx,
};

/// The form for a new client, as typed.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub struct ClientCreate {
    /// How pages call them.
    pub name: String,
    /// What they sign in with.
    pub login: String,
    /// `client`, or `admin` for somebody who runs the fleet.
    pub role: String,
}

/// A client, if there is one.
///
/// # Errors
/// [`AppError::Forbidden`] for clients; [`AppError::NotFound`], also for an admin's id.
pub async fn client_fetch(app: &App, actor: &Actor, id: UserId) -> Result<UserRow, AppError> {
    actor.require_admin()?;
    user_fetch(&app.db, id).await?.filter(|user| user.role == UserRole::Client).ok_or(AppError::NotFound)
}

/// Anybody who signs in.
///
/// # Errors
/// [`AppError::Forbidden`] for clients; [`AppError::NotFound`].
pub async fn person_fetch(app: &App, actor: &Actor, id: UserId) -> Result<UserRow, AppError> {
    actor.require_admin()?;
    user_fetch(&app.db, id).await?.ok_or(AppError::NotFound)
}

/// Adds a client. Returns their one-time password, to be shown once.
///
/// # Errors
/// [`AppError::Forbidden`] for clients; [`AppError::Invalid`] on `name`, `login` or `role`.
pub async fn client_create(app: &App, actor: &Actor, form: &ClientCreate) -> Result<(UserId, Secret<String>), AppError> {
    actor.require_admin()?;
    let mut errors = FieldErrors::new();
    let login = errors.take("login", form.login.parse::<Login>());
    let name = errors.take("name", parse_name(&form.name));
    let role = match form.role.as_str() {
        "" => Some(UserRole::Client),
        text => errors.take("role", text.parse::<UserRole>().map_err(|_| "Choose a role.")),
    };
    errors.check()?;
    let (Some(login), Some(name), Some(role)) = (login, name, role) else { return Err(AppError::Invalid(errors)) };
    let password = one_time_password();
    let password_hash = app.hasher.hash(password.clone()).await?;
    let mut unit = Unit::begin(app, actor).await?;
    let new = NewUser { id: UserId::new(), login: login.clone(), name, role, password_hash };
    user_insert_in_tx(&mut unit.tx, &new).await.map_err(login_taken)?;
    unit.audit(AuditAction::ClientCreate, login.as_str(), role.as_str()).await?;
    unit.signal(Signal::UserChanged(new.id));
    unit.commit().await?;
    Ok((new.id, password))
}

fn parse_name(text: &str) -> Result<String, &'static str> {
    let name = text.split_whitespace().collect::<Vec<_>>().join(" ");
    if name.is_empty() || name.chars().count() > 100 || name.chars().any(char::is_control) {
        return Err("Enter a name of up to 100 characters.");
    }
    Ok(name)
}

/// Gives a client a new one-time password and ends their sessions. Returns the password, to be shown once.
///
/// # Errors
/// [`AppError::Forbidden`] for clients; [`AppError::NotFound`].
pub async fn client_reset_password(app: &App, actor: &Actor, id: UserId) -> Result<Secret<String>, AppError> {
    client_fetch(app, actor, id).await?;
    let password = one_time_password();
    let hash = app.hasher.hash(password.clone()).await?;
    let mut unit = Unit::begin(app, actor).await?;
    let client = lock(&mut unit, id).await?;
    user_set_password_in_tx(&mut unit.tx, id, &hash, PasswordLife::Once).await?;
    session_delete_of_user_in_tx(&mut unit.tx, id, None).await?;
    unit.audit(AuditAction::ClientResetPassword, client.login.as_str(), "").await?;
    unit.signal(Signal::SessionsEnded(id));
    unit.commit().await?;
    Ok(password)
}

/// Ends a client's sessions and switches all their accounts off.
///
/// # Errors
/// [`AppError::Forbidden`] for clients; [`AppError::NotFound`]; [`AppError::Conflict`] if they are suspended already.
pub async fn client_suspend(app: &App, actor: &Actor, id: UserId) -> Result<(), AppError> {
    switch(app, actor, id, UserState::Suspended).await
}

/// Lets a client in again and brings back what was switched off with them.
///
/// # Errors
/// [`AppError::Forbidden`] for clients; [`AppError::NotFound`]; [`AppError::Conflict`] if they are not suspended.
pub async fn client_unsuspend(app: &App, actor: &Actor, id: UserId) -> Result<(), AppError> {
    switch(app, actor, id, UserState::Active).await
}

/// What suspending a client, or letting them in again, would change on each server that has accounts of theirs.
///
/// # Errors
/// As [`client_suspend`] and [`client_unsuspend`].
pub async fn client_switch_preview(app: &App, actor: &Actor, id: UserId, switch: Switch) -> Result<Vec<Preview>, AppError> {
    let state = match switch {
        Switch::Off => UserState::Suspended,
        Switch::On => UserState::Active,
    };
    let (unit, opens) = switch_open(app, actor, id, state).await?;
    preview_all(app, unit.propose_all(opens).await?).await
}

async fn switch(app: &App, actor: &Actor, id: UserId, state: UserState) -> Result<(), AppError> {
    let (mut unit, opens) = switch_open(app, actor, id, state).await?;
    for open in opens {
        unit.close(open).await?;
    }
    unit.commit().await
}

/// The request with an operation for each account, not committed.
async fn switch_open<'a>(app: &'a App, actor: &'a Actor, id: UserId, state: UserState) -> Result<(Unit<'a>, Vec<Open>), AppError> {
    actor.require_admin()?;
    let mut unit = Unit::begin(app, actor).await?;
    let client = lock(&mut unit, id).await?;
    let (kind, action, already) = match state {
        UserState::Suspended => (OperationKind::AccountSuspend, AuditAction::ClientSuspend, "This client is suspended already."),
        UserState::Active => (OperationKind::AccountUnsuspend, AuditAction::ClientUnsuspend, "This client is not suspended."),
    };
    if client.state == state {
        return Err(AppError::conflict(already));
    }
    user_set_state_in_tx(&mut unit.tx, id, state).await?;
    let mut opens = Vec::new();
    for account in account_ids_of_owner_in_tx(&mut unit.tx, id).await? {
        let Some(account) = account_lock_in_tx(&mut unit.tx, Visible::All, account).await? else { continue };
        // An account that is suspended for itself stays so, and one that goes, goes.
        if account.presence != Presence::Active {
            continue;
        }
        let subject = account.linux_user.as_str().to_owned();
        let asked = Asked { kind, resource: ResourceKey::Account(account.id), subject: &subject, key: None };
        let mut open = unit.operation(Place::from(&account), asked).await?;
        let presence = account.presence;
        switch_in(&mut unit, account, presence, &mut open).await?;
        opens.push(open);
    }
    if state == UserState::Suspended {
        session_delete_of_user_in_tx(&mut unit.tx, id, None).await?;
        unit.signal(Signal::SessionsEnded(id));
    }
    unit.audit(action, client.login.as_str(), "").await?;
    unit.signal(Signal::UserChanged(id));
    Ok((unit, opens))
}

/// Removes a client who owns no account.
///
/// # Errors
/// [`AppError::Forbidden`] for clients; [`AppError::NotFound`]; [`AppError::Invalid`] on `confirm` unless the login was
/// typed; [`AppError::Conflict`] while accounts exist.
pub async fn client_delete(app: &App, actor: &Actor, id: UserId, form: &ConfirmDelete) -> Result<(), AppError> {
    actor.require_admin()?;
    let mut unit = Unit::begin(app, actor).await?;
    let client = lock(&mut unit, id).await?;
    if form.confirm.trim().to_lowercase() != client.login.as_str() {
        return Err(AppError::invalid("confirm", format!("Type {} to confirm.", client.login)));
    }
    if !client_delete_in_tx(&mut unit.tx, id).await? {
        return Err(AppError::conflict("This client still owns accounts. Delete them first."));
    }
    unit.audit(AuditAction::ClientDelete, client.login.as_str(), "").await?;
    unit.signal(Signal::SessionsEnded(id));
    unit.signal(Signal::UserChanged(id));
    unit.commit().await
}

async fn lock(unit: &mut Unit<'_>, id: UserId) -> Result<UserRow, AppError> {
    user_lock_in_tx(&mut unit.tx, id).await?.filter(|user| user.role == UserRole::Client).ok_or(AppError::NotFound)
}
