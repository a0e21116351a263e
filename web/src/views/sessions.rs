//! One's signed-in devices.

use jiff::Timestamp;
use maud::{Markup, html};

use super::components::button::{self, Size};
use super::components::icon::Icon;
use super::components::table::{Column, table};
use super::components::toast::Toast;
use super::components::{stat, time};
use super::layout::{self, Nav, Page, Viewer};
use crate::paths;

/// The page's model.
#[derive(Debug, Clone, Default)]
pub struct Sessions {
    /// Every session that has not ended, newest first.
    pub rows: Vec<Session>,
    /// A message.
    pub toast: Option<Toast>,
}

/// One session.
#[derive(Debug, Clone)]
pub struct Session {
    /// What the form sends to end it. Not the token.
    pub handle: String,
    /// The browser and system in words, such as `Firefox on Linux`.
    pub device: String,
    /// The address it was used from.
    pub address: String,
    /// When it began.
    pub signed_in_at: Timestamp,
    /// When it was used last.
    pub seen_at: Timestamp,
    /// Whether it is this one.
    pub is_this: bool,
}

const COLUMNS: &[Column] =
    &[Column::new("Device").class("main"), Column::new("Address"), Column::new("Signed in"), Column::new("Last used"), Column::actions()];

/// The page.
#[must_use]
pub fn page(viewer: &Viewer, model: &Sessions) -> Markup {
    let others = model.rows.iter().filter(|row| !row.is_this).count();
    let line = html! { "Where you are signed in right now: " (stat::counted(model.rows.len() as u64, "device", "devices")) "." };
    let actions =
        html! { @if others > 0 { (button::post(Size::Normal, Icon::LogOut, "Sign out everywhere else", paths::SESSIONS_END_OTHERS)) } };
    let rows = html! { @for session in &model.rows { (row(viewer, session)) } };
    let body = html! {
        (layout::page_head(&html! { "Signed-in devices" }, &line, &actions))
        section.card {
            (table("Signed-in devices", COLUMNS, None, &rows))
            footer.card-foot { "A device you do not know? Sign it out, then change your password." }
        }
    };
    let page = Page::new("Signed-in devices", Nav::Sessions, body).below(viewer.home(), paths::HOME).toast(model.toast.clone());
    layout::page(viewer, &page)
}

fn row(viewer: &Viewer, session: &Session) -> Markup {
    html! {
        tbody {
            tr {
                td.main { span.name { (session.device) } @if session.is_this { " " span.chip { "This device" } } }
                td data-label="Address" { span.mono { (session.address) } }
                td data-label="Signed in" { (time::ago(session.signed_in_at, viewer.now)) }
                td data-label="Last used" { (time::ago(session.seen_at, viewer.now)) }
                td.act {
                    @if !session.is_this {
                        form method="post" action=(paths::SESSION_END) {
                            input type="hidden" name="session" value=(session.handle);
                            button class="btn is-sm" type="submit" { "Sign out" span.sr { " " (session.device) } }
                        }
                    }
                }
            }
        }
    }
}
