//! The entry point: one verified job in, one outcome out. An exhaustive table of which role plans which job.

use shared::events::{Outcome, StepReport, Verdict};
use shared::failure::{Effect, FailureCode};
use shared::jobs::{Job, JobEnvelope, Requirement};

use crate::engine::error::chain;
use crate::engine::execute::Failure;
use crate::engine::facts::Facts;
use crate::engine::plan::Plan;
use crate::engine::{Ended, Engine, Recovery, blocking, run};
use crate::ledger::{Change, Row, RowState};
use crate::roles::{PlanError, web};
use crate::store::{StoreError, now_ms};

/// Who is told of each change of a visible step.
pub type Progress<'a> = dyn FnMut(Vec<StepReport>) + Send + 'a;

/// Carries a job out. Give it again after a cut: it returns the outcome it had, or does what was not done.
///
/// The outcome is kept until [`crate::ledger::Ledger::settled_take`] lets it go.
pub async fn carry_out(engine: &Engine, envelope: &JobEnvelope, progress: &mut Progress<'_>) -> Outcome {
    let _turn = engine.turn.lock().await;
    let started_ms = now_ms();
    match engine.ledger.settled(envelope.id, envelope.attempt).await {
        Ok(Some(outcome)) => return outcome,
        Ok(None) => {}
        Err(error) => return outcome(envelope, started_ms, failed_by_store(&error), Vec::new()),
    }
    if let Err(error) = engine.recover_in_turn().await {
        return outcome(envelope, started_ms, failed_by_store(&error), Vec::new());
    }
    let (verdict, steps) = judge(engine, envelope, progress).await;
    let outcome = outcome(envelope, started_ms, verdict, steps);
    if let Err(error) = engine.ledger.settle(&outcome).await {
        tracing::warn!(error = chain(&error), "an outcome could not be kept; if it is lost, the job is judged again");
    }
    outcome
}

fn outcome(envelope: &JobEnvelope, started_ms: i64, verdict: Verdict, steps: Vec<StepReport>) -> Outcome {
    Outcome {
        job: envelope.id,
        operation: envelope.operation,
        resource: envelope.resource,
        generation: envelope.generation,
        attempt: envelope.attempt,
        verdict,
        steps,
        started_ms,
        finished_ms: now_ms(),
    }
}

fn failed(code: FailureCode, effect: Effect, detail: String) -> Verdict {
    Verdict::Failed { code, effect, detail: crate::system::cut(detail, 4096) }
}

fn failed_by_store(error: &StoreError) -> Verdict {
    failed(error.code(), Effect::NothingChanged, chain(error))
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
pub fn readiness(engine: &Engine, envelope: &JobEnvelope) -> Readiness {
    let rows = engine.ledger.rows();
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

async fn judge(engine: &Engine, envelope: &JobEnvelope, progress: &mut Progress<'_>) -> (Verdict, Vec<StepReport>) {
    if envelope.job.kind() != envelope.resource.kind() {
        let detail = format!("a {} job for {}", envelope.job.kind(), envelope.resource);
        return (failed(FailureCode::BadJob, Effect::NothingChanged, detail), Vec::new());
    }
    if newest(engine, envelope).is_some_and(|row| row.generation > envelope.generation) {
        return (Verdict::Superseded, Vec::new());
    }
    let change = Change { resource: envelope.resource, generation: envelope.generation, spec: &envelope.job };
    let (verdict, steps) = attempt(engine, envelope, change, progress).await;
    if let Verdict::Failed { code, detail, .. } = &verdict {
        tracing::warn!(job.id = %envelope.id, job.resource = %envelope.resource, failure.code = %code, failure.detail = detail, "a job failed");
    }
    (verdict, steps)
}

fn newest(engine: &Engine, envelope: &JobEnvelope) -> Option<Row> {
    engine.ledger.rows().get(envelope.resource).cloned()
}

async fn attempt(engine: &Engine, envelope: &JobEnvelope, change: Change<'_>, progress: &mut Progress<'_>) -> (Verdict, Vec<StepReport>) {
    let planned = match missing(engine, envelope) {
        Some(missing) => Err(missing),
        None => plan(engine, envelope).await,
    };
    let plan = match planned {
        Ok(plan) => plan,
        Err(Unplanned::Plan(error)) => {
            let verdict = failed(error.code(), Effect::NothingChanged, chain(&error));
            return (park(engine, change, verdict).await, Vec::new());
        }
        Err(Unplanned::Store(error)) => return (failed_by_store(&error), Vec::new()),
    };
    match run(engine, &envelope.id.to_string(), plan, Some(change), progress).await {
        Ok(Ended { steps, failure: None }) => (Verdict::Applied, steps),
        Ok(Ended { steps, failure: Some(Failure { error, effect }) }) => {
            let verdict = failed(error.code(), effect, chain(&error));
            // After a cut nothing is written any more: the next start decides.
            let verdict = if error.is_interruption() { verdict } else { park(engine, change, verdict).await };
            (verdict, steps)
        }
        Err(error) => {
            // The database did not take the end of the job, or a thread panicked: the journal tells what to put back.
            let effect = match engine.recover_in_turn().await {
                Ok(Recovery { undone: 1.., errors: 0, .. }) => Effect::RolledBack,
                Ok(_) | Err(_) => Effect::Partial,
            };
            (failed(error.code(), effect, chain(&error)), Vec::new())
        }
    }
}

async fn park(engine: &Engine, change: Change<'_>, verdict: Verdict) -> Verdict {
    match engine.ledger.park(change).await {
        Ok(()) => verdict,
        Err(error) => {
            tracing::error!(error = chain(&error), "a failed state could not be parked");
            verdict
        }
    }
}

/// Why there is no plan.
#[derive(Debug, thiserror::Error)]
pub enum Unplanned {
    /// The state cannot be planned.
    #[error(transparent)]
    Plan(#[from] PlanError),
    /// The worker's own memory failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

fn missing(engine: &Engine, envelope: &JobEnvelope) -> Option<Unplanned> {
    match readiness(engine, envelope) {
        Readiness::Ready => None,
        Readiness::Waiting(requirement) | Readiness::Failed(requirement) => {
            let what = format!("{} of generation {}", requirement.resource, requirement.generation);
            Some(Unplanned::Plan(PlanError::Missing(what)))
        }
    }
}

/// What would be done for a job: the preview, and the measure of drift.
///
/// # Errors
/// The state cannot be planned.
pub async fn plan(engine: &Engine, envelope: &JobEnvelope) -> Result<Plan, Unplanned> {
    let rows = engine.ledger.rows().clone();
    let (system, unsealer) = (engine.system.clone(), engine.unsealer.clone());
    let envelope = envelope.clone();
    let planned = blocking(move || {
        let facts = Facts::new(system.as_ref(), &rows);
        match &envelope.job {
            Job::Account(spec) => {
                let password = spec.sftp.password.as_ref().map(|sealed| unsealer.unseal(sealed)).transpose()?;
                web::account::plan(spec, password.as_ref(), envelope.generation, facts)
            }
            Job::PhpPool(spec) => web::php_pool::plan(spec, facts),
            Job::Site(spec) => web::site::plan(envelope.resource, spec, envelope.generation, facts),
        }
    });
    Ok(planned.await??)
}

/// How the base of the host came out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Prepared {
    /// What was done; empty if nothing had to be.
    pub steps: Vec<StepReport>,
    /// Why it failed. What had been done was put back.
    pub failure: Option<(FailureCode, String)>,
}

/// Makes the host fit for the web role. To be called at start, after [`Engine::recover`], and from time to time: PHP versions
/// come and go, and others flush packet filters.
///
/// # Errors
/// The state cannot be planned.
pub async fn prepare_host(engine: &Engine, progress: &mut Progress<'_>) -> Result<Prepared, Unplanned> {
    let _turn = engine.turn.lock().await;
    engine.recover_in_turn().await?;
    let rows = engine.ledger.rows().clone();
    let system = engine.system.clone();
    let plan = blocking(move || web::host::plan(Facts::new(system.as_ref(), &rows))).await??;
    if plan.is_empty() {
        return Ok(Prepared { steps: Vec::new(), failure: None });
    }
    let ended = run(engine, "host", plan, None, progress).await?;
    let failure = ended.failure.map(|failure| (failure.error.code(), chain(&failure.error)));
    Ok(Prepared { steps: ended.steps, failure })
}
