//! Subjects. Spelled here and nowhere else.
//!
//! | subject | from | to | kept |
//! |---|---|---|---|
//! | `in.<secret>.<server>.<account>` | dispatch | stored as `cmd.<server>.<account>` | `CMD_<k>` |
//! | `panel.<secret>` | dispatch | whoever leads | `PANEL`, the last |
//! | `own.second` | dispatch that may not lead | dispatch that leads | no |
//! | `evt.<server>.<kind>` | worker | dispatch | `EVT` |
//! | `prog.<server>.<job>` | worker | dispatch | no |
//! | `hb.<server>` | worker | dispatch | no |
//! | `req.<server>.question` | dispatch | worker | no |
//! | `ans.<server>.<question>` | worker | dispatch | no |
//! | `ui.ask` | serve | dispatch, answered | no |
//! | `ui.wake` | serve | dispatch | no |
//! | `ui.hint` | dispatch and serve | serve | no |
//!
//! The subjects with the secret are unguessable: a client that makes the server publish for it (by choosing a reply subject)
//! cannot reach the streams of jobs and of the panel.

use crate::ids::{AccountId, JobId, QuestionId};
use crate::names::ServerName;

/// What workers write instead of `$JS.API`, which reaches the panel's streams from the panel's account only.
pub const WORKER_API: &str = "js";
/// "There is something in the queue."
pub const WAKE: &str = "ui.wake";
/// "This resource has changed."
pub const HINT: &str = "ui.hint";
/// "Ask a worker this." Answered.
pub const ASK: &str = "ui.ask";
/// "I hold a copy of this panel, and may not lead."
pub const SECOND_PANEL: &str = "own.second";
/// Where processes that serve pages hear answers.
pub const SERVE_INBOX: &str = "_INBOX.serve.";
/// All events of all workers.
pub const ALL_EVENTS: &str = "evt.>";
/// All progress of all workers.
pub const ALL_PROGRESS: &str = "prog.>";
/// All heartbeats.
pub const ALL_HEARTBEATS: &str = "hb.*";

/// What a stream listens on, for one secret.
#[must_use]
pub fn ingest_filter(secret: &str) -> String {
    format!("in.{secret}.>")
}

/// Which panel the bus serves, for one secret.
#[must_use]
pub fn panel(secret: &str) -> String {
    format!("panel.{secret}")
}

/// Where dispatch publishes a job.
#[must_use]
pub fn ingest(secret: &str, server: &ServerName, account: AccountId) -> String {
    format!("in.{secret}.{server}.{}", token(account))
}

/// What a stored message was published as: a job on its ingest subject, everything else under its own name.
#[cfg(feature = "testing")]
pub(super) fn published_as(secret: &str, stored: &str) -> String {
    stored.strip_prefix("cmd.").map_or_else(|| stored.to_owned(), |rest| format!("in.{secret}.{rest}"))
}

/// What the stream stores an ingested job as.
pub const COMMAND_TRANSFORM: &str = "cmd.>";

/// All jobs of one server.
#[must_use]
pub fn commands_of(server: &ServerName) -> String {
    format!("cmd.{server}.>")
}

/// Where a worker publishes an outcome.
#[must_use]
pub fn event(server: &ServerName) -> String {
    format!("evt.{server}.event")
}

/// Where a worker publishes the progress of a job.
#[must_use]
pub fn progress(server: &ServerName, job: JobId) -> String {
    format!("prog.{server}.{job}")
}

/// Where a worker says that it is there.
#[must_use]
pub fn heartbeat(server: &ServerName) -> String {
    format!("hb.{server}")
}

/// Where a worker hears questions.
#[must_use]
pub fn questions_of(server: &ServerName) -> String {
    format!("req.{server}.question")
}

/// Where a worker answers a question.
#[must_use]
pub fn answer(server: &ServerName, question: QuestionId) -> String {
    format!("ans.{server}.{question}")
}

/// The server a worker's message came from, by its subject. The bus lets each worker publish under its own name only.
#[must_use]
pub fn sender(subject: &str) -> Option<ServerName> {
    let mut tokens = subject.split('.');
    match tokens.next()? {
        "evt" | "prog" | "hb" => tokens.next()?.parse().ok(),
        _ => None,
    }
}

/// An id as one subject token (hyphens are allowed in tokens).
fn token(account: AccountId) -> String {
    account.to_string()
}

#[cfg(test)]
mod tests {
    use super::{event, heartbeat, ingest, progress, sender};
    use crate::ids::{AccountId, JobId};

    #[test]
    fn the_sender_is_read_from_a_workers_subject_only() {
        let web1 = "web1".parse().unwrap();
        assert_eq!(sender(&event(&web1)), Some(web1.clone()));
        assert_eq!(sender(&progress(&web1, JobId::new())), Some(web1.clone()));
        assert_eq!(sender(&heartbeat(&web1)), Some(web1.clone()));
        assert_eq!(sender(&ingest("s", &web1, AccountId::new())), None);
        assert_eq!(sender("evt"), None);
        assert_eq!(sender("evt.Bad Name.x"), None);
    }
}
