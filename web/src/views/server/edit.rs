//! The form for a server's settings.

use maud::{Markup, html};
use shared::ids::ServerId;
use shared::names::ServerName;

use super::new::{Defaults, ServerForm, settings};
use crate::paths;
use crate::views::components::button::{self, Weight};
use crate::views::components::form_field::Field;
use crate::views::components::note;
use crate::views::layout::{self, Nav, Page, Viewer};
use crate::views::model::Errors;

/// The form's model.
#[derive(Debug, Clone)]
pub struct EditModel {
    /// The server.
    pub id: ServerId,
    /// Its name, which does not change.
    pub name: ServerName,
    /// What people call it, or its name.
    pub title: String,
    /// What is true of a server that is told nothing else.
    pub defaults: Defaults,
    /// What was typed, or the settings.
    pub form: ServerForm,
    /// What was wrong.
    pub errors: Errors,
}

/// The page.
#[must_use]
pub fn edit_page(viewer: &Viewer, model: &EditModel) -> Markup {
    let (form, errors) = (&model.form, &model.errors);
    let line =
        html! { "What runs on it keeps running, whatever you change here. Its name on the bus stays " span.mono { (model.name) } "." };
    let body = html! {
        (layout::page_head(&html! { "Settings of " (model.title) }, &line, &layout::nothing()))
        form.card method="post" action=(paths::server_edit(model.id)) {
            div.card-body.form {
                (note::form_errors(errors))
                (Field::text("hostname", "Hostname").value(&form.hostname).required().error(errors.get("hostname"))
                    .help("Full name, such as web5.example.com. Clients see it."))
                hr;
                (settings(form, &model.defaults, errors))
            }
            footer.card-foot {
                (button::submit(Weight::Primary, "Save changes"))
                (button::link(Weight::Normal, None, "Cancel", &paths::server(model.id)))
                (note::form_summary(errors))
            }
        }
    };
    let page = Page::new("Settings", Nav::Servers, body).below("Servers", paths::SERVERS).below(&model.title, paths::server(model.id));
    layout::page(viewer, &page)
}
