//! `gantry backup`: all that this machine's panel needs to be itself again, in a directory.
//!
//! It has the shape of `/var/lib/gantry`, without what is made again: the bus's store and certificate. **No link is followed**: some
//! of these directories belong to processes without rights.

use std::fs::{DirBuilder, File, OpenOptions};
use std::io::{Read, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use anyhow::{Context, bail, ensure};
use clap::Args;
use nix::fcntl::OFlag;
use nix::unistd::geteuid;

use super::admin::print_line;
use super::up::layout::Layout;
use super::{DatabaseArgs, SETTINGS};
use crate::private_file::give;
use crate::store::Db;
use crate::store::copy::{Copied, database_copy};

#[derive(Debug, Args)]
pub(super) struct Backup {
    /// A directory that does not exist yet; it will hold every key of this panel.
    directory: PathBuf,
    /// Where the panel keeps everything.
    #[arg(long, default_value = "/var/lib/gantry")]
    state_dir: PathBuf,
    #[command(flatten)]
    database: DatabaseArgs,
}

/// No file of these directories is larger: they hold keys and certificates.
const MOST: u64 = 1 << 20;

impl Backup {
    pub(super) async fn run(self) -> anyhow::Result<()> {
        ensure!(!self.directory.try_exists()?, "{} exists; name a new directory", self.directory.display());
        // Only what is whole gets the name.
        let mut partial = self.directory.clone().into_os_string();
        partial.push(".incomplete");
        let partial = PathBuf::from(partial);
        make_directory(&partial, None)?;
        let copied = self.fill(&partial).await;
        match copied {
            Ok(lines) => {
                File::open(&partial)?.sync_all()?;
                std::fs::rename(&partial, &self.directory).with_context(|| format!("{} could not be named", self.directory.display()))?;
                for line in lines {
                    print_line(&line);
                }
                Ok(())
            }
            Err(error) => {
                let _ = std::fs::remove_dir_all(&partial);
                Err(error)
            }
        }
    }

    /// Copies everything, and returns what is to be said about it.
    async fn fill(&self, to: &Path) -> anyhow::Result<Vec<String>> {
        let (from, to) = (Layout { root: self.state_dir.clone() }, Layout { root: to.to_owned() });
        let mut lines = vec![format!("{} holds every key of this panel: keep it where nobody else reads it.", self.directory.display())];
        for (from, to) in [
            (from.authority_dir(), to.authority_dir()),
            (from.dispatch(), to.dispatch()),
            (from.credentials_dir(), to.credentials_dir()),
            (from.tls(), to.tls()),
            (from.cluster(), to.cluster()),
        ] {
            copy_directory(&from, &to, &mut lines)?;
        }
        for (from, to) in [(from.bus_authority(), to.bus_authority()), (SETTINGS.into(), to.root.join("gantry.env"))] {
            copy_file(&from, &to, &mut lines)?;
        }
        ensure!(to.keys().exists(), "{} has no keys of a panel in it", self.state_dir.display());
        self.copy_database(&from, &to, &mut lines).await?;
        Ok(lines)
    }

    async fn copy_database(&self, from: &Layout, to: &Layout, lines: &mut Vec<String>) -> anyhow::Result<()> {
        let db = Db::open(&self.database.database).await.context("the database could not be opened")?;
        make_directory(&to.database_dir(), Some(&from.database_dir()))?;
        let file = to.database();
        OpenOptions::new().write(true).create_new(true).mode(0o600).open(&file)?;
        match database_copy(&db, &file).await.context("the database could not be copied")? {
            Copied::Whole => {
                if let Ok(original) = std::fs::symlink_metadata(from.database()) {
                    like(&file, &original)?;
                }
                File::open(&file)?.sync_all()?;
            }
            Copied::Not => {
                std::fs::remove_file(&file)?;
                lines.push("The database is PostgreSQL's and is not in it: back it up with pg_dump, after this.".to_owned());
            }
        }
        db.close().await;
        Ok(())
    }
}

/// Makes a directory, with the owner of another one if there is that.
fn make_directory(path: &Path, original: Option<&Path>) -> anyhow::Result<()> {
    DirBuilder::new().mode(0o700).create(path).with_context(|| format!("{} could not be made", path.display()))?;
    if let Some(Ok(original)) = original.map(std::fs::symlink_metadata) {
        like(path, &original)?;
    }
    Ok(())
}

/// Gives a copy its original's owner and mode, without rights for others.
fn like(path: &Path, original: &std::fs::Metadata) -> anyhow::Result<()> {
    let owner = geteuid().is_root().then_some((original.uid(), original.gid()));
    let mode = original.permissions().mode() & 0o2770;
    give(path, owner, mode).with_context(|| format!("{} could not be given to its user", path.display()))
}

/// Copies the files of a directory, and the directories below it if root alone can put anything there. Fine if there is none.
fn copy_directory(from: &Path, to: &Path, lines: &mut Vec<String>) -> anyhow::Result<()> {
    let found = match std::fs::symlink_metadata(from) {
        Ok(found) if found.is_dir() => found,
        Ok(_) => bail!("{} is no directory", from.display()),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(error).with_context(|| format!("{} could not be read", from.display())),
    };
    make_directory(to, Some(from))?;
    for entry in std::fs::read_dir(from).with_context(|| format!("{} could not be read", from.display()))? {
        let entry = entry?;
        let (inner, copy) = (entry.path(), to.join(entry.file_name()));
        if !entry.file_type()?.is_dir() {
            copy_file(&inner, &copy, lines)?;
        } else if found.uid() == geteuid().as_raw() {
            copy_directory(&inner, &copy, lines)?;
        } else {
            lines.push(format!("Left out: {}, a directory in one that is not root's.", inner.display()));
        }
    }
    Ok(())
}

/// Copies a file with its owner. Fine if there is none; what is no file of one name is left out and said.
fn copy_file(from: &Path, to: &Path, lines: &mut Vec<String>) -> anyhow::Result<()> {
    let flags = OFlag::O_NOFOLLOW | OFlag::O_NONBLOCK;
    let file = match OpenOptions::new().read(true).custom_flags(flags.bits()).open(from) {
        Ok(file) => file,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(()),
        Err(error) if error.raw_os_error() == Some(nix::errno::Errno::ELOOP as i32) => {
            lines.push(format!("Left out: {}, a link.", from.display()));
            return Ok(());
        }
        Err(error) => return Err(error).with_context(|| format!("{} could not be read", from.display())),
    };
    let found = file.metadata()?;
    if !found.is_file() || found.nlink() != 1 || found.len() > MOST {
        lines.push(format!("Left out: {}, which is no small file of one name.", from.display()));
        return Ok(());
    }
    let mut bytes = Vec::new();
    file.take(MOST).read_to_end(&mut bytes).with_context(|| format!("{} could not be read", from.display()))?;
    let written = || -> std::io::Result<()> {
        let mut copy = OpenOptions::new().write(true).create_new(true).mode(0o600).open(to)?;
        copy.write_all(&bytes)?;
        copy.sync_all()
    };
    written().with_context(|| format!("{} could not be written", to.display()))?;
    like(to, &found)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::{PermissionsExt, symlink};

    use super::copy_directory;

    #[test]
    fn a_link_and_a_second_name_are_left_out_and_copies_are_nobody_elses() {
        let directory = tempfile::tempdir().unwrap();
        let (from, to) = (directory.path().join("tls"), directory.path().join("copy"));
        std::fs::create_dir(&from).unwrap();
        let secret = directory.path().join("secret");
        std::fs::write(&secret, "root:*").unwrap();
        symlink(&secret, from.join("panel.key")).unwrap();
        std::fs::hard_link(&secret, from.join("second.key")).unwrap();
        std::fs::write(from.join("panel.crt"), "certificate").unwrap();
        std::fs::set_permissions(from.join("panel.crt"), std::fs::Permissions::from_mode(0o644)).unwrap();
        let mut lines = Vec::new();
        copy_directory(&from, &to, &mut lines).unwrap();
        let names: Vec<_> = std::fs::read_dir(&to).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        assert_eq!(names, ["panel.crt"]);
        assert_eq!(lines.len(), 2, "{lines:?}");
        let mode = |path: &std::path::Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
        assert_eq!((mode(&to), mode(&to.join("panel.crt"))), (mode(&from) & 0o770, 0o640));
    }
}
