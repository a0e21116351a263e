//! The black box of a job: its batch, what was planned, how files changed, earlier attempts. For admins.

use maud::{Markup, html};
use shared::events::StepReport;
use shared::operation::JobState;
use shared::record::{JobRecord, PlannedAction};

use super::show::JobBlock;
use crate::views::components::badge;
use crate::views::components::stat::counted;
use crate::views::components::time;

/// An earlier attempt of a job.
#[derive(Debug, Clone)]
pub struct Attempt {
    /// From 1.
    pub number: u32,
    /// How it ended.
    pub state: JobState,
    /// Its steps.
    pub steps: Vec<StepReport>,
    /// Why it failed.
    pub detail: String,
    /// How long the worker took.
    pub took_ms: Option<u64>,
    /// What the worker noted.
    pub record: Option<JobRecord>,
}

/// Everything that is kept of a job beside its steps.
pub(super) fn blackbox(job: &JobBlock) -> Markup {
    html! {
        @if job.record.is_some() || !job.attempts.is_empty() || !job.detail.is_empty() {
            div.card-body.stack {
                @if !job.detail.is_empty() { details.more { summary { "What was said" } pre.pre.framed tabindex="0" { (job.detail) } } }
                @if let Some(record) = &job.record { (noted(record)) }
                @for attempt in &job.attempts { (earlier(attempt)) }
            }
        }
    }
}

/// What the worker noted of an attempt.
fn noted(record: &JobRecord) -> Markup {
    html! { (company(record)) (tries(record)) (plan(record)) }
}

fn company(record: &JobRecord) -> Markup {
    html! {
        p.small.muted {
            @match record.batch_size {
                0 | 1 => { "Carried out by itself" }
                many => { "Carried out together with " (counted(u64::from(many - 1), "other job", "other jobs")) }
            }
            @if let Some(batch) = record.batch { ", batch " span.mono { (batch) } }
            @if record.begun > 1 { ", begun " (record.begun) " times" }
            "."
        }
    }
}

/// What the worker began before, by itself, within the same attempt.
fn tries(record: &JobRecord) -> Markup {
    html! {
        @for (number, one) in (1_u32..).zip(&record.tries) {
            details.more {
                summary { "Begun the " (ordinal(number)) " time, " (time::duration_ms(one.took_ms)) " " (badge::job(JobState::Failed)) }
                (steps(&one.steps))
                pre.pre.framed tabindex="0" { (one.code) ": " (one.detail) }
            }
        }
    }
}

fn ordinal(number: u32) -> String {
    match number {
        1 => "first".to_owned(),
        2 => "second".to_owned(),
        3 => "third".to_owned(),
        more => format!("{more}th"),
    }
}

fn plan(record: &JobRecord) -> Markup {
    html! {
        @if !record.plan.is_empty() {
            details.more {
                summary { "Plan, " (counted(record.plan.len() as u64, "action", "actions")) }
                ol.bullets { @for action in &record.plan { (planned(action)) } }
            }
        }
    }
}

fn planned(action: &PlannedAction) -> Markup {
    html! {
        li {
            span.muted { (action.step) ": " } (action.action)
            @if !action.diff.is_empty() { pre.pre.framed tabindex="0" { (action.diff) } }
        }
    }
}

fn earlier(attempt: &Attempt) -> Markup {
    html! {
        details.more {
            summary { "Attempt " (attempt.number) @if let Some(ms) = attempt.took_ms { ", " (time::duration_ms(ms)) } " " (badge::job(attempt.state)) }
            (steps(&attempt.steps))
            @if !attempt.detail.is_empty() { pre.pre.framed tabindex="0" { (attempt.detail) } }
            @if let Some(record) = &attempt.record { (noted(record)) }
        }
    }
}

fn steps(steps: &[StepReport]) -> Markup {
    html! {
        ul.bullets {
            @for step in steps {
                @let (_, _, word) = badge::step(step.state);
                li {
                    (step.name) ", " (word) @if let Some(ms) = step.ms { ", " (time::duration_ms(u64::from(ms))) }
                    @if !step.detail.is_empty() { pre.pre.framed tabindex="0" { (step.detail) } }
                }
            }
        }
    }
}
