//! How a message that was sent again is told from one that somebody stores again.
//!
//! A job and an event may rightly be sent more than once: whoever sent it did not hear that it was stored, or nothing was heard of
//! it. So the message's own id says nothing. What is signed with each message is its [`Sending`]: which one of one connection's it is.
//! **Every sending is signed anew, with a number that the connection has not used**, and handed to the bus once. A repeat within the
//! bus's window of de-duplication is not stored; one that is stored has another sending.
//!
//! What the reader is given more than once is therefore either delivered again by the bus, and then it is the same message of the
//! stream, or somebody has stored it again: **the same sending at another place of the stream is a replay.** The place is the moment
//! at which the bus stored it, to the nanosecond; it stays the same over restarts of the bus and in a store that was put back, and
//! a stream that was made anew does not begin again with it, as it does with its numbers.
//!
//! The reader remembers sendings and their places for longer than the stream keeps a message. Of those it forgets it remembers the
//! highest number of each connection: what is not above it and comes as new can be a replay only. That memory does not end.
//!
//! What this cannot tell: a message that was taken off the stream before anybody read it and is stored again later, which is a delay;
//! messages of a release before this, which carry no sending; and what a reader was told before it lost its database.

use std::sync::atomic::{AtomicU32, Ordering};

use async_nats::jetstream::Message;
use serde::{Deserialize, Serialize};

use crate::ids::ConnectionId;

/// Which of all messages of one connection a message is. Signed with it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sending {
    /// The connection.
    pub connection: ConnectionId,
    /// From 1, in no particular order.
    pub number: u32,
}

/// A message that a stream has delivered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Arrival {
    /// Which one it is.
    pub sending: Sending,
    /// When the bus stored it, epoch nanoseconds by its clock.
    pub stored_ns: i64,
}

/// What a reader's memory says of an arrival.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Seen {
    /// It comes for the first time.
    First,
    /// The bus delivers it again.
    Again,
    /// Somebody has stored it again.
    Replayed,
}

/// The sendings of a connection.
#[derive(Debug)]
pub(super) struct Sendings {
    connection: ConnectionId,
    last: AtomicU32,
}

/// A message with its sending, as it is signed.
#[derive(Serialize)]
pub(super) struct Sent<'a, T> {
    #[serde(flatten)]
    message: &'a T,
    sending: Sending,
}

impl Sendings {
    pub(super) fn new() -> Self {
        Self { connection: ConnectionId::new(), last: AtomicU32::new(0) }
    }

    /// A message to be signed and sent once.
    pub(super) fn next<'a, T>(&self, message: &'a T) -> Sent<'a, T> {
        let number = self.last.fetch_add(1, Ordering::Relaxed).wrapping_add(1);
        Sent { message, sending: Sending { connection: self.connection, number } }
    }
}

/// Which sending a delivered message is. Its signature has been checked.
pub(super) fn arrival(message: &Message) -> Option<Arrival> {
    #[derive(Deserialize)]
    struct Read {
        sending: Option<Sending>,
    }
    let sending = serde_json::from_slice::<Read>(&message.payload).ok()?.sending?;
    let stored_ns = i64::try_from(message.info().ok()?.published.unix_timestamp_nanos()).ok()?;
    Some(Arrival { sending, stored_ns })
}
