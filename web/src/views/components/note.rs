//! Notes: one thing to know, in its place.

use maud::{Markup, html};
use shared::failure::Effect;

use super::badge::Tone;
use super::button;
use super::icon::Icon;
use super::time;
use crate::paths;
use crate::views::model::{Failure, Until, Waiting};

/// A failure: what happened, did anything change, what next; in that order.
#[must_use]
pub fn failure(failure: &Failure) -> Markup {
    let icon = if failure.effect == Effect::RolledBack { Icon::Undo } else { Icon::CircleAlert };
    html! {
        div.note data-state=(Tone::Bad) role="status" {
            (icon)
            div {
                p { b { (failure.what) } }
                p { (failure.changed) " " (failure.next) }
                @if let Some(detail) = &failure.detail {
                    details.more { summary { "For engineers" } pre.pre.framed tabindex="0" { (detail) } }
                }
            }
            (failure_actions(failure))
        }
    }
}

fn failure_actions(failure: &Failure) -> Markup {
    html! {
        @if failure.retry.is_some() || failure.operation.is_some() {
            div.row {
                @if let Some(operation) = failure.operation { (button::small_link(None, "What happened", &paths::operation(operation))) }
                @if let Some(action) = &failure.retry { (button::post_or_ask(Icon::RotateCw, "Retry", action, failure.preview.as_deref())) }
            }
        }
    }
}

/// A failure in one line, below a row of a list.
#[must_use]
pub fn failure_line(failure: &Failure) -> Markup {
    html! {
        div.row {
            span.bad { (failure.what) }
            span.muted { (failure.changed) }
            @if let Some(operation) = failure.operation { a.inline-link href=(paths::operation(operation)) { "What happened" } }
            @if let Some(action) = &failure.retry { (button::post_or_ask(Icon::RotateCw, "Retry", action, failure.preview.as_deref())) }
        }
    }
}

/// Why something waits, and that it will happen by itself.
#[must_use]
pub fn waiting_line(waiting: &Waiting) -> Markup {
    html! {
        span.muted {
            @match &waiting.until {
                Until::Turn => { "Waiting for its turn on " (waiting.server) "." }
                Until::Unsent => { "Waiting to be sent to " (waiting.server) ". It goes out by itself." }
                Until::Resume { paused_since } => {
                    "Waiting: changes for " (waiting.server) " are paused since " (time::clock(*paused_since, waiting.now))
                    ". It goes out by itself when they go on."
                }
                Until::Return { offline_since } => {
                    "Waiting: " (waiting.server) " is offline since " (time::clock(*offline_since, waiting.now)) ". It is applied by itself when "
                    (waiting.server) " returns."
                }
                Until::Repair { fault: Some(fault) } => {
                    "Waiting: " (fault) ". It is applied by itself when that is repaired on " (waiting.server) "."
                }
                Until::Repair { fault: None } => {
                    "Waiting: the web configuration of " (waiting.server) " has an error that is not yours. "
                    "It is applied by itself when that is repaired."
                }
            }
        }
    }
}

/// The same as a note.
#[must_use]
pub fn waiting(waiting: &Waiting) -> Markup {
    html! { div.note data-state=(Tone::Warn) role="status" { (Icon::Clock) div { (waiting_line(waiting)) } } }
}

/// A note of any tone: a sentence in bold and what follows it.
#[must_use]
pub fn note(tone: Tone, icon: Icon, title: &str, text: &str) -> Markup {
    html! { div.note data-state=(tone) role="status" { (icon) div { b { (title) } " " (text) } } }
}

/// A form that was refused: how many fields, and what concerns the form as a whole.
#[must_use]
pub fn form_errors(errors: &crate::views::model::Errors) -> Markup {
    html! {
        @if let Some(message) = errors.get("") {
            div.note data-state=(Tone::Bad) role="alert" { (Icon::CircleAlert) div { b { (message) } } }
        }
    }
}

/// The words beside a form's buttons when fields were refused.
#[must_use]
pub fn form_summary(errors: &crate::views::model::Errors) -> Markup {
    html! {
        @match errors.len() {
            0 => {}
            1 => { span.bad role="status" { "1 field needs your attention" } }
            many => { span.bad role="status" { (many) " fields need your attention" } }
        }
    }
}
