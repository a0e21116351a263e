//! The files of the user database, changed for many users in one pass.
//!
//! **Under the lock that the shadow tools and systemd-sysusers take too, and never torn**: each file is made anew beside the old
//! one, made durable, and renamed over it. A program for each user would read and write all of them again for each.
//! **What is somebody else's is written back byte by byte**, in whatever encoding it is: here each byte is one character.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use rustix::fs::{FlockOperation, fcntl_lock};

use super::{SystemError, files};
use crate::engine::image::{Content, FileImage, Owner};

/// The directory of the files.
pub(super) const ETC: &str = "/etc";
/// lckpwdf(3) gives up after 15 s; a crowd of other tools may take a little longer.
pub(super) const LOCK_LIMIT: Duration = Duration::from_secs(30);

/// Removes users and the groups of their names, and from all other groups. Fine if there is none.
///
/// The user itself goes last: until then, whoever is cut off finds it again and repeats this.
pub(super) fn remove(etc: &Path, names: &BTreeSet<&str>) -> Result<(), SystemError> {
    let _lock = Lock::take(etc)?;
    let passwd = read(etc, "passwd")?;
    let is_one = |line: &str| names.contains(first(line));
    // A group that is another user's own stays.
    let owned: BTreeSet<&str> = passwd.lines().filter(|line| !is_one(line)).filter_map(|line| line.split(':').nth(3)).collect();
    let group = read(etc, "group")?;
    let kept: BTreeSet<&str> =
        group.lines().filter(|line| line.split(':').nth(2).is_some_and(|gid| owned.contains(gid))).map(first).collect();
    let is_own_group = |line: &str| is_one(line) && !kept.contains(first(line));
    for (file, lists) in [("gshadow", &[2, 3][..]), ("group", &[3])] {
        replace(etc, file, |line| (!is_own_group(line)).then(|| without_members(line, lists, names)))?;
    }
    for file in ["shadow", "subuid", "subgid", "passwd"] {
        replace(etc, file, |line| (!is_one(line)).then(|| line.to_owned()))?;
    }
    Ok(())
}

/// Removes what whoever was interrupted while adding or removing users has left of some that are no users: systemd-sysusers refuses
/// to add a name that one of the files of secrets has.
pub(super) fn remove_left(etc: &Path, names: &BTreeSet<&str>) -> Result<(), SystemError> {
    let found = |file: &str| -> Result<BTreeSet<String>, SystemError> {
        Ok(read(etc, file)?.lines().map(first).filter(|name| names.contains(name)).map(str::to_owned).collect())
    };
    let users = found("passwd")?;
    let secrets = &found("shadow")? | &found("gshadow")?;
    let left: BTreeSet<&str> = secrets.difference(&users).map(String::as_str).collect();
    if left.is_empty() { Ok(()) } else { remove(etc, &left) }
}

/// Sets or clears the expiry days of users.
pub(super) fn set_expiries(etc: &Path, days: &BTreeMap<&str, Option<i64>>) -> Result<(), SystemError> {
    let _lock = Lock::take(etc)?;
    let text = read(etc, "shadow")?;
    let known: BTreeSet<&str> = text.lines().map(first).collect();
    if let Some(unknown) = days.keys().find(|name| !known.contains(*name)) {
        return Err(SystemError::User { name: (*unknown).to_owned(), reason: "is not in the shadow file".to_owned() });
    }
    replace(etc, "shadow", |line| Some(days.get(first(line)).map_or_else(|| line.to_owned(), |day| with_expiry(line, *day))))
}

fn first(line: &str) -> &str {
    line.split(':').next().unwrap_or_default()
}

/// A line of the group files without some members of its lists.
fn without_members(line: &str, lists: &[usize], names: &BTreeSet<&str>) -> String {
    let stay = |list: &str| list.split(',').filter(|member| !names.contains(member)).collect::<Vec<_>>().join(",");
    let fields = line.split(':').enumerate();
    fields.map(|(at, field)| if lists.contains(&at) { stay(field) } else { field.to_owned() }).collect::<Vec<_>>().join(":")
}

/// A line of the shadow file with another expiry day: its eighth field of nine (shadow(5)).
fn with_expiry(line: &str, day: Option<i64>) -> String {
    let mut fields: Vec<String> = line.split(':').map(str::to_owned).collect();
    fields.resize(fields.len().max(9), String::new());
    fields[7] = day.map(|day| day.to_string()).unwrap_or_default();
    fields.join(":")
}

fn read(etc: &Path, file: &str) -> Result<String, SystemError> {
    let path = etc.join(file);
    match fs::read(&path) {
        // A host need not have every one of them.
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(String::new()),
        Ok(bytes) => Ok(bytes.into_iter().map(char::from).collect()),
        Err(source) => Err(SystemError::File { doing: "read", path, source }),
    }
}

/// The bytes that were read.
fn bytes(text: &str) -> Vec<u8> {
    text.chars().filter_map(|byte| u8::try_from(byte).ok()).collect()
}

/// Puts a file in place whose lines are changed; none where nothing does.
fn replace(etc: &Path, file: &str, change: impl Fn(&str) -> Option<String>) -> Result<(), SystemError> {
    let before = read(etc, file)?;
    let mut after = String::with_capacity(before.len());
    for line in before.split_terminator('\n').filter_map(change) {
        after.push_str(&line);
        after.push('\n');
    }
    if after == before {
        return Ok(());
    }
    let path = etc.join(file);
    let found = fs::symlink_metadata(&path).map_err(|source| SystemError::File { doing: "look at", path: path.clone(), source })?;
    if !found.is_file() {
        return Err(SystemError::Obstructed { path, found: "no regular file", expected: "a file" });
    }
    let owner = Owner { uid: found.uid(), gid: found.gid() };
    files::write_file(&FileImage { path, owner, mode: found.mode() & 0o7777, content: Content(bytes(&after)) })
}

/// The lock on the whole database, held until it is dropped.
struct Lock {
    /// The kernel's lock is the process's: of two threads, both would have it, and the first to let go would let go for both.
    _turn: MutexGuard<'static, ()>,
    _file: File,
}

impl Lock {
    fn take(etc: &Path) -> Result<Self, SystemError> {
        static TURN: Mutex<()> = Mutex::new(());
        let turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
        let path: PathBuf = etc.join(".pwd.lock");
        let failed = |source| SystemError::File { doing: "lock", path: path.clone(), source };
        let file = OpenOptions::new().write(true).create(true).truncate(false).mode(0o600).open(&path).map_err(failed)?;
        let deadline = Instant::now() + LOCK_LIMIT;
        loop {
            match fcntl_lock(&file, FlockOperation::NonBlockingLockExclusive) {
                Ok(()) => return Ok(Self { _turn: turn, _file: file }),
                Err(errno) if Instant::now() >= deadline => return Err(failed(errno.into())),
                Err(_) => thread::sleep(Duration::from_millis(5)),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::{BTreeMap, BTreeSet};
    use std::fs;
    use std::os::unix::fs::PermissionsExt;

    use tempfile::TempDir;

    use super::{remove, remove_left, set_expiries};

    const FILES: [(&str, &str, u32); 5] = [
        (
            "passwd",
            "root:x:0:0::/root:/bin/sh\none:x:1001:1001:c:/home/one/home:/n\ntwo:x:1002:1002::/:/n\nguest:x:1003:1002::/:/n\n",
            0o644,
        ),
        ("shadow", "root:*:19000:0:99999:7:::\none:!*:19000::::::\ntwo:$6$x:19000:0:99999:7:::\nguest:!:1::::::\n", 0o640),
        ("group", "root:x:0:\none:x:1001:\ntwo:x:1002:one\nsftp:x:990:one,two,guest\n", 0o644),
        ("gshadow", "root:*::\none:!::\ntwo:!:one:one\nsftp:!::one,two,guest\n", 0o640),
        ("subuid", "one:100000:65536\ntwo:165536:65536\n", 0o644),
    ];

    fn etc() -> TempDir {
        let etc = TempDir::new().unwrap();
        for (name, text, mode) in FILES {
            let path = etc.path().join(name);
            fs::write(&path, text).unwrap();
            fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
        }
        etc
    }

    fn text(etc: &TempDir, file: &str) -> String {
        fs::read_to_string(etc.path().join(file)).unwrap()
    }

    #[test]
    fn removed_users_are_in_no_file_and_everybody_else_is_as_before() {
        let etc = etc();
        remove(etc.path(), &BTreeSet::from(["one", "nobody-there"])).unwrap();
        assert_eq!(text(&etc, "passwd"), FILES[0].1.replace("one:x:1001:1001:c:/home/one/home:/n\n", ""));
        assert_eq!(text(&etc, "shadow"), FILES[1].1.replace("one:!*:19000::::::\n", ""));
        assert_eq!(text(&etc, "group"), "root:x:0:\ntwo:x:1002:\nsftp:x:990:two,guest\n");
        assert_eq!(text(&etc, "gshadow"), "root:*::\ntwo:!::\nsftp:!::two,guest\n");
        assert_eq!(text(&etc, "subuid"), "two:165536:65536\n");
        for (name, _, mode) in FILES {
            assert_eq!(fs::metadata(etc.path().join(name)).unwrap().permissions().mode() & 0o7777, mode, "{name}");
        }
        let left = fs::read_dir(etc.path()).unwrap().count();
        assert_eq!(left, FILES.len() + 1, "the files and the lock");
    }

    #[test]
    fn what_a_half_added_user_has_left_goes_and_users_stay() {
        let etc = etc();
        let append = |file: &str, line: &str| fs::write(etc.path().join(file), text(&etc, file) + line).unwrap();
        append("shadow", "half:!*:19000::::::\n");
        append("gshadow", "half:!::\n");
        remove_left(etc.path(), &BTreeSet::from(["half", "one", "nobody-there"])).unwrap();
        for (name, content, _) in FILES {
            assert_eq!(text(&etc, name), content, "{name}");
        }
    }

    #[test]
    fn what_is_in_another_encoding_is_written_back_byte_by_byte() {
        let etc = etc();
        let foreign = b"two:x:1002:1002:Fran\xe7ois \xc3\xa9:/:/n\r\n";
        let with = |line: &[u8]| [b"one:x:1001:1001:c:/home/one/home:/n\n", line].concat();
        for file in ["passwd", "shadow"] {
            fs::write(etc.path().join(file), with(foreign)).unwrap();
        }
        set_expiries(etc.path(), &BTreeMap::from([("one", Some(1))])).unwrap();
        remove(etc.path(), &BTreeSet::from(["one"])).unwrap();
        for file in ["passwd", "shadow"] {
            assert_eq!(fs::read(etc.path().join(file)).unwrap(), foreign, "{file}");
        }
    }

    #[test]
    fn a_group_that_is_another_users_own_stays() {
        let etc = etc();
        remove(etc.path(), &BTreeSet::from(["one", "two"])).unwrap();
        assert_eq!(text(&etc, "group"), "root:x:0:\ntwo:x:1002:\nsftp:x:990:guest\n");
        assert!(!text(&etc, "passwd").contains("two:") && text(&etc, "passwd").contains("guest:"));
    }

    #[test]
    fn expiry_days_are_set_and_cleared_for_all_in_one_pass_or_for_none() {
        let etc = etc();
        set_expiries(etc.path(), &BTreeMap::from([("one", Some(1)), ("two", Some(1))])).unwrap();
        let barred = text(&etc, "shadow");
        assert!(barred.contains("\none:!*:19000:::::1:\n") && barred.contains("\ntwo:$6$x:19000:0:99999:7::1:\n"), "{barred}");
        set_expiries(etc.path(), &BTreeMap::from([("one", None), ("two", None)])).unwrap();
        assert_eq!(text(&etc, "shadow"), FILES[1].1);
        set_expiries(etc.path(), &BTreeMap::from([("one", Some(1)), ("ghost", Some(1))])).unwrap_err();
        assert_eq!(text(&etc, "shadow"), FILES[1].1);
    }

    #[test]
    fn threads_that_change_the_files_at_once_lose_none_of_it() {
        let etc = etc();
        let lines: String = (0..40).map(|number| format!("u{number}:!:1::::::\n")).collect();
        fs::write(etc.path().join("shadow"), lines).unwrap();
        std::thread::scope(|scope| {
            for number in 0..40 {
                let etc = &etc;
                scope.spawn(move || set_expiries(etc.path(), &BTreeMap::from([(format!("u{number}").as_str(), Some(1))])).unwrap());
            }
        });
        assert_eq!(text(&etc, "shadow").matches(":1:\n").count(), 40);
    }
}
