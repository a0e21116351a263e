//! The same desired state once more, as a new generation: what a worker makes of it cures whatever was changed by hand.

use shared::ids::{AccountId, PhpPoolId, SiteId};
use shared::jobs::{Generation, PoolPresence, ResourceKey};

use super::account_access::keys_of;
use super::account_change::{account_for_change, write};
use super::desired::{account_job, needs_account, pool_job};
use super::site::{change_state, send, site_for_change};
use super::unit::{Asked, Place, Unit};
use super::{Actor, AppError, Requested};
use crate::store::account::AccountRow;
use crate::store::drift::DriftRow;
use crate::store::operation::OperationKind;
use crate::store::php_pool::{php_pool_list_in_tx, php_pool_update_in_tx};
use crate::store::site::SiteRow;

/// Asks for a drifted resource as it should be.
///
/// # Errors
/// [`AppError::Conflict`] if something newer is wanted of it, which did not come about yet; [`AppError::NotFound`].
pub(super) async fn repair_in(unit: &mut Unit<'_>, actor: &Actor, drift: &DriftRow, key: Option<&str>) -> Result<Requested, AppError> {
    match drift.resource {
        ResourceKey::Account(id) => account(unit, actor, id, key).await,
        ResourceKey::PhpPool(id) => pool(unit, actor, drift.account_id, id, key).await,
        ResourceKey::Site(id) => site(unit, actor, id, key).await,
        ResourceKey::Worker(_) => Err(AppError::NotFound),
    }
}

/// A state that failed or is under way is not sent again as if it were the one that serves.
fn settled(wanted: Generation, applied: Generation) -> Result<(), AppError> {
    if wanted == applied {
        return Ok(());
    }
    Err(AppError::conflict("Its last change has failed or is under way. Wait for it, or retry it; that makes everything as it should be."))
}

async fn account(unit: &mut Unit<'_>, actor: &Actor, id: AccountId, key: Option<&str>) -> Result<Requested, AppError> {
    let (account, state) = account_for_change(unit, actor, id).await?;
    let subject = account.linux_user.as_str().to_owned();
    let asked = Asked { kind: OperationKind::AccountRepair, resource: ResourceKey::Account(id), subject: &subject, key };
    let mut open = unit.operation(Place::from(&account), asked).await?;
    settled(account.wanted_generation, account.applied_generation)?;
    let account = AccountRow { state, generation: account.generation.next(), last_operation: open.id, ..account };
    write(unit, &account).await?;
    let keys = keys_of(unit, id).await?;
    unit.job(&mut open, &account_job(&account, keys, account.generation, Vec::new())?).await?;
    unit.close(open).await
}

async fn pool(unit: &mut Unit<'_>, actor: &Actor, account: AccountId, id: PhpPoolId, key: Option<&str>) -> Result<Requested, AppError> {
    let (account, _) = account_for_change(unit, actor, account).await?;
    let pools = php_pool_list_in_tx(&mut unit.tx, account.id).await?;
    let pool = pools.into_iter().find(|pool| pool.id == id && pool.presence != PoolPresence::Deleted).ok_or(AppError::NotFound)?;
    let subject = format!("PHP {} of {}", pool.version, account.linux_user);
    let asked = Asked { kind: OperationKind::PhpRepair, resource: ResourceKey::PhpPool(id), subject: &subject, key };
    let mut open = unit.operation(Place::from(&account), asked).await?;
    settled(pool.wanted_generation, pool.applied_generation)?;
    let pool = php_pool_update_in_tx(&mut unit.tx, &pool, pool.presence, &pool.settings).await?;
    unit.job(&mut open, &pool_job(&account, &pool, vec![needs_account(&account)])).await?;
    unit.close(open).await
}

async fn site(unit: &mut Unit<'_>, actor: &Actor, id: SiteId, key: Option<&str>) -> Result<Requested, AppError> {
    let (account, site, _) = site_for_change(unit, actor, id).await?;
    let asked = Asked { kind: OperationKind::SiteRepair, resource: ResourceKey::Site(id), subject: site.domain.as_str(), key };
    let mut open = unit.operation(Place::from(&account), asked).await?;
    settled(site.wanted_generation, site.applied_generation)?;
    let state = change_state(&site)?;
    let site = SiteRow { state, generation: site.generation.next(), last_operation: open.id, ..site };
    send(unit, &mut open, &account, &site).await?;
    unit.close(open).await
}
