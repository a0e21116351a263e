//! The visible steps of a job: what people watch. Several actions may share one.

use std::time::Instant;

use shared::events::{StepReport, StepState};

use super::plan::Plan;
use crate::system::cut;

/// What an admin sees of one step is cut to this (`StepReport::detail`).
const DETAIL_LIMIT: usize = 4096;

/// The step vector so far, and who is told of its changes.
pub(crate) struct Progress<'a> {
    steps: Vec<StepReport>,
    began: Option<Instant>,
    current: Option<usize>,
    tell: &'a mut (dyn FnMut(&[StepReport]) + Send),
}

impl<'a> Progress<'a> {
    /// All steps of a plan, waiting.
    pub(crate) fn new(plan: &Plan, tell: &'a mut (dyn FnMut(&[StepReport]) + Send)) -> Self {
        let mut steps: Vec<StepReport> = Vec::new();
        let names = plan.steps.iter().map(|step| &step.name).chain(plan.finish.iter().map(|step| &step.name));
        for name in names {
            if !steps.iter().any(|step| step.name == **name) {
                steps.push(StepReport { name: name.to_string(), state: StepState::Waiting, ms: None, detail: String::new() });
            }
        }
        Self { steps, began: None, current: None, tell }
    }

    /// Goes on with steps that an earlier part of the job left.
    pub(crate) fn resume(steps: Vec<StepReport>, tell: &'a mut (dyn FnMut(&[StepReport]) + Send)) -> Self {
        Self { steps, began: None, current: None, tell }
    }

    /// An action of the named step begins.
    pub(crate) fn begin(&mut self, name: &str) {
        let index = self.steps.iter().position(|step| step.name == name);
        if index == self.current {
            return;
        }
        self.end(StepState::Done);
        self.current = index;
        self.began = Some(Instant::now());
        self.set(StepState::Running);
        (self.tell)(&self.steps);
    }

    /// Adds to what admins see of the current step.
    pub(crate) fn note(&mut self, text: &str) {
        if let Some(step) = self.current.and_then(|index| self.steps.get_mut(index)) {
            if !step.detail.is_empty() {
                step.detail.push('\n');
            }
            step.detail.push_str(text.trim_end());
            step.detail = cut(std::mem::take(&mut step.detail), DETAIL_LIMIT);
        }
    }

    /// The current step has ended, one way or the other.
    pub(crate) fn end(&mut self, state: StepState) {
        let Some(index) = self.current.take() else { return };
        let took = self.began.map(|began| u32::try_from(began.elapsed().as_millis()).unwrap_or(u32::MAX));
        if let Some(step) = self.steps.get_mut(index) {
            step.state = state;
            step.ms = Some(step.ms.unwrap_or(0).saturating_add(took.unwrap_or(0)));
        }
        (self.tell)(&self.steps);
    }

    /// What was done has been undone.
    pub(crate) fn undone(&mut self) {
        for step in self.steps.iter_mut().filter(|step| step.state == StepState::Done) {
            step.state = StepState::Undone;
        }
        (self.tell)(&self.steps);
    }

    /// The steps as they stand.
    pub(crate) fn into_steps(self) -> Vec<StepReport> {
        self.steps
    }

    fn set(&mut self, state: StepState) {
        if let Some(step) = self.current.and_then(|index| self.steps.get_mut(index)) {
            step.state = state;
        }
    }
}
