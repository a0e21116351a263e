//! Servers, as admins add, change and delete them.

use shared::ids::ServerId;
use shared::role::Role;
use shared::secret::Secret;

use super::server_form::ServerForm;
use super::signal::Signal;
use super::site_change::ConfirmDelete;
use super::unit::Unit;
use super::{Actor, App, AppError};
use crate::auth::token::{token_hash, token_new};
use crate::store::audit::AuditAction;
use crate::store::ended_server::{Told, ended_server_is_leaving_in_tx, server_end_in_tx};
use crate::store::enrolment::enrolment_insert_in_tx;
use crate::store::now_ms;
use crate::store::placement::placement_lock_in_tx;
use crate::store::server::{NewServer, ServerRow, server_fetch, server_insert_in_tx};
use crate::store::server_settings::{ServerLabel, ServerSettings, server_set_active_in_tx, server_update_in_tx};
use crate::store::shut_out::server_shut_out_in_tx;

/// A token has to be used within so long.
pub const TOKEN_MS: i64 = 60 * 60 * 1000;

/// A server and the token with which its worker joins, to be shown once.
#[derive(Debug)]
pub struct ServerToken {
    /// The server.
    pub id: ServerId,
    /// The token.
    pub token: Secret<String>,
}

/// A server, for admins.
///
/// # Errors
/// [`AppError::Forbidden`] for clients; [`AppError::NotFound`].
pub async fn server_get(app: &App, actor: &Actor, id: ServerId) -> Result<ServerRow, AppError> {
    actor.require_admin()?;
    server_fetch(&app.db, id).await?.ok_or(AppError::NotFound)
}

/// Adds a server.
///
/// # Errors
/// [`AppError::Forbidden`] for clients; [`AppError::Invalid`] on a field of the form.
pub async fn server_add(app: &App, actor: &Actor, form: &ServerForm) -> Result<ServerToken, AppError> {
    actor.require_admin()?;
    let (name, settings) = form.parse_new()?;
    let ServerSettings { hostname, roles, address, max_accounts, .. } = settings.clone();
    let new = NewServer { name, hostname, roles, address, max_accounts };
    let token = token_new();
    let mut unit = Unit::begin(app, actor).await?;
    if ended_server_is_leaving_in_tx(&mut unit.tx, &new.name).await? {
        return Err(AppError::invalid(
            "name",
            "A server of this name was there before, and is still being removed from the bus. Try again in a moment.",
        ));
    }
    let id = server_insert_in_tx(&mut unit.tx, &new).await.map_err(|error| {
        if error.is_duplicate_of("servers", "name") {
            AppError::invalid("name", "Another server has this name. Choose another.")
        } else {
            error.into()
        }
    })?;
    server_update_in_tx(&mut unit.tx, id, &settings).await?;
    enrolment_insert_in_tx(&mut unit.tx, id, &token_hash(token.expose()), now_ms() + TOKEN_MS).await?;
    unit.audit(AuditAction::ServerAdd, new.name.as_str(), "").await?;
    unit.signal(Signal::ServerChanged(id));
    unit.commit().await?;
    Ok(ServerToken { id, token })
}

/// Changes what is told of a server, its roles, and how many accounts it takes. What runs there is not touched.
///
/// # Errors
/// [`AppError::Forbidden`] for clients; [`AppError::NotFound`]; [`AppError::Invalid`] on a field of the form, on `roles` if
/// accounts live there and it would lose the role `web`.
pub async fn server_update(app: &App, actor: &Actor, id: ServerId, form: &ServerForm) -> Result<(), AppError> {
    let server = server_get(app, actor, id).await?;
    let settings = form.parse_settings()?;
    let mut unit = Unit::begin(app, actor).await?;
    let placed = placement_lock_in_tx(&mut unit.tx, id).await?.ok_or(AppError::NotFound)?;
    if placed.accounts > 0 && !settings.roles.contains(&Role::Web) {
        return Err(AppError::invalid("roles", "Accounts live on this server, so it keeps the role web."));
    }
    if !server_update_in_tx(&mut unit.tx, id, &settings).await? {
        return Err(AppError::NotFound);
    }
    unit.audit(AuditAction::ServerUpdate, server.name.as_str(), &changes(&server, &settings)).await?;
    unit.signal(Signal::ServerChanged(id));
    unit.commit().await
}

/// What an admin changed, before and after: `Hostname a.example to b.example; Max. accounts none to 50`.
fn changes(before: &ServerRow, after: &ServerSettings) -> String {
    let roles = |roles: &[Role]| roles.iter().map(|role| role.as_str()).collect::<Vec<_>>().join(" ");
    let most = |most: Option<i64>| most.map_or_else(String::new, |most| most.to_string());
    let yes = |yes: bool| if yes { "yes" } else { "no" }.to_owned();
    let (was, is) = (&before.places, &after.places);
    let label = |label: &Option<ServerLabel>| label.as_ref().map(ToString::to_string).unwrap_or_default();
    let fields = [
        ("Display name", label(&was.label), label(&is.label)),
        ("Hostname", before.hostname.clone(), after.hostname.clone()),
        ("Roles", roles(&before.roles), roles(&after.roles)),
        ("Address", before.address.clone(), after.address.clone()),
        ("Mail hostname", was.mail_hostname.clone(), is.mail_hostname.clone()),
        ("Bus address", was.bus_url.clone(), is.bus_url.clone()),
        ("Panel URL", was.panel_url.clone(), is.panel_url.clone()),
        ("phpMyAdmin path", was.phpmyadmin_path.clone(), is.phpmyadmin_path.clone()),
        ("Roundcube path", was.roundcube_path.clone(), is.roundcube_path.clone()),
        ("Panel TLS", was.panel_tls.as_str().to_owned(), is.panel_tls.as_str().to_owned()),
        ("Mail TLS", was.mail_tls.as_str().to_owned(), is.mail_tls.as_str().to_owned()),
        ("Max. accounts", most(before.max_accounts), most(after.max_accounts)),
        ("Active", yes(before.active), yes(after.active)),
    ];
    let said = |value: &str| if value.is_empty() { "none".to_owned() } else { value.to_owned() };
    let changed = fields.iter().filter(|(_, was, is)| was != is).map(|(label, was, is)| format!("{label} {} to {}", said(was), said(is)));
    changed.collect::<Vec<_>>().join("; ")
}

/// Lets a server take new accounts, or not. What runs there is not touched.
///
/// # Errors
/// [`AppError::Forbidden`] for clients; [`AppError::NotFound`].
pub async fn server_set_active(app: &App, actor: &Actor, id: ServerId, active: bool) -> Result<(), AppError> {
    let server = server_get(app, actor, id).await?;
    let mut unit = Unit::begin(app, actor).await?;
    server_set_active_in_tx(&mut unit.tx, id, active).await?;
    let detail = if active { "takes new accounts" } else { "takes no new accounts" };
    unit.audit(AuditAction::ServerUpdate, server.name.as_str(), detail).await?;
    unit.signal(Signal::ServerChanged(id));
    unit.commit().await
}

/// Whether somebody was asked if a worker that answers is to join again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Rejoin {
    /// Nobody was.
    Unasked,
    /// They said yes.
    Agreed,
}

/// Makes a new token for a server; an unused one made before stops working. The worker that answers stays who it is until one
/// joins with the token.
///
/// # Errors
/// [`AppError::Forbidden`] for clients; [`AppError::NotFound`]; [`AppError::Conflict`] while its worker answers and nobody was
/// asked, because whoever joins with the token takes its place.
pub async fn server_token(app: &App, actor: &Actor, id: ServerId, rejoin: Rejoin) -> Result<ServerToken, AppError> {
    let server = server_get(app, actor, id).await?;
    if server.online && rejoin == Rejoin::Unasked {
        return Err(AppError::conflict("The worker of this server has joined and answers. It needs no token."));
    }
    let token = token_new();
    let mut unit = Unit::begin(app, actor).await?;
    enrolment_insert_in_tx(&mut unit.tx, id, &token_hash(token.expose()), now_ms() + TOKEN_MS).await?;
    unit.audit(AuditAction::ServerToken, server.name.as_str(), "").await?;
    unit.signal(Signal::ServerChanged(id));
    unit.commit().await?;
    Ok(ServerToken { id, token })
}

/// Shuts out a server's worker: its key is worth nothing any more. What is on the host stays as it is.
///
/// # Errors
/// [`AppError::Forbidden`] for clients; [`AppError::NotFound`]; [`AppError::Invalid`] on `confirm` unless the name was typed;
/// [`AppError::Conflict`] if no worker has joined.
pub async fn server_shut_out(app: &App, actor: &Actor, id: ServerId, form: &ConfirmDelete) -> Result<(), AppError> {
    let server = server_get(app, actor, id).await?;
    if form.confirm.trim() != server.name.as_str() {
        return Err(AppError::invalid("confirm", format!("Type {} to confirm.", server.name)));
    }
    let mut unit = Unit::begin(app, actor).await?;
    if !server_shut_out_in_tx(&mut unit.tx, id).await? {
        return Err(AppError::conflict("No worker has joined as this server."));
    }
    unit.audit(AuditAction::ServerShutOut, server.name.as_str(), "").await?;
    unit.signal(Signal::ServerChanged(id));
    unit.commit().await
}

/// Deletes a server on which no account lives. What was asked of it is ended, and its worker is shut out of the bus; what is on the
/// host stays as it is.
///
/// # Errors
/// [`AppError::Forbidden`] for clients; [`AppError::NotFound`]; [`AppError::Invalid`] on `confirm` unless the name was typed;
/// [`AppError::Conflict`] while accounts live there.
pub async fn server_delete(app: &App, actor: &Actor, id: ServerId, form: &ConfirmDelete) -> Result<(), AppError> {
    actor.require_admin()?;
    let mut unit = Unit::begin(app, actor).await?;
    // Locked, so that no account is placed there meanwhile.
    let server = placement_lock_in_tx(&mut unit.tx, id).await?.ok_or(AppError::NotFound)?;
    if form.confirm.trim() != server.name.as_str() {
        return Err(AppError::invalid("confirm", format!("Type {} to confirm.", server.name)));
    }
    let Some(told) = server_end_in_tx(&mut unit.tx, id).await? else {
        return Err(AppError::conflict("Accounts still live on this server. Delete them first."));
    };
    unit.audit(AuditAction::ServerDelete, server.name.as_str(), "").await?;
    tell(&mut unit, told);
    unit.signal(Signal::ServerChanged(id));
    // Wakes dispatch, which ends the worker's access.
    unit.signal(Signal::EnrolmentRequested);
    unit.commit().await
}

/// Says of operations that they have ended with their server.
pub(super) fn tell(unit: &mut Unit<'_>, ended: Vec<Told>) {
    for told in ended {
        unit.signal(Signal::OperationChanged { operation: told.operation, account: told.account, owner: told.owner });
    }
}
