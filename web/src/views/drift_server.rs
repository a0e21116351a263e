//! The drift of one server: all of it, page by page.

use jiff::Timestamp;
use maud::{Markup, html};

use super::components::button::{self, Weight};
use super::components::icon::Icon;
use super::components::toast::Toast;
use super::components::toolbar::toolbar;
use super::components::{empty_state, pager};
use super::drift::{ServerDrift, as_applied, card, rows};
use super::fragment::Fragment;
use super::layout::{self, Nav, Page, Viewer};
use super::listing::Listing;
use crate::paths;

/// The page's model.
#[derive(Debug, Clone)]
pub struct DriftServerModel {
    /// What time it is.
    pub now: Timestamp,
    /// The server, with this page's drifted resources.
    pub server: ServerDrift,
    /// What is shown.
    pub listing: Listing,
    /// The live stream.
    pub live: Option<String>,
    /// A message.
    pub toast: Option<Toast>,
}

const LIST: &str = "server-drift-list";

/// The page.
#[must_use]
pub fn page(viewer: &Viewer, model: &DriftServerModel) -> Markup {
    let title = format!("Drift of {}", model.server.server.name);
    let line = html! { "All that somebody changed by hand on this server, longest ago first: with −, what is there now; with +, what Repair puts back." };
    let body = html! {
        (layout::page_head(&html! { (title) }, &line, &layout::nothing()))
        section.card { (toolbar(&model.listing, &[], &[], "Search user or domain")) }
        (list(model).html)
    };
    let page =
        Page::new(title, Nav::Drift, body).below("Drift", paths::DRIFT).live(model.live.as_deref(), false).toast(model.toast.clone());
    layout::page(viewer, &page)
}

/// The parts that change while the page is open.
#[must_use]
pub fn fragments(model: &DriftServerModel) -> Vec<Fragment> {
    vec![list(model)]
}

fn list(model: &DriftServerModel) -> Fragment {
    let drifted = html! {
        @if model.server.drifted.is_empty() { (nothing(model)) } @else { (rows(&model.server.drifted, model.now)) }
    };
    let html = html! {
        div.stack #(LIST) {
            (card(&model.server, model.now, &model.listing.url(), &drifted))
            @if model.listing.pages() > 1 { section.card { (pager::pager(&model.listing)) } }
        }
    };
    Fragment::new(LIST, html)
}

/// Why this page lists nothing.
fn nothing(model: &DriftServerModel) -> Markup {
    if model.listing.total > 0 {
        let first = button::link(Weight::Normal, None, "First page", &model.listing.with_page(1));
        return empty_state::empty_state(
            Icon::FileCode,
            "Nothing is left on this page",
            "What has drifted is on the pages before it.",
            &first,
        );
    }
    if model.listing.is_narrowed() {
        return empty_state::nothing_found("drifted resources", &model.listing.cleared());
    }
    if model.server.looked.is_none() {
        let text = "A server is compared from the moment it has joined.";
        return empty_state::empty_state(Icon::FileCode, "Not compared yet", text, &layout::nothing());
    }
    empty_state::empty_state(Icon::FileCode, "Nothing has drifted", as_applied(&model.server), &layout::nothing())
}
