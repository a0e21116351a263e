//! The forms for a new site and for a site's settings.

use maud::{Markup, html};
use shared::ids::SiteId;
use shared::names::{DomainName, PhpVersion};

use crate::paths;
use crate::views::components::button::{self, Weight};
use crate::views::components::choice::{Choice, ChoiceField, Look};
use crate::views::components::form_field::Field;
use crate::views::components::icon::Icon;
use crate::views::components::{empty_state, note};
use crate::views::layout::{self, Audience, Nav, Page, Viewer};
use crate::views::model::{Errors, FormKey};
use crate::views::preview::{self, PreviewModel};

/// What is typed into the forms, as it was typed.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct SiteForm {
    /// `account`: the account's Linux user.
    pub account: String,
    /// `domain`: the primary domain. Only for a new site.
    pub domain: String,
    /// `aliases`: further names, one a line.
    pub aliases: String,
    /// `document_root`: the folder below `htdocs`. Empty: the domain.
    pub document_root: String,
    /// `php`: a PHP version, or empty for static files.
    pub php: String,
}

/// The form for a new site.
#[derive(Debug, Clone, Default)]
pub struct NewModel {
    /// What was typed, or the defaults.
    pub form: SiteForm,
    /// Makes a repeated post the same request.
    pub key: FormKey,
    /// What was wrong.
    pub errors: Errors,
    /// The accounts to choose among by their Linux user, with the server as the note. Empty: no site can be made.
    pub accounts: Vec<Choice>,
    /// The PHP versions of the servers, newest first.
    pub php_versions: Vec<PhpVersion>,
    /// What it would change, if that was asked.
    pub preview: Option<PreviewModel>,
}

/// The form for a site's settings.
#[derive(Debug, Clone)]
pub struct EditModel {
    /// The site.
    pub id: SiteId,
    /// Its domain, which does not change.
    pub domain: DomainName,
    /// What was typed, or the settings.
    pub form: SiteForm,
    /// Makes a repeated post the same request.
    pub key: FormKey,
    /// What was wrong.
    pub errors: Errors,
    /// The PHP versions of its server, newest first.
    pub php_versions: Vec<PhpVersion>,
    /// What it would change, if that was asked.
    pub preview: Option<PreviewModel>,
}

/// The page for a new site.
#[must_use]
pub fn new_page(viewer: &Viewer, model: &NewModel) -> Markup {
    let body = html! {
        (layout::page_head(&html! { "Create a site" }, &html! { "It answers about a second after you press the button." }, &layout::nothing()))
        @if model.accounts.is_empty() {
            section.card { (no_account(viewer.audience)) }
        } @else {
            div.split { div.stack { (new_form(model)) @if let Some(shown) = &model.preview { (preview::card(shown)) } } aside.stack { (what_happens()) } }
        }
    };
    let page = Page::new("Create a site", Nav::Sites, body).below("Sites", paths::SITES);
    layout::page(viewer, &page)
}

fn no_account(audience: Audience) -> Markup {
    let (text, action) = match audience {
        Audience::Admin => (
            "A site lives in an account: a Linux user with its own folder on a server.",
            button::link(Weight::Primary, Some(Icon::Plus), "Create an account", paths::ACCOUNT_NEW),
        ),
        Audience::Client => ("A site lives in an account. Your hosting company makes one for you.", layout::nothing()),
    };
    empty_state::empty_state(Icon::FolderKey, "No account to put it in", text, &action)
}

fn new_form(model: &NewModel) -> Markup {
    html! {
        form.card method="post" action=(paths::SITES) {
            (model.key)
            div.card-body.form {
                (note::form_errors(&model.errors))
                (Field::text("domain", "Domain").value(&model.form.domain).required().autofocus().error(model.errors.get("domain"))
                    .help("Such as shop.example.com. International names such as bücher.example are fine."))
                @if let ([only], None) = (model.accounts.as_slice(), model.errors.get("account")) {
                    input type="hidden" name="account" value=(only.value);
                } @else {
                    (ChoiceField { name: "account", label: "Account", look: Look::Find, chosen: &model.form.account,
                        choices: &model.accounts, help: None, error: model.errors.get("account") })
                }
                (kind_field(&model.php_versions, &model.form, &model.errors))
                details.more open[opens(model)] {
                    summary { "More settings" }
                    div.form { (aliases_field(&model.form, &model.errors)) (root_field(&model.form, &model.errors)) }
                }
            }
            footer.card-foot {
                (button::submit(Weight::Primary, "Create site"))
                (button::submit_to("Preview", paths::SITE_NEW_PREVIEW))
                (button::link(Weight::Normal, None, "Cancel", paths::SITES))
                (note::form_summary(&model.errors))
            }
        }
    }
}

/// Settings that were filled in or refused are not hidden.
fn opens(model: &NewModel) -> bool {
    let filled = !model.form.aliases.is_empty() || !model.form.document_root.is_empty();
    filled || model.errors.get("aliases").is_some() || model.errors.get("document_root").is_some()
}

/// The page for a site's settings.
#[must_use]
pub fn edit_page(viewer: &Viewer, model: &EditModel) -> Markup {
    let name = model.domain.to_unicode();
    let line = html! { "What serves visitors now goes on until the new settings are proved to work." };
    let body = html! {
        (layout::page_head(&html! { "Settings of " (name) }, &line, &layout::nothing()))
        form.card method="post" action=(paths::site_edit(model.id)) {
            (model.key)
            div.card-body.form {
                (note::form_errors(&model.errors))
                (kind_field(&model.php_versions, &model.form, &model.errors))
                (aliases_field(&model.form, &model.errors))
                (root_field(&model.form, &model.errors))
            }
            footer.card-foot {
                (button::submit(Weight::Primary, "Save changes"))
                (button::submit_to("Preview", &paths::site_preview(model.id)))
                (button::link(Weight::Normal, None, "Cancel", &paths::site(model.id)))
                (note::form_summary(&model.errors))
            }
        }
        @if let Some(shown) = &model.preview { (preview::card(shown)) }
    };
    let page = Page::new("Settings", Nav::Sites, body).below("Sites", paths::SITES).below(name, paths::site(model.id));
    layout::page(viewer, &page)
}

fn kind_field(versions: &[PhpVersion], form: &SiteForm, errors: &Errors) -> Markup {
    let mut choices: Vec<Choice> = versions.iter().map(|version| Choice::new(version.to_string(), format!("PHP {version}"))).collect();
    choices.push(Choice::new("static", "Static files"));
    let chosen = if form.php.is_empty() { "static" } else { &form.php };
    let help = Some("PHP runs as the account's own user. Static files need no PHP.");
    let field = ChoiceField { name: "php", label: "Type", look: Look::Chips, chosen, choices: &choices, help, error: errors.get("php") };
    html! { (field) }
}

fn aliases_field(form: &SiteForm, errors: &Errors) -> Markup {
    html! {
        (Field::area("aliases", "Further names", 3).value(&form.aliases).optional().mono().error(errors.get("aliases"))
            .help("One a line, such as www.example.com. *.example.com stands for every name directly below example.com."))
    }
}

fn root_field(form: &SiteForm, errors: &Errors) -> Markup {
    html! {
        (Field::text("document_root", "Document root").value(&form.document_root).optional().mono().error(errors.get("document_root"))
            .help("The folder below htdocs that visitors see, such as example.com/public. Empty: the domain's own folder."))
    }
}

fn what_happens() -> Markup {
    let steps = [
        "The domain is reserved for your account",
        "Its folder is made, with a placeholder page",
        "The new configuration is tested beside the running one",
        "Only a valid one is switched on",
        "A real request proves that the site answers",
    ];
    html! {
        section.card {
            header.card-head { h2 { "What happens then" } }
            div.card-body { ol.steps { @for step in steps { li data-state="wait" { (Icon::CircleDashed) span { (step) } } } } }
            footer.card-foot { span { "If a step fails, everything is put back, and the page says why." } }
        }
    }
}
