//! A connection, however it is used.

use std::time::Duration;

use async_nats::{Client, ConnectOptions, Event};

use super::BusError;
use super::authority::{BusAddress, client_config};
use super::credentials::{Credentials, user_key};
use super::server_config::{OLDEST_SERVER, is_new_enough};

/// How a client presents itself.
#[derive(Debug, Clone)]
pub struct Connection<'a> {
    /// Where the bus is, and who vouches for it.
    pub bus: &'a BusAddress,
    /// Shown in the bus's own listings, and the prefix of reply subjects: `_INBOX.<name>`.
    pub name: &'a str,
    /// The way in.
    pub credentials: &'a Credentials,
}

/// How long a request to the bus may take. A missing permission shows as this, so it is short.
pub(crate) const REQUEST_TIMEOUT: Duration = Duration::from_secs(5);

/// Connects and keeps connecting: after the first success a lost connection is taken up again for ever.
///
/// # Errors
/// The first attempt fails, or the server is too old.
pub async fn connect(connection: &Connection<'_>) -> Result<Client, BusError> {
    let seed = user_key(&connection.credentials.seed)?;
    let seed = std::sync::Arc::new(seed);
    let options = ConnectOptions::with_jwt(connection.credentials.jwt.clone(), move |nonce| {
        let seed = std::sync::Arc::clone(&seed);
        async move { seed.sign(&nonce).map_err(async_nats::AuthError::new) }
    })
    .require_tls(true)
    .tls_client_config(client_config(&connection.bus.authority)?)
    .name(connection.name)
    .custom_inbox_prefix(format!("_INBOX.{}", connection.name))
    .connection_timeout(Duration::from_secs(5))
    .ping_interval(Duration::from_secs(10))
    .request_timeout(Some(REQUEST_TIMEOUT))
    .max_reconnects(None)
    .reconnect_delay_callback(|attempt| Duration::from_millis(100 * (1_u64 << attempt.min(6))))
    .event_callback(|event| async move { log(&event) });
    let servers: Vec<&str> = connection.bus.url.split(',').map(str::trim).collect();
    let client = options.connect(servers).await.map_err(|source| refusal(&connection.bus.url, source))?;
    let found = client.server_info().version;
    if !is_new_enough(&found) {
        return Err(BusError::TooOld { found, needed: OLDEST_SERVER });
    }
    Ok(client)
}

/// nats-server's word for an account that has all the connections it may have.
const TOO_MANY_CONNECTIONS: &str = "maximum account active connections exceeded";

fn refusal(url: &str, source: async_nats::ConnectError) -> BusError {
    let mut cause: Option<&dyn std::error::Error> = Some(&source);
    while let Some(error) = cause {
        if error.to_string().contains(TOO_MANY_CONNECTIONS) {
            return BusError::IdentityInUse;
        }
        cause = error.source();
    }
    BusError::Connect { url: url.to_owned(), source }
}

fn log(event: &Event) {
    match event {
        Event::Connected => tracing::info!("connected to the bus"),
        Event::Disconnected => tracing::warn!("the connection to the bus was lost; connecting again"),
        // A permission the bus denies is otherwise only a timeout somewhere: it means a forged client or a bug.
        Event::ServerError(error) => tracing::error!(bus.error = %error, "the bus refuses something"),
        // Mostly a try to connect that failed; "connecting again" has been said.
        Event::ClientError(error) => tracing::debug!(bus.error = %error, "the bus client failed"),
        Event::SlowConsumer(id) => tracing::warn!(bus.subscription = id, "a subscription is too slow; messages are lost"),
        Event::LameDuckMode => tracing::info!("the bus server is about to stop"),
        Event::Draining | Event::Closed => tracing::debug!("the bus connection closes"),
    }
}
