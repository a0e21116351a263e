//! Jobs that failed together are tried again in halves; this tells when that is in vain.

use std::sync::Arc;

use shared::events::StepReport;

use crate::engine::error::StepError;

/// How a try of several jobs together came out.
#[derive(Default)]
pub(super) struct Attempt {
    /// Those that failed together, for nobody's fault in particular. They have been put back.
    pub(super) apart: Vec<Apart>,
    /// Whether any was applied.
    pub(super) applied: bool,
}

impl Attempt {
    /// One of these panicked, and nobody knows which.
    pub(super) fn panicked(group: &[usize]) -> Self {
        let error = Arc::new(StepError::Panic);
        let apart = group.iter().map(|index| Apart { index: *index, error: Arc::clone(&error), steps: Vec::new() }).collect();
        Self { apart, applied: false }
    }
}

/// A job that failed together with others.
pub(super) struct Apart {
    pub(super) index: usize,
    pub(super) error: Arc<StepError>,
    pub(super) steps: Vec<StepReport>,
}

/// Whether trying in halves helps anybody. A fault of one job's shows by then: its half fails down to itself, and the next one
/// is applied. If nothing is, down to single jobs and beyond, the fault is the host's.
#[derive(Default)]
pub(super) struct Halving {
    /// How many tries in a row may help nobody; known when the first has failed.
    allowed: Option<u32>,
    fruitless: u32,
}

impl Halving {
    /// Learns from a try: how many failed together, and whether anybody was applied.
    pub(super) fn learn(&mut self, apart: usize, applied: bool) {
        match self.allowed {
            None => self.allowed = (apart > 1).then(|| apart.ilog2() + 3),
            Some(_) if applied => self.allowed = Some(u32::MAX),
            Some(_) => self.fruitless += 1,
        }
    }

    pub(super) const fn is_in_vain(&self) -> bool {
        matches!(self.allowed, Some(allowed) if self.fruitless >= allowed)
    }
}

#[cfg(test)]
mod tests {
    use super::Halving;

    /// Halves as the registry does, where the jobs for which `is_bad` says so fail whatever is tried with them. How many tries.
    fn tries(jobs: usize, is_bad: impl Fn(usize) -> bool) -> usize {
        let (mut groups, mut halving, mut tries) = (vec![(0..jobs).collect::<Vec<_>>()], Halving::default(), 0);
        while let Some(mut first) = groups.pop() {
            tries += 1;
            let bad = first.iter().any(|job| is_bad(*job));
            let apart = bad && first.len() > 1;
            halving.learn(if apart { first.len() } else { 0 }, !bad);
            if apart && halving.is_in_vain() {
                break;
            }
            if apart {
                let second = first.split_off(first.len() / 2);
                groups.extend([second, first]);
            }
        }
        tries
    }

    #[test]
    fn what_fails_for_everybody_is_not_tried_for_each() {
        assert!(tries(512, |_| true) <= 16);
    }

    #[test]
    fn one_bad_job_is_found_wherever_it_stands() {
        for bad in [0, 1, 99, 50] {
            // Both halves at each level, and the whole.
            assert!(tries(100, |job| job == bad) >= 8);
            let mut halving = Halving::default();
            halving.learn(100, false);
            (0..6).for_each(|_| halving.learn(2, false));
            assert!(!halving.is_in_vain(), "down to the job itself");
        }
    }
}
