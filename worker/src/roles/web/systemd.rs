//! systemd units as text.

use std::fmt::Write;

use shared::jobs::AccountLimits;
use shared::names::{LinuxUser, PhpVersion, Uid};

use super::{WEB_USER, paths};

const MARK: &str = "# Made by Gantry. Changes here are overwritten.\n";

/// An account's slice: everything the account runs is in it.
#[must_use]
pub fn slice(user: &LinuxUser, limits: AccountLimits) -> String {
    let AccountLimits { cpu_percent, memory_mib, tasks } = limits;
    let mut text = format!("{MARK}[Unit]\nDescription=Gantry account {user}\n\n[Slice]\n");
    let mut line = |key: &str, value: Option<u32>, unit: &str| {
        if let Some(value) = value {
            let _ = writeln!(text, "{key}={value}{unit}");
        }
    };
    line("CPUQuota", cpu_percent, "%");
    line("MemoryMax", memory_mib, "M");
    line("TasksMax", tasks, "");
    text
}

/// The slice around all accounts.
#[must_use]
pub fn outer_slice() -> String {
    format!("{MARK}[Unit]\nDescription=Gantry accounts\n\n[Slice]\n")
}

/// The socket of a pool: it listens while the pool sleeps, in a directory that is root's.
#[must_use]
pub fn php_socket(version: PhpVersion) -> String {
    let sockets = paths::SOCKETS;
    format!(
        "{MARK}[Unit]\nDescription=PHP {version} socket of account %i\n\n[Socket]\nListenStream={sockets}/%i-{version}.sock\n\
         SocketUser=%i\nSocketGroup={WEB_USER}\nSocketMode=0660\nRemoveOnStop=yes\n\
         # A burst of requests must never close the socket for good.\nTriggerLimitIntervalSec=0\n\n\
         [Install]\nWantedBy=sockets.target\n"
    )
}

/// The master of a pool, as the account's user: it can read nothing but its own cell and the system.
#[must_use]
pub fn php_service(version: PhpVersion) -> String {
    let (sockets, config, homes) = (paths::SOCKETS, paths::CONFIG, paths::HOMES);
    format!(
        "{MARK}[Unit]\nDescription=PHP {version} of account %i\nRequires=gantry-php{version}@%i.socket\n\
         After=gantry-php{version}@%i.socket network.target\nStartLimitIntervalSec=0\nCollectMode=inactive-or-failed\n\n\
         [Service]\nType=notify\nNotifyAccess=main\nUser=%i\nGroup=%i\nSlice=gantry-%i.slice\nUMask=0027\n\
         Environment=FPM_SOCKETS={sockets}/%i-{version}.sock=3\n\
         ExecStart=/usr/sbin/php-fpm{version} --nodaemonize --fpm-config {config}/php/%i-{version}.conf\n\
         # As root: what runs as the account's user, the account's own processes can stop, and those who wait for it with it.\n\
         ExecReload=+/bin/kill -USR2 $MAINPID\nKillMode=mixed\nKillSignal=SIGQUIT\n\
         # One that is stopped while it still starts has no handler for the signal yet, and has not failed.\n\
         SuccessExitStatus=SIGQUIT\nTimeoutStartSec=20s\nTimeoutStopSec=20s\n\
         Restart=on-failure\nRestartSec=1s\n\n{}",
        confinement(homes)
    )
}

/// What the master and its scripts cannot do.
fn confinement(homes: &str) -> String {
    format!(
        "NoNewPrivileges=yes\nCapabilityBoundingSet=\nAmbientCapabilities=\nPrivateTmp=yes\nPrivateDevices=yes\nPrivateIPC=yes\n\
         ProtectSystem=strict\nBindPaths={homes}/%i\nReadWritePaths={homes}/%i\n\
         # Not ProtectHome=tmpfs, which leaves {homes} and /root writable and as large as half the memory; and neither\n\
         # PrivateTmp nor PrivateIPC takes away the /dev/shm and /run/lock that all processes of the host share.\n\
         TemporaryFileSystem={homes}:ro,mode=0755,size=1m /root:ro,mode=0700,size=1m /run/user:ro,mode=0755,size=1m\n\
         TemporaryFileSystem=/run/lock:ro,mode=0755,size=1m /dev/shm:mode=1777,size=64m\n\
         # Which other accounts and sites there are is nobody's business.\n\
         InaccessiblePaths=-{}/keys -/var/lib/gantry-worker -/run/gantry-worker -/run/gantry-stage\n\
         InaccessiblePaths=-/etc/nginx -{} -/run/dbus\n\
         ProtectProc=invisible\nProtectClock=yes\nProtectHostname=yes\nProtectKernelLogs=yes\nProtectKernelModules=yes\n\
         # What ProtectKernelTunables= does for one path after another, for all of them: a sixth of a master's start is saved.\n\
         ReadOnlyPaths=/proc /sys\nInaccessiblePaths=-/proc/kallsyms -/proc/kcore\n\
         ProtectControlGroups=yes\nLockPersonality=yes\nRestrictNamespaces=yes\n\
         RestrictRealtime=yes\nRestrictSUIDSGID=yes\nRestrictAddressFamilies=AF_UNIX AF_INET AF_INET6 AF_NETLINK\nSystemCallArchitectures=native\n\
         SystemCallFilter=@system-service\nSystemCallErrorNumber=EPERM\n\
         LimitCORE=0\n",
        paths::CONFIG,
        paths::UNITS
    )
}

/// How many files nginx may open from its start on; what runs already is given room when it reloads.
#[must_use]
pub fn nginx_limits(descriptors: u32) -> String {
    format!("{MARK}[Service]\nLimitNOFILE={descriptors}\n")
}

/// Keeps systemd from starting a service manager for a tenant who signs in by SFTP: units that he uploads to
/// `.config/systemd/user` would run outside his slice and every confinement.
#[must_use]
pub fn no_user_managers() -> String {
    let (first, last) = (Uid::FIRST, Uid::LAST);
    format!("{MARK}[Service]\nExecCondition=/usr/bin/test %i -lt {first} -o %i -gt {last}\n")
}

/// The sockets' directory after a reboot: passable for the web server, listable for nobody.
#[must_use]
pub fn tmpfiles() -> String {
    format!("{MARK}d {} 0710 root {WEB_USER} -\n", paths::SOCKETS)
}

#[cfg(test)]
mod tests {
    use super::confinement;

    #[test]
    fn no_writable_place_outside_the_cell_is_shared_with_the_host() {
        let text = confinement("/home");
        let own: Vec<&str> =
            text.lines().filter_map(|line| line.strip_prefix("TemporaryFileSystem=")).flat_map(|line| line.split(' ')).collect();
        for place in ["/home:ro,", "/root:ro,", "/run/user:ro,", "/run/lock:ro,", "/dev/shm:"] {
            assert!(own.iter().any(|mount| mount.starts_with(place) && mount.contains("size=")), "{place}");
        }
        assert!(!text.contains("\nProtectHome=tmpfs"));
    }
}
