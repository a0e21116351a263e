//! Works the inbox off: a batch at a time, jobs that fail in passing again, and those that a hand edit holds up when it is
//! mended.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use shared::events::{Configured, Event, Outcome, Progress, SiteConfiguration, StepReport, Verdict};
use shared::failure::{FailureCode, RetryPolicy};
use shared::ids::JobId;
use shared::jobs::{Job, JobEnvelope, WorkerSpec};
use tokio_util::sync::CancellationToken;

use crate::drift::report_set_aside;
use crate::engine::blocking;
use crate::engine::check::plain;
use crate::inbox::{Turn, inbox_end, inbox_postpone, inbox_step_back, inbox_waiting};
use crate::includes::set_aside_cause;
use crate::ledger::Ledger;
use crate::outbox::outbox_insert;
use crate::registry::{Carried, carry_out_batch};
use crate::roles::web::site::vhost_file;
use crate::run::Worker;
use crate::store::{StoreError, now_ms};
use crate::system::LiveTest;
use crate::turns::{Choice, LONGEST_PAUSE_MS, Size, choose};
use crate::update::report;
use crate::update::request::Standing;

/// A job whose requirement has not come yet is looked at again after this pause.
const REQUIREMENT_PAUSE_MS: i64 = 1_000;
/// A passing failure is tried again this often, after 2, 4 and 8 seconds ([`LONGEST_PAUSE_MS`]).
const PASSING_TRIES: u32 = 3;
/// Configurations in one event. A vhost has some 3 KB; one with a hundred long names 30.
const PER_EVENT: usize = 16;
/// Without anything to do the inbox is looked at this often.
const IDLE: Duration = Duration::from_mins(1);

/// An update is looked at this often.
const UPDATE_PAUSE: Duration = Duration::from_secs(1);

/// Works the inbox off.
pub(crate) struct Executor<'a> {
    worker: &'a Worker,
    size: Size,
    obstacle: Option<Obstacle>,
}

/// A configuration that somebody's hand has broken, and the jobs that wait until it is mended.
struct Obstacle {
    /// What nginx says.
    said: String,
    jobs: HashMap<JobId, (JobEnvelope, Vec<StepReport>)>,
    /// The next look.
    look_at: Instant,
    /// When the panel was last told; progress may be lost.
    told_at: Instant,
}

/// A broken configuration is looked at this often, and not so often that the looking costs more than a twentieth of the time.
const LOOK_AGAIN: Duration = Duration::from_secs(2);
const LOOK_SHARE: u32 = 20;
/// The panel is told again after this.
const TELL_AGAIN: Duration = Duration::from_secs(15);

impl<'a> Executor<'a> {
    pub(crate) fn new(worker: &'a Worker) -> Self {
        Self { worker, size: Size::default(), obstacle: None }
    }

    /// Works until `shutdown`. A batch under way is finished first.
    pub(crate) async fn run(mut self, shutdown: &CancellationToken) {
        while !shutdown.is_cancelled() {
            let pause = match self.work_next().await {
                Ok(None) => continue,
                Ok(Some(pause)) => pause,
                Err(error) => {
                    tracing::error!(error = %error, "the inbox could not be worked; trying again");
                    Duration::from_secs(1)
                }
            };
            tokio::select! {
                () = shutdown.cancelled() => return,
                () = self.worker.job_came.notified() => {}
                () = tokio::time::sleep(pause) => {}
            }
        }
    }

    /// Carries out the next batch. If there is none, says how long to wait for a job that comes.
    async fn work_next(&mut self) -> Result<Option<Duration>, StoreError> {
        self.look_at_obstacle().await?;
        let pool = &self.worker.store.pool;
        let waiting = inbox_waiting(pool).await?;
        // Nothing else is begun before it is known which worker goes on.
        if let Some((turn, spec)) = waiting.iter().find_map(|turn| Some((turn, update_in(turn)?))) {
            return self.update(&turn.envelope, spec).await;
        }
        let blocked = self.obstacle.iter().flat_map(|obstacle| obstacle.jobs.keys().copied()).collect();
        let Choice { batch, step_back, due_ms } =
            choose(waiting, now_ms(), self.size.most(), &self.worker.engine.ledger().rows(), &blocked);
        for turn in &step_back {
            inbox_step_back(pool, &turn.envelope, now_ms() + REQUIREMENT_PAUSE_MS).await?;
        }
        if batch.is_empty() {
            let due = due_ms.map(|due| Duration::from_millis(u64::try_from(due - now_ms()).unwrap_or(0).max(10)));
            let due = if step_back.is_empty() { due } else { Some(Duration::from_millis(10)) };
            let look = self.obstacle.as_ref().map(|obstacle| obstacle.look_at.saturating_duration_since(Instant::now()));
            return Ok(Some([due, look].into_iter().flatten().min().unwrap_or(IDLE).min(IDLE)));
        }
        self.carry_out(batch).await?;
        Ok(None)
    }

    /// Brings an update of the worker itself on its way, or looks how far it has come.
    async fn update(&self, envelope: &JobEnvelope, spec: &WorkerSpec) -> Result<Option<Duration>, StoreError> {
        let mut teller = Teller::new(self.worker, std::slice::from_ref(envelope));
        let (updates, system) = (&self.worker.updates, self.worker.engine.system());
        match updates.carry_out(system, envelope, spec, &mut |steps| teller.tell(0, steps, None)).await? {
            Standing::UnderWay(steps) => {
                teller.tell(0, steps, None);
                Ok(Some(UPDATE_PAUSE))
            }
            Standing::Ended(verdict, steps) => {
                let outcome = report(envelope, verdict, steps);
                log_end(envelope, &outcome);
                self.end(vec![outcome], Vec::new()).await?;
                updates.forget();
                Ok(None)
            }
        }
    }

    async fn carry_out(&mut self, batch: Vec<Turn>) -> Result<(), StoreError> {
        let (envelopes, tries): (Vec<JobEnvelope>, Vec<u32>) = batch.into_iter().map(|turn| (turn.envelope, turn.tries)).unzip();
        let mut teller = Teller::new(self.worker, &envelopes);
        let began = Instant::now();
        let carried = carry_out_batch(&self.worker.engine, &envelopes, &mut |job, steps| teller.tell(job, steps, None)).await;
        let took = began.elapsed();
        self.size.learn(envelopes.len(), took);
        tracing::info!(jobs = envelopes.len(), duration_ms = took.as_millis(), "a batch has ended");
        let (mut outcomes, mut blocked, mut configured) = (Vec::new(), Vec::new(), Vec::new());
        for ((envelope, tries), carried) in envelopes.into_iter().zip(tries).zip(carried) {
            match carried {
                Carried::Ended(outcome) if is_passing(&outcome) && tries < PASSING_TRIES => self.postpone(&envelope, tries).await?,
                Carried::Ended(outcome) if tries < PASSING_TRIES && self.sets_aside(refusal(&outcome)).await? => {
                    self.postpone(&envelope, tries).await?;
                }
                Carried::Ended(outcome) => {
                    log_end(&envelope, &outcome);
                    configured.extend(self.configuration(&envelope, &outcome));
                    outcomes.push(outcome);
                }
                Carried::Blocked { said, steps } => blocked.push((said, envelope, steps)),
                Carried::Deferred => {}
            }
        }
        self.end(outcomes, configured).await?;
        // Without the file that nginx refuses they go on at once.
        let said = blocked.first().map(|(said, _, _)| said.clone()).unwrap_or_default();
        if !self.sets_aside(&said).await? {
            self.block(blocked);
        }
        Ok(())
    }

    /// Sets the include file aside that nginx refuses, if it is one, and has the panel told.
    async fn sets_aside(&self, said: &str) -> Result<bool, StoreError> {
        let aside = set_aside_cause(&self.worker.engine, &self.worker.store.pool, said).await?;
        if aside {
            report_set_aside(self.worker).await?;
        }
        Ok(aside)
    }

    /// What a site's state has become.
    fn configuration(&self, envelope: &JobEnvelope, outcome: &Outcome) -> Option<SiteConfiguration> {
        let Job::Site(spec) = &envelope.job else { return None };
        if outcome.verdict != Verdict::Applied || envelope.job.is_deletion() {
            return None;
        }
        let file = vhost_file(spec, envelope.generation, self.worker.engine.system().has_ipv6()).ok()?;
        let text = String::from_utf8(file.content.0).ok()?;
        Some(SiteConfiguration {
            resource: envelope.resource,
            generation: envelope.generation,
            path: file.path.display().to_string(),
            text,
        })
    }

    async fn postpone(&self, envelope: &JobEnvelope, tries: u32) -> Result<(), StoreError> {
        let pause_ms = (2_000_i64 << tries).min(LONGEST_PAUSE_MS);
        tracing::warn!(job.id = %envelope.id, pause_ms, "a job failed in passing; trying again");
        let mut tx = self.worker.store.pool.begin_with("BEGIN IMMEDIATE").await?;
        Ledger::settled_take(&mut tx, envelope.id).await?;
        tx.commit().await?;
        inbox_postpone(&self.worker.store.pool, envelope, now_ms() + pause_ms).await?;
        Ok(())
    }

    /// Takes jobs out of the inbox and puts their outcomes into the outbox, in one transaction.
    async fn end(&self, outcomes: Vec<Outcome>, configured: Vec<SiteConfiguration>) -> Result<(), StoreError> {
        if outcomes.is_empty() {
            return Ok(());
        }
        let mut tx = self.worker.store.pool.begin_with("BEGIN IMMEDIATE").await?;
        for outcome in outcomes {
            Ledger::settled_take(&mut tx, outcome.job).await?;
            inbox_end(&mut tx, &outcome, now_ms()).await?;
            outbox_insert(&mut tx, &self.worker.identity, Event::Outcome(outcome)).await?;
        }
        for sites in configured.chunks(PER_EVENT) {
            outbox_insert(&mut tx, &self.worker.identity, Event::Configured(Configured { sites: sites.to_vec() })).await?;
        }
        tx.commit().await?;
        self.worker.event_came.notify_one();
        self.worker.job_ended.notify_one();
        Ok(())
    }

    /// Jobs wait for a broken configuration to be mended, and the panel is told.
    fn block(&mut self, blocked: Vec<(String, JobEnvelope, Vec<StepReport>)>) {
        let Some((said, _, _)) = blocked.first() else { return };
        let now = Instant::now();
        let mut obstacle = self.obstacle.take().unwrap_or_else(|| {
            tracing::error!(detail = said, "nginx's configuration has been broken by hand; jobs wait until it is mended");
            Obstacle { said: said.clone(), jobs: HashMap::new(), look_at: now + LOOK_AGAIN, told_at: now }
        });
        for (said, envelope, steps) in blocked {
            Teller::new(self.worker, std::slice::from_ref(&envelope)).tell(0, steps.clone(), Some(said.clone()));
            obstacle.jobs.insert(envelope.id, (envelope, steps));
            obstacle.said = said;
        }
        self.obstacle = Some(obstacle);
    }

    /// Once in a while: is it mended? Then what waits for it goes on by itself.
    async fn look_at_obstacle(&mut self) -> Result<(), StoreError> {
        let Some(obstacle) = &mut self.obstacle else { return Ok(()) };
        let began = Instant::now();
        if began < obstacle.look_at {
            return Ok(());
        }
        let system = self.worker.engine.system().clone();
        let test = blocking(move || system.test_nginx(&[], LiveTest::Never)).await?;
        obstacle.look_at = Instant::now() + (began.elapsed() * LOOK_SHARE).max(LOOK_AGAIN);
        let said = match test {
            Ok(test) if test.candidate.accepted => {
                tracing::info!(jobs = obstacle.jobs.len(), "nginx's configuration has been mended; jobs go on");
                self.obstacle = None;
                return Ok(());
            }
            Ok(test) => plain(&test.candidate.output),
            Err(error) => {
                tracing::warn!(error = %error, "nginx's configuration could not be tested");
                return Ok(());
            }
        };
        if said != obstacle.said || obstacle.told_at.elapsed() >= TELL_AGAIN {
            (obstacle.said, obstacle.told_at) = (said.clone(), Instant::now());
            for (envelope, steps) in obstacle.jobs.values() {
                Teller::new(self.worker, std::slice::from_ref(envelope)).tell(0, steps.clone(), Some(said.clone()));
            }
        }
        Ok(())
    }
}

/// Sends each change of the jobs' steps; what the bus cannot take in time is dropped.
struct Teller<'a> {
    worker: &'a Worker,
    jobs: &'a [JobEnvelope],
    sequences: Vec<u32>,
}

impl<'a> Teller<'a> {
    fn new(worker: &'a Worker, jobs: &'a [JobEnvelope]) -> Self {
        Self { worker, jobs, sequences: jobs.iter().map(|_| 0).collect() }
    }

    fn tell(&mut self, job: usize, steps: Vec<StepReport>, blocked: Option<String>) {
        let envelope = &self.jobs[job];
        // Counted in hundredths of a second of the job's life, so that it goes on counting when the job is begun again, by this
        // process or by the next.
        let age = u32::try_from((now_ms() - envelope.id.made_ms()) / 10).unwrap_or(0);
        self.sequences[job] = age.max(self.sequences[job] + 1);
        let _ = self.worker.progress.try_send(Progress {
            server: envelope.server.clone(),
            job: envelope.id,
            operation: envelope.operation,
            attempt: envelope.attempt,
            sequence: self.sequences[job],
            steps,
            blocked: blocked.map(|said| crate::system::cut(said, 4096)),
        });
    }
}

/// The version of the worker that a job wants, if that is what it is about.
const fn update_in(turn: &Turn) -> Option<&WorkerSpec> {
    match &turn.envelope.job {
        Job::Worker(spec) => Some(spec),
        Job::Account(_) | Job::PhpPool(_) | Job::Site(_) => None,
    }
}

fn is_passing(outcome: &Outcome) -> bool {
    match &outcome.verdict {
        Verdict::Failed { code, .. } => code.retry_policy() == RetryPolicy::Again,
        Verdict::Applied | Verdict::Superseded => false,
    }
}

/// What nginx said of a job that it refused; empty otherwise.
fn refusal(outcome: &Outcome) -> &str {
    match &outcome.verdict {
        Verdict::Failed { code: FailureCode::WebServerRefused, detail, effect: _ } => detail,
        Verdict::Failed { .. } | Verdict::Applied | Verdict::Superseded => "",
    }
}

fn log_end(envelope: &JobEnvelope, outcome: &Outcome) {
    let verdict = match outcome.verdict {
        Verdict::Applied => "applied",
        Verdict::Superseded => "superseded",
        Verdict::Failed { .. } => "failed",
    };
    tracing::info!(
        operation.id = %envelope.operation, job.id = %envelope.id, job.kind = %envelope.job.kind(), job.attempt = envelope.attempt,
        resource.generation = %envelope.generation, verdict, duration_ms = outcome.finished_ms - outcome.started_ms, "a job has ended"
    );
}
