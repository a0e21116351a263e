//! The question before an installation script is made for a server whose worker may have joined.

use maud::{Markup, html};
use shared::ids::ServerId;
use shared::names::ServerName;

use crate::paths;
use crate::views::components::confirm::{Ask, ask};
use crate::views::layout::{self, Nav, Page, Viewer};

/// The question's model.
#[derive(Debug, Clone)]
pub struct RejoinModel {
    /// The server.
    pub id: ServerId,
    /// Its name.
    pub name: ServerName,
    /// Whether its worker answers.
    pub online: bool,
}

/// The page.
#[must_use]
pub fn rejoin_page(viewer: &Viewer, model: &RejoinModel) -> Markup {
    let question = format!("Make a new installation script for {}?", model.name);
    let mut consequences =
        vec!["Run on its host, the script installs what the server\u{2019}s roles still miss, and the newest worker.".to_owned()];
    if model.online {
        consequences.push(
            "The worker then joins again, and the key that it has now ends. Until it is run, the worker goes on as it is.".to_owned(),
        );
    } else {
        consequences.push("The worker joins with new keys, and those that it had end.".to_owned());
    }
    consequences.push("Sites serve meanwhile; changes wait the few seconds.".to_owned());
    let card = ask(&Ask {
        question: &question,
        consequences,
        button: "Generate installation script",
        action: &paths::with_query(&paths::server_token(model.id), [("again", "yes")]),
        cancel: &paths::server(model.id),
    });
    let body = html! { (layout::page_head(&html! { "Installation script" }, &html! { (model.name) }, &layout::nothing())) (card) };
    let page = Page::new("Installation script", Nav::Servers, body)
        .below("Servers", paths::SERVERS)
        .below(model.name.as_str(), paths::server(model.id));
    layout::page(viewer, &page)
}
