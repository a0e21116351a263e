//! A site's configuration by generation: what each change made of it, and the way back.

use jiff::Timestamp;
use maud::{Markup, html};
use shared::ids::{OperationId, SiteId};
use shared::jobs::Generation;
use shared::names::DomainName;

use crate::paths;
use crate::views::components::badge::Tone;
use crate::views::components::button::{self, Weight};
use crate::views::components::choice::{Choice, ChoiceField, Look};
use crate::views::components::icon::Icon;
use crate::views::components::table::{Column, table};
use crate::views::components::{difference, empty_state, note, time};
use crate::views::layout::{self, Nav, Page, Viewer};

/// The page's model.
#[derive(Debug, Clone)]
pub struct HistoryModel {
    /// What time it is.
    pub now: Timestamp,
    /// The site.
    pub id: SiteId,
    /// Its domain.
    pub domain: DomainName,
    /// Its generations, newest first.
    pub generations: Vec<GenerationRow>,
    /// Two of them compared.
    pub compared: Option<Compared>,
    /// Why an earlier one did not come back.
    pub refused: Option<String>,
}

/// One generation.
#[derive(Debug, Clone)]
pub struct GenerationRow {
    /// Its number.
    pub generation: Generation,
    /// What was asked, such as `Change site`.
    pub action: String,
    /// Who asked.
    pub asked_by: String,
    /// The request.
    pub operation: OperationId,
    /// When it was applied.
    pub at: Timestamp,
    /// Whether it is the one that serves.
    pub current: bool,
    /// Whether it can be brought back.
    pub back: bool,
}

/// Two generations side by side.
#[derive(Debug, Clone)]
pub struct Compared {
    /// The first.
    pub from: Generation,
    /// The second.
    pub to: Generation,
    /// The file.
    pub path: String,
    /// A unified diff; empty if they are the same.
    pub diff: String,
}

const COLUMNS: &[Column] =
    &[Column::new("Generation").class("main"), Column::new("Change"), Column::new("By"), Column::new("Applied"), Column::actions()];

/// The page.
#[must_use]
pub fn history_page(viewer: &Viewer, model: &HistoryModel) -> Markup {
    let name = model.domain.to_unicode();
    let line = html! { "What each change has made of this site's configuration. Bringing a generation back is a change like any other: tested, and put back if it fails." };
    let body = html! {
        (layout::page_head(&html! { "History of " (name) }, &line, &layout::nothing()))
        @if let Some(refused) = &model.refused { (note::note(Tone::Bad, Icon::CircleAlert, "It was not rolled back.", refused)) }
        @if model.generations.is_empty() {
            section.card { (empty_state::empty_state(Icon::History, "No history yet", "It begins with the next change that is applied.", &layout::nothing())) }
        } @else {
            @if let Some(compared) = &model.compared { (comparison(model, compared)) }
            section.card { header.card-head { h2 { "Generations" } } (generations(model)) }
        }
    };
    let page = Page::new("History", Nav::Sites, body).below("Sites", paths::SITES).below(name, paths::site(model.id));
    layout::page(viewer, &page)
}

fn comparison(model: &HistoryModel, compared: &Compared) -> Markup {
    let choices: Vec<Choice> =
        model.generations.iter().map(|row| Choice::new(row.generation.to_string(), format!("Generation {}", row.generation))).collect();
    let (from, to) = (compared.from.to_string(), compared.to.to_string());
    let field = |name, label, chosen| ChoiceField { name, label, look: Look::List, chosen, choices: &choices, help: None, error: None };
    html! {
        section.card {
            header.card-head { h2 { "Compare" } small.mono { (compared.path) } }
            div.card-body.stack {
                form.stack method="get" action=(paths::site_history(model.id)) {
                    div.fields {
                        (field("from", "From", from.as_str()))
                        (field("to", "To", to.as_str()))
                    }
                    div.row { (button::submit(Weight::Normal, "Compare")) }
                }
                @if compared.diff.is_empty() {
                    p.muted { "The two are the same." }
                } @else {
                    (difference::lines(&compared.diff))
                }
            }
        }
    }
}

fn generations(model: &HistoryModel) -> Markup {
    let rows = html! { @for (at, row) in model.generations.iter().enumerate() { (generation(model, row, model.generations.get(at + 1))) } };
    table("Generations", COLUMNS, None, &rows)
}

fn generation(model: &HistoryModel, row: &GenerationRow, before: Option<&GenerationRow>) -> Markup {
    html! {
        tbody {
            tr {
                td.main {
                    (row.generation) @if row.current { " " small { "serves now" } }
                    @if let Some(before) = before {
                        @let pair = [("from", before.generation.to_string()), ("to", row.generation.to_string())];
                        " " a.small.inline-link href=(paths::with_query(&paths::site_history(model.id), pair)) { "What changed" }
                    }
                }
                td data-label="Change" { a.inline-link href=(paths::operation(row.operation)) { (row.action) } }
                td data-label="By" { (row.asked_by) }
                td.nowrap data-label="Applied" { (time::ago(row.at, model.now)) }
                td.act {
                    @if row.back {
                        @let (label, about) = ("Roll back to this", format!("generation {}", row.generation));
                        (button::small_link_about(Some(Icon::Undo), label, &about, &paths::site_rollback_to(model.id, row.generation)))
                    }
                }
            }
        }
    }
}
