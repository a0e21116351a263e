//! Servers, as admins add them.

use serde::Deserialize;
use shared::ids::ServerId;
use shared::names::{DomainName, ServerName};
use shared::role::Role;
use shared::secret::Secret;

use super::signal::Signal;
use super::site_change::ConfirmDelete;
use super::unit::Unit;
use super::{Actor, App, AppError, FieldErrors};
use crate::auth::token::{token_hash, token_new};
use crate::store::ended_server::server_end_in_tx;
use crate::store::enrolment::enrolment_insert_in_tx;
use crate::store::now_ms;
use crate::store::placement::placement_lock_in_tx;
use crate::store::server::{
    NewServer, ServerRow, ServerSettings, server_fetch, server_insert_in_tx, server_set_active_in_tx, server_update_in_tx,
};

/// A token has to be used within so long.
pub const TOKEN_MS: i64 = 60 * 60 * 1000;

/// The form for a new server, as typed.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub struct ServerAdd {
    /// Its name on the bus.
    pub name: String,
    /// Its FQDN.
    pub hostname: String,
    /// Where its sites answer; empty is the FQDN.
    pub address: String,
    /// Placement stops here; empty is no limit.
    pub max_accounts: String,
    /// Whether it takes accounts: a switch sends something, or nothing at all.
    pub active: String,
}

/// The form for a server's settings, as typed.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub struct ServerEdit {
    /// Its FQDN.
    pub hostname: String,
    /// Where its sites answer; empty is the FQDN.
    pub address: String,
    /// Placement stops here; empty is no limit.
    pub max_accounts: String,
    /// Whether it takes accounts: a switch sends something, or nothing at all.
    pub active: String,
}

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

/// Adds a server for the role `web`.
///
/// # Errors
/// [`AppError::Forbidden`] for clients; [`AppError::Invalid`] on `name`, `hostname`, `address` or `max_accounts`.
pub async fn server_add(app: &App, actor: &Actor, form: &ServerAdd) -> Result<ServerToken, AppError> {
    actor.require_admin()?;
    let new = form.parse()?;
    let token = token_new();
    let mut unit = Unit::begin(app, actor).await?;
    let id = server_insert_in_tx(&mut unit.tx, &new).await.map_err(|error| {
        if error.is_duplicate_of("servers", "name") {
            AppError::invalid("name", "Another server has this name. Choose another.")
        } else {
            error.into()
        }
    })?;
    server_set_active_in_tx(&mut unit.tx, id, form.is_active()).await?;
    enrolment_insert_in_tx(&mut unit.tx, id, &token_hash(token.expose()), now_ms() + TOKEN_MS).await?;
    unit.audit("server.add", new.name.as_str(), "").await?;
    unit.signal(Signal::ServerChanged(id));
    unit.commit().await?;
    Ok(ServerToken { id, token })
}

/// Changes what a server is called outside, where its sites answer, and how many accounts it takes. What runs there is not
/// touched.
///
/// # Errors
/// [`AppError::Forbidden`] for clients; [`AppError::NotFound`]; [`AppError::Invalid`] on `hostname`, `address` or `max_accounts`.
pub async fn server_update(app: &App, actor: &Actor, id: ServerId, form: &ServerEdit) -> Result<(), AppError> {
    let server = server_get(app, actor, id).await?;
    let mut errors = FieldErrors::new();
    let settings = form.parse(&mut errors);
    errors.check()?;
    let Some(settings) = settings else { return Err(AppError::Invalid(errors)) };
    let mut unit = Unit::begin(app, actor).await?;
    if !server_update_in_tx(&mut unit.tx, id, &settings).await? {
        return Err(AppError::NotFound);
    }
    unit.audit("server.update", server.name.as_str(), "").await?;
    unit.signal(Signal::ServerChanged(id));
    unit.commit().await
}

/// Makes a new token for a server; an unused one made before stops working.
///
/// # Errors
/// [`AppError::Forbidden`] for clients; [`AppError::NotFound`]; [`AppError::Conflict`] while its worker answers, because the
/// token would give its place to another.
pub async fn server_token(app: &App, actor: &Actor, id: ServerId) -> Result<ServerToken, AppError> {
    let server = server_get(app, actor, id).await?;
    if server.online {
        return Err(AppError::conflict("The worker of this server has joined and answers. It needs no token."));
    }
    let token = token_new();
    let mut unit = Unit::begin(app, actor).await?;
    enrolment_insert_in_tx(&mut unit.tx, id, &token_hash(token.expose()), now_ms() + TOKEN_MS).await?;
    unit.audit("server.token", server.name.as_str(), "").await?;
    unit.signal(Signal::ServerChanged(id));
    unit.commit().await?;
    Ok(ServerToken { id, token })
}

/// Deletes a server on which no account lives. Its worker is shut out of the bus; what is on the host stays as it is.
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
    if !server_end_in_tx(&mut unit.tx, id).await? {
        return Err(AppError::conflict("Accounts still live on this server. Delete them first."));
    }
    unit.audit("server.delete", server.name.as_str(), "").await?;
    unit.signal(Signal::ServerChanged(id));
    // Wakes dispatch, which ends the worker's access.
    unit.signal(Signal::EnrolmentRequested);
    unit.commit().await
}

impl ServerAdd {
    /// The form before anything was typed.
    #[must_use]
    pub fn fresh() -> Self {
        Self { active: "on".to_owned(), ..Self::default() }
    }

    /// Whether the switch is on.
    #[must_use]
    pub fn is_active(&self) -> bool {
        !self.active.is_empty()
    }

    fn parse(&self) -> Result<NewServer, AppError> {
        let mut errors = FieldErrors::new();
        let name = errors.take("name", self.name.trim().parse::<ServerName>());
        let (hostname, address) = (self.hostname.clone(), self.address.clone());
        let edit = ServerEdit { hostname, address, max_accounts: self.max_accounts.clone(), active: self.active.clone() };
        let settings = edit.parse(&mut errors);
        errors.check()?;
        let (Some(name), Some(settings)) = (name, settings) else { return Err(AppError::Invalid(errors)) };
        let ServerSettings { hostname, address, max_accounts, active: _ } = settings;
        Ok(NewServer { name, hostname, roles: vec![Role::Web], address, max_accounts })
    }
}

impl ServerEdit {
    /// The form with a server's present settings.
    #[must_use]
    pub fn of(server: &ServerRow) -> Self {
        Self {
            hostname: server.hostname.clone(),
            address: server.address.clone(),
            max_accounts: server.max_accounts.map(|most| most.to_string()).unwrap_or_default(),
            active: if server.active { "on".to_owned() } else { String::new() },
        }
    }

    /// `None` if something was refused.
    fn parse(&self, errors: &mut FieldErrors) -> Option<ServerSettings> {
        let hostname = errors.take("hostname", self.hostname.parse::<DomainName>());
        let address = self.address.trim();
        if !address.is_empty() && address.parse::<std::net::IpAddr>().is_err() && address.parse::<DomainName>().is_err() {
            errors.add("address", "Enter an IP address or a host name.");
        }
        let max_accounts = match self.max_accounts.trim() {
            "" | "0" => None,
            text => errors.take("max_accounts", text.parse::<u32>().map_err(|_| "Enter a whole number, or nothing for no limit.")),
        };
        let hostname: String = hostname?.into();
        let address = if address.is_empty() { hostname.clone() } else { address.to_owned() };
        Some(ServerSettings { hostname, address, max_accounts: max_accounts.map(i64::from), active: !self.active.is_empty() })
    }
}
