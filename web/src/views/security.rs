//! What was refused as a matter of security: on the bus, by workers, by dispatch.

use jiff::Timestamp;
use maud::{Markup, html};

use super::components::badge::Tone;
use super::components::button::{self, Weight};
use super::components::icon::Icon;
use super::components::stat::count;
use super::components::table::{Column, detail, table};
use super::components::toolbar::{Filter, Select, filter_links, toolbar};
use super::components::{empty_state, pager, time};
use super::fragment::Fragment;
use super::layout::{self, Nav, Page, Viewer};
use super::listing::Listing;
use crate::paths;

/// The list's model. Its filters: `unseen`, `kind`, `server`.
#[derive(Debug, Clone)]
pub struct ListModel {
    /// What time it is.
    pub now: Timestamp,
    /// What is shown.
    pub listing: Listing,
    /// How many there are.
    pub all: u64,
    /// How many nobody has seen.
    pub unseen: u64,
    /// The newest of all: until there they can be marked as seen.
    pub newest: Option<String>,
    /// The kinds to choose among, with their words.
    pub kinds: Vec<(String, String)>,
    /// This page's lines, newest first.
    pub rows: Vec<Row>,
    /// The live stream.
    pub live: Option<String>,
}

/// One line.
#[derive(Debug, Clone)]
pub struct Row {
    /// Its id.
    pub id: String,
    /// When the panel was told.
    pub at: Timestamp,
    /// Which server; empty if nobody knows.
    pub server: String,
    /// What was refused.
    pub what: String,
    /// What it may mean, and what to do.
    pub advice: &'static str,
    /// For engineers.
    pub detail: String,
    /// How often.
    pub times: u64,
    /// Whether an admin has seen it.
    pub seen: bool,
}

const COLUMNS: &[Column] =
    &[Column::new("Refused").class("main"), Column::new("Server"), Column::new("Times").class("num"), Column::new("When")];

const FILTERS_ID: &str = "security-filters";

/// The DOM id of the whole list.
#[must_use]
pub const fn container_id() -> &'static str {
    "security-list"
}

/// The page.
#[must_use]
pub fn list_page(viewer: &Viewer, model: &ListModel) -> Markup {
    let line = html! { "What workers, the panel and the bus refused. A repeat within a minute is counted, not listed." };
    let kinds = Select { key: "kind", label: "Kind", all: "All kinds", options: model.kinds.clone() };
    let body = html! {
        (layout::page_head(&html! { "Security events" }, &line, &layout::nothing()))
        section.card {
            div.toolbar-split {
                (filters(model).html)
                (toolbar(&model.listing, &[], &[kinds], "Search by server or detail"))
            }
            (container(model).html)
        }
    };
    let page = Page::new("Security events", Nav::Security, body).below(viewer.home(), paths::HOME).live(model.live.as_deref(), false);
    layout::page(viewer, &page)
}

/// The filters with their counts, and the button that marks all as seen.
#[must_use]
pub fn filters(model: &ListModel) -> Fragment {
    let filters = [Filter::new("", "All", model.all), Filter::new("unseen", "Not seen", model.unseen).tone(Tone::Bad)];
    let html = html! {
        div.row #(FILTERS_ID) {
            (filter_links(&model.listing, &filters))
            @if let Some(newest) = model.newest.as_ref().filter(|_| model.unseen > 0) {
                form.row method="post" action=(paths::SECURITY_SEEN) {
                    input type="hidden" name="until" value=(newest);
                    (button::submit(Weight::Normal, "Mark all as seen"))
                }
            }
        }
    };
    Fragment::new(FILTERS_ID, html)
}

/// The whole list.
#[must_use]
pub fn container(model: &ListModel) -> Fragment {
    let rows = html! { @for row in &model.rows { (row_fragment(model, row).html) } };
    let html = html! {
        div #(container_id()) {
            @if model.rows.is_empty() && model.listing.is_narrowed() {
                (empty_state::nothing_found("events", &model.listing.cleared()))
            } @else if model.rows.is_empty() {
                (empty_state::empty_state(Icon::LockKeyhole, "Nothing was refused",
                    "Forged or misdirected messages, copied hosts and revoked credentials show here, with what to do.", &layout::nothing()))
            } @else {
                (table("Security events", COLUMNS, None, &rows))
            }
            (pager::pager(&model.listing))
        }
    };
    Fragment::new(container_id(), html)
}

/// Each row.
#[must_use]
pub fn rows(model: &ListModel) -> Vec<Fragment> {
    model.rows.iter().map(|row| row_fragment(model, row)).collect()
}

fn row_fragment(model: &ListModel, row: &Row) -> Fragment {
    let id = format!("security-{}", row.id);
    let tone = if row.seen { Tone::Off } else { Tone::Bad };
    let html = html! {
        tbody #(id) {
            tr {
                td.main { span.status data-state=(tone) { (Icon::Ban) span.name { (row.what) } } @if !row.seen { " " span.chip { "not seen" } } }
                td data-label="Server" {
                    @if row.server.is_empty() { span.muted { "unknown" } }
                    @else { a.inline-link href=(model.listing.with_extra("server", &row.server)) { (row.server) } }
                }
                td.num data-label="Times" { (count(row.times)) }
                td.nowrap data-label="When" { (time::ago(row.at, model.now)) }
            }
            (detail(COLUMNS.len(), &html! { div { p.small { (row.advice) } p.small.muted { (row.detail) } } }))
        }
    };
    Fragment::new(id, html)
}
