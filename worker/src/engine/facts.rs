//! What planning may know of the host: reading only.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::{Arc, OnceLock};

use shared::jobs::{Generation, Job, PhpPoolSpec, PoolPresence, Presence, ResourceKey, SiteSpec};
use shared::names::{DomainName, LinuxUser, PhpVersion, SiteName};

use super::image::{DirectoryImage, Entry, FileImage, Owner, UserRecord};
use crate::ledger::{RowState, Rows};
use crate::system::{System, SystemError};

/// One look at a host and its ledger, from which all plans of a batch are made. What many of them ask is asked once.
pub struct View<'a> {
    system: &'a dyn System,
    ledger: &'a Rows,
    /// What is about to change: no witness of anything.
    batch: BTreeSet<ResourceKey>,
    purpose: Purpose,
    /// Whether so many plans are made that reading every user at once is cheaper than asking for each.
    many: bool,
    users: Memory<BTreeMap<String, UserRecord>>,
    units: Memory<BTreeSet<String>>,
    neighbour: OnceLock<Option<DomainName>>,
}

/// What a look is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Purpose {
    /// To bring the host to a state.
    Change,
    /// To tell how it differs from one.
    Compare,
}

/// From so many plans on it is cheaper.
const MANY: usize = 4;

impl<'a> View<'a> {
    /// Looks at a host through its ledger, for plans of the resources of one batch.
    #[must_use]
    pub fn new(system: &'a dyn System, ledger: &'a Rows, batch: BTreeSet<ResourceKey>) -> Self {
        let many = batch.len() >= MANY;
        let purpose = Purpose::Change;
        Self { system, ledger, batch, purpose, many, users: OnceLock::new(), units: OnceLock::new(), neighbour: OnceLock::new() }
    }

    /// Looks at a host to compare it with all that was applied: nothing is about to change.
    #[must_use]
    pub fn of_all(system: &'a dyn System, ledger: &'a Rows) -> Self {
        Self { many: true, purpose: Purpose::Compare, ..Self::new(system, ledger, BTreeSet::new()) }
    }

    /// What plans may know.
    #[must_use]
    pub const fn facts(&self) -> Facts<'_> {
        Facts { view: self, system: self.system, ledger: self.ledger }
    }

    /// A site that none of the batch changes. nginx answers for it by itself, whatever serves it.
    fn neighbour(&self) -> Option<&DomainName> {
        let found = || {
            let other = sites_in(self.ledger.applied()).find(|(key, _, _)| !self.batch.contains(key));
            other.map(|(_, _, site)| site.domain.clone())
        };
        self.neighbour.get_or_init(found).as_ref()
    }
}

fn sites_in<'a>(
    applied: impl Iterator<Item = (ResourceKey, Generation, &'a Job)>,
) -> impl Iterator<Item = (ResourceKey, Generation, &'a SiteSpec)> {
    applied.filter_map(|(key, generation, job)| match job {
        Job::Site(spec) if spec.presence != Presence::Deleted => Some((key, generation, spec)),
        Job::Site(_) | Job::Account(_) | Job::PhpPool(_) | Job::Worker(_) => None,
    })
}

/// What a plan may know: reading only.
#[derive(Clone, Copy)]
pub struct Facts<'a> {
    view: &'a View<'a>,
    system: &'a dyn System,
    ledger: &'a Rows,
}

impl<'a> Facts<'a> {
    /// What lies at a path.
    ///
    /// # Errors
    /// It cannot be looked at.
    pub fn entry(&self, path: &Path) -> Result<Entry, SystemError> {
        self.system.entry(path)
    }

    /// Whether a directory holds one name and no more.
    ///
    /// # Errors
    /// It cannot be listed.
    pub fn holds_one(&self, path: &Path) -> Result<bool, SystemError> {
        self.system.holds_one(path)
    }

    /// The names in a directory that is no tenant's.
    ///
    /// # Errors
    /// It cannot be listed.
    pub fn list(&self, path: &Path) -> Result<Vec<String>, SystemError> {
        self.system.list(path)
    }

    /// The bytes of a file.
    ///
    /// # Errors
    /// It cannot be read.
    pub fn content(&self, path: &Path) -> Result<Vec<u8>, SystemError> {
        self.system.content(path)
    }

    /// Whether a file is exactly as wanted.
    ///
    /// # Errors
    /// It cannot be read.
    pub fn holds_file(&self, file: &FileImage) -> Result<bool, SystemError> {
        let Entry::File { owner, mode, len } = self.system.entry(&file.path)? else { return Ok(false) };
        let same_outside = owner == file.owner && mode == file.mode && len == file.content.0.len() as u64;
        Ok(same_outside && self.system.content(&file.path)? == file.content.0)
    }

    /// Whether a directory is exactly as wanted; what is in it does not matter. When the host is compared with what was applied, a
    /// tenant's own has any mode that keeps nobody out who has to come in: the mode is his to change.
    ///
    /// # Errors
    /// It cannot be looked at.
    pub fn holds_directory(&self, wanted: &DirectoryImage) -> Result<bool, SystemError> {
        let Entry::Directory { owner, mode, acl } = self.system.entry(&wanted.path)? else { return Ok(false) };
        let rights = match self.view.purpose {
            Purpose::Compare if wanted.owner.uid != Owner::ROOT.uid => acl.lets_in_all_of(&wanted.acl),
            Purpose::Change | Purpose::Compare => mode == wanted.mode && acl == wanted.acl,
        };
        Ok(owner == wanted.owner && rights)
    }

    /// Whether a link points where it should.
    ///
    /// # Errors
    /// It cannot be looked at.
    pub fn holds_link(&self, path: &Path, target: &Path) -> Result<bool, SystemError> {
        Ok(matches!(self.system.entry(path)?, Entry::Link { target: found } if found == target))
    }

    /// A user by name.
    ///
    /// # Errors
    /// The user database cannot be read.
    pub fn user(&self, name: &str) -> Result<Option<UserRecord>, SystemError> {
        if self.view.many {
            let users = remembered(&self.view.users, || self.system.users())?;
            if let Some(user) = users.get(name) {
                return Ok(Some(user.clone()));
            }
        }
        self.system.user(name)
    }

    /// Who has a uid.
    ///
    /// # Errors
    /// The user database cannot be read.
    pub fn user_of_uid(&self, uid: u32) -> Result<Option<String>, SystemError> {
        self.system.user_of_uid(uid)
    }

    /// The number of a group.
    ///
    /// # Errors
    /// The group database cannot be read.
    pub fn group(&self, name: &str) -> Result<Option<u32>, SystemError> {
        self.system.group(name)
    }

    /// Which group has a number.
    ///
    /// # Errors
    /// The group database cannot be read.
    pub fn group_of_gid(&self, gid: u32) -> Result<Option<String>, SystemError> {
        self.system.group_of_gid(gid)
    }

    /// Whether a unit runs.
    ///
    /// # Errors
    /// systemd does not answer.
    pub fn runs(&self, unit: &str) -> Result<bool, SystemError> {
        Ok(remembered(&self.view.units, || self.system.active_units())?.contains(unit))
    }

    /// Whether the kernel has a table of packet filter rules.
    ///
    /// # Errors
    /// It cannot be asked.
    pub fn filters_packets(&self, table: &str) -> Result<bool, SystemError> {
        self.system.filters_packets(table)
    }

    /// Installed PHP versions.
    ///
    /// # Errors
    /// They cannot be listed.
    pub fn php_versions(&self) -> Result<Vec<PhpVersion>, SystemError> {
        self.system.php_versions()
    }

    /// Whether the host speaks IPv6.
    #[must_use]
    pub fn has_ipv6(&self) -> bool {
        self.system.has_ipv6()
    }

    /// The applied PHP pools of an account.
    pub fn pools_of(&self, user: &LinuxUser) -> impl Iterator<Item = &'a PhpPoolSpec> {
        self.ledger.applied_of_user(user).filter_map(|(_, _, job)| match job {
            Job::PhpPool(spec) if spec.presence != PoolPresence::Deleted => Some(spec),
            Job::PhpPool(_) | Job::Account(_) | Job::Site(_) | Job::Worker(_) => None,
        })
    }

    /// Whether an account had a pool of a version that was deleted, and has none now. Looks at all that was ever applied.
    #[must_use]
    pub fn pool_is_gone(&self, user: &LinuxUser, version: PhpVersion) -> bool {
        let is_meant = |job: &Job| matches!(job, Job::PhpPool(spec) if spec.version == version && spec.user == *user);
        let has_one = self.pools_of(user).any(|pool| pool.version == version);
        !has_one && self.ledger.applied().any(|(_, _, job)| is_meant(job))
    }

    /// The applied sites of an account that are not deleted, with their keys and applied generations.
    pub fn sites_of(&self, user: &LinuxUser) -> impl Iterator<Item = (ResourceKey, Generation, &'a SiteSpec)> {
        sites_in(self.ledger.applied_of_user(user))
    }

    /// What of an account is proved: daemons have read what the host holds of it. Of an attempt that failed, or of anything before the
    /// worker's database was lost, nobody knows whether they have, whatever the files say. A look that only compares tells
    /// files apart, and takes what was applied for proved.
    pub fn proved_of(&self, user: &LinuxUser) -> impl Iterator<Item = (ResourceKey, Generation, &'a Job)> {
        let is_proved = |key: ResourceKey| match self.view.purpose {
            Purpose::Compare => true,
            Purpose::Change => self.ledger.get(key).is_some_and(|row| row.state == RowState::Applied),
        };
        self.ledger.applied_of_user(user).filter(move |(key, _, _)| is_proved(*key))
    }

    /// Whether an account was applied and not deleted since.
    #[must_use]
    pub fn has_account(&self, user: &LinuxUser) -> bool {
        self.ledger.applied_of_user(user).any(|(_, _, job)| matches!(job, Job::Account(_)))
    }

    /// How many accounts there are.
    #[must_use]
    pub fn accounts(&self) -> usize {
        let is_there = |job: &Job| matches!(job, Job::Account(spec) if spec.presence != Presence::Deleted);
        self.ledger.applied().filter(|(_, _, job)| is_there(job)).count()
    }

    /// A site whose serving proves that a change of others has done no harm.
    #[must_use]
    pub fn neighbour(&self) -> Option<&'a DomainName> {
        self.view.neighbour()
    }

    /// The site, other than `own`, that answers to one of `names`.
    #[must_use]
    pub fn site_answering(&self, own: ResourceKey, names: &[SiteName]) -> Option<(&'a SiteSpec, SiteName)> {
        names.iter().find_map(|name| {
            let (_, site) = self.ledger.answering(name).find(|(key, _)| *key != own)?;
            Some((site, name.clone()))
        })
    }
}

/// What one look has read once, and why not if it could not.
type Memory<T> = OnceLock<Result<T, Arc<SystemError>>>;

/// What was read before, or is read now. What could not be read is not asked for again: each answer may take long to fail.
fn remembered<T>(memory: &Memory<T>, read: impl FnOnce() -> Result<T, SystemError>) -> Result<&T, SystemError> {
    match memory.get_or_init(|| read().map_err(Arc::new)) {
        Ok(known) => Ok(known),
        Err(error) if matches!(**error, SystemError::Interrupted) => Err(SystemError::Interrupted),
        Err(error) => Err(SystemError::Remembered(Arc::clone(error))),
    }
}
