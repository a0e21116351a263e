//! The list of clients.

use jiff::Timestamp;
use maud::{Markup, html};

use super::{Row, menu_items, row_id};
use crate::paths;
use crate::views::components::button::{self, Weight};
use crate::views::components::icon::Icon;
use crate::views::components::menu::menu;
use crate::views::components::stat::count;
use crate::views::components::table::{Column, table};
use crate::views::components::toast::Toast;
use crate::views::components::toolbar::{Filter, toolbar};
use crate::views::components::{empty_state, pager, time};
use crate::views::fragment::Fragment;
use crate::views::layout::{self, Audience, Nav, Page, Viewer};
use crate::views::listing::Listing;

/// How many clients each filter has.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counts {
    /// All.
    pub all: u64,
    /// May sign in (`active`).
    pub active: u64,
    /// May not (`suspended`).
    pub suspended: u64,
}

/// The list's model. Sort keys: `name`, `accounts`, `sites`, `seen`.
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
    "client-list"
}

const COLUMNS: &[Column] = &[
    Column::sorted("Client", "name").class("main"),
    Column::new("State"),
    Column::sorted("Accounts", "accounts").class("num"),
    Column::sorted("Sites", "sites").class("num"),
    Column::sorted("Last here", "seen"),
    Column::actions(),
];

/// The page.
#[must_use]
pub fn list_page(viewer: &Viewer, model: &ListModel) -> Markup {
    let filters = [
        Filter::new("", "All", model.counts.all),
        Filter::new("active", "Active", model.counts.active),
        Filter::new("suspended", "Suspended", model.counts.suspended),
    ];
    let body = html! {
        (layout::page_head(&html! { "Clients" }, &html! { "The people who sign in and manage their own sites." }, &create_button()))
        section.card {
            (toolbar(&model.listing, &filters, &[], "Search by name or email"))
            (container(model).html)
        }
    };
    let page = Page::new("Clients", Nav::Clients, body)
        .below("Overview", paths::HOME)
        .live(model.live.as_deref(), false)
        .toast(model.toast.clone());
    layout::page(viewer, &page)
}

fn create_button() -> Markup {
    button::link(Weight::Primary, Some(Icon::Plus), "Create a client", paths::CLIENT_NEW)
}

/// The parts that change while the list stays the same: each row.
#[must_use]
pub fn fragments(model: &ListModel) -> Vec<Fragment> {
    model.rows.iter().map(|row| row_fragment(row, model.now)).collect()
}

/// The whole list, for when rows came or went.
#[must_use]
pub fn container(model: &ListModel) -> Fragment {
    let rows = html! { @for row in &model.rows { (row_fragment(row, model.now).html) } };
    let text = "A client owns accounts and signs in with a password you hand over once.";
    let html = html! {
        div #(container_id()) {
            @if model.rows.is_empty() && model.listing.is_narrowed() {
                (empty_state::nothing_found("clients", &model.listing.cleared()))
            } @else if model.rows.is_empty() {
                (empty_state::empty_state(Icon::Users, "No clients yet", text, &create_button()))
            } @else {
                (table("Clients", COLUMNS, Some(&model.listing), &rows))
            }
            (pager::pager(&model.listing))
        }
    };
    Fragment::new(container_id(), html)
}

/// One client.
#[must_use]
pub fn row_fragment(row: &Row, now: Timestamp) -> Fragment {
    let id = row_id(row.id);
    let number = |number: u64| if number == 0 { "none".to_owned() } else { count(number) };
    let html = html! {
        tbody #(id) {
            tr {
                td.main {
                    a.name href=(paths::client(row.id)) { (row.name) }
                    @if row.audience == Audience::Admin { " " span.chip { "Admin" } }
                    @if row.login != row.name { small { (row.login) } }
                }
                td { (row.badge()) }
                td.num data-label="Accounts" { (number(row.accounts)) }
                td.num data-label="Sites" { (number(row.sites)) }
                td.nowrap data-label="Last here" { @if let Some(at) = row.seen_at { (time::ago(at, now)) } @else { span.muted { "never" } } }
                td.act { (menu(&format!("{id}-menu"), &format!("Actions for {}", row.name), true, &menu_items(row.id, row.can))) }
            }
        }
    };
    Fragment::new(id, html)
}
