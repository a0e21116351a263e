//! Facts: a name and a value each.

use maud::{Markup, Render, html};

/// A card with facts. Values are markup; a text is its own markup.
#[must_use]
pub fn card(title: &str, facts: &[(&str, Markup)]) -> Markup {
    html! {
        section.card {
            header.card-head { h2 { (title) } }
            div.card-body { (list(facts)) }
        }
    }
}

/// The facts alone.
#[must_use]
pub fn list(facts: &[(&str, Markup)]) -> Markup {
    html! { dl.kv { @for (name, value) in facts { dt { (name) } dd { (value) } } } }
}

/// A plain value.
#[must_use]
pub fn text(value: impl Render) -> Markup {
    html! { (value) }
}

/// A value that is typed or copied.
#[must_use]
pub fn mono(value: impl Render) -> Markup {
    html! { span.mono { (value) } }
}
