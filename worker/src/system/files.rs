//! Files and directories, opened beneath `/` without following a link at any component.
//!
//! What is found is looked at through its own descriptor, never by name a second time; a pipe does not block, a file
//! with several names is refused. A digest alone is taken of whatever a path leads to.

use std::ffi::OsStr;
use std::fs::File;
use std::io::{self, Read, Write};
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use data_encoding::HEXLOWER;
use rustix::fs::{
    AtFlags, CWD, Dir, FileType, Gid, Mode, OFlags, RenameFlags, ResolveFlags, Stat, Uid, XattrFlags, fchmod, fchown, fgetxattr,
    fremovexattr, fsetxattr, fstat, fsync, mkdirat, openat2, readlinkat, renameat, renameat_with, statat, symlinkat, unlinkat,
};
use rustix::io::Errno;
use sha2::{Digest, Sha256};

use super::removal::first_names;
use super::{CONTENT_LIMIT, SystemError};
use crate::engine::image::{Acl, DirectoryImage, Entry, FileImage, Owner};

const ACCESS: &str = "system.posix_acl_access";
const DEFAULT: &str = "system.posix_acl_default";
/// The largest that the kernel has (XATTR_SIZE_MAX). Gantry's own lists have five entries (44 bytes), but a tenant may give his
/// directories any that the file system takes: XFS and btrfs take thousands of entries.
const LIST_LIMIT: usize = 65_536;
/// No link at any component, none of the magic ones of /proc, and not out of the root it starts in.
const NO_LINKS: ResolveFlags = ResolveFlags::BENEATH.union(ResolveFlags::NO_SYMLINKS).union(ResolveFlags::NO_MAGICLINKS);

/// Turns a system call's error into ours.
pub(super) fn failed(doing: &'static str, path: &Path) -> impl Fn(Errno) -> SystemError {
    let path = path.to_owned();
    move |errno| SystemError::File { doing, path: path.clone(), source: io::Error::from_raw_os_error(errno.raw_os_error()) }
}

fn obstructed(path: &Path, found: &'static str, expected: &'static str) -> SystemError {
    SystemError::Obstructed { path: path.to_owned(), found, expected }
}

/// Opens a directory, links refused at every component.
fn open_directory(path: &Path) -> Result<OwnedFd, Errno> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC | OFlags::NOFOLLOW;
    let root = rustix::fs::open("/", flags, Mode::empty())?;
    let relative = path.strip_prefix("/").unwrap_or(path);
    if relative.as_os_str().is_empty() {
        return Ok(root);
    }
    openat2(&root, relative, flags, Mode::empty(), NO_LINKS)
}

/// The directory a path lies in, opened, and the path's last component.
pub(super) fn parent(path: &Path) -> Result<(OwnedFd, &OsStr), SystemError> {
    let (Some(directory), Some(name)) = (path.parent(), path.file_name()) else {
        return Err(obstructed(path, "no path of a file", "an absolute path"));
    };
    Ok((open_directory(directory).map_err(failed("open the directory of", path))?, name))
}

fn owner_of(stat: &Stat) -> Owner {
    Owner { uid: stat.st_uid, gid: stat.st_gid }
}

pub(super) fn entry(path: &Path) -> Result<Entry, SystemError> {
    let Some(name) = path.file_name() else { return Err(obstructed(path, "no path of a file", "an absolute path")) };
    let directory = match open_directory(path.parent().unwrap_or(path)) {
        Ok(directory) => directory,
        Err(Errno::NOENT) => return Ok(Entry::Absent),
        Err(errno) => return Err(failed("open the directory of", path)(errno)),
    };
    let stat = match statat(&directory, name, AtFlags::SYMLINK_NOFOLLOW) {
        Ok(stat) => stat,
        Err(Errno::NOENT) => return Ok(Entry::Absent),
        Err(errno) => return Err(failed("look at", path)(errno)),
    };
    Ok(match FileType::from_raw_mode(stat.st_mode) {
        FileType::RegularFile if stat.st_nlink > 1 => Entry::Other { found: "a file with several names" },
        FileType::RegularFile => {
            Entry::File { owner: owner_of(&stat), mode: stat.st_mode & 0o7777, len: u64::try_from(stat.st_size).unwrap_or(0) }
        }
        FileType::Directory => return directory_entry(&directory, name, path),
        FileType::Symlink => Entry::Link { target: read_link(&directory, name, path)? },
        FileType::Fifo => Entry::Other { found: "a pipe" },
        FileType::Socket => Entry::Other { found: "a socket" },
        FileType::CharacterDevice | FileType::BlockDevice => Entry::Other { found: "a device" },
        FileType::Unknown => Entry::Other { found: "something unknown" },
    })
}

fn read_link(directory: &OwnedFd, name: &OsStr, path: &Path) -> Result<PathBuf, SystemError> {
    let target = readlinkat(directory, name, Vec::new()).map_err(failed("read the link", path))?;
    Ok(PathBuf::from(OsStr::from_bytes(target.as_bytes())))
}

fn directory_entry(parent: &OwnedFd, name: &OsStr, path: &Path) -> Result<Entry, SystemError> {
    let directory = open_child_directory(parent, name).map_err(failed("open", path))?;
    let stat = fstat(&directory).map_err(failed("look at", path))?;
    let acl = Acl {
        access: get_list(&directory, ACCESS).map_err(failed("read the access list of", path))?,
        default: get_list(&directory, DEFAULT).map_err(failed("read the access list of", path))?,
    };
    Ok(Entry::Directory { owner: owner_of(&stat), mode: stat.st_mode & 0o7777, acl })
}

pub(super) fn open_child_directory(parent: &OwnedFd, name: &OsStr) -> Result<OwnedFd, Errno> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC | OFlags::NOFOLLOW;
    openat2(parent, name, flags, Mode::empty(), NO_LINKS)
}

fn get_list(directory: &OwnedFd, name: &str) -> Result<Option<String>, Errno> {
    let mut buffer = vec![0_u8; LIST_LIMIT];
    match fgetxattr(directory, name, buffer.as_mut_slice()) {
        Ok(length) => Ok(Some(HEXLOWER.encode(&buffer[..length]))),
        Err(Errno::NODATA | Errno::OPNOTSUPP) => Ok(None),
        Err(errno) => Err(errno),
    }
}

fn set_list(directory: &OwnedFd, name: &str, list: Option<&str>) -> Result<(), Errno> {
    match list {
        Some(list) => fsetxattr(directory, name, &HEXLOWER.decode(list.as_bytes()).map_err(|_| Errno::INVAL)?, XattrFlags::empty()),
        None => match fremovexattr(directory, name) {
            Ok(()) | Err(Errno::NODATA | Errno::OPNOTSUPP) => Ok(()),
            Err(errno) => Err(errno),
        },
    }
}

pub(super) fn content(path: &Path) -> Result<Vec<u8>, SystemError> {
    let (directory, name) = parent(path)?;
    let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
    let file = openat2(&directory, name, flags, Mode::empty(), NO_LINKS).map_err(failed("open", path))?;
    let stat = fstat(&file).map_err(failed("look at", path))?;
    if FileType::from_raw_mode(stat.st_mode) != FileType::RegularFile || stat.st_nlink > 1 {
        return Err(obstructed(path, "no plain file", "a file"));
    }
    let mut bytes = Vec::new();
    let read = File::from(file).take(CONTENT_LIMIT + 1).read_to_end(&mut bytes);
    read.map_err(|source| SystemError::File { doing: "read", path: path.to_owned(), source })?;
    if bytes.len() as u64 > CONTENT_LIMIT {
        return Err(obstructed(path, "larger than 1 MiB", "a configuration file"));
    }
    Ok(bytes)
}

pub(super) fn digest(path: &Path) -> Result<String, SystemError> {
    let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC;
    let file = openat2(CWD, path, flags, Mode::empty(), ResolveFlags::NO_MAGICLINKS).map_err(failed("open", path))?;
    let stat = fstat(&file).map_err(failed("look at", path))?;
    if FileType::from_raw_mode(stat.st_mode) != FileType::RegularFile {
        return Err(obstructed(path, "no file", "a file"));
    }
    let mut hash = Sha256::new();
    let read = io::copy(&mut File::from(file), &mut hash);
    read.map_err(|source| SystemError::File { doing: "read", path: path.to_owned(), source })?;
    Ok(HEXLOWER.encode(&hash.finalize()))
}

pub(super) fn list(path: &Path) -> Result<Vec<String>, SystemError> {
    let directory = open_directory(path).map_err(failed("open", path))?;
    let mut names = Vec::new();
    for entry in Dir::read_from(&directory).map_err(failed("list", path))? {
        let entry = entry.map_err(failed("list", path))?;
        let name = entry.file_name().to_string_lossy().into_owned();
        if name != "." && name != ".." {
            names.push(name);
        }
    }
    names.sort();
    Ok(names)
}

pub(super) fn holds_one(path: &Path) -> Result<bool, SystemError> {
    let directory = open_directory(path).map_err(failed("open", path))?;
    Ok(first_names(&directory, 2).map_err(failed("list", path))?.len() == 1)
}

/// The name beside a file under which its next content is made: hidden, so that no `include` takes it up, and always the
/// same, so that what a cut leaves behind is found and removed.
fn temporary(name: &OsStr) -> PathBuf {
    let mut text = OsStr::new(".gantry-").to_owned();
    // A name may be 255 bytes long; names of ours are at most 210.
    text.push(OsStr::from_bytes(&name.as_bytes()[..name.len().min(230)]));
    text.push(".new");
    PathBuf::from(text)
}

/// Removes what an earlier try has left under the temporary name.
fn remove_temporary(directory: &OwnedFd, name: &OsStr, path: &Path) -> Result<(), SystemError> {
    match unlinkat(directory, temporary(name), AtFlags::empty()) {
        Ok(()) | Err(Errno::NOENT) => Ok(()),
        Err(errno) => Err(failed("remove the temporary file beside", path)(errno)),
    }
}

pub(super) fn write_file(file: &FileImage) -> Result<(), SystemError> {
    let (directory, name) = parent(&file.path)?;
    let temp = temporary(name);
    remove_temporary(&directory, name, &file.path)?;
    let written = write_new(&directory, &temp, file).and_then(|()| {
        renameat(&directory, &temp, &directory, name).map_err(failed("put in place", &file.path))?;
        fsync(&directory).map_err(failed("make durable", &file.path))
    });
    if written.is_err() {
        // The file's own error says more than that of the clean-up would.
        let _ = unlinkat(&directory, &temp, AtFlags::empty());
    }
    written
}

fn write_new(directory: &OwnedFd, name: &Path, file: &FileImage) -> Result<(), SystemError> {
    let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let descriptor = openat2(directory, name, flags, Mode::RUSR | Mode::WUSR, NO_LINKS).map_err(failed("create", &file.path))?;
    let mut handle = File::from(descriptor);
    handle.write_all(&file.content.0).map_err(|source| SystemError::File { doing: "write", path: file.path.clone(), source })?;
    let owner = (Some(Uid::from_raw(file.owner.uid)), Some(Gid::from_raw(file.owner.gid)));
    fchown(&handle, owner.0, owner.1).map_err(failed("give away", &file.path))?;
    fchmod(&handle, Mode::from_raw_mode(file.mode)).map_err(failed("set the mode of", &file.path))?;
    fsync(&handle).map_err(failed("make durable", &file.path))
}

pub(super) fn create_file(file: &FileImage) -> Result<(), SystemError> {
    match entry(&file.path)? {
        Entry::Absent => write_file(file),
        Entry::File { .. } => Ok(()),
        other @ (Entry::Directory { .. } | Entry::Link { .. } | Entry::Other { .. }) => {
            Err(obstructed(&file.path, other.describe(), "a file"))
        }
    }
}

pub(super) fn remove_file(path: &Path) -> Result<(), SystemError> {
    let (directory, name) = match parent(path) {
        Ok(found) => found,
        Err(SystemError::File { source, .. }) if source.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(error),
    };
    remove_temporary(&directory, name, path)?;
    match unlinkat(&directory, name, AtFlags::empty()) {
        Ok(()) | Err(Errno::NOENT) => fsync(&directory).map_err(failed("make durable the removal of", path)),
        Err(errno) => Err(failed("remove", path)(errno)),
    }
}

pub(super) fn link(path: &Path, target: &Path) -> Result<(), SystemError> {
    let (directory, name) = parent(path)?;
    let temp = temporary(name);
    remove_temporary(&directory, name, path)?;
    symlinkat(target, &directory, &temp).map_err(failed("link", path))?;
    if let Err(errno) = renameat(&directory, &temp, &directory, name) {
        let _ = unlinkat(&directory, &temp, AtFlags::empty());
        return Err(failed("link", path)(errno));
    }
    fsync(&directory).map_err(failed("make durable", path))
}

pub(super) fn ensure_directory(image: &DirectoryImage) -> Result<(), SystemError> {
    let path = &image.path;
    let (parent, name) = parent(path)?;
    let made = match mkdirat(&parent, name, Mode::RWXU) {
        Ok(()) => true,
        Err(Errno::EXIST) => false,
        Err(errno) => return Err(failed("make", path)(errno)),
    };
    let directory = match open_child_directory(&parent, name) {
        Ok(directory) => directory,
        Err(Errno::LOOP | Errno::NOTDIR) => return Err(obstructed(path, "no directory", "a directory")),
        Err(errno) => return Err(failed("open", path)(errno)),
    };
    let owner = (Some(Uid::from_raw(image.owner.uid)), Some(Gid::from_raw(image.owner.gid)));
    // First the lists go, then owner and mode, then the lists come: a list's mask shows in the mode's group bits.
    if image.acl.access.is_none() {
        set_list(&directory, ACCESS, None).map_err(failed("set the access list of", path))?;
    }
    fchown(&directory, owner.0, owner.1).map_err(failed("give away", path))?;
    fchmod(&directory, Mode::from_raw_mode(image.mode)).map_err(failed("set the mode of", path))?;
    if let Some(list) = &image.acl.access {
        set_list(&directory, ACCESS, Some(list)).map_err(failed("set the access list of", path))?;
    }
    set_list(&directory, DEFAULT, image.acl.default.as_deref()).map_err(failed("set the access list of", path))?;
    fsync(&directory).map_err(failed("make durable", path))?;
    if made { fsync(&parent).map_err(failed("make durable", path)) } else { Ok(()) }
}

pub(super) fn remove_directory(path: &Path) -> Result<(), SystemError> {
    let (directory, name) = parent(path)?;
    match unlinkat(&directory, name, AtFlags::REMOVEDIR) {
        Ok(()) | Err(Errno::NOENT) => fsync(&directory).map_err(failed("make durable the removal of", path)),
        Err(errno) => Err(failed("remove", path)(errno)),
    }
}

pub(super) fn rename(from: &Path, to: &Path) -> Result<(), SystemError> {
    let (source, old) = parent(from)?;
    let (destination, new) = parent(to)?;
    match renameat_with(&source, old, &destination, new, RenameFlags::NOREPLACE) {
        Ok(()) => {}
        // It has been moved by an earlier try.
        Err(Errno::NOENT) if entry(to)? != Entry::Absent => {}
        Err(errno) => return Err(failed("move", from)(errno)),
    }
    fsync(&destination).map_err(failed("make durable", to))?;
    fsync(&source).map_err(failed("make durable", from))
}

#[cfg(test)]
mod tests;
