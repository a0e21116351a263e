//! The workers' durable events, applied to the database once each.
//!
//! **An event that somebody has stored again changes nothing and is told as a matter of security** (see `shared::bus::sending`). One
//! that a worker sends again, or the bus delivers again, changes nothing and is no news.

use std::sync::Arc;
use std::time::Duration;

use futures::StreamExt;
use shared::bus::event_message::EventMessage;
use shared::bus::panel::Hint;
use shared::bus::sending::Seen;
use shared::events::{Event, EventEnvelope, Outcome, Outdated, Resync, Verdict};
use shared::failure::{Effect, FailureCode};
use shared::ids::{EventId, JobId, ServerId};
use shared::names::ServerName;
use shared::operation::{JobEvent, JobState};
use shared::security::{Refused, SecurityKind};

use super::drift::{configured_apply_in_tx, drift_report_apply_in_tx};
use super::{Dispatch, chain, tell_in_tx};
use crate::store::event::{event_first_seen_in_tx, sending_take_in_tx};
use crate::store::job::{Ending, JobRow, job_end_in_tx, job_fetch_in_tx, job_retry_in_tx};
use crate::store::job_queue::{job_list_applied, job_resend_in_tx};
use crate::store::operation::operation_settle_in_tx;
use crate::store::resource::{resource_applied_in_tx, resource_failed_in_tx, resource_is_newest_in_tx};
use crate::store::security_event::NewSecurityEvent;
use crate::store::server::server_name_in_tx;
use crate::store::{Again, StoreError, Tx};

/// Applies events as they come, and takes up a broken stream again.
pub(crate) async fn run(dispatch: Arc<Dispatch>) {
    loop {
        match dispatch.bus.events().await {
            Ok(events) => {
                let mut events = Box::pin(events);
                let mut whole = true;
                while whole && let Some(chunk) = events.next().await {
                    let mut messages = Vec::with_capacity(chunk.len());
                    for event in chunk {
                        match event {
                            Ok(message) => messages.push(message),
                            Err(error) => {
                                tracing::debug!(error = %chain(&error), "the stream of events was interrupted");
                                whole = false;
                            }
                        }
                    }
                    take(&dispatch, messages).await;
                }
            }
            Err(error) => tracing::debug!(error = %chain(&error), "events cannot be fetched yet"),
        }
        tokio::time::sleep(Duration::from_millis(500)).await;
        if let Err(error) = dispatch.bus.ensure_streams().await {
            tracing::debug!(error = %chain(&error), "the streams cannot be made yet");
        }
    }
}

/// An event that a worker of this panel has signed.
struct Known {
    message: EventMessage,
    server: ServerId,
    event: EventEnvelope,
}

/// Applies what has come; acknowledges what is applied, drops what is nobody's, leaves the rest to come again.
async fn take(dispatch: &Dispatch, messages: Vec<EventMessage>) {
    let mut events = Vec::with_capacity(messages.len());
    for message in messages {
        match identify(dispatch, &message).await {
            Ok(Some((server, event))) => events.push(Known { message, server, event }),
            Ok(None) => drop(message.refuse().await),
            Err(error) => tracing::warn!(error = %chain(&error), "an event could not be checked; it comes again"),
        }
    }
    match apply_soon(dispatch, &events).await {
        Ok(applied) => settle(dispatch, &events, applied).await,
        // One that cannot be applied holds up no other.
        Err(_) if events.len() > 1 => {
            for one in &events {
                match apply_soon(dispatch, std::slice::from_ref(one)).await {
                    Ok(applied) => settle(dispatch, std::slice::from_ref(one), applied).await,
                    Err(error) => give_up(dispatch, one, &error).await,
                }
            }
        }
        Err(error) => {
            if let [one] = events.as_slice() {
                give_up(dispatch, one, &error).await;
            }
        }
    }
}

/// One that can never be applied is dropped, for it would come again for ever, and enough of its like would leave no place for any
/// other. What a dropped outcome has ended, the sweeper asks for again.
async fn give_up(dispatch: &Dispatch, Known { message, event, .. }: &Known, error: &StoreError) {
    match error.again() {
        Again::Later | Again::AtOnce => tracing::error!(error = %chain(error), "an event could not be applied; it comes again"),
        Again::Never => {
            let detail = format!("event {}: {}", event.id, chain(error));
            dispatch.refused(SecurityKind::UnusableMessage, event.server.as_str(), &detail).await;
            drop(message.refuse().await);
        }
    }
}

async fn settle(dispatch: &Dispatch, events: &[Known], Applied { hints, replayed }: Applied) {
    for (server, event) in replayed {
        let detail = format!("event {event} came before, and was stored on the bus once more");
        dispatch.refused(SecurityKind::ReplayedEvent, server.as_str(), &detail).await;
    }
    for known in events {
        if let Err(error) = known.message.acknowledge().await {
            tracing::debug!(error = %chain(&error), "an event comes again");
        }
    }
    for hint in hints {
        dispatch.hint(&hint).await;
    }
    // Places in the window are free.
    dispatch.wake.notify_one();
}

/// Who sent it, proved by the signature, and what it says. `None` if it is nobody's or for another panel.
async fn identify(dispatch: &Dispatch, message: &EventMessage) -> Result<Option<(ServerId, EventEnvelope)>, StoreError> {
    let Some(name) = message.sender() else { return Ok(None) };
    let Some(worker) = dispatch.workers.find(&dispatch.db, &name).await? else {
        dispatch.refused(SecurityKind::UnknownServer, name.as_str(), "an event").await;
        return Ok(None);
    };
    match message.open(&worker.public_key) {
        Ok(event) if event.server == name && event.epoch == dispatch.epoch => Ok(Some((worker.id, event))),
        Ok(event) if event.server != name => {
            dispatch.refused(SecurityKind::MisdirectedEvent, name.as_str(), &format!("an event in the name of {}", event.server)).await;
            Ok(None)
        }
        Ok(event) => {
            dispatch.refused(SecurityKind::ForeignEvent, name.as_str(), &format!("an event for the panel {}", event.epoch)).await;
            Ok(None)
        }
        Err(error) => {
            dispatch.refused(SecurityKind::ForgedEvent, name.as_str(), &format!("an event: {}", chain(&error))).await;
            Ok(None)
        }
    }
}

/// What comes of events once they are committed.
#[derive(Default)]
struct Applied {
    hints: Vec<Hint>,
    replayed: Vec<(ServerName, EventId)>,
}

/// Another transaction that was quicker, or took away a row in between, is over by the next try.
const TRIES: u32 = 3;

async fn apply_soon(dispatch: &Dispatch, events: &[Known]) -> Result<Applied, StoreError> {
    for _ in 1..TRIES {
        match apply(dispatch, events).await {
            Err(error) if error.again() != Again::Later => {}
            result => return result,
        }
    }
    apply(dispatch, events).await
}

/// Applies events in one transaction. A repeated one changes nothing.
async fn apply(dispatch: &Dispatch, events: &[Known]) -> Result<Applied, StoreError> {
    let Applied { mut hints, mut replayed } = Applied::default();
    let mut tx = dispatch.db.write().await?;
    for Known { server, event, message } in events {
        if let Some(arrival) = message.arrival()
            && sending_take_in_tx(&mut tx, &event.server, &arrival).await? == Seen::Replayed
        {
            replayed.push((event.server.clone(), event.id));
            continue;
        }
        if event_first_seen_in_tx(&mut tx, event.id).await? {
            match &event.event {
                Event::Outcome(outcome) => hints.extend(outcome_apply_in_tx(&mut tx, *server, outcome).await?),
                Event::Resync(resync) => hints.extend(resync_apply_in_tx(&mut tx, *server, resync).await?),
                Event::Refused(refused) => {
                    let Refused { kind, detail, times, at_ms: _ } = refused;
                    let new = NewSecurityEvent { server_name: event.server.as_str(), kind: *kind, detail, times: *times };
                    tell_in_tx(&mut tx, &new).await?;
                    hints.push(Hint { security: true, ..Hint::default() });
                }
                Event::Drift(report) => hints.extend(drift_report_apply_in_tx(&mut tx, *server, report).await?),
                Event::Configured(configured) => configured_apply_in_tx(&mut tx, *server, configured).await?,
                Event::Outdated(outdated) => hints.extend(outdated_apply_in_tx(&mut tx, *server, outdated).await?),
            }
        }
    }
    tx.commit().await?;
    Ok(Applied { hints, replayed })
}

/// Ends the outcome's job and moves its resource and its operation. An outcome of an old attempt changes nothing.
///
/// # Errors
/// The database fails.
pub async fn outcome_apply_in_tx(tx: &mut Tx, server: ServerId, outcome: &Outcome) -> Result<Option<Hint>, StoreError> {
    let Some(job) = job_fetch_in_tx(tx, outcome.job).await? else {
        tracing::warn!(job.id = %outcome.job, "the outcome of an unknown job was dropped");
        return Ok(None);
    };
    if job.server_id != server || job.resource != outcome.resource || job.generation != outcome.generation {
        let detail = format!("an outcome of job {}, which is not its own", outcome.job);
        let name = server_name_in_tx(tx, server).await?;
        let new = NewSecurityEvent { server_name: &name, kind: SecurityKind::MisdirectedEvent, detail: &detail, times: 1 };
        tell_in_tx(tx, &new).await?;
        return Ok(Some(Hint { security: true, ..Hint::default() }));
    }
    let event = match outcome.verdict {
        Verdict::Applied => JobEvent::Applied,
        Verdict::Superseded => JobEvent::Superseded,
        Verdict::Failed { .. } => JobEvent::Failed,
    };
    // An older attempt's outcome is stale. A newer one's comes from before the database was restored, and counts.
    if outcome.attempt < job.attempt {
        return Ok(None);
    }
    let Ok(state) = job.state.advance(event) else { return Ok(None) };
    if !job_end_in_tx(tx, &job, &ending(state, outcome)).await? {
        // Another transaction was quicker; the event comes again and finds what is true then.
        return Err(StoreError::Raced);
    }
    if may_seal_anew(outcome) && job_seal_anew_in_tx(tx, outcome.job).await? {
        tracing::warn!(job.id = %job.id, "the server has a new key; the job goes out again, sealed to it");
        return Ok(Some(hint_of(&job)));
    }
    match outcome.verdict {
        Verdict::Applied => resource_applied_in_tx(tx, job.resource, job.generation, &job.job).await?,
        Verdict::Failed { .. } => resource_failed_in_tx(tx, job.resource, job.generation).await?,
        // The host has a newer state than the newest the panel knows of: a restored database. It must not spin for ever.
        Verdict::Superseded if resource_is_newest_in_tx(tx, job.resource, job.generation).await? => {
            resource_failed_in_tx(tx, job.resource, job.generation).await?;
        }
        Verdict::Superseded => {}
    }
    let operation = operation_settle_in_tx(tx, job.operation_id).await?;
    tracing::info!(
        operation.id = %job.operation_id, operation.state = %operation, job.id = %job.id, job.kind = %job.job.kind(), job.state = %state,
        job.attempt = job.attempt, duration_ms = took_ms(outcome), "a job has ended"
    );
    Ok(Some(hint_of(&job)))
}

/// Ends a job that its worker is too old for.
async fn outdated_apply_in_tx(tx: &mut Tx, server: ServerId, outdated: &Outdated) -> Result<Option<Hint>, StoreError> {
    let Some(job) = job_fetch_in_tx(tx, outdated.job).await? else { return Ok(None) };
    let detail = format!("the worker does not know jobs of this kind ({}) or version ({})", job.job.kind(), outdated.version);
    let outcome = Outcome {
        job: job.id,
        operation: job.operation_id,
        resource: job.resource,
        generation: job.generation,
        attempt: outdated.attempt,
        verdict: Verdict::Failed { code: FailureCode::WorkerOutdated, effect: Effect::NothingChanged, detail },
        steps: Vec::new(),
        started_ms: 0,
        finished_ms: 0,
        record: None,
    };
    outcome_apply_in_tx(tx, server, &outcome).await
}

/// So often a job goes out again by itself because the worker could not open what was sealed in it. Once is enough, unless the
/// server joins again in between.
const SEALINGS: u32 = 3;

/// Whether the job failed only because its secret was sealed to a key that the server had before.
fn may_seal_anew(outcome: &Outcome) -> bool {
    let unknown = matches!(outcome.verdict, Verdict::Failed { code: FailureCode::SealUnknown, .. });
    unknown && outcome.attempt < SEALINGS
}

/// Queues it again; it is sealed when it is sent.
async fn job_seal_anew_in_tx(tx: &mut Tx, id: JobId) -> Result<bool, StoreError> {
    match job_fetch_in_tx(tx, id).await? {
        Some(failed) => job_retry_in_tx(tx, &failed).await,
        None => Ok(false),
    }
}

fn ending(state: JobState, outcome: &Outcome) -> Ending<'_> {
    let (failure, effect, detail) = match &outcome.verdict {
        Verdict::Failed { code, effect, detail } => (Some(*code), Some(*effect), detail.as_str()),
        Verdict::Applied | Verdict::Superseded => (None, None, ""),
    };
    let record = outcome.record.as_ref();
    Ending { state, steps: &outcome.steps, failure, effect, detail, record, took_ms: took_ms(outcome) }
}

/// By the worker's clock, which may say anything.
const fn took_ms(outcome: &Outcome) -> i64 {
    outcome.finished_ms.saturating_sub(outcome.started_ms)
}

/// The hint that a job has moved.
pub(crate) fn hint_of(job: &JobRow) -> Hint {
    Hint {
        resource: Some(job.resource),
        account: Some(job.account_id),
        operation: Some(job.operation_id),
        server: Some(job.server_id),
        ..Hint::default()
    }
}

/// Compares a worker's ledger with what the panel believes, and sends again what the host has lost.
async fn resync_apply_in_tx(tx: &mut Tx, server: ServerId, resync: &Resync) -> Result<Vec<Hint>, StoreError> {
    let mut hints = Vec::new();
    for job in job_list_applied(tx, server).await? {
        let on_host = resync.applied.iter().find(|(key, _)| *key == job.resource).map(|(_, generation)| *generation);
        if on_host.is_some_and(|generation| generation >= job.generation) {
            continue;
        }
        tracing::warn!(job.id = %job.id, job.resource = %job.resource, "the host has lost a resource; it is sent again");
        job_resend_in_tx(tx, &job).await?;
        operation_settle_in_tx(tx, job.operation_id).await?;
        hints.push(hint_of(&job));
    }
    Ok(hints)
}
