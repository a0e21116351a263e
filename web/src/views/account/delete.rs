//! The question before an account is deleted.

use maud::{Markup, html};
use shared::ids::AccountId;
use shared::names::LinuxUser;

use crate::paths;
use crate::views::components::confirm::{Confirm, confirm};
use crate::views::components::stat;
use crate::views::layout::{self, Nav, Page, Viewer};
use crate::views::model::{Errors, FormKey};
use crate::views::preview::{self, PreviewModel};

/// The question's model.
#[derive(Debug, Clone)]
pub struct DeleteModel {
    /// The account.
    pub id: AccountId,
    /// Its Linux user, which has to be typed.
    pub user: LinuxUser,
    /// How many sites go with it.
    pub sites: u64,
    /// Makes a repeated post the same request.
    pub key: FormKey,
    /// What was typed before.
    pub typed: String,
    /// Why it was refused: field `confirm`.
    pub errors: Errors,
    /// What would go, if that was asked.
    pub preview: Option<PreviewModel>,
}

/// The page.
#[must_use]
pub fn delete_page(viewer: &Viewer, model: &DeleteModel) -> Markup {
    let question = format!("Delete {}?", model.user);
    let mut consequences = vec![
        format!("The folder /home/{} and everything in it goes.", model.user),
        "Nobody can sign in to it by SFTP any more.".to_owned(),
    ];
    if model.sites > 0 {
        consequences.insert(0, format!("Its {} can no longer be reached.", stat::counted(model.sites, "site", "sites")));
    }
    let card = confirm(&Confirm {
        question: &question,
        consequences,
        name: model.user.as_str(),
        or: None,
        name_is: "user name",
        button: "Delete account",
        action: &paths::account_delete(model.id),
        cancel: &paths::account(model.id),
        preview: Some(&paths::preview_of(&paths::account_delete(model.id))),
        key: Some(&model.key),
        typed: &model.typed,
        errors: &model.errors,
    });
    let body = html! { (layout::page_head(&html! { "Delete account" }, &html! { (model.user) }, &layout::nothing())) (card) (preview::or_coming(model.preview.as_ref(), &paths::preview_of(&paths::account_delete(model.id)))) };
    let page =
        Page::new("Delete", Nav::Accounts, body).below("Accounts", paths::ACCOUNTS).below(model.user.as_str(), paths::account(model.id));
    layout::page(viewer, &page)
}
