//! What the fake's host consists of, as its calls use it.

use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::io;
use std::path::{Path, PathBuf};

use shared::names::LinuxUser;

use super::{Node, Snapshot, State};
use crate::engine::image::UserRecord;
use crate::system::SystemError;

pub(super) fn file_error(doing: &'static str, path: &Path, kind: io::ErrorKind) -> SystemError {
    SystemError::File { doing, path: path.to_owned(), source: kind.into() }
}

/// These units and what is stopped with them: a service requires its socket.
pub(super) fn with_services(units: &[&str]) -> BTreeSet<String> {
    let services = units.iter().filter_map(|unit| Some(format!("{}.service", unit.strip_suffix(".socket")?)));
    units.iter().map(|unit| (*unit).to_owned()).chain(services).collect()
}

impl State {
    pub(super) fn node(&self, path: &Path) -> Option<&Node> {
        self.host.nodes.get(path)
    }

    /// Everything is made in a directory, and none of them is a link.
    pub(super) fn in_directory(&self, path: &Path) -> Result<(), SystemError> {
        let parent = path.parent().unwrap_or(Path::new("/"));
        match self.node(parent) {
            Some(Node::Directory { .. }) => Ok(()),
            Some(Node::File { .. } | Node::Link { .. } | Node::Pipe) => {
                Err(file_error("open the directory of", path, io::ErrorKind::NotADirectory))
            }
            None => Err(file_error("open the directory of", path, io::ErrorKind::NotFound)),
        }
    }

    pub(super) fn below(&self, path: &Path) -> Vec<PathBuf> {
        self.host.nodes.keys().filter(|key| key.starts_with(path) && *key != path).cloned().collect()
    }

    pub(super) fn put(&mut self, path: &Path, node: Node) -> Result<(), SystemError> {
        self.in_directory(path)?;
        if let Some(Node::Directory { .. }) = self.node(path) {
            return Err(file_error("replace", path, io::ErrorKind::IsADirectory));
        }
        // A slice is used as soon as it is there, and read then.
        if let (Some("slice"), Node::File { content, .. }) = (path.extension().and_then(OsStr::to_str), &node) {
            self.host.slices.entry(path.to_owned()).or_insert_with(|| content.clone());
        }
        self.host.nodes.insert(path.to_owned(), node);
        Ok(())
    }

    /// systemd reads a slice's file again, or, without a name, every one's.
    pub(super) fn read_slices(&mut self, unit: &str) {
        let Snapshot { nodes, slices, .. } = &mut self.host;
        for (path, read) in slices.iter_mut().filter(|(path, _)| unit.is_empty() || path.ends_with(unit)) {
            if let Some(Node::File { content, .. }) = nodes.get(path) {
                read.clone_from(content);
            }
        }
    }

    pub(super) fn unknown_user(name: &str) -> SystemError {
        SystemError::User { name: name.to_owned(), reason: "does not exist".to_owned() }
    }

    pub(super) fn user_mut(&mut self, name: &LinuxUser) -> Result<&mut UserRecord, SystemError> {
        self.host.users.get_mut(name.as_str()).ok_or_else(|| Self::unknown_user(name.as_str()))
    }
}
