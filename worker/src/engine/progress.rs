//! The visible steps of a job: what people watch. Several actions may share one.

use std::time::Instant;

use shared::events::{StepReport, StepState};

use super::plan::Plan;
use crate::system::cut;

/// What an admin sees of one step is cut to this (`StepReport::detail`).
const DETAIL_LIMIT: usize = 4096;

/// Who is told of each change of a visible step: of which job of the batch, and how its steps stand.
pub(crate) type Tell = dyn Fn(usize, &[StepReport]) + Send + Sync;

/// The step vector of a job so far, and who is told of its changes.
pub(crate) struct Progress<'a> {
    job: usize,
    steps: Vec<StepReport>,
    began: Option<Instant>,
    current: Option<usize>,
    tell: &'a Tell,
}

impl<'a> Progress<'a> {
    /// All steps of a plan, waiting.
    pub(crate) fn new(job: usize, plan: &Plan, tell: &'a Tell) -> Self {
        let mut steps: Vec<StepReport> = Vec::new();
        let names = plan.steps.iter().map(|step| &step.name).chain(plan.finish.iter().map(|step| &step.name));
        for name in names {
            if !steps.iter().any(|step| step.name == **name) {
                let (name, state) = (name.to_string(), StepState::Waiting);
                steps.push(StepReport { name, state, ms: None, detail: String::new(), shared_with: 0 });
            }
        }
        Self::resume(job, steps, tell)
    }

    /// Goes on with steps that an earlier part of the job left.
    pub(crate) fn resume(job: usize, steps: Vec<StepReport>, tell: &'a Tell) -> Self {
        Self { job, steps, began: None, current: None, tell }
    }

    /// An action of the named step begins.
    pub(crate) fn begin(&mut self, name: &str) {
        let index = self.steps.iter().position(|step| step.name == name);
        if index == self.current {
            self.began.get_or_insert_with(Instant::now);
            return;
        }
        self.end(StepState::Done);
        self.current = index;
        self.began = Some(Instant::now());
        if let Some(step) = self.step() {
            step.state = StepState::Running;
        }
        self.told();
    }

    /// The job waits for others of its batch: that time is none of its step's.
    pub(crate) fn pause(&mut self) {
        let took = self.began.take().map(|began| u32::try_from(began.elapsed().as_millis()).unwrap_or(u32::MAX));
        if let (Some(took), Some(step)) = (took, self.step()) {
            step.ms = Some(step.ms.unwrap_or(0).saturating_add(took));
        }
    }

    /// The current step is done once for so many other jobs too.
    pub(crate) fn share(&mut self, others: usize) {
        if let Some(step) = self.step() {
            step.shared_with = step.shared_with.max(u32::try_from(others).unwrap_or(u32::MAX));
        }
    }

    /// Adds to what admins see of the current step.
    pub(crate) fn note(&mut self, text: &str) {
        if let Some(step) = self.step() {
            if !step.detail.is_empty() {
                step.detail.push('\n');
            }
            step.detail.push_str(text.trim_end());
            step.detail = cut(std::mem::take(&mut step.detail), DETAIL_LIMIT);
        }
    }

    /// The current step has ended, one way or the other.
    pub(crate) fn end(&mut self, state: StepState) {
        self.pause();
        let Some(step) = self.step() else { return };
        step.state = state;
        step.ms.get_or_insert(0);
        self.current = None;
        self.told();
    }

    /// What was done has been undone.
    pub(crate) fn undone(&mut self) {
        for step in self.steps.iter_mut().filter(|step| step.state == StepState::Done) {
            step.state = StepState::Undone;
        }
        self.told();
    }

    /// What was done has been undone, and all of it waits to be done later.
    pub(crate) fn wait_again(&mut self) {
        (self.current, self.began) = (None, None);
        for step in &mut self.steps {
            (step.state, step.ms, step.shared_with) = (StepState::Waiting, None, 0);
        }
        self.told();
    }

    /// The steps as they stand.
    pub(crate) fn into_steps(self) -> Vec<StepReport> {
        self.steps
    }

    fn step(&mut self) -> Option<&mut StepReport> {
        self.current.and_then(|index| self.steps.get_mut(index))
    }

    fn told(&self) {
        (self.tell)(self.job, &self.steps);
    }
}
