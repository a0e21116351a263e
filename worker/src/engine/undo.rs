//! What puts a step's effect back. Captured before the step, kept in the journal, safe to repeat, and harmless if the
//! step never happened.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use shared::names::LinuxUser;

use super::image::{Content, DirectoryImage, Entry, FileImage, UnitState, UserImage, UserRecord};
use super::parallel::side_by_side;
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
            Self::RemoveUser { user } => system.remove_users(&[user]),
            Self::Password { user, field } => system.set_passwords(&[(user, field)]),
            Self::Expiry { user, day } => system.set_expiries(&[(user, *day)]),
            Self::MoveBack { from, to } => match system.entry(from)? {
                Entry::Absent => Ok(()),
                Entry::File { .. } | Entry::Directory { .. } | Entry::Link { .. } | Entry::Other { .. } => system.rename(from, to),
            },
            // A tenant's PHP, which he can keep from starting for as long as its time limit; its socket is there before it.
            Self::Start { unit } if unit.ends_with(".service") => system.start_soon(unit),
            Self::Start { unit } => system.start_units(&[unit]),
            // One that did not listen before owes nobody an answer, and the turn is held.
            Self::Stop { unit } if unit.ends_with(".socket") => system.stop_at_once(unit),
            Self::Stop { unit } => system.stop_units(&[unit]),
            Self::LoadUnits => system.load_units(),
            // systemd keeps what it was told of a slice, in use or not.
            Self::Reload { unit } if unit.ends_with(".slice") => system.reload_unit(unit),
            Self::Reload { unit } if system.units(&[unit])? == [UnitState::Active] => system.reload_unit(unit),
            Self::Reload { .. } => Ok(()),
            Self::ReloadNginx => system.reload_nginx(),
        }
    }
}

/// Puts the steps of several jobs back: each job's own, newest first; then what has to wait until all files are as they were,
/// once for all of them. Goes on after a failure: the rest should be back all the same. What went wrong, by job.
pub(crate) fn undo_all(jobs: &[&[Undo]], system: &dyn System, threads: usize) -> Vec<Vec<Arc<SystemError>>> {
    let mut errors: Vec<Vec<Arc<SystemError>>> = jobs.iter().map(|_| Vec::new()).collect();
    let each = jobs.iter().zip(&mut errors).collect();
    side_by_side(threads, each, |(undos, errors)| {
        for undo in undos.iter().rev().filter(|undo| !undo.comes_last()) {
            if let Err(error) = undo.run(system) {
                errors.push(Arc::new(error));
                if is_cut(errors) {
                    return;
                }
            }
        }
    });
    if errors.iter().any(|errors| is_cut(errors)) {
        return errors;
    }
    let mut last: Vec<&Undo> = Vec::new();
    for undo in jobs.iter().copied().flatten().filter(|undo| undo.comes_last()) {
        if !last.contains(&undo) {
            last.push(undo);
        }
    }
    // In the order in which the plans had them: units are loaded before they are reloaded.
    for undo in last {
        let Err(error) = undo.run(system) else { continue };
        let error = Arc::new(error);
        for (_, errors) in jobs.iter().zip(&mut errors).filter(|(undos, _)| undos.contains(undo)) {
            errors.push(Arc::clone(&error));
        }
        if is_cut(&[error]) {
            return errors;
        }
    }
    errors
}

/// Whether the worker was cut off in the middle.
pub(crate) fn is_cut(errors: &[Arc<SystemError>]) -> bool {
    errors.iter().any(|error| matches!(**error, SystemError::Interrupted))
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

/// What would undo actions, read off the host just before them, in the same order. `None`: there is nothing to undo.
///
/// The actions may follow one another: a path that is absent because an earlier one of them will make the directory around it
/// is absent all the same.
pub(crate) fn capture<'a>(
    actions: impl Iterator<Item = &'a Action> + Clone,
    system: &dyn System,
) -> Result<Vec<Option<Undo>>, (usize, SystemError)> {
    let units: Vec<&str> = actions.clone().filter_map(unit_of).collect();
    let states = if units.is_empty() { Vec::new() } else { system.units(&units).map_err(|error| (0, error))? };
    let mut states = states.into_iter();
    let many = actions.clone().filter(|action| user_of(action).is_some()).count() >= MANY;
    let users = if many { system.users().map_err(|error| (0, error))? } else { BTreeMap::new() };
    let captured = actions.enumerate().map(|(index, action)| {
        let state = unit_of(action).and_then(|_| states.next());
        let user = match user_of(action) {
            Some(name) if many => users.get(name.as_str()).cloned(),
            Some(name) => system.user(name.as_str()).map_err(|error| (index, error))?,
            None => None,
        };
        capture_one(action, (state, user), system).map_err(|error| (index, error))
    });
    captured.collect()
}

/// The unit whose state an action changes.
fn unit_of(action: &Action) -> Option<&str> {
    if let Action::StartUnit { unit } | Action::StopUnit { unit } = action { Some(unit) } else { None }
}

/// The user whom an action changes.
fn user_of(action: &Action) -> Option<&LinuxUser> {
    if let Action::EnsureUser(UserImage { name: user, .. }) | Action::SetPassword { user, .. } | Action::SetSignIn { user, .. } = action {
        Some(user)
    } else {
        None
    }
}

/// From so many users on, reading them all at once is cheaper than asking for each.
const MANY: usize = 4;

/// `found` are the unit's state and the user, for an action that changes one.
fn capture_one(action: &Action, found: (Option<UnitState>, Option<UserRecord>), system: &dyn System) -> Result<Option<Undo>, SystemError> {
    let (state, record) = found;
    Ok(match action {
        Action::EnsureUser(image) => match record {
            Some(_) => None,
            None => Some(Undo::RemoveUser { user: image.name.clone() }),
        },
        Action::SetPassword { user, .. } => record.map(|record| Undo::Password { user: user.clone(), field: record.password }),
        Action::SetSignIn { user, .. } => record.map(|record| Undo::Expiry { user: user.clone(), day: record.expires }),
        Action::EnsureDirectory(image) => Some(path_before(system, &image.path)?),
        Action::CreateFile(image) => match system.entry(&image.path)? {
            Entry::Absent => Some(Undo::Path { path: image.path.clone(), before: Before::Absent }),
            Entry::File { .. } | Entry::Directory { .. } | Entry::Link { .. } | Entry::Other { .. } => None,
        },
        Action::WriteFile(image) => Some(path_before(system, &image.path)?),
        Action::Remove { path } | Action::RemoveDirectory { path } | Action::Link { path, .. } => Some(path_before(system, path)?),
        Action::MoveAside { from, to } => Some(Undo::MoveBack { from: to.clone(), to: from.clone() }),
        Action::StartUnit { unit } => match state {
            Some(UnitState::Active) => None,
            Some(UnitState::Inactive) | None => Some(Undo::Stop { unit: unit.clone() }),
        },
        Action::StopUnit { unit } => match state {
            Some(UnitState::Active) => Some(Undo::Start { unit: unit.clone() }),
            Some(UnitState::Inactive) | None => None,
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
