//! The list of servers.

use jiff::Timestamp;
use maud::{Markup, html};
use shared::role::Role;

use super::{Mark, Reach, Row, accounts, ailing, endings, named, reach, roles, row_id};
use crate::paths;
use crate::views::components::badge::Tone;
use crate::views::components::button::{self, Weight};
use crate::views::components::icon::Icon;
use crate::views::components::menu::{Item, menu};
use crate::views::components::table::{Column, table};
use crate::views::components::toast::Toast;
use crate::views::components::toolbar::{Filter, Select, filter_links, toolbar};
use crate::views::components::{empty_state, pager, time};
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

/// The list's model. Its filters: `state`, `role` and `mark` (a [`Mark`]). Sort keys: `name`, `hostname`, `accounts`, `version`, `reach`, `update`, `active`.
#[derive(Debug, Clone)]
pub struct ListModel {
    /// What time it is.
    pub now: Timestamp,
    /// What is shown.
    pub listing: Listing,
    /// The filters' counts.
    pub counts: Counts,
    /// How many servers have an older worker than this panel carries.
    pub behind: u64,
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
const UPDATES_ID: &str = "server-updates";

const COLUMNS: &[Column] = &[
    Column::sorted("Name", "name").class("main"),
    Column::sorted("Hostname", "hostname"),
    Column::new("Agent address").class("wide"),
    Column::new("Roles"),
    Column::sorted("Accounts", "accounts").class("num"),
    Column::sorted("Agent version", "version").class("wide"),
    Column::sorted("Reachable", "reach"),
    Column::sorted("Update", "update").class("wide"),
    Column::sorted("Active", "active"),
    Column::actions(),
];

/// The page.
#[must_use]
pub fn list_page(viewer: &Viewer, model: &ListModel) -> Markup {
    let body = html! {
        (layout::page_head(&html! { "Servers" }, &html! { "One command on a new Debian host, and it appears here." }, &actions(model)))
        section.card {
            div.toolbar-split {
                div #(FILTERS_ID) { (filter_links(&model.listing, &filters(model.counts))) }
                (toolbar(&model.listing, &[], &[role_select(), mark_select()], "Search by name"))
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

fn actions(model: &ListModel) -> Markup {
    html! {
        (updates(model).html)
        (add_button("Add a server"))
    }
}

fn updates(model: &ListModel) -> Fragment {
    let html = html! {
        span.status-slot #(UPDATES_ID) {
            @if model.behind > 0 { (button::link(Weight::Normal, None, &format!("Updates ({})", model.behind), paths::ROLLOUT)) }
        }
    };
    Fragment::new(UPDATES_ID, html)
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

/// The parts that change while the list stays the same: how many updates there are, and the filters' counts.
#[must_use]
pub fn parts(model: &ListModel) -> Vec<Fragment> {
    let filters = html! { div #(FILTERS_ID) { (filter_links(&model.listing, &filters(model.counts))) } };
    vec![updates(model), Fragment::new(FILTERS_ID, filters)]
}

/// Each row.
#[must_use]
pub fn rows(model: &ListModel) -> Vec<Fragment> {
    model.rows.iter().map(|row| row_fragment(row, &model.listing, model.now)).collect()
}

/// The whole list, for when rows came or went.
#[must_use]
pub fn container(model: &ListModel) -> Fragment {
    let text = "A server runs a small worker that dials out to this panel and makes the host match what you ask for. \
                Nothing listens on it for the panel: only visitors need a way in, to port 80, and to port 22 for SFTP.";
    let html = html! {
        div #(container_id()) {
            @if model.rows.is_empty() && model.listing.is_narrowed() {
                (empty_state::nothing_found("servers", &model.listing.cleared()))
            } @else if model.rows.is_empty() {
                (empty_state::empty_state(Icon::Server, "No servers yet", text, &add_button("Add your first server")))
            } @else {
                @let rows = html! { @for row in &model.rows { (row_fragment(row, &model.listing, model.now).html) } };
                (table("Servers", COLUMNS, Some(&model.listing), &rows))
            }
            @if !model.rows.is_empty() { div.card-foot { span.small.muted { "Switching Active off drains a server: what runs there keeps running." } } }
            (pager::pager(&model.listing))
        }
    };
    Fragment::new(container_id(), html)
}

fn row_fragment(row: &Row, listing: &Listing, now: Timestamp) -> Fragment {
    let id = row_id(row.id);
    let html = html! {
        tbody #(id) {
            tr {
                td.main { (named(row)) }
                td.breaks data-label="Hostname" { @for label in row.hostname.split_inclusive('.') { (label) wbr; } }
                td.wide data-label="Agent address" {
                    @if let Some(peer) = &row.peer { span.mono { (peer) } } @else { span.muted { "not seen yet" } }
                }
                td { (roles(&row.roles)) }
                td.num data-label="Accounts" { (accounts(row)) }
                td.wide.nowrap data-label="Agent version" { @if let Some(version) = &row.version { (version) } @else { span.muted { "none" } } }
                td {
                    (reach(row.reach, row.jobs_waiting, now))
                    (ailing(row))
                    @if let Some(since) = row.paused_since { " " a.chip href=(paths::server_queue(row.id)) { "paused since " (time::clock(since, now)) } }
                }
                td.wide.nowrap data-label="Update" { (update(row)) }
                td data-label="Active" { (active(row, listing)) }
                td.act { (menu(&format!("{id}-menu"), &format!("Actions for {}", row.name), true, &menu_items(row))) }
            }
        }
    };
    Fragment::new(id, html)
}

fn update(row: &Row) -> Markup {
    html! {
        @if row.update { "Available" } @else { span.muted { @if row.version.is_some() { "Current" } @else { "None" } } }
    }
}

/// A switch that works without scripts: the button of a form.
fn active(row: &Row, listing: &Listing) -> Markup {
    let (next, title) =
        if row.active { ("", "It takes new accounts. Press to stop that.") } else { ("on", "It takes no new accounts. Press to let it.") };
    html! {
        form method="post" action=(paths::server_active(row.id)) {
            input type="hidden" name="back" value=(listing.url());
            button.switch type="submit" name="active" value=(next) role="switch" aria-checked=(row.active) aria-label={ (row.name) " takes new accounts" } title=(title) {}
        }
    }
}

fn menu_items(row: &Row) -> Vec<Item> {
    let mut items = vec![
        Item::link(Icon::ListChecks, "Queue", paths::server_queue(row.id)),
        Item::link(Icon::Pencil, "Settings", paths::server_edit(row.id)),
    ];
    match row.reach {
        Reach::Online { .. } => items.push(Item::link(Icon::KeyRound, "Installation script", paths::server_token(row.id))),
        Reach::Offline { .. } | Reach::ShutOut { .. } | Reach::WaitingToEnrol { .. } => {
            items.push(Item::post(Icon::KeyRound, "Generate installation script", paths::server_token(row.id)));
        }
    }
    items.push(Item::Divider);
    items.extend(endings(row));
    items
}

fn mark_select() -> Select {
    let options = Mark::ALL.into_iter().map(|mark| (mark.as_str().to_owned(), mark.label().to_owned())).collect();
    Select { key: "mark", label: "Condition", all: "Any condition", options }
}

fn role_select() -> Select {
    let options = Role::ALL.into_iter().map(|role| (role.as_str().to_owned(), role.as_str().to_owned())).collect();
    Select { key: "role", label: "Role", all: "All roles", options }
}
