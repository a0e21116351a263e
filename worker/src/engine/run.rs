//! One plan from its first step to its last, with the commit point in between.

use std::sync::Arc;

use shared::events::StepReport;
use tokio::runtime::Handle;
use tokio::sync::mpsc;

use super::execute::{Executed, Failure, execute, finish};
use super::journal::{self, JobJournal};
use super::plan::Plan;
use super::{Engine, blocking};
use crate::ledger::Change;
use crate::store::StoreError;
use crate::system::System;

/// How a plan ended.
pub(crate) struct Ended {
    /// The visible steps.
    pub(crate) steps: Vec<StepReport>,
    /// Why it failed.
    pub(crate) failure: Option<Failure>,
}

/// Carries a plan out. `change` is what the ledger learns at the commit point.
///
/// An interruption leaves the journal as it is, for [`Engine::recover`].
pub(crate) async fn run(
    engine: &Engine,
    key: &str,
    plan: Plan,
    change: Option<Change<'_>>,
    progress: &mut (dyn FnMut(Vec<StepReport>) + Send),
) -> Result<Ended, StoreError> {
    let plan = Arc::new(plan);
    let ended = steps(engine, key, &plan, progress).await?;
    if let Some(failure) = &ended.failure {
        if !failure.error.is_interruption() {
            journal::forget(&engine.ledger.pool, key).await?;
        }
        return Ok(ended);
    }
    engine.ledger.commit(key, &plan.finish, change).await?;
    if plan.finish.is_empty() {
        return Ok(ended);
    }
    let ended = finish_steps(engine, &plan, ended.steps, progress).await?;
    if ended.failure.as_ref().is_none_or(|failure| !failure.error.is_interruption()) {
        journal::forget(&engine.ledger.pool, key).await?;
    }
    Ok(ended)
}

async fn steps(
    engine: &Engine,
    key: &str,
    plan: &Arc<Plan>,
    progress: &mut (dyn FnMut(Vec<StepReport>) + Send),
) -> Result<Ended, StoreError> {
    let mut journal = JobJournal::new(engine.ledger.pool.clone(), Handle::current(), key.to_owned());
    let plan = plan.clone();
    on_thread(engine, progress, move |system, tell| execute(&plan, system, &mut journal, tell)).await
}

async fn finish_steps(
    engine: &Engine,
    plan: &Arc<Plan>,
    steps: Vec<StepReport>,
    progress: &mut (dyn FnMut(Vec<StepReport>) + Send),
) -> Result<Ended, StoreError> {
    let plan = plan.clone();
    on_thread(engine, progress, move |system, tell| finish(&plan.finish, steps, system, tell)).await
}

/// Runs blocking work on its own thread while its progress is passed on from here.
async fn on_thread(
    engine: &Engine,
    progress: &mut (dyn FnMut(Vec<StepReport>) + Send),
    work: impl FnOnce(&dyn System, &mut (dyn FnMut(&[StepReport]) + Send)) -> Executed + Send + 'static,
) -> Result<Ended, StoreError> {
    let (sender, mut receiver) = mpsc::unbounded_channel();
    let system = engine.system.clone();
    let thread = blocking(move || {
        // The receiver lives until the sender, which this closure owns, is gone.
        let mut tell = |steps: &[StepReport]| drop(sender.send(steps.to_vec()));
        work(system.as_ref(), &mut tell)
    });
    let relay = async {
        while let Some(steps) = receiver.recv().await {
            progress(steps);
        }
    };
    let (executed, ()) = tokio::join!(thread, relay);
    let Executed { steps, failure } = executed?;
    Ok(Ended { steps, failure })
}
