//! Clients: the people who sign in.

mod list;
mod show;

use jiff::Timestamp;
use shared::ids::UserId;

pub use list::{Counts, ListModel, container, container_id, fragments, list_page, row_fragment};
pub use show::{ClientForm, DeleteModel, NewModel, OneTimePassword, ShowModel, delete_page, new_page, show_page};

use super::components::badge::{Badge, Tone};
use super::components::icon::Icon;
use super::components::menu::Item;
use super::layout::Audience;
use crate::paths;

/// One client, in lists.
#[derive(Debug, Clone)]
pub struct Row {
    /// Their id.
    pub id: UserId,
    /// Their name.
    pub name: String,
    /// What they sign in with: an email address or a user name.
    pub login: String,
    /// Whether they are an admin.
    pub audience: Audience,
    /// Whether they may sign in.
    pub suspended: bool,
    /// How many accounts they own.
    pub accounts: u64,
    /// How many sites those have.
    pub sites: u64,
    /// When they were here last.
    pub seen_at: Option<Timestamp>,
    /// What the viewer may do with them.
    pub can: Can,
}

/// What may be done with a client by this viewer.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Can {
    /// Suspend them.
    pub suspend: bool,
    /// Let them in again.
    pub unsuspend: bool,
    /// Give them a new one-time password.
    pub reset_password: bool,
    /// Delete them.
    pub delete: bool,
}

impl Row {
    /// Their badge.
    #[must_use]
    pub const fn badge(&self) -> Badge {
        if self.suspended {
            Badge { tone: Tone::Off, icon: Icon::Pause, label: "Suspended" }
        } else {
            Badge { tone: Tone::Ok, icon: Icon::Check, label: "Active" }
        }
    }
}

/// The DOM id of a client's row.
#[must_use]
pub fn row_id(id: UserId) -> String {
    format!("client-{id}")
}

/// The entries of a client's menu.
fn menu_items(id: UserId, can: Can) -> Vec<Item> {
    let mut items = Vec::new();
    if can.reset_password {
        items.push(Item::post(Icon::KeyRound, "New one-time password", paths::client_reset_password(id)));
    }
    if can.suspend {
        items.push(Item::link(Icon::Pause, "Suspend", paths::client_suspend(id)));
    }
    if can.unsuspend {
        items.push(Item::link(Icon::Power, "Let in again", paths::client_unsuspend(id)));
    }
    if can.delete {
        if !items.is_empty() {
            items.push(Item::Divider);
        }
        items.push(Item::danger(Icon::Trash, "Delete client", paths::client_delete(id)));
    }
    items
}
