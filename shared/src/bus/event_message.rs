//! A worker's durable event, and its acknowledgement.

use async_nats::jetstream::{AckKind, Message};

use super::panel::header;
use super::sending::{Arrival, arrival};
use super::signing::{Purpose, open};
use super::{BusError, subjects};
use crate::events::EventEnvelope;
use crate::names::ServerName;

/// A worker's durable event as it was delivered.
pub struct EventMessage {
    message: Message,
}

impl EventMessage {
    pub(super) const fn new(message: Message) -> Self {
        Self { message }
    }

    /// The server that sent it, by its subject.
    #[must_use]
    pub fn sender(&self) -> Option<ServerName> {
        subjects::sender(&self.message.subject)
    }

    /// The event, if the signature is that of the sender's key.
    ///
    /// # Errors
    /// The signature is wrong or the event does not decode.
    pub fn open(&self, sender_key: &str) -> Result<EventEnvelope, BusError> {
        open(Purpose::Event, sender_key, &self.message.payload, header(self.message.headers.as_ref()))
    }

    /// Which sending it is, once it has been opened; `None` of a worker of a release before there were any.
    #[must_use]
    pub fn arrival(&self) -> Option<Arrival> {
        arrival(&self.message)
    }

    /// Says that the event is applied.
    ///
    /// # Errors
    /// The bus cannot be reached; the event comes again, which does no harm.
    pub async fn acknowledge(&self) -> Result<(), BusError> {
        self.message.ack().await.map_err(|source| BusError::refused("take an acknowledgement", source))
    }

    /// Says that this message must never come again: it is nobody's event.
    ///
    /// # Errors
    /// The bus cannot be reached.
    pub async fn refuse(&self) -> Result<(), BusError> {
        self.message.ack_with(AckKind::Term).await.map_err(|source| BusError::refused("drop a message", source))
    }
}
