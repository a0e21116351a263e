//! A short message about what was just asked for, where the page does not show it by itself.

use maud::{Markup, html};

use super::badge::Tone;
use super::icon::Icon;

/// A toast.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Toast {
    /// Its meaning.
    pub tone: Tone,
    /// Its sentence.
    pub title: String,
    /// A second one.
    pub text: Option<String>,
}

/// The place for toasts, with the one of this page.
#[must_use]
pub fn toasts(toast: Option<&Toast>) -> Markup {
    html! {
        div.toasts #toasts role="status" aria-live="polite" {
            @if let Some(toast) = toast {
                @let icon = match toast.tone {
                    Tone::Ok => Icon::CircleCheck,
                    Tone::Work | Tone::Off => Icon::Info,
                    Tone::Warn => Icon::TriangleAlert,
                    Tone::Bad => Icon::CircleAlert,
                };
                div.toast data-state=(toast.tone) data-toast {
                    (icon)
                    div { b { (toast.title) } @if let Some(text) = &toast.text { p { (text) } } }
                    button class="btn is-quiet is-icon is-sm" type="button" data-dismiss aria-label="Close" hidden { (Icon::X) }
                }
            }
        }
    }
}
