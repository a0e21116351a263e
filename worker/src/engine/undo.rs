//! What puts a step's effect back. Captured before the step, kept in the journal, safe to repeat, and harmless if the
//! step never happened.

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use shared::names::LinuxUser;

use super::image::{Content, DirectoryImage, Entry, FileImage, UnitState};
use super::plan::Action;
use crate::system::{System, SystemError};

/// How to put one step back.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Undo {
    /// Puts back what lay at a path.
    Path { path: PathBuf, before: Before },
    /// Removes a user that was absent.
    RemoveUser { user: LinuxUser },
    /// Puts a password field back.
    Password { user: LinuxUser, field: String },
    /// Puts an expiry day back.
    Expiry { user: LinuxUser, day: Option<i64> },
    /// Moves a tree back.
    MoveBack { from: PathBuf, to: PathBuf },
    /// Starts a unit that ran.
    Start { unit: String },
    /// Stops a unit that did not run.
    Stop { unit: String },
    /// Once everything else is back: lets systemd read its units again.
    LoadUnits,
    /// Once everything else is back: lets a service read its configuration again.
    Reload { unit: String },
    /// Once everything else is back: lets nginx read its configuration again.
    ReloadNginx,
}

/// What lay at a path.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Before {
    /// Nothing.
    Absent,
    /// A file, or a file that the step would not touch is noted with its content all the same.
    File(FileImage),
    /// A directory, with whatever is in it.
    Directory(DirectoryImage),
    /// A link.
    Link { target: PathBuf },
}

impl Undo {
    /// Whether this has to wait until all files are as they were.
    pub(crate) const fn comes_last(&self) -> bool {
        match self {
            Self::LoadUnits | Self::Reload { .. } | Self::ReloadNginx => true,
            Self::Path { .. }
            | Self::RemoveUser { .. }
            | Self::Password { .. }
            | Self::Expiry { .. }
            | Self::MoveBack { .. }
            | Self::Start { .. }
            | Self::Stop { .. } => false,
        }
    }

    /// Puts the step back.
    pub(crate) fn run(&self, system: &dyn System) -> Result<(), SystemError> {
        match self {
            Self::Path { path, before } => put_back(system, path, before),
            Self::RemoveUser { user } => system.remove_user(user),
            Self::Password { user, field } => system.set_password(user, field),
            Self::Expiry { user, day } => system.set_expiry(user, *day),
            Self::MoveBack { from, to } => match system.entry(from)? {
                Entry::Absent => Ok(()),
                Entry::File { .. } | Entry::Directory { .. } | Entry::Link { .. } | Entry::Other { .. } => system.rename(from, to),
            },
            Self::Start { unit } => system.start_unit(unit),
            Self::Stop { unit } => system.stop_unit(unit),
            Self::LoadUnits => system.load_units(),
            Self::Reload { unit } => match system.unit(unit)? {
                UnitState::Active => system.reload_unit(unit),
                UnitState::Inactive => Ok(()),
            },
            Self::ReloadNginx => system.reload_nginx(),
        }
    }
}

fn put_back(system: &dyn System, path: &Path, before: &Before) -> Result<(), SystemError> {
    match before {
        Before::Absent => match system.entry(path)? {
            Entry::Directory { .. } => system.remove_directory(path),
            // Where there is nothing, a cut may still have left a temporary file.
            Entry::Absent | Entry::File { .. } | Entry::Link { .. } | Entry::Other { .. } => system.remove_file(path),
        },
        Before::File(image) => system.write_file(image),
        Before::Directory(image) => system.ensure_directory(image),
        Before::Link { target } => system.link(path, target),
    }
}

/// What would undo an action, read off the host just before it. `None`: there is nothing to undo.
pub(crate) fn capture(action: &Action, system: &dyn System) -> Result<Option<Undo>, SystemError> {
    Ok(match action {
        Action::EnsureUser(image) => match system.user(image.name.as_str())? {
            Some(_) => None,
            None => Some(Undo::RemoveUser { user: image.name.clone() }),
        },
        Action::SetPassword { user, .. } => {
            system.user(user.as_str())?.map(|record| Undo::Password { user: user.clone(), field: record.password })
        }
        Action::SetSignIn { user, .. } => {
            system.user(user.as_str())?.map(|record| Undo::Expiry { user: user.clone(), day: record.expires })
        }
        Action::EnsureDirectory(image) => Some(path_before(system, &image.path)?),
        Action::CreateFile(image) => match system.entry(&image.path)? {
            Entry::Absent => Some(Undo::Path { path: image.path.clone(), before: Before::Absent }),
            Entry::File { .. } | Entry::Directory { .. } | Entry::Link { .. } | Entry::Other { .. } => None,
        },
        Action::WriteFile(image) => Some(path_before(system, &image.path)?),
        Action::Remove { path } | Action::RemoveDirectory { path } | Action::Link { path, .. } => Some(path_before(system, path)?),
        Action::MoveAside { from, to } => Some(Undo::MoveBack { from: to.clone(), to: from.clone() }),
        Action::StartUnit { unit } => match system.unit(unit)? {
            UnitState::Active => None,
            UnitState::Inactive => Some(Undo::Stop { unit: unit.clone() }),
        },
        Action::StopUnit { unit } => match system.unit(unit)? {
            UnitState::Active => Some(Undo::Start { unit: unit.clone() }),
            UnitState::Inactive => None,
        },
        Action::LoadUnits => Some(Undo::LoadUnits),
        Action::ReloadUnit { unit } => Some(Undo::Reload { unit: unit.clone() }),
        Action::ReloadNginx => Some(Undo::ReloadNginx),
        Action::EndProcesses { .. }
        | Action::TestNginx
        | Action::TestPhp { .. }
        | Action::TestPacketFilter { .. }
        | Action::TestSshd
        | Action::RememberNeighbour { .. }
        | Action::CompareNeighbour { .. }
        | Action::Probe { .. } => None,
    })
}

fn path_before(system: &dyn System, path: &Path) -> Result<Undo, SystemError> {
    let before = match system.entry(path)? {
        Entry::Absent => Before::Absent,
        Entry::File { owner, mode, .. } => {
            Before::File(FileImage { path: path.to_owned(), owner, mode, content: Content(system.content(path)?) })
        }
        Entry::Directory { owner, mode, acl } => Before::Directory(DirectoryImage { path: path.to_owned(), owner, mode, acl }),
        Entry::Link { target } => Before::Link { target },
        Entry::Other { found } => {
            return Err(SystemError::Obstructed { path: path.to_owned(), found, expected: "a file, a directory or a link" });
        }
    };
    Ok(Undo::Path { path: path.to_owned(), before })
}
