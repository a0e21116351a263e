//! The rows of the ledger in memory, and the ways planning looks them up.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use shared::jobs::{Generation, Job, PoolPresence, Presence, ResourceKey, SiteSpec};
use shared::names::{LinuxUser, SiteName};

/// The rows of the ledger.
///
/// **What is looked up by a name is found by it**: a host has thousands of sites, and a batch plans hundreds.
#[derive(Debug, Clone, Default)]
pub struct Rows {
    rows: BTreeMap<ResourceKey, Row>,
    /// Which sites answer to a name.
    names: HashMap<SiteName, BTreeSet<ResourceKey>>,
    /// What a Linux user has.
    users: HashMap<LinuxUser, BTreeSet<ResourceKey>>,
}

/// One resource.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Row {
    /// The newest state this worker has worked on.
    pub generation: Generation,
    /// How that ended.
    pub state: RowState,
    /// That state.
    pub spec: Arc<Job>,
    /// What the host serves: the same in memory where it is that state.
    pub applied: Option<(Generation, Arc<Job>)>,
}

/// How work on the newest state ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RowState {
    /// The host is so.
    Applied,
    /// It failed; what was applied before still serves.
    Parked,
}

impl RowState {
    /// The stored spelling.
    pub(super) const fn as_str(self) -> &'static str {
        match self {
            Self::Applied => "applied",
            Self::Parked => "parked",
        }
    }
}

impl Rows {
    /// One resource.
    #[must_use]
    pub fn get(&self, resource: ResourceKey) -> Option<&Row> {
        self.rows.get(&resource)
    }

    /// What the host serves of one resource.
    #[must_use]
    pub fn applied_of(&self, resource: ResourceKey) -> Option<&Job> {
        self.rows.get(&resource)?.applied.as_ref().map(|(_, job)| job.as_ref())
    }

    /// How many there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.rows.len()
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    /// Everything the host serves, deleted resources included.
    pub fn applied(&self) -> impl Iterator<Item = (ResourceKey, Generation, &Job)> {
        self.rows.iter().filter_map(|(key, row)| row.applied.as_ref().map(|(generation, job)| (*key, *generation, job.as_ref())))
    }

    /// What the host serves of a Linux user's, in the order of the keys.
    pub fn applied_of_user(&self, user: &LinuxUser) -> impl Iterator<Item = (ResourceKey, Generation, &Job)> {
        let keys = self.users.get(user).into_iter().flatten();
        keys.filter_map(|key| self.rows.get(key)?.applied.as_ref().map(|(generation, job)| (*key, *generation, job.as_ref())))
    }

    /// The applied sites that answer to a name.
    pub fn answering(&self, name: &SiteName) -> impl Iterator<Item = (ResourceKey, &SiteSpec)> {
        let keys = self.names.get(name).into_iter().flatten();
        keys.filter_map(|key| match self.applied_of(*key) {
            Some(Job::Site(spec)) => Some((*key, spec)),
            Some(Job::Account(_) | Job::PhpPool(_) | Job::Worker(_)) | None => None,
        })
    }

    /// Puts a row in place of the one that was there.
    pub(super) fn put(&mut self, resource: ResourceKey, row: Row) {
        let before = self.rows.insert(resource, row.clone()).and_then(|before| before.applied);
        if before == row.applied {
            return;
        }
        if let Some((_, job)) = before {
            self.unlist(resource, &job);
        }
        if let Some((_, job)) = row.applied.as_ref().filter(|(_, job)| !is_gone(job)) {
            if let Some(user) = user_of(job) {
                self.users.entry(user.clone()).or_default().insert(resource);
            }
            for name in names_of(job) {
                self.names.entry(name).or_default().insert(resource);
            }
        }
    }

    fn unlist(&mut self, resource: ResourceKey, job: &Job) {
        if let Some(user) = user_of(job) {
            remove(&mut self.users, user, resource);
        }
        for name in names_of(job) {
            remove(&mut self.names, &name, resource);
        }
    }
}

fn remove<K: std::hash::Hash + Eq>(index: &mut HashMap<K, BTreeSet<ResourceKey>>, key: &K, resource: ResourceKey) {
    if let Some(keys) = index.get_mut(key) {
        keys.remove(&resource);
        if keys.is_empty() {
            index.remove(key);
        }
    }
}

fn is_gone(job: &Job) -> bool {
    match job {
        Job::Account(spec) => spec.presence == Presence::Deleted,
        Job::PhpPool(spec) => spec.presence == PoolPresence::Deleted,
        Job::Site(spec) => spec.presence == Presence::Deleted,
        Job::Worker(_) => false,
    }
}

/// The Linux user a resource belongs to, if it is an account's.
#[must_use]
pub const fn user_of(job: &Job) -> Option<&LinuxUser> {
    match job {
        Job::Account(spec) => Some(&spec.user),
        Job::PhpPool(spec) => Some(&spec.user),
        Job::Site(spec) => Some(&spec.user),
        Job::Worker(_) => None,
    }
}

/// The names a resource answers to.
#[must_use]
pub fn names_of(job: &Job) -> Vec<SiteName> {
    match job {
        Job::Account(_) | Job::PhpPool(_) | Job::Worker(_) => Vec::new(),
        Job::Site(spec) => {
            let mut names = vec![SiteName::from(spec.domain.clone())];
            names.extend(spec.aliases.iter().cloned());
            names
        }
    }
}
