//! `gantry dispatch`: the process that holds the signing keys and talks to the workers.
//!
//! - [`scheduler`]: queue rows to signed jobs on the bus, a fair window per server.
//! - [`outcomes`]: the workers' durable events to the database.
//! - [`progress`]: the steps of jobs under way, the newest only.
//! - [`presence`]: heartbeats and closed connections.
//! - [`rollout`]: updates of all workers, a few at a time.
//! - [`sweeper`]: whatever the events above missed.
//! - `incarnation`: of several copies of a panel the bus serves one.
//! - [`drift`]: what is not as applied, and its repair. `asking`: questions of pages to workers.
//! - [`enrolment`]: credentials for workers that join.
//!
//! **Two may run, one leads**, by a lease in the database. What a second one of the same database did by mistake would do no harm:
//! publishing is de-duplicated, outcomes are applied once. One of a copy of the database would; the bus tells it apart.
//! **The database is the truth**: all of the bus's store may be lost, and the sweeper sends again what has not ended.

mod asking;
pub mod drift;
pub mod enrolment;
mod incarnation;
pub mod keys;
pub mod outcomes;
pub mod presence;
pub mod progress;
pub mod rollout;
pub mod scheduler;
pub mod sweeper;
pub mod workers;

use std::sync::Arc;
use std::time::Duration;

use shared::bus::BusError;
use shared::bus::authority::BusAddress;
use shared::bus::credentials::{BusKeys, WorkerAccount};
use shared::bus::panel::{DispatchBus, Hint};
use shared::bus::topology::Replicas;
use shared::ids::Epoch;
use shared::security::{SecurityKind, Tally};
use tokio::sync::{Mutex, Notify};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::store::ended_server::{EndedServer, ended_server_mark_closed};
use crate::store::lease::{lease_release, lease_take};
use crate::store::panel::panel_epoch;
use crate::store::revocation::revocation_list;
use crate::store::security_event::{NewSecurityEvent, Told, security_event_tell_in_tx};
use crate::store::server::ServerRow;
use crate::store::{Db, StoreError, Tx, now_ms};
use incarnation::{Aside, Serves, advance};
use workers::Workers;

/// What dispatch is started with.
#[derive(Debug, Clone)]
pub struct DispatchConfig {
    /// The bus, as dispatch reaches it.
    pub bus: BusAddress,
    /// The bus, as workers reach it: part of the answer to a worker that joins.
    pub bus_for_workers: BusAddress,
    /// Every signing key.
    pub keys: BusKeys,
    /// How many nodes of the bus keep each stream.
    pub replicas: Replicas,
    /// The name it leads under; one of its own if not given.
    pub name: Option<String>,
}

/// What can end a dispatch process.
#[derive(Debug, thiserror::Error)]
pub enum DispatchError {
    /// The bus failed.
    #[error("the bus failed")]
    Bus(#[from] BusError),
    /// The database failed.
    #[error("the database failed")]
    Store(#[from] StoreError),
}

/// What all parts of a leading dispatch share.
pub(crate) struct Dispatch {
    pub(crate) db: Db,
    pub(crate) bus: DispatchBus,
    pub(crate) keys: BusKeys,
    pub(crate) bus_for_workers: BusAddress,
    pub(crate) epoch: Epoch,
    pub(crate) workers: Workers,
    /// What was heard of servers and is not written yet.
    pub(crate) heard: Mutex<presence::Heard>,
    /// Wakes the scheduler.
    pub(crate) wake: Notify,
    /// What was refused as a matter of security, by kind and server.
    pub(crate) tally: Mutex<Tally<(SecurityKind, String)>>,
}

impl Dispatch {
    /// A server has its consumer of jobs and its account on the bus, which lets in the worker with the newest key alone.
    pub(crate) async fn ensure_server(&self, server: &ServerRow) -> Result<(), DispatchError> {
        let revoked = revocation_list(&self.db, &server.name).await?;
        let worker = WorkerAccount { server: &server.name, stream: &server.stream, revoked: &revoked };
        Ok(self.bus.ensure_server(&worker, now_ms() / 1000).await?)
    }

    /// What a deleted server had on the bus is ended.
    pub(crate) async fn end_server(&self, server: &EndedServer) -> Result<(), DispatchError> {
        let revoked = revocation_list(&self.db, &server.name).await?;
        let worker = WorkerAccount { server: &server.name, stream: &server.stream, revoked: &revoked };
        self.bus.end_server(&worker, now_ms() / 1000).await?;
        if !server.closed {
            ended_server_mark_closed(&self.db, &server.name).await?;
            tracing::info!(server.name = %server.name, "a deleted server is shut out of the bus");
        }
        Ok(())
    }

    /// Something was refused as a matter of security: once a minute of each kind and server it is told to admins.
    pub(crate) async fn refused(&self, kind: SecurityKind, server_name: &str, detail: &str) {
        // A flood of it does not even reach the database.
        let Some(times) = self.tally.lock().await.count((kind, server_name.to_owned()), now_ms()) else { return };
        let kept = async {
            let mut tx = self.db.write().await?;
            tell_in_tx(&mut tx, &NewSecurityEvent { server_name, kind, detail, times }).await?;
            tx.commit().await.map_err(StoreError::from)
        };
        match kept.await {
            Ok(()) => self.hint(&Hint { security: true, ..Hint::default() }).await,
            Err(error) => tracing::error!(error = %chain(&error), "a security event could not be kept"),
        }
    }

    /// Sends a hint; a lost one is made up for by the pages' own slow re-read.
    pub(crate) async fn hint(&self, hint: &Hint) {
        if let Err(error) = self.bus.hint(hint).await {
            tracing::debug!(error = %error, "a hint was not sent");
        }
    }
}

/// Tells admins of what was refused, in the log too if it has a line of its own.
pub(crate) async fn tell_in_tx(tx: &mut Tx, new: &NewSecurityEvent<'_>) -> Result<(), StoreError> {
    if security_event_tell_in_tx(tx, new).await? == Told::Anew {
        let NewSecurityEvent { server_name, kind, detail, times } = new;
        tracing::error!(security.kind = %kind, server.name = server_name, security.detail = detail, security.times = times, "SECURITY: something was refused");
    }
    Ok(())
}

const LEASE: &str = "dispatch";
/// A dead leader is replaced after this long.
const LEASE_TTL: Duration = Duration::from_secs(10);
/// Three tries within the lease's life.
const LEASE_RENEWAL: Duration = Duration::from_secs(3);

/// Runs until `shutdown`. Waits for the lease, leads, and goes back to waiting if the lease is lost.
///
/// # Errors
/// The database fails for good, or the keys are damaged. A bus that cannot be reached is waited for.
pub async fn run(db: Db, config: DispatchConfig, shutdown: CancellationToken) -> Result<(), DispatchError> {
    let holder = config.name.clone().unwrap_or_else(own_name);
    let epoch = panel_epoch(&db).await?;
    while !shutdown.is_cancelled() {
        if !leads(&db, &holder).await {
            wait(&shutdown, LEASE_RENEWAL).await;
            continue;
        }
        let bus = match reach(&db, &config, &holder, &shutdown).await {
            Ok(Some(bus)) => bus,
            Ok(None) => continue,
            Err(error) if is_passing(&error) => {
                tracing::warn!(error = %chain(&error), "waiting for the bus, or the database");
                wait(&shutdown, Duration::from_secs(1)).await;
                continue;
            }
            Err(error) => return Err(error),
        };
        let dispatch = Arc::new(Dispatch {
            db: db.clone(),
            bus,
            keys: config.keys.clone(),
            bus_for_workers: config.bus_for_workers.clone(),
            epoch,
            workers: Workers::default(),
            heard: Mutex::default(),
            wake: Notify::new(),
            tally: Mutex::default(),
        });
        tracing::info!("dispatch leads");
        lead(&dispatch, &holder, &shutdown).await?;
        dispatch.bus.close().await;
    }
    lease_release(&db, LEASE, &holder).await?;
    Ok(())
}

/// The bus, once it serves this panel. `None` if there is no lease for it any more. While it serves another, this one says so and
/// waits for a word of its operator's.
async fn reach(db: &Db, config: &DispatchConfig, holder: &str, shutdown: &CancellationToken) -> Result<Option<DispatchBus>, DispatchError> {
    let bus = DispatchBus::reach(&config.bus, &config.keys, config.replicas, now_ms() / 1000).await?;
    let mut aside = Aside::default();
    while advance(db, &bus).await? == Serves::Another {
        aside.tell(db, &bus, holder).await?;
        wait(shutdown, incarnation::PAUSE).await;
        if shutdown.is_cancelled() || !leads(db, holder).await {
            bus.close().await;
            return Ok(None);
        }
    }
    bus.ensure_streams().await?;
    Ok(Some(bus))
}

/// Whether a bus, or a database, that does not answer is the reason.
const fn is_passing(error: &DispatchError) -> bool {
    matches!(error, DispatchError::Bus(BusError::Connect { .. } | BusError::Refused { .. }) | DispatchError::Store(_))
}

/// Runs all parts until the lease is lost or the process is to stop.
async fn lead(dispatch: &Arc<Dispatch>, holder: &str, shutdown: &CancellationToken) -> Result<(), DispatchError> {
    let mut parts = JoinSet::new();
    parts.spawn(scheduler::run(Arc::clone(dispatch)));
    parts.spawn(scheduler::listen(Arc::clone(dispatch)));
    parts.spawn(outcomes::run(Arc::clone(dispatch)));
    parts.spawn(progress::run(Arc::clone(dispatch)));
    parts.spawn(presence::run(Arc::clone(dispatch)));
    parts.spawn(presence::listen_for_disconnects(Arc::clone(dispatch)));
    parts.spawn(presence::listen_for_connects(Arc::clone(dispatch)));
    parts.spawn(presence::listen_for_refusals(Arc::clone(dispatch)));
    parts.spawn(sweeper::run(Arc::clone(dispatch)));
    parts.spawn(rollout::run(Arc::clone(dispatch)));
    parts.spawn(enrolment::run(Arc::clone(dispatch)));
    parts.spawn(drift::run(Arc::clone(dispatch)));
    parts.spawn(asking::run(Arc::clone(dispatch)));
    parts.spawn(incarnation::listen(Arc::clone(dispatch)));
    // All are tasks of their own: each must go on while the lease below waits for the database, which it may be the one to hold.
    parts.spawn(incarnation::keep(Arc::clone(dispatch)));
    loop {
        tokio::select! {
            () = shutdown.cancelled() => return Ok(()),
            ended = parts.join_next() => {
                // A part ends only by a panic, a closed client, or because the bus serves another panel; all are started again together.
                tracing::error!(part = ?ended, "a part of dispatch ended; starting again");
                return Ok(());
            }
            () = tokio::time::sleep(LEASE_RENEWAL) => {
                if !leads(&dispatch.db, holder).await {
                    tracing::warn!("another dispatch leads now");
                    return Ok(());
                }
            }
        }
    }
}

/// Takes or renews the lease. A database that does not answer is a lease that is lost, not the end of the process.
async fn leads(db: &Db, holder: &str) -> bool {
    let taken = async {
        // The hosts' clocks may differ by more than the lease lasts.
        lease_take(db, LEASE, holder, db.clock_ms().await?, millis(LEASE_TTL)).await
    };
    match taken.await {
        Ok(leads) => leads,
        Err(error) => {
            tracing::warn!(error = %chain(&error), "the lease could not be renewed");
            false
        }
    }
}

async fn wait(shutdown: &CancellationToken, time: Duration) {
    tokio::select! {
        () = shutdown.cancelled() => {}
        () = tokio::time::sleep(time) => {}
    }
}

fn millis(duration: Duration) -> i64 {
    i64::try_from(duration.as_millis()).unwrap_or(i64::MAX)
}

fn own_name() -> String {
    format!("{}:{}", std::process::id(), shared::ids::EventId::new())
}

/// An error with all its causes, for the log.
pub(crate) fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        text.push_str(": ");
        text.push_str(&cause.to_string());
        source = cause.source();
    }
    text
}
