//! From the queue to the bus: per server a window that no account can fill alone.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use futures::stream::{self, StreamExt};
use shared::bus::BusError;
use shared::bus::sealing::seal_hash;
use shared::failure::{Effect, FailureCode};
use shared::ids::{AccountId, JobId};
use shared::jobs::{AccountSpec, ENVELOPE_VERSION, Job, JobEnvelope};
use shared::operation::{JobEvent, JobState};

use super::outcomes::hint_of;
use super::{Dispatch, DispatchError, chain};
use crate::store::StoreError;
use crate::store::account::account_fetch;
use crate::store::job::{Ending, JobRow, job_advance_in_tx, job_end_in_tx, job_fetch_in_tx};
use crate::store::job_queue::{Queue, has_room, job_queue, job_servers_with_queue};
use crate::store::list::Visible;
use crate::store::operation::operation_settle_in_tx;
use crate::store::queue::jobs_release;
use crate::store::resource::resource_failed_in_tx;
use crate::store::server::{ServerRow, server_fetch};

/// Jobs whose arrival on the bus is waited for together. The worker brings them into order.
const AT_ONCE: usize = 32;
/// The queue is looked at this often even if nobody wakes the scheduler.
const SWEEP: Duration = Duration::from_secs(1);

/// Sends what is queued, whenever there is something.
pub(crate) async fn run(dispatch: Arc<Dispatch>) {
    let mut trouble = Trouble::default();
    loop {
        match send_all(&dispatch).await {
            Ok(()) => trouble.over(),
            Err(error) => trouble.report(&error),
        }
        let _ = tokio::time::timeout(SWEEP, dispatch.wake.notified()).await;
    }
}

/// Hears the panel's wake-ups.
pub(crate) async fn listen(dispatch: Arc<Dispatch>) {
    match dispatch.bus.wakes().await {
        Ok(mut wakes) => {
            while wakes.next().await.is_some() {
                dispatch.wake.notify_one();
            }
        }
        Err(error) => tracing::error!(error = %chain(&error), "wake-ups cannot be heard"),
    }
}

/// Reports a lasting trouble once, and its end.
#[derive(Default)]
struct Trouble {
    reported: bool,
}

impl Trouble {
    fn report(&mut self, error: &DispatchError) {
        if !self.reported {
            tracing::warn!(error = %chain(error), "jobs cannot be sent; they stay queued");
            self.reported = true;
        }
    }

    fn over(&mut self) {
        if std::mem::take(&mut self.reported) {
            tracing::info!("jobs are sent again");
        }
    }
}

async fn send_all(dispatch: &Dispatch) -> Result<(), DispatchError> {
    let mut result = Ok(());
    for server in job_servers_with_queue(&dispatch.db).await? {
        let Some(server) = server_fetch(&dispatch.db, server).await? else { continue };
        // A server that has not joined has no consumer; its jobs wait. So do those of one that an admin has paused.
        if server.public_key.is_none() || server.queue_paused_ms.is_some() {
            continue;
        }
        // One server's trouble does not hold up the others.
        if let Err(error) = send_window(dispatch, &server).await {
            result = Err(error);
        }
    }
    result
}

async fn send_window(dispatch: &Dispatch, server: &ServerRow) -> Result<(), DispatchError> {
    let queue = job_queue(&dispatch.db, server.id).await?;
    let chosen = fair_window(&queue);
    let jobs = queue.queued.into_iter().filter(|job| chosen.contains(&job.id)).collect();
    // Once it is published it may be carried out, even if nobody here hears of that.
    let jobs = jobs_release(&dispatch.db, jobs).await?;
    let sends: Vec<_> = jobs.into_iter().map(|job| sent_or_not(dispatch, server, job)).collect();
    let results: Vec<_> = stream::iter(sends).buffered(AT_ONCE).collect().await;
    let mut sent = Vec::new();
    let mut failure = None;
    for (job, result) in results {
        match result {
            Ok(()) => sent.push(job),
            Err(Unsent::Ever(error)) => give_up(dispatch, &job, &error).await?,
            Err(Unsent::Now(error)) => failure = Some(error),
        }
    }
    mark_sent(dispatch, &sent).await?;
    if let Some(error) = failure {
        // Perhaps the bus has lost its store: make what should be there, and try again at the next sweep.
        dispatch.bus.ensure_streams().await?;
        dispatch.ensure_server(server).await?;
        return Err(error);
    }
    Ok(())
}

/// Why a job was not sent.
enum Unsent {
    /// Nothing can be sent now.
    Now(DispatchError),
    /// This job never can be.
    Ever(BusError),
}

impl From<StoreError> for Unsent {
    fn from(error: StoreError) -> Self {
        Self::Now(error.into())
    }
}

async fn sent_or_not(dispatch: &Dispatch, server: &ServerRow, job: JobRow) -> (JobRow, Result<(), Unsent>) {
    let result = send(dispatch, server, &job).await;
    (job, result)
}

async fn send(dispatch: &Dispatch, server: &ServerRow, job: &JobRow) -> Result<(), Unsent> {
    let mut envelope = envelope(dispatch, server, job);
    if let Job::Account(spec) = &mut envelope.job {
        seal_anew(dispatch, job.account_id, spec).await?;
    }
    let published = dispatch.bus.publish_job(&envelope, job.sent_ms.unwrap_or(0)).await;
    published.map_err(|error| if error.is_of_the_message() { Unsent::Ever(error) } else { Unsent::Now(error.into()) })
}

/// Seals the account's password to the key that its server's worker has now: since the job was written the worker may have
/// joined again with another, and could not open what was sealed to the first.
async fn seal_anew(dispatch: &Dispatch, id: AccountId, spec: &mut AccountSpec) -> Result<(), Unsent> {
    if spec.sftp.password.is_none() {
        return Ok(());
    }
    let account = account_fetch(&dispatch.db, Visible::All, id).await?;
    if let Some((hash, key)) = account.and_then(|account| account.sftp_password.zip(account.server_seal_key)) {
        spec.sftp.password = Some(seal_hash(&hash, &key).map_err(Unsent::Ever)?);
    }
    Ok(())
}

/// Fails a job that can never be sent, so that it holds up no other.
async fn give_up(dispatch: &Dispatch, job: &JobRow, error: &BusError) -> Result<(), DispatchError> {
    let detail = chain(error);
    tracing::error!(
        operation.id = %job.operation_id, job.id = %job.id, job.kind = %job.job.kind(), job.attempt = job.attempt, error = %detail,
        "a job cannot be sent; it has failed"
    );
    let ending = Ending {
        state: JobState::Failed,
        steps: &[],
        failure: Some(FailureCode::Internal),
        effect: Some(Effect::NothingChanged),
        detail: &detail,
        record: None,
        took_ms: 0,
    };
    let mut tx = dispatch.db.write().await?;
    if job_end_in_tx(&mut tx, job, &ending).await? {
        resource_failed_in_tx(&mut tx, job.resource, job.generation).await?;
        operation_settle_in_tx(&mut tx, job.operation_id).await?;
    }
    tx.commit().await.map_err(StoreError::from)?;
    dispatch.hint(&hint_of(job)).await;
    Ok(())
}

async fn mark_sent(dispatch: &Dispatch, sent: &[JobRow]) -> Result<(), DispatchError> {
    if sent.is_empty() {
        return Ok(());
    }
    let mut tx = dispatch.db.write().await?;
    for published in sent {
        // A Retry since then is another attempt, which has not been sent.
        if let Some(job) = job_fetch_in_tx(&mut tx, published.id).await?
            && job.attempt == published.attempt
        {
            job_advance_in_tx(&mut tx, &job, JobEvent::Published).await?;
        }
    }
    tx.commit().await.map_err(StoreError::from)?;
    tracing::debug!(jobs = sent.len(), "jobs sent");
    Ok(())
}

fn envelope(dispatch: &Dispatch, server: &ServerRow, job: &JobRow) -> JobEnvelope {
    JobEnvelope {
        v: ENVELOPE_VERSION,
        id: job.id,
        operation: job.operation_id,
        epoch: dispatch.epoch,
        server: server.name.clone(),
        account: job.account_id,
        resource: job.resource,
        generation: job.generation,
        requires: job.requires.clone(),
        attempt: job.attempt,
        job: job.job.clone(),
    }
}

/// Which queued jobs go out now: round robin over the accounts, each account's own jobs in order, no account above its
/// share and the server not above its own. What is in flight counts.
///
/// **An account of which the server has nothing gets its first job sent even when the server's share is full**, out of a reserve:
/// others that fill it make nobody wait.
#[must_use]
pub fn fair_window(queue: &Queue) -> HashSet<JobId> {
    let mut held: HashMap<AccountId, u32> = queue.in_flight.iter().copied().collect();
    let mut total: u32 = held.values().sum();
    let mut lanes: Vec<(AccountId, Vec<JobId>)> = Vec::new();
    for job in &queue.queued {
        match lanes.iter_mut().find(|(account, _)| *account == job.account_id) {
            Some((_, lane)) => lane.push(job.id),
            None => lanes.push((job.account_id, vec![job.id])),
        }
    }
    let mut chosen = HashSet::new();
    let mut turn = 0;
    loop {
        let mut moved = false;
        for (account, lane) in &lanes {
            let count = held.entry(*account).or_default();
            if let Some(job) = lane.get(turn)
                && has_room(total, *count)
            {
                chosen.insert(*job);
                *count += 1;
                total += 1;
                moved = true;
            }
        }
        if !moved {
            return chosen;
        }
        turn += 1;
    }
}
