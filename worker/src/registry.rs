//! The entry point: verified jobs in, one outcome for each out. An exhaustive table of which role plans which job.

mod conflicts;
mod halving;
mod planning;

use std::collections::HashMap;
use std::sync::Arc;

use shared::events::{Outcome, StepReport, Verdict};
use shared::failure::{Effect, FailureCode};
use shared::jobs::{JobEnvelope, Requirement};

use self::conflicts::Conflicts;
use self::halving::{Apart, Attempt, Halving};
use crate::engine::error::{StepError, chain};
use crate::engine::execute::{End, Executed, Failure};
use crate::engine::facts::View;
use crate::engine::plan::Plan;
use crate::engine::{Engine, Recovery, blocking, run};
use crate::ledger::{Change, RowState, Rows};
use crate::roles::{PlanError, web};
use crate::store::{StoreError, now_ms};

pub use planning::{Compared, Unplanned, compare, plan, propose};

/// Who is told of each change of a visible step.
pub type Progress<'a> = dyn FnMut(Vec<StepReport>) + Send + 'a;
/// Who is told of each change of a visible step of a job of a batch: of which one, and how its steps stand.
pub type BatchProgress<'a> = dyn FnMut(usize, Vec<StepReport>) + Send + 'a;

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
    /// It was not begun, since it touches what another job of the batch touches: its turn is the next batch.
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
    let _turn = engine.turn.lock().await;
    let mut batch = Batch { envelopes, started_ms: now_ms(), carried: envelopes.iter().map(|_| None).collect(), kept: Vec::new() };
    match prepare(engine, envelopes).await {
        Ok(mut settled) => {
            for (index, envelope) in envelopes.iter().enumerate() {
                batch.carried[index] = settled.remove(&envelope.id).map(Carried::Ended);
            }
            let todo = (0..envelopes.len()).filter(|index| batch.carried[*index].is_none()).collect();
            batch.carry(engine, todo, progress).await;
        }
        Err(error) => (0..envelopes.len()).for_each(|index| batch.end(index, failed_by_store(&error), Vec::new())),
    }
    let outcomes: Vec<&Outcome> = batch.kept.iter().filter_map(|index| batch.outcome(*index)).collect();
    if let Err(error) = engine.ledger.settle(&outcomes).await {
        tracing::warn!(error = chain(&error), "outcomes could not be kept; what is lost of them is judged again");
    }
    batch.carried.into_iter().map(|carried| carried.unwrap_or(Carried::Deferred)).collect()
}

/// The outcomes that some jobs had already. What was left in flight is settled.
async fn prepare(engine: &Engine, envelopes: &[JobEnvelope]) -> Result<HashMap<shared::ids::JobId, Outcome>, StoreError> {
    let settled = engine.ledger.settled(envelopes.iter().map(|envelope| (envelope.id, envelope.attempt))).await?;
    engine.recover_in_turn().await?;
    Ok(settled)
}

/// Jobs that are carried out together, and what became of them so far.
struct Batch<'a> {
    envelopes: &'a [JobEnvelope],
    started_ms: i64,
    carried: Vec<Option<Carried>>,
    /// Those whose outcomes are new.
    kept: Vec<usize>,
}

impl<'a> Batch<'a> {
    /// Carries jobs out; those that failed together once more, in halves.
    async fn carry(&mut self, engine: &Engine, todo: Vec<usize>, progress: &mut BatchProgress<'_>) {
        let (mut groups, mut halving) = (vec![todo], Halving::default());
        while let Some(group) = groups.pop() {
            let Attempt { apart, applied } = self.attempt(engine, group, progress).await;
            halving.learn(apart.len(), applied);
            let Some(error) = apart.first().map(|apart| Arc::clone(&apart.error)) else { continue };
            if halving.is_in_vain() {
                let rest = groups.drain(..).flatten().collect();
                return self.give_up(engine, apart, rest, &error).await;
            }
            let mut first: Vec<usize> = apart.into_iter().map(|apart| apart.index).collect();
            let second = first.split_off(first.len() / 2);
            groups.extend([second, first]);
        }
    }

    /// It fails for everybody, so it is nobody's fault: those who have been put back fail for it, and `rest` are not tried.
    async fn give_up(&mut self, engine: &Engine, apart: Vec<Apart>, rest: Vec<usize>, error: &StepError) {
        let verdict = |effect| failed(error.code(), effect, chain(error));
        let mut parked = Vec::new();
        for Apart { index, steps, .. } in apart {
            self.end(index, verdict(Effect::RolledBack), steps);
            parked.push(self.change(index));
        }
        for index in rest {
            self.end(index, verdict(Effect::RolledBack), Vec::new());
            parked.push(self.change(index));
        }
        self.park(engine, &parked).await;
    }

    async fn park(&self, engine: &Engine, parked: &[Change<'a>]) {
        if let Err(error) = engine.ledger.park(parked).await {
            tracing::error!(error = chain(&error), "failed states could not be parked");
        }
    }

    /// Carries jobs out once.
    async fn attempt(&mut self, engine: &Engine, mut group: Vec<usize>, progress: &mut BatchProgress<'_>) -> Attempt {
        let rows = engine.ledger.rows();
        group.retain(|index| self.is_fit(*index, &rows));
        let mut conflicts = Conflicts::default();
        group.retain(|index| conflicts.admit(&self.envelopes[*index], &rows));
        let planned = planning::plan_all(engine, group.iter().map(|index| self.envelopes[*index].clone()).collect(), rows).await;
        let planned = match planned {
            Ok(planned) => planned,
            // A panic is the fault of one of them, and its alone.
            Err(StoreError::WorkerThread) if group.len() > 1 => return Attempt::panicked(&group),
            Err(error) => {
                group.into_iter().for_each(|index| self.end(index, failed_by_store(&error), Vec::new()));
                return Attempt::default();
            }
        };
        let (mut members, mut plans, mut parked) = (Vec::new(), Vec::new(), Vec::new());
        for (index, planned) in group.into_iter().zip(planned) {
            match planned {
                Ok(plan) if conflicts.admit_plan(&self.envelopes[index], &plan) => {
                    members.push(index);
                    plans.push(plan);
                }
                Ok(_) => {}
                Err(error) => {
                    self.end(index, failed(error.code(), Effect::NothingChanged, chain(&error)), Vec::new());
                    parked.push(self.change(index));
                }
            }
        }
        let attempt = self.run(engine, &members, plans, progress, &mut parked).await;
        self.park(engine, &parked).await;
        attempt
    }

    async fn run(
        &mut self,
        engine: &Engine,
        members: &[usize],
        plans: Vec<Plan>,
        progress: &mut BatchProgress<'_>,
        parked: &mut Vec<Change<'a>>,
    ) -> Attempt {
        if members.is_empty() {
            return Attempt::default();
        }
        let keys: Vec<String> = members.iter().map(|index| self.envelopes[*index].id.to_string()).collect();
        let changes: Vec<Option<Change<'a>>> = members.iter().map(|index| Some(self.change(*index))).collect();
        let executed = run(engine, &keys, plans, &changes, &mut |member, steps| progress(members[member], steps)).await;
        let executed = match executed {
            Ok(executed) => executed,
            Err(error) => {
                // The database did not take the end of the batch, or a thread panicked: the journal tells what to put back.
                let recovered = engine.recover_in_turn().await;
                // As above. What was put back whole can be begun again without the others.
                if matches!((&error, &recovered), (StoreError::WorkerThread, Ok(Recovery { errors: 0, .. }))) && members.len() > 1 {
                    return Attempt::panicked(members);
                }
                let effect = match recovered {
                    Ok(Recovery { undone: 1.., errors: 0, .. }) => Effect::RolledBack,
                    Ok(_) | Err(_) => Effect::Partial,
                };
                members.iter().for_each(|index| self.end(*index, failed(error.code(), effect, chain(&error)), Vec::new()));
                return Attempt::default();
            }
        };
        let mut attempt = Attempt::default();
        for (index, Executed { steps, end }) in members.iter().copied().zip(executed) {
            match end {
                End::Done => {
                    attempt.applied = true;
                    self.end(index, Verdict::Applied, steps);
                }
                End::Blocked(said) => self.carried[index] = Some(Carried::Blocked { said, steps }),
                End::Apart(error) => attempt.apart.push(Apart { index, error, steps }),
                End::Failed(Failure { error, effect }) => {
                    self.end(index, failed(error.code(), effect, chain(error.as_ref())), steps);
                    // After a cut nothing is written any more: the next start decides.
                    if error.is_interruption() {
                        self.kept.pop();
                    } else {
                        parked.push(self.change(index));
                    }
                }
            }
        }
        attempt
    }

    /// Whether a job is to be planned. One that is not has ended.
    fn is_fit(&mut self, index: usize, rows: &Rows) -> bool {
        let envelope = &self.envelopes[index];
        if envelope.job.kind() != envelope.resource.kind() {
            let detail = format!("a {} job for {}", envelope.job.kind(), envelope.resource);
            self.end(index, failed(FailureCode::BadJob, Effect::NothingChanged, detail), Vec::new());
            return false;
        }
        if rows.get(envelope.resource).is_some_and(|row| row.generation > envelope.generation) {
            self.end(index, Verdict::Superseded, Vec::new());
            return false;
        }
        true
    }

    fn change(&self, index: usize) -> Change<'a> {
        let envelope = &self.envelopes[index];
        Change { resource: envelope.resource, generation: envelope.generation, spec: &envelope.job }
    }

    fn end(&mut self, index: usize, verdict: Verdict, steps: Vec<StepReport>) {
        let envelope = &self.envelopes[index];
        if let Verdict::Failed { code, detail, .. } = &verdict {
            tracing::warn!(job.id = %envelope.id, job.resource = %envelope.resource, failure.code = %code, failure.detail = detail, "a job failed");
        }
        self.carried[index] = Some(Carried::Ended(Outcome {
            job: envelope.id,
            operation: envelope.operation,
            resource: envelope.resource,
            generation: envelope.generation,
            attempt: envelope.attempt,
            verdict,
            steps,
            started_ms: self.started_ms,
            finished_ms: now_ms(),
        }));
        self.kept.push(index);
    }

    fn outcome(&self, index: usize) -> Option<&Outcome> {
        match &self.carried[index] {
            Some(Carried::Ended(outcome)) => Some(outcome),
            Some(Carried::Blocked { .. } | Carried::Deferred) | None => None,
        }
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
    let (rows, system) = (engine.ledger.rows(), engine.system.clone());
    let plan = blocking(move || web::host::plan(View::new(system.as_ref(), &rows, Default::default()).facts())).await??;
    let mut prepared = Prepared { steps: Vec::new(), failure: None };
    if plan.is_empty() {
        return Ok(prepared);
    }
    let executed = run(engine, &["host".to_owned()], vec![plan], &[None], &mut |_, steps| progress(steps)).await?;
    for Executed { steps, end } in executed {
        prepared.steps = steps;
        prepared.failure = match end {
            End::Done => None,
            End::Failed(failure) => Some((failure.error.code(), chain(failure.error.as_ref()))),
            End::Blocked(said) => Some((FailureCode::HostConfigBroken, said)),
            End::Apart(error) => Some((error.code(), chain(error.as_ref()))),
        };
    }
    Ok(prepared)
}
