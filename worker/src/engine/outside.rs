//! Jobs that wait for something of a tenant's, each on a thread of its own. **Whoever waits longer than the batch's patience is
//! left outside: the others go on and are committed without it**, and it goes on when what it waits for has come.

use std::any::Any;
use std::collections::{BTreeMap, VecDeque};
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
    /// How long the others wait for one that waits.
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
    /// Since when, by the number of the job.
    since: BTreeMap<usize, Instant>,
}

impl<'scope, 'a> Outside<'scope, 'a> {
    pub(crate) fn new(scope: &'scope Scope<'scope, 'a>, system: &'a dyn System, pace: Pace) -> Self {
        let (sender, receiver) = channel();
        Self { scope, system, pace, sender, receiver, since: BTreeMap::new() }
    }

    /// Who waits.
    pub(crate) fn jobs(&self) -> Vec<usize> {
        self.since.keys().copied().collect()
    }

    /// Lets members wait for what they have to. Those that are through soon, and any that went outside before and have come
    /// back by now.
    pub(crate) fn go(&mut self, mut members: Vec<Member<'a>>) -> Vec<Member<'a>> {
        if self.pace.threads <= 1 {
            members.iter_mut().for_each(|member| member.go(self.system));
            return members;
        }
        let (mut queue, mut back) = (VecDeque::from(members), Vec::new());
        // Who is within patience: whoever is not holds up nobody's thread.
        let mut within: BTreeMap<usize, Instant> = BTreeMap::new();
        loop {
            if self.since.len() - within.len() < MOST {
                within.retain(|_, began| began.elapsed() < self.pace.patience);
            }
            while within.len() < self.pace.threads
                && let Some(member) = queue.pop_front()
            {
                within.insert(member.job, Instant::now());
                self.begin(member);
            }
            let Some(oldest) = within.values().min() else { return back };
            let left = self.pace.patience.saturating_sub(oldest.elapsed()).max(Duration::from_millis(1));
            if let Ok(returned) = self.receiver.recv_timeout(left) {
                let member = self.welcome(returned);
                within.remove(&member.job);
                back.push(member);
            }
        }
    }

    /// Waits until one is back. `None` if nobody is outside.
    pub(crate) fn next(&mut self) -> Option<Member<'a>> {
        if self.since.is_empty() {
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
        self.since.insert(member.job, Instant::now());
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
        self.since.remove(&member.job);
        member
    }
}
