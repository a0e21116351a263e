//! A client's page, the form for a new one, and the question before one is deleted.

use jiff::Timestamp;
use maud::{Markup, html};
use shared::ids::UserId;

use super::{Row, menu_items};
use crate::paths;
use crate::views::components::badge::Tone;
use crate::views::components::button::{self, Weight};
use crate::views::components::choice::{Choice, ChoiceField, Look};
use crate::views::components::confirm::{Confirm, confirm};
use crate::views::components::form_field::Field;
use crate::views::components::icon::Icon;
use crate::views::components::menu::menu;
use crate::views::components::toast::Toast;
use crate::views::components::{kv, note, secret, stat, time};
use crate::views::layout::{self, Audience, Nav, Page, Viewer};
use crate::views::model::Errors;
use crate::views::{account, operation};

/// What is typed for a new client.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ClientForm {
    /// `name`: their name.
    pub name: String,
    /// `login`: email address or user name.
    pub login: String,
    /// `role`: `client` or `admin`.
    pub role: String,
}

/// The form for a new client.
#[derive(Debug, Clone, Default)]
pub struct NewModel {
    /// What was typed.
    pub form: ClientForm,
    /// What was wrong.
    pub errors: Errors,
}

/// A password that was just made. Shown once, in the answer to the request that made it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OneTimePassword(pub String);

/// A client's page.
#[derive(Debug, Clone)]
pub struct ShowModel {
    /// What time it is.
    pub now: Timestamp,
    /// The client.
    pub client: Row,
    /// When they were made.
    pub created_at: Timestamp,
    /// The password that was just made.
    pub new_password: Option<OneTimePassword>,
    /// Their accounts.
    pub accounts: Vec<account::Row>,
    /// Whether an account can be created for them now.
    pub can_create_account: bool,
    /// What they asked for, newest first.
    pub operations: Vec<operation::Row>,
    /// A message.
    pub toast: Option<Toast>,
}

/// The page for a new client.
#[must_use]
pub fn new_page(viewer: &Viewer, model: &NewModel) -> Markup {
    let role = if model.form.role.is_empty() { "client" } else { &model.form.role };
    let choices = [
        Choice::new("client", "Client").note("Manages their own accounts and sites."),
        Choice::new("admin", "Administrator").note("Runs the whole fleet, every account and every client."),
    ];
    let line = html! { "They get a one-time password from you, and choose their own when they first sign in." };
    let body = html! {
        (layout::page_head(&html! { "Create a client" }, &line, &layout::nothing()))
        form.card method="post" action=(paths::CLIENTS) {
            div.card-body.form {
                (note::form_errors(&model.errors))
                (Field::text("name", "Name").value(&model.form.name).required().autofocus().error(model.errors.get("name")))
                (Field::text("login", "Email or user name").value(&model.form.login).required().error(model.errors.get("login"))
                    .help("What they sign in with."))
                (ChoiceField { name: "role", label: "Role", look: Look::Cards, chosen: role, choices: &choices, help: None,
                    error: model.errors.get("role") })
            }
            footer.card-foot {
                (button::submit(Weight::Primary, "Create client"))
                (button::link(Weight::Normal, None, "Cancel", paths::CLIENTS))
                (note::form_summary(&model.errors))
            }
        }
    };
    layout::page(viewer, &Page::new("Create a client", Nav::Clients, body).below("Clients", paths::CLIENTS))
}

/// A client's page.
#[must_use]
pub fn show_page(viewer: &Viewer, model: &ShowModel) -> Markup {
    let client = &model.client;
    let all = paths::with_query(paths::OPERATIONS, [("q", client.login.as_str())]);
    let body = html! {
        (head(model))
        @if let Some(password) = &model.new_password { (hand_over(client, password)) }
        @if client.suspended {
            (note::note(Tone::Off, Icon::Pause, "This client is suspended.", "They cannot sign in, and their accounts are switched off: visitors of their sites see a page that says so. Bringing the client back restores exactly what was."))
        }
        div.split {
            div.stack { (accounts(model)) }
            aside.stack { (facts(model)) (operation::feed("client-operations", "Recent changes", &model.operations, Some(&all), model.now)) }
        }
    };
    let page = Page::new(client.name.clone(), Nav::Clients, body).below("Clients", paths::CLIENTS).toast(model.toast.clone());
    layout::page(viewer, &page)
}

fn head(model: &ShowModel) -> Markup {
    let client = &model.client;
    let actions = html! {
        @if model.can_create_account {
            (button::link(Weight::Primary, Some(Icon::Plus), "Create an account", &paths::account_new_for(client.id)))
        }
        (menu("client-menu", "More actions", false, &menu_items(client.id, client.can)))
    };
    let line = html! {
        @match client.audience { Audience::Admin => "Administrator", Audience::Client => "Client" } ", signs in as " (client.login) "."
    };
    layout::page_head(&html! { (client.name) " " (client.badge()) }, &line, &actions)
}

fn hand_over(client: &Row, password: &OneTimePassword) -> Markup {
    html! {
        section.card {
            header.card-head { h2 { "Hand this over" } }
            div.card-body.stack {
                (kv::list(&[("Signs in as", kv::mono(&client.login))]))
                (secret::secret(&password.0, "The one-time password. It is shown only now, and works until they choose their own.", "Copy the password"))
            }
        }
    }
}

fn accounts(model: &ShowModel) -> Markup {
    html! {
        section.card {
            header.card-head { h2 { "Accounts" } p { (stat::counted(model.accounts.len() as u64, "account", "accounts")) } }
            @if model.accounts.is_empty() {
                div.card-body { p.muted.small { "None yet. An account is where their sites live." } }
            } @else {
                (account::table_of(&model.accounts, account::Place::Client, None, model.now))
            }
        }
    }
}

fn facts(model: &ShowModel) -> Markup {
    let client = &model.client;
    let seen = client.seen_at.map_or_else(|| kv::text("never"), |at| time::ago(at, model.now));
    kv::card(
        "Details",
        &[
            ("Signs in as", kv::text(&client.login)),
            ("Last here", seen),
            ("Sites", kv::text(stat::counted(client.sites, "site", "sites"))),
            ("Created", time::date(model.created_at)),
            ("Audit log", html! { a.inline-link href=(paths::audit_by(client.id)) { "What they did" } }),
        ],
    )
}

/// The question before a client is deleted.
#[derive(Debug, Clone)]
pub struct DeleteModel {
    /// The client.
    pub id: UserId,
    /// Their name.
    pub name: String,
    /// What they sign in with, which has to be typed.
    pub login: String,
    /// How many accounts they own. With any, nothing is deleted.
    pub accounts: u64,
    /// What was typed before.
    pub typed: String,
    /// Why it was refused: field `confirm`.
    pub errors: Errors,
}

/// The page with the question.
#[must_use]
pub fn delete_page(viewer: &Viewer, model: &DeleteModel) -> Markup {
    let question = format!("Delete {}?", model.name);
    let card = if model.accounts > 0 {
        blocked(model)
    } else {
        confirm(&Confirm {
            question: &question,
            consequences: vec![
                "They are signed out everywhere and cannot sign in again.".to_owned(),
                "What they did stays in the record.".to_owned(),
            ],
            name: &model.login,
            or: None,
            name_is: "sign-in name",
            button: "Delete client",
            action: &paths::client_delete(model.id),
            cancel: &paths::client(model.id),
            preview: None,
            key: None,
            typed: &model.typed,
            errors: &model.errors,
        })
    };
    let body = html! { (layout::page_head(&html! { "Delete client" }, &html! { (model.name) }, &layout::nothing())) (card) };
    let page = Page::new("Delete", Nav::Clients, body).below("Clients", paths::CLIENTS).below(model.name.clone(), paths::client(model.id));
    layout::page(viewer, &page)
}

fn blocked(model: &DeleteModel) -> Markup {
    let text = format!("They own {}. Delete those first.", stat::counted(model.accounts, "account", "accounts"));
    html! {
        (note::note(Tone::Warn, Icon::TriangleAlert, "This client cannot be deleted yet.", &text))
        div.row { (button::link(Weight::Normal, None, "Back to the client", &paths::client(model.id))) }
    }
}
