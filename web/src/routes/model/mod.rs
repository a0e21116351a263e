//! Page models: what the tables say, as one viewer may see it.
//!
//! **The page and its live stream call the same function**, so neither shows a second truth. Permissions are decided
//! here, never in views.

pub mod account;
pub mod audit;
pub mod client;
pub mod drift;
pub mod home;
pub mod live;
pub mod operation;
pub mod operation_record;
pub mod queue;
pub mod rollout;
pub mod search;
pub mod security;
pub mod server;
pub mod server_form;
pub mod server_list;
pub mod sftp;
pub mod site;
pub mod suspend;

use jiff::Timestamp;
use serde::Deserialize;

use shared::jobs::{Generation, ResourceKey};

use crate::app::FieldErrors;
use crate::auth::token::token_new;
use crate::extract::SignedIn;
use crate::paths;
use crate::store::list::{Direction, GroupCounts, Paging};
use crate::views::components::toolbar::StateCounts;
use crate::views::listing::Listing;
use crate::views::model::{Errors, FormKey};

/// Rows per page of every list.
pub const PER_PAGE: u64 = 50;
/// Rows of short lists inside other pages.
pub const FEED: i64 = 8;

/// What the address of a list says.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash, Deserialize)]
#[serde(default)]
pub struct ListQuery {
    /// Search text.
    pub q: String,
    /// Filter.
    pub state: String,
    /// Column.
    pub sort: String,
    /// `desc` or nothing.
    pub dir: String,
    /// From 1; anything else is 1.
    pub page: String,
    /// A server's name, where a list has that filter.
    pub server: String,
    /// A role, where a list has that filter.
    pub role: String,
    /// A kind of resource, where a list has that filter.
    pub kind: String,
    /// A mark, in the list of servers.
    pub mark: String,
    /// A person, in the audit log.
    pub who: String,
    /// An action, in the audit log.
    pub action: String,
    /// What it was done to, in the audit log.
    pub object: String,
}

impl ListQuery {
    fn number(&self) -> u64 {
        self.page.parse().unwrap_or(1).clamp(1, 1_000_000)
    }

    fn paging(&self) -> Paging {
        self.paging_by(PER_PAGE)
    }

    /// Of a list with so many rows per page.
    fn paging_by(&self, per_page: u64) -> Paging {
        Paging::page(signed(self.number()), signed(per_page))
    }

    /// The direction of the chosen column; of a list's own order, `otherwise`.
    fn direction(&self, otherwise: Direction) -> Direction {
        if self.sort.is_empty() {
            otherwise
        } else if self.dir == "desc" {
            Direction::Descending
        } else {
            Direction::Ascending
        }
    }

    fn listing(&self, path: &str, total: i64) -> Listing {
        let extra = [
            ("server", &self.server),
            ("role", &self.role),
            ("kind", &self.kind),
            ("mark", &self.mark),
            ("who", &self.who),
            ("action", &self.action),
            ("object", &self.object),
        ];
        Listing {
            q: self.q.chars().take(200).collect(),
            state: self.state.clone(),
            sort: self.sort.clone(),
            descending: self.dir == "desc",
            page: self.number(),
            extra: extra.into_iter().filter(|(_, value)| !value.is_empty()).map(|(key, value)| (key.to_owned(), value.clone())).collect(),
            ..Listing::new(path, PER_PAGE, count(total))
        }
    }
}

/// A count of the database, which is never negative.
#[must_use]
pub fn count(value: i64) -> u64 {
    u64::try_from(value).unwrap_or(0)
}

/// The counts of filters by state.
#[must_use]
pub fn state_counts(counts: GroupCounts) -> StateCounts {
    StateCounts {
        all: count(counts.all),
        active: count(counts.active),
        busy: count(counts.busy),
        failed: count(counts.failed),
        suspended: count(counts.suspended),
    }
}

fn signed(value: u64) -> i64 {
    i64::try_from(value).unwrap_or(i64::MAX)
}

/// A stored moment.
#[must_use]
pub fn at(ms: i64) -> Timestamp {
    Timestamp::from_millisecond(ms).unwrap_or(Timestamp::UNIX_EPOCH)
}

/// The address of a page's live stream.
#[must_use]
pub fn live_url(signed_in: &SignedIn) -> Option<String> {
    Some(paths::with_query(paths::LIVE, [("page", signed_in.viewer.here.as_str())]))
}

/// The key of a form on a page that is rendered once.
#[must_use]
pub fn form_key() -> FormKey {
    FormKey::new(token_new().expose().as_str())
}

/// The key of a button in a live part, or of a question about one state: every press in one state of the resource is the same request. Every change makes a
/// new generation, so the key changes with it.
#[must_use]
pub fn press_key(resource: ResourceKey, generation: Generation) -> FormKey {
    FormKey::new(format!("{resource}.{}", generation.0))
}

/// A use case's refusals, as forms show them.
#[must_use]
pub fn errors(refused: &FieldErrors) -> Errors {
    let mut errors = Errors::default();
    for (field, message) in refused.iter() {
        errors.add(field, message);
    }
    errors
}
