//! The list of sites.

use jiff::Timestamp;
use maud::{Markup, html};

use super::{Row, below, kind_text, menu_items, row_id, second_line};
use crate::paths;
use crate::views::components::button::{self, Weight};
use crate::views::components::icon::Icon;
use crate::views::components::menu::menu;
use crate::views::components::table::{Column, detail, table};
use crate::views::components::toast::Toast;
use crate::views::components::toolbar::{StateCounts, filter_links, state_filters, toolbar};
use crate::views::components::{empty_state, pager, reference, time};
use crate::views::fragment::Fragment;
use crate::views::layout::{self, Nav, Page, Viewer};
use crate::views::listing::Listing;

/// The list's model. Sort keys: `domain`, `state`, `kind`, `account`, `server`, `created`.
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
    /// Whether the viewer may create a site now.
    pub can_create: bool,
    /// The live stream.
    pub live: Option<String>,
    /// A message.
    pub toast: Option<Toast>,
}

/// The DOM id of the whole list.
#[must_use]
pub const fn container_id() -> &'static str {
    "site-list"
}

const FILTERS_ID: &str = "site-filters";

const COLUMNS: &[Column] = &[
    Column::sorted("Site", "domain").class("main"),
    Column::sorted("State", "state"),
    Column::sorted("Type", "kind"),
    Column::sorted("Account", "account"),
    Column::sorted("Server", "server").class("wide"),
    Column::sorted("Created", "created").class("wide"),
    Column::actions(),
];

/// Where a table of sites is: what the page says already is no column.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Place {
    /// In the list of all.
    List,
    /// On the page of their account.
    Account,
}

fn columns(place: Place) -> Vec<Column> {
    let said = |column: &&Column| place == Place::Account && matches!(column.label, "Account" | "Server");
    COLUMNS.iter().filter(|column| !said(column)).copied().collect()
}

/// The page.
#[must_use]
pub fn list_page(viewer: &Viewer, model: &ListModel) -> Markup {
    let actions = html! { @if model.can_create { (create_button()) } };
    let line = html! { "A site counts as active only after it has answered a real request." };
    let body = html! {
        (layout::page_head(&html! { "Sites" }, &line, &actions))
        section.card {
            div.toolbar-split {
                div #(FILTERS_ID) { (filter_links(&model.listing, &state_filters(model.counts))) }
                (toolbar(&model.listing, &[], &[], "Search by name"))
            }
            (container(model).html)
        }
    };
    let busy = model.rows.iter().any(Row::is_busy);
    let page =
        Page::new("Sites", Nav::Sites, body).below(viewer.home(), paths::HOME).live(model.live.as_deref(), busy).toast(model.toast.clone());
    layout::page(viewer, &page)
}

fn create_button() -> Markup {
    button::link(Weight::Primary, Some(Icon::Plus), "Create a site", paths::SITE_NEW)
}

/// The parts that change while the list stays the same: each row, and the filters' counts.
#[must_use]
pub fn fragments(model: &ListModel) -> Vec<Fragment> {
    let rows = model.rows.iter().map(|row| row_fragment(row, model.now));
    let filters = html! { div #(FILTERS_ID) { (filter_links(&model.listing, &state_filters(model.counts))) } };
    rows.chain([Fragment::new(FILTERS_ID, filters)]).collect()
}

/// The whole list, for when rows came or went.
#[must_use]
pub fn container(model: &ListModel) -> Fragment {
    let html = html! {
        div #(container_id()) {
            @if model.rows.is_empty() && model.listing.is_narrowed() {
                (empty_state::nothing_found("sites", &model.listing.cleared()))
            } @else if model.rows.is_empty() {
                (empty(model.can_create))
            } @else {
                (table_of(&model.rows, Place::List, Some(&model.listing), model.now))
            }
            (pager::pager(&model.listing))
        }
    };
    Fragment::new(container_id(), html)
}

fn empty(can_create: bool) -> Markup {
    let text = if can_create {
        "A site is a domain, the folder its files live in, and PHP if it needs it. It answers about a second after you create it."
    } else {
        "A site needs an account first. Your hosting company makes one for you."
    };
    let actions = html! { @if can_create { (create_button()) } };
    empty_state::empty_state(Icon::Globe, "No sites yet", text, &actions)
}

/// The table alone, for other pages that show sites.
#[must_use]
pub fn table_of(rows: &[Row], place: Place, listing: Option<&Listing>, now: Timestamp) -> Markup {
    let rows = html! { @for row in rows { (row_in(row, place, now).html) } };
    table("Sites", &columns(place), listing, &rows)
}

/// One site of the list with the line below it: one `<tbody>`.
#[must_use]
pub fn row_fragment(row: &Row, now: Timestamp) -> Fragment {
    row_in(row, Place::List, now)
}

fn row_in(row: &Row, place: Place, now: Timestamp) -> Fragment {
    let id = row_id(row.id);
    let name = row.domain.to_unicode();
    let html = html! {
        tbody #(id) {
            tr {
                td.main {
                    a.name href=(paths::site(row.id)) { (name) }
                    @if let Some(line) = second_line(&row.domain, &row.aliases) { small { (line) } }
                }
                td { (row.badge()) @if let Some(mark) = row.mark() { " " (mark) } }
                td.nowrap data-label="Type" { (kind_text(row.kind)) }
                @if place == Place::List {
                    td data-label="Account" { (reference::account(&row.account)) }
                    td.wide data-label="Server" { (reference::server(&row.server)) }
                }
                td.wide.nowrap data-label="Created" { (time::ago(row.created_at, now)) }
                td.act { (menu(&format!("{id}-menu"), &format!("Actions for {name}"), true, &menu_items(row.id, row.can))) }
            }
            @if let Some(below) = below(row) { (detail(columns(place).len(), &below)) }
        }
    };
    Fragment::new(id, html)
}
