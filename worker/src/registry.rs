//! The entry point: verified jobs in, one outcome for each out. An exhaustive table of which role plans which job.

mod conflicts;
mod halving;
mod planning;
mod record;
mod rounds;

use std::sync::Arc;

use shared::events::{Outcome, StepReport};
use shared::failure::FailureCode;
use shared::jobs::{JobEnvelope, Requirement};

use self::rounds::Batch;
use crate::engine::error::chain;
use crate::engine::execute::{End, Executed};
use crate::engine::facts::{Facts, View};
use crate::engine::plan::Plan;
use crate::engine::{Engine, Running, Turn, blocking};
use crate::ledger::{RowState, Rows};
use crate::roles::{PlanError, web};

pub use crate::engine::BatchProgress;
pub use planning::{Compared, Unplanned, compare, plan, propose};

/// Who is told of each change of a visible step.
pub type Progress<'a> = dyn FnMut(Vec<StepReport>) + Send + 'a;

/// What became of a job.
#[derive(Debug, Clone, PartialEq)]
pub enum Carried {
    /// It has ended.
    Ended(Outcome),
    /// Somebody's hand has broken a daemon's configuration, and nothing can be changed until it is mended. What the job had
    /// done has been put back.
    Blocked {
        /// What the daemon says: file and line.
        said: String,
        /// The steps, all waiting.
        steps: Vec<StepReport>,
    },
    /// It is not under way: it touches what another job touches, or failed together with others while somebody waits outside. What
    /// it had done has been put back; its turn is the next batch.
    Deferred,
}

/// Carries a job out by itself.
pub async fn carry_out(engine: &Engine, envelope: &JobEnvelope, progress: &mut Progress<'_>) -> Carried {
    let carried = carry_out_batch(engine, std::slice::from_ref(envelope), &mut |_, steps| progress(steps)).await;
    carried.into_iter().next().unwrap_or(Carried::Deferred)
}

/// Carries jobs out together, each with its own verdict, in the order given where it matters. Give them again after a cut: each
/// has the outcome it had, or is done if it was not.
///
/// Outcomes are kept until [`crate::ledger::Ledger::settled_take`] lets them go.
pub async fn carry_out_batch(engine: &Engine, envelopes: &[JobEnvelope], progress: &mut BatchProgress<'_>) -> Vec<Carried> {
    let mut carried: Vec<Carried> = envelopes.iter().map(|_| Carried::Deferred).collect();
    carry_out_in_rounds(engine, envelopes, &mut |news| match news {
        News::Steps(job, steps) => progress(job, steps),
        News::Ended(job, ended) => carried[job] = ended,
        News::LetsPass | News::Parted(_) => {}
    })
    .await;
    carried
}

/// What is said of a batch while it is carried out.
#[derive(Debug)]
pub enum News {
    /// A visible step of a job has changed: how all its steps stand.
    Steps(usize, Vec<StepReport>),
    /// What became of a job. Said once of each.
    Ended(usize, Carried),
    /// The next batch may begin. What has not ended waits for something of its tenant's; give no other job of its account
    /// meanwhile.
    LetsPass,
    /// So many jobs failed together, for nobody's fault in particular, and are deferred because others wait outside: the next
    /// batch is to have fewer.
    Parted(usize),
}

/// Who is told the news of a batch.
pub type BatchNews<'a> = dyn FnMut(News) + Send + 'a;

/// As [`carry_out_batch`], for who wants to know of each job as soon as it has ended, and to go on beside those that wait.
pub async fn carry_out_in_rounds(engine: &Engine, envelopes: &[JobEnvelope], news: &mut BatchNews<'_>) {
    let mut turn = Turn::of(engine).await;
    Batch::new(envelopes).carry_out(engine, &mut turn, news).await;
}

/// What a job is ready for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Readiness {
    /// It can be carried out.
    Ready,
    /// What it builds on has not come yet. It may still be on its way.
    Waiting(Requirement),
    /// What it builds on has failed: it will fail too.
    Failed(Requirement),
}

/// Whether what a job builds on is there.
#[must_use]
pub fn readiness(rows: &Rows, envelope: &JobEnvelope) -> Readiness {
    for requirement in &envelope.requires {
        let row = rows.get(requirement.resource);
        let reached = row.and_then(|row| row.applied.as_ref()).is_some_and(|(generation, _)| *generation >= requirement.generation);
        if reached {
            continue;
        }
        let parked = row.is_some_and(|row| row.state == RowState::Parked && row.generation >= requirement.generation);
        return if parked { Readiness::Failed(*requirement) } else { Readiness::Waiting(*requirement) };
    }
    Readiness::Ready
}

/// How the base of the host came out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Prepared {
    /// What was done; empty if nothing had to be.
    pub steps: Vec<StepReport>,
    /// The files that were written.
    pub written: Vec<String>,
    /// Those of them that held something else before, and how it differed.
    pub rewritten: Vec<(String, String)>,
    /// Why it failed. What had been done was put back.
    pub failure: Option<(FailureCode, String)>,
}

/// Makes the host fit for the web role, nginx running. To be called at start, after [`Engine::recover`].
///
/// # Errors
/// The state cannot be planned.
pub async fn prepare_host(engine: &Engine, progress: &mut Progress<'_>) -> Result<Prepared, Unplanned> {
    make_fit(engine, web::host::plan, progress).await
}

/// Keeps it fit, from time to time: PHP versions come and go, and others flush packet filters. An nginx that somebody has
/// stopped stays stopped.
///
/// # Errors
/// The state cannot be planned.
pub async fn keep_host(engine: &Engine, progress: &mut Progress<'_>) -> Result<Prepared, Unplanned> {
    make_fit(engine, web::host::upkeep, progress).await
}

/// Plans the base of a host.
type BasePlan = fn(Facts<'_>) -> Result<Plan, PlanError>;

async fn make_fit(engine: &Engine, base: BasePlan, progress: &mut Progress<'_>) -> Result<Prepared, Unplanned> {
    let mut turn = Turn::of(engine).await;
    engine.recover_in_turn().await?;
    let (rows, system) = (engine.ledger.rows(), engine.system.clone());
    let planned = blocking(move || {
        let view = View::new(system.as_ref(), &rows, Default::default());
        base(view.facts()).map(|plan| (record::written(&plan, view.facts()), plan))
    });
    let ((written, rewritten), plan) = planned.await??;
    let mut prepared = Prepared { steps: Vec::new(), written, rewritten, failure: None };
    if plan.is_empty() {
        return Ok(prepared);
    }
    let mut running = Running::begin(engine, vec!["host".to_owned()], Arc::new(vec![plan]));
    loop {
        let round = match running.next(engine, &mut turn, &[None], &mut |_, steps| progress(steps)).await {
            Ok(Some(round)) => round,
            Ok(None) => return Ok(prepared),
            Err(error) => {
                running.give_up(engine, &mut turn, || ()).await?;
                return Err(error.into());
            }
        };
        for (_, Executed { steps, end }) in round.ended {
            prepared.steps = steps;
            prepared.failure = match end {
                End::Done => None,
                End::Failed(failure) => Some((failure.error.code(), chain(failure.error.as_ref()))),
                End::Blocked(said) => Some((FailureCode::HostConfigBroken, said)),
                End::Apart(error) => Some((error.code(), chain(error.as_ref()))),
            };
        }
    }
}
