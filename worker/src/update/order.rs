//! An update that has been ordered: what is to be installed, and how far it has come.
//!
//! **Each phase is on the disk before anything of it is done**, so that whoever is started next knows where to go on.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use shared::events::{RoleHealth, StepReport, Verdict};
use shared::ids::JobId;
use shared::names::PackageVersion;
use shared::release::Sha256Sum;
use shared::role::Role;

/// What the worker has ordered.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Order {
    /// The job that wants it.
    pub job: JobId,
    /// Its attempt.
    pub attempt: u32,
    /// The version that ordered it, to go back to.
    pub from: PackageVersion,
    /// The version wanted.
    pub to: PackageVersion,
    /// The package's file.
    pub sha256: Sha256Sum,
    /// The roles whose daemons ran when it was ordered: a newer worker with which one of them fails is not kept.
    #[serde(default)]
    pub well: Vec<Role>,
    /// The steps so far.
    pub steps: Vec<StepReport>,
    /// How far it has come.
    pub phase: Phase,
}

impl Order {
    /// The roles that were well when it was ordered and are not by what a heartbeat says.
    pub(crate) fn lost_roles(&self, now: &[RoleHealth]) -> Vec<Role> {
        let works = |role: &Role| now.iter().any(|health| health.role == *role && health.healthy);
        self.well.iter().copied().filter(|role| !works(role)).collect()
    }
}

/// How far an update has come.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "phase", rename_all = "snake_case")]
pub enum Phase {
    /// The new package is being installed.
    Installing,
    /// The old one is being put back.
    PuttingBack(GoingBack),
    /// It is over.
    Ended {
        /// How.
        verdict: Verdict,
    },
}

/// How far going back has come.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct GoingBack {
    /// Why.
    pub reason: String,
    /// Whether the old package was not there any more.
    #[serde(default)]
    pub was_left: bool,
    /// Whether the database is being put back: what lies at its path is then neither the newer one nor the old one.
    #[serde(default)]
    pub database: bool,
}

impl GoingBack {
    /// Nothing has been put back yet.
    #[must_use]
    pub const fn because(reason: String) -> Self {
        Self { reason, was_left: false, database: false }
    }
}

/// Where the files of an update lie: root's alone.
#[derive(Debug, Clone)]
pub struct Desk(PathBuf);

impl Desk {
    /// That of a worker with this state directory.
    #[must_use]
    pub fn within(state_dir: &Path) -> Self {
        Self(state_dir.join("update"))
    }

    /// The new package.
    #[must_use]
    pub fn package(&self) -> PathBuf {
        self.0.join("new.deb")
    }

    /// The package to go back to.
    #[must_use]
    pub fn previous(&self) -> PathBuf {
        self.0.join("previous.deb")
    }

    /// The program that carries the update out: a copy of the old worker. The unit's `ExecStart` names it.
    #[must_use]
    pub fn program(&self) -> PathBuf {
        self.0.join("updater")
    }

    /// Begins anew, with this program as the updater.
    ///
    /// # Errors
    /// The directory cannot be written.
    pub fn clear(&self, program: &Path) -> io::Result<()> {
        self.leave()?;
        DirBuilder::new().recursive(true).mode(0o700).create(&self.0)?;
        fs::copy(program, self.program())?;
        fs::set_permissions(self.program(), fs::Permissions::from_mode(0o700))?;
        File::open(self.program())?.sync_all()?;
        File::open(&self.0)?.sync_all()
    }

    /// Removes all of it: an update is over and told.
    ///
    /// # Errors
    /// The directory cannot be removed.
    pub fn leave(&self) -> io::Result<()> {
        match fs::remove_dir_all(&self.0) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            Ok(()) | Err(_) => Ok(()),
        }
    }

    /// The order, if there is one.
    ///
    /// # Errors
    /// It cannot be read.
    pub fn order(&self) -> io::Result<Option<Order>> {
        match fs::read(self.0.join("order.json")) {
            Ok(text) => Ok(Some(serde_json::from_slice(&text)?)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Writes the order, whole or not at all.
    ///
    /// # Errors
    /// It cannot be written.
    pub fn write(&self, order: &Order) -> io::Result<()> {
        let order_text = serde_json::to_vec_pretty(order)?;
        replace(&self.0.join("order.json"), &self.0.join("order.new"), |file| file.write_all(&order_text))
    }

    /// Keeps the database as it is: a newer worker may change its form. The worker must not run.
    ///
    /// # Errors
    /// It cannot be copied.
    pub fn keep_database(&self, database: &Path) -> io::Result<()> {
        let [file, log, _] = files_of(database);
        for file in [file, log] {
            let kept = self.kept(&file);
            match fs::copy(&file, &kept) {
                Ok(_) => File::open(&kept)?.sync_all()?,
                Err(error) if error.kind() == io::ErrorKind::NotFound => remove(&kept)?,
                Err(error) => return Err(error),
            }
        }
        File::open(&self.0)?.sync_all()
    }

    /// Whether a database was kept.
    #[must_use]
    pub fn has_database(&self, database: &Path) -> bool {
        self.kept(database).exists()
    }

    /// Puts the database back as it was kept. The worker must not run. Until this has returned, the database is to be used by nobody:
    /// done again after a cut, it does the same.
    ///
    /// # Errors
    /// It cannot be copied.
    pub fn restore_database(&self, database: &Path) -> io::Result<()> {
        let [file, log, index] = files_of(database);
        // They belong to the database that goes: beside the one that comes they would be read as its own.
        remove(&log)?;
        remove(&index)?;
        for file in [file, log] {
            let kept = self.kept(&file);
            if kept.exists() {
                let mut name = file.as_os_str().to_owned();
                name.push(".back");
                replace(&file, Path::new(&name), |copy| io::copy(&mut File::open(&kept)?, copy).map(drop))?;
            }
        }
        Ok(())
    }

    fn kept(&self, file: &Path) -> PathBuf {
        self.0.join(file.file_name().unwrap_or_default())
    }
}

/// Replaces a file of root's alone in one rename, durably.
fn replace(path: &Path, temporary: &Path, write: impl FnOnce(&mut File) -> io::Result<()>) -> io::Result<()> {
    let mut file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(temporary)?;
    write(&mut file)?;
    file.sync_all()?;
    fs::rename(temporary, path)?;
    File::open(path.parent().unwrap_or(path))?.sync_all()
}

fn remove(path: &Path) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        Ok(()) | Err(_) => Ok(()),
    }
}

/// The database, its log, and the index of the log, which SQLite makes anew.
fn files_of(database: &Path) -> [PathBuf; 3] {
    ["", "-wal", "-shm"].map(|suffix| {
        let mut name = database.as_os_str().to_owned();
        name.push(suffix);
        PathBuf::from(name)
    })
}
