//! The form for a new account.

use maud::{Markup, html};
use shared::names::PhpVersion;

use super::limits::{LimitsForm, limit_fields};
use crate::paths;
use crate::views::components::button::{self, Weight};
use crate::views::components::choice::{Choice, ChoiceField, Look};
use crate::views::components::form_field::Field;
use crate::views::components::icon::Icon;
use crate::views::components::{empty_state, note};
use crate::views::layout::{self, Nav, Page, Viewer};
use crate::views::model::{Errors, FormKey};
use crate::views::preview::{self, PreviewModel};

/// What is typed, as it was typed.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct AccountForm {
    /// `owner`: what the client signs in with.
    pub owner: String,
    /// `user`: the Linux user.
    pub user: String,
    /// `server`: the server's id, or empty for the one with the most room.
    pub server: String,
    /// `domain`: a first site, or empty.
    pub domain: String,
    /// `php`: the first site's PHP version, or `static`.
    pub php: String,
    /// The limits.
    pub limits: LimitsForm,
}

/// The form's model.
#[derive(Debug, Clone, Default)]
pub struct NewModel {
    /// What was typed, or the defaults.
    pub form: AccountForm,
    /// Makes a repeated post the same request.
    pub key: FormKey,
    /// What was wrong.
    pub errors: Errors,
    /// The clients to choose among: what they sign in with, and their name. Empty: one has to be made first.
    pub owners: Vec<Choice>,
    /// The servers that take accounts: id, name, and their room as a note. Empty: one has to be added first.
    pub servers: Vec<Choice>,
    /// The PHP versions for the first site, newest first. Empty hides the first site.
    pub php_versions: Vec<PhpVersion>,
    /// What it would change, if that was asked.
    pub preview: Option<PreviewModel>,
}

/// The page.
#[must_use]
pub fn new_page(viewer: &Viewer, model: &NewModel) -> Markup {
    let line = html! { "A Linux user with its own folder, PHP and SFTP access." };
    let body = html! {
        (layout::page_head(&html! { "Create an account" }, &line, &layout::nothing()))
        @if model.servers.is_empty() {
            section.card { (no_server()) }
        } @else if model.owners.is_empty() {
            section.card { (no_client()) }
        } @else {
            (form(model))
            @if let Some(shown) = &model.preview { (preview::card(shown)) }
        }
    };
    layout::page(viewer, &Page::new("Create an account", Nav::Accounts, body).below("Accounts", paths::ACCOUNTS))
}

fn no_server() -> Markup {
    let action = button::link(Weight::Primary, Some(Icon::Plus), "Add a server", paths::SERVER_NEW);
    empty_state::empty_state(Icon::Server, "No server takes accounts", "An account lives on a server that is online and active.", &action)
}

fn no_client() -> Markup {
    let action = button::link(Weight::Primary, Some(Icon::Plus), "Create a client", paths::CLIENT_NEW);
    empty_state::empty_state(
        Icon::Users,
        "No clients yet",
        "An account belongs to a client: the person who signs in and manages it.",
        &action,
    )
}

fn form(model: &NewModel) -> Markup {
    let form = &model.form;
    html! {
        form.card method="post" action=(paths::ACCOUNTS) {
            (model.key)
            div.card-body.form {
                (note::form_errors(&model.errors))
                (Field::text("user", "User name").value(&form.user).required().autofocus().mono().error(model.errors.get("user"))
                    .help("3 to 31 of the letters a to z and digits, starting with a letter. It never changes."))
                (ChoiceField { name: "owner", label: "Client", look: Look::Find, chosen: &form.owner, choices: &model.owners,
                    help: Some("Who signs in and manages it."), error: model.errors.get("owner") })
                (server_field(model))
                @if !model.php_versions.is_empty() { hr; (first_site(model)) }
                hr;
                details.more open[limits_open(model)] {
                    summary { "Limits" }
                    div.form { (limit_fields(&form.limits, &model.errors)) }
                }
            }
            footer.card-foot {
                (button::submit(Weight::Primary, "Create account"))
                (button::submit_to("Preview", paths::ACCOUNT_NEW_PREVIEW))
                (button::link(Weight::Normal, None, "Cancel", paths::ACCOUNTS))
                (note::form_summary(&model.errors))
            }
        }
    }
}

fn server_field(model: &NewModel) -> Markup {
    let mut choices = vec![Choice::new("", "The one with the most room")];
    choices.extend(model.servers.iter().cloned());
    let field = ChoiceField {
        name: "server",
        label: "Server",
        look: Look::List,
        chosen: &model.form.server,
        choices: &choices,
        help: None,
        error: model.errors.get("server"),
    };
    html! { (field) }
}

fn first_site(model: &NewModel) -> Markup {
    let mut choices: Vec<Choice> =
        model.php_versions.iter().map(|version| Choice::new(version.to_string(), format!("PHP {version}"))).collect();
    choices.push(Choice::new("static", "Static files"));
    let chosen = if model.form.php.is_empty() { choices[0].value.clone() } else { model.form.php.clone() };
    html! {
        (Field::text("domain", "First site").value(&model.form.domain).optional().error(model.errors.get("domain"))
            .help("A domain such as shop.example.com. You can add sites at any time."))
        (ChoiceField { name: "php", label: "Its type", look: Look::Chips, chosen: &chosen, choices: &choices, help: None,
            error: model.errors.get("php") })
    }
}

fn limits_open(model: &NewModel) -> bool {
    model.form.limits != LimitsForm::default() || LimitsForm::FIELDS.iter().any(|field| model.errors.get(field).is_some())
}
