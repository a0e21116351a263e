//! systemd units, and the daemons' own tests.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal};

use super::command::{CommandError, Program, cut};
use super::{Check, PhpTest, ServiceStatus, SystemError, files, users};
use crate::engine::image::{Acl, Content, DirectoryImage, FileImage, Owner, UnitState};

const SYSTEMCTL: &str = "/usr/bin/systemctl";
pub(super) const NGINX: &str = "/usr/sbin/nginx";
/// nftables.
pub(crate) const NFT: &str = "/usr/sbin/nft";
const SSHD: &str = "/usr/sbin/sshd";
/// Debian's, from nginx.conf.
const NGINX_PID: &str = "/run/nginx.pid";
/// A unit may take this long to start or stop; systemd's own limits in the units are shorter.
const UNIT_LIMIT: Duration = Duration::from_secs(60);
/// 5,000 sites take nginx 2 s until its new workers serve (measured); ten times that.
const RELOAD_LIMIT: Duration = Duration::from_secs(20);
/// Where candidates lie while a daemon looks at them. root's, and passable for the pool's user.
const CANDIDATES: &str = "/run/gantry-candidates";

fn systemctl(verb: &str, unit: &str) -> Result<(), SystemError> {
    match Program::new(SYSTEMCTL).arg("--no-ask-password").arg(verb).arg("--").arg(unit).limit(UNIT_LIMIT).run() {
        Ok(_) => Ok(()),
        Err(CommandError::Failed { output, .. }) => {
            Err(SystemError::Service { unit: unit.to_owned(), reason: format!("did not {verb}: {}{}", output.trim(), recent_log(unit)) })
        }
        Err(error @ (CommandError::Start { .. } | CommandError::TimedOut { .. })) => Err(error.into()),
    }
}

/// The last lines of a unit's log: the reason is there, not in what systemctl prints.
fn recent_log(unit: &str) -> String {
    let journal = Program::new("/usr/bin/journalctl").arg("--unit").arg(unit).arg("--lines=8").arg("--no-pager").arg("--output=cat");
    journal.limit(Duration::from_secs(5)).run().map_or_else(|_| String::new(), |log| cut(format!("\n{}", log.stdout), 2048))
}

pub(super) fn unit(unit: &str) -> Result<UnitState, SystemError> {
    let shown = Program::new(SYSTEMCTL).arg("show").arg("--property=ActiveState").arg("--value").arg("--").arg(unit).run()?;
    Ok(match shown.stdout.trim() {
        "active" | "reloading" | "activating" => UnitState::Active,
        _ => UnitState::Inactive,
    })
}

pub(super) fn start_unit(unit: &str) -> Result<(), SystemError> {
    systemctl("start", unit)
}

pub(super) fn stop_unit(name: &str) -> Result<(), SystemError> {
    match systemctl("stop", name) {
        // A unit that was never loaded cannot be stopped, and need not be.
        Err(SystemError::Service { .. }) if unit(name)? == UnitState::Inactive => Ok(()),
        other => other,
    }
}

pub(super) fn reload_unit(unit: &str) -> Result<(), SystemError> {
    systemctl("reload", unit)
}

pub(super) fn services(pattern: &str) -> Result<Vec<ServiceStatus>, SystemError> {
    let properties = "--property=Id,ActiveState,StatusText";
    let shown = Program::new(SYSTEMCTL).arg("show").arg(properties).arg("--").arg(pattern).run()?;
    // A paragraph for each.
    let property = |paragraph: &str, key: &str| paragraph.lines().find_map(|line| line.strip_prefix(key).map(str::to_owned));
    let status = |paragraph: &str| {
        property(paragraph, "ActiveState=").filter(|state| state == "active")?;
        Some(ServiceStatus { unit: property(paragraph, "Id=")?, text: property(paragraph, "StatusText=").unwrap_or_default() })
    };
    Ok(shown.stdout.split("\n\n").filter_map(status).collect())
}

/// An idle master ends within milliseconds. One that has just been given a request ends after it.
const FINISH_LIMIT: Duration = Duration::from_secs(2);

/// Not `systemctl stop`, which kills what has not ended by the unit's own time limit.
pub(super) fn finish_service(name: &str) -> Result<(), SystemError> {
    Program::new(SYSTEMCTL).arg("kill").arg("--kill-who=main").arg("--signal=QUIT").arg("--").arg(name).run()?;
    let deadline = Instant::now() + FINISH_LIMIT;
    while unit(name)? == UnitState::Active && Instant::now() < deadline {
        thread::sleep(Duration::from_millis(20));
    }
    Ok(())
}

pub(super) fn load_units() -> Result<(), SystemError> {
    Program::new(SYSTEMCTL).arg("daemon-reload").limit(UNIT_LIMIT).run()?;
    Ok(())
}

/// Sends the master the signal itself (`nginx -s reload` would parse the whole configuration once more before it does the
/// same), and returns when no worker of the old configuration takes connections any more. nginx refuses a reload silently;
/// then the old workers stay.
pub(super) fn reload_nginx() -> Result<(), SystemError> {
    let master = nginx_master()?;
    let descriptor = pidfd_open(master, PidfdFlags::empty()).map_err(|_| nginx_is("is not running"))?;
    let before = accepting_workers(master);
    pidfd_send_signal(&descriptor, Signal::HUP).map_err(|_| nginx_is("does not take signals"))?;
    let deadline = Instant::now() + RELOAD_LIMIT;
    let mut nap = Duration::from_millis(1);
    loop {
        let now = accepting_workers(master);
        if !now.is_empty() && now.is_disjoint(&before) {
            return Ok(());
        }
        if Instant::now() >= deadline {
            return Err(nginx_is("did not take up its new configuration; its error log says why"));
        }
        thread::sleep(nap);
        nap = (nap * 2).min(Duration::from_millis(50));
    }
}

fn nginx_is(reason: &str) -> SystemError {
    SystemError::Service { unit: "nginx".to_owned(), reason: reason.to_owned() }
}

fn nginx_master() -> Result<Pid, SystemError> {
    let text = fs::read_to_string(NGINX_PID).map_err(|_| nginx_is("is not running"))?;
    let pid = text.trim().parse().ok().and_then(Pid::from_raw).ok_or_else(|| nginx_is("has no process id"))?;
    let name = fs::read_to_string(format!("/proc/{pid}/comm")).unwrap_or_default();
    if name.trim() == "nginx" { Ok(pid) } else { Err(nginx_is("left a stale process id")) }
}

/// The children of a unit's main process that run under a uid.
pub(super) fn children(unit: &str, uid: u32) -> Result<usize, SystemError> {
    let shown = Program::new(SYSTEMCTL).arg("show").arg("--property=MainPID").arg("--value").arg("--").arg(unit).run()?;
    let Some(main) = shown.stdout.trim().parse().ok().and_then(Pid::from_raw) else { return Ok(0) };
    Ok(child_ids(main).into_iter().filter(|pid| users::runs_as(*pid, uid)).count())
}

fn child_ids(parent: Pid) -> Vec<i32> {
    let children = fs::read_to_string(format!("/proc/{parent}/task/{parent}/children")).unwrap_or_default();
    children.split_whitespace().filter_map(|pid| pid.parse().ok()).collect()
}

/// The master's workers that take connections. One that is leaving says so in its title.
fn accepting_workers(master: Pid) -> BTreeSet<i32> {
    let accepting = |pid: &i32| {
        let title = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
        let title = String::from_utf8_lossy(&title);
        title.starts_with("nginx: worker process") && !title.contains("shutting down")
    };
    child_ids(master).into_iter().filter(accepting).collect()
}

/// Passable for every pool's user, listable for none.
pub(super) fn make_candidates() -> Result<(), SystemError> {
    let acl = Acl::default();
    files::ensure_directory(&DirectoryImage { path: CANDIDATES.into(), owner: Owner::ROOT, mode: 0o711, acl })
}

pub(super) fn test_php(test: &PhpTest<'_>) -> Result<Check, SystemError> {
    let path = PathBuf::from(CANDIDATES).join(format!("{}-{}.conf", test.user, test.version));
    files::write_file(&FileImage {
        path: path.clone(),
        owner: Owner::root_for(test.uid),
        mode: 0o640,
        content: Content::from(test.config),
    })?;
    // It reads what the account may read and no more; no program it might start gains anything.
    let checked = Program::new("/usr/bin/setpriv")
        .arg(&format!("--reuid={}", test.uid))
        .arg(&format!("--regid={}", test.uid))
        .arg("--clear-groups")
        .arg("--no-new-privs")
        .arg("--inh-caps=-all")
        .arg("--bounding-set=-all")
        .arg("--")
        .arg(&format!("/usr/sbin/php-fpm{}", test.version))
        .arg("--test")
        .arg("--fpm-config")
        .arg(&path.display().to_string())
        .finish();
    files::remove_file(&path)?;
    let finished = checked?;
    let output = cut(format!("{}{}", finished.stderr, finished.stdout), 8192);
    // FPM prints the candidate's place; the real one is what a reader looks for.
    Ok(Check { accepted: finished.status.success(), output })
}

pub(super) fn test_packet_filter(rules: &str) -> Result<Check, SystemError> {
    let finished = Program::new(NFT).arg("--check").arg("--file").arg("-").input(rules).finish()?;
    Ok(Check { accepted: finished.status.success(), output: cut(finished.stderr, 8192) })
}

pub(super) fn filters_packets(table: &str) -> Result<bool, SystemError> {
    let finished = Program::new(NFT).arg("--terse").arg("list").arg("table").arg("inet").arg(table).finish()?;
    Ok(finished.status.success())
}

pub(super) fn test_sshd() -> Result<Check, SystemError> {
    if !Path::new(SSHD).exists() {
        return Ok(Check { accepted: true, output: "sshd is not installed".to_owned() });
    }
    let finished = Program::new(SSHD).arg("-t").finish()?;
    Ok(Check { accepted: finished.status.success(), output: cut(finished.stderr, 8192) })
}
