//! The frame around every page: sidebar, top bar, live stream; or a lone card for somebody who is not signed in.

use jiff::Timestamp;
use maud::{DOCTYPE, Markup, html};

use super::assets;
use super::components::icon::Icon;
use super::components::menu::{self, Item};
use super::components::toast::{Toast, toasts};
pub use super::nav::Nav;
use super::nav::sidebar;
use crate::paths;

/// Which pages somebody has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Audience {
    /// Runs the fleet.
    Admin,
    /// Has sites of their own.
    Client,
}

/// The chosen theme.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Theme {
    /// As the browser says.
    #[default]
    System,
    /// Light.
    Light,
    /// Dark.
    Dark,
}

impl Theme {
    /// All themes.
    pub const ALL: [Self; 3] = [Self::System, Self::Light, Self::Dark];

    /// The spelling in the form and the cookie.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::System => "system",
            Self::Light => "light",
            Self::Dark => "dark",
        }
    }

    /// Reads a cookie or a form; anything unknown is the system's theme.
    #[must_use]
    pub fn of(text: &str) -> Self {
        Self::ALL.into_iter().find(|theme| theme.as_str() == text).unwrap_or_default()
    }

    const fn attribute(self) -> Option<&'static str> {
        match self {
            Self::System => None,
            Self::Light | Self::Dark => Some(self.as_str()),
        }
    }

    const fn icon(self) -> Icon {
        match self {
            Self::System => Icon::Monitor,
            Self::Light => Icon::Sun,
            Self::Dark => Icon::Moon,
        }
    }

    const fn label(self) -> &'static str {
        match self {
            Self::System => "System theme",
            Self::Light => "Light theme",
            Self::Dark => "Dark theme",
        }
    }
}

/// Who looks at the page, and how they like it.
#[derive(Debug, Clone)]
pub struct Viewer {
    /// Their name.
    pub name: String,
    /// Which pages they have.
    pub audience: Audience,
    /// Their theme.
    pub theme: Theme,
    /// Whether their sidebar is collapsed to icons.
    pub nav_mini: bool,
    /// This page's path and query: where the theme and sidebar switches return to.
    pub here: String,
    /// What time it is.
    pub now: Timestamp,
    /// Operations that failed and want a decision, shown beside the navigation.
    pub failed_operations: u64,
}

impl Viewer {
    /// What their first page is called, in the navigation and above other pages.
    #[must_use]
    pub const fn home(&self) -> &'static str {
        match self.audience {
            Audience::Admin => "Overview",
            Audience::Client => "Home",
        }
    }
}

/// A page inside the frame.
#[derive(Debug, Clone)]
pub struct Page {
    /// Its title, for the browser's tab.
    pub title: String,
    /// The pages above it with their paths, from home; its own name comes last by itself.
    pub crumbs: Vec<(String, String)>,
    /// The navigation entry it belongs to.
    pub nav: Nav,
    /// The address of its live stream.
    pub live: Option<String>,
    /// Whether something is under way, so that a browser without scripts loads the page again by itself.
    pub refresh: bool,
    /// A short message about what was just asked for.
    pub toast: Option<Toast>,
    /// What is inside `<main>`.
    pub body: Markup,
}

impl Page {
    /// A page without crumbs above, stream or message.
    #[must_use]
    pub fn new(title: impl Into<String>, nav: Nav, body: Markup) -> Self {
        Self { title: title.into(), crumbs: Vec::new(), nav, live: None, refresh: false, toast: None, body }
    }

    /// The page below another one.
    #[must_use]
    pub fn below(mut self, label: impl Into<String>, path: impl Into<String>) -> Self {
        self.crumbs.push((label.into(), path.into()));
        self
    }

    /// The page with its live stream. `busy`: whether something on it is under way.
    #[must_use]
    pub fn live(mut self, url: Option<&str>, busy: bool) -> Self {
        self.live = url.map(str::to_owned);
        self.refresh = busy;
        self
    }

    /// The page with a message.
    #[must_use]
    pub fn toast(mut self, toast: Option<Toast>) -> Self {
        self.toast = toast;
        self
    }
}

/// The whole document of a page for somebody signed in.
#[must_use]
pub fn page(viewer: &Viewer, page: &Page) -> Markup {
    let mini = viewer.nav_mini.then_some("mini");
    html! {
        (DOCTYPE)
        html lang="en" data-theme=[viewer.theme.attribute()] data-now=(viewer.now.strftime("%Y-%m-%dT%H:%M:%SZ")) {
            (head(&page.title, page.refresh))
            body {
                a.skip href="#main" { "Skip to content" }
                div.shell data-nav=[mini] {
                    (sidebar(viewer, page.nav))
                    div.frame {
                        (topbar(viewer, page))
                        main.page #main { (page.body) }
                    }
                }
                (toasts(page.toast.as_ref()))
                @if let Some(url) = &page.live { div #live hx-sse:connect=(url) hx-swap="none" {} }
            }
        }
    }
}

/// The whole document of a page with one card, for somebody who is not signed in or has nothing else to do.
#[must_use]
pub fn solo(theme: Theme, here: &str, title: &str, body: &Markup) -> Markup {
    html! {
        (DOCTYPE)
        html lang="en" data-theme=[theme.attribute()] {
            (head(title, false))
            body {
                main.solo #main {
                    a.brand href=(paths::HOME) { (Icon::Gantry) "Gantry" }
                    (body)
                    div.row.is-between { small { "Web hosting, live" } (theme_switch(theme, here)) }
                }
            }
        }
    }
}

fn head(title: &str, refresh: bool) -> Markup {
    html! {
        head {
            meta charset="utf-8";
            meta name="viewport" content="width=device-width, initial-scale=1";
            title { (title) " · Gantry" }
            link rel="icon" href=(assets::FAVICON) type="image/svg+xml";
            link rel="stylesheet" href=(assets::CSS);
            // Not deferred: a deferred htmx sets the page up as soon as it runs, perhaps before its extension is there, and
            // then no stream is ever opened. From here it waits until the document is complete.
            script src=(assets::HTMX) {}
            script src=(assets::HTMX_SSE) defer {}
            script src=(assets::JS) defer {}
            @if refresh { noscript { meta http-equiv="refresh" content="2"; } }
        }
    }
}

fn topbar(viewer: &Viewer, page: &Page) -> Markup {
    html! {
        header.topbar {
            button class="btn is-quiet is-icon menu-btn" type="button" popovertarget="sidebar" aria-label="Menu" { (Icon::Menu) }
            (crumbs(page))
            div.topbar-end {
                span.reconnecting role="status" data-reconnecting hidden { (Icon::Unplug) "Reconnecting" }
                form.search role="search" method="get" action=(paths::SEARCH) {
                    (Icon::Search)
                    input type="search" name="q" placeholder="Search" aria-label="Search everything" data-search;
                    kbd { "/" }
                }
                (theme_switch(viewer.theme, &viewer.here))
                (person_menu(viewer))
            }
        }
    }
}

fn crumbs(page: &Page) -> Markup {
    html! {
        nav.crumbs aria-label="Breadcrumb" {
            ol {
                @for (label, path) in &page.crumbs { li { a href=(path) { (label) } } }
                li { span aria-current="page" { (page.title) } }
            }
        }
    }
}

pub(super) fn theme_switch(theme: Theme, here: &str) -> Markup {
    html! {
        form.theme-switch method="post" action=(paths::THEME) data-theme-form {
            input type="hidden" name="back" value=(here);
            @for choice in Theme::ALL {
                button type="submit" name="theme" value=(choice.as_str()) title=(choice.label()) aria-label=(choice.label())
                    aria-pressed=(choice == theme) { (choice.icon()) }
            }
        }
    }
}

fn person_menu(viewer: &Viewer) -> Markup {
    let items = [
        Item::link(Icon::KeyRound, "Change password", paths::PASSWORD.to_owned()),
        Item::link(Icon::MonitorSmartphone, "Signed-in devices", paths::SESSIONS.to_owned()),
        Item::Divider,
        Item::post(Icon::LogOut, "Sign out", paths::SIGN_OUT.to_owned()),
    ];
    html! {
        button class="btn is-quiet is-icon" type="button" popovertarget="person" aria-label={ (viewer.name) ", menu" } {
            span.avatar aria-hidden="true" { (initials(&viewer.name)) }
        }
        form.menu #person popover method="post" {
            p.menu-head { b { (viewer.name) } small { @match viewer.audience { Audience::Admin => "Administrator", Audience::Client => "Client" } } }
            hr;
            (menu::entries(&items))
        }
    }
}

/// The first letters of the first and the last word of a name.
fn initials(name: &str) -> String {
    let mut words = name.split_whitespace();
    let first = words.next().and_then(|word| word.chars().next());
    let last = words.next_back().and_then(|word| word.chars().next());
    first.into_iter().chain(last).flat_map(char::to_uppercase).collect()
}

/// The head of a page: its title, one line of explanation, the actions at the right.
#[must_use]
pub fn page_head(title: &Markup, line: &Markup, actions: &Markup) -> Markup {
    html! {
        header.page-head {
            div { h1 { (title) } p { (line) } }
            @if !actions.0.is_empty() { div.row { (actions) } }
        }
    }
}

/// Nothing, where a slot wants markup.
#[must_use]
pub fn nothing() -> Markup {
    html! {}
}
