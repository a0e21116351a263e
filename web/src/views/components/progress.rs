//! Steps as they happen: a bar by steps done, and each step with its time.

use maud::{Markup, html};
use shared::events::{StepReport, StepState};

use super::badge::{self, Tone};
use super::icon::Icon;
use super::time::duration_ms;
use crate::views::model::Progress;

/// Progress inside a row or a card.
#[must_use]
pub fn progress(progress: &Progress) -> Markup {
    html! {
        div.progress aria-live="polite" {
            (bar(&progress.label, &progress.steps))
            (steps(&progress.steps))
        }
    }
}

fn bar(label: &str, steps: &[StepReport]) -> Markup {
    let done = steps.iter().filter(|step| step.state == StepState::Done).count();
    let percent = (done * 100).checked_div(steps.len()).unwrap_or(0);
    let failed = steps.iter().any(|step| matches!(step.state, StepState::Failed | StepState::Undone));
    let tone = if failed { Tone::Bad } else { Tone::Work };
    html! {
        span class="bar is-thin" data-state=(tone) role="progressbar" aria-label=(label) aria-valuemin="0" aria-valuemax="100"
            aria-valuenow=(percent) aria-valuetext={ (done) " of " (steps.len()) " steps done" } {
            svg aria-hidden="true" { rect width={ (percent) "%" } {} }
        }
    }
}

/// The steps in one line. Never their detail: this is what clients see.
#[must_use]
pub fn steps(steps: &[StepReport]) -> Markup {
    html! {
        ol class="steps is-inline" {
            @for step in steps {
                @let (state, icon, word) = badge::step(step.state);
                li data-state=(state) {
                    (step_icon(step.state, icon))
                    span { (step.name) span.sr { ", " (word) } }
                    @if let Some(ms) = step.ms { span { (duration_ms(u64::from(ms))) } }
                }
            }
        }
    }
}

/// A step's icon, turning while it runs.
#[must_use]
pub fn step_icon(state: StepState, icon: Icon) -> Markup {
    html! { @if state == StepState::Running { (icon.spinning()) } @else { (icon) } }
}
