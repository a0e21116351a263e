//! Whatever the events missed. Events are hints, tables are truth: each event-driven path has its sweep here.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use shared::names::ServerName;
use shared::operation::JobEvent;

use super::{Dispatch, DispatchError, chain};
use crate::app::session::IDLE_MS;
use crate::store::ended_server::ended_server_list;
use crate::store::event::event_forget_before;
use crate::store::job::{job_advance_in_tx, job_fetch_in_tx};
use crate::store::job_queue::job_list_silent;
use crate::store::security_event::security_event_forget_seen_in_tx;
use crate::store::server::server_list;
use crate::store::session::session_delete_expired;
use crate::store::throttle::throttle_delete_older_in_tx;
use crate::store::{StoreError, now_ms};

/// How often.
const PAUSE: Duration = Duration::from_secs(15);
/// A job that was sent this long ago to a server that is online, and has not ended, is sent again. The worker knows a
/// job it holds, so a repeat costs a message.
const SILENCE_MS: i64 = 120_000;
/// Events are remembered for longer than the stream keeps them (7 days).
const MEMORY_MS: i64 = 10 * 24 * 3600 * 1000;

/// Failed sign-ins weigh on nobody after a day.
const THROTTLE_MEMORY_MS: i64 = 24 * 3600 * 1000;
/// So long admins can look up what was refused once they have seen it.
const SECURITY_MEMORY_MS: i64 = 90 * 24 * 3600 * 1000;

/// What is there is compared with what it should be with every twentieth sweep, five minutes apart: it takes some requests for
/// each server. Whatever changes it on purpose does so at once.
const COMPARISON: u32 = 20;

/// Sweeps until the process ends.
pub(crate) async fn run(dispatch: Arc<Dispatch>) {
    let mut sweeps: u32 = 0;
    loop {
        tokio::time::sleep(PAUSE).await;
        sweeps = sweeps.wrapping_add(1);
        let restored = if sweeps.is_multiple_of(COMPARISON) { compare_bus(&dispatch).await } else { restore_bus(&dispatch).await };
        if let Err(error) = restored {
            tracing::warn!(error = %chain(&error), "streams, consumers and accounts could not be looked after");
        }
        if let Err(error) = sweep(&dispatch).await {
            tracing::warn!(error = %chain(&error), "a sweep failed; the next one comes");
        }
    }
}

/// Makes streams, consumers and accounts that are missing. Whoever removes one, or restores an old store, delays jobs by
/// seconds, and loses none: the queue is in the database.
async fn restore_bus(dispatch: &Dispatch) -> Result<(), DispatchError> {
    dispatch.bus.ensure_streams().await?;
    let servers = server_list(&dispatch.db).await?;
    let mut streams: HashMap<&str, Vec<&ServerName>> = HashMap::new();
    for server in servers.iter().filter(|server| server.public_key.is_some()) {
        streams.entry(&server.stream).or_default().push(&server.name);
    }
    for (stream, names) in streams {
        let missing = dispatch.bus.missing(stream, &names).await?;
        for server in servers.iter().filter(|server| missing.contains(&&server.name)) {
            dispatch.ensure_server(server).await?;
        }
    }
    Ok(())
}

/// Makes whatever differs from what it should be as it should be.
async fn compare_bus(dispatch: &Dispatch) -> Result<(), DispatchError> {
    dispatch.bus.ensure_streams().await?;
    for server in server_list(&dispatch.db).await?.iter().filter(|server| server.public_key.is_some()) {
        dispatch.ensure_server(server).await?;
    }
    for server in &ended_server_list(&dispatch.db).await? {
        dispatch.end_server(server).await?;
    }
    Ok(())
}

async fn sweep(dispatch: &Dispatch) -> Result<(), DispatchError> {
    for job in job_list_silent(&dispatch.db, now_ms(), SILENCE_MS).await? {
        let mut tx = dispatch.db.write().await?;
        if let Some(job) = job_fetch_in_tx(&mut tx, job.id).await?
            && job_advance_in_tx(&mut tx, &job, JobEvent::Requeued).await?.is_some()
        {
            tracing::warn!(job.id = %job.id, operation.id = %job.operation_id, "nothing was heard of a job; it is sent again");
        }
        tx.commit().await.map_err(StoreError::from)?;
        dispatch.wake.notify_one();
    }
    forget(dispatch).await?;
    Ok(())
}

/// Forgets what nobody asks about any more: old events, ended sessions, old failed sign-ins, security events that were seen.
async fn forget(dispatch: &Dispatch) -> Result<(), StoreError> {
    let now = now_ms();
    event_forget_before(&dispatch.db, now - MEMORY_MS).await?;
    session_delete_expired(&dispatch.db, now - IDLE_MS).await?;
    let mut tx = dispatch.db.write().await?;
    throttle_delete_older_in_tx(&mut tx, now - THROTTLE_MEMORY_MS).await?;
    security_event_forget_seen_in_tx(&mut tx, now - SECURITY_MEMORY_MS).await?;
    tx.commit().await?;
    Ok(())
}
