//! Sites.

mod delete;
mod form;
mod history;
mod list;
mod rollback;
mod show;

use jiff::Timestamp;
use maud::{Markup, html};
use shared::ids::SiteId;
use shared::jobs::SiteKind;
use shared::names::{DomainName, SiteName};
use shared::operation::ResourceState;

pub use delete::{DeleteModel, delete_page};
pub use form::{EditModel, NewModel, SiteForm, edit_page, new_page};
pub use history::{Compared, GenerationRow, HistoryModel, history_page};
pub use list::{ListModel, Place, container, container_id, fragments, list_page, row_fragment, table_of};
pub use rollback::{RollbackModel, rollback_page};
pub use show::{Sftp, ShowModel, show_fragments, show_page};

use super::components::badge::{self, Badge};
use super::components::icon::Icon;
use super::components::menu::Item;
use super::components::{note, progress, stat};
use super::model::{AccountRef, Failure, Progress, ServerRef, Waiting};
use crate::paths;

/// One site, in lists.
#[derive(Debug, Clone)]
pub struct Row {
    /// Its id.
    pub id: SiteId,
    /// Its primary domain.
    pub domain: DomainName,
    /// Further names.
    pub aliases: Vec<SiteName>,
    /// What serves it.
    pub kind: SiteKind,
    /// Where it stands.
    pub state: ResourceState,
    /// Its account.
    pub account: AccountRef,
    /// Its server.
    pub server: ServerRef,
    /// When it was made.
    pub created_at: Timestamp,
    /// Why its change has not begun.
    pub waiting: Option<Waiting>,
    /// The steps, while it works.
    pub progress: Option<Progress>,
    /// Why its last change failed.
    pub failure: Option<Failure>,
    /// Whether it is on its server other than it was applied.
    pub drifted: bool,
    /// What the viewer may do with it now.
    pub can: Can,
}

/// What may be done with a site or an account right now, by this viewer.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Can {
    /// Change its settings.
    pub edit: bool,
    /// Suspend it.
    pub suspend: bool,
    /// Bring it back.
    pub unsuspend: bool,
    /// Delete it.
    pub delete: bool,
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

/// Whether a change of this resource is under way.
#[must_use]
pub const fn is_busy(state: ResourceState) -> bool {
    match state {
        ResourceState::Provisioning | ResourceState::Updating | ResourceState::Deleting => true,
        ResourceState::Active | ResourceState::Suspended | ResourceState::Failed | ResourceState::Deleted => false,
    }
}

/// The DOM id of a site's row.
#[must_use]
pub fn row_id(id: SiteId) -> String {
    format!("site-{id}")
}

/// The kind in words: `PHP 8.3` or `Static files`.
#[must_use]
pub fn kind_text(kind: SiteKind) -> String {
    kind.php().map_or_else(|| "Static files".to_owned(), |version| format!("PHP {version}"))
}

/// The second line of a site: its punycode if it is international, and its aliases.
fn second_line(domain: &DomainName, aliases: &[SiteName]) -> Option<String> {
    let mut parts = Vec::new();
    if domain.to_unicode() != domain.as_str() {
        parts.push(domain.to_string());
    }
    match aliases {
        [] => {}
        [one] => parts.push(one.to_string()),
        many => parts.push(stat::counted(many.len() as u64, "alias", "aliases")),
    }
    (!parts.is_empty()).then(|| parts.join(", "))
}

/// The entries of a site's menu.
fn menu_items(id: SiteId, can: Can) -> Vec<Item> {
    let mut items = Vec::new();
    if can.edit {
        items.push(Item::link(Icon::Pencil, "Settings", paths::site_edit(id)));
    }
    if can.suspend {
        items.push(Item::link(Icon::Pause, "Suspend", paths::site_suspend(id)));
    }
    if can.unsuspend {
        items.push(Item::link(Icon::Power, "Bring back", paths::site_unsuspend(id)));
    }
    if can.delete {
        if !items.is_empty() {
            items.push(Item::Divider);
        }
        items.push(Item::danger(Icon::Trash, "Delete site", paths::site_delete(id)));
    }
    items
}

/// What is below a site's name while something happens: its steps, its failure, or why it waits.
fn below(row: &Row) -> Option<Markup> {
    if let Some(progress) = &row.progress {
        return Some(progress::progress(progress));
    }
    if let Some(failure) = &row.failure {
        return Some(note::failure_line(failure));
    }
    row.waiting.as_ref().map(|waiting| html! { (note::waiting_line(waiting)) })
}
