//! The question before a site is deleted.

use maud::Markup;
use maud::html;
use shared::ids::SiteId;
use shared::names::DomainName;

use crate::paths;
use crate::views::components::confirm::{Confirm, confirm};
use crate::views::layout::{self, Nav, Page, Viewer};
use crate::views::model::{Errors, FormKey};
use crate::views::preview::{self, PreviewModel};

/// The question's model.
#[derive(Debug, Clone)]
pub struct DeleteModel {
    /// The site.
    pub id: SiteId,
    /// Its domain, which has to be typed, in either spelling.
    pub domain: DomainName,
    /// Its folder, such as `htdocs/shop.example`.
    pub folder: String,
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
    let name = model.domain.to_unicode();
    let question = format!("Delete {name}?");
    let consequences = vec![
        "Visitors no longer reach it, from the moment you press the button.".to_owned(),
        format!("Its folder {} and everything in it goes.", model.folder),
        "Its domain becomes free again.".to_owned(),
    ];
    let card = confirm(&Confirm {
        question: &question,
        consequences,
        name: &name,
        or: Some(model.domain.as_str()),
        name_is: "domain",
        button: "Delete site",
        action: &paths::site_delete(model.id),
        cancel: &paths::site(model.id),
        preview: Some(&paths::preview_of(&paths::site_delete(model.id))),
        key: Some(&model.key),
        typed: &model.typed,
        errors: &model.errors,
    });
    let body = html! { (layout::page_head(&html! { "Delete site" }, &html! { (name) }, &layout::nothing())) (card) (preview::or_coming(model.preview.as_ref(), &paths::preview_of(&paths::site_delete(model.id)))) };
    let page = Page::new("Delete", Nav::Sites, body).below("Sites", paths::SITES).below(name, paths::site(model.id));
    layout::page(viewer, &page)
}
