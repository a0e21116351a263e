//! Connections that the bus refused, by its own word.

use data_encoding::BASE64URL_NOPAD;
use futures::stream::{Stream, StreamExt, select};

use super::BusError;
use super::panel::DispatchBus;
use crate::security::SecurityKind;

/// A connection that the bus refused.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RefusedConnection {
    /// A second one with an identity that is connected, or credentials that are not good.
    pub kind: SecurityKind,
    /// What the client calls itself. Nobody has proved it.
    pub name: String,
    /// Where it came from.
    pub host: String,
    /// The public key its credentials are for, if it had any. With [`SecurityKind::RefusedCredentials`] nobody has proved it.
    pub public_key: Option<String>,
    /// Why, in the bus's words.
    pub reason: String,
}

impl RefusedConnection {
    /// From an event of the bus. A connection that was let in names its user.
    fn of(kind: SecurityKind, payload: &[u8]) -> Option<Self> {
        let event: serde_json::Value = serde_json::from_slice(payload).ok()?;
        let text = |pointer: &str| event.pointer(pointer).and_then(|value| value.as_str()).unwrap_or_default().to_owned();
        // `$G` is where a client is that nobody knows yet; its refusal is told as one of credentials.
        if kind == SecurityKind::SecondConnection && (!text("/client/user").is_empty() || text("/client/acc") == "$G") {
            return None;
        }
        let public_key = key_of(&text("/client/jwt"));
        Some(Self { kind, name: text("/client/name"), host: text("/client/host"), public_key, reason: text("/reason") })
    }
}

/// Whom a user's JWT is for. Its signature is the bus's to look at.
fn key_of(jwt: &str) -> Option<String> {
    let claims = BASE64URL_NOPAD.decode(jwt.split('.').nth(1)?.as_bytes()).ok()?;
    let claims: serde_json::Value = serde_json::from_slice(&claims).ok()?;
    claims.get("sub")?.as_str().map(str::to_owned)
}

impl DispatchBus {
    /// Connections that the bus has just refused.
    ///
    /// # Errors
    /// The client is closed.
    pub async fn refusals(&self) -> Result<impl Stream<Item = RefusedConnection> + use<>, BusError> {
        let subscribe = async |subject: &'static str| {
            self.system.subscribe(subject).await.map_err(|source| BusError::refused("report refusals", source))
        };
        let ended = subscribe("$SYS.ACCOUNT.*.DISCONNECT").await?;
        let refused = subscribe("$SYS.SERVER.*.CLIENT.AUTH.ERR").await?;
        let second = ended.filter_map(async |message| RefusedConnection::of(SecurityKind::SecondConnection, &message.payload));
        let credentials = refused.filter_map(async |message| RefusedConnection::of(SecurityKind::RefusedCredentials, &message.payload));
        Ok(select(Box::pin(second), Box::pin(credentials)))
    }
}
