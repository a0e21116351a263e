//! The keys with which this host has asked a panel to join, until it has.
//!
//! **A token is asked with by one pair of keys**: the first request fixes them. So they are kept before it is sent, and whoever asks
//! with the same token again, in another process or after a crash, asks with them.

use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use shared::bus::BusError;
use shared::bus::credentials::{new_user_key, user_key};
use shared::bus::sealing::SealKey;

use crate::config::{IdentityError, remove_private, write_private};

/// The file beside the identity.
fn pending_path(state_dir: &Path) -> PathBuf {
    state_dir.join("joining.json")
}

/// Keys that a token is asked with.
#[derive(Serialize, Deserialize)]
pub(crate) struct Pending {
    token: String,
    pub(crate) seed: String,
    pub(crate) public_key: String,
    pub(crate) seal_seed: String,
}

/// Why there are no keys to ask with.
#[derive(Debug, thiserror::Error)]
pub enum PendingError {
    /// They could not be made.
    #[error("keys could not be made")]
    Keys(#[from] BusError),
    /// They could not be kept.
    #[error("the keys of this host could not be kept")]
    File(#[from] IdentityError),
}

impl Pending {
    /// The keys that were kept for this token, or new ones, which are kept now.
    pub(crate) fn of(token: &str, state_dir: &Path) -> Result<Self, PendingError> {
        let path = pending_path(state_dir);
        match std::fs::read(&path) {
            // What cannot be read any more was for nothing.
            Ok(bytes) => {
                let kept = serde_json::from_slice::<Self>(&bytes).ok().filter(|kept| kept.token == token && kept.is_whole());
                if let Some(kept) = kept {
                    return Ok(kept);
                }
            }
            Err(error) if error.kind() == ErrorKind::NotFound => {}
            Err(source) => return Err(IdentityError::File { path, source }.into()),
        }
        let (seed, public_key) = new_user_key()?;
        let new = Self { token: token.to_owned(), seed, public_key, seal_seed: SealKey::generate().seed()? };
        write_private(state_dir, &path, &new)?;
        Ok(new)
    }

    fn is_whole(&self) -> bool {
        user_key(&self.seed).is_ok_and(|key| key.public_key() == self.public_key) && SealKey::from_seed(&self.seal_seed).is_ok()
    }

    /// Forgets them once the identity is kept.
    pub(crate) fn forget(state_dir: &Path) {
        let path = pending_path(state_dir);
        match remove_private(&path) {
            Err(error) if error.kind() != ErrorKind::NotFound => {
                tracing::warn!(file = %path.display(), error = %error, "keys that are of no use any more were not removed");
            }
            Ok(()) | Err(_) => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::{Pending, pending_path};

    #[test]
    fn one_token_is_asked_with_the_same_keys_until_they_are_forgotten() {
        let directory = tempfile::tempdir().unwrap();
        let keys = |token: &str| Pending::of(token, directory.path()).unwrap().public_key;
        let first = keys("one");
        assert_eq!(keys("one"), first);
        let mode = std::fs::metadata(pending_path(directory.path())).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        assert_ne!(keys("two"), first, "another token");
        assert_ne!(keys("one"), first, "those of the newest are kept");
        std::fs::write(pending_path(directory.path()), "{").unwrap();
        let again = keys("one");
        Pending::forget(directory.path());
        assert_ne!(keys("one"), again);
    }
}
