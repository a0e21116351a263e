//! What a change would do, below the form that asks for it.

use maud::{Markup, html};
use shared::difference::Difference;
use shared::names::ServerName;

use super::components::badge::Tone;
use super::components::icon::Icon;
use super::components::{difference, note, stat};

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
    html! {
        section.card id="preview" aria-live="polite" {
            header.card-head { h2 { "Preview" } small { "Nothing has been changed yet" } }
            div.card-body.stack {
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
