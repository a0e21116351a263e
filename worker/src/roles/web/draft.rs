//! A plan in the making: each line says how something should be, and becomes a step only if it is not.

use std::path::{Path, PathBuf};

use crate::engine::facts::Facts;
use crate::engine::image::{DirectoryImage, Entry, FileImage};
use crate::engine::plan::{Action, Plan};
use crate::roles::PlanError;
use crate::system::SystemError;

/// A plan in the making.
pub(super) struct Draft<'a> {
    pub(super) facts: Facts<'a>,
    pub(super) plan: Plan,
}

/// Whether something will be changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Changed {
    Yes,
    No,
}

impl Changed {
    pub(super) const fn yes(self) -> bool {
        matches!(self, Self::Yes)
    }

    /// Whether either.
    pub(super) const fn or(self, other: Self) -> Self {
        if self.yes() { self } else { other }
    }
}

impl<'a> Draft<'a> {
    pub(super) fn new(facts: Facts<'a>) -> Self {
        Self { facts, plan: Plan::default() }
    }

    /// A directory is as given.
    pub(super) fn directory(&mut self, name: &'static str, image: DirectoryImage) -> Result<Changed, PlanError> {
        if self.facts.holds_directory(&image)? {
            return Ok(Changed::No);
        }
        match self.facts.entry(&image.path)? {
            Entry::Absent | Entry::Directory { .. } => {}
            other @ (Entry::File { .. } | Entry::Link { .. } | Entry::Other { .. }) => {
                return Err(in_the_way(&image.path, &other, "a directory"));
            }
        }
        self.plan.step(name, Action::EnsureDirectory(image));
        Ok(Changed::Yes)
    }

    /// A file is as given.
    pub(super) fn file(&mut self, name: &'static str, image: FileImage) -> Result<Changed, PlanError> {
        if self.facts.holds_file(&image)? {
            return Ok(Changed::No);
        }
        match self.facts.entry(&image.path)? {
            Entry::Absent | Entry::File { .. } | Entry::Link { .. } => {}
            other @ (Entry::Directory { .. } | Entry::Other { .. }) => return Err(in_the_way(&image.path, &other, "a file")),
        }
        self.plan.step(name, Action::WriteFile(image));
        Ok(Changed::Yes)
    }

    /// A file is there; what it holds is not ours.
    pub(super) fn some_file(&mut self, name: &'static str, image: FileImage) -> Result<Changed, PlanError> {
        match self.facts.entry(&image.path)? {
            Entry::File { .. } => Ok(Changed::No),
            Entry::Absent => {
                self.plan.step(name, Action::CreateFile(image));
                Ok(Changed::Yes)
            }
            other @ (Entry::Directory { .. } | Entry::Link { .. } | Entry::Other { .. }) => Err(in_the_way(&image.path, &other, "a file")),
        }
    }

    /// A link points as given.
    pub(super) fn link(&mut self, name: &'static str, path: PathBuf, target: PathBuf) -> Result<Changed, PlanError> {
        if self.facts.holds_link(&path, &target)? {
            return Ok(Changed::No);
        }
        self.plan.step(name, Action::Link { path, target });
        Ok(Changed::Yes)
    }

    /// No file or link is there.
    pub(super) fn no_file(&mut self, name: &'static str, path: PathBuf) -> Result<Changed, PlanError> {
        if self.facts.entry(&path)? == Entry::Absent {
            return Ok(Changed::No);
        }
        self.plan.step(name, Action::Remove { path });
        Ok(Changed::Yes)
    }

    /// A unit runs.
    pub(super) fn running(&mut self, name: &'static str, unit: &str) -> Result<Changed, PlanError> {
        if self.facts.runs(unit)? {
            return Ok(Changed::No);
        }
        self.plan.step(name, Action::StartUnit { unit: unit.to_owned() });
        Ok(Changed::Yes)
    }

    /// A unit does not run.
    pub(super) fn stopped(&mut self, name: &'static str, unit: &str) -> Result<Changed, PlanError> {
        if !self.facts.runs(unit)? {
            return Ok(Changed::No);
        }
        self.plan.step(name, Action::StopUnit { unit: unit.to_owned() });
        Ok(Changed::Yes)
    }
}

fn in_the_way(path: &Path, found: &Entry, expected: &'static str) -> PlanError {
    SystemError::Obstructed { path: path.to_owned(), found: found.describe(), expected }.into()
}
