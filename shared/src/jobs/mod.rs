//! Jobs: the full desired state of one resource, never a command.
//!
//! **A job can be delivered late, twice or out of order without harm**: the generation says which state is newer, the
//! receiver keeps the newest it has applied and drops anything older.
//! **A worker derives every path itself**: a job holds names, never paths on the host.

mod account;
mod php_pool;
mod site;
mod worker;

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

pub use account::{AccountLimits, AccountSpec, SealedCryptHash, SftpAccess};
pub use php_pool::{PhpPoolSpec, PhpSettings, PoolPresence, ProcessManager, SettingOutOfRange};
pub use site::{SiteKind, SiteSpec};
pub use worker::{WorkerPackage, WorkerSpec};

use crate::ids::{AccountId, Epoch, InvalidId, JobId, OperationId, PhpPoolId, ServerId, SiteId};
use crate::names::ServerName;

/// How a provisioned thing is wanted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Presence {
    /// Present and working.
    Active,
    /// Present and switched off; comes back exactly as it was.
    Suspended,
    /// Absent, with nothing left behind.
    Deleted,
}

/// The kinds of resource a worker provisions.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ResourceKind {
    /// A Linux user with its cell, slice and SFTP.
    Account,
    /// An account's PHP-FPM master for one PHP version.
    PhpPool,
    /// A vhost.
    Site,
    /// The worker itself.
    Worker,
}

impl ResourceKind {
    /// The stored and wire spelling.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Account => "account",
            Self::PhpPool => "php_pool",
            Self::Site => "site",
            Self::Worker => "worker",
        }
    }
}

impl fmt::Display for ResourceKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Names one resource in the whole installation. Spelled `kind:id` where it is stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum ResourceKey {
    /// An account.
    Account(AccountId),
    /// A PHP pool.
    PhpPool(PhpPoolId),
    /// A site.
    Site(SiteId),
    /// A server's worker.
    Worker(ServerId),
}

impl ResourceKey {
    /// The kind of resource.
    #[must_use]
    pub const fn kind(self) -> ResourceKind {
        match self {
            Self::Account(_) => ResourceKind::Account,
            Self::PhpPool(_) => ResourceKind::PhpPool,
            Self::Site(_) => ResourceKind::Site,
            Self::Worker(_) => ResourceKind::Worker,
        }
    }
}

impl fmt::Display for ResourceKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Account(id) => write!(f, "account:{id}"),
            Self::PhpPool(id) => write!(f, "php_pool:{id}"),
            Self::Site(id) => write!(f, "site:{id}"),
            Self::Worker(id) => write!(f, "worker:{id}"),
        }
    }
}

impl FromStr for ResourceKey {
    type Err = InvalidId;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text.split_once(':') {
            Some(("account", id)) => Ok(Self::Account(id.parse()?)),
            Some(("php_pool", id)) => Ok(Self::PhpPool(id.parse()?)),
            Some(("site", id)) => Ok(Self::Site(id.parse()?)),
            Some(("worker", id)) => Ok(Self::Worker(id.parse()?)),
            Some(_) | None => Err(InvalidId),
        }
    }
}

impl TryFrom<String> for ResourceKey {
    type Error = InvalidId;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        text.parse()
    }
}

impl From<ResourceKey> for String {
    fn from(key: ResourceKey) -> Self {
        key.to_string()
    }
}

/// Counts the desired states of one resource, from 1. A higher one is newer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Generation(pub i64);

impl Generation {
    /// The first desired state of a resource.
    pub const FIRST: Self = Self(1);

    /// The generation after this one.
    #[must_use]
    pub const fn next(self) -> Self {
        Self(self.0 + 1)
    }
}

impl fmt::Display for Generation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// A job does not start before this resource has reached this generation on the host.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Requirement {
    /// What is needed.
    pub resource: ResourceKey,
    /// The generation it must have reached, or any later one.
    pub generation: Generation,
}

/// The desired state of one resource.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum Job {
    /// An account.
    Account(AccountSpec),
    /// A PHP pool.
    PhpPool(PhpPoolSpec),
    /// A site.
    Site(SiteSpec),
    /// The server's worker.
    Worker(WorkerSpec),
}

impl Job {
    /// The kind of resource this is the state of.
    #[must_use]
    pub const fn kind(&self) -> ResourceKind {
        match self {
            Self::Account(_) => ResourceKind::Account,
            Self::PhpPool(_) => ResourceKind::PhpPool,
            Self::Site(_) => ResourceKind::Site,
            Self::Worker(_) => ResourceKind::Worker,
        }
    }

    /// Whether the resource is wanted gone.
    #[must_use]
    pub fn is_deletion(&self) -> bool {
        match self {
            Self::Account(spec) => spec.presence == Presence::Deleted,
            Self::PhpPool(spec) => spec.presence == PoolPresence::Deleted,
            Self::Site(spec) => spec.presence == Presence::Deleted,
            Self::Worker(_) => false,
        }
    }
}

/// The wire format's version. A worker refuses a higher one and asks for an upgrade.
pub const ENVELOPE_VERSION: u16 = 1;

/// A job as it travels: what, where, for whom, and how new. Signed as a whole (see `bus::signing`).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct JobEnvelope {
    /// The wire format, [`ENVELOPE_VERSION`].
    pub v: u16,
    /// This job.
    pub id: JobId,
    /// The request it belongs to.
    pub operation: OperationId,
    /// The panel's instance.
    pub epoch: Epoch,
    /// The server it is for. A worker refuses a job for another.
    pub server: ServerName,
    /// Jobs of one account run in order. A job about the server itself has [`AccountId::lane_of`] it.
    pub account: AccountId,
    /// The resource whose state this is.
    pub resource: ResourceKey,
    /// How new the state is.
    pub generation: Generation,
    /// What must be there first.
    #[serde(default)]
    pub requires: Vec<Requirement>,
    /// How often the panel has sent this job, from 1. A higher attempt of the same generation is a Retry.
    pub attempt: u32,
    /// The state itself.
    pub job: Job,
}

/// What a worker reads of a job that is newer than itself: enough to say so. Its resource may be of a kind that the worker does
/// not know.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct JobHeader {
    /// As in [`JobEnvelope`].
    pub v: u16,
    /// As in [`JobEnvelope`].
    pub id: JobId,
    /// As in [`JobEnvelope`].
    pub operation: OperationId,
    /// As in [`JobEnvelope`].
    pub epoch: Epoch,
    /// As in [`JobEnvelope`].
    pub server: ServerName,
    /// As in [`JobEnvelope`].
    pub attempt: u32,
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::{JobEnvelope, JobHeader, ResourceKey};
    use crate::ids::{AccountId, Epoch, JobId, OperationId, PhpPoolId, ServerId, SiteId};

    #[test]
    fn the_header_of_a_job_from_the_future_can_be_read() {
        let job = json!({
            "v": 2, "id": JobId::new(), "operation": OperationId::new(), "epoch": Epoch::new(), "server": "web1",
            "resource": format!("hologram:{}", SiteId::new()), "generation": 3, "attempt": 1, "job": {"type": "hologram"},
        });
        assert!(serde_json::from_value::<JobEnvelope>(job.clone()).is_err());
        assert_eq!(serde_json::from_value::<JobHeader>(job).unwrap().v, 2);
    }

    #[test]
    fn a_resource_key_reads_back_what_it_is_spelled_as() {
        for key in [
            ResourceKey::Account(AccountId::new()),
            ResourceKey::PhpPool(PhpPoolId::new()),
            ResourceKey::Site(SiteId::new()),
            ResourceKey::Worker(ServerId::new()),
        ] {
            assert_eq!(key.to_string().parse(), Ok(key));
            assert!(key.to_string().starts_with(key.kind().as_str()));
        }
        assert!("zone:0".parse::<ResourceKey>().is_err());
    }
}
