//! Whoever gets at what is on its way, for tests: removes messages, repeats them, and stores others.

use async_nats::HeaderMap;
use async_nats::jetstream::message::StreamMessage;
use async_nats::jetstream::{self, Context};
use serde::Serialize;

use super::BusError;
use super::authority::BusAddress;
use super::client::{Connection, connect};
use super::credentials::{BusKeys, PanelUser};
use super::signing::{Purpose, SIGNATURE_HEADER, sign};
use super::subjects;
use crate::ids::{AccountId, EventId};
use crate::names::ServerName;

/// A client with dispatch's rights.
pub struct Tamperer {
    context: Context,
    keys: BusKeys,
}

/// A message as a stream keeps it.
#[derive(Debug, Clone)]
pub struct Kept {
    stream: String,
    message: StreamMessage,
}

impl Kept {
    /// What it is about.
    #[must_use]
    pub fn subject(&self) -> &str {
        &self.message.subject
    }

    /// What was signed.
    #[must_use]
    pub fn payload(&self) -> &[u8] {
        &self.message.payload
    }

    /// Whether its payload contains a text.
    #[must_use]
    pub fn contains(&self, text: &str) -> bool {
        self.message.payload.windows(text.len().max(1)).any(|part| part == text.as_bytes())
    }

    /// The same message with one bit of its payload changed.
    #[must_use]
    pub fn with_bit_flipped(&self, bit: usize) -> Self {
        let mut payload = self.message.payload.to_vec();
        let at = bit / 8 % payload.len().max(1);
        if let Some(byte) = payload.get_mut(at) {
            *byte ^= 1 << (bit % 8);
        }
        Self { stream: self.stream.clone(), message: StreamMessage { payload: payload.into(), ..self.message.clone() } }
    }
}

impl Tamperer {
    /// Connects.
    ///
    /// # Errors
    /// The bus cannot be reached.
    pub async fn connect(bus: &BusAddress, keys: &BusKeys, now_s: i64) -> Result<Self, BusError> {
        let credentials = keys.panel_credentials(PanelUser::Dispatch, now_s)?;
        let client = connect(&Connection { bus, name: "tamperer", credentials: &credentials }).await?;
        Ok(Self { context: jetstream::new(client), keys: keys.clone() })
    }

    /// What a stream keeps, oldest first.
    ///
    /// # Errors
    /// The bus does not answer.
    pub async fn kept(&self, stream: &str) -> Result<Vec<Kept>, BusError> {
        let found = self.context.get_stream(stream).await.map_err(|source| BusError::refused("show a stream", source))?;
        let state = &found.cached_info().state;
        let mut kept = Vec::new();
        for sequence in state.first_sequence..=state.last_sequence {
            // Others have been acknowledged meanwhile.
            if let Ok(message) = found.get_raw_message(sequence).await {
                kept.push(Kept { stream: stream.to_owned(), message });
            }
        }
        Ok(kept)
    }

    /// How many messages of a stream a consumer has been given and has not acknowledged.
    ///
    /// # Errors
    /// The bus does not answer.
    pub async fn unacknowledged(&self, stream: &str, consumer: &str) -> Result<usize, BusError> {
        let found = self.context.get_stream(stream).await.map_err(|source| BusError::refused("show a stream", source))?;
        let info = found.consumer_info(consumer).await.map_err(|source| BusError::refused("show a consumer", source))?;
        Ok(info.num_ack_pending)
    }

    /// Removes a consumer: what it has delivered is not confirmed any more.
    ///
    /// # Errors
    /// The bus refuses.
    pub async fn remove_consumer(&self, stream: &str, consumer: &str) -> Result<(), BusError> {
        let found = self.context.get_stream(stream).await.map_err(|source| BusError::refused("show a stream", source))?;
        found.delete_consumer(consumer).await.map_err(|source| BusError::refused("remove a consumer", source))?;
        Ok(())
    }

    /// Gives a stream room for so many bytes. How many it had room for before.
    ///
    /// # Errors
    /// The bus refuses.
    pub async fn set_room(&self, stream: &str, bytes: i64) -> Result<i64, BusError> {
        let found = self.context.get_stream(stream).await.map_err(|source| BusError::refused("show a stream", source))?;
        let config = found.cached_info().config.clone();
        let before = config.max_bytes;
        let config = jetstream::stream::Config { max_bytes: bytes, ..config };
        self.context.update_stream(config).await.map_err(|source| BusError::refused("change a stream", source))?;
        Ok(before)
    }

    /// Removes a message.
    ///
    /// # Errors
    /// The bus refuses.
    pub async fn remove(&self, kept: &Kept) -> Result<(), BusError> {
        let stream = self.context.get_stream(&kept.stream).await.map_err(|source| BusError::refused("show a stream", source))?;
        stream.delete_message(kept.message.sequence).await.map_err(|source| BusError::refused("remove a message", source))?;
        Ok(())
    }

    /// Stores a message again, behind all others. It has an id of its own, so that the bus takes it for another.
    ///
    /// # Errors
    /// The bus refuses.
    pub async fn store(&self, kept: &Kept) -> Result<(), BusError> {
        let mut headers = kept.message.headers.clone();
        headers.insert(async_nats::header::NATS_MESSAGE_ID, EventId::new().to_string());
        let subject = subjects::published_as(&self.keys.ingest_secret, &kept.message.subject);
        self.publish(subject, headers, kept.message.payload.to_vec()).await
    }

    /// Stores something in place of a job, signed as the panel signs jobs.
    ///
    /// # Errors
    /// The bus refuses.
    pub async fn store_job<T: Serialize>(&self, server: &ServerName, account: AccountId, what: &T) -> Result<(), BusError> {
        let signed = sign(Purpose::Job, &self.keys.job_signer()?, what)?;
        let mut headers = HeaderMap::new();
        headers.insert(SIGNATURE_HEADER, signed.signature.as_str());
        self.publish(subjects::ingest(&self.keys.ingest_secret, server, account), headers, signed.payload).await
    }

    /// Stores bytes in place of a job, unsigned.
    ///
    /// # Errors
    /// The bus refuses.
    pub async fn store_bytes(&self, server: &ServerName, account: AccountId, bytes: &[u8]) -> Result<(), BusError> {
        self.publish(subjects::ingest(&self.keys.ingest_secret, server, account), HeaderMap::new(), bytes.to_vec()).await
    }

    async fn publish(&self, subject: String, headers: HeaderMap, payload: Vec<u8>) -> Result<(), BusError> {
        self.context
            .publish_with_headers(subject, headers, payload.into())
            .await
            .map_err(|source| BusError::refused("take a message", source))?
            .await
            .map_err(|source| BusError::refused("store a message", source))?;
        Ok(())
    }
}
