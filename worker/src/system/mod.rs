//! The host: the only privileged surface of the worker.
//!
//! **Nothing outside this module runs a program or opens a privileged file.** Programs are absolute paths with argument
//! vectors in an empty environment and under a time limit; there is no shell.
//! **No link is followed**: the directory of every path is opened component by component beneath `/` with links
//! refused, and the last component is never resolved. But for [`System::digest`], which says nothing of a content but whether it
//! is another.

mod around;
mod command;
#[cfg(feature = "testing")]
pub mod crashing;
#[cfg(feature = "testing")]
pub mod fake;
mod files;
mod host;
mod inspect;
mod nginx;
mod package;
mod passwd;
mod php;
mod probe;
mod removal;
mod role_health;
mod services;
mod stage;
mod systemd_bus;
mod users;
mod watched;

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use shared::events::{HostFacts, RoleHealth};
use shared::failure::FailureCode;
use shared::names::{DomainName, LinuxUser, PhpVersion};

use crate::engine::image::{DirectoryImage, Entry, FileImage, UnitState, UserImage, UserRecord};

pub(crate) use command::cut;
pub use command::{CommandError, programs_started};
pub use host::Host;
pub(crate) use nginx::NGINX;
pub use package::{Dpkg, Health, PackageHost, installed_version};
pub(crate) use package::{SIGN, Sign};
pub use probe::{PHP_PROBE_PATH, PROBE_PATH};
pub(crate) use services::NFT;
pub(crate) use stage::NGINX_TREE;
pub use stage::stage_child;
pub(crate) use watched::{HANGS_AFTER, Watch, Watched};

/// Everything the worker can see and do on a host. The real one is [`Host`].
///
/// Calls block; the engine makes them on threads for that, several at a time. A call either has its whole effect or, if it
/// fails, none that repeating it would not heal. One that takes several things may fail with some of them done.
pub trait System: Send + Sync {
    /// What lies at a path. Links are not followed.
    fn entry(&self, path: &Path) -> Result<Entry, SystemError>;
    /// The bytes of a regular file, up to [`CONTENT_LIMIT`].
    fn content(&self, path: &Path) -> Result<Vec<u8>, SystemError>;
    /// The SHA-256, in hexadecimal digits, of what a daemon reads that is given this path: links are followed, and a file may be of
    /// any size and have several names. Only for files of root's.
    fn digest(&self, path: &Path) -> Result<String, SystemError>;
    /// The names in a directory, sorted. Not for one that a tenant may fill.
    fn list(&self, path: &Path) -> Result<Vec<String>, SystemError>;
    /// Whether a directory holds one name and no more. It is not read any further, however many there are.
    fn holds_one(&self, path: &Path) -> Result<bool, SystemError>;
    /// Replaces a file: temporary file, fsync, rename, fsync of the directory.
    fn write_file(&self, file: &FileImage) -> Result<(), SystemError>;
    /// Makes a file; leaves a regular file that is there.
    fn create_file(&self, file: &FileImage) -> Result<(), SystemError>;
    /// Removes a file or link, and what a cut may have left of a new one beside it; fine if there is none.
    fn remove_file(&self, path: &Path) -> Result<(), SystemError>;
    /// Puts a symbolic link in place of what is there (nothing, a file or a link).
    fn link(&self, path: &Path, target: &Path) -> Result<(), SystemError>;
    /// Makes a directory or corrects its attributes.
    fn ensure_directory(&self, directory: &DirectoryImage) -> Result<(), SystemError>;
    /// Removes an empty directory; fine if there is none.
    fn remove_directory(&self, path: &Path) -> Result<(), SystemError>;
    /// Moves a tree within a file system; never replaces anything. Fine if it has been moved already.
    fn rename(&self, from: &Path, to: &Path) -> Result<(), SystemError>;
    /// Removes a tree, following no link and crossing into no other file system: so many names of it, and the rest when it
    /// is called again. Fine if there is none.
    fn remove_some(&self, path: &Path, most: usize) -> Result<Removed, SystemError>;

    /// A user by name.
    fn user(&self, name: &str) -> Result<Option<UserRecord>, SystemError>;
    /// The name of the user with a number.
    fn user_of_uid(&self, uid: u32) -> Result<Option<String>, SystemError>;
    /// The number of a group.
    fn group(&self, name: &str) -> Result<Option<u32>, SystemError>;
    /// The name of the group with a number.
    fn group_of_gid(&self, gid: u32) -> Result<Option<String>, SystemError>;
    /// Every user of the host's own files, by name.
    fn users(&self) -> Result<BTreeMap<String, UserRecord>, SystemError>;
    /// Makes users, their groups and memberships, and checks that they are what was asked.
    fn add_users(&self, users: &[&UserImage]) -> Result<(), SystemError>;
    /// Removes users and their groups; fine if one is gone.
    fn remove_users(&self, names: &[&LinuxUser]) -> Result<(), SystemError>;
    /// Sets password fields. Secrets: they go through standard input.
    fn set_passwords(&self, fields: &[(&LinuxUser, &str)]) -> Result<(), SystemError>;
    /// Sets or clears the expiry days of users.
    fn set_expiries(&self, days: &[(&LinuxUser, Option<i64>)]) -> Result<(), SystemError>;
    /// Ends every process of users, and returns when none is left.
    fn end_processes(&self, uids: &[u32]) -> Result<(), SystemError>;

    /// Whether units run, in the order asked.
    fn units(&self, units: &[&str]) -> Result<Vec<UnitState>, SystemError>;
    /// Every unit that runs. Starts no program where systemd answers itself.
    fn active_units(&self) -> Result<BTreeSet<String>, SystemError>;
    /// Starts units and waits for them.
    fn start_units(&self, units: &[&str]) -> Result<(), SystemError>;
    /// Has a unit started, and does not wait until it is.
    fn start_soon(&self, unit: &str) -> Result<(), SystemError>;
    /// Stops units and waits for them; fine if one is unknown.
    fn stop_units(&self, units: &[&str]) -> Result<(), SystemError>;
    /// Stops a socket, and does not wait for what its service is at: that is killed.
    fn stop_at_once(&self, socket: &str) -> Result<(), SystemError>;
    /// Reloads a unit; a slice takes on the limits that its file has.
    fn reload_unit(&self, unit: &str) -> Result<(), SystemError>;
    /// The services that match a pattern and run, with what they say of themselves.
    fn services(&self, pattern: &str) -> Result<Vec<ServiceStatus>, SystemError>;
    /// Has a service end what it has begun and then itself, and returns when it has, or soon after it was told: whether it runs
    /// then.
    fn finish_service(&self, unit: &str) -> Result<UnitState, SystemError>;
    /// `systemctl daemon-reload`.
    fn load_units(&self) -> Result<(), SystemError>;

    /// Runs nginx's own test on the tree with `changes` applied, in a private copy.
    fn test_nginx(&self, changes: &[StagedChange], live: LiveTest) -> Result<NginxTest, SystemError>;
    /// Has the running nginx read its configuration, and returns when only workers that have read it take connections, or
    /// when nginx has refused it. What they serve is for a probe to say.
    fn reload_nginx(&self) -> Result<(), SystemError>;
    /// Runs PHP-FPM's own test on pools of one version, on all of them together. What is said is said of all of them.
    fn test_php(&self, tests: &[PhpTest<'_>]) -> Result<Check, SystemError>;
    /// Runs nftables' own test on rules.
    fn test_packet_filter(&self, rules: &str) -> Result<Check, SystemError>;
    /// Whether the kernel has a table of this name in the family `inet`.
    fn filters_packets(&self, table: &str) -> Result<bool, SystemError>;
    /// Runs sshd's own test on the live configuration.
    fn test_sshd(&self) -> Result<Check, SystemError>;
    /// Asks a site on this host for its generation, once.
    fn probe(&self, domain: &DomainName, question: Question) -> Result<ProbeAnswer, SystemError>;
    /// How many children of a unit's main process run under a uid; 0 if the unit does not run.
    fn children(&self, unit: &str, uid: u32) -> Result<usize, SystemError>;
    /// Waits a little before asking again.
    fn pause(&self, time: Duration);

    /// Installed PHP versions, ascending.
    fn php_versions(&self) -> Result<Vec<PhpVersion>, SystemError>;
    /// Whether the host speaks IPv6.
    fn has_ipv6(&self) -> bool;
    /// Every role this host can serve, for the heartbeat: those of which a daemon is installed.
    fn role_health(&self) -> Vec<RoleHealth>;
    /// About the machine, for the heartbeat.
    fn host_facts(&self) -> HostFacts;
}

/// The largest file that is read whole. Configuration files are a few KiB.
pub const CONTENT_LIMIT: u64 = 1024 * 1024;

/// One difference between the live nginx tree and the one to be tested.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum StagedChange {
    /// A file is written.
    Write(FileImage),
    /// A link is put in place.
    Link {
        /// The link.
        path: PathBuf,
        /// Where it points.
        target: PathBuf,
    },
    /// A file or link is removed.
    Remove {
        /// Which.
        path: PathBuf,
    },
}

/// What a daemon said about its configuration.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Check {
    /// Whether it accepts it.
    pub accepted: bool,
    /// What it printed.
    pub output: String,
}

/// nginx's word on the candidate, and on the live tree where that is needed to judge the first.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct NginxTest {
    /// With the changes.
    pub candidate: Check,
    /// Without them. Absent if it was not asked for, or the candidate was accepted and no name is ignored.
    pub live: Option<Check>,
}

/// Whether the live tree is tested too, where that is needed to judge the candidate.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LiveTest {
    /// It is.
    IfNeeded,
    /// What it says is known, or does not matter.
    Never,
}

/// What nginx warns of when a name has two vhosts: one of them is ignored.
pub(crate) const NAME_IGNORED: &str = "conflicting server name";

/// A pool to be tested.
#[derive(Debug, Clone, Copy)]
pub struct PhpTest<'a> {
    /// Which PHP.
    pub version: PhpVersion,
    /// Whose.
    pub user: &'a LinuxUser,
    /// The whole configuration.
    pub config: &'a str,
}

/// A service that runs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServiceStatus {
    /// Its full name.
    pub unit: String,
    /// What it last told systemd of itself; may be empty.
    pub text: String,
}

/// How much of a tree was removed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Removed {
    /// Nothing is left.
    All,
    /// Something is.
    Part,
}

/// Who of a site is asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Question {
    /// nginx, which answers by itself.
    Vhost,
    /// The site's PHP.
    Php,
}

/// What a site answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ProbeAnswer {
    /// The vhost answered with its generation, and PHP, where it was asked, with its uid.
    Serving {
        /// Whose vhost it is, as it says itself. One that an older worker has written says nothing, nor does PHP.
        site: Option<DomainName>,
        /// The generation.
        generation: i64,
        /// The uid PHP runs under.
        uid: Option<u32>,
    },
    /// The question was taken, and nothing came back in time.
    Silent,
    /// nginx closed the connection: no site of this name.
    Unknown,
    /// Something else answered, or nothing did.
    Other(String),
}

/// Why the host did not do as it was told.
#[derive(Debug, thiserror::Error)]
pub enum SystemError {
    /// A file operation failed.
    #[error("could not {doing} {}", path.display())]
    File {
        /// The verb.
        doing: &'static str,
        /// On what.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// Something else lies where a file, directory or link of ours belongs.
    #[error("{} is {found}, expected {expected}", path.display())]
    Obstructed {
        /// Where.
        path: PathBuf,
        /// What lies there.
        found: &'static str,
        /// What belongs there.
        expected: &'static str,
    },
    /// A program failed.
    #[error(transparent)]
    Command(#[from] CommandError),
    /// A user or group came out different from what was asked.
    #[error("user {name}: {reason}")]
    User {
        /// Whose.
        name: String,
        /// What is wrong.
        reason: String,
    },
    /// A service does not run or does not do as asked.
    #[error("{unit} {reason}")]
    Service {
        /// Which.
        unit: String,
        /// What is wrong.
        reason: String,
    },
    /// nginx was told to read its configuration and went on with the one it had.
    #[error("nginx refused its new configuration and serves as before: {said}")]
    ReloadRefused {
        /// What its error log says.
        said: String,
    },
    /// A call into the operating system failed that concerns no file.
    #[error("could not {doing}")]
    Os {
        /// The verb.
        doing: &'static str,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// It was asked before, in vain, and not again.
    #[error(transparent)]
    Remembered(Arc<Self>),
    /// The worker is being cut off. Nothing more may be done, not even undoing; the next start recovers.
    #[error("interrupted")]
    Interrupted,
}

/// Where tenants have a say. Below it, something unexpected is a tenant's doing.
pub(crate) const HOMES: &str = "/home";

impl SystemError {
    /// The failure a job ends with.
    #[must_use]
    pub fn code(&self) -> FailureCode {
        match self {
            Self::File { path, source, .. } => file_code(path, source),
            Self::Obstructed { path, .. } if path.starts_with(HOMES) => FailureCode::TenantInterference,
            Self::Command(error) => error.code(),
            Self::User { .. } => FailureCode::UserConflict,
            Self::Service { .. } | Self::ReloadRefused { .. } => FailureCode::ServiceDown,
            Self::Remembered(error) => error.code(),
            Self::Obstructed { .. } | Self::Os { .. } | Self::Interrupted => FailureCode::Internal,
        }
    }

    /// Whether something lies where something else belongs.
    #[must_use]
    pub fn is_obstruction(&self) -> bool {
        match self {
            Self::Obstructed { .. } => true,
            Self::Remembered(error) => error.is_obstruction(),
            Self::File { .. } => self.code() == FailureCode::TenantInterference,
            Self::Command(_)
            | Self::User { .. }
            | Self::Service { .. }
            | Self::ReloadRefused { .. }
            | Self::Os { .. }
            | Self::Interrupted => false,
        }
    }
}

fn file_code(path: &Path, source: &io::Error) -> FailureCode {
    use io::ErrorKind as K;
    match source.kind() {
        K::StorageFull | K::QuotaExceeded | K::ReadOnlyFilesystem => FailureCode::DiskFull,
        // ELOOP: a component is a link. ENOTDIR, ENOTEMPTY, EISDIR: a tenant put one thing where another belongs.
        K::NotADirectory | K::IsADirectory | K::DirectoryNotEmpty if path.starts_with(HOMES) => FailureCode::TenantInterference,
        _ if source.raw_os_error() == Some(rustix::io::Errno::LOOP.raw_os_error()) && path.starts_with(HOMES) => {
            FailureCode::TenantInterference
        }
        _ => FailureCode::Internal,
    }
}
