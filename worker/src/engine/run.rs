//! The plans of a batch from their first step to their last, with the commit points in between.

use std::sync::{Arc, mpsc as go};

use shared::events::StepReport;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

use super::batch::{Rounds, execute};
use super::error::chain;
use super::execute::{End, Executed};
use super::finish::{Remainder, finish};
use super::journal::{self, BatchJournal};
use super::outside::Pace;
use super::plan::Plan;
use super::progress::{Progress, Tell};
use super::{Engine, Recovery, Turn, blocking};
use crate::ledger::{Change, Committed};
use crate::store::StoreError;
use crate::system::System;

/// Who is told of each change of a visible step of a job of a batch: of which one, and how its steps stand.
pub type BatchProgress<'a> = dyn FnMut(usize, Vec<StepReport>) + Send + 'a;

/// What a batch has come to.
pub(crate) struct Round {
    /// These have ended, and what they did is committed.
    pub(crate) ended: Vec<(usize, Executed)>,
    /// These wait for something of their tenants', and go on when it comes.
    pub(crate) outside: Vec<usize>,
}

/// A batch that is being carried out, on a thread of its own.
///
/// An interruption leaves the journal as it is, for [`Engine::recover`].
pub(crate) struct Running {
    keys: Vec<String>,
    plans: Arc<Vec<Plan>>,
    /// Until it has ended.
    thread: Option<JoinHandle<()>>,
    messages: mpsc::UnboundedReceiver<Message>,
    go: Option<go::Sender<()>>,
    /// The last round is being looked at, and the thread waits.
    between: bool,
    /// Who was outside at its end.
    outside: Vec<usize>,
    /// Something of what was committed is still in the journal.
    left: bool,
}

/// What the thread says.
enum Message {
    Steps(usize, Vec<StepReport>),
    /// It waits until it is told to go on.
    Round(Round),
    /// The same, until it has the turn.
    Turn,
}

impl Running {
    /// Begins.
    pub(crate) fn begin(engine: &Engine, keys: Vec<String>, plans: Arc<Vec<Plan>>) -> Self {
        let (sender, messages) = mpsc::unbounded_channel();
        let (go, wait) = go::channel();
        let mut journal = BatchJournal::new(engine, keys.clone());
        let (system, carried, pace) =
            (engine.system.clone(), Arc::clone(&plans), Pace { threads: engine.threads, patience: engine.patience });
        let thread = tokio::task::spawn_blocking(move || {
            let told = sender.clone();
            // The receiver lives until the batch is given up.
            let tell = move |job: usize, steps: &[StepReport]| drop(told.send(Message::Steps(job, steps.to_vec())));
            execute(&carried, system.as_ref(), pace, &mut journal, &mut Channel { sender, wait }, &tell);
        });
        Self { keys, plans, thread: Some(thread), messages, go: Some(go), between: false, outside: Vec::new(), left: false }
    }

    /// The next round; `None` when all have ended. Between two rounds the turn is somebody else's if jobs are outside.
    ///
    /// # Errors
    /// The database did not take what was done, or a thread panicked. Then there is nothing left but [`Self::give_up`].
    pub(crate) async fn next<'e>(
        &mut self,
        engine: &'e Engine,
        turn: &mut Turn<'e>,
        changes: &[Option<Change<'_>>],
        progress: &mut BatchProgress<'_>,
    ) -> Result<Option<Round>, StoreError> {
        if std::mem::take(&mut self.between) {
            if !self.outside.is_empty() {
                turn.give_up();
            }
            self.go_on();
        }
        while let Some(message) = self.messages.recv().await {
            match message {
                Message::Steps(job, steps) => progress(job, steps),
                Message::Turn => {
                    turn.take(engine).await;
                    self.go_on();
                }
                Message::Round(Round { ended, outside }) => {
                    self.outside.clone_from(&outside);
                    let ended = self.settle(engine, ended, changes, progress).await?;
                    self.between = true;
                    return Ok(Some(Round { ended, outside }));
                }
            }
        }
        turn.take(engine).await;
        self.join().await?;
        if self.left
            && let Err(error) = engine.recover_in_turn().await
        {
            tracing::error!(error = chain(&error), "what remained of applied jobs could not be carried out; the next batch tries again");
        }
        Ok(None)
    }

    /// Who waits outside.
    pub(crate) fn outside(&self) -> &[usize] {
        &self.outside
    }

    /// Ends after an error: puts back what was not committed. Those outside are put back when they are through and `call_in` has
    /// said that they are outside no more; until then the turn is somebody else's.
    ///
    /// # Errors
    /// The journal cannot be read or written.
    pub(crate) async fn give_up<'e>(
        mut self,
        engine: &'e Engine,
        turn: &mut Turn<'e>,
        call_in: impl FnOnce(),
    ) -> Result<Recovery, StoreError> {
        self.go = None;
        let inside = engine.recover_in_turn().await;
        turn.give_up();
        // What became of the thread has been said.
        let _ = self.join().await;
        turn.take(engine).await;
        call_in();
        // What could not be put back before is put back here.
        let outside = engine.recover_in_turn().await?;
        Ok(inside.unwrap_or_default() + outside)
    }

    async fn join(&mut self) -> Result<(), StoreError> {
        match self.thread.take() {
            Some(thread) => thread.await.map_err(|_| StoreError::WorkerThread),
            None => Ok(()),
        }
    }

    fn go_on(&self) {
        if let Some(go) = &self.go {
            // A thread that has panicked hears nothing; it is noticed when its messages end.
            let _ = go.send(());
        }
    }

    /// The commit point of those that have ended, and what remains to be done after it.
    async fn settle(
        &mut self,
        engine: &Engine,
        mut ended: Vec<(usize, Executed)>,
        changes: &[Option<Change<'_>>],
        progress: &mut BatchProgress<'_>,
    ) -> Result<Vec<(usize, Executed)>, StoreError> {
        if ended.iter().any(|(_, executed)| is_cut(executed)) {
            return Ok(ended);
        }
        let (mut done, mut undone) = (Vec::new(), Vec::new());
        for (job, executed) in &ended {
            match executed.end {
                End::Done => done.push(Committed { key: &self.keys[*job], finish: &self.plans[*job].finish, change: changes[*job] }),
                End::Failed(_) | End::Blocked(_) | End::Apart(_) => undone.push(self.keys[*job].as_str()),
            }
        }
        {
            let _under_way = engine.watch.begin("the ledger");
            engine.ledger.commit(&done, &undone).await?;
        }
        let unfinished: Vec<usize> = (0..ended.len())
            .filter(|index| matches!(ended[*index].1.end, End::Done) && !self.plans[ended[*index].0].finish.is_empty())
            .collect();
        if unfinished.is_empty() {
            return Ok(ended);
        }
        let begun = unfinished.iter().map(|index| (ended[*index].0, ended[*index].1.steps.clone())).collect();
        let finished = match finish_steps(engine, &self.plans, begun, progress).await {
            Ok(finished) => finished,
            // What is committed is applied, whatever comes after: the rest is carried out as after a cut.
            Err(error) => {
                tracing::warn!(error = chain(&error), "what remained of applied jobs was not carried out; it is tried again");
                self.left = true;
                return Ok(ended);
            }
        };
        let whole = unfinished.iter().zip(&finished).filter(|(_, finished)| !is_cut(finished));
        let forgotten = journal::forget(&engine.ledger.pool, whole.map(|(index, _)| self.keys[ended[*index].0].as_str())).await;
        if let Err(error) = forgotten {
            tracing::warn!(error = chain(&error), "what is done could not be forgotten; it is done once more");
            self.left = true;
        }
        for (index, finished) in unfinished.into_iter().zip(finished) {
            ended[index].1 = finished;
        }
        Ok(ended)
    }
}

/// The thread's end of a batch.
struct Channel {
    sender: mpsc::UnboundedSender<Message>,
    wait: go::Receiver<()>,
}

impl Channel {
    /// Says something, and waits to be told to go on. False if nobody will.
    fn say(&self, message: Message) -> bool {
        self.sender.send(message).is_ok() && self.wait.recv().is_ok()
    }
}

impl Rounds for Channel {
    fn end(&mut self, ended: Vec<(usize, Executed)>, outside: Vec<usize>) -> bool {
        self.say(Message::Round(Round { ended, outside }))
    }

    fn begin(&mut self) -> bool {
        self.say(Message::Turn)
    }
}

fn is_cut(executed: &Executed) -> bool {
    matches!(&executed.end, End::Failed(failure) if failure.error.is_interruption())
}

async fn finish_steps(
    engine: &Engine,
    plans: &Arc<Vec<Plan>>,
    begun: Vec<(usize, Vec<StepReport>)>,
    progress: &mut BatchProgress<'_>,
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
    progress: &mut BatchProgress<'_>,
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
