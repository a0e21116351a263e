//! From the queue to the bus: per server a window that no account can fill alone.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use shared::bus::sealing::seal_hash;
use shared::ids::{AccountId, JobId};
use shared::jobs::{AccountSpec, ENVELOPE_VERSION, Job, JobEnvelope, SftpAccess};
use shared::operation::JobEvent;

use super::{Dispatch, DispatchError, chain};
use crate::store::StoreError;
use crate::store::account::account_fetch;
use crate::store::job::{JobRow, Queue, job_advance_in_tx, job_fetch_in_tx, job_queue, job_servers_with_queue};
use crate::store::list::Visible;
use crate::store::server::{ServerRow, server_fetch};

/// Jobs of one account that a server holds at a time.
pub const PER_ACCOUNT: u32 = 16;
/// Jobs that a server holds at a time. Enough for a batch to come, few enough to reprioritise the rest.
pub const PER_SERVER: u32 = 256;
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
        // A server that has not joined has no consumer; its jobs wait.
        if server.public_key.is_none() {
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
    let chosen = fair_window(&queue, PER_ACCOUNT, PER_SERVER);
    let mut sent = Vec::new();
    let mut failure = None;
    for job in queue.queued.iter().filter(|job| chosen.contains(&job.id)) {
        let envelope = envelope(dispatch, server, job, sealed(dispatch, job).await?);
        if let Err(error) = dispatch.bus.publish_job(&envelope, job.sent_ms.unwrap_or(0)).await {
            failure = Some(error);
            break;
        }
        sent.push(job);
    }
    mark_sent(dispatch, &sent).await?;
    if let Some(error) = failure {
        // Perhaps the bus has lost its store: make what should be there, and try again at the next sweep.
        dispatch.bus.ensure_streams().await?;
        dispatch.bus.ensure_server(&server.stream, &server.name).await?;
        return Err(error.into());
    }
    Ok(())
}

async fn mark_sent(dispatch: &Dispatch, sent: &[&JobRow]) -> Result<(), DispatchError> {
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
    tx.commit().await.map_err(crate::store::StoreError::from)?;
    tracing::debug!(jobs = sent.len(), "jobs sent");
    Ok(())
}

/// What a job says, with its secret sealed to the key the server has now: it may have joined again since the job was asked
/// for. What cannot be sealed goes out as it was, and the worker says that it cannot read it.
async fn sealed(dispatch: &Dispatch, job: &JobRow) -> Result<Job, StoreError> {
    let Job::Account(AccountSpec { sftp: SftpAccess { password: Some(_), keys: _ }, .. }) = &job.job else { return Ok(job.job.clone()) };
    let account = account_fetch(&dispatch.db, Visible::All, job.account_id).await?;
    let Some((hash, key)) = account.and_then(|account| account.sftp_password.zip(account.server_seal_key)) else {
        return Ok(job.job.clone());
    };
    let mut resealed = job.job.clone();
    match (seal_hash(&hash, &key), &mut resealed) {
        (Ok(password), Job::Account(spec)) => spec.sftp.password = Some(password),
        (Err(error), _) => tracing::error!(job.id = %job.id, error = %chain(&error), "a password could not be sealed"),
        (Ok(_), Job::PhpPool(_) | Job::Site(_)) => {}
    }
    Ok(resealed)
}

fn envelope(dispatch: &Dispatch, server: &ServerRow, job: &JobRow, state: Job) -> JobEnvelope {
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
        job: state,
    }
}

/// Which queued jobs go out now: round robin over the accounts, each account's own jobs in order, no account above its
/// share and the server not above its own. What is in flight counts.
#[must_use]
pub fn fair_window(queue: &Queue, per_account: u32, per_server: u32) -> HashSet<JobId> {
    let mut held: HashMap<AccountId, u32> = queue.in_flight.iter().copied().collect();
    let total: u32 = held.values().sum();
    let mut room = per_server.saturating_sub(total);
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
            if room == 0 {
                return chosen;
            }
            let count = held.entry(*account).or_default();
            if let Some(job) = lane.get(turn)
                && *count < per_account
            {
                chosen.insert(*job);
                *count += 1;
                room -= 1;
                moved = true;
            }
        }
        if !moved {
            return chosen;
        }
        turn += 1;
    }
}
