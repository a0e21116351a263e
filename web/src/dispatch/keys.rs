//! The file that holds every signing key: made at the first start, readable by dispatch alone.

use std::path::{Path, PathBuf};

use shared::bus::credentials::{BusKeys, Credentials};

use crate::private_file::{WriteError, write, write_first};

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

impl From<WriteError> for KeyFileError {
    fn from(WriteError { path, source }: WriteError) -> Self {
        Self::File { path, source }
    }
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
            match write_first(path, &serde_json::to_vec_pretty(&keys).map_err(|e| file(e.into()))?, 0o600) {
                Ok(()) => Ok(keys),
                // Another process was quicker; there is one set of keys.
                Err(error) if error.source.kind() == std::io::ErrorKind::AlreadyExists => load_or_create(path),
                Err(error) => Err(error.into()),
            }
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
    write(path, &serde_json::to_vec(credentials).map_err(|e| file(e.into()))?, 0o640)?;
    Ok(())
}

/// Reads credentials.
///
/// # Errors
/// The file cannot be read or is damaged.
pub fn read_credentials(path: &Path) -> Result<Credentials, KeyFileError> {
    let bytes = std::fs::read(path).map_err(|source| KeyFileError::File { path: path.to_owned(), source })?;
    serde_json::from_slice(&bytes).map_err(|source| KeyFileError::Damaged { path: path.to_owned(), source })
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::load_or_create;

    #[test]
    fn processes_that_start_at_once_make_one_set_of_keys() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("bus-keys.json");
        let start = std::sync::Barrier::new(8);
        let operators: BTreeSet<String> = std::thread::scope(|scope| {
            let process = || {
                start.wait();
                load_or_create(&path).unwrap().ingest_secret
            };
            let processes: Vec<_> = (0..8).map(|_| scope.spawn(process)).collect();
            processes.into_iter().map(|process| process.join().unwrap()).collect()
        });
        assert_eq!(operators.len(), 1);
        assert_eq!(std::fs::read_dir(directory.path()).unwrap().count(), 1, "and leave nothing else behind");
    }
}
