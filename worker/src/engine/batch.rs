//! Carries out the plans of a batch: independent steps side by side, shared ones once, and every job its own verdict.
//!
//! Each job goes on by itself until it comes to an action that others do too (a test, a reload, ...); there it waits for
//! them. **Before-images are in the journal, durably, before each effect**: those of all jobs until their next meeting in one
//! transaction. A job that fails is put back alone and leaves; the others go on. If that meant another reload of nginx, they
//! prove themselves once more.
//!
//! **No job waits long for another's tenant**: see [`super::outside`].

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::thread;

use shared::events::StepState;
use shared::names::DomainName;

use super::error::StepError;
use super::execute::{End, Executed, Journal, Member, Trouble};
use super::outside::{Outside, Pace};
use super::parallel::side_by_side;
use super::plan::{Action, Plan};
use super::progress::Tell;
use super::together::{Meeting, Together};
use super::undo::{Undo, capture, is_cut, undo_all};
use crate::system::{ProbeAnswer, System};

/// What goes on around a batch while it is carried out.
pub(crate) trait Rounds {
    /// These jobs have ended; those still wait outside, and the next batch may begin. False if all is to be given up.
    fn end(&mut self, ended: Vec<(usize, Executed)>, outside: Vec<usize>) -> bool;

    /// Returns when it is this batch's turn again. False if all is to be given up.
    fn begin(&mut self) -> bool;
}

/// Carries out all steps of all plans up to their commit point: that of most jobs is a common one, those that have to wait for
/// something of their tenant's come to theirs later.
pub(crate) fn execute<'a>(
    plans: &'a [Plan],
    system: &'a dyn System,
    pace: Pace,
    journal: &mut dyn Journal,
    rounds: &mut dyn Rounds,
    tell: &'a Tell,
) {
    let members = plans.iter().enumerate().map(|(job, plan)| Member::new(job, plan, tell)).collect();
    thread::scope(|scope| {
        let outside = Outside::new(scope, system, pace);
        let mut batch = Batch { system, threads: pace.threads, members, outside, neighbours: BTreeMap::new() };
        loop {
            while batch.alone(journal) || batch.wait(journal) || batch.together(journal) {
                batch.put_back();
            }
            let ended = batch.end();
            if !rounds.end(ended, batch.outside.jobs()) {
                return;
            }
            let back = batch.outside.next();
            if back.is_empty() || !rounds.begin() {
                return;
            }
            // Meanwhile others had the turn, and may have changed them.
            batch.neighbours.clear();
            batch.members.extend(back);
            batch.put_back();
        }
    });
}

struct Batch<'scope, 'a> {
    system: &'a dyn System,
    threads: usize,
    members: Vec<Member<'a>>,
    outside: Outside<'scope, 'a>,
    neighbours: BTreeMap<DomainName, ProbeAnswer>,
}

impl<'a> Batch<'_, 'a> {
    /// Everybody goes on until the next meeting, or has to wait. False if all are there already.
    fn alone(&mut self, journal: &mut dyn Journal) -> bool {
        let system = self.system;
        let mut going: Vec<&mut Member<'a>> = self.members.iter_mut().filter(|member| member.is_alone()).collect();
        if going.is_empty() {
            return false;
        }
        side_by_side(self.threads, going.iter_mut().collect(), |member| member.look(system));
        if self.record(journal) {
            let going = self.members.iter_mut().filter(|member| member.is_alone()).collect();
            side_by_side(self.threads, going, |member: &mut Member<'a>| member.go(system));
        }
        true
    }

    /// Those who have to wait do; whoever waits long is left outside. False if nobody has to.
    fn wait(&mut self, journal: &mut dyn Journal) -> bool {
        let system = self.system;
        let waiting: Vec<&mut Member<'a>> = self.members.iter_mut().filter(|member| member.waits()).collect();
        if waiting.is_empty() {
            return false;
        }
        side_by_side(self.threads, waiting, |member| member.look(system));
        if self.record(journal) {
            let (waiting, rest) = std::mem::take(&mut self.members).into_iter().partition(Member::waits);
            self.members = rest;
            self.members.extend(self.outside.go(waiting));
            self.members.sort_by_key(|member| member.job);
        }
        true
    }

    /// Those who wait for the earliest action do it together; several tests go on side by side. False if nobody waits any more.
    fn together(&mut self, journal: &mut dyn Journal) -> bool {
        let held = self.next_meetings();
        if held.is_empty() {
            return false;
        }
        for what in &held {
            let mut meeting: Vec<&mut Member<'a>> = self.members.iter_mut().filter(|member| wanted(member) == Some(*what)).collect();
            let others = meeting.len() - 1;
            for member in &mut meeting {
                member.progress.begin(&member.plan.steps[member.at].name);
                if what.is_one_act() {
                    member.progress.share(others);
                }
            }
            let actions: Vec<_> = meeting.iter().filter_map(|member| member.next()).collect();
            match capture(actions.iter().copied(), self.system) {
                Ok(captured) => meeting.iter_mut().zip(captured).for_each(|(member, undo)| member.captured = vec![undo]),
                Err((_, error)) => {
                    let error = Arc::new(StepError::from(error));
                    meeting.iter_mut().for_each(|member| member.trouble = Some(Trouble::Fails(Arc::clone(&error))));
                }
            }
        }
        if self.record(journal) {
            self.hold(&held);
        }
        true
    }

    /// Holds meetings whose before-images are recorded.
    fn hold(&mut self, held: &[Together]) {
        let (system, mut neighbours) = (self.system, std::mem::take(&mut self.neighbours));
        let mut rooms: Vec<(Together, Vec<&mut Member<'a>>)> = held.iter().map(|what| (*what, Vec::new())).collect();
        for member in &mut self.members {
            let Some((_, members)) = wanted(member).and_then(|wanted| rooms.iter_mut().find(|(what, _)| *what == wanted)) else { continue };
            let captured = std::mem::take(&mut member.captured);
            member.done.extend(captured.into_iter().flatten());
            members.push(member);
        }
        let go_on = |members: Vec<&mut Member<'a>>| {
            for member in members.into_iter().filter(|member| member.is_in()) {
                member.at += 1;
                member.progress.pause();
            }
        };
        if let [_] = rooms.as_slice() {
            for (what, members) in rooms {
                let mut meeting = Meeting { system, neighbours: &mut neighbours, members };
                meeting.hold(what);
                go_on(meeting.members);
            }
        } else {
            side_by_side(self.threads, rooms, |(what, members)| {
                // A test asks no neighbour.
                let mut meeting = Meeting { system, neighbours: &mut BTreeMap::new(), members };
                meeting.hold(what);
                go_on(meeting.members);
            });
        }
        self.neighbours = neighbours;
    }

    /// The earliest action that somebody waits for. If that is a test, so are all tests that somebody waits for, except that of
    /// nginx as long as one of them has still to come to it: it is done once for all.
    fn next_meetings(&self) -> Vec<Together> {
        let waiting: BTreeSet<Together> = self.members.iter().filter_map(wanted).collect();
        let Some(first) = waiting.first().copied() else { return Vec::new() };
        if !first.is_test() {
            return vec![first];
        }
        let comes_later = |member: &Member<'a>| {
            let waits = wanted(member).is_some_and(|what| what.is_test() && what != Together::NginxTest);
            waits && member.plan.steps[member.at..].iter().any(|step| matches!(step.action, Action::TestNginx))
        };
        let nginx_too = !self.members.iter().any(comes_later);
        waiting.into_iter().filter(|what| what.is_test() && (*what != Together::NginxTest || nginx_too || *what == first)).collect()
    }

    /// Makes what was captured durable. False if it could not be: then nothing may be done, and whoever had something to do
    /// is in trouble.
    fn record(&mut self, journal: &mut dyn Journal) -> bool {
        let all = self.members.iter().filter(|member| member.is_in());
        let undos: Vec<(usize, &Undo)> =
            all.flat_map(|member| member.captured.iter().flatten().map(move |undo| (member.job, undo))).collect();
        if undos.is_empty() {
            return true;
        }
        let Err(error) = journal.record(&undos) else { return true };
        let error = Arc::new(error);
        for member in self.members.iter_mut().filter(|member| member.is_in() && !member.captured.is_empty()) {
            member.trouble = Some(Trouble::Fails(Arc::new(StepError::Journal(Arc::clone(&error)))));
        }
        false
    }

    /// Whoever is in trouble is put back and leaves.
    fn put_back(&mut self) {
        if self.members.iter().any(|member| member.trouble.as_ref().is_some_and(Trouble::is_interruption)) {
            return self.cut_off();
        }
        let mut leaving: Vec<&mut Member<'a>> = self.members.iter_mut().filter(|member| member.trouble.is_some()).collect();
        if leaving.is_empty() {
            return;
        }
        let undos: Vec<&[Undo]> = leaving.iter().map(|member| member.done.as_slice()).collect();
        let reloaded = undos.iter().copied().flatten().any(|undo| *undo == Undo::ReloadNginx);
        let errors = undo_all(&undos, self.system, self.threads);
        if errors.iter().any(|errors| is_cut(errors)) {
            return self.cut_off();
        }
        leaving.iter_mut().zip(&errors).for_each(|(member, errors)| member.leave(errors));
        if reloaded {
            self.members.iter_mut().for_each(Member::prove_again);
        }
    }

    fn cut_off(&mut self) {
        self.members.iter_mut().for_each(Member::cut_off);
    }

    /// All that are not outside have ended.
    fn end(&mut self) -> Vec<(usize, Executed)> {
        let end = |mut member: Member<'a>| {
            let end = member.end.take().unwrap_or(End::Done);
            if let End::Done = end {
                member.progress.end(StepState::Done);
            }
            (member.job, Executed { steps: member.progress.into_steps(), end })
        };
        std::mem::take(&mut self.members).into_iter().map(end).collect()
    }
}

/// What a member waits for that others do too.
fn wanted(member: &Member<'_>) -> Option<Together> {
    member.next().and_then(Together::of)
}

#[cfg(test)]
mod tests;
