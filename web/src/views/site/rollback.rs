//! The question before an earlier generation of a site comes back.

use jiff::Timestamp;
use maud::{Markup, html};
use shared::ids::SiteId;
use shared::jobs::Generation;
use shared::names::DomainName;

use crate::paths;
use crate::views::components::badge::Tone;
use crate::views::components::confirm::{Ask, Change, ask_change};
use crate::views::components::icon::Icon;
use crate::views::components::{difference, note, time};
use crate::views::layout::{self, Nav, Page, Viewer};
use crate::views::model::FormKey;
use crate::views::preview::{self, PreviewModel};

/// The question's model.
#[derive(Debug, Clone)]
pub struct RollbackModel {
    /// What time it is.
    pub now: Timestamp,
    /// The site.
    pub id: SiteId,
    /// Its domain.
    pub domain: DomainName,
    /// The generation that would come back.
    pub generation: Generation,
    /// When it was applied.
    pub at: Timestamp,
    /// The vhost's file.
    pub path: String,
    /// How that was other than it is now: a unified diff, empty if it was the same; `None` if what serves now is not known.
    pub diff: Option<String>,
    /// Makes a repeated press the same request.
    pub key: FormKey,
    /// Why it cannot come back.
    pub refused: Option<String>,
    /// What would change, if that was asked.
    pub preview: Option<PreviewModel>,
}

/// The page.
#[must_use]
pub fn rollback_page(viewer: &Viewer, model: &RollbackModel) -> Markup {
    let name = model.domain.to_unicode();
    let question = format!("Roll {name} back to generation {}?", model.generation);
    let action = paths::site_rollback(model.id);
    let (asked, history) = (paths::preview_of(&action), paths::site_history(model.id));
    let ask = Ask {
        question: &question,
        consequences: vec![
            "Its names, document root and type are again as they were then. Files are not touched.".to_owned(),
            "It is a change like any other: tested, and put back if it fails. Whether the site is suspended stays as it is.".to_owned(),
        ],
        button: "Roll back",
        action: &action,
        cancel: &history,
    };
    let generation = model.generation.to_string();
    let change = Change { preview: &asked, key: Some(&model.key), fields: &[("generation", &generation)] };
    let line = html! { "To generation " (model.generation) ", applied " (time::ago(model.at, model.now)) "." };
    let body = html! {
        (layout::page_head(&html! { "Roll back " (name) }, &line, &layout::nothing()))
        @if let Some(refused) = &model.refused { (note::note(Tone::Bad, Icon::CircleAlert, "It cannot be rolled back.", refused)) }
        (ask_change(&ask, change))
        @if model.preview.is_some() || model.refused.is_none() { (preview::or_coming(model.preview.as_ref(), &asked)) }
        @if let Some(diff) = &model.diff { (texts(model, diff)) }
    };
    let page =
        Page::new("Roll back", Nav::Sites, body).below("Sites", paths::SITES).below(name, paths::site(model.id)).below("History", history);
    layout::page(viewer, &page)
}

fn texts(model: &RollbackModel, diff: &str) -> Markup {
    html! {
        section.card {
            header.card-head { h2 { "From what serves now to what served then" } small.mono { (model.path) } }
            div.card-body {
                @if diff.is_empty() { p.muted { "The two are the same." } } @else { (difference::lines(diff)) }
            }
        }
    }
}
