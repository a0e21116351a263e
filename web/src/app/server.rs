//! Servers, as admins add them.

use serde::Deserialize;
use shared::ids::ServerId;
use shared::names::{DomainName, ServerName};
use shared::role::Role;
use shared::secret::Secret;

use super::signal::Signal;
use super::unit::Unit;
use super::{Actor, App, AppError, FieldErrors};
use crate::auth::token::{token_hash, token_new};
use crate::store::enrolment::enrolment_insert_in_tx;
use crate::store::now_ms;
use crate::store::server::{NewServer, ServerRow, server_fetch, server_insert_in_tx, server_set_active_in_tx};

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

/// Makes a new token for a server; an unused one made before stops working.
///
/// # Errors
/// [`AppError::Forbidden`] for clients; [`AppError::NotFound`].
pub async fn server_token(app: &App, actor: &Actor, id: ServerId) -> Result<ServerToken, AppError> {
    let server = server_get(app, actor, id).await?;
    let token = token_new();
    let mut unit = Unit::begin(app, actor).await?;
    enrolment_insert_in_tx(&mut unit.tx, id, &token_hash(token.expose()), now_ms() + TOKEN_MS).await?;
    unit.audit("server.token", server.name.as_str(), "").await?;
    unit.commit().await?;
    Ok(ServerToken { id, token })
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
        let hostname = errors.take("hostname", self.hostname.parse::<DomainName>());
        let address = self.address.trim();
        if !address.is_empty() && address.parse::<std::net::IpAddr>().is_err() && address.parse::<DomainName>().is_err() {
            errors.add("address", "Enter an IP address or a host name.");
        }
        let max_accounts = match self.max_accounts.trim() {
            "" | "0" => None,
            text => errors.take("max_accounts", text.parse::<u32>().map_err(|_| "Enter a whole number, or nothing for no limit.")),
        };
        errors.check()?;
        let (Some(name), Some(hostname)) = (name, hostname) else { return Err(AppError::Invalid(errors)) };
        let address = if address.is_empty() { hostname.as_str().to_owned() } else { address.to_owned() };
        Ok(NewServer { name, hostname: hostname.into(), roles: vec![Role::Web], address, max_accounts: max_accounts.map(i64::from) })
    }
}
