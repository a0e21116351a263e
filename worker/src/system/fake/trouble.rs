//! What goes wrong on the fake host: the n-th changing call fails, stalls, or has the worker cut off.

use std::sync::PoisonError;
use std::time::Duration;

use super::{FakeSystem, State};
use crate::system::{CommandError, SystemError};

/// What is to happen at the n-th changing call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Trouble {
    /// It fails and has no effect.
    Fail,
    /// It takes too long and has no effect.
    TimeOut,
    /// The worker is cut off before it.
    CutBefore,
    /// The worker is cut off after it.
    CutAfter,
    /// It runs into a fault of the worker's own.
    Panic,
    /// It waits until [`FakeSystem::let_go`], as on a disk that does not answer, and then goes on.
    Stall,
}

/// Trouble to come.
#[derive(Debug, Clone)]
pub(super) struct Planned {
    trouble: Trouble,
    /// Among the changes of things whose path or name contains this, the number of the first that goes wrong, and how many do.
    of: String,
    first: usize,
    times: usize,
    /// How many there have been.
    seen: usize,
}

impl Planned {
    /// What happens to a change of this subject.
    fn at(&mut self, subject: &str) -> Option<Trouble> {
        if !subject.contains(&self.of) {
            return None;
        }
        let number = self.seen;
        self.seen += 1;
        (self.first..self.first + self.times).contains(&number).then_some(self.trouble)
    }
}

impl FakeSystem {
    /// How many changing calls there have been since [`Self::trouble_at`] or the start.
    #[must_use]
    pub fn changes(&self) -> usize {
        self.lock().changes
    }

    /// Counts from here, and has the n-th changing call (from 0) go wrong.
    pub fn trouble_at(&self, call: usize, trouble: Trouble) {
        self.trouble_of("", call, 1, trouble);
    }

    /// Counts from here, and has changes of things whose path or name contains a text go wrong: the n-th of them (from 0), and
    /// as many in all as are given.
    pub fn trouble_of(&self, of: &str, first: usize, times: usize, trouble: Trouble) {
        let mut state = self.lock();
        state.changes = 0;
        state.trouble = Some(Planned { trouble, of: of.to_owned(), first, times, seen: 0 });
    }

    /// Whether the trouble asked for has not come yet.
    #[must_use]
    pub fn is_trouble_to_come(&self) -> bool {
        self.lock().trouble.as_ref().is_some_and(|planned| planned.seen <= planned.first)
    }

    /// What stalls just now.
    #[must_use]
    pub fn stalled(&self) -> Option<String> {
        self.lock().stalled.clone()
    }

    /// The worker is cut off; what stalls has no effect any more.
    pub fn cut_off(&self) {
        self.lock().cut = true;
        self.let_go();
    }

    /// A changing call, counted and troubled.
    pub(super) fn change<T>(&self, subject: &str, effect: impl FnOnce(&mut State) -> Result<T, SystemError>) -> Result<T, SystemError> {
        let mut state = self.lock();
        state.alive()?;
        state.changes += 1;
        if let Some((_, path, node)) = state.at_change.take_if(|(of, ..)| of == subject) {
            state.host.nodes.insert(path, node);
        }
        match state.trouble.as_mut().and_then(|planned| planned.at(subject)) {
            None => effect(&mut state),
            Some(Trouble::Fail) => Err(SystemError::Os { doing: "do as told", source: std::io::Error::other("made to fail") }),
            Some(Trouble::TimeOut) => Err(CommandError::TimedOut { command: subject.to_owned(), limit: Duration::ZERO }.into()),
            Some(Trouble::CutBefore) => {
                state.cut = true;
                Err(SystemError::Interrupted)
            }
            Some(Trouble::Panic) => panic!("made to panic"),
            Some(Trouble::CutAfter) => {
                effect(&mut state)?;
                state.cut = true;
                Err(SystemError::Interrupted)
            }
            Some(Trouble::Stall) => {
                state.stalled = Some(subject.to_owned());
                let mut state = self.let_go.wait_while(state, |state| state.stalled.is_some()).unwrap_or_else(PoisonError::into_inner);
                state.alive()?;
                effect(&mut state)
            }
        }
    }
}
