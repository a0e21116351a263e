//! What a search over everything found.

use maud::{Markup, html};

use super::components::empty_state;
use super::components::icon::Icon;
use super::layout::{self, Nav, Page, Viewer};
use crate::paths;

/// What kind of thing was found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HitKind {
    /// A site.
    Site,
    /// An account.
    Account,
    /// A client.
    Client,
    /// A server.
    Server,
    /// An operation.
    Operation,
    /// A page or an action of the panel.
    Page,
}

impl HitKind {
    const ALL: [Self; 6] = [Self::Site, Self::Account, Self::Client, Self::Server, Self::Operation, Self::Page];

    const fn title(self) -> &'static str {
        match self {
            Self::Site => "Sites",
            Self::Account => "Accounts",
            Self::Client => "Clients",
            Self::Server => "Servers",
            Self::Operation => "Operations",
            Self::Page => "Pages and actions",
        }
    }

    const fn icon(self) -> Icon {
        match self {
            Self::Site => Icon::Globe,
            Self::Account => Icon::FolderKey,
            Self::Client => Icon::UserRound,
            Self::Server => Icon::Server,
            Self::Operation => Icon::ListChecks,
            Self::Page => Icon::Search,
        }
    }
}

/// One thing found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hit {
    /// What kind of thing.
    pub kind: HitKind,
    /// Its name.
    pub label: String,
    /// What tells it from others of its name, such as its server.
    pub note: String,
    /// Where it is.
    pub href: String,
}

/// The page's model.
#[derive(Debug, Clone, Default)]
pub struct Search {
    /// What was searched for.
    pub q: String,
    /// What was found, best first in each kind.
    pub hits: Vec<Hit>,
}

/// The page.
#[must_use]
pub fn page(viewer: &Viewer, model: &Search) -> Markup {
    let line = html! { @if model.q.is_empty() { "Sites, accounts, servers, pages and actions." } @else { "For " b.strong { (model.q) } } };
    let body = html! {
        (layout::page_head(&html! { "Search" }, &line, &layout::nothing()))
        form class="search is-lg" role="search" method="get" action=(paths::SEARCH) {
            (Icon::Search)
            input #q type="search" name="q" value=(model.q) aria-label="Search everything" autofocus[model.q.is_empty()];
        }
        @if model.hits.is_empty() && !model.q.is_empty() {
            section.card { (empty_state::empty_state(Icon::Search, "Nothing found", "Try a part of a domain, a user name or a server's name.", &layout::nothing())) }
        }
        @for kind in HitKind::ALL { (group(model, kind)) }
    };
    layout::page(viewer, &Page::new("Search", Nav::Nowhere, body).below(viewer.home(), paths::HOME))
}

fn group(model: &Search, kind: HitKind) -> Markup {
    let hits: Vec<&Hit> = model.hits.iter().filter(|hit| hit.kind == kind).collect();
    html! {
        @if !hits.is_empty() {
            section.card.results {
                header.card-head { h2 { (kind.title()) } }
                ul { @for hit in hits { li { a.result href=(hit.href) { (kind.icon()) span { (hit.label) } small { (hit.note) } } } } }
            }
        }
    }
}
