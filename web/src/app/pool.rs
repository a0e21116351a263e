//! PHP pools come and go with the sites that use them.

use shared::ids::SiteId;
use shared::jobs::{Generation, PhpSettings, PoolPresence, Presence, Requirement, ResourceKey};
use shared::names::PhpVersion;

use super::AppError;
use super::desired::{needs_account, pool_job};
use super::unit::{Open, Unit};
use crate::store::account::AccountRow;
use crate::store::php_pool::{PhpPoolRow, php_pool_insert_in_tx, php_pool_list_in_tx, php_pool_update_in_tx};
use crate::store::site::SiteRow;

/// Makes sure that a pool of a version is wanted, with a job if it was not, and says what a site has to wait for.
pub(super) async fn pool_want(
    unit: &mut Unit<'_>,
    open: &mut Open,
    account: &AccountRow,
    version: PhpVersion,
) -> Result<Requirement, AppError> {
    let found = php_pool_list_in_tx(&mut unit.tx, account.id).await?.into_iter().find(|pool| pool.version == version);
    let pool = match found {
        Some(pool) if pool.presence != PoolPresence::Deleted => return Ok(needs_pool(&pool)),
        Some(pool) => php_pool_update_in_tx(&mut unit.tx, &pool, PoolPresence::Present, &pool.settings).await?,
        None => php_pool_insert_in_tx(&mut unit.tx, account.id, version, &PhpSettings::default()).await?,
    };
    unit.job(open, &pool_job(account, &pool, vec![needs_account(account)])).await?;
    Ok(Requirement { resource: ResourceKey::PhpPool(pool.id), generation: pool.generation })
}

/// Any state of a present pool that was applied will do, otherwise the newest that is wanted, which is on its way.
const fn needs_pool(pool: &PhpPoolRow) -> Requirement {
    let generation = if pool.applied_generation.0 > 0 { pool.applied_generation } else { pool.wanted_generation };
    Requirement { resource: ResourceKey::PhpPool(pool.id), generation }
}

/// Lets the pool of a version go if no site but one uses it; that site has moved on in this operation, at `moved`.
pub(super) async fn pool_release(
    unit: &mut Unit<'_>,
    open: &mut Open,
    account: &AccountRow,
    version: PhpVersion,
    sites: &[SiteRow],
    moved: (SiteId, Generation),
) -> Result<(), AppError> {
    let used = sites.iter().any(|site| site.id != moved.0 && site.presence != Presence::Deleted && site.kind.php() == Some(version));
    let pool = php_pool_list_in_tx(&mut unit.tx, account.id).await?.into_iter().find(|pool| pool.version == version);
    let Some(pool) = pool.filter(|pool| pool.presence != PoolPresence::Deleted && !used) else { return Ok(()) };
    let pool = php_pool_update_in_tx(&mut unit.tx, &pool, PoolPresence::Deleted, &pool.settings).await?;
    // Not before the site has left it, or visitors would see an error.
    let left = Requirement { resource: ResourceKey::Site(moved.0), generation: moved.1 };
    unit.job(open, &pool_job(account, &pool, vec![left])).await
}
