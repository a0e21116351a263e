//! Jobs that wait for something of a tenant's, each on a thread of its own, a few at a time (see [`super::lanes`]). **Whoever waits longer
//! than the batch's patience is left outside: the others go on and are committed without it**, and it goes on when what it waits for
//! has come.

use std::any::Any;
use std::collections::BTreeSet;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread::Scope;
use std::time::{Duration, Instant};

use super::execute::Member;
use super::lanes::{Lanes, Waiting};
use crate::system::System;

/// How a batch is carried out.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Pace {
    /// How many things are done at once. With one, all is done in order, and nobody is left outside.
    pub(crate) threads: usize,
    /// How long the others wait for those that wait, all together.
    pub(crate) patience: Duration,
}

/// Those who come back soon after each other go on together: what one does for all, such as systemd's reading of its units, costs all
/// others that wait a tenth of a second.
const LULL: Duration = Duration::from_millis(50);

/// A member that is through, or why its thread panicked.
type Back<'a> = Result<Member<'a>, Box<dyn Any + Send>>;

/// The members that wait.
pub(crate) struct Outside<'scope, 'a> {
    scope: &'scope Scope<'scope, 'a>,
    system: &'a dyn System,
    pace: Pace,
    lanes: Arc<Lanes<&'a str, Member<'a>>>,
    sender: Sender<Back<'a>>,
    receiver: Receiver<Back<'a>>,
    /// Who waits, by the number of the job.
    jobs: BTreeSet<usize>,
}

impl<'scope, 'a> Outside<'scope, 'a> {
    pub(crate) fn new(scope: &'scope Scope<'scope, 'a>, system: &'a dyn System, pace: Pace) -> Self {
        let (sender, receiver) = channel();
        let lanes = Arc::new(Lanes::for_this_machine());
        Self { scope, system, pace, lanes, sender, receiver, jobs: BTreeSet::new() }
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
        let (deadline, mut back) = (Instant::now() + self.pace.patience, Vec::new());
        let mut ours: BTreeSet<usize> = members.iter().map(|member| member.job).collect();
        self.begin(members);
        while !ours.is_empty() {
            let Some(member) = self.back_within(deadline.saturating_duration_since(Instant::now())) else { break };
            ours.remove(&member.job);
            back.push(member);
        }
        back
    }

    /// Waits until one is back. That one, and who else is back by then or soon after; nobody if nobody is outside.
    pub(crate) fn next(&mut self) -> Vec<Member<'a>> {
        if self.jobs.is_empty() {
            return Vec::new();
        }
        let first = self.receiver.recv().ok().map(|returned| self.welcome(returned));
        let (mut back, deadline) = (Vec::from_iter(first), Instant::now() + self.pace.patience);
        while !self.jobs.is_empty()
            && let Some(member) = self.back_within(LULL.min(deadline.saturating_duration_since(Instant::now())))
        {
            back.push(member);
        }
        back
    }

    fn begin(&mut self, members: Vec<Member<'a>>) {
        self.jobs.extend(members.iter().map(|member| member.job));
        let waiting = members.into_iter().map(|member| Waiting { key: member.waits_for(), stall: member.stalls_after(), item: member });
        if !self.lanes.queue(waiting) {
            return;
        }
        let (scope, system, lanes, sender) = (self.scope, self.system, Arc::clone(&self.lanes), self.sender.clone());
        scope.spawn(move || {
            let begin = |lane, member| {
                let (lanes, sender) = (Arc::clone(&lanes), sender.clone());
                scope.spawn(move || {
                    let through = wait(member, system);
                    lanes.leave(lane);
                    // Nobody hears it if the batch was given up.
                    let _ = sender.send(through);
                });
            };
            // Without a thread for it nobody would come back any more.
            if let Err(panic) = catch_unwind(AssertUnwindSafe(|| lanes.serve(begin))) {
                let _ = sender.send(Err(panic));
            }
        });
    }

    fn back_within(&mut self, left: Duration) -> Option<Member<'a>> {
        let returned = self.receiver.recv_timeout(left).ok()?;
        Some(self.welcome(returned))
    }

    fn welcome(&mut self, returned: Back<'a>) -> Member<'a> {
        let member = returned.unwrap_or_else(|panic| resume_unwind(panic));
        self.jobs.remove(&member.job);
        member
    }
}

impl Drop for Outside<'_, '_> {
    /// Of a batch that is given up nothing more is begun.
    fn drop(&mut self) {
        self.lanes.close();
    }
}

fn wait<'a>(mut member: Member<'a>, system: &'a dyn System) -> Back<'a> {
    catch_unwind(AssertUnwindSafe(move || {
        member.go(system);
        member
    }))
}
