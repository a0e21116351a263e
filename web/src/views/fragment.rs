//! A part of a page that can be sent alone.
//!
//! **The page, an htmx answer and the live stream call the same function**, so none of them can show a second truth.

use maud::{Markup, html};

/// A part of a page with its DOM id. The outermost element of `html` has this id.
#[derive(Debug, Clone)]
pub struct Fragment {
    /// The DOM id.
    pub id: String,
    /// The element.
    pub html: Markup,
}

impl Fragment {
    /// A fragment from an id and its element.
    #[must_use]
    pub fn new(id: impl Into<String>, html: Markup) -> Self {
        Self { id: id.into(), html }
    }
}

/// The fragment as one replacement in an answer or a live message. htmx morphs the element of the same id into it;
/// a page that has no such element ignores it.
#[must_use]
pub fn partial(fragment: &Fragment) -> Markup {
    html! { hx-partial hx-target={ "#" (fragment.id) } hx-swap="outerMorph" { (fragment.html) } }
}
