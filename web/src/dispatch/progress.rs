//! The steps of jobs under way. Only the newest message of each job is kept, and the database is written at most
//! twenty times a second however many workers report.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use shared::bus::panel::Signal;
use shared::events::Progress;
use shared::ids::{JobId, ServerId};
use shared::security::SecurityKind;
use tokio::time::Instant;

use super::outcomes::hint_of;
use super::{Dispatch, chain};
use crate::store::job::job_fetch_in_tx;
use crate::store::job_progress::job_progress_in_tx;
use crate::store::operation::operation_settle_in_tx;
use crate::store::{Again, StoreError};

/// The pause between two writes. Less than a frame's worth of waiting for the eye, more than a write costs.
const PAUSE: Duration = Duration::from_millis(50);
/// Messages held between two writes; more are dropped, the next of the same job holds everything again.
const MOST: usize = 10_000;

type Pending = HashMap<JobId, (ServerId, Progress)>;

/// Keeps progress as it comes.
pub(crate) async fn run(dispatch: Arc<Dispatch>) {
    let mut signals = match dispatch.bus.progress().await {
        Ok(signals) => signals,
        Err(error) => {
            tracing::error!(error = %chain(&error), "progress cannot be heard");
            return;
        }
    };
    let mut pending = Pending::new();
    let mut next_write = Instant::now();
    loop {
        let due = if pending.is_empty() { None } else { Some(next_write) };
        tokio::select! {
            signal = signals.next() => {
                let Some(signal) = signal else { return };
                receive(&dispatch, &signal, &mut pending).await;
            }
            () = wait_until(due) => {
                write(&dispatch, &mut pending).await;
                next_write = Instant::now() + PAUSE;
            }
        }
    }
}

async fn wait_until(due: Option<Instant>) {
    match due {
        Some(due) => tokio::time::sleep_until(due).await,
        None => std::future::pending().await,
    }
}

async fn receive(dispatch: &Dispatch, signal: &Signal, pending: &mut Pending) {
    let Some(name) = signal.sender() else { return };
    let Ok(Some(worker)) = dispatch.workers.find(&dispatch.db, &name).await else { return };
    match signal.open_progress(&worker.public_key) {
        Ok(progress) if progress.server == name => {
            if pending.len() < MOST || pending.contains_key(&progress.job) {
                pending.insert(progress.job, (worker.id, progress));
            }
        }
        Ok(_) | Err(_) => dispatch.refused(SecurityKind::ForgedEvent, name.as_str(), "the progress of a job").await,
    }
}

/// Keeps all together, or one by one, so that what can never be kept of one job takes no other's with it.
async fn write(dispatch: &Dispatch, pending: &mut Pending) {
    let mut newest: Vec<_> = pending.drain().map(|(_, news)| news).collect();
    // Two transactions of this kind do not wait for each other's jobs. One with an outcome may, and is tried again.
    newest.sort_unstable_by_key(|(_, progress)| progress.job);
    let Err(error) = keep(dispatch, &newest).await else { return };
    if error.again() == Again::Later {
        return tracing::warn!(error = %chain(&error), "progress was not kept");
    }
    for one in &newest {
        if let Err(error) = keep(dispatch, std::slice::from_ref(one)).await {
            tracing::warn!(error = %chain(&error), job.id = %one.1.job, "progress was not kept");
        }
    }
}

async fn keep(dispatch: &Dispatch, newest: &[(ServerId, Progress)]) -> Result<(), StoreError> {
    let mut hints = Vec::new();
    let mut tx = dispatch.db.write().await?;
    for (server, progress) in newest {
        let Some(job) = job_fetch_in_tx(&mut tx, progress.job).await? else { continue };
        if job.server_id == *server && job_progress_in_tx(&mut tx, progress).await? {
            operation_settle_in_tx(&mut tx, job.operation_id).await?;
            hints.push(hint_of(&job));
        }
    }
    tx.commit().await?;
    for hint in &hints {
        dispatch.hint(hint).await;
    }
    Ok(())
}
