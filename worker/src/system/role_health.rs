//! Which roles this host can serve, and whether their daemons run. Reading only.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::SystemTime;

use shared::events::RoleHealth;
use shared::role::Role;

use super::command::Program;
use super::inspect::web_health;
use super::services::SYSTEMCTL;

/// A daemon of a role: its program, by which it is known to be installed, and the package that has it.
struct Daemon {
    role: Role,
    name: &'static str,
    program: &'static str,
    package: &'static str,
    /// Where it may run; none: it is run when there is something to do.
    units: &'static [&'static str],
}

/// As Debian's packages install them. Postfix runs in an instance of its own on Debian 12, where `postfix.service` has no process.
const DAEMONS: [Daemon; 5] = [
    Daemon { role: Role::Db, name: "MariaDB", program: "/usr/sbin/mariadbd", package: "mariadb-server-core", units: &["mariadb.service"] },
    Daemon { role: Role::Dns, name: "PowerDNS", program: "/usr/sbin/pdns_server", package: "pdns-server", units: &["pdns.service"] },
    Daemon {
        role: Role::Mail,
        name: "Postfix",
        program: "/usr/sbin/postfix",
        package: "postfix",
        units: &["postfix@-.service", "postfix.service"],
    },
    Daemon { role: Role::Mail, name: "Dovecot", program: "/usr/sbin/dovecot", package: "dovecot-core", units: &["dovecot.service"] },
    Daemon { role: Role::Backup, name: "restic", program: "/usr/bin/restic", package: "restic", units: &[] },
];

/// How a daemon was found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Found {
    Missing,
    Stopped,
    Running,
}

/// A role is told of where a daemon of its own is installed: which ones the server is meant to have, its worker does not know.
pub(super) fn role_health() -> Vec<RoleHealth> {
    let versions = versions();
    let found = DAEMONS.each_ref().map(|daemon| (daemon, find(daemon)));
    let others = Role::ALL.into_iter().filter(|role| *role != Role::Web);
    web_health().into_iter().chain(others.filter_map(|role| summary(role, &found, &versions))).collect()
}

fn find(daemon: &Daemon) -> Found {
    if !Path::new(daemon.program).exists() {
        Found::Missing
    } else if daemon.units.is_empty() || runs(daemon.units) {
        Found::Running
    } else {
        Found::Stopped
    }
}

/// One role's health, of its daemons and how each was found. None if none is installed.
fn summary(role: Role, found: &[(&Daemon, Found)], versions: &BTreeMap<String, String>) -> Option<RoleHealth> {
    let own: Vec<&(&Daemon, Found)> = found.iter().filter(|(daemon, _)| daemon.role == role).collect();
    if own.iter().all(|(_, found)| *found == Found::Missing) {
        return None;
    }
    let named = |daemon: &Daemon| match versions.get(daemon.package) {
        Some(version) => format!("{} {version}", daemon.name),
        None => daemon.name.to_owned(),
    };
    let wrong = own.iter().filter_map(|(daemon, found)| match found {
        Found::Missing => Some(format!("{} is not installed", daemon.name)),
        Found::Stopped => Some(format!("{} is not running", named(daemon))),
        Found::Running => None,
    });
    let wrong: Vec<String> = wrong.collect();
    let healthy = wrong.is_empty();
    let said = if healthy { own.iter().map(|(daemon, _)| named(daemon)).collect() } else { wrong };
    Some(RoleHealth { role, healthy, summary: said.join(", ") })
}

/// Whether a daemon runs in one of these units.
pub(super) fn runs(units: &[&str]) -> bool {
    let mut program = Program::new(SYSTEMCTL).arg("show").arg("--property=ActiveState,SubState").arg("--");
    for unit in units {
        program = program.arg(unit);
    }
    program.run().is_ok_and(|shown| shown.stdout.split("\n\n").any(is_running))
}

/// Whether what systemd shows of a unit says that its process is there. **One that it starts again and again does not run**, nor
/// does one that has ended well.
fn is_running(shown: &str) -> bool {
    let property = |key: &str| shown.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix('=')).unwrap_or_default();
    let state = property("SubState");
    matches!(property("ActiveState"), "active" | "reloading") && (state == "running" || state.starts_with("reload"))
}

/// What dpkg knows of all packages, made anew with each change.
const DPKG_STATUS: &str = "/var/lib/dpkg/status";
const DPKG_QUERY: &str = "/usr/bin/dpkg-query";

/// Versions by package, and when dpkg had last changed anything before they were read.
type Versions = (SystemTime, Arc<BTreeMap<String, String>>);

/// A heartbeat comes every ten seconds, and what is installed changes every few weeks.
static VERSIONS: Mutex<Option<Versions>> = Mutex::new(None);

/// The versions of the daemons' packages. Of one that dpkg does not know nothing is said.
fn versions() -> Arc<BTreeMap<String, String>> {
    let Ok(changed) = fs::metadata(DPKG_STATUS).and_then(|status| status.modified()) else { return Arc::default() };
    let mut known = VERSIONS.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some((at, versions)) = &*known
        && *at == changed
    {
        return Arc::clone(versions);
    }
    let mut query = Program::new(DPKG_QUERY).arg("--show").arg("--showformat=${db:Status-Status} ${Package} ${Version}\n");
    for daemon in &DAEMONS {
        query = query.arg(daemon.package);
    }
    // It ends badly if it does not know one of them, and says the others.
    let Ok(said) = query.finish() else { return Arc::default() };
    let versions = Arc::new(versions_of(&said.stdout));
    *known = Some((changed, Arc::clone(&versions)));
    versions
}

/// Of lines such as `installed dovecot-core 1:2.3.19.1+dfsg1-2.1+deb12u1`.
fn versions_of(said: &str) -> BTreeMap<String, String> {
    let version = |line: &str| {
        let (package, version) = line.strip_prefix("installed ")?.split_once(' ')?;
        Some((package.to_owned(), upstream(version).to_owned()))
    };
    said.lines().filter_map(version).collect()
}

/// Without Debian's own parts: `2.3.19.1`.
fn upstream(version: &str) -> &str {
    let version = version.split_once(':').map_or(version, |(_, after)| after);
    let version = version.rsplit_once('-').map_or(version, |(before, _)| before);
    version.split_once('+').map_or(version, |(before, _)| before)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::{DAEMONS, Found, Role, is_running, summary, versions_of};

    fn mail(postfix: Found, dovecot: Found, versions: &BTreeMap<String, String>) -> Option<(bool, String)> {
        let health = summary(Role::Mail, &[(&DAEMONS[2], postfix), (&DAEMONS[3], dovecot)], versions)?;
        Some((health.healthy, health.summary))
    }

    #[test]
    fn a_role_is_healthy_when_each_of_its_daemons_runs_and_silent_when_none_is_installed() {
        let said = |healthy: bool, summary: &str| Some((healthy, summary.to_owned()));
        for (postfix, dovecot, expected) in [
            (Found::Running, Found::Running, said(true, "Postfix, Dovecot")),
            (Found::Running, Found::Stopped, said(false, "Dovecot is not running")),
            (Found::Stopped, Found::Stopped, said(false, "Postfix is not running, Dovecot is not running")),
            (Found::Running, Found::Missing, said(false, "Dovecot is not installed")),
            (Found::Stopped, Found::Missing, said(false, "Postfix is not running, Dovecot is not installed")),
            (Found::Missing, Found::Missing, None),
        ] {
            assert_eq!(mail(postfix, dovecot, &BTreeMap::new()), expected, "{postfix:?} {dovecot:?}");
        }
        assert!(summary(Role::Db, &[(&DAEMONS[2], Found::Running)], &BTreeMap::new()).is_none());
    }

    #[test]
    fn a_daemon_is_told_of_with_its_version_as_its_makers_count_it() {
        let versions = versions_of(
            "installed dovecot-core 1:2.3.19.1+dfsg1-2.1+deb12u1\ninstalled postfix 3.7.11-0+deb12u1\nconfig-files restic 0.14.0-1+b5\n",
        );
        assert_eq!(mail(Found::Running, Found::Running, &versions), Some((true, "Postfix 3.7.11, Dovecot 2.3.19.1".to_owned())));
        assert_eq!(mail(Found::Stopped, Found::Running, &versions), Some((false, "Postfix 3.7.11 is not running".to_owned())));
        assert!(!versions.contains_key("restic"), "it has been removed");
    }

    #[test]
    fn a_daemon_that_systemd_starts_again_and_again_or_that_has_ended_does_not_run() {
        for (active, sub, expected) in [
            ("active", "running", true),
            ("reloading", "reload", true),
            ("reloading", "reload-notify", true),
            ("activating", "auto-restart", false),
            ("activating", "start", false),
            ("active", "exited", false),
            ("deactivating", "stop-sigterm", false),
            ("failed", "failed", false),
            ("inactive", "dead", false),
        ] {
            assert_eq!(is_running(&format!("ActiveState={active}\nSubState={sub}\n")), expected, "{active} {sub}");
        }
        assert!(!is_running(""));
    }

    #[test]
    fn the_unit_that_stands_for_all_instances_of_postfix_says_nothing_of_postfix() {
        let runs = |shown: &str| shown.split("\n\n").any(is_running);
        let dead = "ActiveState=inactive\nSubState=dead";
        let debian_12 = "ActiveState=active\nSubState=exited\n";
        let debian_13 = "ActiveState=active\nSubState=running\n";
        assert!(!runs(&format!("{dead}\n\n{debian_12}")));
        assert!(runs(&format!("ActiveState=active\nSubState=running\n\n{debian_12}")));
        assert!(runs(&format!("{dead}\n\n{debian_13}")));
    }
}
