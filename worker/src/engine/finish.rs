//! What remains of jobs after the commit point, done for all of them together.
//!
//! **Only ever carried forward.** Every step is safe to repeat, so a cut in between costs nothing but time.

use std::sync::Arc;

use shared::events::StepState;
use shared::failure::Effect;
use shared::names::LinuxUser;

use super::error::{StepError, chain};
use super::execute::{End, Executed, Failure};
use super::plan::{FinishAction, FinishStep};
use super::progress::Progress;
use crate::system::{System, SystemError};

/// What remains of one job.
pub(crate) struct Remainder<'a> {
    steps: &'a [FinishStep],
    at: usize,
    /// None where nobody is told: at a start after a cut.
    progress: Option<Progress<'a>>,
    error: Option<Arc<SystemError>>,
}

impl<'a> Remainder<'a> {
    pub(crate) const fn new(steps: &'a [FinishStep], progress: Option<Progress<'a>>) -> Self {
        Self { steps, at: 0, progress, error: None }
    }

    /// What could not be done.
    pub(crate) fn error(&self) -> Option<&Arc<SystemError>> {
        self.error.as_ref()
    }

    fn next(&self) -> Option<&'a FinishStep> {
        self.steps.get(self.at).filter(|_| self.error.is_none())
    }

    fn begin(&mut self, others: usize) {
        if let (Some(step), Some(progress)) = (self.next(), &mut self.progress) {
            progress.begin(&step.name);
            progress.share(others);
        }
    }

    fn take(&mut self, done: Result<(), SystemError>) {
        match done {
            Ok(()) => self.at += 1,
            Err(error) => self.error = Some(Arc::new(error)),
        }
    }

    /// The outcome of its steps. `None` if nobody was told of them.
    pub(crate) fn end(self) -> Option<Executed> {
        let mut progress = self.progress?;
        let Some(error) = self.error.map(StepError::Left) else {
            progress.end(StepState::Done);
            return Some(Executed { steps: progress.into_steps(), end: End::Done });
        };
        progress.note(&chain(&error));
        progress.end(StepState::Failed);
        let failure = Failure { error: Arc::new(error), effect: Effect::Partial };
        Some(Executed { steps: progress.into_steps(), end: End::Failed(failure) })
    }
}

/// Carries out all that remains.
pub(crate) fn finish(jobs: &mut [Remainder<'_>], system: &dyn System) {
    while let Some(what) = jobs.iter().filter_map(Remainder::next).map(Kind::of).min() {
        let is_one = |job: &&mut Remainder<'_>| job.next().is_some_and(|step| Kind::of(step) == what);
        let mut waiting: Vec<&mut Remainder<'_>> = jobs.iter_mut().filter(is_one).collect();
        let others = waiting.len() - 1;
        waiting.iter_mut().for_each(|job| job.begin(others));
        let actions: Vec<&FinishAction> = waiting.iter().filter_map(|job| job.next()).map(|step| &step.action).collect();
        match act(&actions, system) {
            Ok(()) => waiting.iter_mut().for_each(|job| job.take(Ok(()))),
            Err(SystemError::Interrupted) => waiting.iter_mut().for_each(|job| job.take(Err(SystemError::Interrupted))),
            // One of them may be to blame.
            Err(_) => waiting.iter_mut().zip(actions).for_each(|(job, action)| job.take(act(&[action], system))),
        }
    }
}

/// What is done in one call, in the order in which those that wait at different ones go on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Kind {
    Processes,
    Users,
}

impl Kind {
    const fn of(step: &FinishStep) -> Self {
        match step.action {
            FinishAction::EndProcesses { .. } => Self::Processes,
            FinishAction::RemoveUser { .. } => Self::Users,
        }
    }
}

/// Does actions of one kind in one call.
fn act(actions: &[&FinishAction], system: &dyn System) -> Result<(), SystemError> {
    let (mut uids, mut leavers) = (Vec::new(), Vec::new());
    for action in actions {
        match action {
            FinishAction::EndProcesses { uid } => uids.push(*uid),
            FinishAction::RemoveUser { user, uid } => leavers.push((user, *uid)),
        }
    }
    if !uids.is_empty() {
        system.end_processes(&uids)?;
    }
    if !leavers.is_empty() {
        remove_users(&leavers, system)?;
    }
    Ok(())
}

/// Removes users that have the numbers they should: a later user of a name is safe.
fn remove_users(leavers: &[(&LinuxUser, u32)], system: &dyn System) -> Result<(), SystemError> {
    let known = system.users()?;
    let mut names = Vec::new();
    for (user, uid) in leavers {
        let number = match known.get(user.as_str()) {
            Some(record) => Some(record.uid),
            // Its group may have been left behind.
            None => system.group(user.as_str())?,
        };
        if number == Some(*uid) {
            names.push(*user);
        }
    }
    if names.is_empty() { Ok(()) } else { system.remove_users(&names) }
}
