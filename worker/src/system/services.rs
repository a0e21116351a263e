//! systemd units, and the daemons' own tests.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::Pid;

use super::command::{CommandError, Program, cut};
use super::{Check, ServiceStatus, SystemError, files, systemd_bus, users};
use crate::engine::image::{Acl, DirectoryImage, Entry, Owner, UnitState};

pub(super) const SYSTEMCTL: &str = "/usr/bin/systemctl";
/// nftables.
pub(crate) const NFT: &str = "/usr/sbin/nft";
const SSHD: &str = "/usr/sbin/sshd";
/// A unit may take this long to start or stop; systemd's own limits in the units are shorter.
pub(super) const UNIT_LIMIT: Duration = Duration::from_secs(60);
/// The log of a unit is read at once, or not at all.
pub(super) const LOG_LIMIT: Duration = Duration::from_secs(5);
/// Where candidates lie while a daemon looks at them. root's, and passable for whom it runs as.
pub(super) const CANDIDATES: &str = "/run/gantry-candidates";

fn systemctl(verb: &str, units: &[&str]) -> Result<(), SystemError> {
    let mut program = Program::new(SYSTEMCTL).arg("--no-ask-password").arg(verb).arg("--");
    for unit in units {
        program = program.arg(unit);
    }
    match program.limit(UNIT_LIMIT).run() {
        Ok(_) => Ok(()),
        Err(CommandError::Failed { output, .. }) => {
            let log = units.first().map(|unit| recent_log(unit)).unwrap_or_default();
            Err(SystemError::Service { unit: units.join(" "), reason: format!("did not {verb}: {}{log}", output.trim()) })
        }
        Err(error @ (CommandError::Start { .. } | CommandError::TimedOut { .. })) => Err(error.into()),
    }
}

/// The last lines of a unit's log: the reason is there, not in what systemctl prints.
pub(super) fn recent_log(unit: &str) -> String {
    let journal = Program::new("/usr/bin/journalctl").arg("--unit").arg(unit).arg("--lines=8").arg("--no-pager").arg("--output=cat");
    journal.limit(LOG_LIMIT).run().map_or_else(|_| String::new(), |log| cut(format!("\n{}", log.stdout), 2048))
}

pub(super) fn units(units: &[&str]) -> Result<Vec<UnitState>, SystemError> {
    let mut program = Program::new(SYSTEMCTL).arg("show").arg("--property=ActiveState").arg("--value").arg("--");
    for unit in units {
        program = program.arg(unit);
    }
    let shown = program.run()?.stdout;
    // One line each, and an empty one between two.
    let states: Vec<UnitState> = shown
        .lines()
        .filter(|line| !line.is_empty())
        .map(|line| match line {
            "active" | "reloading" | "activating" => UnitState::Active,
            _ => UnitState::Inactive,
        })
        .collect();
    if states.len() == units.len() {
        return Ok(states);
    }
    let reason = format!("are {} units for systemd", states.len());
    Err(SystemError::Service { unit: units.join(" "), reason })
}

pub(super) fn active_units() -> Result<BTreeSet<String>, SystemError> {
    match systemd_bus::active_units() {
        Ok(active) => return Ok(active),
        Err(error) => tracing::debug!(error = %error, "systemd's own socket does not answer; its program is asked"),
    }
    let listed = Program::new(SYSTEMCTL)
        .arg("list-units")
        .arg("--state=active,reloading,activating")
        .arg("--plain")
        .arg("--full")
        .arg("--no-legend")
        .arg("--no-pager")
        .run()?;
    Ok(listed.stdout.lines().filter_map(|line| line.split_whitespace().next()).map(str::to_owned).collect())
}

pub(super) fn start_units(units: &[&str]) -> Result<(), SystemError> {
    systemctl("start", units)
}

pub(super) fn start_soon(unit: &str) -> Result<(), SystemError> {
    Program::new(SYSTEMCTL).arg("--no-ask-password").arg("start").arg("--no-block").arg("--").arg(unit).run()?;
    Ok(())
}

pub(super) fn stop_units(names: &[&str]) -> Result<(), SystemError> {
    match systemctl("stop", names) {
        // A unit that was never loaded cannot be stopped, and need not be.
        Err(SystemError::Service { .. }) if units(names)?.iter().all(|state| *state == UnitState::Inactive) => Ok(()),
        other => other,
    }
}

/// A socket is stopped once the service that requires it is, which may take as long as its last request.
pub(super) fn stop_at_once(socket: &str) -> Result<(), SystemError> {
    if let Some(name) = socket.strip_suffix(".socket") {
        // From here on a request wakes nobody; one that was never loaded cannot be stopped.
        Program::new(SYSTEMCTL).arg("--no-ask-password").arg("stop").arg("--no-block").arg("--").arg(socket).finish()?;
        // Nothing runs, or it was never loaded: there is nothing to be killed then.
        Program::new(SYSTEMCTL).arg("kill").arg("--signal=KILL").arg("--").arg(&format!("{name}.service")).finish()?;
    }
    stop_units(&[socket])
}

pub(super) fn reload_unit(unit: &str) -> Result<(), SystemError> {
    if unit.ends_with(".slice") { reload_slice(unit) } else { systemctl("reload", &[unit]) }
}

const UNITS: &str = "/etc/systemd/system";
/// Where systemd keeps what a unit was told at run time (systemctl(1), `set-property --runtime`).
const TOLD: &str = "/run/systemd/system.control";
/// What a slice of ours can say, and how systemd is told that it says nothing of it.
const LIMITS: [(&str, &str); 3] = [("CPUQuota", ""), ("MemoryMax", "infinity"), ("TasksMax", "infinity")];

/// Tells systemd the limits that a slice's file has. Not `daemon-reload`, in which systemd's first process does nothing else, for
/// 12 s with 2,500 accounts: for each unit that it lets go it walks through all others of the same slice.
fn reload_slice(name: &str) -> Result<(), SystemError> {
    let path = Path::new(UNITS).join(name);
    if files::entry(&path)? == Entry::Absent {
        return Ok(());
    }
    let mut tell = Program::new(SYSTEMCTL).arg("--no-ask-password").arg("set-property").arg("--runtime").arg("--").arg(name);
    for property in limits_of(&String::from_utf8_lossy(&files::content(&path)?)) {
        tell = tell.arg(&property);
    }
    tell.run()?;
    // The file says the same, and what is kept of it would stand in the way of what the file says later.
    let told = Path::new(TOLD).join(format!("{name}.d"));
    for (key, _) in LIMITS {
        files::remove_file(&told.join(format!("50-{key}.conf")))?;
    }
    if let Err(error) = fs::remove_dir(&told) {
        tracing::debug!(path = %told.display(), %error, "what else systemd was told of a slice stays");
    }
    Ok(())
}

fn limits_of(slice: &str) -> [String; 3] {
    LIMITS.map(|(key, unset)| {
        let value = slice.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix('='));
        format!("{key}={}", value.unwrap_or(unset))
    })
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

/// An idle master ends within milliseconds, and jobs wait meanwhile. One that has just been given a request ends after it.
const FINISH_LIMIT: Duration = Duration::from_millis(200);

/// Not `systemctl stop`, which kills what has not ended by the unit's own time limit.
pub(super) fn finish_service(name: &str) -> Result<UnitState, SystemError> {
    let signal = |signal: &str| Program::new(SYSTEMCTL).arg("kill").arg("--kill-who=main").arg(signal).arg("--").arg(name);
    signal("--signal=QUIT").run()?;
    // The account's own processes can stop it, and then it hears of nothing else. One that has ended cannot be told.
    signal("--signal=CONT").finish()?;
    let deadline = Instant::now() + FINISH_LIMIT;
    loop {
        let runs = units(&[name])? == [UnitState::Active];
        if !runs {
            return Ok(UnitState::Inactive);
        }
        if Instant::now() >= deadline {
            return Ok(UnitState::Active);
        }
        thread::sleep(Duration::from_millis(20));
    }
}

pub(super) fn load_units() -> Result<(), SystemError> {
    Program::new(SYSTEMCTL).arg("daemon-reload").limit(UNIT_LIMIT).run()?;
    Ok(())
}

/// The children of a unit's main process that run under a uid.
pub(super) fn children(unit: &str, uid: u32) -> Result<usize, SystemError> {
    let shown = Program::new(SYSTEMCTL).arg("show").arg("--property=MainPID").arg("--value").arg("--").arg(unit).run()?;
    let Some(main) = shown.stdout.trim().parse().ok().and_then(Pid::from_raw) else { return Ok(0) };
    Ok(child_ids(main).into_iter().filter(|pid| users::runs_as(*pid, &[uid])).count())
}

pub(super) fn child_ids(parent: Pid) -> Vec<i32> {
    let children = fs::read_to_string(format!("/proc/{parent}/task/{parent}/children")).unwrap_or_default();
    children.split_whitespace().filter_map(|pid| pid.parse().ok()).collect()
}

/// Passable for everybody, listable for none.
pub(super) fn make_candidates() -> Result<(), SystemError> {
    let acl = Acl::default();
    files::ensure_directory(&DirectoryImage { path: CANDIDATES.into(), owner: Owner::ROOT, mode: 0o711, acl })
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

#[cfg(test)]
mod tests {
    use super::limits_of;

    #[test]
    fn what_a_slice_does_not_limit_is_told_as_unlimited() {
        let slice = "[Unit]\nDescription=TasksMax=3\n\n[Slice]\nCPUQuota=150%\nTasksMax=100\n";
        assert_eq!(limits_of(slice), ["CPUQuota=150%", "MemoryMax=infinity", "TasksMax=100"]);
        assert_eq!(limits_of("[Slice]\n"), ["CPUQuota=", "MemoryMax=infinity", "TasksMax=infinity"]);
    }
}
