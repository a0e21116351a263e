//! Passwords of the panel: argon2id, off the async threads, never more at once than there are cores.

use std::sync::Arc;

use argon2::Argon2;
use argon2::password_hash::phc::PasswordHash;
use argon2::password_hash::{PasswordHasher as _, PasswordVerifier as _};
use rand::Rng;
use shared::secret::Secret;
use tokio::sync::Semaphore;

/// Hashing failed. Nothing a person typed can cause it.
#[derive(Debug, thiserror::Error)]
pub enum HashError {
    /// The algorithm refused.
    #[error("a password could not be hashed")]
    Argon2(#[source] argon2::password_hash::Error),
    /// The thread went away.
    #[error("the thread that hashes passwords went away")]
    Thread(#[source] tokio::task::JoinError),
    /// The panel is stopping.
    #[error("no more passwords are hashed")]
    Closed(#[source] tokio::sync::AcquireError),
}

/// Hashes and verifies. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Hasher {
    // One hash takes 19 MiB and a core: a flood of sign-ins waits here instead of starving pages.
    permits: Arc<Semaphore>,
    nobody: Arc<String>,
}

impl Hasher {
    /// A hasher for this machine's cores.
    ///
    /// # Errors
    /// The algorithm refuses, which it does not.
    pub fn new() -> Result<Self, HashError> {
        let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
        let nobody = hash_now(&one_time_password())?;
        Ok(Self { permits: Arc::new(Semaphore::new(cores)), nobody: Arc::new(nobody.expose().clone()) })
    }

    /// The argon2id hash of a password (19 MiB, two passes, one lane: OWASP's first choice).
    ///
    /// # Errors
    /// The algorithm or the thread fails.
    pub async fn hash(&self, password: Secret<String>) -> Result<Secret<String>, HashError> {
        let permit = self.permits.clone().acquire_owned().await.map_err(HashError::Closed)?;
        tokio::task::spawn_blocking(move || {
            let _permit = permit;
            hash_now(&password)
        })
        .await
        .map_err(HashError::Thread)?
    }

    /// Whether a password has this hash. Without a hash the same work is done and the answer is no, so that the time
    /// does not tell whether a login exists.
    ///
    /// # Errors
    /// The thread fails.
    pub async fn verify(&self, password: Secret<String>, hash: Option<Secret<String>>) -> Result<bool, HashError> {
        let permit = self.permits.clone().acquire_owned().await.map_err(HashError::Closed)?;
        let known = hash.is_some();
        let hash = hash.unwrap_or_else(|| Secret::new(self.nobody.as_ref().clone()));
        let matches = tokio::task::spawn_blocking(move || {
            let _permit = permit;
            PasswordHash::new(hash.expose())
                .is_ok_and(|parsed| Argon2::default().verify_password(password.expose().as_bytes(), &parsed).is_ok())
        })
        .await
        .map_err(HashError::Thread)?;
        Ok(matches && known)
    }
}

fn hash_now(password: &Secret<String>) -> Result<Secret<String>, HashError> {
    let hash = Argon2::default().hash_password(password.expose().as_bytes()).map_err(HashError::Argon2)?;
    Ok(Secret::new(hash.to_string()))
}

/// Letters and digits that are not mistaken for one another.
const PLAIN: &[u8] = b"abcdefghjkmnpqrstuvwxyz23456789";

/// A random password that can be read out: 4 groups of 5, 99 bits.
#[must_use]
pub fn one_time_password() -> Secret<String> {
    let mut random = rand::rng();
    let groups: Vec<String> = (0..4).map(|_| (0..5).map(|_| char::from(PLAIN[random.random_range(0..PLAIN.len())])).collect()).collect();
    Secret::new(groups.join("-"))
}

#[cfg(test)]
mod tests {
    use shared::secret::Secret;

    use super::{Hasher, one_time_password};

    #[tokio::test]
    async fn a_password_verifies_exactly_and_an_unknown_person_never_does() {
        let hasher = Hasher::new().unwrap();
        let secret = |text: &str| Secret::new(text.to_owned());
        let hash = hasher.hash(secret("correct horse battery")).await.unwrap();
        assert!(hash.expose().starts_with("$argon2id$"));
        assert!(hasher.verify(secret("correct horse battery"), Some(hash.clone())).await.unwrap());
        for wrong in ["", "correct horse batter", "correct horse battery ", "Correct horse battery", "0e0"] {
            assert!(!hasher.verify(secret(wrong), Some(hash.clone())).await.unwrap(), "{wrong:?}");
        }
        assert!(!hasher.verify(secret("correct horse battery"), None).await.unwrap());
        assert!(!hasher.verify(secret("x"), Some(secret("not a hash"))).await.unwrap());
    }

    #[test]
    fn one_time_passwords_differ_and_satisfy_the_rules() {
        let (one, two) = (one_time_password(), one_time_password());
        assert_ne!(one.expose(), two.expose());
        assert_eq!(crate::auth::policy::check(one.expose(), &[]), Ok(()));
    }
}
