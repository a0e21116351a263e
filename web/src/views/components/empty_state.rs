//! What a list shows when it has nothing: what it is for, and the first action.

use maud::{Markup, html};

use super::icon::Icon;

/// An empty list.
#[must_use]
pub fn empty_state(icon: Icon, title: &str, text: &str, actions: &Markup) -> Markup {
    html! {
        div.empty {
            (icon)
            h2 { (title) }
            p { (text) }
            div.row { (actions) }
        }
    }
}

/// A search or filter that matches nothing.
#[must_use]
pub fn nothing_found(what: &str, clear: &str) -> Markup {
    let title = format!("No {what} match");
    let link = super::button::link(super::button::Weight::Normal, None, "Clear search and filters", clear);
    empty_state(Icon::Search, &title, "Try another word, or look at all of them.", &link)
}
