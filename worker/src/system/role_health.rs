//! Which roles this host can serve, and whether their daemons run. Reading only.

use std::path::Path;

use shared::events::RoleHealth;
use shared::role::Role;

use super::inspect::web_health;
use super::services;
use crate::engine::image::UnitState;

/// A daemon of a role: its program, by which it is known to be installed, and its unit.
struct Daemon {
    role: Role,
    name: &'static str,
    program: &'static str,
    /// None: it is run when there is something to do.
    unit: Option<&'static str>,
}

/// As Debian's packages install them.
const DAEMONS: [Daemon; 5] = [
    Daemon { role: Role::Db, name: "MariaDB", program: "/usr/sbin/mariadbd", unit: Some("mariadb.service") },
    Daemon { role: Role::Dns, name: "PowerDNS", program: "/usr/sbin/pdns_server", unit: Some("pdns.service") },
    Daemon { role: Role::Mail, name: "Postfix", program: "/usr/sbin/postfix", unit: Some("postfix.service") },
    Daemon { role: Role::Mail, name: "Dovecot", program: "/usr/sbin/dovecot", unit: Some("dovecot.service") },
    Daemon { role: Role::Backup, name: "restic", program: "/usr/bin/restic", unit: None },
];

/// A role is told of where a daemon of its own is installed: which ones the server is meant to have, its worker does not know.
pub(super) fn role_health() -> Vec<RoleHealth> {
    let installed = DAEMONS.iter().filter(|daemon| Path::new(daemon.program).exists());
    let is_active = |unit| services::units(&[unit]).is_ok_and(|states| states == [UnitState::Active]);
    let installed: Vec<(&Daemon, bool)> = installed.map(|daemon| (daemon, daemon.unit.is_none_or(is_active))).collect();
    let others = Role::ALL.into_iter().filter(|role| *role != Role::Web);
    web_health().into_iter().chain(others.filter_map(|role| summary(role, &installed))).collect()
}

/// One role's health, of its daemons and whether each runs. None if none is installed.
fn summary(role: Role, installed: &[(&Daemon, bool)]) -> Option<RoleHealth> {
    let own: Vec<&(&Daemon, bool)> = installed.iter().filter(|(daemon, _)| daemon.role == role).collect();
    if own.is_empty() {
        return None;
    }
    let stopped: Vec<String> = own.iter().filter(|(_, runs)| !runs).map(|(daemon, _)| format!("{} is not running", daemon.name)).collect();
    let healthy = stopped.is_empty();
    let summary = if healthy { own.iter().map(|(daemon, _)| daemon.name).collect::<Vec<_>>().join(", ") } else { stopped.join(", ") };
    Some(RoleHealth { role, healthy, summary })
}

#[cfg(test)]
mod tests {
    use super::{DAEMONS, Role, summary};

    #[test]
    fn a_role_is_healthy_when_each_of_its_daemons_runs_and_silent_when_none_is_installed() {
        let mail = |dovecot_runs| [(&DAEMONS[2], true), (&DAEMONS[3], dovecot_runs)];
        let well = summary(Role::Mail, &mail(true)).unwrap();
        assert_eq!((well.healthy, well.summary.as_str()), (true, "Postfix, Dovecot"));
        let ill = summary(Role::Mail, &mail(false)).unwrap();
        assert_eq!((ill.healthy, ill.summary.as_str()), (false, "Dovecot is not running"));
        assert!(summary(Role::Db, &mail(true)).is_none());
    }
}
