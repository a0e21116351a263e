//! The bus as the panel sees it: [`DispatchBus`] holds the keys and commands; [`ServeBus`] may wake it and listen.

use std::time::Duration;

use async_nats::jetstream::consumer::pull;
use async_nats::jetstream::context::PublishErrorKind;
use async_nats::jetstream::{self, Context};
use async_nats::{Client, HeaderMap, Subscriber};
use futures::{Stream, StreamExt};
use nkeys::KeyPair;
use serde::{Deserialize, Serialize};

use super::BusError;
use super::authority::BusAddress;
use super::client::{Connection, REQUEST_TIMEOUT, connect};
use super::credentials::{BusKeys, Credentials, PanelUser, WorkerAccount};
use super::event_message::EventMessage;
use super::jwt::Claims;
use super::sending::Sendings;
use super::signing::{Purpose, SIGNATURE_HEADER, open, sign};
use super::topology::Replicas;
use super::{subjects, topology};
use crate::events::{Heartbeat, Progress};
use crate::ids::{AccountId, OperationId, ServerId, UserId};
use crate::jobs::{JobEnvelope, ResourceKey};
use crate::names::ServerName;

/// "This has changed": ids only. Whoever shows it reads it again, with the viewer's rights.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Hint {
    /// The resource, if one changed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub resource: Option<ResourceKey>,
    /// The account it belongs to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub account: Option<AccountId>,
    /// The operation, if one moved.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub operation: Option<OperationId>,
    /// The server, if its presence or health changed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub server: Option<ServerId>,
    /// The server went offline, or is back: what waits for it is shown on many pages.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub presence: bool,
    /// The person whose sessions or rights changed: their streams check again at once.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub user: Option<UserId>,
    /// A line was added to the audit log.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub audit: bool,
    /// Something was refused as a matter of security, or was looked at.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub security: bool,
}

/// Dispatch's connection.
pub struct DispatchBus {
    pub(super) client: Client,
    pub(super) system: Client,
    pub(super) context: Context,
    pub(super) signer: KeyPair,
    sendings: Sendings,
    pub(super) keys: BusKeys,
    pub(super) replicas: Replicas,
}

impl DispatchBus {
    /// Connects, and makes the streams, each kept by so many nodes.
    ///
    /// # Errors
    /// The first attempt fails, the server is too old, or the streams cannot be made.
    pub async fn connect(bus: &BusAddress, keys: &BusKeys, replicas: Replicas, now_s: i64) -> Result<Self, BusError> {
        let connected = Self::reach(bus, keys, replicas, now_s).await?;
        connected.ensure_streams().await?;
        Ok(connected)
    }

    /// Connects, and changes nothing.
    ///
    /// # Errors
    /// The first attempt fails, or the server is too old.
    pub async fn reach(bus: &BusAddress, keys: &BusKeys, replicas: Replicas, now_s: i64) -> Result<Self, BusError> {
        let credentials = keys.panel_credentials(PanelUser::Dispatch, now_s)?;
        let client = connect(&Connection { bus, name: "dispatch", credentials: &credentials }).await?;
        let system = keys.system_credentials(now_s)?;
        let system = connect(&Connection { bus, name: "dispatch-system", credentials: &system }).await?;
        let context = jetstream::ContextBuilder::new().timeout(REQUEST_TIMEOUT).build(client.clone());
        Ok(Self { client, system, context, signer: keys.job_signer()?, sendings: Sendings::new(), keys: keys.clone(), replicas })
    }

    /// The public half of the key that signs jobs; workers pin it when they join.
    #[must_use]
    pub fn signer_public_key(&self) -> String {
        self.signer.public_key()
    }

    /// Makes a server's consumer of jobs and its account, or brings them up to date: then a worker of that name can connect.
    /// Keys that are newly revoked are cut off. Safe to repeat.
    ///
    /// # Errors
    /// The bus refuses.
    pub async fn ensure_server(&self, worker: &WorkerAccount<'_>, now_s: i64) -> Result<(), BusError> {
        topology::ensure_server(&self.context, worker.stream, worker.server).await?;
        self.ensure_account(worker.server, now_s, |now_s| self.keys.worker_account_jwt(worker, now_s)).await
    }

    /// Ends what a server that was deleted has: its consumer, what waited for it, and its account. Nobody gets in with any key
    /// it ever had, and who is in is cut off. Safe to repeat.
    ///
    /// # Errors
    /// The bus refuses.
    pub async fn end_server(&self, worker: &WorkerAccount<'_>, now_s: i64) -> Result<(), BusError> {
        self.ensure_account(worker.server, now_s, |now_s| self.keys.ended_account_jwt(worker, now_s)).await?;
        topology::end_server(&self.context, worker.stream, worker.server).await
    }

    /// The bus has this account as the JWT says.
    async fn ensure_account(
        &self,
        server: &ServerName,
        now_s: i64,
        jwt: impl Fn(i64) -> Result<String, BusError> + Send,
    ) -> Result<(), BusError> {
        let stored = self.stored_account(&self.keys.worker_account(server)?).await?;
        // The bus keeps the newer of two, by their seconds.
        let now_s = stored.as_ref().map_or(now_s, |stored| now_s.max(stored.issued_s + 1));
        let jwt = jwt(now_s)?;
        if stored.is_some_and(|stored| Claims::of(&jwt).is_some_and(|wanted| wanted.nats == stored.nats)) {
            return Ok(());
        }
        self.push_account(jwt).await
    }

    /// Makes the streams again, after the bus has lost its store. Safe to repeat.
    ///
    /// # Errors
    /// The bus refuses.
    pub async fn ensure_streams(&self) -> Result<(), BusError> {
        topology::ensure_panel(&self.context, &self.keys.ingest_secret, self.replicas).await?;
        topology::ensure(&self.context, &self.keys.ingest_secret, self.replicas).await
    }

    /// Signs and publishes a job. Returns once the bus has stored it. A repeat of the same job, attempt and sending is
    /// stored once; `repeat` tells a repeat after a lost confirmation (the same) from a new sending on purpose.
    ///
    /// # Errors
    /// The bus does not confirm: the job stays in the queue. If [`BusError::is_of_the_message`], it never will.
    pub async fn publish_job(&self, envelope: &JobEnvelope, repeat: i64) -> Result<(), BusError> {
        let signed = sign(Purpose::Job, &self.signer, &self.sendings.next(envelope))?;
        let mut headers = HeaderMap::new();
        headers.insert(SIGNATURE_HEADER, signed.signature.as_str());
        headers.insert(async_nats::header::NATS_MESSAGE_ID, format!("{}.{}.{repeat}", envelope.id, envelope.attempt).as_str());
        self.context
            .publish_with_headers(
                subjects::ingest(&self.keys.ingest_secret, &envelope.server, envelope.account),
                headers,
                signed.payload.into(),
            )
            .await
            .map_err(|source| match source.kind() {
                PublishErrorKind::MaxPayloadExceeded => BusError::TooLarge { what: "job", source: source.into() },
                _ => BusError::refused("take a job", source),
            })?
            .await
            .map_err(|source| BusError::refused("store a job", source))?;
        Ok(())
    }

    /// The workers' events, in chunks of what is there. Ends or fails when the bus does.
    ///
    /// # Errors
    /// The bus does not answer.
    pub async fn events(&self) -> Result<impl Stream<Item = Vec<Result<EventMessage, BusError>>> + use<>, BusError> {
        let consumer: jetstream::consumer::Consumer<pull::Config> = self
            .context
            .get_consumer_from_stream(topology::EVENT_CONSUMER, topology::EVENT_STREAM)
            .await
            .map_err(|source| BusError::refused("find the consumer of events", source))?;
        let messages = consumer
            .stream()
            .max_messages_per_batch(256)
            .expires(Duration::from_secs(30))
            .heartbeat(Duration::from_secs(10))
            .messages()
            .await
            .map_err(|source| BusError::refused("deliver events", source))?;
        Ok(messages
            .map(|next| next.map(EventMessage::new).map_err(|source| BusError::refused("deliver an event", source)))
            .ready_chunks(64))
    }

    /// All workers' progress.
    ///
    /// # Errors
    /// The client is closed.
    pub async fn progress(&self) -> Result<Signals, BusError> {
        self.subscribe(subjects::ALL_PROGRESS).await
    }

    /// All workers' heartbeats.
    ///
    /// # Errors
    /// The client is closed.
    pub async fn heartbeats(&self) -> Result<Signals, BusError> {
        self.subscribe(subjects::ALL_HEARTBEATS).await
    }

    /// "There is something in the queue."
    ///
    /// # Errors
    /// The client is closed.
    pub async fn wakes(&self) -> Result<Signals, BusError> {
        self.subscribe(subjects::WAKE).await
    }

    async fn subscribe(&self, subject: &'static str) -> Result<Signals, BusError> {
        let subscriber = self.client.subscribe(subject).await.map_err(|source| BusError::refused("subscribe", source))?;
        Ok(Signals { subscriber })
    }

    async fn push_account(&self, jwt: String) -> Result<(), BusError> {
        let reply = self.ask_system("$SYS.REQ.CLAIMS.UPDATE", jwt).await?;
        let reply: serde_json::Value =
            serde_json::from_slice(&reply.payload).map_err(|source| BusError::Undecodable { what: "answer", source })?;
        match reply.get("error") {
            None => Ok(()),
            Some(error) => Err(BusError::refused("take an account", std::io::Error::other(error.to_string()))),
        }
    }

    async fn stored_account(&self, account: &str) -> Result<Option<Claims>, BusError> {
        let jwt = self.ask_system(&format!("$SYS.REQ.ACCOUNT.{account}.CLAIMS.LOOKUP"), String::new()).await?;
        Ok(std::str::from_utf8(&jwt.payload).ok().and_then(Claims::of))
    }

    pub(super) async fn ask_system(&self, subject: &str, payload: String) -> Result<async_nats::Message, BusError> {
        let reply = self.system.request(subject.to_owned(), payload.into()).await;
        reply.map_err(|source| BusError::refused("answer about accounts", source))
    }

    /// Tells every panel process that something has changed.
    ///
    /// # Errors
    /// The client is closed.
    pub async fn hint(&self, hint: &Hint) -> Result<(), BusError> {
        publish_hint(&self.client, hint).await
    }

    /// Sends what is buffered, and closes.
    pub async fn close(&self) {
        let _ = self.client.drain().await;
        let _ = self.system.drain().await;
    }
}

async fn publish_hint(client: &Client, hint: &Hint) -> Result<(), BusError> {
    let payload = serde_json::to_vec(hint).map_err(|source| BusError::Undecodable { what: "hint", source })?;
    client.publish(subjects::HINT, payload.into()).await.map_err(|source| BusError::refused("take a hint", source))
}

pub(super) fn header(headers: Option<&HeaderMap>) -> Option<&str> {
    headers.and_then(|headers| headers.get(SIGNATURE_HEADER)).map(|value| value.as_str())
}

/// Messages that may be lost.
pub struct Signals {
    subscriber: Subscriber,
}

/// One of them.
pub struct Signal {
    message: async_nats::Message,
}

impl Signals {
    /// The next one; `None` when the client is closed.
    pub async fn next(&mut self) -> Option<Signal> {
        self.subscriber.next().await.map(|message| Signal { message })
    }
}

impl Signal {
    /// The server that sent it, by its subject.
    #[must_use]
    pub fn sender(&self) -> Option<ServerName> {
        subjects::sender(&self.message.subject)
    }

    /// It as progress, if the signature is that of the sender's key.
    ///
    /// # Errors
    /// The signature is wrong or it does not decode.
    pub fn open_progress(&self, sender_key: &str) -> Result<Progress, BusError> {
        open(Purpose::Progress, sender_key, &self.message.payload, header(self.message.headers.as_ref()))
    }

    /// It as a heartbeat, if the signature is that of the sender's key.
    ///
    /// # Errors
    /// The signature is wrong or it does not decode.
    pub fn open_heartbeat(&self, sender_key: &str) -> Result<Heartbeat, BusError> {
        open(Purpose::Heartbeat, sender_key, &self.message.payload, header(self.message.headers.as_ref()))
    }
}

/// The connection of a process that serves pages.
#[derive(Clone)]
pub struct ServeBus {
    pub(super) client: Client,
}

impl ServeBus {
    /// Connects.
    ///
    /// # Errors
    /// The first attempt fails, or the server is too old.
    pub async fn connect(bus: &BusAddress, credentials: &Credentials) -> Result<Self, BusError> {
        Ok(Self { client: connect(&Connection { bus, name: "serve", credentials }).await? })
    }

    /// Tells dispatch that there is something in the queue.
    ///
    /// # Errors
    /// The client is closed.
    pub async fn wake(&self) -> Result<(), BusError> {
        self.client.publish(subjects::WAKE, "".into()).await.map_err(|source| BusError::refused("take a message", source))
    }

    /// Tells every panel process that something has changed.
    ///
    /// # Errors
    /// The client is closed.
    pub async fn hint(&self, hint: &Hint) -> Result<(), BusError> {
        publish_hint(&self.client, hint).await
    }

    /// Hints of all panel processes. A hint that does not decode is one of another release, and skipped.
    ///
    /// # Errors
    /// The client is closed.
    pub async fn hints(&self) -> Result<impl Stream<Item = Hint> + use<>, BusError> {
        let subscriber = self.client.subscribe(subjects::HINT).await.map_err(|source| BusError::refused("subscribe", source))?;
        Ok(subscriber.filter_map(|message| async move { serde_json::from_slice(&message.payload).ok() }))
    }

    /// Whether the connection stands.
    #[must_use]
    pub fn is_connected(&self) -> bool {
        matches!(self.client.connection_state(), async_nats::connection::State::Connected)
    }
}
