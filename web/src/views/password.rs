//! Change one's password. At the first sign-in it is asked for, and the only page there is.

use maud::{Markup, html};

use super::components::button::{self, Weight};
use super::components::form_field::Field;
use super::components::note;
use super::layout::{self, Nav, Page, Viewer};
use super::model::Errors;
use crate::paths;

/// The form.
#[derive(Debug, Clone, Default)]
pub struct Password {
    /// What one signs in with, so that a password manager knows whose password it is.
    pub login: String,
    /// Whether it has to be changed before anything else.
    pub forced: bool,
    /// The least number of characters.
    pub least: usize,
    /// What was wrong: fields `current`, `new`, `repeat`.
    pub errors: Errors,
}

/// The page.
#[must_use]
pub fn page(viewer: &Viewer, model: &Password) -> Markup {
    if model.forced {
        return layout::solo(viewer.theme, paths::PASSWORD, "Choose a password", &forced(model));
    }
    let body = html! {
        (layout::page_head(&html! { "Password" }, &html! { "Changing it signs out every other device." }, &layout::nothing()))
        form.card.is-narrow method="post" action=(paths::PASSWORD) {
            div.card-body.form { (fields(model)) }
            footer.card-foot { (button::submit(Weight::Primary, "Change password")) (note::form_summary(&model.errors)) }
        }
    };
    layout::page(viewer, &Page::new("Password", Nav::Password, body).below(viewer.home(), paths::HOME))
}

fn forced(model: &Password) -> Markup {
    html! {
        section.card {
            form.card-body.stack method="post" action=(paths::PASSWORD) {
                div { h1 { "Choose a password" } p.muted { "You signed in with a one-time password. Choose your own to go on." } }
                (fields(model))
                button class="btn is-primary is-lg is-block" type="submit" { "Save and go on" }
            }
        }
        form.row method="post" action=(paths::SIGN_OUT) { button class="btn is-quiet is-sm" type="submit" { "Sign out" } }
    }
}

fn fields(model: &Password) -> Markup {
    let help = format!("At least {} characters. A few words in a row are good.", model.least);
    let current = if model.forced { "One-time password" } else { "Current password" };
    html! {
        (note::form_errors(&model.errors))
        input type="text" name="login" value=(model.login) autocomplete="username" aria-label="Signs in as" readonly hidden;
        (Field::password("current", current).autocomplete("current-password").required().autofocus().error(model.errors.get("current")))
        (Field::password("new", "New password").autocomplete("new-password").required().help(&help).error(model.errors.get("new")))
        (Field::password("repeat", "New password again").autocomplete("new-password").required().error(model.errors.get("repeat")))
    }
}
