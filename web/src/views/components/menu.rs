//! A menu of actions behind one button. It is a popover, so it opens without scripts.

use maud::{Markup, html};

use super::icon::Icon;

/// One entry.
#[derive(Debug, Clone)]
pub enum Item {
    /// Goes somewhere.
    Link {
        /// Its icon.
        icon: Icon,
        /// Its words.
        label: String,
        /// Where to.
        href: String,
        /// Whether it leads to a deletion.
        danger: bool,
    },
    /// Posts.
    Post {
        /// Its icon.
        icon: Icon,
        /// Its words.
        label: String,
        /// Where to.
        action: String,
    },
    /// A line between groups.
    Divider,
}

impl Item {
    /// An entry that goes somewhere.
    #[must_use]
    pub fn link(icon: Icon, label: &str, href: String) -> Self {
        Self::Link { icon, label: label.to_owned(), href, danger: false }
    }

    /// An entry that leads to a deletion.
    #[must_use]
    pub fn danger(icon: Icon, label: &str, href: String) -> Self {
        Self::Link { icon, label: label.to_owned(), href, danger: true }
    }

    /// An entry that posts.
    #[must_use]
    pub fn post(icon: Icon, label: &str, action: String) -> Self {
        Self::Post { icon, label: label.to_owned(), action }
    }
}

/// A button with three dots, and its menu. `id` is unique on the page, `label` names the button.
#[must_use]
pub fn menu(id: &str, label: &str, small: bool, items: &[Item]) -> Markup {
    let class = if small { "btn is-quiet is-icon is-sm" } else { "btn is-icon" };
    html! {
        @if !items.is_empty() {
            button class=(class) type="button" popovertarget=(id) aria-label=(label) { (Icon::Ellipsis) }
            form.menu #(id) popover method="post" { (entries(items)) }
        }
    }
}

/// The entries of a menu, inside its form.
#[must_use]
pub fn entries(items: &[Item]) -> Markup {
    html! {
        @for item in items {
            @match item {
                Item::Link { icon, label, href, danger } => { a.is-danger[*danger] href=(href) { (icon) (label) } }
                Item::Post { icon, label, action } => { button type="submit" formaction=(action) { (icon) (label) } }
                Item::Divider => { hr; }
            }
        }
    }
}
