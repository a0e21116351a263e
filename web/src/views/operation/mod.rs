//! Operations: what was asked for, and what came of it.

mod list;
mod record;
mod retry;
mod show;

use jiff::Timestamp;
use maud::{Markup, html};
use shared::ids::{AccountId, OperationId, ServerId, SiteId};
use shared::operation::OperationState;

pub use list::{Counts, ListModel, container, container_id, fragments, list_page, row_fragment};
pub use record::Attempt;
pub use retry::{RetryModel, retry_page};
pub use show::{JobBlock, ShowModel, Unreadable, show_fragments, show_page};

use super::components::badge::{self, Badge, Tone};
use super::components::icon::Icon;
use super::components::time;
use super::model::{Failure, Progress, ServerRef, Waiting};
use crate::paths;

/// What an operation is about, if the viewer may open it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Subject {
    /// A site.
    Site(SiteId),
    /// An account.
    Account(AccountId),
    /// A server.
    Server(ServerId),
    /// Nothing that has a page, or has one no more.
    Gone,
}

impl Subject {
    /// Its page.
    #[must_use]
    pub fn path(self) -> Option<String> {
        match self {
            Self::Site(id) => Some(paths::site(id)),
            Self::Account(id) => Some(paths::account(id)),
            Self::Server(id) => Some(paths::server(id)),
            Self::Gone => None,
        }
    }
}

/// One operation, in lists.
#[derive(Debug, Clone)]
pub struct Row {
    /// Its id.
    pub id: OperationId,
    /// What was asked for, such as `Create site`.
    pub action: String,
    /// Of what, such as `shop.example`.
    pub name: String,
    /// What that is.
    pub subject: Subject,
    /// Where it stands.
    pub state: OperationState,
    /// Who asked.
    pub asked_by: String,
    /// When.
    pub asked_at: Timestamp,
    /// How long it took from the request to the outcome, if it has ended.
    pub took_ms: Option<u64>,
    /// Where it runs.
    pub server: Option<ServerRef>,
    /// Why it has not begun.
    pub waiting: Option<Waiting>,
    /// The steps, while it works.
    pub progress: Option<Progress>,
    /// Why it failed.
    pub failure: Option<Failure>,
}

impl Row {
    /// Its badge: rolled back is said in its own word.
    #[must_use]
    pub fn badge(&self) -> Badge {
        let rolled_back = self.failure.as_ref().is_some_and(|failure| failure.effect == shared::failure::Effect::RolledBack);
        if self.state == OperationState::Failed && rolled_back {
            return Badge { tone: Tone::Bad, icon: Icon::Undo, label: "Rolled back" };
        }
        if self.state == OperationState::Working && self.waiting.is_some() {
            return badge::WAITING;
        }
        badge::operation(self.state)
    }

    /// Whether it is not over.
    #[must_use]
    pub fn is_busy(&self) -> bool {
        !self.state.has_ended()
    }
}

/// The DOM id of an operation's row.
#[must_use]
pub fn row_id(id: OperationId) -> String {
    format!("operation-{id}")
}

/// A feed of operations: the newest of a site, an account, a server or the fleet.
#[must_use]
pub fn feed(id: &str, title: &str, rows: &[Row], all: Option<&str>, now: Timestamp) -> Markup {
    html! {
        section.card #(id) {
            header.card-head { h2 { (title) } @if let Some(all) = all { a.small.inline-link href=(all) { "All" } } }
            @if rows.is_empty() {
                div.card-body { p.muted.small { "Nothing yet." } }
            } @else {
                ul.feed { @for row in rows { (feed_line(row, now)) } }
            }
        }
    }
}

fn feed_line(row: &Row, now: Timestamp) -> Markup {
    let badge = row.badge();
    html! {
        li data-state=(badge.tone) {
            @if badge.tone == Tone::Work { (badge.icon.spinning()) } @else { (badge.icon) }
            span.grow {
                a href=(paths::operation(row.id)) { (row.action) " " span.strong { (row.name) } }
                br;
                small { (badge.label) @if let Some(ms) = row.took_ms { " in " (time::duration_ms(ms)) } ", " (time::ago(row.asked_at, now)) }
            }
        }
    }
}
