//! Whose turn it is: which of the waiting jobs make the next batch, and how large it may be.
//!
//! **Order is kept within an account, and no account waits for another's flood**: every account's oldest job comes before
//! anybody's second, and a batch is as large as takes about a second.

use std::collections::HashSet;
use std::time::Duration;

use shared::ids::{AccountId, JobId};
use shared::jobs::ResourceKey;

use crate::inbox::Turn;
use crate::ledger::Rows;
use crate::registry::{Readiness, readiness};

/// A job whose requirement has not come yet is looked at again this often, before it fails: with the pause in between, for
/// longer than the panel takes to send again what the bus has lost, which is two minutes and a quarter.
const REQUIREMENT_WAITS: u32 = 180;

/// The longest pause before a job is tried again. One that looks longer was written before the clock was set back, and is over.
pub(crate) const LONGEST_PAUSE_MS: i64 = 8_000;

/// What is to be done with the waiting jobs.
#[derive(Debug, Default)]
pub(crate) struct Choice {
    /// The next batch.
    pub(crate) batch: Vec<Turn>,
    /// What they build on has not come yet: others of their account go first.
    pub(crate) step_back: Vec<Turn>,
    /// When the earliest of the others may start, epoch milliseconds.
    pub(crate) due_ms: Option<i64>,
}

/// What a choice depends on besides the jobs that wait.
#[derive(Debug)]
pub(crate) struct Moment<'a> {
    /// Epoch milliseconds.
    pub(crate) now_ms: i64,
    /// The most jobs the batch may have.
    pub(crate) most: usize,
    /// What the host holds.
    pub(crate) rows: &'a Rows,
    /// Jobs that wait for a hand edit to be mended.
    pub(crate) blocked: HashSet<JobId>,
    /// Accounts that have a job in a batch that has not ended.
    pub(crate) under_way: HashSet<AccountId>,
}

/// Chooses a batch out of jobs in the order of [`crate::inbox::inbox_waiting`].
///
/// A job joins if it is due and what it builds on is there. If that is in this very batch, the job's turn is the next one, and
/// so is that of every later job of its account. Blocked jobs let others pass, and so do those that build on them, for as long as it
/// takes; an account's jobs wait for those of its own that are under way.
pub(crate) fn choose(waiting: Vec<Turn>, moment: Moment<'_>) -> Choice {
    let Moment { now_ms, most, rows, blocked, under_way: mut closed } = moment;
    let mut choice = Choice::default();
    let mut coming: HashSet<ResourceKey> = HashSet::new();
    let mut held: HashSet<ResourceKey> = waiting
        .iter()
        .map(|turn| &turn.envelope)
        .filter(|envelope| blocked.contains(&envelope.id))
        .map(|envelope| envelope.resource)
        .collect();
    for turn in waiting {
        let (account, resource) = (turn.envelope.account, turn.envelope.resource);
        if blocked.contains(&turn.envelope.id) || closed.contains(&account) || choice.batch.len() >= most {
            continue;
        }
        if (now_ms + 1..=now_ms + LONGEST_PAUSE_MS).contains(&turn.not_before_ms) {
            let due = choice.due_ms.unwrap_or(turn.not_before_ms).min(turn.not_before_ms);
            choice.due_ms = Some(due);
            closed.insert(account);
            continue;
        }
        match readiness(rows, &turn.envelope) {
            Readiness::Waiting(requirement) if coming.contains(&requirement.resource) => drop(closed.insert(account)),
            // Whoever mends what holds it up may take his time.
            Readiness::Waiting(requirement) if held.contains(&requirement.resource) => drop(held.insert(resource)),
            Readiness::Waiting(_) if turn.waits < REQUIREMENT_WAITS => choice.step_back.push(turn),
            Readiness::Ready | Readiness::Failed(_) | Readiness::Waiting(_) if coming.insert(resource) => choice.batch.push(turn),
            Readiness::Ready | Readiness::Failed(_) | Readiness::Waiting(_) => drop(closed.insert(account)),
        }
    }
    choice
}

/// How many jobs the next batch may have.
#[derive(Debug)]
pub(crate) struct Size {
    most: usize,
}

/// What a batch may take: a job that comes just after one has begun waits for that one, and is in the next.
const AIM: Duration = Duration::from_secs(1);
/// Below this, what a batch takes is the test and the reload of everybody's configuration rather than its own jobs.
const LEAST: usize = 16;
/// What the panel has a worker hold at a time, twice.
const MOST: usize = 512;

impl Default for Size {
    fn default() -> Self {
        Self { most: 4 * LEAST }
    }
}

impl Size {
    /// The largest batch that the last ones allow.
    pub(crate) const fn most(&self) -> usize {
        self.most
    }

    /// So many jobs failed together: the next batch has half as many, so that whoever is to blame is alone in the end.
    pub(crate) fn part(&mut self, jobs: usize) {
        self.most = (jobs / 2).max(1);
    }

    /// Learns from a batch.
    pub(crate) fn learn(&mut self, jobs: usize, took: Duration) {
        if took > AIM {
            let fitting = jobs as f64 * AIM.as_secs_f64() / took.as_secs_f64();
            self.most = (fitting as usize).clamp(LEAST, self.most.max(LEAST));
        } else if jobs >= self.most {
            self.most = (self.most * 2).min(MOST);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;
    use std::time::Duration;

    use shared::ids::{AccountId, JobId};
    use shared::jobs::{Generation, JobEnvelope, Requirement};

    use super::{Choice, LEAST, Moment, Size, choose};
    use crate::inbox::Turn;
    use crate::inbox::tests::job;
    use crate::ledger::Rows;

    fn turn(envelope: &JobEnvelope) -> Turn {
        Turn { envelope: envelope.clone(), tries: 0, waits: 0, not_before_ms: 0 }
    }

    fn ids(turns: &[Turn]) -> Vec<JobId> {
        turns.iter().map(|turn| turn.envelope.id).collect()
    }

    fn chosen(waiting: &[Turn]) -> Choice {
        with(waiting, [], [])
    }

    fn with<const N: usize, const M: usize>(waiting: &[Turn], blocked: [JobId; N], under_way: [AccountId; M]) -> Choice {
        let rows = Rows::default();
        let moment = Moment { now_ms: 1_000, most: 100, rows: &rows, blocked: HashSet::from(blocked), under_way: HashSet::from(under_way) };
        choose(waiting.to_vec(), moment)
    }

    #[test]
    fn a_job_whose_requirement_is_in_the_batch_comes_right_after_it_and_so_does_its_account() {
        let (account, other) = (AccountId::new(), AccountId::new());
        let (first, mut second, third, foreign) = (job(account), job(account), job(account), job(other));
        second.requires = vec![Requirement { resource: first.resource, generation: Generation::FIRST }];
        let choice = chosen(&[turn(&first), turn(&foreign), turn(&second), turn(&third)]);
        assert_eq!(ids(&choice.batch), [first.id, foreign.id]);
        assert!(choice.step_back.is_empty());
    }

    #[test]
    fn a_job_whose_requirement_has_not_come_lets_the_others_of_its_account_pass() {
        let account = AccountId::new();
        let (mut waits, other) = (job(account), job(account));
        waits.requires = vec![Requirement { resource: job(account).resource, generation: Generation::FIRST }];
        let choice = chosen(&[turn(&waits), turn(&other)]);
        assert_eq!((ids(&choice.step_back), ids(&choice.batch)), (vec![waits.id], vec![other.id]));
        // After three minutes it has to fail.
        let given_up = Turn { waits: 180, ..turn(&waits) };
        assert_eq!(ids(&chosen(&[given_up]).batch), [waits.id]);
    }

    #[test]
    fn two_states_of_one_resource_are_two_batches() {
        let account = AccountId::new();
        let first = job(account);
        let newer = JobEnvelope { id: JobId::new(), generation: Generation(2), ..first.clone() };
        assert_eq!(ids(&chosen(&[turn(&first), turn(&newer), turn(&job(account))]).batch), [first.id]);
    }

    #[test]
    fn a_job_that_is_not_due_holds_up_its_account_and_no_other() {
        let (account, other) = (AccountId::new(), AccountId::new());
        let (late, behind, foreign) = (job(account), job(account), job(other));
        let choice = chosen(&[Turn { not_before_ms: 5_000, ..turn(&late) }, turn(&foreign), turn(&behind)]);
        assert_eq!((ids(&choice.batch), choice.due_ms), (vec![foreign.id], Some(5_000)));
    }

    #[test]
    fn f60_a_pause_does_not_outlast_a_clock_that_was_set_back() {
        let account = AccountId::new();
        let (paused, behind) = (job(account), job(account));
        let day_ms = 24 * 3600 * 1000;
        let choice = chosen(&[Turn { not_before_ms: 1_000 + day_ms, ..turn(&paused) }, turn(&behind)]);
        assert_eq!(ids(&choice.batch), [paused.id, behind.id]);
    }

    #[test]
    fn a_blocked_job_lets_the_others_of_its_account_pass() {
        let account = AccountId::new();
        let (blocked, other) = (job(account), job(account));
        assert_eq!(ids(&with(&[turn(&blocked), turn(&other)], [blocked.id], []).batch), [other.id]);
    }

    #[test]
    fn what_builds_on_a_blocked_job_waits_for_it_without_end_and_lets_the_others_of_its_account_pass() {
        let account = AccountId::new();
        let on = |job: &JobEnvelope| vec![Requirement { resource: job.resource, generation: Generation::FIRST }];
        let (blocked, mut second, mut third, other) = (job(account), job(account), job(account), job(account));
        second.requires = on(&blocked);
        third.requires = on(&second);
        for waits in [0, 180] {
            let waiting = [turn(&blocked), Turn { waits, ..turn(&second) }, Turn { waits, ..turn(&third) }, turn(&other)];
            let choice = with(&waiting, [blocked.id], []);
            assert_eq!((ids(&choice.batch), choice.step_back.len()), (vec![other.id], 0));
        }
    }

    #[test]
    fn an_account_with_a_job_under_way_waits_for_it_and_no_other_account_does() {
        let (account, other) = (AccountId::new(), AccountId::new());
        let (own, foreign) = (job(account), job(other));
        assert_eq!(ids(&with(&[turn(&own), turn(&foreign)], [], [account]).batch), [foreign.id]);
    }

    #[test]
    fn whoever_fails_together_with_others_is_alone_in_the_end() {
        let mut size = Size::default();
        let mut batch = 100;
        while batch > 1 {
            // Whatever the time says about the batch.
            size.learn(batch, Duration::from_secs(30));
            size.part(batch);
            assert!(size.most() < batch, "{} of {batch}", size.most());
            batch = size.most();
        }
        size.learn(1, Duration::from_millis(300));
        assert_eq!(size.most(), 2, "and from there it grows");
    }

    #[test]
    fn a_batch_is_as_large_as_takes_about_a_second() {
        let mut size = Size::default();
        let start = size.most();
        size.learn(3, Duration::from_millis(50));
        assert_eq!(size.most(), start, "a small batch says nothing about large ones");
        size.learn(start, Duration::from_millis(300));
        assert_eq!(size.most(), start * 2);
        size.learn(start * 2, Duration::from_secs(2));
        assert_eq!(size.most(), start);
        size.learn(start, Duration::from_mins(1));
        assert_eq!(size.most(), LEAST);
    }
}
