//! What remains of jobs after the commit point: each by itself, but users are removed together.
//!
//! **Only ever carried forward.** Every step is safe to repeat, so a cut in between costs nothing but time.

use std::sync::Arc;

use shared::events::StepState;
use shared::failure::Effect;
use shared::names::LinuxUser;

use super::error::{StepError, chain};
use super::execute::{End, Executed, Failure};
use super::parallel::side_by_side;
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

    /// The user it waits to have removed.
    fn leaver(&self) -> Option<(&'a LinuxUser, u32)> {
        match &self.next()?.action {
            FinishAction::RemoveUser { user, uid } => Some((user, *uid)),
            FinishAction::EndProcesses { .. } => None,
        }
    }

    fn begin(&mut self) {
        if let (Some(step), Some(progress)) = (self.next(), &mut self.progress) {
            progress.begin(&step.name);
        }
    }

    fn take(&mut self, done: Result<(), SystemError>) {
        match done {
            Ok(()) => self.at += 1,
            Err(error) => self.error = Some(Arc::new(error)),
        }
    }

    /// Goes on until a user is to be removed.
    fn go(&mut self, system: &dyn System) {
        while let Some(FinishStep { action: FinishAction::EndProcesses { uid }, .. }) = self.next() {
            self.begin();
            self.take(system.end_processes(*uid));
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
pub(crate) fn finish(jobs: &mut [Remainder<'_>], system: &dyn System, threads: usize) {
    loop {
        side_by_side(threads, jobs.iter_mut().collect(), |job: &mut Remainder<'_>| job.go(system));
        let mut waiting: Vec<&mut Remainder<'_>> = jobs.iter_mut().filter(|job| job.leaver().is_some()).collect();
        if waiting.is_empty() {
            return;
        }
        let others = waiting.len() - 1;
        for job in &mut waiting {
            job.begin();
            if let Some(progress) = &mut job.progress {
                progress.share(others);
            }
        }
        let leavers: Vec<_> = waiting.iter().filter_map(|job| job.leaver()).collect();
        match remove_users(&leavers, system) {
            Ok(()) => waiting.iter_mut().for_each(|job| job.at += 1),
            Err(SystemError::Interrupted) => waiting.iter_mut().for_each(|job| job.take(Err(SystemError::Interrupted))),
            // One of them may be to blame.
            Err(_) => waiting.iter_mut().zip(leavers).for_each(|(job, leaver)| job.take(remove_users(&[leaver], system))),
        }
    }
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
