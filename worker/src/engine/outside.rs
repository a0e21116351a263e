//! Jobs that wait for something of a tenant's, each on a thread of its own. **Whoever waits longer than the batch's patience is
//! left outside: the others go on and are committed without it**, and it goes on when what it waits for has come.

use std::any::Any;
use std::collections::{BTreeSet, VecDeque};
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread::Scope;
use std::time::{Duration, Instant};

use super::execute::Member;
use crate::system::System;

/// How a batch is carried out.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Pace {
    /// How many things are done at once. With one, all is done in order, and nobody is left outside.
    pub(crate) threads: usize,
    /// How long the others wait for those that wait, all together.
    pub(crate) patience: Duration,
}

/// So many may be outside at once: each has a thread. More are waited for.
const MOST: usize = 256;

/// A member that is through, or why its thread panicked.
type Back<'a> = Result<Member<'a>, Box<dyn Any + Send>>;

/// The members that wait.
pub(crate) struct Outside<'scope, 'a> {
    scope: &'scope Scope<'scope, 'a>,
    system: &'a dyn System,
    pace: Pace,
    sender: Sender<Back<'a>>,
    receiver: Receiver<Back<'a>>,
    /// Who waits, by the number of the job.
    jobs: BTreeSet<usize>,
}

impl<'scope, 'a> Outside<'scope, 'a> {
    pub(crate) fn new(scope: &'scope Scope<'scope, 'a>, system: &'a dyn System, pace: Pace) -> Self {
        let (sender, receiver) = channel();
        Self { scope, system, pace, sender, receiver, jobs: BTreeSet::new() }
    }

    /// Who waits.
    pub(crate) fn jobs(&self) -> Vec<usize> {
        self.jobs.iter().copied().collect()
    }

    /// Lets members wait for what they have to. Those that are through soon, and any that went outside before and have come
    /// back by now.
    pub(crate) fn go(&mut self, mut members: Vec<Member<'a>>) -> Vec<Member<'a>> {
        if self.pace.threads <= 1 {
            members.iter_mut().for_each(|member| member.go(self.system));
            return members;
        }
        let (mut queue, mut back) = (VecDeque::from(members), Vec::new());
        let (deadline, mut ours) = (Instant::now() + self.pace.patience, BTreeSet::new());
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            // Whoever is not within patience holds up nobody's thread: then all begin, and are left outside.
            let most = if left.is_zero() { MOST } else { self.pace.threads };
            while ours.len() < most
                && self.jobs.len() < MOST
                && let Some(member) = queue.pop_front()
            {
                ours.insert(member.job);
                self.begin(member);
            }
            if queue.is_empty() && (ours.is_empty() || left.is_zero()) {
                return back;
            }
            // Past the deadline somebody waits for room, so somebody is there to come back.
            let returned = if left.is_zero() { self.receiver.recv().ok() } else { self.receiver.recv_timeout(left).ok() };
            if let Some(returned) = returned {
                let member = self.welcome(returned);
                ours.remove(&member.job);
                back.push(member);
            }
        }
    }

    /// Waits until one is back. `None` if nobody is outside.
    pub(crate) fn next(&mut self) -> Option<Member<'a>> {
        if self.jobs.is_empty() {
            return None;
        }
        let returned = self.receiver.recv().ok()?;
        Some(self.welcome(returned))
    }

    /// Who else is back by now: they go on together.
    pub(crate) fn others(&mut self) -> Vec<Member<'a>> {
        let mut others = Vec::new();
        while let Ok(returned) = self.receiver.try_recv() {
            others.push(self.welcome(returned));
        }
        others
    }

    fn begin(&mut self, mut member: Member<'a>) {
        self.jobs.insert(member.job);
        let (system, sender) = (self.system, self.sender.clone());
        self.scope.spawn(move || {
            let through = catch_unwind(AssertUnwindSafe(move || {
                member.go(system);
                member
            }));
            // Nobody hears it if the batch was given up.
            let _ = sender.send(through);
        });
    }

    fn welcome(&mut self, returned: Back<'a>) -> Member<'a> {
        let member = returned.unwrap_or_else(|panic| resume_unwind(panic));
        self.jobs.remove(&member.job);
        member
    }
}
