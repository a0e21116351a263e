//! The question before an SFTP key is removed.

use maud::{Markup, html};
use shared::ids::AccountId;
use shared::names::LinuxUser;

use super::sftp::KeyRow;
use crate::paths;
use crate::views::components::confirm::{Ask, Change, ask_change};
use crate::views::layout::{self, Nav, Page, Viewer};
use crate::views::preview::{self, PreviewModel};

/// The question's model.
#[derive(Debug, Clone)]
pub struct KeyRemoveModel {
    /// The account.
    pub id: AccountId,
    /// Its Linux user.
    pub user: LinuxUser,
    /// The key.
    pub key: KeyRow,
    /// What would change, if that was asked.
    pub preview: Option<PreviewModel>,
}

/// The page.
#[must_use]
pub fn key_remove_page(viewer: &Viewer, model: &KeyRemoveModel) -> Markup {
    let name = model.key.name();
    let question = format!("Remove the key {name}?");
    let action = paths::account_sftp_key_remove(model.id);
    let asked = paths::preview_of(&action);
    let ask = Ask {
        question: &question,
        consequences: vec![
            format!("Whoever has the private half of {} can no longer sign in as {} by SFTP.", model.key.fingerprint, model.user),
            "Other keys, and the password if one is set, go on working. The key can be added again.".to_owned(),
        ],
        button: "Remove key",
        action: &action,
        cancel: &paths::account(model.id),
    };
    let fields = [("fingerprint", model.key.fingerprint.as_str())];
    let body = html! {
        (layout::page_head(&html! { "Remove SFTP key" }, &html! { (name) ", of " (model.user) }, &layout::nothing()))
        (ask_change(&ask, Change { preview: &asked, key: None, fields: &fields }))
        (preview::or_coming(model.preview.as_ref(), &asked))
    };
    let page = Page::new("Remove key", Nav::Accounts, body)
        .below("Accounts", paths::ACCOUNTS)
        .below(model.user.as_str(), paths::account(model.id));
    layout::page(viewer, &page)
}
