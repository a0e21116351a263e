//! From the bus into the inbox.
//!
//! **Nothing is kept that the panel did not sign for this server and this installation, nor what somebody has stored again** (see
//! `shared::bus::sending`); what is refused is logged and told as a matter of security.

use std::time::Duration;

use futures::StreamExt;
use futures::future::join_all;
use shared::bus::BusError;
use shared::bus::sending::Seen;
use shared::bus::worker::{Command, WorkerBus};
use shared::events::{Event, Outdated};
use shared::jobs::{ENVELOPE_VERSION, JobEnvelope, JobHeader};
use shared::security::SecurityKind;

use crate::engine::error::chain;
use crate::inbox::{Received, inbox_receive};
use crate::outbox::outbox_insert;
use crate::refused::{not_ours, refused};
use crate::run::Worker;
use crate::sendings::sending_take;
use crate::store::{StoreError, now_ms};

/// The end of an update is looked for this often.
const UPDATE_PAUSE: Duration = Duration::from_secs(1);

/// Takes jobs from the bus into the inbox, for ever. A worker that an update has started takes none until that is over.
pub(crate) async fn receive(worker: &Worker, bus: &WorkerBus) {
    while worker.updates.are_under_way() {
        if let Err(error) = worker.updates.revive(worker.engine.system()).await {
            tracing::error!(error = chain(&error), "it is not known whether the updater runs");
        }
        tokio::time::sleep(UPDATE_PAUSE).await;
    }
    loop {
        match bus.commands(&worker.identity.stream).await {
            Ok(commands) => {
                let mut commands = Box::pin(commands);
                while let Some(chunk) = commands.next().await {
                    let (mut broken, mut kept) = (false, Vec::new());
                    for command in chunk {
                        match command {
                            Ok(command) => match take(worker, &command).await {
                                Taken::Kept => kept.push(command),
                                Taken::Not => {}
                            },
                            Err(error) => {
                                tracing::debug!(error = %error, "the stream of jobs was interrupted");
                                broken = true;
                            }
                        }
                    }
                    acknowledge(&kept).await;
                    if broken {
                        break;
                    }
                }
            }
            Err(error) => tracing::debug!(error = %error, "jobs cannot be fetched yet"),
        }
        tokio::time::sleep(Duration::from_millis(500)).await;
    }
}

/// What became of a message.
enum Taken {
    /// It is done with, and to be acknowledged.
    Kept,
    /// It was refused, or comes again.
    Not,
}

/// Acknowledges jobs, all at once: a bus that has lost its store never confirms what it delivered before, and each would be
/// waited for in turn.
async fn acknowledge(kept: &[Command]) {
    let confirmed = join_all(kept.iter().map(Command::acknowledge)).await;
    for error in confirmed.into_iter().filter_map(Result::err) {
        tracing::debug!(error = %error, "a job comes again");
    }
}

/// Keeps one job; drops what is none.
async fn take(worker: &Worker, command: &Command) -> Taken {
    let opened = command.open(&worker.identity.panel_key);
    if let Some(header) = newer_than_us(worker, command, &opened) {
        match seen(worker, command).await {
            Ok(Seen::First | Seen::Again) => {}
            Ok(Seen::Replayed) => return replayed(worker, command, format!("job {}", header.id)).await,
            Err(_) => return Taken::Not,
        }
        tracing::error!(job.id = %header.id, version = header.v, "a job is newer than this worker: upgrade it");
        let outdated = Outdated { job: header.id, attempt: header.attempt, version: header.v };
        return match send(worker, Event::Outdated(outdated)).await {
            Ok(()) => Taken::Kept,
            Err(_) => Taken::Not,
        };
    }
    let envelope = match opened {
        Ok(envelope) => envelope,
        Err(error) => {
            refused(worker, SecurityKind::ForgedJob, format!("not signed by the panel, or not readable: {}", chain(&error))).await;
            let _ = command.refuse().await;
            return Taken::Not;
        }
    };
    if let Some((kind, whose)) = not_ours(&worker.identity, &envelope.server, envelope.epoch) {
        refused(worker, kind, format!("job {} of {} is for {whose}", envelope.id, envelope.resource)).await;
        let _ = command.refuse().await;
        return Taken::Not;
    }
    match inbox_receive(&worker.store.pool, &envelope, command.arrival().as_ref()).await {
        Ok(Received::Kept) => worker.job_came.notify_one(),
        Ok(Received::Known) => {}
        Ok(Received::Replayed) => {
            return replayed(worker, command, format!("job {} of {}, attempt {}", envelope.id, envelope.resource, envelope.attempt)).await;
        }
        Ok(Received::Ended(outcome)) => {
            if let Err(error) = send(worker, Event::Outcome(*outcome)).await {
                tracing::warn!(error = %error, "an outcome could not be repeated");
                return Taken::Not;
            }
        }
        Err(error) => {
            tracing::error!(error = %error, "a job could not be kept; it comes again");
            return Taken::Not;
        }
    }
    Taken::Kept
}

/// What is known of a job that is not kept.
async fn seen(worker: &Worker, command: &Command) -> Result<Seen, sqlx::Error> {
    match command.arrival() {
        Some(arrival) => sending_take(&mut *worker.store.pool.acquire().await?, &arrival, now_ms()).await,
        None => Ok(Seen::First),
    }
}

/// Drops what somebody has stored again.
async fn replayed(worker: &Worker, command: &Command, what: String) -> Taken {
    refused(worker, SecurityKind::ReplayedJob, format!("{what} was delivered before, and stored on the bus once more")).await;
    let _ = command.refuse().await;
    Taken::Not
}

/// The header of a job for this worker that the panel signed and that this worker does not understand.
fn newer_than_us(worker: &Worker, command: &Command, opened: &Result<JobEnvelope, BusError>) -> Option<JobHeader> {
    match opened {
        Ok(envelope) if envelope.v == ENVELOPE_VERSION => return None,
        Ok(_) | Err(BusError::Undecodable { .. }) => {}
        Err(_) => return None,
    }
    let header = command.open_header(&worker.identity.panel_key).ok()?;
    (header.server == worker.identity.server && header.epoch == worker.identity.epoch).then_some(header)
}

/// Without an answer the panel would send the job again for ever.
async fn send(worker: &Worker, event: Event) -> Result<(), StoreError> {
    let mut connection = worker.store.pool.acquire().await?;
    outbox_insert(&mut connection, &worker.identity, event).await?;
    worker.event_came.notify_one();
    Ok(())
}
