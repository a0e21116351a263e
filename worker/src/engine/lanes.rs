//! What may take long, a few at a time. **As many as the processors carry are under way together, and another for each that has stalled**:
//! a hundred masters of PHP that start at once keep each other from it until some have run out of their time, and one that never answers
//! must not hold up the others. The lanes are those of one batch: those of the one before may still be taken.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

/// So many may be under way, with those that have stalled: each has a thread.
const MOST: usize = 256;

/// The place of one that is under way.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Lane(u64);

/// Somebody who waits for a lane.
pub(super) struct Waiting<K, T> {
    /// What for, if several may wait for the same.
    pub(super) key: Option<K>,
    /// Who has been under way for so long waits for something else than a processor.
    pub(super) stall: Duration,
    /// Who.
    pub(super) item: T,
}

/// Who waits for a lane, and who has one.
pub(super) struct Lanes<K, T> {
    state: Mutex<State<K, T>>,
    changed: Condvar,
    width: usize,
}

struct State<K, T> {
    queue: VecDeque<Waiting<K, T>>,
    /// When each counts as stalled, and what it waits for.
    busy: BTreeMap<Lane, (Instant, Option<K>)>,
    /// How many lanes have been given.
    given: u64,
    /// Somebody gives lanes to those in the queue.
    served: bool,
}

impl<K: Ord, T> Lanes<K, T> {
    /// As many under way together as the processors carry of what keeps one busy half of its time.
    pub(super) fn for_this_machine() -> Self {
        Self::new(2 * thread::available_parallelism().map_or(1, usize::from))
    }

    /// So many under way that have not stalled.
    fn new(width: usize) -> Self {
        let state = State { queue: VecDeque::new(), busy: BTreeMap::new(), given: 0, served: false };
        Self { state: Mutex::new(state), changed: Condvar::new(), width: width.max(1) }
    }

    /// More that wait. Whether somebody has to [`Self::serve`] them.
    #[must_use]
    pub(super) fn queue(&self, more: impl IntoIterator<Item = Waiting<K, T>>) -> bool {
        let mut state = self.lock();
        state.queue.extend(more);
        self.changed.notify_all();
        !state.queue.is_empty() && !std::mem::replace(&mut state.served, true)
    }

    /// Begins each in the queue when there is a lane for it, and returns when none is left.
    pub(super) fn serve(&self, mut begin: impl FnMut(Lane, T)) {
        let mut state = self.lock();
        loop {
            let now = Instant::now();
            while let Some((lane, next)) = state.next(self.width, now) {
                begin(lane, next);
            }
            if state.queue.is_empty() {
                state.served = false;
                return;
            }
            state = match state.next_stall(now) {
                Some(left) => self.changed.wait_timeout(state, left).unwrap_or_else(PoisonError::into_inner).0,
                None => self.changed.wait(state).unwrap_or_else(PoisonError::into_inner),
            };
        }
    }

    /// One is through.
    pub(super) fn leave(&self, lane: Lane) {
        self.lock().busy.remove(&lane);
        self.changed.notify_all();
    }

    /// Whoever waits for a lane gets none.
    pub(super) fn close(&self) {
        self.lock().queue.clear();
        self.changed.notify_all();
    }

    fn lock(&self) -> MutexGuard<'_, State<K, T>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<K: Ord, T> State<K, T> {
    /// Gives the next one a lane, if there is one: whoever waits for what nobody else waits for yet comes first.
    fn next(&mut self, width: usize, now: Instant) -> Option<(Lane, T)> {
        let moving = self.busy.values().filter(|(stalls, _)| *stalls > now).count();
        if moving >= width || self.busy.len() >= MOST {
            return None;
        }
        let waited_for: BTreeSet<&K> = self.busy.values().filter_map(|(_, key)| key.as_ref()).collect();
        let first = self.queue.iter().position(|waiting| waiting.key.as_ref().is_none_or(|key| !waited_for.contains(key)));
        let Waiting { key, stall, item } = self.queue.remove(first.unwrap_or(0))?;
        self.given += 1;
        let lane = Lane(self.given);
        self.busy.insert(lane, (now + stall, key));
        Some((lane, item))
    }

    /// How long until one more counts as stalled.
    fn next_stall(&self, now: Instant) -> Option<Duration> {
        let left = |stalls: &Instant| stalls.checked_duration_since(now).filter(|left| !left.is_zero());
        self.busy.values().filter_map(|(stalls, _)| left(stalls)).min()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const STALL: Duration = Duration::from_secs(1);

    type Few = State<&'static str, u32>;

    fn waiting(items: &[(&'static str, u32)]) -> Few {
        let queue = items.iter().map(|(key, item)| Waiting { key: Some(*key), stall: STALL, item: *item }).collect();
        State { queue, busy: BTreeMap::new(), given: 0, served: true }
    }

    /// Who gets lanes, in order.
    fn begun(state: &mut Few, width: usize, now: Instant) -> Vec<u32> {
        std::iter::from_fn(|| state.next(width, now)).map(|(_, item)| item).collect()
    }

    #[test]
    fn no_more_are_under_way_than_the_processors_carry() {
        let (mut state, now) = (waiting(&[("a", 1), ("b", 2), ("c", 3), ("d", 4)]), Instant::now());
        assert_eq!(begun(&mut state, 2, now), [1, 2]);
        state.busy.pop_first();
        assert_eq!(begun(&mut state, 2, now), [3]);
    }

    #[test]
    fn one_that_has_stalled_holds_up_nobody() {
        let (mut state, now) = (waiting(&[("a", 1), ("b", 2), ("c", 3), ("d", 4)]), Instant::now());
        assert_eq!(begun(&mut state, 2, now), [1, 2]);
        assert_eq!(state.next_stall(now), Some(STALL));
        assert_eq!(begun(&mut state, 2, now + STALL / 2), [0_u32; 0]);
        assert_eq!(begun(&mut state, 2, now + STALL), [3, 4]);
    }

    #[test]
    fn a_tenants_second_comes_after_the_firsts_of_others() {
        let (mut state, now) = (waiting(&[("slow", 1), ("slow", 2), ("slow", 3), ("quick", 4), ("other", 5)]), Instant::now());
        assert_eq!(begun(&mut state, 2, now), [1, 4]);
        state.busy.pop_last();
        assert_eq!(begun(&mut state, 2, now), [5]);
        assert_eq!(begun(&mut state, 2, now + STALL), [2, 3]);
    }

    #[test]
    fn whoever_waits_when_it_ends_gets_no_lane() {
        let (lanes, (begun, seen)) = (Lanes::<&str, u32>::new(1), std::sync::mpsc::channel());
        let waiting = |item| Waiting { key: None, stall: Duration::from_secs(3600), item };
        assert!(lanes.queue([1, 2].map(waiting)), "nobody serves them yet");
        thread::scope(|scope| {
            scope.spawn(|| lanes.serve(|_, item| begun.send(item).unwrap()));
            assert_eq!(seen.recv(), Ok(1));
            assert!(!lanes.queue([3].map(waiting)), "somebody serves them");
            lanes.close();
        });
        assert!(seen.try_recv().is_err());
    }
}
