//! Suspending, bringing back and deleting sites.

use serde::Deserialize;
use shared::ids::SiteId;
use shared::jobs::{Presence, ResourceKey};
use shared::operation::{ResourceEvent, ResourceState};

use super::desired::{account_presence, site_job};
use super::pool::pool_release;
use super::preview::{Preview, preview_of};
use super::site::{change_state, send, site_for_change, write};
use super::unit::{Asked, Open, Place, Unit, finish, settle};
use super::{Actor, App, AppError, Requested};
use crate::store::operation::OperationKind;
use crate::store::site::SiteRow;
use crate::store::site_name::site_aliases_in_tx;

/// A button's form.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub struct Press {
    /// The form's key.
    pub key: Option<String>,
}

/// Off, or on again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Switch {
    /// Suspended.
    Off,
    /// As it was.
    On,
}

impl Switch {
    /// What is wanted then.
    pub(super) const fn presence(self) -> Presence {
        match self {
            Self::Off => Presence::Suspended,
            Self::On => Presence::Active,
        }
    }
}

/// The form that confirms a deletion.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub struct ConfirmDelete {
    /// The name, typed.
    pub confirm: String,
    /// The form's key.
    pub key: Option<String>,
}

/// Asks for a page that says the site is suspended.
///
/// # Errors
/// [`AppError::Conflict`] if it is suspended or being deleted already.
pub async fn site_suspend(app: &App, actor: &Actor, id: SiteId, press: &Press) -> Result<Requested, AppError> {
    settle(app, actor, press.key.as_deref(), finish(switch_open(app, actor, id, press, Presence::Suspended).await).await).await
}

/// Asks for the site as it was.
///
/// # Errors
/// [`AppError::Conflict`] if it is not suspended, its account is, or it is being deleted.
pub async fn site_unsuspend(app: &App, actor: &Actor, id: SiteId, press: &Press) -> Result<Requested, AppError> {
    settle(app, actor, press.key.as_deref(), finish(switch_open(app, actor, id, press, Presence::Active).await).await).await
}

/// What suspending a site, or bringing it back, would change.
///
/// # Errors
/// As [`site_suspend`] and [`site_unsuspend`].
pub async fn site_switch_preview(app: &App, actor: &Actor, id: SiteId, switch: Switch) -> Result<Preview, AppError> {
    preview_of(app, switch_open(app, actor, id, &Press::default(), switch.presence()).await).await
}

/// The request, not committed.
async fn switch_open<'a>(
    app: &'a App,
    actor: &'a Actor,
    id: SiteId,
    press: &Press,
    presence: Presence,
) -> Result<(Unit<'a>, Open), AppError> {
    let mut unit = Unit::begin(app, actor).await?;
    let (account, site, _) = site_for_change(&mut unit, actor, id).await?;
    let kind = match presence {
        Presence::Active => OperationKind::SiteUnsuspend,
        Presence::Suspended | Presence::Deleted => OperationKind::SiteSuspend,
    };
    let asked = Asked { kind, resource: ResourceKey::Site(id), subject: site.domain.as_str(), key: press.key.as_deref() };
    // The operation comes first, so that a repeated post is recognised before the state is judged.
    let mut open = unit.operation(Place::from(&account), asked).await?;
    let state = change_state(&site)?;
    if account_presence(&account) != Presence::Active {
        return Err(AppError::conflict("The site's account is suspended. Bring the account back first."));
    }
    if site.presence == presence {
        return Err(AppError::conflict(match presence {
            Presence::Active => "This site is not suspended.",
            Presence::Suspended | Presence::Deleted => "This site is suspended already.",
        }));
    }
    let site = SiteRow { presence, state, generation: site.generation.next(), last_operation: open.id, ..site };
    send(&mut unit, &mut open, &account, &site).await?;
    Ok((unit, open))
}

/// Asks for a site and its files to go. Its names are free once it is gone from the server.
///
/// # Errors
/// [`AppError::Invalid`] on `confirm` unless the domain was typed; [`AppError::Conflict`] if it is being deleted.
pub async fn site_delete(app: &App, actor: &Actor, id: SiteId, form: &ConfirmDelete) -> Result<Requested, AppError> {
    settle(app, actor, form.key.as_deref(), finish(delete_open(app, actor, id, Some(form)).await).await).await
}

/// What the deletion of a site would change. Nothing has to be typed for it.
///
/// # Errors
/// As [`site_delete`], but for `confirm`.
pub async fn site_delete_preview(app: &App, actor: &Actor, id: SiteId) -> Result<Preview, AppError> {
    preview_of(app, delete_open(app, actor, id, None).await).await
}

/// The request, not committed; `None` confirms nothing.
async fn delete_open<'a>(app: &'a App, actor: &'a Actor, id: SiteId, form: Option<&ConfirmDelete>) -> Result<(Unit<'a>, Open), AppError> {
    let mut unit = Unit::begin(app, actor).await?;
    let (account, site, sites) = site_for_change(&mut unit, actor, id).await?;
    if let Some(form) = form {
        let typed = form.confirm.trim().to_lowercase();
        if typed != site.domain.as_str() && typed != site.domain.to_unicode() {
            return Err(AppError::invalid("confirm", format!("Type {} to confirm.", site.domain.to_unicode())));
        }
    }
    let key = form.and_then(|form| form.key.as_deref());
    let asked = Asked { kind: OperationKind::SiteDelete, resource: ResourceKey::Site(id), subject: site.domain.as_str(), key };
    let mut open = unit.operation(Place::from(&account), asked).await?;
    let gone = || AppError::conflict("This site is being deleted already.");
    if site.state == ResourceState::Deleting {
        return Err(gone());
    }
    let state = site.state.advance(ResourceEvent::DeletionRequested, site.ever_applied()).map_err(|_| gone())?;
    let generation = site.generation.next();
    let site = SiteRow { presence: Presence::Deleted, state, generation, last_operation: open.id, ..site };
    write(&mut unit, &site).await?;
    let aliases = site_aliases_in_tx(&mut unit.tx, id).await?;
    unit.job(&mut open, &site_job(&account, &site, aliases, Vec::new())).await?;
    if let Some(version) = site.kind.php() {
        pool_release(&mut unit, &mut open, &account, version, &sites, (id, generation)).await?;
    }
    Ok((unit, open))
}
