//! The list of operations.

use jiff::Timestamp;
use maud::{Markup, html};
use shared::ids::OperationId;
use shared::operation::OperationState;

use super::{Row, row_id};
use crate::paths;
use crate::views::components::badge::Tone;
use crate::views::components::icon::Icon;
use crate::views::components::table::{Column, detail, table};
use crate::views::components::toolbar::{Filter, Select, filter_links, toolbar};
use crate::views::components::{empty_state, note, pager, progress, reference, time};
use crate::views::fragment::Fragment;
use crate::views::layout::{self, Audience, Nav, Page, Viewer};
use crate::views::listing::Listing;

/// How many operations each filter has.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counts {
    /// All.
    pub all: u64,
    /// Waiting.
    pub waiting: u64,
    /// Working.
    pub working: u64,
    /// Failed, and not retried or superseded since.
    pub failed: u64,
    /// Succeeded.
    pub succeeded: u64,
}

/// The list's model. Its filters: `state` (an [`OperationState`]), `server` and `kind`.
#[derive(Debug, Clone)]
pub struct ListModel {
    /// What time it is.
    pub now: Timestamp,
    /// What is shown.
    pub listing: Listing,
    /// The filters' counts.
    pub counts: Counts,
    /// This page's rows.
    pub rows: Vec<Row>,
    /// The servers to choose among; empty hides the choice.
    pub servers: Vec<(String, String)>,
    /// The live stream.
    pub live: Option<String>,
}

/// The DOM id of the whole list.
#[must_use]
pub const fn container_id() -> &'static str {
    "operation-list"
}

const FILTERS_ID: &str = "operation-filters";

const COLUMNS: &[Column] = &[
    Column::new("Operation").class("main"),
    Column::new("State"),
    Column::new("Server"),
    Column::new("Asked by").class("wide"),
    Column::new("Asked"),
    Column::new("Time").class("num"),
];

/// The page.
#[must_use]
pub fn list_page(viewer: &Viewer, model: &ListModel) -> Markup {
    let (title, line) = match viewer.audience {
        Audience::Admin => ("Operations", "Every change that was asked for, with each step it took on the servers."),
        Audience::Client => ("Activity", "Every change you asked for, and what came of it."),
    };
    let body = html! {
        (layout::page_head(&html! { (title) }, &html! { (line) }, &layout::nothing()))
        section.card {
            (toolbar_of(model))
            (container(model).html)
        }
    };
    let busy = model.rows.iter().any(Row::is_busy);
    let page = Page::new(title, Nav::Operations, body).below(viewer.home(), paths::HOME).live(model.live.as_deref(), busy);
    layout::page(viewer, &page)
}

fn toolbar_of(model: &ListModel) -> Markup {
    let mut selects = Vec::new();
    let is_admin = !model.servers.is_empty();
    if is_admin {
        selects.push(Select::server(&model.servers));
    }
    let kinds = [("site", "Sites"), ("account", "Accounts"), ("php_pool", "PHP")];
    let workers = is_admin.then_some(("worker", "Workers"));
    let options = kinds.into_iter().chain(workers).map(|(key, label)| (key.to_owned(), label.to_owned())).collect();
    selects.push(Select { key: "kind", label: "Kind", all: "All kinds", options });
    html! {
        div.toolbar-split {
            div #(FILTERS_ID) { (filter_links(&model.listing, &filters(model.counts))) }
            (toolbar(&model.listing, &[], &selects, "Search by name"))
        }
    }
}

fn filters(counts: Counts) -> [Filter; 5] {
    [
        Filter::new("", "All", counts.all),
        Filter::new(OperationState::Working.as_str(), "Working", counts.working).tone(Tone::Work),
        Filter::new(OperationState::Waiting.as_str(), "Waiting", counts.waiting).tone(Tone::Warn),
        Filter::new(OperationState::Failed.as_str(), "Failed", counts.failed).tone(Tone::Bad),
        Filter::new(OperationState::Succeeded.as_str(), "Succeeded", counts.succeeded),
    ]
}

/// The parts that change while the list stays the same: each row, and the filters' counts.
#[must_use]
pub fn fragments(model: &ListModel) -> Vec<Fragment> {
    let rows = model.rows.iter().map(|row| row_fragment(row, model.now));
    let filters = html! { div #(FILTERS_ID) { (filter_links(&model.listing, &filters(model.counts))) } };
    rows.chain([Fragment::new(FILTERS_ID, filters)]).collect()
}

/// The whole list, for when rows came or went.
#[must_use]
pub fn container(model: &ListModel) -> Fragment {
    let rows = html! { @for row in &model.rows { (row_fragment(row, model.now).html) } };
    let html = html! {
        div #(container_id()) {
            @if model.rows.is_empty() && model.listing.is_narrowed() {
                (empty_state::nothing_found("operations", &model.listing.cleared()))
            } @else if model.rows.is_empty() {
                (empty_state::empty_state(Icon::ListChecks, "Nothing has been asked for yet",
                    "Each change to a site or an account is recorded here, with every step and how long it took.", &layout::nothing()))
            } @else {
                (table("Operations", COLUMNS, Some(&model.listing), &rows))
            }
            (pager::pager(&model.listing))
        }
    };
    Fragment::new(container_id(), html)
}

/// One row with the line below it.
#[must_use]
pub fn row_fragment(row: &Row, now: Timestamp) -> Fragment {
    let id: OperationId = row.id;
    let html = html! {
        tbody #(row_id(id)) {
            tr {
                td.main { a.name href=(paths::operation(id)) { (row.action) " " (row.name) } }
                td { (row.badge()) }
                td data-label="Server" { @if let Some(server) = &row.server { (reference::server(server)) } @else { span.muted { "none" } } }
                td.wide data-label="Asked by" { (row.asked_by) }
                td.nowrap data-label="Asked" { (time::ago(row.asked_at, now)) }
                td.num.nowrap data-label="Time" { @if let Some(ms) = row.took_ms { (time::duration_ms(ms)) } }
            }
            @if let Some(progress) = &row.progress { (detail(COLUMNS.len(), &progress::progress(progress))) }
            @else if let Some(failure) = &row.failure { (detail(COLUMNS.len(), &note::failure_line(&without_link(failure)))) }
            @else if let Some(waiting) = &row.waiting { (detail(COLUMNS.len(), &note::waiting_line(waiting))) }
        }
    };
    Fragment::new(row_id(id), html)
}

/// The row itself leads to the operation already.
fn without_link(failure: &crate::views::model::Failure) -> crate::views::model::Failure {
    crate::views::model::Failure { operation: None, ..failure.clone() }
}
