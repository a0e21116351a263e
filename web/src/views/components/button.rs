//! Buttons and links that look like buttons. A link goes somewhere, a button does something.

use maud::{Markup, Render, html};

use super::icon::Icon;

/// How much a button stands out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Weight {
    /// The one main action of a page.
    Primary,
    /// Any other action.
    Normal,
    /// An action that steps back.
    Quiet,
    /// An action that destroys.
    Danger,
}

impl Weight {
    const fn class(self) -> &'static str {
        match self {
            Self::Primary => "is-primary",
            Self::Normal => "",
            Self::Quiet => "is-quiet",
            Self::Danger => "is-danger",
        }
    }
}

/// A link that looks like a button.
#[must_use]
pub fn link(weight: Weight, icon: Option<Icon>, label: &str, href: &str) -> Markup {
    html! { a class=(classes(weight, false)) href=(href) { @if let Some(icon) = icon { (icon) } (label) } }
}

/// A small link that looks like a button.
#[must_use]
pub fn small_link(icon: Option<Icon>, label: &str, href: &str) -> Markup {
    html! { a class=(classes(Weight::Normal, true)) href=(href) { @if let Some(icon) = icon { (icon) } (label) } }
}

/// A form's submit button.
#[must_use]
pub fn submit(weight: Weight, label: &str) -> Markup {
    html! { button class=(classes(weight, false)) type="submit" { (label) } }
}

/// A form's second button: the same fields, sent elsewhere. It works without scripts.
#[must_use]
pub fn submit_to(label: &str, action: &str) -> Markup {
    html! { button class=(classes(Weight::Normal, false)) type="submit" formaction=(action) { (label) } }
}

/// The same, without the browser looking at the fields first: what is sent is a question, not the form.
#[must_use]
pub fn ask_by(label: &str, action: &str) -> Markup {
    html! { button class=(classes(Weight::Normal, false)) type="submit" formaction=(action) formnovalidate { (label) } }
}

/// A form of one button, for an action without questions.
#[must_use]
pub fn post(size: Size, icon: Icon, label: &str, action: &str) -> Markup {
    html! {
        form.row method="post" action=(action) {
            button class=(classes(Weight::Normal, size == Size::Small)) type="submit" { (icon) (label) }
        }
    }
}

/// The same, small, with a second button that asks what would change, where that can be asked.
#[must_use]
pub fn post_or_ask(icon: Icon, label: &str, action: &str, preview: Option<&str>) -> Markup {
    let class = classes(Weight::Normal, true);
    html! {
        form.row method="post" action=(action) {
            button class=(class) type="submit" { (icon) (label) }
            @if let Some(preview) = preview { button class=(class) type="submit" formaction=(preview) { "Preview" } }
        }
    }
}

/// The same where a page has several of it: about what is said to those who do not see where it stands.
#[must_use]
pub fn post_about(icon: Icon, label: &str, about: &str, action: &str) -> Markup {
    html! {
        form.row method="post" action=(action) {
            button class=(classes(Weight::Normal, true)) type="submit" { (icon) (label) (for_ears(about)) }
        }
    }
}

/// A small link that looks like a button, where a page has several of it.
#[must_use]
pub fn small_link_about(icon: Option<Icon>, label: &str, about: &str, href: &str) -> Markup {
    html! { a class=(classes(Weight::Normal, true)) href=(href) { @if let Some(icon) = icon { (icon) } (label) (for_ears(about)) } }
}

/// What follows a button's words for those who do not see where it stands.
#[must_use]
pub fn for_ears(about: &str) -> Markup {
    html! { span.sr { ": " (about) } }
}

/// How large a button is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Size {
    /// As other controls.
    Normal,
    /// Inside rows and notes.
    Small,
}

fn classes(weight: Weight, small: bool) -> String {
    let mut classes = String::from("btn");
    if !weight.class().is_empty() {
        classes.push(' ');
        classes.push_str(weight.class());
    }
    if small {
        classes.push_str(" is-sm");
    }
    classes
}

/// A button that copies the text of its neighbour. Without scripts the text is there to be selected.
#[derive(Debug, Clone, Copy)]
pub struct CopyButton<'a>(pub &'a str);

impl Render for CopyButton<'_> {
    fn render(&self) -> Markup {
        html! { button class="btn is-quiet is-sm is-icon" type="button" data-copy aria-label=(self.0) hidden { (Icon::Copy) } }
    }
}
