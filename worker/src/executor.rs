//! Works the inbox off: a batch at a time, and beside it those jobs of earlier ones that wait for their tenants; jobs that fail
//! in passing again, and those that a hand edit holds up when it is mended.

mod update;

use std::collections::HashMap;
use std::time::{Duration, Instant};

use futures::future::BoxFuture;
use futures::stream::FuturesUnordered;
use futures::{FutureExt, StreamExt};
use shared::events::{Configured, Event, Outcome, SiteConfiguration, Verdict};
use shared::failure::FailureCode;
use shared::ids::{AccountId, JobId};
use shared::jobs::{Job, JobEnvelope};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use self::update::{Download, is_update};
use crate::drift::report_set_aside;
use crate::inbox::{Turn, inbox_end, inbox_postpone, inbox_step_back, inbox_waiting};
use crate::includes::{Looked, look, name_includes, set_aside_cause};
use crate::ledger::Ledger;
use crate::obstacle::Obstacle;
use crate::outbox::outbox_insert;
use crate::registry::{Carried, News, carry_out_in_rounds};
use crate::roles::web::site::vhost_file;
use crate::run::Worker;
use crate::store::{StoreError, now_ms};
use crate::teller::Teller;
use crate::tries::{tries_tell, try_keep};
use crate::turns::{Choice, LONGEST_PAUSE_MS, Moment, Size, choose};
use crate::update::request::Fetched;
use crate::verdict::{is_passing, log_end, refusal};

/// A job whose requirement has not come yet is looked at again after this pause.
const REQUIREMENT_PAUSE_MS: i64 = 1_000;
/// A passing failure is tried again this often, after 2, 4 and 8 seconds ([`LONGEST_PAUSE_MS`]).
const PASSING_TRIES: u32 = 3;
/// Configurations in one event. A vhost has some 3 KB; one with a hundred long names 30.
const PER_EVENT: usize = 16;
/// Without anything to do the inbox is looked at this often.
const IDLE: Duration = Duration::from_mins(1);
/// What the worker's database has refused is tried again after this pause.
const FAILED_PAUSE: Duration = Duration::from_secs(1);
/// What is in the way of a job that waits outside of its batch is looked at again after this pause.
const DEFERRED_PAUSE: Duration = Duration::from_millis(200);

/// Works the inbox off.
pub(crate) struct Executor<'a> {
    worker: &'a Worker,
    size: Size,
    obstacle: Option<Obstacle>,
    /// Jobs in batches that have not ended.
    under_way: HashMap<JobId, UnderWay>,
    news: mpsc::UnboundedSender<Word>,
    /// Whether a batch has the turn: none begins before it lets others pass.
    busy: bool,
    /// So many batches are not over.
    batches: usize,
    /// Not before.
    rest_until: Instant,
    /// Takes what is to be carried on beside.
    begin: mpsc::UnboundedSender<Batch<'a>>,
    /// The package of a newer worker.
    download: Option<Download>,
    shutdown: CancellationToken,
}

/// A job in a batch.
struct UnderWay {
    account: AccountId,
    tries: u32,
}

/// A batch that is carried out, or something else beside.
type Batch<'a> = BoxFuture<'a, ()>;

/// Carries batches out until none is left and none will come.
///
/// **Beside whoever chooses them, never in a loop with it**: they use the one connection to the database that it uses, and one
/// that is not polled while it has the connection would never let go of it.
async fn keep_going(mut begun: mpsc::UnboundedReceiver<Batch<'_>>) {
    let (mut batches, mut more) = (FuturesUnordered::new(), true);
    while more || !batches.is_empty() {
        tokio::select! {
            batch = begun.recv(), if more => match batch {
                Some(batch) => batches.push(batch),
                None => more = false,
            },
            Some(()) = batches.next(), if !batches.is_empty() => {}
        }
    }
}

/// What a batch says.
enum Word {
    Ended(Box<(JobEnvelope, Carried)>),
    /// The next may begin. With how many jobs it had, and since when.
    Passes(usize, Instant),
    /// So many of its jobs failed together, and are to come again in smaller batches.
    Parted(usize),
    /// It is over. Whether there was nothing that it could do: what it has deferred is in the way of a job outside.
    Over {
        fruitless: bool,
    },
    /// The package of a newer worker has come, or has not.
    Fetched(Fetched),
}

impl<'a> Executor<'a> {
    /// Works until `shutdown`. Batches under way are finished first.
    pub(crate) async fn run(worker: &'a Worker, shutdown: &CancellationToken) {
        let (begin, begun) = mpsc::unbounded_channel();
        let (executor, words) = Self::new(worker, begin, shutdown);
        tokio::join!(executor.decide(words), keep_going(begun));
    }

    /// An executor, and what its batches say.
    fn new(
        worker: &'a Worker,
        begin: mpsc::UnboundedSender<Batch<'a>>,
        shutdown: &CancellationToken,
    ) -> (Self, mpsc::UnboundedReceiver<Word>) {
        let (news, words) = mpsc::unbounded_channel();
        let executor = Self {
            worker,
            size: Size::default(),
            obstacle: None,
            under_way: HashMap::new(),
            news,
            busy: false,
            batches: 0,
            rest_until: Instant::now(),
            begin,
            download: None,
            shutdown: shutdown.clone(),
        };
        (executor, words)
    }

    /// Chooses the batches, and hears what they say.
    async fn decide(mut self, mut words: mpsc::UnboundedReceiver<Word>) {
        let shutdown = self.shutdown.clone();
        loop {
            let mut pause = IDLE;
            if !self.busy && !shutdown.is_cancelled() {
                match self.choose_next().await {
                    Ok(Chosen::Batch(batch)) => {
                        self.batches += 1;
                        // They are taken for as long as somebody may send one.
                        drop(self.begin.send(self.carry_out(batch)));
                    }
                    Ok(Chosen::Nothing(until)) => pause = until,
                    Err(error) => {
                        tracing::error!(error = %error, "the inbox could not be worked; trying again");
                        pause = FAILED_PAUSE;
                    }
                }
            }
            if shutdown.is_cancelled() && self.batches == 0 {
                return;
            }
            tokio::select! {
                Some(word) = words.recv() => self.take(word, &mut words).await,
                () = shutdown.cancelled(), if !shutdown.is_cancelled() => {}
                () = self.worker.job_came.notified(), if !self.busy => {}
                () = tokio::time::sleep(pause), if !self.busy => {}
            }
        }
    }

    /// The next batch. If there is none, how long to wait for a job that comes.
    async fn choose_next(&mut self) -> Result<Chosen, StoreError> {
        let rest = self.rest_until.saturating_duration_since(Instant::now());
        if !rest.is_zero() {
            return Ok(Chosen::Nothing(rest));
        }
        let _under_way = self.worker.engine.watch.begin("the inbox");
        Obstacle::look(&mut self.obstacle, self.worker).await?;
        let pool = &self.worker.store.pool;
        let (updates, waiting): (Vec<Turn>, Vec<Turn>) = inbox_waiting(pool).await?.into_iter().partition(is_update);
        if let Some(pause) = self.update(updates).await? {
            return Ok(Chosen::Nothing(pause));
        }
        let blocked = self.obstacle.iter().flat_map(Obstacle::jobs).collect();
        let under_way = self.under_way.values().map(|job| job.account).collect();
        let rows = self.worker.engine.ledger().rows();
        let moment = Moment { now_ms: now_ms(), most: self.size.most(), rows: &rows, blocked, under_way };
        let Choice { batch, step_back, due_ms } = choose(waiting, moment);
        for turn in &step_back {
            inbox_step_back(pool, &turn.envelope, now_ms() + REQUIREMENT_PAUSE_MS).await?;
        }
        if batch.is_empty() {
            let due = due_ms.map(|due| Duration::from_millis(u64::try_from(due - now_ms()).unwrap_or(0).max(10)));
            let due = if step_back.is_empty() { due } else { Some(Duration::from_millis(10)) };
            let look = self.obstacle.as_ref().map(Obstacle::next_look);
            return Ok(Chosen::Nothing([due, look].into_iter().flatten().min().unwrap_or(IDLE).min(IDLE)));
        }
        self.busy = true;
        for turn in &batch {
            self.under_way.insert(turn.envelope.id, UnderWay { account: turn.envelope.account, tries: turn.tries });
        }
        Ok(Chosen::Batch(batch.into_iter().map(|turn| turn.envelope).collect()))
    }

    /// Carries a batch out; what becomes of it comes as words.
    fn carry_out(&self, jobs: Vec<JobEnvelope>) -> Batch<'a> {
        let (worker, news) = (self.worker, self.news.clone());
        let batch = async move {
            let mut teller = Teller::new(worker, &jobs);
            let (began, mut passes, mut fruitless) = (Instant::now(), true, true);
            // The executor hears for as long as there is a batch.
            let say = |word| drop(news.send(word));
            carry_out_in_rounds(&worker.engine, &jobs, &mut |news| match news {
                News::Steps(job, steps) => teller.tell(job, steps, None),
                News::Ended(job, carried) => {
                    fruitless &= carried == Carried::Deferred;
                    say(Word::Ended(Box::new((jobs[job].clone(), carried))));
                }
                News::Parted(jobs) => say(Word::Parted(jobs)),
                News::LetsPass => {
                    if std::mem::take(&mut passes) {
                        say(Word::Passes(jobs.len(), began));
                    }
                }
            })
            .await;
            if passes {
                say(Word::Passes(jobs.len(), began));
            }
            say(Word::Over { fruitless });
        };
        batch.boxed()
    }

    /// Takes what the batches say. What cannot be kept is begun anew, and not at once: a disk that is full is full for a while.
    async fn take(&mut self, word: Word, words: &mut mpsc::UnboundedReceiver<Word>) {
        if let Err(error) = self.hear(word, words).await {
            tracing::error!(error = %error, "the end of a job could not be kept; trying again");
            self.rest(FAILED_PAUSE);
        }
    }

    /// No batch begins for so long.
    fn rest(&mut self, pause: Duration) {
        self.rest_until = self.rest_until.max(Instant::now() + pause);
    }

    /// Takes what the batches say, and all that has been said by now.
    async fn hear(&mut self, word: Word, words: &mut mpsc::UnboundedReceiver<Word>) -> Result<(), StoreError> {
        let (mut outcomes, mut blocked, mut configured) = (Vec::new(), Vec::new(), Vec::new());
        let mut next = Some(word);
        while let Some(word) = next {
            match word {
                Word::Passes(jobs, began) => {
                    let took = began.elapsed();
                    self.size.learn(jobs, took);
                    self.busy = false;
                    tracing::info!(jobs, duration_ms = took.as_millis(), "a batch has ended, or lets the next one pass");
                }
                Word::Fetched(fetched) => self.has_fetched(fetched),
                Word::Parted(jobs) => self.size.part(jobs),
                Word::Over { fruitless } => {
                    self.batches -= 1;
                    if fruitless && !self.under_way.is_empty() {
                        self.rest(DEFERRED_PAUSE);
                    }
                }
                Word::Ended(ended_job) => {
                    let (envelope, carried) = *ended_job;
                    let tries = self.under_way.remove(&envelope.id).map_or(0, |job| job.tries);
                    match carried {
                        Carried::Ended(outcome) if tries < PASSING_TRIES && self.may_go_on(&envelope, &outcome).await? => {
                            self.postpone(&envelope, tries, &outcome).await?;
                        }
                        Carried::Ended(mut outcome) => {
                            name_includes(self.worker, &envelope, &mut outcome).await?;
                            log_end(&envelope, &outcome);
                            configured.extend(self.configuration(&envelope, &outcome));
                            if let Some(record) = &mut outcome.record {
                                record.begun = tries + 1;
                            }
                            outcomes.push(outcome);
                        }
                        Carried::Blocked { said, steps } => blocked.push((said, envelope, steps)),
                        Carried::Deferred => {}
                    }
                }
            }
            next = words.try_recv().ok();
        }
        self.end(outcomes, configured).await?;
        // Without the file that nginx refuses they go on at once.
        let said = blocked.first().map(|(said, _, _)| said.clone()).unwrap_or_default();
        if !self.sets_aside(&said, None).await? {
            Obstacle::meet(&mut self.obstacle, self.worker, blocked);
        }
        Ok(())
    }

    /// Whether it may be good to try again: by itself, or since an include file was the cause that has been set aside by now.
    async fn may_go_on(&self, envelope: &JobEnvelope, outcome: &Outcome) -> Result<bool, StoreError> {
        let aside = match outcome.verdict {
            // nginx did not take its configuration up, or a site does not answer with it.
            Verdict::Failed { code: FailureCode::ServiceDown | FailureCode::ProbeFailed, .. } => {
                let looked = look(&self.worker.engine, &self.worker.store.pool).await?;
                self.tell_of(Some(looked)).await?;
                looked == Looked::Changed
            }
            Verdict::Failed { .. } | Verdict::Applied | Verdict::Superseded => self.sets_aside(refusal(outcome), Some(envelope)).await?,
        };
        Ok(aside || is_passing(outcome))
    }

    /// Sets the include files aside that nginx refuses, if there are such, and has the panel told.
    async fn sets_aside(&self, said: &str, of: Option<&JobEnvelope>) -> Result<bool, StoreError> {
        let aside = set_aside_cause(&self.worker.engine, &self.worker.store.pool, said, of).await?;
        self.tell_of(aside).await?;
        Ok(aside.is_some())
    }

    async fn tell_of(&self, aside: Option<Looked>) -> Result<(), StoreError> {
        if aside == Some(Looked::Changed) { report_set_aside(self.worker).await } else { Ok(()) }
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

    async fn postpone(&self, envelope: &JobEnvelope, tries: u32, outcome: &Outcome) -> Result<(), StoreError> {
        let pause_ms = (2_000_i64 << tries).min(LONGEST_PAUSE_MS);
        tracing::warn!(job.id = %envelope.id, pause_ms, "a job failed in passing; trying again");
        let mut tx = self.worker.store.pool.begin_with("BEGIN IMMEDIATE").await?;
        Ledger::settled_take(&mut tx, envelope.id).await?;
        try_keep(&mut tx, tries, outcome).await?;
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
        for mut outcome in outcomes {
            Ledger::settled_take(&mut tx, outcome.job).await?;
            tries_tell(&mut tx, &mut outcome).await?;
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
}

/// What to do next.
enum Chosen {
    Batch(Vec<JobEnvelope>),
    /// Look again after this, or when a job comes.
    Nothing(Duration),
}

#[cfg(test)]
pub(crate) mod tests;
