//! The files themselves: what they hold, and how one is set aside.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use shared::events::SetAside;

use crate::engine::check::plain;
use crate::engine::error::chain;
use crate::engine::image::Entry;
use crate::roles::web::paths::{INCLUDE_GROUPS, INCLUDES_OF_ALL};
use crate::store::now_ms;
use crate::system::{System, SystemError, cut};

/// The SHA-256 of what nginx reads in every file that vhosts include, behind links too.
pub(super) type Digests = BTreeMap<PathBuf, String>;

pub(super) fn digests(system: &dyn System) -> Result<Digests, SystemError> {
    let mut files = Digests::new();
    for directory in directories(system)? {
        read(system, &directory, &mut files)?;
    }
    Ok(files)
}

/// Where include files lie.
fn directories(system: &dyn System) -> Result<Vec<PathBuf>, SystemError> {
    let mut directories = vec![PathBuf::from(INCLUDES_OF_ALL)];
    for group in INCLUDE_GROUPS {
        directories.extend(list(system, Path::new(group))?.into_iter().map(|name| Path::new(group).join(name)));
    }
    Ok(directories)
}

fn read(system: &dyn System, directory: &Path, files: &mut Digests) -> Result<(), SystemError> {
    for path in list(system, directory)?.into_iter().map(|name| directory.join(name)).filter(|path| is_read(path)) {
        if let Some(content) = content(system, &path)? {
            files.insert(path, content);
        }
    }
    Ok(())
}

/// What a file holds; none if it is none. One that cannot be read, such as a link to nothing, is like one that holds the reason:
/// nginx cannot read it either, and says so.
fn content(system: &dyn System, path: &Path) -> Result<Option<String>, SystemError> {
    match system.digest(path) {
        Ok(digest) => Ok(Some(digest)),
        Err(error @ SystemError::File { .. }) => {
            let there = !matches!(system.entry(path), Ok(Entry::Absent));
            Ok(there.then(|| format!("cannot be read: {}", chain(&error))))
        }
        Err(SystemError::Obstructed { .. }) => Ok(None),
        Err(error) => Err(error),
    }
}

/// The names in a directory; none if it is no directory.
fn list(system: &dyn System, directory: &Path) -> Result<Vec<String>, SystemError> {
    match system.entry(directory)? {
        Entry::Directory { .. } => system.list(directory),
        Entry::Absent | Entry::File { .. } | Entry::Link { .. } | Entry::Other { .. } => Ok(Vec::new()),
    }
}

/// Behind the name of a file that is away while it is tried whether it is to blame.
const TRIED: &str = ".tried";

/// Takes a file away for a while. Where it is then.
pub(super) fn take_away(system: &dyn System, path: &Path) -> Result<PathBuf, SystemError> {
    let to = with_suffix(path, TRIED);
    system.rename(path, &to)?;
    Ok(to)
}

/// Files that are away since the worker was cut off in the middle.
pub(super) fn left_away(system: &dyn System) -> Result<Vec<PathBuf>, SystemError> {
    let mut left = Vec::new();
    for directory in directories(system)? {
        let names = list(system, &directory)?.into_iter();
        left.extend(names.filter_map(|name| name.strip_suffix(TRIED).map(|name| directory.join(name))).filter(|path| is_read(path)));
    }
    Ok(left)
}

/// Puts a file back that was taken away, unless somebody has put another in its place.
pub(super) fn put_back(system: &dyn System, path: &Path) -> Result<(), SystemError> {
    if system.entry(path)? == Entry::Absent { system.rename(&with_suffix(path, TRIED), path) } else { Ok(()) }
}

/// Behind the name of a file that is set aside; further ones of the same name have a number behind that.
const BROKEN: &str = ".broken";

/// Files that are set aside.
pub(super) fn lying_aside(system: &dyn System) -> Result<Vec<PathBuf>, SystemError> {
    let is_aside = |name: &str| {
        let Some((name, number)) = name.rsplit_once(BROKEN) else { return false };
        let is_number = number.strip_prefix('.').is_some_and(|digits| digits.parse::<u32>().is_ok());
        is_read(Path::new(name)) && (number.is_empty() || is_number)
    };
    let mut aside = Vec::new();
    for directory in directories(system)? {
        for path in list(system, &directory)?.iter().filter(|name| is_aside(name)).map(|name| directory.join(name)) {
            // A name that is no text is listed as another one.
            if system.entry(&path)? != Entry::Absent {
                aside.push(path);
            }
        }
    }
    Ok(aside)
}

/// Sets a file aside that is at `from` just now and whose name is `path`.
pub(super) fn set_aside(system: &dyn System, path: &Path, from: &Path, said: &str) -> Result<SetAside, SystemError> {
    let mut to = with_suffix(path, BROKEN);
    for number in 2..100 {
        if system.entry(&to)? == Entry::Absent {
            break;
        }
        to = with_suffix(path, &format!("{BROKEN}.{number}"));
    }
    system.rename(from, &to)?;
    tracing::error!(from = %path.display(), to = %to.display(), detail = said, "an include file cannot stay; it was set aside");
    Ok(SetAside { path: to.display().to_string(), said: cut(plain(said), 4096), at_ms: now_ms() })
}

fn with_suffix(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    PathBuf::from(name)
}

/// Whether nginx reads a file of this name.
pub(super) fn is_read(path: &Path) -> bool {
    path.extension().is_some_and(|extension| extension == "conf")
}
