//! Users: made by systemd-sysusers, given passwords by the shadow tools, barred and removed in [`passwd`].

use std::collections::{BTreeMap, HashMap};
use std::fmt::Write;
use std::fs;
use std::io;
use std::path::Path;
use std::thread;
use std::time::Duration;

use nix::unistd::{Gid, Group, Uid, User};
use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal};
use shared::names::LinuxUser;

use super::command::Program;
use super::{SystemError, passwd};
use crate::engine::image::{UserImage, UserRecord};

fn lookup<T>(doing: &'static str, found: nix::Result<T>) -> Result<T, SystemError> {
    found.map_err(|errno| SystemError::Os { doing, source: errno.into() })
}

pub(super) fn user(name: &str) -> Result<Option<UserRecord>, SystemError> {
    let Some(user) = lookup("look up a user", User::from_name(name))? else { return Ok(None) };
    let group = lookup("look up a group", Group::from_gid(user.gid))?;
    let (password, expires) = shadow(name)?;
    Ok(Some(UserRecord {
        uid: user.uid.as_raw(),
        gid: user.gid.as_raw(),
        group: group.map(|group| group.name).unwrap_or_default(),
        comment: user.gecos.to_string_lossy().into_owned(),
        groups: groups_of(name)?,
        password,
        expires,
    }))
}

/// Password field and expiry day of a user.
fn shadow(name: &str) -> Result<(String, Option<i64>), SystemError> {
    let text = text("/etc/shadow")?;
    Ok(secrets(text.lines().find(|line| fields::<1>(line)[0] == name).unwrap_or_default()))
}

fn groups_of(name: &str) -> Result<Vec<String>, SystemError> {
    let text = text("/etc/group")?;
    let member = |line: &&str| line.rsplit(':').next().is_some_and(|members| members.split(',').any(|member| member == name));
    Ok(text.lines().filter(member).filter_map(|line| line.split(':').next()).map(str::to_owned).collect())
}

pub(super) fn user_of_uid(uid: u32) -> Result<Option<String>, SystemError> {
    Ok(lookup("look up a user", User::from_uid(Uid::from_raw(uid)))?.map(|user| user.name))
}

pub(super) fn group(name: &str) -> Result<Option<u32>, SystemError> {
    Ok(lookup("look up a group", Group::from_name(name))?.map(|group| group.gid.as_raw()))
}

pub(super) fn group_of_gid(gid: u32) -> Result<Option<String>, SystemError> {
    Ok(lookup("look up a group", Group::from_gid(Gid::from_raw(gid)))?.map(|group| group.name))
}

/// Every user of the host's own files: each file is read once.
pub(super) fn users() -> Result<BTreeMap<String, UserRecord>, SystemError> {
    let (passwd, shadow, group) = (text("/etc/passwd")?, text("/etc/shadow")?, text("/etc/group")?);
    let mut names: HashMap<u32, &str> = HashMap::new();
    let mut memberships: HashMap<&str, Vec<String>> = HashMap::new();
    for line in group.lines() {
        let [name, _, gid, members] = fields(line);
        if let Ok(gid) = gid.parse() {
            names.entry(gid).or_insert(name);
        }
        for member in members.split(',').filter(|member| !member.is_empty()) {
            memberships.entry(member).or_default().push(name.to_owned());
        }
    }
    let secrets: HashMap<&str, (String, Option<i64>)> = shadow.lines().map(|line| (fields::<1>(line)[0], secrets(line))).collect();
    let mut users = BTreeMap::new();
    for line in passwd.lines() {
        let [name, _, uid, gid, comment] = fields(line);
        let (Ok(uid), Ok(gid)) = (uid.parse(), gid.parse()) else { continue };
        let (password, expires) = secrets.get(name).cloned().unwrap_or_default();
        let group = names.get(&gid).copied().unwrap_or_default().to_owned();
        let groups = memberships.remove(name).unwrap_or_default();
        users.entry(name.to_owned()).or_insert(UserRecord { uid, gid, group, comment: comment.to_owned(), groups, password, expires });
    }
    Ok(users)
}

/// The first fields of a line; empty ones where it has fewer.
fn fields<const N: usize>(line: &str) -> [&str; N] {
    let mut fields = line.split(':');
    std::array::from_fn(|_| fields.next().unwrap_or_default())
}

/// Password field and expiry day in a line of the shadow file.
fn secrets(line: &str) -> (String, Option<i64>) {
    let [_, password, _, _, _, _, _, expires] = fields(line);
    (password.to_owned(), expires.parse().ok())
}

/// A file of the user database, for reading only: a line of somebody else's may be in any encoding.
fn text(path: impl AsRef<Path>) -> Result<String, SystemError> {
    let path = path.as_ref();
    let bytes = fs::read(path).map_err(|source| SystemError::File { doing: "read", path: path.into(), source })?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

/// systemd-sysusers answers a taken number by quietly choosing another, so what it made is checked, and taken away
/// again if it is not what was asked.
pub(super) fn add_users(wanted: &[&UserImage]) -> Result<(), SystemError> {
    let mut lines = String::new();
    for UserImage { name, uid, comment, home, shell, member_of } in wanted {
        let (home, shell) = (home.display(), shell.display());
        let _ = write!(lines, "g {member_of} -\ng {name} {uid}\nu {name} {uid}:{uid} \"{comment}\" {home} {shell}\nm {name} {member_of}\n");
    }
    passwd::remove_left(Path::new(passwd::ETC), &wanted.iter().map(|image| image.name.as_str()).collect())?;
    Program::new("/usr/bin/systemd-sysusers").arg("-").input(lines).run()?;
    let made = users()?;
    // All are checked, so that nothing wrong stays; the first of them is the error.
    let mut checked = Ok(());
    for wanted in wanted {
        checked = checked.and(check_made(wanted, made.get(wanted.name.as_str())));
    }
    checked
}

fn check_made(wanted: &UserImage, made: Option<&UserRecord>) -> Result<(), SystemError> {
    let UserImage { name, uid, comment, home: _, shell: _, member_of } = wanted;
    let Some(made) = made else {
        return Err(SystemError::User { name: name.to_string(), reason: "was not made".to_owned() });
    };
    if made.uid == *uid && made.gid == *uid && made.group == name.as_str() && made.groups.contains(member_of) {
        return Ok(());
    }
    let reason = format!("came out as {}:{} ({}), wanted {uid}:{uid}: the number is taken", made.uid, made.gid, made.group);
    if made.comment == *comment {
        remove_users(&[name])?;
    }
    Err(SystemError::User { name: name.to_string(), reason })
}

pub(super) fn remove_users(names: &[&LinuxUser]) -> Result<(), SystemError> {
    passwd::remove(Path::new(passwd::ETC), &names.iter().map(|name| name.as_str()).collect())
}

pub(super) fn set_passwords(fields: &[(&LinuxUser, &str)]) -> Result<(), SystemError> {
    let lines: String = fields.iter().map(|(name, field)| format!("{name}:{field}\n")).collect();
    Program::new("/usr/sbin/chpasswd").arg("-e").input(lines).run()?;
    Ok(())
}

pub(super) fn set_expiries(days: &[(&LinuxUser, Option<i64>)]) -> Result<(), SystemError> {
    passwd::set_expiries(Path::new(passwd::ETC), &days.iter().map(|(name, day)| (name.as_str(), *day)).collect())
}

/// How often the process list is read again for what was started in between.
const ROUNDS: u32 = 50;

pub(super) fn end_processes(uids: &[u32]) -> Result<(), SystemError> {
    for round in 0..ROUNDS {
        let mut found = false;
        for pid in process_ids()? {
            found |= end_if_owned(pid, uids);
        }
        if !found {
            return Ok(());
        }
        // A killed process leaves the list within a moment; a fork bomb needs several rounds.
        thread::sleep(Duration::from_millis(2 + u64::from(round)));
    }
    Err(SystemError::Os { doing: "end the user's processes", source: io::Error::from(io::ErrorKind::TimedOut) })
}

fn process_ids() -> Result<Vec<i32>, SystemError> {
    let listed = fs::read_dir("/proc").map_err(|source| SystemError::Os { doing: "list processes", source })?;
    Ok(listed.flatten().filter_map(|entry| entry.file_name().to_str()?.parse().ok()).collect())
}

/// Whether a process is alive and one of its uids is among those given.
pub(super) fn runs_as(number: i32, uids: &[u32]) -> bool {
    let Ok(status) = fs::read_to_string(format!("/proc/{number}/status")) else { return false };
    // A zombie is dead already; its parent has to take notice.
    let zombie = status.lines().any(|line| line.starts_with("State:") && line.contains('Z'));
    let owned = status
        .lines()
        .find_map(|line| line.strip_prefix("Uid:"))
        .is_some_and(|fields| fields.split_whitespace().take(3).any(|field| field.parse().is_ok_and(|uid| uids.contains(&uid))));
    !zombie && owned
}

/// Kills a process if one of its uids is among those given. The descriptor is taken first, so the number cannot be reused
/// for somebody else's process in between.
fn end_if_owned(number: i32, uids: &[u32]) -> bool {
    let Some(pid) = Pid::from_raw(number) else { return false };
    let Ok(descriptor) = pidfd_open(pid, PidfdFlags::empty()) else { return false };
    if !runs_as(number, uids) {
        return false;
    }
    let _ = pidfd_send_signal(&descriptor, Signal::KILL);
    true
}

#[cfg(test)]
mod tests {
    use super::text;

    #[test]
    fn a_user_in_another_encoding_keeps_nobody_else_from_being_read() {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), b"one:x:1001:1001:Fran\xe7ois:/:/n\ntwo:x:1002:1002::/:/n\n").unwrap();
        assert_eq!(text(file.path()).unwrap().lines().last(), Some("two:x:1002:1002::/:/n"));
    }
}
