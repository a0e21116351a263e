//! Files that others must not read, written whole or not at all.
//!
//! **No link is followed and nothing is given away by a name**: some directories belong to processes without rights, and what
//! lies in them under a name may be another thing by the time root gets at it.

use std::fs::{File, OpenOptions, Permissions};
use std::io::Write;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt, PermissionsExt, fchown};
use std::path::{Path, PathBuf};

use nix::fcntl::{AT_FDCWD, OFlag, RenameFlags, renameat2};
use shared::ids::EventId;

/// A file that could not be written.
#[derive(Debug, thiserror::Error)]
#[error("{path} could not be written")]
pub struct WriteError {
    /// Which.
    pub path: PathBuf,
    /// Why.
    #[source]
    pub source: std::io::Error,
}

/// Writes a file with a mode from its first moment, in the place of one that is there.
///
/// # Errors
/// It cannot be written; what was there is as it was.
pub(crate) fn write(path: &Path, bytes: &[u8], mode: u32) -> Result<(), WriteError> {
    put(path, bytes, mode, |temporary| std::fs::rename(temporary, path))
}

/// As [`write`], but only if there is none: of several processes that write at once, one succeeds.
///
/// # Errors
/// As [`write`]; of kind `AlreadyExists` if there is one.
pub(crate) fn write_first(path: &Path, bytes: &[u8], mode: u32) -> Result<(), WriteError> {
    put(path, bytes, mode, |temporary| {
        // In one step, so that a process that dies leaves no second name, which [`give`] would refuse.
        renameat2(AT_FDCWD, temporary, AT_FDCWD, path, RenameFlags::RENAME_NOREPLACE)?;
        Ok(())
    })
}

/// Writes a file of a name that no other process uses, and puts it in its place.
fn put(path: &Path, bytes: &[u8], mode: u32, place: impl FnOnce(&Path) -> std::io::Result<()>) -> Result<(), WriteError> {
    let temporary = path.with_extension(format!("{}.new", EventId::new()));
    let put = || -> std::io::Result<()> {
        let mut file = OpenOptions::new().write(true).create_new(true).mode(mode).open(&temporary)?;
        file.write_all(bytes)?;
        file.sync_all()?;
        place(&temporary)?;
        path.parent().map_or(Ok(()), |directory| File::open(directory)?.sync_all())
    };
    put().map_err(|source| {
        // What could not be put in its place is of no use to anybody.
        let _ = std::fs::remove_file(&temporary);
        WriteError { path: path.to_owned(), source }
    })
}

/// Gives a file or directory a mode and, if it is to have another, an owner: user and group.
///
/// # Errors
/// It is a link, has a second name, or is neither file nor directory; or this process may not.
pub(crate) fn give(path: &Path, owner: Option<(u32, u32)>, mode: u32) -> std::io::Result<()> {
    let flags = OFlag::O_NOFOLLOW | OFlag::O_NONBLOCK;
    let file = OpenOptions::new().read(true).custom_flags(flags.bits()).open(path)?;
    let found = file.metadata()?;
    if !(found.is_dir() || found.is_file() && found.nlink() == 1) {
        return Err(std::io::Error::other("it is not a file or directory of one name"));
    }
    if let Some((uid, gid)) = owner {
        fchown(&file, Some(uid), Some(gid))?;
    }
    file.set_permissions(Permissions::from_mode(mode))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::{PermissionsExt, symlink};
    use std::path::Path;

    use super::{give, write, write_first};

    fn mode(path: &Path) -> u32 {
        std::fs::metadata(path).unwrap().permissions().mode() & 0o7777
    }

    #[test]
    fn a_file_is_replaced_whole_and_its_first_write_happens_once() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("file.json");
        write_first(&path, b"one", 0o600).unwrap();
        assert_eq!(write_first(&path, b"two", 0o600).unwrap_err().source.kind(), std::io::ErrorKind::AlreadyExists);
        assert_eq!(std::fs::read(&path).unwrap(), b"one");
        write(&path, b"three", 0o640).unwrap();
        assert_eq!((std::fs::read(&path).unwrap().as_slice(), mode(&path)), (b"three".as_slice(), 0o640));
        assert_eq!(std::fs::read_dir(directory.path()).unwrap().count(), 1, "and nothing else is left");
    }

    #[test]
    fn a_file_that_was_replaced_by_a_link_is_neither_written_through_nor_given_away() {
        let directory = tempfile::tempdir().unwrap();
        let (secret, link, second) = (directory.path().join("secret"), directory.path().join("link"), directory.path().join("second"));
        write(&secret, b"secret", 0o600).unwrap();
        symlink(&secret, &link).unwrap();
        assert!(give(&link, None, 0o666).is_err());
        std::fs::hard_link(&secret, &second).unwrap();
        assert!(give(&second, None, 0o666).is_err());
        assert_eq!(mode(&secret), 0o600);
        write(&link, b"public", 0o644).unwrap();
        assert_eq!(std::fs::read(&secret).unwrap(), b"secret");
        std::fs::remove_file(&second).unwrap();
        give(&secret, None, 0o640).unwrap();
        give(directory.path(), None, 0o750).unwrap();
        assert_eq!((mode(&secret), mode(directory.path())), (0o640, 0o750));
    }
}
