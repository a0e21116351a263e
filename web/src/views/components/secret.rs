//! Text to copy, and secrets that are shown once.

use maud::{Markup, html};

use super::button::CopyButton;
use super::icon::Icon;

/// A line to copy.
#[must_use]
pub fn copy(text: &str, label: &str) -> Markup {
    html! { div.copy { code tabindex="0" { (text) } (CopyButton(label)) } }
}

/// Several lines to copy.
#[must_use]
pub fn copy_block(text: &str, label: &str) -> Markup {
    html! { div class="copy is-block" { code tabindex="0" { (text) } (CopyButton(label)) } }
}

/// Several lines that hold a secret, with the sentence that says that they will not be shown again.
#[must_use]
pub fn secret_block(text: &str, sentence: &str, label: &str) -> Markup {
    html! {
        div.secret {
            p { (Icon::TriangleAlert) span { (sentence) } }
            (copy_block(text, label))
        }
    }
}

/// A secret, with the sentence that says that it will not be shown again.
#[must_use]
pub fn secret(text: &str, sentence: &str, label: &str) -> Markup {
    html! {
        div.secret {
            p { (Icon::TriangleAlert) span { (sentence) } }
            (copy(text, label))
        }
    }
}
