//! Rows to desired states: what a job carries.
//!
//! A suspended client or account is not written into what it holds: a site keeps how its owner wants it, and the job says
//! what follows from all three. So bringing an account back restores exactly what was.

use shared::bus::sealing::seal_hash;
use shared::jobs::{
    AccountSpec, Generation, Job, PhpPoolSpec, PoolPresence, Presence, Requirement, ResourceKey, SealedCryptHash, SftpAccess, SiteSpec,
};
use shared::names::{SiteName, SshPublicKey};

use super::AppError;
use crate::store::account::AccountRow;
use crate::store::job::NewJob;
use crate::store::php_pool::PhpPoolRow;
use crate::store::site::SiteRow;
use crate::store::user::UserState;

/// What an account's job says, given its owner.
pub(super) const fn account_presence(account: &AccountRow) -> Presence {
    match (account.presence, account.owner_state) {
        (Presence::Active, UserState::Active) => Presence::Active,
        (Presence::Active, UserState::Suspended) | (Presence::Suspended, _) => Presence::Suspended,
        (Presence::Deleted, _) => Presence::Deleted,
    }
}

/// What a site's job says, given its account.
pub(super) const fn site_presence(site: Presence, account: Presence) -> Presence {
    match (site, account) {
        (Presence::Deleted, _) | (_, Presence::Deleted) => Presence::Deleted,
        (Presence::Suspended, _) | (_, Presence::Suspended) => Presence::Suspended,
        (Presence::Active, Presence::Active) => Presence::Active,
    }
}

/// What a pool's job says, given its account.
pub(super) const fn pool_presence(pool: PoolPresence, account: Presence) -> PoolPresence {
    match (pool, account) {
        (PoolPresence::Deleted, _) | (_, Presence::Deleted) => PoolPresence::Deleted,
        (PoolPresence::Suspended, _) | (_, Presence::Suspended) => PoolPresence::Suspended,
        (PoolPresence::Present, Presence::Active) => PoolPresence::Present,
    }
}

/// The job for an account as its row now is.
pub(super) fn account_job(
    account: &AccountRow,
    keys: Vec<SshPublicKey>,
    generation: Generation,
    requires: Vec<Requirement>,
) -> Result<NewJob, AppError> {
    let presence = account_presence(account);
    // What goes needs no way in.
    let sftp = if presence == Presence::Deleted { SftpAccess::default() } else { SftpAccess { password: sealed(account)?, keys } };
    let spec = AccountSpec { user: account.linux_user.clone(), uid: account.uid, presence, sftp, limits: account.limits };
    Ok(NewJob { resource: ResourceKey::Account(account.id), generation, requires, job: Job::Account(spec) })
}

fn sealed(account: &AccountRow) -> Result<Option<SealedCryptHash>, AppError> {
    match (&account.sftp_password, &account.server_seal_key) {
        (Some(hash), Some(key)) => seal_hash(hash, key).map(Some).map_err(|error| AppError::Internal(Box::new(error))),
        (Some(_), None) => Err(AppError::conflict("No worker has joined as the server, so no password can be sent to it.")),
        (None, _) => Ok(None),
    }
}

/// The job for a pool as its row now is.
pub(super) fn pool_job(account: &AccountRow, pool: &PhpPoolRow, requires: Vec<Requirement>) -> NewJob {
    let spec = PhpPoolSpec {
        user: account.linux_user.clone(),
        uid: account.uid,
        version: pool.version,
        presence: pool_presence(pool.presence, account_presence(account)),
        settings: pool.settings.clone(),
    };
    NewJob { resource: ResourceKey::PhpPool(pool.id), generation: pool.generation, requires, job: Job::PhpPool(spec) }
}

/// The job for a site as its row now is.
pub(super) fn site_job(account: &AccountRow, site: &SiteRow, aliases: Vec<SiteName>, requires: Vec<Requirement>) -> NewJob {
    let spec = SiteSpec {
        user: account.linux_user.clone(),
        uid: account.uid,
        domain: site.domain.clone(),
        aliases,
        document_root: site.document_root.clone(),
        kind: site.kind,
        presence: site_presence(site.presence, account_presence(account)),
    };
    NewJob { resource: ResourceKey::Site(site.id), generation: site.generation, requires, job: Job::Site(spec) }
}

/// A site needs its account's user: any state of it that was applied will do, otherwise the newest that is wanted, which is on its way.
pub(super) const fn needs_account(account: &AccountRow) -> Requirement {
    let generation = if account.applied_generation.0 > 0 { account.applied_generation } else { account.wanted_generation };
    Requirement { resource: ResourceKey::Account(account.id), generation }
}
