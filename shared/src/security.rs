//! What is refused as a matter of security, and told to admins.

use std::collections::HashMap;
use std::fmt;
use std::hash::Hash;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// What was refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SecurityKind {
    /// A worker was given a job that the panel did not sign.
    ForgedJob,
    /// A worker was given a job for another server.
    MisdirectedJob,
    /// A worker was given a job of another panel, such as a copy of this one.
    ForeignJob,
    /// A message in a server's name that the server did not sign.
    ForgedEvent,
    /// A server sent a message in another's name, or of another server's job.
    MisdirectedEvent,
    /// A server sent an event for another panel, such as a copy of this one.
    ForeignEvent,
    /// A message in the name of a server that does not exist or has not joined.
    UnknownServer,
    /// A server sent a message that can never be kept.
    UnusableMessage,
    /// A second connection with the identity of a server that is connected.
    SecondConnection,
    /// A connection with credentials that were revoked, or never were good.
    RefusedCredentials,
    /// Of two panels with copies of one database, one was not let lead.
    SecondPanel,
    /// A worker was given a job once more that it had been given before.
    ReplayedJob,
    /// An event of a server came once more that had come before.
    ReplayedEvent,
}

/// The text is no kind of security event.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not a kind of security event")]
pub struct UnknownSecurityKind;

impl SecurityKind {
    /// All kinds.
    pub const ALL: [Self; 13] = [
        Self::ForgedJob,
        Self::MisdirectedJob,
        Self::ForeignJob,
        Self::ForgedEvent,
        Self::MisdirectedEvent,
        Self::ForeignEvent,
        Self::UnknownServer,
        Self::UnusableMessage,
        Self::SecondConnection,
        Self::RefusedCredentials,
        Self::SecondPanel,
        Self::ReplayedJob,
        Self::ReplayedEvent,
    ];

    /// The stored and wire spelling.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::ForgedJob => "forged_job",
            Self::MisdirectedJob => "misdirected_job",
            Self::ForeignJob => "foreign_job",
            Self::ForgedEvent => "forged_event",
            Self::MisdirectedEvent => "misdirected_event",
            Self::ForeignEvent => "foreign_event",
            Self::UnknownServer => "unknown_server",
            Self::UnusableMessage => "unusable_message",
            Self::SecondConnection => "second_connection",
            Self::RefusedCredentials => "refused_credentials",
            Self::SecondPanel => "second_panel",
            Self::ReplayedJob => "replayed_job",
            Self::ReplayedEvent => "replayed_event",
        }
    }

    /// What a page says.
    #[must_use]
    pub const fn label(self) -> &'static str {
        match self {
            Self::ForgedJob => "Forged job refused",
            Self::MisdirectedJob => "Job for another server refused",
            Self::ForeignJob => "Job of another panel refused",
            Self::ForgedEvent => "Forged message dropped",
            Self::MisdirectedEvent => "Message in another's name dropped",
            Self::ForeignEvent => "Message for another panel dropped",
            Self::UnknownServer => "Message of an unknown server dropped",
            Self::UnusableMessage => "Unusable message dropped",
            Self::SecondConnection => "Second connection refused",
            Self::RefusedCredentials => "Credentials refused",
            Self::SecondPanel => "Second panel refused",
            Self::ReplayedJob => "Replayed job refused",
            Self::ReplayedEvent => "Replayed message dropped",
        }
    }

    /// What it may mean and what to do, for an admin.
    #[must_use]
    pub const fn advice(self) -> &'static str {
        match self {
            Self::ForgedJob => {
                "Somebody who can write to the bus tried to command this server. Nothing was done. Find out who has the bus's keys."
            }
            Self::MisdirectedJob => "A job reached the wrong server and was not carried out. Find out who can write to the bus.",
            Self::ForeignJob => {
                "A copy of this panel, or one that was restored elsewhere, is sending jobs. Stop it; servers serve one panel."
            }
            Self::ForgedEvent => {
                "Something speaks in this server's name with another key. Nothing was believed. Look who else can reach the bus."
            }
            Self::MisdirectedEvent => "This server speaks for another. Nothing was believed. Look at the host; it may be in foreign hands.",
            Self::ForeignEvent => "The server serves another panel, or a copy of this one. Let it join again.",
            Self::UnknownServer => "A server that was deleted, or never was, still speaks. Nothing was believed.",
            Self::UnusableMessage => {
                "This server sent something that the panel can never keep. It was dropped. Look at the host; it may be in foreign hands."
            }
            Self::SecondConnection => {
                "The host, or its keys, were copied. The first connection stays. If the copy is the one to keep, let it join again."
            }
            Self::RefusedCredentials => "A host that was deleted or replaced, or a stranger, tries to connect. Nothing was let in.",
            Self::SecondPanel => {
                "Two panels hold one database's copies; the one that the bus serves goes on. Stop the other, or let it lead: gantry bus adopt."
            }
            Self::ReplayedJob => {
                "Somebody who can write to the bus sent this server an old job again. Nothing was done. Find out who has the bus's keys."
            }
            Self::ReplayedEvent => {
                "Somebody sent an old message of this server again. It changed nothing. Find out who can write to the bus."
            }
        }
    }
}

impl fmt::Display for SecurityKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for SecurityKind {
    type Err = UnknownSecurityKind;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::ALL.into_iter().find(|kind| kind.as_str() == text).ok_or(UnknownSecurityKind)
    }
}

/// Something that was refused.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Refused {
    /// What.
    pub kind: SecurityKind,
    /// For admins: what the message or the connection was, without secrets.
    pub detail: String,
    /// How often, since it was last told.
    pub times: u32,
    /// When last, epoch milliseconds by the clock of whoever refused.
    pub at_ms: i64,
}

/// Counts what is refused, so that a flood of it is told as one line a minute.
#[derive(Debug)]
pub struct Tally<K>(HashMap<K, Counted>);

#[derive(Debug)]
struct Counted {
    told_ms: i64,
    since: u32,
}

impl<K> Default for Tally<K> {
    fn default() -> Self {
        Self(HashMap::new())
    }
}

impl<K: Eq + Hash> Tally<K> {
    /// Of one thing nothing is told again before so long.
    const PAUSE_MS: i64 = 60_000;
    /// So many things are told apart. Beyond it nothing new is counted: whoever floods with names of his own fills no memory.
    const MOST: usize = 10_000;

    /// Counts one more. If it is to be told now: how many there have been since the last time.
    pub fn count(&mut self, key: K, now_ms: i64) -> Option<u32> {
        if self.0.len() >= Self::MOST {
            self.0.retain(|_, counted| now_ms - counted.told_ms < Self::PAUSE_MS || counted.since > 0);
        }
        let is_full = self.0.len() >= Self::MOST;
        match self.0.get_mut(&key) {
            Some(counted) if now_ms - counted.told_ms < Self::PAUSE_MS => {
                counted.since = counted.since.saturating_add(1);
                None
            }
            Some(counted) => {
                let times = counted.since.saturating_add(1);
                *counted = Counted { told_ms: now_ms, since: 0 };
                Some(times)
            }
            None if is_full => None,
            None => {
                self.0.insert(key, Counted { told_ms: now_ms, since: 0 });
                Some(1)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{SecurityKind, Tally};

    #[test]
    fn a_flood_is_told_once_a_minute_with_how_many_there_were() {
        let mut tally = Tally::default();
        assert_eq!(tally.count("forged", 1_000), Some(1));
        assert_eq!(tally.count("forged", 2_000), None);
        assert_eq!(tally.count("foreign", 2_000), Some(1), "another thing is told at once");
        assert_eq!(tally.count("forged", 3_000), None);
        assert_eq!(tally.count("forged", 62_000), Some(3));
    }

    #[test]
    fn every_kind_is_spelled_the_same_on_the_wire_and_in_the_database_and_says_what_to_do() {
        for kind in SecurityKind::ALL {
            assert_eq!(serde_json::to_string(&kind).unwrap(), format!("\"{kind}\""));
            assert_eq!(kind.as_str().parse(), Ok(kind));
            assert!(kind.advice().ends_with('.') && kind.advice().len() < 200, "{kind}");
        }
    }
}
