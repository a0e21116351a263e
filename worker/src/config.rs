//! What a worker is started with, and its identity.

use std::io::Write;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use shared::bus::authority::BusAddress;
use shared::bus::credentials::Credentials;
use shared::ids::Epoch;
use shared::names::ServerName;

/// Where a worker keeps its identity and its database.
pub const STATE_DIR: &str = "/var/lib/gantry-worker";

/// Who this worker is: made when it joins, kept in `identity.json`, readable by root alone.
#[derive(Clone, Serialize, Deserialize)]
pub struct Identity {
    /// The server's name.
    pub server: ServerName,
    /// The panel's instance.
    pub epoch: Epoch,
    /// The way into the bus.
    pub credentials: Credentials,
    /// The seed of the key that secrets are sealed to (`SX...`).
    pub seal_seed: String,
    /// The public key that signs jobs.
    pub panel_key: String,
    /// The stream that carries this server's jobs.
    pub stream: String,
    /// Where the bus is, and who vouches for it.
    pub bus: BusAddress,
}

impl std::fmt::Debug for Identity {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Identity({})", self.server)
    }
}

/// Why the identity could not be used.
#[derive(Debug, thiserror::Error)]
pub enum IdentityError {
    /// There is none.
    #[error(
        "this worker has not joined a panel yet. Fill in /etc/gantry-worker/config.env with what the panel shows for a new server, or run the command it shows"
    )]
    Missing,
    /// Reading or writing failed.
    #[error("the identity in {path} could not be used")]
    File {
        /// Which file.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// It holds something else.
    #[error("the identity in {path} is damaged; enrol this worker again")]
    Damaged {
        /// Which file.
        path: PathBuf,
        /// Why.
        #[source]
        source: serde_json::Error,
    },
}

/// The file of the identity.
#[must_use]
pub fn identity_path(state_dir: &Path) -> PathBuf {
    state_dir.join("identity.json")
}

impl Identity {
    /// Reads it.
    ///
    /// # Errors
    /// There is none, or it cannot be read.
    pub fn load(state_dir: &Path) -> Result<Self, IdentityError> {
        let path = identity_path(state_dir);
        let bytes = match std::fs::read(&path) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Err(IdentityError::Missing),
            Err(source) => return Err(IdentityError::File { path, source }),
        };
        serde_json::from_slice(&bytes).map_err(|source| IdentityError::Damaged { path, source })
    }

    /// Writes it, whole or not at all.
    ///
    /// # Errors
    /// It cannot be written.
    pub fn store(&self, state_dir: &Path) -> Result<(), IdentityError> {
        let path = identity_path(state_dir);
        write_private(state_dir, &path, self)
    }
}

/// Writes what is root's alone into the state directory, whole or not at all.
pub(crate) fn write_private<T: Serialize>(state_dir: &Path, path: &Path, what: &T) -> Result<(), IdentityError> {
    let write = || -> std::io::Result<()> {
        std::fs::DirBuilder::new().recursive(true).mode(0o700).create(state_dir)?;
        let temporary = path.with_extension("new");
        let _ = std::fs::remove_file(&temporary);
        let mut file = std::fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(&temporary)?;
        file.write_all(&serde_json::to_vec_pretty(what)?)?;
        file.sync_all()?;
        std::fs::rename(&temporary, path)?;
        std::fs::File::open(state_dir)?.sync_all()
    };
    write().map_err(|source| IdentityError::File { path: path.to_owned(), source })
}

/// Removes what [`write_private`] wrote.
pub(crate) fn remove_private(path: &Path) -> std::io::Result<()> {
    std::fs::remove_file(path)
}
