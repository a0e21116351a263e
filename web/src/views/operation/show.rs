//! An operation's record: its jobs, each step with its time, and what came of it.
//!
//! **Raw output is shown only if the model says so**, which it does for admins.

use jiff::Timestamp;
use maud::{Markup, html};
use shared::events::{StepReport, StepState};
use shared::ids::{JobId, OperationId};
use shared::jobs::{Generation, ResourceKind};
use shared::operation::JobState;
use shared::record::JobRecord;

use super::Row;
use super::record::{Attempt, blackbox};
use crate::paths;
use crate::views::components::badge::{self, Tone};
use crate::views::components::button;
use crate::views::components::icon::Icon;
use crate::views::components::progress::step_icon;
use crate::views::components::table::{Column, table};
use crate::views::components::{kv, note, reference, time};
use crate::views::fragment::Fragment;
use crate::views::layout::{self, Audience, Nav, Page, Viewer};
use crate::views::model::{AccountRef, PersonRef, Until};

/// The page's model.
#[derive(Debug, Clone)]
pub struct ShowModel {
    /// What time it is.
    pub now: Timestamp,
    /// The operation.
    pub row: Row,
    /// Its jobs in the order they run.
    pub jobs: Vec<JobBlock>,
    /// Who asked.
    pub asked_by: PersonRef,
    /// From which address, if the viewer may know.
    pub asked_from: Option<String>,
    /// The account it belongs to.
    pub account: Option<AccountRef>,
    /// Why its server was chosen; empty where there was no choice, and for clients.
    pub placed: String,
    /// When it ended.
    pub finished_at: Option<Timestamp>,
    /// Jobs that this release cannot read.
    pub unreadable: Vec<Unreadable>,
    /// Where Retry posts to, if the viewer may retry.
    pub retry: Option<String>,
    /// Where it can be taken back, if it can and the viewer may.
    pub cancel: Option<String>,
    /// The queue it is in, if the viewer may see that.
    pub queue: Option<String>,
    /// Where its whole record is, if the viewer may have it.
    pub record: Option<String>,
    /// Whether steps show what was run and what it printed. For admins.
    pub show_detail: bool,
    /// The live stream.
    pub live: Option<String>,
}

/// One job.
#[derive(Debug, Clone)]
pub struct JobBlock {
    /// Its id.
    pub id: JobId,
    /// What it makes so, such as `Site shop.example`.
    pub title: String,
    /// The kind of its resource.
    pub kind: ResourceKind,
    /// Where it stands.
    pub state: JobState,
    /// Its server's name.
    pub server: String,
    /// The generation it brings.
    pub generation: Generation,
    /// The attempt whose steps these are.
    pub attempt: u32,
    /// The steps of that attempt.
    pub steps: Vec<StepReport>,
    /// How long the worker took, if it has ended.
    pub took_ms: Option<u64>,
    /// What the worker kept beside the steps. For admins.
    pub record: Option<JobRecord>,
    /// Earlier attempts, the oldest first. For admins.
    pub attempts: Vec<Attempt>,
    /// Why it failed or waits, as the worker says. For admins.
    pub detail: String,
}

/// A job that cannot be shown, because another release wrote it.
#[derive(Debug, Clone)]
pub struct Unreadable {
    /// The job, as stored.
    pub id: String,
    /// Where it stands, as stored.
    pub state: String,
    /// What is wrong. Empty for clients.
    pub error: String,
}

const HEAD: &str = "operation-head";
const STATUS: &str = "operation-status";
const FACTS: &str = "operation-facts";

/// The DOM id of a job's card.
#[must_use]
fn job_id(id: JobId) -> String {
    format!("job-{id}")
}

/// The page.
#[must_use]
pub fn show_page(viewer: &Viewer, model: &ShowModel) -> Markup {
    let body = html! {
        (head(model).html)
        (status(model).html)
        div.split {
            div.stack {
                @for job in &model.jobs { (job_card(model, job).html) }
                @for job in &model.unreadable { (unreadable(job)) }
                @if model.jobs.is_empty() && model.unreadable.is_empty() { (note::note(Tone::Off, Icon::Info, "Nothing had to be done.", "Everything was as asked for already.")) }
            }
            aside.stack { (facts(model).html) }
        }
    };
    let (home, list) = match viewer.audience {
        Audience::Admin => ("Overview", "Operations"),
        Audience::Client => ("Home", "Activity"),
    };
    let title = format!("{} {}", model.row.action, model.row.name);
    let page = Page::new(title, Nav::Operations, body)
        .below(home, paths::HOME)
        .below(list, paths::OPERATIONS)
        .live(model.live.as_deref(), model.row.is_busy());
    layout::page(viewer, &page)
}

/// The parts that change while the page is open.
#[must_use]
pub fn show_fragments(model: &ShowModel) -> Vec<Fragment> {
    let jobs = model.jobs.iter().map(|job| job_card(model, job));
    jobs.chain([head(model), status(model), facts(model)]).collect()
}

fn head(model: &ShowModel) -> Fragment {
    let row = &model.row;
    let line = html! {
        @if let Some(server) = &row.server { "On " (reference::server(server)) ", asked " } @else { "Asked " }
        (time::ago(row.asked_at, model.now))
        @if let Some(ms) = row.took_ms { ", took " (time::duration_ms(ms)) }
        "."
    };
    let actions = html! {
        @if let Some(path) = &model.queue { (button::link(button::Weight::Normal, Some(Icon::ListChecks), "Queue", path)) }
        @if let Some(path) = &model.cancel { (button::link(button::Weight::Normal, Some(Icon::X), "Cancel", path)) }
        @if let Some(path) = &model.record { (button::link(button::Weight::Normal, Some(Icon::FileCode), "Record as JSON", path)) }
        @if let Some(path) = row.subject.path() { (button::link(button::Weight::Normal, None, &format!("Open {}", row.name), &path)) }
    };
    let title = html! { (row.action) " " (row.name) " " (row.badge()) };
    Fragment::new(HEAD, html! { div #(HEAD) { (layout::page_head(&title, &line, &actions)) } })
}

fn status(model: &ShowModel) -> Fragment {
    let html = html! {
        div.stack.status-slot #(STATUS) aria-live="polite" {
            @if let Some(failure) = &model.row.failure {
                @let shown = crate::views::model::Failure { operation: None, retry: model.retry.clone(), ..failure.clone() };
                (note::failure(&shown))
            } @else if let Some(waiting) = &model.row.waiting {
                (note::waiting(waiting))
            }
        }
    };
    Fragment::new(STATUS, html)
}

fn facts(model: &ShowModel) -> Fragment {
    let row = &model.row;
    let mut facts = vec![("Asked by", reference::person(&model.asked_by))];
    if let Some(address) = &model.asked_from {
        facts.push(("From", kv::mono(address)));
    }
    facts.push(("Asked at", time::second(row.asked_at)));
    if let Some(at) = model.finished_at {
        facts.push(("Ended at", time::second(at)));
    }
    if let Some(account) = &model.account {
        facts.push(("Account", reference::account(account)));
    }
    if let Some(server) = &row.server {
        facts.push(("Server", reference::server(server)));
    }
    if !model.placed.is_empty() {
        facts.push(("Why there", kv::text(&model.placed)));
    }
    let id: OperationId = row.id;
    facts.push(("Operation", kv::mono(id.to_string())));
    Fragment::new(FACTS, html! { div #(FACTS) { (kv::card("Request", &facts)) } })
}

fn job_card(model: &ShowModel, job: &JobBlock) -> Fragment {
    let took = job.took_ms.map(time::duration_ms);
    let html = html! {
        section.card #(job_id(job.id)) {
            header.card-head {
                h2 { (job.title) }
                @if waits(model, job) { (badge::WAITING) } @else { (badge::job(job.state)) }
                small {
                    @if model.show_detail { "attempt " (job.attempt) ", generation " (job.generation) @if took.is_some() { ", " } }
                    @else if job.attempt > 1 { "attempt " (job.attempt) @if took.is_some() { ", " } }
                    @if let Some(took) = took { (took) " on " (job.server) }
                }
            }
            @if job.steps.is_empty() {
                div.card-body { p.muted.small { @if waits(model, job) { "Waits for " (job.server) " to return." } @else { (no_steps(job)) } } }
            } @else {
                (waterfall(model, job))
            }
            @if model.show_detail { (blackbox(job)) }
        }
    };
    Fragment::new(job_id(job.id), html)
}

fn unreadable(job: &Unreadable) -> Markup {
    html! {
        div.note data-state=(Tone::Warn) role="status" {
            (Icon::TriangleAlert)
            div {
                p { b { "A part of this operation cannot be shown." } " It was written by another release of the panel and is kept as it is (" (job.state) ")." }
                @if !job.error.is_empty() { p.small.muted { "Job " (job.id) ": " (job.error) } }
            }
        }
    }
}

/// Whether a job lies on the bus until its server returns.
fn waits(model: &ShowModel, job: &JobBlock) -> bool {
    let offline = model.row.waiting.as_ref().is_some_and(|waiting| matches!(waiting.until, Until::Return { .. }));
    offline && job.state == JobState::Sent
}

fn no_steps(job: &JobBlock) -> String {
    match job.state {
        JobState::Queued => format!("Waits for its turn on {}.", job.server),
        JobState::Sent | JobState::Working => format!("On its way to {}.", job.server),
        JobState::Blocked => format!("Waits until {} is repaired.", job.server),
        JobState::Done => "It was so already: no step was needed.".to_owned(),
        JobState::Failed => "It failed before its first step.".to_owned(),
        JobState::Superseded => "A newer change took its place.".to_owned(),
        JobState::Cancelled if job.server.is_empty() => "It was taken back: its server is not there any more.".to_owned(),
        JobState::Cancelled => "It was taken back before it began.".to_owned(),
    }
}

const STEPS: &[Column] = &[Column::new("Step").class("main"), Column::new("When").class("flow"), Column::new("Time").class("num")];

/// The steps one after another, each as long as it took. Widths are SVG attributes, so no style is inline.
fn waterfall(model: &ShowModel, job: &JobBlock) -> Markup {
    let total = job.steps.iter().filter_map(|step| step.ms).map(u64::from).sum::<u64>().max(1);
    let mut start = 0;
    let mut rows = Vec::new();
    for step in &job.steps {
        rows.push(step_row(model, step, (start, total)));
        start += step.ms.map_or(0, u64::from);
    }
    let rows = html! { @for row in rows { (row) } };
    html! { div.waterfall { (table(&format!("Steps of attempt {}", job.attempt), STEPS, None, &rows)) } }
}

fn step_row(model: &ShowModel, step: &StepReport, (start, total): (u64, u64)) -> Markup {
    let (state, icon, word) = badge::step(step.state);
    let ms = step.ms.map(u64::from);
    html! {
        tbody data-state=(state) {
            tr {
                td.main { span.status { span.st { (step_icon(step.state, icon)) } (step.name) } span.sr { ", " (word) } }
                td.flow {
                    @if let Some(ms) = ms {
                        svg role="img" aria-label={ (step.name) ": " (time::duration_ms(ms)) } {
                            rect x=(per_cent(start, total)) width=(per_cent(ms.max(total / 100), total)) {}
                        }
                    }
                }
                td.num.nowrap {
                    @if let Some(ms) = ms { (time::duration_ms(ms)) } @else if step.state == StepState::Running { "running" }
                }
            }
            @if model.show_detail && !step.detail.is_empty() {
                tr.row-detail {
                    td colspan=(STEPS.len()) {
                        details.more open[step.state == StepState::Failed] {
                            summary { "Output" }
                            pre.pre.framed tabindex="0" { (step.detail) }
                        }
                    }
                }
            }
        }
    }
}

/// A share in per cent with one decimal.
fn per_cent(part: u64, whole: u64) -> String {
    let tenths = part.saturating_mul(1000) / whole.max(1);
    format!("{}.{}%", tenths / 10, tenths % 10)
}
