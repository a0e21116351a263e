//! The question before a server's worker is shut out.

use maud::{Markup, html};
use shared::ids::ServerId;
use shared::names::ServerName;

use crate::paths;
use crate::views::components::confirm::{Confirm, confirm_ending};
use crate::views::layout::{self, Nav, Page, Viewer};
use crate::views::model::Errors;

/// The question's model.
#[derive(Debug, Clone)]
pub struct ShutOutModel {
    /// The server.
    pub id: ServerId,
    /// Its name, which has to be typed.
    pub name: ServerName,
    /// What was typed before.
    pub typed: String,
    /// Why it was refused: field `confirm`.
    pub errors: Errors,
}

/// The page.
#[must_use]
pub fn shut_out_page(viewer: &Viewer, model: &ShutOutModel) -> Markup {
    let asked = format!("Shut out the worker of {}?", model.name);
    let question = Confirm {
        question: &asked,
        consequences: vec![
            "Its connection drops at once, and its key is worth nothing any more: for a host in foreign hands, or a key that leaked."
                .to_owned(),
            "Nothing on the host is changed: its sites go on serving, as far as the host can be trusted.".to_owned(),
            "Changes for it wait until a worker joins as this server again, with a new installation script.".to_owned(),
        ],
        name: model.name.as_str(),
        or: None,
        name_is: "server's name",
        button: "Shut out",
        action: &paths::server_shut_out(model.id),
        cancel: &paths::server(model.id),
        preview: None,
        key: None,
        typed: &model.typed,
        errors: &model.errors,
    };
    let card = confirm_ending(&question, "A worker can join as this server again.");
    let body = html! { (layout::page_head(&html! { "Shut out worker" }, &html! { (model.name) }, &layout::nothing())) (card) };
    let page =
        Page::new("Shut out", Nav::Servers, body).below("Servers", paths::SERVERS).below(model.name.as_str(), paths::server(model.id));
    layout::page(viewer, &page)
}
