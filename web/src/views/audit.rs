//! The audit log: who did what, to what, from where.

use jiff::Timestamp;
use maud::{Markup, html};
use shared::ids::OperationId;

use super::components::badge::Tone;
use super::components::icon::Icon;
use super::components::table::{Column, table};
use super::components::toolbar::{Select, toolbar};
use super::components::{empty_state, pager, time};
use super::layout::{self, Audience, Nav, Page, Viewer};
use super::listing::Listing;
use crate::paths;

/// The list's model. Its filters: `who`, `action` and `object`.
#[derive(Debug, Clone)]
pub struct ListModel {
    /// What time it is.
    pub now: Timestamp,
    /// What is shown.
    pub listing: Listing,
    /// This page's lines, newest first.
    pub rows: Vec<Row>,
    /// The name of the person whose lines alone are shown; empty for all.
    pub who: String,
    /// The actions to choose among, with their words.
    pub actions: Vec<(String, String)>,
}

/// One line.
#[derive(Debug, Clone)]
pub struct Row {
    /// When.
    pub at: Timestamp,
    /// Who, as the filter knows them.
    pub who: String,
    /// Their name at the time, or what was typed as a login.
    pub name: String,
    /// What was done.
    pub action: String,
    /// Whether somebody was kept out.
    pub refused: bool,
    /// To what.
    pub object: String,
    /// From which address, if the viewer may know.
    pub address: Option<String>,
    /// What more there is to say, such as what was before and after.
    pub detail: String,
    /// The operation that tells more.
    pub operation: Option<OperationId>,
}

const COLUMNS: &[Column] =
    &[Column::new("Action").class("main"), Column::new("Object"), Column::new("By"), Column::new("From"), Column::new("When")];

/// The page.
#[must_use]
pub fn list_page(viewer: &Viewer, model: &ListModel) -> Markup {
    let (title, line) = match viewer.audience {
        Audience::Admin => ("Audit log", "Who did what, to what, and from where. Lines are only ever added."),
        Audience::Client => ("Security log", "What you did, and what was done to your sign-in."),
    };
    let select = Select { key: "action", label: "Action", all: "All actions", options: model.actions.clone() };
    let body = html! {
        (layout::page_head(&html! { (title) }, &html! { (line) }, &layout::nothing()))
        section.card {
            (toolbar(&model.listing, &[], &[select], "Name or address"))
            (chosen(model))
            (list(model))
            (pager::pager(&model.listing))
        }
    };
    layout::page(viewer, &Page::new(title, Nav::Audit, body).below(viewer.home(), paths::HOME))
}

/// The filters that a click on a line has set, each with a way to lift it.
fn chosen(model: &ListModel) -> Markup {
    let filters = [("By", "who", model.who.as_str()), ("Object", "object", model.listing.extra("object"))];
    let set: Vec<_> = filters.into_iter().filter(|(_, _, value)| !value.is_empty()).collect();
    html! {
        @if !set.is_empty() {
            div.card-body.row {
                @for (label, key, value) in set {
                    a.chip.is-filter href=(model.listing.with_extra(key, "")) {
                        (label) ": " b { (value) } (Icon::X) span.sr { " show all again" }
                    }
                }
            }
        }
    }
}

fn list(model: &ListModel) -> Markup {
    let rows = html! { @for row in &model.rows { (line(model, row)) } };
    html! {
        @if model.rows.is_empty() && model.listing.is_narrowed() {
            (empty_state::nothing_found("lines", &model.listing.cleared()))
        } @else if model.rows.is_empty() {
            (empty_state::empty_state(Icon::ScrollText, "Nothing has been done yet",
                "Sign-ins and every change are recorded here, with who made them and from where.", &layout::nothing()))
        } @else {
            (table("Audit log", COLUMNS, None, &rows))
        }
    }
}

fn line(model: &ListModel, row: &Row) -> Markup {
    html! {
        tbody {
            tr {
                td.main {
                    @if let Some(operation) = row.operation { a.name href=(paths::operation(operation)) { (row.action) } }
                    @else if row.refused { span.status data-state=(Tone::Bad) { (Icon::Ban) span.name { (row.action) } } }
                    @else { span.name { (row.action) } }
                    @if !row.detail.is_empty() { small { (row.detail) } }
                }
                td data-label="Object" {
                    @if row.object.is_empty() { span.muted { "none" } }
                    @else { a.inline-link href=(model.listing.with_extra("object", &row.object)) { (row.object) } }
                }
                td data-label="By" {
                    @if row.name.is_empty() { span.muted { "nobody" } }
                    @else { a.inline-link href=(model.listing.with_extra("who", &row.who)) { (row.name) } }
                }
                td data-label="From" { @if let Some(address) = &row.address { span.mono { (address) } } @else { span.muted { "none" } } }
                td.nowrap data-label="When" { (time::ago(row.at, model.now)) }
            }
        }
    }
}
