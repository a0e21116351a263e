//! A host in memory, for fast tests of everything above the operating system. It supplements tests on real hosts and
//! replaces none.
//!
//! Files have owners, modes and lists; users, units and nginx's vhosts are understood as far as plans need them. The n-th
//! changing call can be made to fail, or to cut the worker off before or after its effect.

mod by_hand;
mod host;
mod nginx;
mod state;
mod trouble;

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};

use shared::names::PhpVersion;

use self::trouble::Planned;
use super::SystemError;
use crate::engine::image::{Acl, Owner, UserImage, UserRecord};

pub use trouble::Trouble;

/// A host in memory.
#[derive(Debug)]
pub struct FakeSystem {
    state: Mutex<State>,
    let_go: Condvar,
}

/// All that a host is, comparable.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Snapshot {
    /// What lies where.
    pub nodes: BTreeMap<PathBuf, Node>,
    /// Users by name.
    pub users: BTreeMap<String, UserRecord>,
    /// Groups that no user has as his own, by name.
    pub groups: BTreeMap<String, u32>,
    /// Units that run.
    pub active: BTreeSet<String>,
    /// What nginx has loaded.
    pub serving: Vec<nginx::Vhost>,
    /// What systemd has read of each slice.
    pub slices: BTreeMap<PathBuf, Vec<u8>>,
}

/// Something at a path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Node {
    /// A file.
    File {
        /// Whose.
        owner: Owner,
        /// Permission bits.
        mode: u32,
        /// Its text.
        content: Vec<u8>,
    },
    /// A directory.
    Directory {
        /// Whose.
        owner: Owner,
        /// Permission bits.
        mode: u32,
        /// Rights beyond them.
        acl: Acl,
    },
    /// A link.
    Link {
        /// Where it points.
        target: PathBuf,
    },
    /// A pipe.
    Pipe,
}

#[derive(Debug)]
struct State {
    host: Snapshot,
    php: Vec<PhpVersion>,
    changes: usize,
    trouble: Option<Planned>,
    /// What stalls, until it is let go.
    stalled: Option<String>,
    /// A file that somebody saves just before a change of a thing.
    at_change: Option<(String, PathBuf, Node)>,
    cut: bool,
    /// systemd answers nothing; how often it was asked what runs.
    systemd_silent: bool,
    units_asked: usize,
    refuses_php: bool,
    refuses_php_of: BTreeSet<String>,
    busy: BTreeMap<String, usize>,
    held: BTreeSet<String>,
    waking: BTreeMap<String, usize>,
    /// So many reloads nginx refuses.
    deaf: usize,
    /// These do not end when they are told to finish.
    deaf_units: BTreeSet<String>,
    restless: Option<String>,
    flushed: bool,
    tests: usize,
    live_tests: usize,
    reloads: usize,
}

impl Default for FakeSystem {
    fn default() -> Self {
        Self::new()
    }
}

impl FakeSystem {
    /// A Debian host with nginx, sshd and PHP 8.2 and 8.4, as its packages leave it.
    #[must_use]
    pub fn new() -> Self {
        let mut nodes = BTreeMap::new();
        for path in DIRECTORIES {
            let directory = Node::Directory { owner: Owner::ROOT, mode: 0o755, acl: Acl::default() };
            nodes.insert(PathBuf::from(*path), directory);
        }
        let file = |content: &str| Node::File { owner: Owner::ROOT, mode: 0o644, content: content.as_bytes().to_vec() };
        nodes.insert("/usr/sbin/nginx".into(), file(""));
        nodes.insert("/usr/sbin/nft".into(), file(""));
        let conf = "user www-data;\ninclude /etc/nginx/modules-enabled/*.conf;\nevents {\n\tworker_connections 768;\n}\n";
        nodes.insert("/etc/nginx/nginx.conf".into(), file(conf));
        nodes.insert("/etc/nginx/sites-available/default".into(), file("server { listen 80 default_server; server_name _; }\n"));
        nodes.insert("/etc/nginx/sites-enabled/default".into(), Node::Link { target: "/etc/nginx/sites-available/default".into() });
        let web = UserRecord {
            uid: 33,
            gid: 33,
            group: "www-data".to_owned(),
            comment: "www-data".to_owned(),
            groups: Vec::new(),
            password: "*".to_owned(),
            expires: None,
        };
        let host = Snapshot {
            slices: BTreeMap::new(),
            nodes,
            users: BTreeMap::from([("www-data".to_owned(), web)]),
            groups: BTreeMap::new(),
            active: ["nginx.service", "ssh.service"].map(str::to_owned).into(),
            serving: Vec::new(),
        };
        let php = ["8.2", "8.4"].into_iter().filter_map(|version| version.parse().ok()).collect();
        let state = State {
            host,
            php,
            changes: 0,
            trouble: None,
            stalled: None,
            at_change: None,
            cut: false,
            systemd_silent: false,
            units_asked: 0,
            refuses_php: false,
            refuses_php_of: BTreeSet::new(),
            busy: BTreeMap::new(),
            held: BTreeSet::new(),
            waking: BTreeMap::new(),
            deaf: 0,
            deaf_units: BTreeSet::new(),
            restless: None,
            flushed: false,
            tests: 0,
            live_tests: 0,
            reloads: 0,
        };
        Self { state: Mutex::new(state), let_go: Condvar::new() }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The host as it is now.
    #[must_use]
    pub fn snapshot(&self) -> Snapshot {
        self.lock().host.clone()
    }

    /// No more trouble; a cut-off worker can start again.
    pub fn heal(&self) {
        let mut state = self.lock();
        (state.trouble, state.cut, state.changes) = (None, false, 0);
        (state.tests, state.live_tests, state.reloads) = (0, 0, 0);
    }

    /// How often nginx and PHP-FPM were asked about configurations since [`Self::heal`].
    #[must_use]
    pub fn tests(&self) -> usize {
        self.lock().tests
    }

    /// How often nginx was asked about the tree as it is, to judge another, since [`Self::heal`].
    #[must_use]
    pub fn live_tests(&self) -> usize {
        self.lock().live_tests
    }

    /// How often nginx was told to read its configuration since [`Self::heal`].
    #[must_use]
    pub fn reloads(&self) -> usize {
        self.lock().reloads
    }

    /// Uninstalls every PHP.
    pub fn remove_php(&self) {
        self.lock().php.clear();
    }

    /// From now on PHP-FPM refuses every pool.
    pub fn refuse_php(&self) {
        self.lock().refuses_php = true;
    }

    /// From now on PHP-FPM refuses every pool of a user.
    pub fn refuse_php_of(&self, user: &str) {
        self.lock().refuses_php_of.insert(user.to_owned());
    }

    /// From now on a pool (`shop-8.2`) takes requests and answers none; so many children are at work.
    pub fn keep_busy(&self, pool: &str, children: usize) {
        self.lock().busy.insert(pool.to_owned(), children);
    }

    /// From now on PHP answers nothing for a site, or a unit does not stop, until [`Self::let_go`].
    pub fn hold(&self, domain_or_unit: &str) {
        self.lock().held.insert(domain_or_unit.to_owned());
    }

    /// What was held goes on.
    pub fn let_go(&self) {
        let mut state = self.lock();
        state.held.clear();
        state.stalled = None;
        drop(state);
        self.let_go.notify_all();
    }

    /// The state, once none of these is held.
    fn lock_once_free(&self, subjects: &[&str]) -> MutexGuard<'_, State> {
        let held = |state: &mut State| subjects.iter().any(|subject| state.held.contains(*subject));
        self.let_go.wait_while(self.lock(), held).unwrap_or_else(PoisonError::into_inner)
    }

    /// A test of a configuration is counted, and goes on once [`TESTS`] are not held.
    fn begin_test(&self) -> Result<MutexGuard<'_, State>, SystemError> {
        {
            let mut state = self.lock();
            state.alive()?;
            state.tests += 1;
        }
        let state = self.lock_once_free(&[TESTS]);
        state.alive()?;
        Ok(state)
    }

    /// The master of an account's pools of a version is being started, and answers nothing to so many questions.
    pub fn wake_slowly(&self, user: &str, version: &str, questions: usize) {
        let mut state = self.lock();
        state.host.active.insert(format!("gantry-php{version}@{user}.service"));
        state.waking.insert(format!("{user}-{version}"), questions);
    }

    /// Throws all packet filter rules away, as an administrator's own rules that begin with that do.
    pub fn flush_packet_filter(&self) {
        self.lock().flushed = true;
    }

    /// From now on systemd does not say what runs.
    pub fn silence_systemd(&self) {
        self.lock().systemd_silent = true;
    }

    /// How often it was asked since.
    #[must_use]
    pub fn units_asked(&self) -> usize {
        self.lock().units_asked
    }

    /// From now on nginx refuses every reload, as it does when it runs out of descriptors.
    pub fn refuse_reloads(&self) {
        self.refuse_reloads_for(usize::MAX);
    }

    /// nginx refuses so many reloads.
    pub fn refuse_reloads_for(&self, reloads: usize) {
        self.lock().deaf = reloads;
    }
}

/// What [`FakeSystem::hold`] is told to hold every test of a configuration.
pub const TESTS: &str = "tests of configurations";

const DIRECTORIES: &[&str] = &[
    "/",
    "/etc",
    "/etc/logrotate.d",
    "/etc/nginx",
    "/etc/nginx/conf.d",
    "/etc/nginx/modules-enabled",
    "/etc/nginx/sites-available",
    "/etc/nginx/sites-enabled",
    "/etc/ssh",
    "/etc/ssh/sshd_config.d",
    "/etc/sysctl.d",
    "/etc/systemd",
    "/etc/systemd/system",
    "/etc/tmpfiles.d",
    "/home",
    "/run",
    "/usr",
    "/usr/lib",
    "/usr/sbin",
];

/// A user as systemd-sysusers makes one.
fn made(user: &UserImage) -> UserRecord {
    UserRecord {
        uid: user.uid,
        gid: user.uid,
        group: user.name.to_string(),
        comment: user.comment.clone(),
        groups: vec![user.member_of.clone()],
        password: "!*".to_owned(),
        expires: None,
    }
}

impl State {
    /// What was cut off sees nothing any more.
    fn alive(&self) -> Result<(), SystemError> {
        if self.cut { Err(SystemError::Interrupted) } else { Ok(()) }
    }

    fn active_units(&mut self) -> Result<BTreeSet<String>, SystemError> {
        self.alive()?;
        if self.systemd_silent {
            self.units_asked += 1;
            return Err(SystemError::Service { unit: "systemd".to_owned(), reason: "does not answer".to_owned() });
        }
        Ok(self.host.active.clone())
    }
}
