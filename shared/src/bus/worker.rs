//! The bus as a worker sees it: its own jobs in, its own events out, nothing else.

use std::time::Duration;

use async_nats::jetstream::consumer::pull;
use async_nats::jetstream::{self, AckKind, Context, Message};
use async_nats::{Client, HeaderMap};
use futures::{Stream, StreamExt};
use nkeys::KeyPair;

use super::BusError;
use super::authority::BusAddress;
use super::client::{Connection, REQUEST_TIMEOUT, connect};
use super::credentials::{Credentials, user_key};
use super::sending::{Arrival, Sendings, arrival};
use super::signing::{Purpose, SIGNATURE_HEADER, Signed, open, sign};
use super::subjects;
use crate::events::{Heartbeat, Progress};
use crate::jobs::{JobEnvelope, JobHeader};
use crate::names::ServerName;

/// A worker's connection.
pub struct WorkerBus {
    pub(super) client: Client,
    context: Context,
    pub(super) server: ServerName,
    pub(super) key: KeyPair,
    sendings: Sendings,
}

/// A job as it was delivered. It must be acknowledged once it is durably kept; dropped, it comes again.
pub struct Command {
    message: Message,
}

impl WorkerBus {
    /// Connects with the worker's own credentials.
    ///
    /// # Errors
    /// The first attempt fails, the server is too old, or the seed is damaged.
    pub async fn connect(bus: &BusAddress, server: &ServerName, credentials: &Credentials) -> Result<Self, BusError> {
        let key = user_key(&credentials.seed)?;
        let client = connect(&Connection { bus, name: server.as_str(), credentials }).await?;
        let context = jetstream::ContextBuilder::new().timeout(REQUEST_TIMEOUT).api_prefix(subjects::WORKER_API).build(client.clone());
        Ok(Self { client, context, server: server.clone(), key, sendings: Sendings::new() })
    }

    /// Jobs as they arrive, in chunks of what is there: one job alone does not wait for company.
    ///
    /// The stream ends or fails when the bus does; the caller asks for a new one.
    ///
    /// # Errors
    /// The bus does not know this server's consumer, or does not answer.
    pub async fn commands(&self, stream: &str) -> Result<impl Stream<Item = Vec<Result<Command, BusError>>> + use<>, BusError> {
        let messages = self
            .consumer(stream)
            .await?
            .stream()
            .max_messages_per_batch(128)
            .expires(Duration::from_secs(30))
            .heartbeat(Duration::from_secs(10))
            .messages()
            .await
            .map_err(|source| BusError::refused("deliver jobs", source))?;
        Ok(messages
            .map(|next| next.map(|message| Command { message }).map_err(|source| BusError::refused("deliver a job", source)))
            .ready_chunks(64))
    }

    /// Whether jobs could be taken: the bus knows this server's consumer.
    ///
    /// # Errors
    /// It does not, or does not answer.
    pub async fn find_consumer(&self, stream: &str) -> Result<(), BusError> {
        self.consumer(stream).await.map(drop)
    }

    async fn consumer(&self, stream: &str) -> Result<jetstream::consumer::Consumer<pull::Config>, BusError> {
        let found = self.context.get_consumer_from_stream(self.server.as_str(), stream).await;
        found.map_err(|source| BusError::refused("find this server's consumer", source))
    }

    /// Signs a durable event, as its JSON was stored, for this one sending, and publishes it. Returns once the bus has stored it.
    /// A repeat within an hour is stored once.
    ///
    /// # Errors
    /// It is no JSON object, or the bus does not confirm.
    pub async fn send_event(&self, id: &str, payload: &[u8]) -> Result<(), BusError> {
        let event: serde_json::Map<String, serde_json::Value> =
            serde_json::from_slice(payload).map_err(|source| BusError::Undecodable { what: "event", source })?;
        self.publish_event(id, &sign(Purpose::Event, &self.key, &self.sendings.next(&event))?).await
    }

    /// Publishes a durable event as it was signed.
    ///
    /// # Errors
    /// The bus does not confirm.
    pub async fn publish_event(&self, id: &str, signed: &Signed) -> Result<(), BusError> {
        let mut headers = signature_header(signed);
        headers.insert(async_nats::header::NATS_MESSAGE_ID, id);
        self.context
            .publish_with_headers(subjects::event(&self.server), headers, signed.payload.clone().into())
            .await
            .map_err(|source| BusError::refused("take an event", source))?
            .await
            .map_err(|source| BusError::refused("store an event", source))?;
        Ok(())
    }

    /// Publishes progress. It may be lost; the next one holds all of it again.
    ///
    /// # Errors
    /// The key is damaged, or the client is closed.
    pub async fn publish_progress(&self, progress: &Progress) -> Result<(), BusError> {
        let signed = sign(Purpose::Progress, &self.key, progress)?;
        self.publish(subjects::progress(&self.server, progress.job), signed).await
    }

    /// Publishes a heartbeat.
    ///
    /// # Errors
    /// The key is damaged, or the client is closed.
    pub async fn publish_heartbeat(&self, heartbeat: &Heartbeat) -> Result<(), BusError> {
        let signed = sign(Purpose::Heartbeat, &self.key, heartbeat)?;
        self.publish(subjects::heartbeat(&self.server), signed).await
    }

    pub(super) async fn publish(&self, subject: String, signed: Signed) -> Result<(), BusError> {
        let headers = signature_header(&signed);
        self.client
            .publish_with_headers(subject, headers, signed.payload.into())
            .await
            .map_err(|source| BusError::refused("take a message", source))
    }

    /// Whether the connection stands.
    #[must_use]
    pub fn is_connected(&self) -> bool {
        matches!(self.client.connection_state(), async_nats::connection::State::Connected)
    }

    /// Sends what is buffered, and closes.
    pub async fn close(&self) {
        let _ = self.client.drain().await;
    }
}

pub(super) fn signature_header(signed: &Signed) -> HeaderMap {
    let mut headers = HeaderMap::new();
    headers.insert(SIGNATURE_HEADER, signed.signature.as_str());
    headers
}

impl Command {
    /// The job, if the signature is the panel's. Neither server nor epoch is checked here.
    ///
    /// # Errors
    /// The signature is wrong or the job does not decode.
    pub fn open(&self, panel_key: &str) -> Result<JobEnvelope, BusError> {
        open(Purpose::Job, panel_key, &self.message.payload, self.signature())
    }

    /// What can be read of a job of a later version, if the signature is the panel's.
    ///
    /// # Errors
    /// As [`Self::open`].
    pub fn open_header(&self, panel_key: &str) -> Result<JobHeader, BusError> {
        open(Purpose::Job, panel_key, &self.message.payload, self.signature())
    }

    /// Which sending it is, once it has been opened; `None` of a panel of a release before there were any.
    #[must_use]
    pub fn arrival(&self) -> Option<Arrival> {
        arrival(&self.message)
    }

    fn signature(&self) -> Option<&str> {
        self.message.headers.as_ref().and_then(|headers| headers.get(SIGNATURE_HEADER)).map(|value| value.as_str())
    }

    /// Says that the job is durably kept, and waits for the bus to confirm.
    ///
    /// # Errors
    /// The bus does not confirm; the job will come again, which does no harm.
    pub async fn acknowledge(&self) -> Result<(), BusError> {
        self.message.double_ack().await.map_err(|source| BusError::refused("confirm an acknowledgement", source))
    }

    /// Says that this message must never come again, because it is no job for this worker.
    ///
    /// # Errors
    /// The bus cannot be reached.
    pub async fn refuse(&self) -> Result<(), BusError> {
        self.message.ack_with(AckKind::Term).await.map_err(|source| BusError::refused("drop a message", source))
    }
}
