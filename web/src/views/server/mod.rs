//! Servers: the machines that sites live on.

mod delete;
mod edit;
mod facts;
mod health;
mod list;
mod load;
mod new;
mod overview;
mod rejoin;
mod rollout;
mod show;
mod shut_out;

use jiff::Timestamp;
use maud::{Markup, html};
use shared::ids::ServerId;
use shared::names::ServerName;
use shared::role::Role;

pub use delete::{DeleteModel, delete_page};
pub use edit::{EditModel, edit_page};
pub use health::Health;
pub use list::{Counts, ListModel, container, container_id, list_page, parts, rows};
pub use load::{History, Span};
pub use new::{Defaults, EnrolModel, NewModel, ServerForm, enrol_fragment, enrol_page, new_page};
pub use overview::{row_fragment, table_of};
pub use rejoin::{RejoinModel, rejoin_page};
pub use rollout::{Hold, LeftOut, Rollout, RolloutModel, RolloutRow, RolloutRowState, Tally, rollout_fragments, rollout_page};
pub use show::{ShowModel, Update, show_fragments, show_page};
pub use shut_out::{ShutOutModel, shut_out_page};

use super::components::badge::{self, Tone};
use super::components::icon::Icon;
use super::components::menu::Item;
use super::components::stat::count;
use super::components::{time, usage};
use crate::paths;

/// Whether a server's worker answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reach {
    /// It does.
    Online {
        /// Its last heartbeat.
        seen_at: Timestamp,
    },
    /// It did.
    Offline {
        /// Since when it does not.
        since: Timestamp,
    },
    /// Its worker was shut out, and none has joined since.
    ShutOut {
        /// Since when.
        since: Timestamp,
    },
    /// Its worker has not called yet.
    WaitingToEnrol {
        /// When its token ends; past: it needs a new one.
        token_expires_at: Timestamp,
    },
}

/// One server, in lists.
#[derive(Debug, Clone)]
pub struct Row {
    /// Its id.
    pub id: ServerId,
    /// Its name.
    pub name: ServerName,
    /// What people call it, if not by its name.
    pub label: Option<String>,
    /// Its host name.
    pub hostname: String,
    /// What it does.
    pub roles: Vec<Role>,
    /// How many accounts it has.
    pub accounts: u64,
    /// How many it may have.
    pub max_accounts: Option<u64>,
    /// Its worker's version, once it has called.
    pub version: Option<String>,
    /// Whether the panel carries a newer version of the worker.
    pub update: bool,
    /// Where its worker's connection comes from, once it has connected.
    pub peer: Option<String>,
    /// Whether it answers.
    pub reach: Reach,
    /// Whether it takes new accounts.
    pub active: bool,
    /// Its load, if it answers.
    pub load: Option<Load>,
    /// Jobs that wait for it.
    pub jobs_waiting: u64,
    /// Since when nothing new is sent to it, if so.
    pub paused_since: Option<Timestamp>,
    /// The roles that it has and whose daemons do not run, if it answers.
    pub ailing: Vec<Role>,
}

impl Row {
    /// What people call it: its label, or its name.
    #[must_use]
    pub fn title(&self) -> &str {
        self.label.as_deref().unwrap_or(self.name.as_str())
    }
}

/// What a list of servers can be narrowed to besides who answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mark {
    /// The daemons of a role do not run.
    Unhealthy,
    /// Nothing new is sent to it.
    Paused,
    /// The panel carries a newer worker.
    Update,
    /// It takes no new accounts.
    Drained,
}

impl Mark {
    /// All of them, in the order in which pages show them.
    pub const ALL: [Self; 4] = [Self::Unhealthy, Self::Paused, Self::Update, Self::Drained];

    /// The spelling in addresses.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Unhealthy => "unhealthy",
            Self::Paused => "paused",
            Self::Update => "update",
            Self::Drained => "drained",
        }
    }

    /// By its spelling in an address.
    #[must_use]
    pub fn of(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|mark| mark.as_str() == text)
    }

    const fn label(self) -> &'static str {
        match self {
            Self::Unhealthy => "Not healthy",
            Self::Paused => "Paused",
            Self::Update => "Update available",
            Self::Drained => "Not active",
        }
    }

    /// The list of the servers that bear it.
    #[must_use]
    pub fn list(self) -> String {
        paths::with_query(paths::SERVERS, [("mark", self.as_str())])
    }
}

/// What a heartbeat says of a machine.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Load {
    /// Load average over one minute.
    pub load1: f64,
    /// Processors.
    pub cpus: u32,
    /// Memory in use, MiB.
    pub memory_used_mib: u64,
    /// Memory, MiB.
    pub memory_mib: u64,
    /// Disk in use, MiB.
    pub disk_used_mib: u64,
    /// Disk, MiB.
    pub disk_mib: u64,
}

/// The DOM id of a server's row.
#[must_use]
pub fn row_id(id: ServerId) -> String {
    format!("server-{id}")
}

/// Whether it answers, as a word with its mark. Fine is quiet: only trouble gets a badge.
#[must_use]
pub fn reach(reach: Reach, jobs_waiting: u64, now: Timestamp) -> Markup {
    html! {
        @match reach {
            Reach::Online { seen_at } => {
                span.status data-state=(Tone::Ok) { span.dot.is-live {} "Online" }
                small { (time::ago(seen_at, now)) @if jobs_waiting > 0 { ", " (count(jobs_waiting)) " waiting" } }
            }
            Reach::Offline { since } => {
                (badge::OFFLINE)
                small { "since " (time::clock(since, now)) @if jobs_waiting > 0 { ", " (count(jobs_waiting)) " waiting" } }
            }
            Reach::ShutOut { since } => {
                (badge::SHUT_OUT)
                small { "since " (time::clock(since, now)) @if jobs_waiting > 0 { ", " (count(jobs_waiting)) " waiting" } }
            }
            Reach::WaitingToEnrol { token_expires_at } => {
                (badge::WAITING_TO_ENROL)
                small { @if token_expires_at > now { "token ends " (time::until_text(token_expires_at, now)) } @else { "token has ended" } }
            }
        }
    }
}

/// The name as lists link it: what people call it, and the name on the bus below.
#[must_use]
pub fn named(row: &Row) -> Markup {
    html! {
        a.name href=(paths::server(row.id)) { (row.title()) }
        @if row.label.is_some() { small.mono { (row.name) } }
    }
}

/// What is wrong with a server that answers, beside that it does.
#[must_use]
pub fn ailing(row: &Row) -> Markup {
    html! {
        @if !row.ailing.is_empty() {
            " " a.chip href=(paths::server(row.id)) {
                span.bad { @for (at, role) in row.ailing.iter().enumerate() { @if at > 0 { ", " } (role) } " not working" }
            }
        }
    }
}

/// The roles as chips.
#[must_use]
pub fn roles(roles: &[Role]) -> Markup {
    html! { span class="row is-roles" { @for role in roles { span.chip { (role) } } } }
}

/// Accounts against their limit.
#[must_use]
pub fn accounts(row: &Row) -> Markup {
    html! {
        span.cap {
            span { (count(row.accounts)) @if let Some(most) = row.max_accounts { span.muted { " / " (count(most)) } } }
            @if let Some(most) = row.max_accounts {
                (usage::bar(&format!("Accounts on {}", row.name), row.accounts, most, &format!("{} of {most}", row.accounts)))
            }
        }
    }
}

/// What ends a server, or its worker's time as it.
fn endings(row: &Row) -> Vec<Item> {
    let joined = matches!(row.reach, Reach::Online { .. } | Reach::Offline { .. });
    let shut_out = joined.then(|| Item::danger(Icon::Unplug, "Shut out worker", paths::server_shut_out(row.id)));
    shut_out.into_iter().chain([Item::danger(Icon::Trash, "Delete server", paths::server_delete(row.id))]).collect()
}
