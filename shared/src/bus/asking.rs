//! Questions to workers and their answers. Core NATS: nothing is kept, and silence is an answer too.

use std::time::Duration;

use async_nats::client::Request;
use async_nats::{Client, Message, Subscriber};
use futures::StreamExt;
use serde::Serialize;
use tokio::time::timeout;

use super::BusError;
use super::panel::{DispatchBus, ServeBus, header};
use super::signing::{Purpose, open, sign};
use super::subjects;
use super::worker::{WorkerBus, signature_header};
use crate::live_read::{Answer, Ask, Question, Says, Told};

/// A worker may be at work for about a second before it looks at a question.
const ANSWER_PATIENCE: Duration = Duration::from_secs(5);
/// So long a process that serves pages waits. Dispatch answers in any case: with the worker's answer or without.
pub const ASK_PATIENCE: Duration = Duration::from_secs(7);

fn encoded<T: Serialize>(what: &'static str, message: &T) -> Result<Vec<u8>, BusError> {
    serde_json::to_vec(message).map_err(|source| BusError::Undecodable { what, source })
}

impl ServeBus {
    /// Has dispatch ask a worker.
    ///
    /// # Errors
    /// Dispatch is not there, or what it says does not decode.
    pub async fn ask(&self, ask: &Ask) -> Result<Told, BusError> {
        let request = Request::new().payload(encoded("question", ask)?.into()).timeout(Some(ASK_PATIENCE));
        let reply = self.client.send_request(subjects::ASK, request).await;
        let reply = reply.map_err(|source| BusError::refused("answer a question", source))?;
        serde_json::from_slice(&reply.payload).map_err(|source| BusError::Undecodable { what: "answer", source })
    }
}

/// What serving processes want to know.
pub struct Asks {
    client: Client,
    subscriber: Subscriber,
}

/// One of them, to be told something.
pub struct AskMessage {
    client: Client,
    message: Message,
}

impl Asks {
    /// The next one; `None` when the client is closed.
    pub async fn next(&mut self) -> Option<AskMessage> {
        let message = self.subscriber.next().await?;
        Some(AskMessage { client: self.client.clone(), message })
    }
}

impl AskMessage {
    /// What is wanted.
    ///
    /// # Errors
    /// It does not decode.
    pub fn open(&self) -> Result<Ask, BusError> {
        serde_json::from_slice(&self.message.payload).map_err(|source| BusError::Undecodable { what: "question", source })
    }

    /// Tells whoever asked. **Only a process that serves pages is told**: dispatch may publish anywhere, and must not do so in the
    /// name of one that may not.
    ///
    /// # Errors
    /// The client is closed.
    pub async fn tell(&self, told: &Told) -> Result<(), BusError> {
        let Some(reply) = self.message.reply.clone() else { return Ok(()) };
        if !reply.as_str().starts_with(subjects::SERVE_INBOX) {
            tracing::error!(bus.subject = %reply, "SECURITY: an answer was to go where none is heard, and was dropped");
            return Ok(());
        }
        let payload = encoded("answer", told)?;
        self.client.publish(reply, payload.into()).await.map_err(|source| BusError::refused("take an answer", source))
    }
}

impl DispatchBus {
    /// What serving processes want to know.
    ///
    /// # Errors
    /// The client is closed.
    pub async fn asks(&self) -> Result<Asks, BusError> {
        let subscriber = self.client.subscribe(subjects::ASK).await.map_err(|source| BusError::refused("subscribe", source))?;
        Ok(Asks { client: self.client.clone(), subscriber })
    }

    /// Asks a worker, and waits a little for its answer. `None`: it did not answer.
    ///
    /// # Errors
    /// The client is closed, or the question does not encode.
    pub async fn ask(&self, question: &Question, worker_key: &str) -> Result<Option<Says>, BusError> {
        // Heard before it is asked: the answer may be quick.
        let heard = self.client.subscribe(subjects::answer(&question.server, question.id)).await;
        let mut heard = heard.map_err(|source| BusError::refused("subscribe", source))?;
        let signed = sign(Purpose::Question, &self.signer, question)?;
        let headers = signature_header(&signed);
        self.client
            .publish_with_headers(subjects::questions_of(&question.server), headers, signed.payload.into())
            .await
            .map_err(|source| BusError::refused("take a question", source))?;
        let answer = async {
            while let Some(message) = heard.next().await {
                match open::<Answer>(Purpose::Answer, worker_key, &message.payload, header(message.headers.as_ref())) {
                    Ok(answer) if answer.question == question.id && answer.server == question.server => return Some(answer.says),
                    Ok(_) | Err(_) => tracing::error!(server.name = %question.server, "an answer that its server did not sign was dropped"),
                }
            }
            None
        };
        Ok(timeout(ANSWER_PATIENCE, answer).await.unwrap_or(None))
    }
}

/// Questions to this worker.
pub struct Questions {
    subscriber: Subscriber,
}

/// A question as it came.
pub struct QuestionMessage {
    message: Message,
}

impl Questions {
    /// The next one; `None` when the client is closed.
    pub async fn next(&mut self) -> Option<QuestionMessage> {
        self.subscriber.next().await.map(|message| QuestionMessage { message })
    }
}

impl QuestionMessage {
    /// The question, if the signature is the panel's. Neither server nor epoch is checked here.
    ///
    /// # Errors
    /// The signature is wrong or the question does not decode.
    pub fn open(&self, panel_key: &str) -> Result<Question, BusError> {
        open(Purpose::Question, panel_key, &self.message.payload, header(self.message.headers.as_ref()))
    }
}

impl WorkerBus {
    /// Questions to this worker.
    ///
    /// # Errors
    /// The client is closed.
    pub async fn questions(&self) -> Result<Questions, BusError> {
        let subscriber = self.client.subscribe(subjects::questions_of(&self.server)).await;
        Ok(Questions { subscriber: subscriber.map_err(|source| BusError::refused("subscribe", source))? })
    }

    /// Answers one. It may be lost; whoever asked does not wait long.
    ///
    /// # Errors
    /// The key is damaged, or the client is closed.
    pub async fn answer(&self, answer: &Answer) -> Result<(), BusError> {
        let signed = sign(Purpose::Answer, &self.key, answer)?;
        self.publish(subjects::answer(&self.server, answer.question), signed).await
    }
}
