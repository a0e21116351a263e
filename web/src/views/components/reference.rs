//! Links to what a page mentions, where the viewer may follow them.

use maud::{Markup, html};

use crate::paths;
use crate::views::model::{AccountRef, PersonRef, ServerRef};

/// An account.
#[must_use]
pub fn account(account: &AccountRef) -> Markup {
    html! { a.inline-link href=(paths::account(account.id)) { (account.user) } }
}

/// A server.
#[must_use]
pub fn server(server: &ServerRef) -> Markup {
    html! { @if let Some(id) = server.id { a.inline-link href=(paths::server(id)) { (server.name) } } @else { (server.name) } }
}

/// What was done to a thing, by its name. For admins.
#[must_use]
pub fn audit(object: &str) -> Markup {
    html! { a.inline-link href=(paths::audit_of(object)) { "What was done to it" } }
}

/// A person.
#[must_use]
pub fn person(person: &PersonRef) -> Markup {
    html! { @if let Some(id) = person.id { a.inline-link href=(paths::client(id)) { (person.name) } } @else { (person.name) } }
}
