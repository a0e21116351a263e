//! The question before something is suspended or brought back, as its page shows it.

use shared::ids::{AccountId, SiteId, UserId};
use shared::jobs::ResourceKey;

use super::client::counted;
use super::drift::preview_model;
use super::{account, count, press_key, site};
use crate::app::Actor;
use crate::app::client::client_fetch;
use crate::app::preview::Preview;
use crate::app::site_change::Switch;
use crate::error::PageError;
use crate::state::AppState;
use crate::views::suspend::{SuspendModel, Way, Whom};

const fn way(switch: Switch) -> Way {
    match switch {
        Switch::Off => Way::Off,
        Switch::On => Way::Back,
    }
}

/// About a site.
///
/// # Errors
/// [`crate::app::AppError::NotFound`], or the database fails.
pub async fn site_suspend_model(state: &AppState, actor: &Actor, id: SiteId, switch: Switch) -> Result<SuspendModel, PageError> {
    let site = site::fetch(state, actor, id).await?;
    let key = Some(press_key(ResourceKey::Site(id), site.generation));
    Ok(SuspendModel { whom: Whom::Site { id, domain: site.domain }, way: way(switch), key, preview: None })
}

/// About an account.
///
/// # Errors
/// [`crate::app::AppError::Forbidden`] for clients, [`crate::app::AppError::NotFound`], or the database fails.
pub async fn account_suspend_model(state: &AppState, actor: &Actor, id: AccountId, switch: Switch) -> Result<SuspendModel, PageError> {
    actor.require_admin()?;
    let account = account::fetch(state, actor, id).await?;
    let key = Some(press_key(ResourceKey::Account(id), account.generation));
    let whom = Whom::Account { id, user: account.linux_user, sites: count(account.sites) };
    Ok(SuspendModel { whom, way: way(switch), key, preview: None })
}

/// About a client.
///
/// # Errors
/// [`crate::app::AppError::Forbidden`] for clients, [`crate::app::AppError::NotFound`], or the database fails.
pub async fn client_suspend_model(state: &AppState, actor: &Actor, id: UserId, switch: Switch) -> Result<SuspendModel, PageError> {
    let client = client_fetch(&state.app, actor, id).await?;
    let found = counted(state, &client).await?;
    let (accounts, sites) = found.map_or((0, 0), |row| (count(row.accounts), count(row.sites)));
    let whom = Whom::Client { id, name: client.name, accounts, sites };
    Ok(SuspendModel { whom, way: way(switch), key: None, preview: None })
}

/// What would change, in the words of one viewer.
#[must_use]
pub fn previewed(actor: &Actor, model: SuspendModel, previews: Vec<Preview>) -> SuspendModel {
    let preview = previews.into_iter().map(|preview| preview_model(actor, preview)).collect();
    SuspendModel { preview: Some(preview), ..model }
}
