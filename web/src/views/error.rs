//! Pages for what could not be done: what happened, did anything change, what next.

use jiff::Timestamp;
use maud::{Markup, html};

use super::components::button::{self, Weight};
use super::components::icon::Icon;
use super::components::time;
use super::layout::{self, Nav, Page, Theme, Viewer};
use crate::paths;

/// What went wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ErrorKind {
    /// 400: the form or address makes no sense.
    BadRequest,
    /// 403: not allowed; also a form sent from another site.
    Forbidden,
    /// 404: there is nothing here, or nothing for this viewer.
    NotFound,
    /// 409: the thing has moved on since the page was loaded.
    Conflict,
    /// 429: too many tries.
    TooMany {
        /// How long to wait, seconds.
        seconds: u64,
    },
    /// 500: our fault.
    Internal,
    /// 503: the database is away or busy.
    Unavailable,
}

/// An error page.
#[derive(Debug, Clone)]
pub struct ErrorModel {
    /// What went wrong.
    pub kind: ErrorKind,
    /// What happened in the words of whoever refused it, in place of the general ones.
    pub sentence: Option<String>,
    /// The number support finds it by, for faults of ours.
    pub reference: Option<String>,
    /// When it happened.
    pub at: Timestamp,
    /// The page to try again, if trying again makes sense.
    pub again: Option<String>,
}

struct Words {
    icon: Icon,
    title: &'static str,
    what: String,
    changed: &'static str,
}

/// A refusal that says why is no race that was lost.
const REFUSED: &str = "This cannot be done now";

fn words(model: &ErrorModel) -> Words {
    let words = general_words(model.kind);
    match &model.sentence {
        Some(sentence) if model.kind == ErrorKind::Conflict => {
            Words { icon: Icon::CircleAlert, title: REFUSED, what: sentence.clone(), ..words }
        }
        Some(sentence) => Words { what: sentence.clone(), ..words },
        None => words,
    }
}

fn general_words(kind: ErrorKind) -> Words {
    let (icon, title, what) = match kind {
        ErrorKind::BadRequest => {
            (Icon::CircleAlert, "This request makes no sense", "A field or the address is not in a form the panel understands.".to_owned())
        }
        ErrorKind::Forbidden => (
            Icon::LockKeyhole,
            "You may not do this",
            "Your account has no right to it, or the form came from another website or an old page.".to_owned(),
        ),
        ErrorKind::NotFound => {
            (Icon::Search, "There is nothing here", "It was deleted, or the address is wrong, or it belongs to somebody else.".to_owned())
        }
        ErrorKind::Conflict => (
            Icon::RefreshCw,
            "This has changed meanwhile",
            "Somebody else, or another window, was quicker. Look at it as it is now.".to_owned(),
        ),
        ErrorKind::TooMany { seconds } => {
            (Icon::Clock, "Too many tries", format!("For your safety there is a pause now. Try again in {}.", time::duration_s(seconds)))
        }
        ErrorKind::Internal => (
            Icon::CircleAlert,
            "This page could not be made",
            "Something went wrong on our side. Your sites do not depend on the panel and keep running.".to_owned(),
        ),
        ErrorKind::Unavailable => (
            Icon::CircleAlert,
            "The panel is busy",
            "The panel could not read its database in time. Your sites do not depend on it and keep running.".to_owned(),
        ),
    };
    let changed = match kind {
        ErrorKind::Internal | ErrorKind::Unavailable => "If you had pressed a button, it was either recorded fully or not at all.",
        ErrorKind::BadRequest | ErrorKind::Forbidden | ErrorKind::NotFound | ErrorKind::Conflict | ErrorKind::TooMany { .. } => {
            "Nothing was changed."
        }
    };
    Words { icon, title, what, changed }
}

/// The page inside the frame, for somebody signed in.
#[must_use]
pub fn page(viewer: &Viewer, model: &ErrorModel) -> Markup {
    layout::page(viewer, &Page::new(words(model).title, Nav::Nowhere, card(model, Some(viewer))).below(viewer.home(), paths::HOME))
}

/// The page alone, for somebody not signed in, or when not even that is known.
#[must_use]
pub fn solo_page(theme: Theme, model: &ErrorModel) -> Markup {
    layout::solo(theme, paths::HOME, words(model).title, &card(model, None))
}

fn card(model: &ErrorModel, viewer: Option<&Viewer>) -> Markup {
    let words = words(model);
    html! {
        section.card {
            div.empty {
                (words.icon)
                h1 { (words.title) }
                p { (words.what) }
                p { b.strong { (words.changed) } }
                div.row {
                    @if let Some(again) = &model.again { (button::link(Weight::Primary, Some(Icon::RotateCw), "Try again", again)) }
                    (button::link(Weight::Normal, None, viewer.map_or("Home", Viewer::home), paths::HOME))
                    @if viewer.is_some() && model.kind == ErrorKind::NotFound { (button::link(Weight::Normal, Some(Icon::Search), "Search", paths::SEARCH)) }
                }
            }
            @if let Some(reference) = &model.reference {
                footer.card-foot {
                    span { "Tell support this number:" } code { (reference) }
                    span.row.is-push { small { (time::exact(model.at)) } }
                }
            }
        }
    }
}
