//! Removes trees, a part at a time.
//!
//! A descriptor per level: a name is only ever removed from the very directory it was listed in, so that nobody can steer the
//! walk elsewhere by swapping a directory for a link.
//!
//! **No tree is too deep and no directory too full**, though a tenant can make either: what lies deeper than [`DEEPEST`] is
//! moved up to the tree's top and removed from there, and no more names are listed than are to be removed. A removal that
//! is cut off leaves everything inside the tree.

use std::ffi::{OsStr, OsString};
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use rustix::fs::{AtFlags, Dir, RenameFlags, fstat, fsync, renameat_with, statat, unlinkat};
use rustix::io::Errno;

use super::files::{failed, open_child_directory, parent};
use super::{Removed, SystemError};

/// The walk goes this deep: a descriptor and a stack frame for each level.
const DEEPEST: usize = 64;

/// Removes a tree, or as much of it as is allowed.
pub(super) fn remove_some(path: &Path, most: usize) -> Result<Removed, SystemError> {
    let (directory, name) = parent(path)?;
    let removed = remove(&directory, name, most).map_err(failed("remove", path))?;
    if removed == Removed::All {
        fsync(&directory).map_err(failed("make durable the removal of", path))?;
    }
    Ok(removed)
}

fn remove(parent: &OwnedFd, name: &OsStr, most: usize) -> Result<Removed, Errno> {
    if remove_unless_directory(parent, name)? {
        return Ok(Removed::All);
    }
    let device = statat(parent, name, AtFlags::SYMLINK_NOFOLLOW)?.st_dev;
    let top = open_child_directory(parent, name)?;
    let mut removal = Removal { top: &top, device, left: most, moved: 0 };
    if removal.empty(&top, 0)? == Removed::Part {
        return Ok(Removed::Part);
    }
    remove_empty(parent, name)?;
    Ok(Removed::All)
}

struct Removal<'a> {
    top: &'a OwnedFd,
    device: u64,
    /// How many names may still be removed.
    left: usize,
    /// How many directories were moved up.
    moved: u64,
}

impl Removal<'_> {
    fn empty(&mut self, directory: &OwnedFd, depth: usize) -> Result<Removed, Errno> {
        loop {
            let names = first_names(directory, self.left.max(1))?;
            if names.is_empty() {
                return Ok(Removed::All);
            }
            for name in names {
                if self.left == 0 || self.below(directory, &name, depth)? == Removed::Part {
                    return Ok(Removed::Part);
                }
            }
        }
    }

    fn below(&mut self, parent: &OwnedFd, name: &OsStr, depth: usize) -> Result<Removed, Errno> {
        if remove_unless_directory(parent, name)? {
            self.left -= 1;
            return Ok(Removed::All);
        }
        if depth > DEEPEST {
            self.left -= 1;
            self.move_up(parent, name)?;
            return Ok(Removed::All);
        }
        let directory = open_child_directory(parent, name)?;
        // Something is mounted here: not ours to empty.
        if fstat(&directory)?.st_dev != self.device {
            return Err(Errno::XDEV);
        }
        if self.empty(&directory, depth + 1)? == Removed::Part {
            return Ok(Removed::Part);
        }
        drop(directory);
        self.left = self.left.saturating_sub(1);
        remove_empty(parent, name)?;
        Ok(Removed::All)
    }

    fn move_up(&mut self, parent: &OwnedFd, name: &OsStr) -> Result<(), Errno> {
        loop {
            self.moved += 1;
            match renameat_with(parent, name, self.top, format!(".gantry-deep-{}", self.moved), RenameFlags::NOREPLACE) {
                Err(Errno::EXIST) => {}
                done => return done,
            }
        }
    }
}

/// Removes a file or a link. False if it is a directory.
fn remove_unless_directory(parent: &OwnedFd, name: &OsStr) -> Result<bool, Errno> {
    match unlinkat(parent, name, AtFlags::empty()) {
        Ok(()) | Err(Errno::NOENT) => Ok(true),
        Err(Errno::ISDIR) => Ok(false),
        Err(errno) => Err(errno),
    }
}

fn remove_empty(parent: &OwnedFd, name: &OsStr) -> Result<(), Errno> {
    match unlinkat(parent, name, AtFlags::REMOVEDIR) {
        Ok(()) | Err(Errno::NOENT) => Ok(()),
        Err(errno) => Err(errno),
    }
}

/// The first so many names in a directory.
pub(super) fn first_names(directory: &OwnedFd, most: usize) -> Result<Vec<OsString>, Errno> {
    let mut names = Vec::new();
    for entry in Dir::read_from(directory)? {
        let entry = entry?;
        let name = entry.file_name().to_bytes();
        if name != b"." && name != b".." {
            names.push(OsStr::from_bytes(name).to_owned());
        }
        if names.len() >= most {
            break;
        }
    }
    Ok(names)
}
