//! A batch from its plans to everybody's verdict, in rounds: what has ended is told while others still wait.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use shared::events::{Outcome, StepReport, Verdict};
use shared::failure::{Effect, FailureCode};
use shared::ids::{BatchId, JobId};
use shared::jobs::JobEnvelope;
use shared::record::{JobRecord, PlannedAction};

use super::conflicts::Conflicts;
use super::halving::{Apart, Attempt, Halving};
use super::{BatchNews, Carried, News, planning};
use crate::engine::error::{StepError, chain};
use crate::engine::execute::{End, Executed, Failure};
use crate::engine::plan::Plan;
use crate::engine::{Engine, Outsider, Recovery, Running, Turn};
use crate::ledger::{Change, Rows};
use crate::store::{StoreError, now_ms};

/// Jobs that are carried out together, and what became of them so far.
pub(super) struct Batch<'a> {
    envelopes: &'a [JobEnvelope],
    id: BatchId,
    /// How many are carried out together.
    size: usize,
    started_ms: i64,
    /// What became of each, until it is told.
    carried: Vec<Option<Carried>>,
    told: Vec<bool>,
    /// What was planned for each.
    plans: Vec<Vec<PlannedAction>>,
    /// Those whose outcomes are new.
    kept: Vec<usize>,
}

impl<'a> Batch<'a> {
    pub(super) fn new(envelopes: &'a [JobEnvelope]) -> Self {
        Self {
            envelopes,
            id: BatchId::new(),
            size: envelopes.len(),
            started_ms: now_ms(),
            carried: envelopes.iter().map(|_| None).collect(),
            told: envelopes.iter().map(|_| false).collect(),
            plans: envelopes.iter().map(|_| Vec::new()).collect(),
            kept: Vec::new(),
        }
    }

    /// Carries all of them out, and tells what becomes of each.
    pub(super) async fn carry_out<'e>(mut self, engine: &'e Engine, turn: &mut Turn<'e>, news: &mut BatchNews<'_>) {
        let all = 0..self.envelopes.len();
        match prepare(engine, self.envelopes).await {
            Ok(mut settled) => {
                for (index, envelope) in self.envelopes.iter().enumerate() {
                    self.carried[index] = settled.remove(&envelope.id).map(Carried::Ended);
                }
                let todo = all.clone().filter(|index| self.carried[*index].is_none()).collect();
                self.carry(engine, turn, todo, news).await;
            }
            Err(error) => all.clone().for_each(|index| self.end(index, failed_by_store(&error), Vec::new())),
        }
        self.tell(engine, news).await;
        for index in all.filter(|index| !self.told[*index]) {
            news(News::Ended(index, Carried::Deferred));
        }
    }

    /// Carries jobs out; those that failed together once more, in halves. One that failed so alone is tried once more by itself.
    async fn carry<'e>(&mut self, engine: &'e Engine, turn: &mut Turn<'e>, todo: Vec<usize>, news: &mut BatchNews<'_>) {
        let (mut groups, mut halving, mut again) = (vec![todo], Halving::default(), HashSet::new());
        while let Some(mut group) = groups.pop() {
            group.retain(|index| !self.told[*index]);
            if group.is_empty() {
                continue;
            }
            let Attempt { apart, applied } = self.attempt(engine, turn, group, news).await;
            halving.learn(apart.len(), applied);
            let Some(error) = apart.first().map(|apart| Arc::clone(&apart.error)) else { continue };
            if let [Apart { index, .. }] = apart[..]
                && !again.insert(index)
            {
                self.give_up(engine, apart, Vec::new(), &error).await;
                continue;
            }
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
        park(engine, &parked).await;
    }

    /// Carries jobs out once.
    async fn attempt<'e>(&mut self, engine: &'e Engine, turn: &mut Turn<'e>, mut group: Vec<usize>, news: &mut BatchNews<'_>) -> Attempt {
        let rows = engine.ledger.rows();
        group.retain(|index| self.is_fit(*index, &rows));
        let mut conflicts = Conflicts::default();
        for outsider in engine.outsiders() {
            conflicts.admit(&outsider.envelope, &rows);
            conflicts.admit_plan(&outsider.envelope, outsider.plan());
        }
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
                Ok(planned) if conflicts.admit_plan(&self.envelopes[index], &planned.plan) => {
                    members.push(index);
                    plans.push(planned.plan);
                    self.plans[index] = planned.words;
                }
                Ok(_) => {}
                Err(error) => {
                    self.end(index, failed(error.code(), Effect::NothingChanged, chain(&error)), Vec::new());
                    parked.push(self.change(index));
                }
            }
        }
        park(engine, &parked).await;
        self.run(engine, turn, &members, plans, news).await
    }

    async fn run<'e>(
        &mut self,
        engine: &'e Engine,
        turn: &mut Turn<'e>,
        members: &[usize],
        plans: Vec<Plan>,
        news: &mut BatchNews<'_>,
    ) -> Attempt {
        let mut attempt = Attempt::default();
        if members.is_empty() {
            return attempt;
        }
        self.size = members.len();
        let keys: Vec<String> = members.iter().map(|index| self.envelopes[*index].id.to_string()).collect();
        let changes: Vec<Option<Change<'a>>> = members.iter().map(|index| Some(self.change(*index))).collect();
        let plans = Arc::new(plans);
        let outside = Outside { engine, keys: &keys };
        let mut running = Running::begin(engine, keys.clone(), Arc::clone(&plans));
        let envelopes = self.envelopes;
        let outsider = |member: usize| Outsider { envelope: envelopes[members[member]].clone(), plans: Arc::clone(&plans), member };
        loop {
            let round = running.next(engine, turn, &changes, &mut |member, steps| news(News::Steps(members[member], steps))).await;
            match round {
                Ok(None) => return attempt,
                Ok(Some(round)) => {
                    outside.come_in(round.ended.iter().map(|(member, _)| *member));
                    outside.go_out(&round.outside, outsider);
                    let lets_pass = !round.outside.is_empty();
                    let parked = self.judge(members, round.ended, &mut attempt);
                    park(engine, &parked).await;
                    if lets_pass {
                        self.defer_all_but(round.outside.iter().map(|member| members[*member]).collect());
                    }
                    self.tell(engine, news).await;
                    if lets_pass {
                        news(News::LetsPass);
                        let apart = std::mem::take(&mut attempt.apart).len();
                        if apart > 0 {
                            news(News::Parted(apart));
                        }
                    }
                }
                Err(error) => {
                    // The database did not take the end of a round, or a thread panicked: the journal tells what to put back.
                    outside.go_out(running.outside(), outsider);
                    let recovered = running.give_up(engine, turn, || drop(outside)).await;
                    let open: Vec<usize> = members.iter().copied().filter(|index| !self.told[*index]).collect();
                    // As above. What was put back whole can be begun again without the others.
                    if matches!((&error, &recovered), (StoreError::WorkerThread, Ok(Recovery { errors: 0, .. }))) && open.len() > 1 {
                        return Attempt::panicked(&open);
                    }
                    let effect = match recovered {
                        Ok(Recovery { undone: 1.., errors: 0, .. }) => Effect::RolledBack,
                        Ok(_) | Err(_) => Effect::Partial,
                    };
                    open.into_iter().for_each(|index| self.end(index, failed(error.code(), effect, chain(&error)), Vec::new()));
                    // All have ended, those that went apart too.
                    return Attempt { apart: Vec::new(), applied: attempt.applied };
                }
            }
        }
    }

    /// The next batch may begin: what has not been begun, or has been put back, is for it, rather than to wait for `outside`.
    fn defer_all_but(&mut self, outside: HashSet<usize>) {
        for (index, carried) in self.carried.iter_mut().enumerate() {
            if carried.is_none() && !self.told[index] && !outside.contains(&index) {
                *carried = Some(Carried::Deferred);
            }
        }
    }

    /// What became of members that have ended. Gives the states to be parked.
    fn judge(&mut self, members: &[usize], ended: Vec<(usize, Executed)>, attempt: &mut Attempt) -> Vec<Change<'a>> {
        let mut parked = Vec::new();
        for (member, Executed { steps, end }) in ended {
            let index = members[member];
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
        parked
    }

    /// Keeps the outcomes that are new, and tells what became of jobs since it was last told.
    async fn tell(&mut self, engine: &Engine, news: &mut BatchNews<'_>) {
        let kept = std::mem::take(&mut self.kept);
        let outcomes: Vec<&Outcome> = kept.iter().filter_map(|index| self.outcome(*index)).collect();
        if let Err(error) = engine.ledger.settle(&outcomes).await {
            tracing::warn!(error = chain(&error), "outcomes could not be kept; what is lost of them is judged again");
        }
        for index in 0..self.carried.len() {
            if let Some(carried) = self.carried[index].take() {
                self.told[index] = true;
                news(News::Ended(index, carried));
            }
        }
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
            record: Some(JobRecord {
                batch: Some(self.id),
                batch_size: u32::try_from(self.size).unwrap_or(u32::MAX),
                begun: 1,
                plan: std::mem::take(&mut self.plans[index]),
                tries: Vec::new(),
            }),
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

/// Keeps failed states parked, and what was applied stays.
async fn park(engine: &Engine, parked: &[Change<'_>]) {
    if let Err(error) = engine.ledger.park(parked).await {
        tracing::error!(error = chain(&error), "failed states could not be parked");
    }
}

/// The members of a batch that wait outside of it; all are called in when the batch is over.
struct Outside<'a> {
    engine: &'a Engine,
    keys: &'a [String],
}

impl Outside<'_> {
    /// These are not outside any more.
    fn come_in(&self, members: impl Iterator<Item = usize>) {
        self.engine.call_in(members.map(|member| self.keys[member].as_str()));
    }

    /// These are.
    fn go_out(&self, members: &[usize], outsider: impl Fn(usize) -> Outsider) {
        for member in members {
            self.engine.let_outside(&self.keys[*member], || outsider(*member));
        }
    }
}

impl Drop for Outside<'_> {
    fn drop(&mut self) {
        self.engine.call_in(self.keys.iter().map(String::as_str));
    }
}

fn failed(code: FailureCode, effect: Effect, detail: String) -> Verdict {
    Verdict::Failed { code, effect, detail: crate::system::cut(detail, 4096) }
}

fn failed_by_store(error: &StoreError) -> Verdict {
    failed(error.code(), Effect::NothingChanged, chain(error))
}

/// The outcomes that some jobs had already. What was left in flight is settled.
async fn prepare(engine: &Engine, envelopes: &[JobEnvelope]) -> Result<HashMap<JobId, Outcome>, StoreError> {
    let settled = engine.ledger.settled(envelopes.iter().map(|envelope| (envelope.id, envelope.attempt))).await?;
    engine.recover_in_turn().await?;
    Ok(settled)
}
