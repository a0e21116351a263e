//! The question before a server is deleted.

use maud::{Markup, html};
use shared::ids::ServerId;
use shared::names::ServerName;

use crate::paths;
use crate::views::components::badge::Tone;
use crate::views::components::button::{self, Weight};
use crate::views::components::confirm::{Confirm, confirm};
use crate::views::components::icon::Icon;
use crate::views::components::{note, stat};
use crate::views::layout::{self, Nav, Page, Viewer};
use crate::views::model::Errors;

/// The question's model.
#[derive(Debug, Clone)]
pub struct DeleteModel {
    /// The server.
    pub id: ServerId,
    /// Its name, which has to be typed.
    pub name: ServerName,
    /// How many accounts live there. With any, it is not deleted, but given up if its host is gone.
    pub accounts: u64,
    /// How many sites they have.
    pub sites: u64,
    /// Whether its worker answers: then its host is not gone.
    pub online: bool,
    /// What was typed before.
    pub typed: String,
    /// Why it was refused: field `confirm`.
    pub errors: Errors,
}

/// The page.
#[must_use]
pub fn delete_page(viewer: &Viewer, model: &DeleteModel) -> Markup {
    let question = format!("Delete {}?", model.name);
    let card = if model.accounts > 0 {
        html! { div.stack { (blocked(model)) @if !model.online { (gone(model)) } } }
    } else {
        confirm(&Confirm {
            question: &question,
            consequences: vec![
                "Its worker is cut off from this panel at once and cannot come back.".to_owned(),
                "What waits for this server is cancelled.".to_owned(),
                "Nothing on the host is changed: remove the package gantry-worker there yourself.".to_owned(),
                "What was done there stays in the record.".to_owned(),
            ],
            name: model.name.as_str(),
            or: None,
            name_is: "server's name",
            button: "Delete server",
            action: &paths::server_delete(model.id),
            cancel: &paths::server(model.id),
            preview: None,
            key: None,
            typed: &model.typed,
            errors: &model.errors,
        })
    };
    let body = html! { (layout::page_head(&html! { "Delete server" }, &html! { (model.name) }, &layout::nothing())) (card) };
    let page = Page::new("Delete", Nav::Servers, body).below("Servers", paths::SERVERS).below(model.name.as_str(), paths::server(model.id));
    layout::page(viewer, &page)
}

fn blocked(model: &DeleteModel) -> Markup {
    let many = stat::counted(model.accounts, "account", "accounts");
    let text = format!(
        "{many} on it. Accounts cannot be moved to another server yet: delete them first, and switch off \u{201c}Active\u{201d} so \
         that no more come."
    );
    let accounts = paths::with_query(paths::ACCOUNTS, [("server", model.name.as_str())]);
    html! {
        (note::note(Tone::Warn, Icon::TriangleAlert, "This server cannot be deleted yet.", &text))
        div.row {
            (button::link(Weight::Primary, None, "Show its accounts", &accounts))
            (button::link(Weight::Normal, None, "Back to the server", &paths::server(model.id)))
        }
    }
}

/// The way out where the host is lost, and the accounts on it with it.
fn gone(model: &DeleteModel) -> Markup {
    let accounts = stat::counted(model.accounts, "account", "accounts");
    let sites = stat::counted(model.sites, "site", "sites");
    let question = format!("This host is gone: give up {} and all that lived there?", model.name);
    confirm(&Confirm {
        question: &question,
        consequences: vec![
            format!("{accounts} and {sites} are given up, with all their files. Their clients do not see them any more."),
            "What waits for this server is cancelled. Domains and Linux users are free to be used again.".to_owned(),
            "Nothing is removed on the host itself. If it comes back, its worker is refused; sites on it may go on serving.".to_owned(),
        ],
        name: model.name.as_str(),
        or: None,
        name_is: "server's name",
        button: "Give up server",
        action: &paths::server_gone(model.id),
        cancel: &paths::server(model.id),
        preview: None,
        key: None,
        typed: &model.typed,
        errors: &model.errors,
    })
}
