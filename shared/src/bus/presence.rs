//! Who is connected, by the bus's own word.

use futures::{Stream, StreamExt};
use serde_json::Value;

use super::BusError;
use super::panel::DispatchBus;

/// A worker's connection that has begun or ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WorkerConnection {
    /// The worker's public key.
    pub public_key: String,
    /// The connection itself: no two of the bus's have the same.
    pub id: String,
    /// The address it comes from.
    pub host: String,
}

impl WorkerConnection {
    fn of(event: &[u8]) -> Option<Self> {
        let event: Value = serde_json::from_slice(event).ok()?;
        let text = |pointer: &str| event.pointer(pointer)?.as_str().map(str::to_owned);
        let number = event.pointer("/client/id")?.as_u64()?;
        Some(Self {
            public_key: text("/client/user")?,
            id: format!("{}.{number}", text("/server/id")?),
            host: text("/client/host").unwrap_or_default(),
        })
    }
}

impl DispatchBus {
    /// Workers' connections that have just closed.
    ///
    /// # Errors
    /// The client is closed.
    pub async fn disconnects(&self) -> Result<impl Stream<Item = WorkerConnection> + use<>, BusError> {
        self.connections("$SYS.ACCOUNT.*.DISCONNECT").await
    }

    /// Workers that have just connected.
    ///
    /// # Errors
    /// The client is closed.
    pub async fn connects(&self) -> Result<impl Stream<Item = WorkerConnection> + use<>, BusError> {
        self.connections("$SYS.ACCOUNT.*.CONNECT").await
    }

    async fn connections(&self, subject: &'static str) -> Result<impl Stream<Item = WorkerConnection> + use<>, BusError> {
        let subscriber = self.system.subscribe(subject).await.map_err(|source| BusError::refused("report presence", source))?;
        Ok(subscriber.filter_map(|message| async move { WorkerConnection::of(&message.payload) }))
    }
}
