//! Sign in.

use maud::{Markup, html};

use super::components::badge::Tone;
use super::components::button::{self, Weight};
use super::components::form_field::Field;
use super::components::icon::Icon;
use super::components::note;
use super::layout::{self, Theme};
use super::model::Errors;
use crate::paths;

/// The form.
#[derive(Debug, Clone, Default)]
pub struct SignIn {
    /// The chosen theme.
    pub theme: Theme,
    /// This installation's name, such as its host name.
    pub panel: String,
    /// What was typed as the name.
    pub login: String,
    /// Where to go afterwards: a path of this panel.
    pub back: String,
    /// What was wrong. One sentence for the whole form: it does not tell which half was wrong.
    pub errors: Errors,
    /// A sentence on why one is here, such as `You have been signed out.`
    pub notice: Option<String>,
}

/// The page.
#[must_use]
pub fn page(model: &SignIn) -> Markup {
    let body = html! {
        section.card {
            form.card-body.stack method="post" action=(paths::SIGN_IN) {
                div { h1 { "Sign in" } p.muted { (model.panel) } }
                (note::form_errors(&model.errors))
                @if let Some(notice) = &model.notice { (note::note(Tone::Off, Icon::Info, notice, "")) }
                input type="hidden" name="back" value=(model.back);
                (Field::text("login", "Email or user name").value(&model.login).autocomplete("username").required().large()
                    .error(model.errors.get("login")).focus_if(model.login.is_empty()))
                (Field::password("password", "Password").autocomplete("current-password").required().large()
                    .error(model.errors.get("password")).focus_if(!model.login.is_empty()))
                button class="btn is-primary is-lg is-block" type="submit" { "Sign in" }
            }
            footer.card-foot { (Icon::LockKeyhole) span.grow { "Forgotten your password? Your hosting company can set a new one." } }
        }
    };
    layout::solo(model.theme, paths::SIGN_IN, "Sign in", &body)
}

/// The question before signing out, for a browser that came here by a link.
#[must_use]
pub fn sign_out_page(theme: Theme) -> Markup {
    let body = html! {
        section.card {
            form.card-body.stack method="post" action=(paths::SIGN_OUT) {
                div { h1 { "Sign out" } p.muted { "You can sign in again at any time." } }
                div.row { (button::submit(Weight::Primary, "Sign out")) (button::link(Weight::Normal, None, "Stay", paths::HOME)) }
            }
        }
    };
    layout::solo(theme, paths::SIGN_OUT, "Sign out", &body)
}
