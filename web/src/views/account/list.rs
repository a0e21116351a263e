//! The list of accounts.

use jiff::Timestamp;
use maud::{Markup, html};

use super::{Row, menu_items, row_id};
use crate::paths;
use crate::views::components::button::{self, Weight};
use crate::views::components::icon::Icon;
use crate::views::components::menu::menu;
use crate::views::components::stat::count;
use crate::views::components::table::{Column, detail, table};
use crate::views::components::toast::Toast;
use crate::views::components::toolbar::{Select, StateCounts, filter_links, state_filters, toolbar};
use crate::views::components::{empty_state, note, pager, progress, reference, time};
use crate::views::fragment::Fragment;
use crate::views::layout::{self, Nav, Page, Viewer};
use crate::views::listing::Listing;

/// The list's model. Its filters: `state` and `server`. Sort keys: `user`, `state`, `owner`, `server`, `sites`, `created`.
#[derive(Debug, Clone)]
pub struct ListModel {
    /// What time it is.
    pub now: Timestamp,
    /// What is shown.
    pub listing: Listing,
    /// The filters' counts.
    pub counts: StateCounts,
    /// This page's rows.
    pub rows: Vec<Row>,
    /// The servers to choose among; empty hides the choice.
    pub servers: Vec<(String, String)>,
    /// Whether the viewer may create an account now.
    pub can_create: bool,
    /// The live stream.
    pub live: Option<String>,
    /// A message.
    pub toast: Option<Toast>,
}

impl ListModel {
    /// Only an admin, who can create accounts, sees those of several clients.
    const fn place(&self) -> Place {
        if self.can_create { Place::List } else { Place::Client }
    }
}

/// The DOM id of the whole list.
#[must_use]
pub const fn container_id() -> &'static str {
    "account-list"
}

const FILTERS_ID: &str = "account-filters";

const COLUMNS: &[Column] = &[
    Column::sorted("Account", "user").class("main"),
    Column::sorted("State", "state"),
    Column::sorted("Client", "owner"),
    Column::sorted("Server", "server"),
    Column::sorted("Sites", "sites").class("num"),
    Column::sorted("Created", "created").class("wide"),
    Column::actions(),
];

/// Where a table of accounts is: what the page says already is no column.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Place {
    /// In an admin's list of all.
    List,
    /// Among those of one client.
    Client,
    /// On the page of their server.
    Server,
}

fn columns(place: Place) -> Vec<Column> {
    let said = match place {
        Place::List => "",
        Place::Client => "Client",
        Place::Server => "Server",
    };
    COLUMNS.iter().filter(|column| column.label != said).copied().collect()
}

/// The page.
#[must_use]
pub fn list_page(viewer: &Viewer, model: &ListModel) -> Markup {
    let actions = html! { @if model.can_create { (create_button()) } };
    let line = html! { "An account is a Linux user with its own folder, PHP and SFTP access." };
    let selects: Vec<Select> = (!model.servers.is_empty()).then(|| Select::server(&model.servers)).into_iter().collect();
    let body = html! {
        (layout::page_head(&html! { "Accounts" }, &line, &actions))
        section.card {
            div.toolbar-split {
                div #(FILTERS_ID) { (filter_links(&model.listing, &state_filters(model.counts))) }
                (toolbar(&model.listing, &[], &selects, "Search by user or client"))
            }
            (container(model).html)
        }
    };
    let busy = model.rows.iter().any(Row::is_busy);
    let page = Page::new("Accounts", Nav::Accounts, body)
        .below(viewer.home(), paths::HOME)
        .live(model.live.as_deref(), busy)
        .toast(model.toast.clone());
    layout::page(viewer, &page)
}

fn create_button() -> Markup {
    button::link(Weight::Primary, Some(Icon::Plus), "Create an account", paths::ACCOUNT_NEW)
}

/// The parts that change while the list stays the same: each row, and the filters' counts.
#[must_use]
pub fn fragments(model: &ListModel) -> Vec<Fragment> {
    let rows = model.rows.iter().map(|row| row_fragment(row, model.place(), model.now));
    let filters = html! { div #(FILTERS_ID) { (filter_links(&model.listing, &state_filters(model.counts))) } };
    rows.chain([Fragment::new(FILTERS_ID, filters)]).collect()
}

/// The whole list, for when rows came or went.
#[must_use]
pub fn container(model: &ListModel) -> Fragment {
    let html = html! {
        div #(container_id()) {
            @if model.rows.is_empty() && model.listing.is_narrowed() {
                (empty_state::nothing_found("accounts", &model.listing.cleared()))
            } @else if model.rows.is_empty() {
                (empty(model.can_create))
            } @else {
                (table_of(&model.rows, model.place(), Some(&model.listing), model.now))
            }
            (pager::pager(&model.listing))
        }
    };
    Fragment::new(container_id(), html)
}

fn empty(can_create: bool) -> Markup {
    let text = if can_create {
        "An account belongs to a client and lives on a server. It needs both, and is ready in less than a second."
    } else {
        "Your hosting company makes accounts for you. Your sites will live in them."
    };
    let actions = html! { @if can_create { (create_button()) } };
    empty_state::empty_state(Icon::FolderKey, "No accounts yet", text, &actions)
}

/// The table alone, for other pages that show accounts.
#[must_use]
pub fn table_of(rows: &[Row], place: Place, listing: Option<&Listing>, now: Timestamp) -> Markup {
    let rows = html! { @for row in rows { (row_fragment(row, place, now).html) } };
    table("Accounts", &columns(place), listing, &rows)
}

/// One account with the line below it: one `<tbody>`.
#[must_use]
pub fn row_fragment(row: &Row, place: Place, now: Timestamp) -> Fragment {
    let id = row_id(row.id);
    let columns = columns(place).len();
    let html = html! {
        tbody #(id) {
            tr {
                td.main { a.name href=(paths::account(row.id)) { (row.user) } }
                td { (row.badge()) @if let Some(mark) = row.mark() { " " (mark) } }
                @if place != Place::Client { td data-label="Client" { (reference::person(&row.owner)) } }
                @if place != Place::Server { td data-label="Server" { (reference::server(&row.server)) } }
                td.num data-label="Sites" { @if row.sites == 0 { "none" } @else { (count(row.sites)) } }
                td.wide.nowrap data-label="Created" { (time::ago(row.created_at, now)) }
                td.act { (menu(&format!("{id}-menu"), &format!("Actions for {}", row.user), true, &menu_items(row.id, row.can))) }
            }
            @if let Some(progress) = &row.progress { (detail(columns, &progress::progress(progress))) }
            @else if let Some(failure) = &row.failure { (detail(columns, &note::failure_line(failure))) }
            @else if let Some(waiting) = &row.waiting { (detail(columns, &note::waiting_line(waiting))) }
        }
    };
    Fragment::new(id, html)
}
