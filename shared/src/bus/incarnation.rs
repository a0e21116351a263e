//! Which panel the bus serves: of several databases that hold the same panel, such as a copy, one.
//!
//! The bus keeps one text, the incarnation, which whoever leads replaces again and again and notes in its database. A database
//! that was copied, or restored, knows an older one. Incarnations of one lineage are numbered, so that a store of the bus that was
//! put back is told from a database that was: of the one the number is lower than the database's, of the other it is higher.
//!
//! **It is replaced only by who has seen what it replaces**: of two that try at once, one does.

use std::fmt;
use std::str::FromStr;

use async_nats::HeaderMap;
use async_nats::header::NATS_EXPECTED_LAST_SUBJECT_SEQUENCE;
use async_nats::jetstream::ErrorCode;
use async_nats::jetstream::context::PublishErrorKind;
use async_nats::jetstream::stream::LastRawMessageErrorKind;
use futures::{Stream, StreamExt};

use super::panel::DispatchBus;
use super::{BusError, subjects, topology};
use crate::ids::{LineageId, MarkId};

/// A panel at a moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Incarnation {
    /// The row it stands in.
    pub lineage: LineageId,
    /// Its place there, from 1.
    pub number: u64,
    mark: MarkId,
}

/// The text is no incarnation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not an incarnation of a panel")]
pub struct InvalidIncarnation;

impl Incarnation {
    /// The first of a new lineage.
    #[must_use]
    pub fn first() -> Self {
        Self { lineage: LineageId::new(), number: 1, mark: MarkId::new() }
    }

    /// The next one of the same lineage.
    #[must_use]
    pub fn after(self) -> Self {
        Self { number: self.number.saturating_add(1), mark: MarkId::new(), ..self }
    }
}

impl fmt::Display for Incarnation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}.{}", self.lineage, self.number, self.mark)
    }
}

impl FromStr for Incarnation {
    type Err = InvalidIncarnation;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let mut parts = text.split('.');
        let mut part = || parts.next().ok_or(InvalidIncarnation);
        let lineage = part()?.parse().map_err(|_| InvalidIncarnation)?;
        let number = part()?.parse().map_err(|_| InvalidIncarnation)?;
        let mark = part()?.parse().map_err(|_| InvalidIncarnation)?;
        match parts.next() {
            None => Ok(Self { lineage, number, mark }),
            Some(_) => Err(InvalidIncarnation),
        }
    }
}

/// What the bus holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Held {
    /// The incarnation; `None` if it cannot be read.
    pub incarnation: Option<Incarnation>,
    sequence: u64,
}

/// Whether an incarnation was replaced.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Replaced {
    /// The bus holds the new one.
    Yes,
    /// Somebody else has replaced it in between.
    No,
}

impl DispatchBus {
    /// What the bus holds; `None` if it holds none, because nobody has led yet or its store was lost.
    ///
    /// # Errors
    /// The bus does not answer.
    pub async fn incarnation(&self) -> Result<Option<Held>, BusError> {
        let refused = |source: Box<dyn std::error::Error + Send + Sync>| BusError::refused("say which panel it serves", source);
        let stream = self.context.get_stream_no_info(topology::PANEL_STREAM).await.map_err(|source| refused(Box::from(source)))?;
        match stream.get_last_raw_message_by_subject(&subjects::panel(&self.keys.ingest_secret)).await {
            Ok(message) => {
                let text = std::str::from_utf8(&message.payload).ok();
                Ok(Some(Held { incarnation: text.and_then(|text| text.parse().ok()), sequence: message.sequence }))
            }
            Err(source) if is_empty(&source.kind()) => Ok(None),
            Err(source) => Err(refused(Box::from(source))),
        }
    }

    /// Replaces what the bus holds, if it still does.
    ///
    /// # Errors
    /// The bus does not confirm; then it may hold either.
    pub async fn replace_incarnation(&self, held: Option<Held>, next: Incarnation) -> Result<Replaced, BusError> {
        if held.is_none() {
            topology::ensure_panel(&self.context, &self.keys.ingest_secret, self.replicas).await?;
        }
        let mut headers = HeaderMap::new();
        let expected = held.map_or(0, |held| held.sequence);
        headers.insert(NATS_EXPECTED_LAST_SUBJECT_SEQUENCE, expected.to_string());
        let subject = subjects::panel(&self.keys.ingest_secret);
        let stored = self
            .context
            .publish_with_headers(subject, headers, next.to_string().into())
            .await
            .map_err(|source| BusError::refused("take which panel it serves", source))?
            .await;
        match stored {
            Ok(_) => Ok(Replaced::Yes),
            Err(source) if source.kind() == PublishErrorKind::WrongLastSequence => Ok(Replaced::No),
            Err(source) => Err(BusError::refused("store which panel it serves", source)),
        }
    }

    /// Tells the panel that leads that this one, which calls itself `name`, was not let lead.
    ///
    /// # Errors
    /// The client is closed.
    pub async fn tell_of_second_panel(&self, name: &str) -> Result<(), BusError> {
        let told = self.client.publish(subjects::SECOND_PANEL, name.to_owned().into()).await;
        told.map_err(|source| BusError::refused("take a message", source))
    }

    /// The names of panels that were not let lead.
    ///
    /// # Errors
    /// The client is closed.
    pub async fn second_panels(&self) -> Result<impl Stream<Item = String> + use<>, BusError> {
        let told = self.client.subscribe(subjects::SECOND_PANEL).await.map_err(|source| BusError::refused("subscribe", source))?;
        Ok(told.map(|message| String::from_utf8_lossy(&message.payload).chars().filter(|c| !c.is_control()).take(200).collect()))
    }
}

fn is_empty(kind: &LastRawMessageErrorKind) -> bool {
    match kind {
        LastRawMessageErrorKind::NoMessageFound => true,
        LastRawMessageErrorKind::JetStream(error) => {
            matches!(error.error_code(), ErrorCode::STREAM_NOT_FOUND | ErrorCode::NO_MESSAGE_FOUND)
        }
        LastRawMessageErrorKind::InvalidSubject | LastRawMessageErrorKind::Other => false,
    }
}

#[cfg(test)]
mod tests {
    use super::Incarnation;

    #[test]
    fn an_incarnation_is_read_as_it_was_written_and_nothing_else_is_one() {
        let next = Incarnation::first().after();
        assert_eq!(next.to_string().parse(), Ok(next));
        assert_eq!(next.number, 2);
        assert_ne!(next.after(), next.after(), "two that replace the same one are told apart");
        for text in ["", "x", &format!("{next}.1"), &next.lineage.to_string()] {
            assert!(text.parse::<Incarnation>().is_err(), "{text}");
        }
    }
}
