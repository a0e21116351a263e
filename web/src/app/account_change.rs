//! Suspending, bringing back and deleting accounts, with all they hold.

use shared::ids::AccountId;
use shared::jobs::{PoolPresence, Presence, Requirement, ResourceKey};
use shared::operation::{ResourceEvent, ResourceState};

use super::account_access::keys_of;
use super::desired::{account_job, account_presence, pool_job, site_job};
use super::preview::{Preview, preview_of};
use super::site::write as write_site;
use super::site_change::{ConfirmDelete, Press, Switch};
use super::unit::{Asked, Open, Place, Unit, finish, settle};
use super::{Actor, App, AppError, Requested};
use crate::store::account::{AccountChange, AccountRow, account_lock_in_tx, account_update_in_tx};
use crate::store::operation::OperationKind;
use crate::store::php_pool::{PhpPoolRow, php_pool_list_in_tx, php_pool_update_in_tx};
use crate::store::site::{SiteRow, site_list_of_account_in_tx};
use crate::store::site_name::site_aliases_in_tx;

/// Switches an account off with all it holds.
///
/// # Errors
/// [`AppError::Forbidden`] for clients; [`AppError::Conflict`] if it is suspended or being deleted already.
pub async fn account_suspend(app: &App, actor: &Actor, id: AccountId, press: &Press) -> Result<Requested, AppError> {
    actor.require_admin()?;
    settle(app, actor, press.key.as_deref(), finish(switch_open(app, actor, id, press, Presence::Suspended).await).await).await
}

/// Brings an account back as it was.
///
/// # Errors
/// [`AppError::Forbidden`] for clients; [`AppError::Conflict`] if it is not suspended, or its owner is.
pub async fn account_unsuspend(app: &App, actor: &Actor, id: AccountId, press: &Press) -> Result<Requested, AppError> {
    actor.require_admin()?;
    settle(app, actor, press.key.as_deref(), finish(switch_open(app, actor, id, press, Presence::Active).await).await).await
}

/// What suspending an account, or bringing it back, would change.
///
/// # Errors
/// As [`account_suspend`] and [`account_unsuspend`].
pub async fn account_switch_preview(app: &App, actor: &Actor, id: AccountId, switch: Switch) -> Result<Preview, AppError> {
    actor.require_admin()?;
    preview_of(app, switch_open(app, actor, id, &Press::default(), switch.presence()).await).await
}

/// The request, not committed.
async fn switch_open<'a>(
    app: &'a App,
    actor: &'a Actor,
    id: AccountId,
    press: &Press,
    presence: Presence,
) -> Result<(Unit<'a>, Open), AppError> {
    let mut unit = Unit::begin(app, actor).await?;
    let account = account_lock_in_tx(&mut unit.tx, actor.visible(), id).await?.ok_or(AppError::NotFound)?;
    let kind = match presence {
        Presence::Active => OperationKind::AccountUnsuspend,
        Presence::Suspended | Presence::Deleted => OperationKind::AccountSuspend,
    };
    let subject = account.linux_user.as_str().to_owned();
    let asked = Asked { kind, resource: ResourceKey::Account(id), subject: &subject, key: press.key.as_deref() };
    let mut open = unit.operation(Place::from(&account), asked).await?;
    if account.presence == presence {
        return Err(AppError::conflict(match presence {
            Presence::Active => "This account is not suspended.",
            Presence::Suspended | Presence::Deleted => "This account is suspended already.",
        }));
    }
    if presence == Presence::Active && account.owner_state == crate::store::user::UserState::Suspended {
        return Err(AppError::conflict("The client is suspended. Bring the client back first."));
    }
    switch_in(&mut unit, account, presence, &mut open).await?;
    Ok((unit, open))
}

/// Writes an account's new presence and queues the jobs of all it holds. Also called when the owner is suspended or
/// brought back: then `presence` is what it was and the owner's state makes the difference.
pub(super) async fn switch_in(unit: &mut Unit<'_>, account: AccountRow, presence: Presence, open: &mut Open) -> Result<(), AppError> {
    let state = change_state(&account)?;
    let account = AccountRow { presence, state, generation: account.generation.next(), last_operation: open.id, ..account };
    write(unit, &account).await?;
    let keys = keys_of(unit, account.id).await?;
    let account_job = account_job(&account, keys, account.generation, Vec::new())?;
    match account_presence(&account) {
        Presence::Active => {
            let ready = Requirement { resource: account_job.resource, generation: account_job.generation };
            unit.job(open, &account_job).await?;
            let mut pools = Vec::new();
            for pool in wanted_pools(unit, account.id).await? {
                let pool = php_pool_update_in_tx(&mut unit.tx, &pool, pool.presence, &pool.settings).await?;
                unit.job(open, &pool_job(&account, &pool, vec![ready])).await?;
                pools.push(pool);
            }
            sites_follow(unit, &account, open, |site| {
                let pool = pools.iter().find(|pool| site.kind.php() == Some(pool.version));
                let pool = pool.map(|pool| Requirement { resource: ResourceKey::PhpPool(pool.id), generation: pool.generation });
                std::iter::once(ready).chain(pool).collect()
            })
            .await?;
        }
        // Sites first: visitors see the page that says so before anything behind it stops.
        Presence::Suspended | Presence::Deleted => {
            sites_follow(unit, &account, open, |_| Vec::new()).await?;
            for pool in wanted_pools(unit, account.id).await? {
                let pool = php_pool_update_in_tx(&mut unit.tx, &pool, pool.presence, &pool.settings).await?;
                unit.job(open, &pool_job(&account, &pool, Vec::new())).await?;
            }
            unit.job(open, &account_job).await?;
        }
    }
    Ok(())
}

async fn wanted_pools(unit: &mut Unit<'_>, id: AccountId) -> Result<Vec<PhpPoolRow>, AppError> {
    let pools = php_pool_list_in_tx(&mut unit.tx, id).await?;
    Ok(pools.into_iter().filter(|pool| pool.presence != PoolPresence::Deleted).collect())
}

/// Queues a job for each site that its own owner wants active: only those change with the account.
async fn sites_follow(
    unit: &mut Unit<'_>,
    account: &AccountRow,
    open: &mut Open,
    requires: impl Fn(&SiteRow) -> Vec<Requirement>,
) -> Result<(), AppError> {
    for site in site_list_of_account_in_tx(&mut unit.tx, account.id).await? {
        if site.presence != Presence::Active {
            continue;
        }
        let Ok(state) = site.state.advance(ResourceEvent::ChangeRequested, site.ever_applied()) else { continue };
        let site = SiteRow { state, generation: site.generation.next(), last_operation: open.id, ..site };
        write_site(unit, &site).await?;
        let aliases = site_aliases_in_tx(&mut unit.tx, site.id).await?;
        let job = site_job(account, &site, aliases, requires(&site));
        unit.job(open, &job).await?;
    }
    Ok(())
}

/// Asks for an account to go with all it holds: sites first, then pools, then the Linux user and its files.
///
/// # Errors
/// [`AppError::Forbidden`] for clients; [`AppError::Invalid`] on `confirm` unless the Linux user was typed;
/// [`AppError::Conflict`] if it is being deleted already.
pub async fn account_delete(app: &App, actor: &Actor, id: AccountId, form: &ConfirmDelete) -> Result<Requested, AppError> {
    actor.require_admin()?;
    settle(app, actor, form.key.as_deref(), finish(delete_open(app, actor, id, Some(form)).await).await).await
}

/// What the deletion of an account would change. Nothing has to be typed for it.
///
/// # Errors
/// As [`account_delete`], but for `confirm`.
pub async fn account_delete_preview(app: &App, actor: &Actor, id: AccountId) -> Result<Preview, AppError> {
    actor.require_admin()?;
    preview_of(app, delete_open(app, actor, id, None).await).await
}

/// The request, not committed; `None` confirms nothing.
async fn delete_open<'a>(
    app: &'a App,
    actor: &'a Actor,
    id: AccountId,
    form: Option<&ConfirmDelete>,
) -> Result<(Unit<'a>, Open), AppError> {
    let mut unit = Unit::begin(app, actor).await?;
    let account = account_lock_in_tx(&mut unit.tx, actor.visible(), id).await?.ok_or(AppError::NotFound)?;
    if form.is_some_and(|form| form.confirm.trim() != account.linux_user.as_str()) {
        return Err(AppError::invalid("confirm", format!("Type {} to confirm.", account.linux_user)));
    }
    let subject = account.linux_user.as_str().to_owned();
    let key = form.and_then(|form| form.key.as_deref());
    let asked = Asked { kind: OperationKind::AccountDelete, resource: ResourceKey::Account(id), subject: &subject, key };
    let mut open = unit.operation(Place::from(&account), asked).await?;
    let gone = || AppError::conflict("This account is being deleted already.");
    if account.state == ResourceState::Deleting {
        return Err(gone());
    }
    let state = account.state.advance(ResourceEvent::DeletionRequested, account.ever_applied()).map_err(|_| gone())?;
    let generation = account.generation.next();
    let account = AccountRow { presence: Presence::Deleted, state, generation, last_operation: open.id, ..account };
    write(&mut unit, &account).await?;
    let empty = delete_contents(&mut unit, &account, &mut open).await?;
    unit.job(&mut open, &account_job(&account, Vec::new(), generation, empty)?).await?;
    Ok((unit, open))
}

/// Queues the deletion of sites and pools; returns what the account's own deletion has to wait for.
async fn delete_contents(unit: &mut Unit<'_>, account: &AccountRow, open: &mut Open) -> Result<Vec<Requirement>, AppError> {
    let mut sites = Vec::new();
    for site in site_list_of_account_in_tx(&mut unit.tx, account.id).await? {
        let Ok(state) = site.state.advance(ResourceEvent::DeletionRequested, site.ever_applied()) else { continue };
        let site = SiteRow { presence: Presence::Deleted, state, generation: site.generation.next(), last_operation: open.id, ..site };
        write_site(unit, &site).await?;
        let aliases = site_aliases_in_tx(&mut unit.tx, site.id).await?;
        unit.job(open, &site_job(account, &site, aliases, Vec::new())).await?;
        sites.push(Requirement { resource: ResourceKey::Site(site.id), generation: site.generation });
    }
    let mut all = sites.clone();
    for pool in php_pool_list_in_tx(&mut unit.tx, account.id).await? {
        let pool = php_pool_update_in_tx(&mut unit.tx, &pool, PoolPresence::Deleted, &pool.settings).await?;
        unit.job(open, &pool_job(account, &pool, sites.clone())).await?;
        all.push(Requirement { resource: ResourceKey::PhpPool(pool.id), generation: pool.generation });
    }
    Ok(all)
}

/// An account, locked, and its state once it is asked to change.
pub(super) async fn account_for_change(unit: &mut Unit<'_>, actor: &Actor, id: AccountId) -> Result<(AccountRow, ResourceState), AppError> {
    let account = account_lock_in_tx(&mut unit.tx, actor.visible(), id).await?.ok_or(AppError::NotFound)?;
    let state = change_state(&account)?;
    Ok((account, state))
}

fn change_state(account: &AccountRow) -> Result<ResourceState, AppError> {
    let gone = || AppError::conflict("This account is being deleted.");
    if account.presence == Presence::Deleted {
        return Err(gone());
    }
    account.state.advance(ResourceEvent::ChangeRequested, account.ever_applied()).map_err(|_| gone())
}

/// Writes an account as it now is.
pub(super) async fn write(unit: &mut Unit<'_>, account: &AccountRow) -> Result<(), AppError> {
    let change = AccountChange {
        presence: account.presence,
        state: account.state,
        generation: account.generation,
        sftp_password: account.sftp_password.as_ref(),
        limits: account.limits,
        operation: account.last_operation,
    };
    Ok(account_update_in_tx(&mut unit.tx, account.id, &change).await?)
}
