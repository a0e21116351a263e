//! What planning may know of the host: reading only.

use std::path::Path;

use shared::jobs::{AccountSpec, Job, PhpPoolSpec, PoolPresence, Presence, ResourceKey, SiteSpec};
use shared::names::{LinuxUser, PhpVersion, SiteName};

use super::image::{DirectoryImage, Entry, FileImage, UnitState, UserRecord};
use crate::ledger::Rows;
use crate::system::{System, SystemError};

/// A read-only view of the host and of the ledger.
#[derive(Clone, Copy)]
pub struct Facts<'a> {
    system: &'a dyn System,
    ledger: &'a Rows,
}

impl<'a> Facts<'a> {
    /// Looks at a host through its ledger.
    #[must_use]
    pub const fn new(system: &'a dyn System, ledger: &'a Rows) -> Self {
        Self { system, ledger }
    }

    /// What lies at a path.
    ///
    /// # Errors
    /// It cannot be looked at.
    pub fn entry(&self, path: &Path) -> Result<Entry, SystemError> {
        self.system.entry(path)
    }

    /// The names in a directory.
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

    /// Whether a directory is exactly as wanted; what is in it does not matter.
    ///
    /// # Errors
    /// It cannot be looked at.
    pub fn holds_directory(&self, wanted: &DirectoryImage) -> Result<bool, SystemError> {
        let Entry::Directory { owner, mode, acl } = self.system.entry(&wanted.path)? else { return Ok(false) };
        Ok(owner == wanted.owner && mode == wanted.mode && acl == wanted.acl)
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
        Ok(self.system.unit(unit)? == UnitState::Active)
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

    /// The applied state of an account, by its user.
    #[must_use]
    pub fn account_of(&self, user: &LinuxUser) -> Option<&'a AccountSpec> {
        self.ledger.applied().find_map(|(_, _, job)| match job {
            Job::Account(spec) if spec.user == *user && spec.presence != Presence::Deleted => Some(spec),
            Job::Account(_) | Job::PhpPool(_) | Job::Site(_) => None,
        })
    }

    /// The applied PHP pools of an account.
    pub fn pools_of(&self, user: &LinuxUser) -> impl Iterator<Item = &'a PhpPoolSpec> {
        self.ledger.applied().filter_map(move |(_, _, job)| match job {
            Job::PhpPool(spec) if spec.user == *user && spec.presence != PoolPresence::Deleted => Some(spec),
            Job::PhpPool(_) | Job::Account(_) | Job::Site(_) => None,
        })
    }

    /// Every applied site that is not deleted, with its key and applied generation.
    pub fn sites(&self) -> impl Iterator<Item = (ResourceKey, i64, &'a SiteSpec)> {
        self.ledger.applied().filter_map(|(key, generation, job)| match job {
            Job::Site(spec) if spec.presence != Presence::Deleted => Some((key, generation.0, spec)),
            Job::Site(_) | Job::Account(_) | Job::PhpPool(_) => None,
        })
    }

    /// The site, other than `own`, that answers to one of `names`.
    #[must_use]
    pub fn site_answering(&self, own: ResourceKey, names: &[SiteName]) -> Option<(&'a SiteSpec, SiteName)> {
        let taken = |spec: &SiteSpec| {
            names.iter().find(|name| **name == SiteName::from(spec.domain.clone()) || spec.aliases.contains(name)).cloned()
        };
        self.sites().filter(|(key, _, _)| *key != own).find_map(|(_, _, spec)| Some((spec, taken(spec)?)))
    }
}
