//! The file that holds every signing key: made at the first start, readable by dispatch alone.

use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use shared::bus::credentials::{BusKeys, Credentials};

/// Why a key file could not be used.
#[derive(Debug, thiserror::Error)]
pub enum KeyFileError {
    /// Reading or writing failed.
    #[error("the key file {path} could not be used")]
    File {
        /// Which file.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// It holds something else.
    #[error("the key file {path} is damaged")]
    Damaged {
        /// Which file.
        path: PathBuf,
        /// Why.
        #[source]
        source: serde_json::Error,
    },
    /// Keys could not be made.
    #[error("new keys could not be made")]
    Generate(#[source] shared::bus::BusError),
}

/// Reads the keys, or makes them if there are none.
///
/// # Errors
/// The file cannot be read, written, or is damaged. A damaged file is never replaced: workers trust these keys.
pub fn load_or_create(path: &Path) -> Result<BusKeys, KeyFileError> {
    let file = |source| KeyFileError::File { path: path.to_owned(), source };
    match std::fs::read(path) {
        Ok(bytes) => serde_json::from_slice(&bytes).map_err(|source| KeyFileError::Damaged { path: path.to_owned(), source }),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            let keys = BusKeys::generate().map_err(KeyFileError::Generate)?;
            write_private(path, &serde_json::to_vec_pretty(&keys).map_err(|e| file(e.into()))?, 0o600).map_err(file)?;
            Ok(keys)
        }
        Err(error) => Err(file(error)),
    }
}

/// Writes credentials for a process that serves pages; its group may read them.
///
/// # Errors
/// The file cannot be written.
pub fn write_credentials(path: &Path, credentials: &Credentials) -> Result<(), KeyFileError> {
    let file = |source| KeyFileError::File { path: path.to_owned(), source };
    write_private(path, &serde_json::to_vec(credentials).map_err(|e| file(e.into()))?, 0o640).map_err(file)
}

/// Reads credentials.
///
/// # Errors
/// The file cannot be read or is damaged.
pub fn read_credentials(path: &Path) -> Result<Credentials, KeyFileError> {
    let bytes = std::fs::read(path).map_err(|source| KeyFileError::File { path: path.to_owned(), source })?;
    serde_json::from_slice(&bytes).map_err(|source| KeyFileError::Damaged { path: path.to_owned(), source })
}

/// Writes a file with a mode from its first moment, whole or not at all.
fn write_private(path: &Path, bytes: &[u8], mode: u32) -> std::io::Result<()> {
    let temporary = path.with_extension("new");
    let _ = std::fs::remove_file(&temporary);
    let mut file = std::fs::OpenOptions::new().write(true).create_new(true).mode(mode).open(&temporary)?;
    file.write_all(bytes)?;
    file.sync_all()?;
    std::fs::rename(&temporary, path)?;
    if let Some(directory) = path.parent() {
        std::fs::File::open(directory)?.sync_all()?;
    }
    Ok(())
}
