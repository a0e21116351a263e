//! The plans of a batch from their first step to their last, with the commit point in between.

use std::sync::Arc;

use shared::events::StepReport;
use tokio::runtime::Handle;
use tokio::sync::mpsc;

use super::batch::execute;
use super::execute::{End, Executed};
use super::finish::{Remainder, finish};
use super::journal::{self, BatchJournal};
use super::plan::Plan;
use super::progress::{Progress, Tell};
use super::{Engine, blocking};
use crate::ledger::{Change, Committed};
use crate::store::StoreError;
use crate::system::System;

/// Who is told of each change of a visible step: of which job of the batch, and how its steps stand.
pub(crate) type Told<'a> = dyn FnMut(usize, Vec<StepReport>) + Send + 'a;

/// Carries the plans of a batch out. `changes` are what the ledger learns of each job at the commit point.
///
/// An interruption leaves the journal as it is, for [`Engine::recover`].
pub(crate) async fn run(
    engine: &Engine,
    keys: &[String],
    plans: Vec<Plan>,
    changes: &[Option<Change<'_>>],
    progress: &mut Told<'_>,
) -> Result<Vec<Executed>, StoreError> {
    let plans = Arc::new(plans);
    let mut executed = steps(engine, keys, &plans, progress).await?;
    if executed.iter().any(is_cut) {
        return Ok(executed);
    }
    let (mut done, mut undone) = (Vec::new(), Vec::new());
    for (job, executed) in executed.iter().enumerate() {
        match executed.end {
            End::Done => done.push(Committed { key: &keys[job], finish: &plans[job].finish, change: changes[job] }),
            End::Failed(_) | End::Blocked(_) | End::Apart(_) => undone.push(keys[job].as_str()),
        }
    }
    engine.ledger.commit(&done, &undone).await?;
    let unfinished: Vec<usize> =
        (0..plans.len()).filter(|job| matches!(executed[*job].end, End::Done) && !plans[*job].finish.is_empty()).collect();
    if unfinished.is_empty() {
        return Ok(executed);
    }
    let begun = unfinished.iter().map(|job| (*job, std::mem::take(&mut executed[*job].steps))).collect();
    let finished = finish_steps(engine, &plans, begun, progress).await?;
    let whole = unfinished.iter().zip(&finished).filter(|(_, finished)| !is_cut(finished));
    journal::forget(&engine.ledger.pool, whole.map(|(job, _)| keys[*job].as_str())).await?;
    for (job, finished) in unfinished.into_iter().zip(finished) {
        executed[job] = finished;
    }
    Ok(executed)
}

fn is_cut(executed: &Executed) -> bool {
    matches!(&executed.end, End::Failed(failure) if failure.error.is_interruption())
}

async fn steps(engine: &Engine, keys: &[String], plans: &Arc<Vec<Plan>>, progress: &mut Told<'_>) -> Result<Vec<Executed>, StoreError> {
    let mut journal = BatchJournal::new(engine.ledger.pool.clone(), Handle::current(), keys.to_vec());
    let (plans, threads) = (Arc::clone(plans), engine.threads);
    on_thread(engine, progress, move |system, tell| execute(&plans, system, threads, &mut journal, tell)).await
}

async fn finish_steps(
    engine: &Engine,
    plans: &Arc<Vec<Plan>>,
    begun: Vec<(usize, Vec<StepReport>)>,
    progress: &mut Told<'_>,
) -> Result<Vec<Executed>, StoreError> {
    let plans = Arc::clone(plans);
    on_thread(engine, progress, move |system, tell| {
        let remainder =
            |(job, steps): (usize, Vec<StepReport>)| Remainder::new(&plans[job].finish, Some(Progress::resume(job, steps, tell)));
        let mut jobs: Vec<Remainder<'_>> = begun.into_iter().map(remainder).collect();
        finish(&mut jobs, system);
        jobs.into_iter().filter_map(Remainder::end).collect()
    })
    .await
}

/// Runs blocking work on its own thread while its progress is passed on from here.
async fn on_thread(
    engine: &Engine,
    progress: &mut Told<'_>,
    work: impl FnOnce(&dyn System, &Tell) -> Vec<Executed> + Send + 'static,
) -> Result<Vec<Executed>, StoreError> {
    let (sender, mut receiver) = mpsc::unbounded_channel();
    let system = engine.system.clone();
    let thread = blocking(move || {
        // The receiver lives until the sender, which this closure owns, is gone.
        let tell = move |job: usize, steps: &[StepReport]| drop(sender.send((job, steps.to_vec())));
        work(system.as_ref(), &tell)
    });
    let relay = async {
        while let Some((job, steps)) = receiver.recv().await {
            progress(job, steps);
        }
    };
    let (executed, ()) = tokio::join!(thread, relay);
    executed
}
