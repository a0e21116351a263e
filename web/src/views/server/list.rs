//! The list of servers.

use jiff::Timestamp;
use maud::{Markup, html};
use shared::role::Role;

use super::{Reach, Row, accounts, reach, roles, row_id};
use crate::paths;
use crate::views::components::badge::Tone;
use crate::views::components::button::{self, Weight};
use crate::views::components::icon::Icon;
use crate::views::components::table::{Column, table};
use crate::views::components::toast::Toast;
use crate::views::components::toolbar::{Filter, Select, filter_links, toolbar};
use crate::views::components::{empty_state, pager, time, usage};
use crate::views::fragment::Fragment;
use crate::views::layout::{self, Nav, Page, Viewer};
use crate::views::listing::Listing;

/// How many servers each filter has.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counts {
    /// All.
    pub all: u64,
    /// Online (`online`).
    pub online: u64,
    /// Offline (`offline`).
    pub offline: u64,
    /// Waiting to enrol (`waiting`).
    pub waiting: u64,
}

/// The list's model. Sort keys: `name`, `hostname`, `accounts`, `version`, `reach`, `load`.
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
    /// The live stream.
    pub live: Option<String>,
    /// A message.
    pub toast: Option<Toast>,
}

/// The DOM id of the whole list.
#[must_use]
pub const fn container_id() -> &'static str {
    "server-list"
}

const FILTERS_ID: &str = "server-filters";

const COLUMNS: &[Column] = &[
    Column::sorted("Name", "name").class("main"),
    Column::sorted("Reachable", "reach"),
    Column::new("Roles"),
    Column::sorted("Accounts", "accounts").class("num"),
    Column::sorted("Load", "load").class("num"),
    Column::new("Disk").class("disk wide"),
    Column::sorted("Version", "version").class("wide"),
    Column::new("Takes accounts"),
];

/// The page.
#[must_use]
pub fn list_page(viewer: &Viewer, model: &ListModel) -> Markup {
    let body = html! {
        (layout::page_head(&html! { "Servers" }, &html! { "One command on a new Debian host, and it appears here." }, &add_button("Add a server")))
        section.card {
            div.toolbar-split {
                div #(FILTERS_ID) { (filter_links(&model.listing, &filters(model.counts))) }
                (toolbar(&model.listing, &[], &[role_select()], "Search by name"))
            }
            (container(model).html)
        }
    };
    let waiting = model.rows.iter().any(|row| matches!(row.reach, Reach::WaitingToEnrol { .. }));
    let page = Page::new("Servers", Nav::Servers, body)
        .below("Overview", paths::HOME)
        .live(model.live.as_deref(), waiting)
        .toast(model.toast.clone());
    layout::page(viewer, &page)
}

fn add_button(label: &str) -> Markup {
    button::link(Weight::Primary, Some(Icon::Plus), label, paths::SERVER_NEW)
}

fn filters(counts: Counts) -> [Filter; 4] {
    [
        Filter::new("", "All", counts.all),
        Filter::new("online", "Online", counts.online),
        Filter::new("offline", "Offline", counts.offline).tone(Tone::Bad),
        Filter::new("waiting", "Waiting to enrol", counts.waiting).tone(Tone::Warn),
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
    let text = "A server runs a small worker that dials out to this panel and makes the host match what you ask for. \
                Nothing listens on it, and it needs no firewall opening.";
    let html = html! {
        div #(container_id()) {
            @if model.rows.is_empty() && model.listing.is_narrowed() {
                (empty_state::nothing_found("servers", &model.listing.cleared()))
            } @else if model.rows.is_empty() {
                (empty_state::empty_state(Icon::Server, "No servers yet", text, &add_button("Add your first server")))
            } @else {
                (table_of(&model.rows, Some(&model.listing), model.now))
            }
            (pager::pager(&model.listing))
        }
    };
    Fragment::new(container_id(), html)
}

/// The table alone, for other pages that show servers.
#[must_use]
pub fn table_of(rows: &[Row], listing: Option<&Listing>, now: Timestamp) -> Markup {
    let rows = html! { @for row in rows { (row_fragment(row, now).html) } };
    table("Servers", COLUMNS, listing, &rows)
}

/// One server.
#[must_use]
pub fn row_fragment(row: &Row, now: Timestamp) -> Fragment {
    let id = row_id(row.id);
    let html = html! {
        tbody #(id) {
            tr {
                td.main {
                    a.name href=(paths::server(row.id)) { (row.name) }
                    small { (row.hostname) @if let Some(peer) = &row.peer { ", calls from " (peer) } }
                }
                td {
                    (reach(row.reach, row.jobs_waiting, now))
                    @if let Some(since) = row.paused_since { " " a.chip href=(paths::server_queue(row.id)) { "paused since " (time::clock(since)) } }
                }
                td { (roles(&row.roles)) }
                td.num data-label="Accounts" { (accounts(row)) }
                td.num data-label="Load" { @if let Some(load) = row.load { (format!("{:.2}", load.load1)) } @else { span.muted { "no data" } } }
                td.disk.wide data-label="Disk" { (disk(row)) }
                td.wide.nowrap data-label="Version" { (version(row)) }
                td data-label="Takes accounts" { @if row.active { "Yes" } @else { span.muted { "No" } } }
            }
        }
    };
    Fragment::new(id, html)
}

fn role_select() -> Select {
    let options = Role::ALL.into_iter().map(|role| (role.as_str().to_owned(), role.as_str().to_owned())).collect();
    Select { key: "role", label: "Role", all: "All roles", options }
}

fn version(row: &Row) -> Markup {
    html! {
        @if let Some(version) = &row.version { (version) } @else { span.muted { "none" } }
        @if row.update { " " small { "update available" } }
    }
}

fn disk(row: &Row) -> Markup {
    html! {
        @if let Some(load) = row.load {
            (usage::bar(&format!("Disk of {}", row.name), load.disk_used_mib, load.disk_mib, ""))
        } @else {
            span.muted { "no data" }
        }
    }
}
