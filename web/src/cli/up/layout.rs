//! Where everything of an installation lies, and which user owns it.

use std::path::{Path, PathBuf};

use anyhow::Context;

use crate::private_file::{give, write_first};

/// A user and group of numbers that no package uses and no login has.
#[derive(Debug, Clone, Copy)]
pub(in crate::cli) struct Identity {
    pub(in crate::cli) uid: u32,
    pub(in crate::cli) gid: u32,
}

/// The group that shares the database.
const PANEL_GROUP: u32 = 64_331;
pub(in crate::cli) const SERVE: Identity = Identity { uid: 64_331, gid: PANEL_GROUP };
pub(in crate::cli) const DISPATCH: Identity = Identity { uid: 64_332, gid: PANEL_GROUP };
pub(in crate::cli) const BUS: Identity = Identity { uid: 64_333, gid: 64_333 };

/// The files of an installation.
#[derive(Debug, Clone)]
pub(in crate::cli) struct Layout {
    pub(in crate::cli) root: PathBuf,
}

impl Layout {
    pub(in crate::cli) fn database_dir(&self) -> PathBuf {
        self.root.join("panel")
    }
    pub(in crate::cli) fn database(&self) -> PathBuf {
        self.database_dir().join("panel.db")
    }
    pub(in crate::cli) fn tls(&self) -> PathBuf {
        self.root.join("tls")
    }
    pub(in crate::cli) fn dispatch(&self) -> PathBuf {
        self.root.join("dispatch")
    }
    pub(in crate::cli) fn keys(&self) -> PathBuf {
        self.dispatch().join("bus-keys.json")
    }
    pub(in crate::cli) fn credentials_dir(&self) -> PathBuf {
        self.root.join("serve")
    }
    pub(super) fn credentials(&self) -> PathBuf {
        self.credentials_dir().join("bus.json")
    }
    pub(super) fn bus(&self) -> PathBuf {
        self.root.join("bus")
    }
    pub(super) fn bus_certificate(&self) -> PathBuf {
        self.bus().join("bus.crt")
    }
    pub(super) fn bus_key(&self) -> PathBuf {
        self.bus().join("bus.key")
    }
    pub(in crate::cli) fn authority_dir(&self) -> PathBuf {
        self.root.join("authority")
    }
    /// The authority's key and, beside it, its certificate: no process but this one reads them.
    pub(super) fn authority(&self) -> (PathBuf, PathBuf) {
        (self.authority_dir().join("authority.key"), self.authority_dir().join("authority.crt"))
    }
    /// The files of a bus of several nodes, if they were made here.
    pub(in crate::cli) fn cluster(&self) -> PathBuf {
        self.root.join("cluster")
    }
    /// A copy of the authority's certificate for whoever connects.
    pub(in crate::cli) fn bus_authority(&self) -> PathBuf {
        self.root.join("bus-authority.crt")
    }
}

/// Makes the directories, each readable by those who need it alone.
pub(super) fn prepare(layout: &Layout, drop_rights: bool) -> anyhow::Result<()> {
    let root = Identity { uid: 0, gid: 0 };
    for (directory, owner, mode) in [
        (layout.root.clone(), root, 0o711),
        // The set-group-id bit gives files made by either process the group that both are in.
        (layout.database_dir(), SERVE, 0o2770),
        (layout.tls(), SERVE, 0o700),
        (layout.authority_dir(), root, 0o700),
        (layout.dispatch(), DISPATCH, 0o700),
        (layout.credentials_dir(), Identity { uid: DISPATCH.uid, gid: PANEL_GROUP }, 0o750),
        (layout.bus(), BUS, 0o700),
        (layout.bus().join("ports"), BUS, 0o700),
    ] {
        std::fs::create_dir_all(&directory).with_context(|| format!("{} could not be made", directory.display()))?;
        own(&directory, owner, mode, drop_rights)?;
    }
    // SQLite gives its companion files the mode of the database.
    let database = layout.database();
    match write_first(&database, b"", 0o660) {
        Err(error) if error.source.kind() != std::io::ErrorKind::AlreadyExists => Err(error.into()),
        Ok(()) | Err(_) => own(&database, SERVE, 0o660, drop_rights),
    }
}

pub(in crate::cli) fn own(path: &Path, identity: Identity, mode: u32, drop_rights: bool) -> anyhow::Result<()> {
    let owner = drop_rights.then_some((identity.uid, identity.gid));
    give(path, owner, mode).with_context(|| format!("{} could not be given to its user", path.display()))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::{PermissionsExt, symlink};

    use super::{Layout, prepare};

    #[test]
    fn a_database_that_serve_replaced_by_a_link_is_not_followed() {
        let directory = tempfile::tempdir().unwrap();
        let layout = Layout { root: directory.path().join("state") };
        prepare(&layout, false).unwrap();
        prepare(&layout, false).unwrap();
        let shadow = directory.path().join("shadow");
        std::fs::write(&shadow, "root:*").unwrap();
        std::fs::set_permissions(&shadow, std::fs::Permissions::from_mode(0o600)).unwrap();
        std::fs::remove_file(layout.database()).unwrap();
        symlink(&shadow, layout.database()).unwrap();
        let error = prepare(&layout, false).unwrap_err();
        assert!(error.to_string().contains("panel.db could not be given"), "{error:#}");
        assert_eq!(std::fs::metadata(&shadow).unwrap().permissions().mode() & 0o777, 0o600);
    }
}
