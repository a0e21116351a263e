//! The fake's [`System`].

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use data_encoding::HEXLOWER;
use sha2::{Digest, Sha256};
use shared::events::{HostFacts, RoleHealth};
use shared::names::{DomainName, LinuxUser, PhpVersion};
use shared::role::Role;

use super::state::{file_error, with_services};
use super::{FakeSystem, Node, State, made, nginx};
use crate::engine::image::{DirectoryImage, Entry, FileImage, UnitState, UserImage, UserRecord};
use crate::system::{
    CONTENT_LIMIT, Check, LiveTest, NAME_IGNORED, NginxTest, PhpTest, ProbeAnswer, Question, Removed, ServiceStatus, StagedChange, System,
    SystemError,
};

/// The unit that loads packet filter rules.
const FIREWALL: &str = "gantry-firewall.service";

fn shown(path: &Path) -> String {
    path.display().to_string()
}

fn names<T: ToString>(names: impl IntoIterator<Item = T>) -> String {
    names.into_iter().map(|name| name.to_string()).collect::<Vec<_>>().join(" ")
}

impl System for FakeSystem {
    fn entry(&self, path: &Path) -> Result<Entry, SystemError> {
        let state = self.lock();
        state.alive()?;
        Ok(match state.node(path) {
            None => Entry::Absent,
            Some(Node::File { owner, mode, content }) => Entry::File { owner: *owner, mode: *mode, len: content.len() as u64 },
            Some(Node::Directory { owner, mode, acl }) => Entry::Directory { owner: *owner, mode: *mode, acl: acl.clone() },
            Some(Node::Link { target }) => Entry::Link { target: target.clone() },
            Some(Node::Pipe) => Entry::Other { found: "a pipe" },
        })
    }

    fn content(&self, path: &Path) -> Result<Vec<u8>, SystemError> {
        let state = self.lock();
        state.alive()?;
        match state.node(path) {
            Some(Node::File { content, .. }) if content.len() as u64 > CONTENT_LIMIT => {
                Err(SystemError::Obstructed { path: path.to_owned(), found: "larger than 1 MiB", expected: "a configuration file" })
            }
            Some(Node::File { content, .. }) => Ok(content.clone()),
            Some(Node::Directory { .. } | Node::Link { .. } | Node::Pipe) | None => Err(file_error("read", path, io::ErrorKind::NotFound)),
        }
    }

    fn digest(&self, path: &Path) -> Result<String, SystemError> {
        let state = self.lock();
        state.alive()?;
        if let Some(content) = nginx::text(&state.host.nodes, path) {
            return Ok(HEXLOWER.encode(&Sha256::digest(content)));
        }
        match state.node(path) {
            Some(Node::Directory { .. } | Node::Pipe) => {
                Err(SystemError::Obstructed { path: path.to_owned(), found: "no file", expected: "a file" })
            }
            Some(Node::File { .. } | Node::Link { .. }) | None => Err(file_error("open", path, io::ErrorKind::NotFound)),
        }
    }

    fn list(&self, path: &Path) -> Result<Vec<String>, SystemError> {
        let state = self.lock();
        state.alive()?;
        let children = state.host.nodes.keys().filter(|key| key.parent() == Some(path));
        Ok(children.filter_map(|key| key.file_name()?.to_str().map(str::to_owned)).collect())
    }

    fn holds_one(&self, path: &Path) -> Result<bool, SystemError> {
        Ok(self.list(path)?.len() == 1)
    }

    fn write_file(&self, file: &FileImage) -> Result<(), SystemError> {
        let node = Node::File { owner: file.owner, mode: file.mode, content: file.content.0.clone() };
        self.change(&shown(&file.path), |state| state.put(&file.path, node))
    }

    fn create_file(&self, file: &FileImage) -> Result<(), SystemError> {
        self.change(&shown(&file.path), |state| match state.node(&file.path) {
            Some(Node::File { .. }) => Ok(()),
            Some(Node::Directory { .. } | Node::Link { .. } | Node::Pipe) => {
                Err(SystemError::Obstructed { path: file.path.clone(), found: "no plain file", expected: "a file" })
            }
            None => state.put(&file.path, Node::File { owner: file.owner, mode: file.mode, content: file.content.0.clone() }),
        })
    }

    fn remove_file(&self, path: &Path) -> Result<(), SystemError> {
        self.change(&shown(path), |state| {
            if let Some(Node::Directory { .. }) = state.node(path) {
                return Err(file_error("remove", path, io::ErrorKind::IsADirectory));
            }
            state.host.nodes.remove(path);
            state.host.slices.remove(path);
            Ok(())
        })
    }

    fn link(&self, path: &Path, target: &Path) -> Result<(), SystemError> {
        self.change(&shown(path), |state| state.put(path, Node::Link { target: target.to_owned() }))
    }

    fn ensure_directory(&self, directory: &DirectoryImage) -> Result<(), SystemError> {
        self.change(&shown(&directory.path), |state| {
            state.in_directory(&directory.path)?;
            if !matches!(state.node(&directory.path), None | Some(Node::Directory { .. })) {
                return Err(SystemError::Obstructed { path: directory.path.clone(), found: "no directory", expected: "a directory" });
            }
            let node = Node::Directory { owner: directory.owner, mode: directory.mode, acl: directory.acl.clone() };
            state.host.nodes.insert(directory.path.clone(), node);
            Ok(())
        })
    }

    fn remove_directory(&self, path: &Path) -> Result<(), SystemError> {
        self.change(&shown(path), |state| {
            if !state.below(path).is_empty() {
                return Err(file_error("remove", path, io::ErrorKind::DirectoryNotEmpty));
            }
            state.host.nodes.remove(path);
            Ok(())
        })
    }

    fn rename(&self, from: &Path, to: &Path) -> Result<(), SystemError> {
        self.change(&shown(from), |state| {
            state.in_directory(to)?;
            match (state.node(from).is_some(), state.node(to).is_some()) {
                (true, false) => {}
                (false, true) => return Ok(()),
                (true, true) => return Err(file_error("move", from, io::ErrorKind::AlreadyExists)),
                (false, false) => return Err(file_error("move", from, io::ErrorKind::NotFound)),
            }
            let mut moved = state.below(from);
            moved.push(from.to_owned());
            for path in moved {
                let target = path
                    .strip_prefix(from)
                    .map_or(to.to_owned(), |rest| if rest.as_os_str().is_empty() { to.to_owned() } else { to.join(rest) });
                if let Some(node) = state.host.nodes.remove(&path) {
                    state.host.nodes.insert(target, node);
                }
            }
            Ok(())
        })
    }

    fn remove_some(&self, path: &Path, most: usize) -> Result<Removed, SystemError> {
        self.change(&shown(path), |state| {
            // What lies deepest sorts last.
            let mut tree: Vec<PathBuf> = state.host.nodes.keys().filter(|key| key.starts_with(path)).cloned().collect();
            let left = tree.len().saturating_sub(most);
            for path in tree.split_off(left) {
                state.host.nodes.remove(&path);
            }
            Ok(if left == 0 { Removed::All } else { Removed::Part })
        })
    }

    fn user(&self, name: &str) -> Result<Option<UserRecord>, SystemError> {
        let state = self.lock();
        state.alive()?;
        Ok(state.host.users.get(name).cloned())
    }

    fn user_of_uid(&self, uid: u32) -> Result<Option<String>, SystemError> {
        let state = self.lock();
        state.alive()?;
        Ok(state.host.users.iter().find(|(_, user)| user.uid == uid).map(|(name, _)| name.clone()))
    }

    fn group(&self, name: &str) -> Result<Option<u32>, SystemError> {
        let user = self.user(name)?;
        Ok(user.map(|user| user.gid).or_else(|| self.lock().host.groups.get(name).copied()))
    }

    fn group_of_gid(&self, gid: u32) -> Result<Option<String>, SystemError> {
        let user = self.user_of_uid(gid)?;
        let left = |state: &State| state.host.groups.iter().find(|(_, number)| **number == gid).map(|(name, _)| name.clone());
        Ok(user.or_else(|| left(&self.lock())))
    }

    fn users(&self) -> Result<BTreeMap<String, UserRecord>, SystemError> {
        let state = self.lock();
        state.alive()?;
        Ok(state.host.users.clone())
    }

    fn add_users(&self, users: &[&UserImage]) -> Result<(), SystemError> {
        self.change(&names(users.iter().map(|user| &user.name)), |state| {
            for user in users {
                state.host.groups.remove(user.name.as_str());
                state.host.users.entry(user.name.to_string()).or_insert_with(|| made(user));
            }
            Ok(())
        })
    }

    fn remove_users(&self, gone: &[&LinuxUser]) -> Result<(), SystemError> {
        self.change(&names(gone), |state| {
            state.host.users.retain(|name, _| gone.iter().all(|user| user.as_str() != name));
            state.host.groups.retain(|name, _| gone.iter().all(|user| user.as_str() != name));
            Ok(())
        })
    }

    fn set_passwords(&self, fields: &[(&LinuxUser, &str)]) -> Result<(), SystemError> {
        self.change(&names(fields.iter().map(|(name, _)| name)), |state| {
            for (name, field) in fields {
                (*field).clone_into(&mut state.user_mut(name)?.password);
            }
            Ok(())
        })
    }

    fn set_expiries(&self, days: &[(&LinuxUser, Option<i64>)]) -> Result<(), SystemError> {
        self.change(&names(days.iter().map(|(name, _)| name)), |state| {
            for (name, day) in days {
                state.user_mut(name)?.expires = *day;
            }
            Ok(())
        })
    }

    fn end_processes(&self, _uids: &[u32]) -> Result<(), SystemError> {
        self.change("processes", |_| Ok(()))
    }

    fn units(&self, units: &[&str]) -> Result<Vec<UnitState>, SystemError> {
        let state = self.lock();
        state.alive()?;
        let state_of = |unit: &&str| if state.host.active.contains(*unit) { UnitState::Active } else { UnitState::Inactive };
        Ok(units.iter().map(state_of).collect())
    }

    fn active_units(&self) -> Result<BTreeSet<String>, SystemError> {
        self.lock().active_units()
    }

    fn start_units(&self, units: &[&str]) -> Result<(), SystemError> {
        self.change(&names(units), |state| {
            state.host.active.extend(units.iter().map(|unit| (*unit).to_owned()));
            Ok(())
        })
    }

    fn start_soon(&self, unit: &str) -> Result<(), SystemError> {
        self.start_units(&[unit])
    }

    fn stop_units(&self, units: &[&str]) -> Result<(), SystemError> {
        let stopped = with_services(units);
        drop(self.lock_once_free(&stopped.iter().map(String::as_str).collect::<Vec<_>>()));
        self.change(&names(units), |state| {
            state.host.active.retain(|unit| !stopped.contains(unit));
            Ok(())
        })
    }

    fn stop_at_once(&self, socket: &str) -> Result<(), SystemError> {
        let stopped = with_services(&[socket]);
        self.change(socket, |state| {
            state.host.active.retain(|unit| !stopped.contains(unit));
            Ok(())
        })
    }

    fn reload_unit(&self, unit: &str) -> Result<(), SystemError> {
        self.change(unit, |state| {
            state.flushed &= unit != FIREWALL;
            state.read_slices(unit);
            Ok(())
        })
    }

    fn services(&self, _pattern: &str) -> Result<Vec<ServiceStatus>, SystemError> {
        Ok(Vec::new())
    }

    fn finish_service(&self, unit: &str) -> Result<UnitState, SystemError> {
        if self.lock().deaf_units.contains(unit) {
            return Ok(UnitState::Active);
        }
        self.stop_units(&[unit]).map(|()| UnitState::Inactive)
    }

    fn load_units(&self) -> Result<(), SystemError> {
        self.change("units", |state| {
            state.read_slices("");
            Ok(())
        })
    }

    fn test_nginx(&self, changes: &[StagedChange], live: LiveTest) -> Result<NginxTest, SystemError> {
        let mut state = self.begin_test()?;
        let candidate = nginx::test(&nginx::staged(&state.host.nodes, changes));
        let clean = candidate.accepted && !candidate.output.contains(NAME_IGNORED);
        let asked = live == LiveTest::IfNeeded && !clean;
        state.live_tests += usize::from(asked);
        Ok(NginxTest { candidate, live: asked.then(|| nginx::test(&state.host.nodes)) })
    }

    fn reload_nginx(&self) -> Result<(), SystemError> {
        self.change("signal nginx", |state| {
            state.reloads += 1;
            if state.deaf > 0 {
                state.deaf -= 1;
                return Err(SystemError::ReloadRefused { said: "[emerg] made to refuse".to_owned() });
            }
            nginx::reload(&mut state.host)
        })
    }

    fn test_php(&self, tests: &[PhpTest<'_>]) -> Result<Check, SystemError> {
        let state = self.begin_test()?;
        let refused = state.refuses_php || tests.iter().any(|test| state.refuses_php_of.contains(test.user.as_str()));
        let output = if refused { "[pool.conf:9] unknown entry" } else { "test is successful" };
        Ok(Check { accepted: !refused, output: output.to_owned() })
    }

    fn test_packet_filter(&self, _rules: &str) -> Result<Check, SystemError> {
        self.lock().alive()?;
        Ok(Check { accepted: true, output: String::new() })
    }

    fn filters_packets(&self, _table: &str) -> Result<bool, SystemError> {
        let state = self.lock();
        state.alive()?;
        Ok(state.host.active.contains(FIREWALL) && !state.flushed)
    }

    fn test_sshd(&self) -> Result<Check, SystemError> {
        self.lock().alive()?;
        Ok(Check { accepted: true, output: String::new() })
    }

    fn probe(&self, domain: &DomainName, question: Question) -> Result<ProbeAnswer, SystemError> {
        let mut state = if question == Question::Php { self.lock_once_free(&[domain.as_str()]) } else { self.lock() };
        state.alive()?;
        let silent = state.busy.keys().chain(state.waking.keys()).cloned().collect();
        let mut answer = nginx::probe(&state.host, &silent, domain.as_str(), question);
        if let ProbeAnswer::Serving { generation, .. } = &mut answer
            && state.restless.as_deref() == Some(domain.as_str())
        {
            *generation = i64::try_from(state.reloads).unwrap_or_default();
        }
        if answer == ProbeAnswer::Silent {
            state.waking.values_mut().for_each(|left| *left -= 1);
            state.waking.retain(|_, left| *left > 0);
        }
        Ok(answer)
    }

    fn children(&self, unit: &str, _uid: u32) -> Result<usize, SystemError> {
        let state = self.lock();
        state.alive()?;
        // gantry-php8.2@shop.service is the pool shop-8.2.
        let pool = unit.strip_prefix("gantry-php").and_then(|rest| rest.strip_suffix(".service")).and_then(|rest| rest.split_once('@'));
        Ok(pool.and_then(|(version, user)| state.busy.get(&format!("{user}-{version}"))).copied().unwrap_or(0))
    }

    fn pause(&self, _time: Duration) {}

    fn php_versions(&self) -> Result<Vec<PhpVersion>, SystemError> {
        let state = self.lock();
        state.alive()?;
        Ok(state.php.clone())
    }

    fn has_ipv6(&self) -> bool {
        true
    }

    fn role_health(&self) -> Vec<RoleHealth> {
        let state = self.lock();
        let healthy = state.host.active.contains("nginx.service");
        let web = RoleHealth { role: Role::Web, healthy, summary: "nginx 1.22.1".to_owned() };
        state.node(Path::new("/usr/sbin/nginx")).map(|_| web).into_iter().collect()
    }

    fn host_facts(&self) -> HostFacts {
        HostFacts { os: "Debian GNU/Linux 12 (bookworm)".to_owned(), cpus: 2, ..HostFacts::default() }
    }
}
