//! The question before what failed is tried again.

use maud::{Markup, html};
use shared::ids::OperationId;

use crate::paths;
use crate::views::components::confirm::{Ask, Change, ask_change};
use crate::views::layout::{self, Nav, Page, Viewer};
use crate::views::preview::{self, PreviewModel};

/// The question's model.
#[derive(Debug, Clone)]
pub struct RetryModel {
    /// The request.
    pub id: OperationId,
    /// What was asked for, such as `Create site shop.example`.
    pub title: String,
    /// What would change, if that was asked.
    pub preview: Option<PreviewModel>,
}

/// The page.
#[must_use]
pub fn retry_page(viewer: &Viewer, model: &RetryModel) -> Markup {
    let question = format!("Try \u{201c}{}\u{201d} again?", model.title);
    let action = paths::operation_retry(model.id);
    let asked = paths::preview_of(&action);
    let ask = Ask {
        question: &question,
        consequences: vec![
            "What failed of it is sent again as it was asked for, and with it what it builds on, if that has failed too.".to_owned(),
            "What a newer change has replaced meanwhile is left out.".to_owned(),
        ],
        button: "Retry",
        action: &action,
        cancel: &paths::operation(model.id),
    };
    let body = html! {
        (layout::page_head(&html! { "Try again" }, &html! { (model.title) }, &layout::nothing()))
        (ask_change(&ask, Change { preview: &asked, key: None, fields: &[] }))
        (preview::or_coming(model.preview.as_ref(), &asked))
    };
    let page = Page::new("Try again", Nav::Operations, body)
        .below("Operations", paths::OPERATIONS)
        .below(model.title.clone(), paths::operation(model.id));
    layout::page(viewer, &page)
}
