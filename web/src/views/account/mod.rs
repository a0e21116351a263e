//! Accounts: a Linux user with its folder on a server, owned by a client.

mod delete;
mod form;
mod key_remove;
mod limits;
mod list;
mod php;
mod sftp;
mod show;

use jiff::Timestamp;
use shared::ids::AccountId;
use shared::names::LinuxUser;
use shared::operation::ResourceState;

pub use delete::{DeleteModel, delete_page};
pub use form::{AccountForm, NewModel, new_page};
pub use key_remove::{KeyRemoveModel, key_remove_page};
pub use limits::{LimitsForm, LimitsModel, limits_page};
pub use list::{ListModel, Place, container, container_id, fragments, list_page, row_fragment, table_of};
pub use php::{PhpForm, PhpModel, php_page};
pub use sftp::{KeyRow, SftpModel};
pub use show::{PoolRow, ShowModel, show_fragments, show_page};

use super::components::badge::{self, Badge};
use super::components::icon::Icon;
use super::components::menu::Item;
use super::model::{Failure, PersonRef, Progress, ServerRef, Waiting};
use super::site::{Can, is_busy};
use crate::paths;

/// One account, in lists.
#[derive(Debug, Clone)]
pub struct Row {
    /// Its id.
    pub id: AccountId,
    /// Its Linux user.
    pub user: LinuxUser,
    /// Where it stands.
    pub state: ResourceState,
    /// The client who owns it.
    pub owner: PersonRef,
    /// Its web server.
    pub server: ServerRef,
    /// How many sites it has.
    pub sites: u64,
    /// When it was made.
    pub created_at: Timestamp,
    /// Why its change has not begun.
    pub waiting: Option<Waiting>,
    /// The steps, while it works.
    pub progress: Option<Progress>,
    /// Why its last change failed.
    pub failure: Option<Failure>,
    /// Whether it, or PHP of it, is on its server other than it was applied.
    pub drifted: bool,
    /// What the viewer may do with it now.
    pub can: Can,
}

impl Row {
    /// Its badge. A change that waits for a server says so.
    #[must_use]
    pub fn badge(&self) -> Badge {
        if self.waiting.is_some() { badge::WAITING } else { badge::resource(self.state) }
    }

    /// The mark beside its badge, if it has drifted.
    #[must_use]
    pub fn mark(&self) -> Option<Badge> {
        self.drifted.then_some(badge::DRIFTED)
    }

    /// Whether something is under way.
    #[must_use]
    pub fn is_busy(&self) -> bool {
        is_busy(self.state)
    }
}

/// The DOM id of an account's row.
#[must_use]
pub fn row_id(id: AccountId) -> String {
    format!("account-{id}")
}

/// The entries of an account's menu.
fn menu_items(id: AccountId, can: Can) -> Vec<Item> {
    let mut items = Vec::new();
    if can.edit {
        items.push(Item::link(Icon::Gauge, "Limits", paths::account_limits(id)));
    }
    if can.suspend {
        items.push(Item::link(Icon::Pause, "Suspend", paths::account_suspend(id)));
    }
    if can.unsuspend {
        items.push(Item::link(Icon::Power, "Bring back", paths::account_unsuspend(id)));
    }
    if can.delete {
        if !items.is_empty() {
            items.push(Item::Divider);
        }
        items.push(Item::danger(Icon::Trash, "Delete account", paths::account_delete(id)));
    }
    items
}
