//! What a change would do, below the form that asks for it.

use maud::{Markup, html};
use shared::difference::Difference;
use shared::names::ServerName;

use super::components::badge::Tone;
use super::components::confirm::QUESTION;
use super::components::icon::Icon;
use super::components::{difference, note, stat};

/// The DOM id of the preview on its page.
pub const PREVIEW: &str = "preview";

/// The preview's model.
#[derive(Debug, Clone)]
pub struct PreviewModel {
    /// The server that was asked.
    pub server: ServerName,
    /// What it says; `None` if it did not answer.
    pub parts: Option<Vec<Part>>,
    /// How many further states the request has.
    pub left_out: u64,
}

/// One state and what it would change.
#[derive(Debug, Clone)]
pub struct Part {
    /// Such as `Site shop.example`.
    pub title: String,
    /// What it would change.
    pub differences: Vec<Difference>,
    /// Why it cannot be planned as things are, a sentence.
    pub refused: Option<String>,
    /// The raw reason. Set for admins only.
    pub detail: Option<String>,
}

/// The preview as a card, with a note that nothing has been changed.
#[must_use]
pub fn card(model: &PreviewModel) -> Markup {
    cards(std::slice::from_ref(model))
}

/// The same of a change that concerns several servers, or none.
#[must_use]
pub fn cards(servers: &[PreviewModel]) -> Markup {
    html! {
        section.card #(PREVIEW) aria-live="polite" {
            header.card-head { h2 { "Preview" } small { "Nothing has been changed yet" } }
            div.card-body.stack {
                @if servers.is_empty() { p { "Nothing on any server would change." } }
                @for model in servers { (of_server(model)) }
            }
        }
    }
}

/// What the preview takes the place of: it is asked for as soon as the page is open, and until then says so. Without scripts
/// nothing is shown, and the question's own button asks.
#[must_use]
pub fn coming(path: &str) -> Markup {
    let target = format!("#{PREVIEW}");
    html! {
        section.coming #(PREVIEW) aria-live="polite" hx-post=(path) hx-trigger="load" hx-include={ "#" (QUESTION) }
            hx-target=(target) hx-select=(target) hx-swap="outerHTML" {
            p.muted.small { "Asking what would change …" }
        }
    }
}

/// The preview, or what it takes the place of.
#[must_use]
pub fn or_coming(model: Option<&PreviewModel>, path: &str) -> Markup {
    model.map_or_else(|| coming(path), card)
}

fn of_server(model: &PreviewModel) -> Markup {
    html! {
        @match &model.parts {
            None => {
                (note::note(Tone::Warn, Icon::Unplug, "No preview right now.", &silent(&model.server)))
            }
            Some(parts) if parts.iter().all(Part::is_quiet) => {
                p { "Nothing on " (model.server) " would change: it is so already." }
            }
            Some(parts) => {
                p.muted.small { "On " (model.server) ": lines with − go, lines with + come." }
                @for part in parts.iter().filter(|part| !part.is_quiet()) { (shown(part)) }
                @if model.left_out > 0 { p.muted { "And " (stat::counted(model.left_out, "further change", "further changes")) "." } }
            }
        }
    }
}

impl Part {
    const fn is_quiet(&self) -> bool {
        self.differences.is_empty() && self.refused.is_none()
    }
}

fn silent(server: &ServerName) -> String {
    format!("{server} does not answer. You can still go on: the change is applied, and tested, when it returns.")
}

fn shown(part: &Part) -> Markup {
    html! {
        div.stack {
            h3 { (part.title) }
            @if let Some(refused) = &part.refused {
                p.bad { (refused) }
                @if let Some(detail) = &part.detail { details.more { summary { "For engineers" } pre.pre.framed tabindex="0" { (detail) } } }
            }
            (difference::differences(&part.differences))
        }
    }
}
