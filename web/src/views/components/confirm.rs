//! The question before something is destroyed: its name has to be typed.

use maud::{Markup, html};

use super::button::{self, Weight};
use super::form_field::Field;
use super::icon::Icon;
use crate::views::model::{Errors, FormKey};

/// The DOM id of a question's form: a page asks one.
pub const QUESTION: &str = "question";

/// A deletion to confirm.
#[derive(Debug, Clone)]
pub struct Confirm<'a> {
    /// The question, such as `Delete shop.example?`.
    pub question: &'a str,
    /// What goes, a sentence each.
    pub consequences: Vec<String>,
    /// What has to be typed, without spaces. The server compares it again.
    pub name: &'a str,
    /// Another spelling that is as good, such as a domain's punycode.
    pub or: Option<&'a str>,
    /// What that is called, such as `domain`.
    pub name_is: &'a str,
    /// The button, such as `Delete site`.
    pub button: &'a str,
    /// Where the form posts to; the typed text is the field `confirm`.
    pub action: &'a str,
    /// Where Cancel leads.
    pub cancel: &'a str,
    /// Where the question what would go is posted to, if a server can be asked.
    pub preview: Option<&'a str>,
    /// Makes a repeated post the same request, if the use case knows keys.
    pub key: Option<&'a FormKey>,
    /// What was typed before.
    pub typed: &'a str,
    /// Why it was refused.
    pub errors: &'a Errors,
}

/// The question as a card with its form.
#[must_use]
pub fn confirm(confirm: &Confirm<'_>) -> Markup {
    confirm_ending(confirm, "This cannot be undone.")
}

/// The same of something that is not for good: how it ends is said beside the button.
#[must_use]
pub fn confirm_ending(confirm: &Confirm<'_>, end: &str) -> Markup {
    let label = format!("Type the {} to confirm", confirm.name_is);
    html! {
        form.card.is-narrow #(QUESTION) method="post" action=(confirm.action) data-confirm={ (confirm.name) @if let Some(or) = confirm.or { " " (or) } } {
            @if let Some(key) = confirm.key { (key) }
            div.card-body.form {
                div.note data-state="bad" { (Icon::TriangleAlert)
                    div { b { (confirm.question) }
                        ul.bullets { @for sentence in &confirm.consequences { li { (sentence) } } }
                    }
                }
                (Field::text("confirm", &label).value(confirm.typed).help(confirm.name).mono().required().autofocus()
                    .error(confirm.errors.get("confirm")))
            }
            footer.card-foot {
                (button::submit(Weight::Danger, confirm.button))
                @if let Some(preview) = confirm.preview { (button::ask_by("Preview", preview)) }
                (button::link(Weight::Normal, None, "Cancel", confirm.cancel))
                span.muted { (end) }
            }
        }
    }
}

/// A question about something that can be undone: nothing has to be typed.
#[derive(Debug, Clone)]
pub struct Ask<'a> {
    /// The question.
    pub question: &'a str,
    /// What follows, a sentence each.
    pub consequences: Vec<String>,
    /// The button.
    pub button: &'a str,
    /// Where the form posts to.
    pub action: &'a str,
    /// Where the way back leads.
    pub cancel: &'a str,
}

/// What a question about a change has beside its words: a server can be asked first what would change.
#[derive(Debug, Clone, Copy)]
pub struct Change<'a> {
    /// Where the question what would change is posted to, with the same fields.
    pub preview: &'a str,
    /// Makes a repeated post the same request, if the use case knows keys.
    pub key: Option<&'a FormKey>,
    /// What the form sends besides: names and values.
    pub fields: &'a [(&'a str, &'a str)],
}

/// The question as a card with its form.
#[must_use]
pub fn ask(ask: &Ask<'_>) -> Markup {
    asked(ask, None)
}

/// The same about a change that a server can be asked about first.
#[must_use]
pub fn ask_change(ask: &Ask<'_>, change: Change<'_>) -> Markup {
    asked(ask, Some(change))
}

fn asked(ask: &Ask<'_>, change: Option<Change<'_>>) -> Markup {
    html! {
        form.card.is-narrow #(QUESTION) method="post" action=(ask.action) {
            @if let Some(change) = change {
                @if let Some(key) = change.key { (key) }
                @for (name, value) in change.fields { input type="hidden" name=(name) value=(value) autocomplete="off"; }
            }
            div.card-body.form {
                div.note data-state="warn" { (Icon::TriangleAlert)
                    div { b { (ask.question) }
                        ul.bullets { @for sentence in &ask.consequences { li { (sentence) } } }
                    }
                }
            }
            footer.card-foot {
                (button::submit(Weight::Primary, ask.button))
                @if let Some(change) = change { (button::ask_by("Preview", change.preview)) }
                (button::link(Weight::Normal, None, "Back", ask.cancel))
            }
        }
    }
}
