//! SFTP passwords: SHA-512-crypt, which Debian's PAM verifies.

use rand::RngCore;
use sha_crypt::{Algorithm, CustomizedPasswordHasher as _, Params, ShaCrypt};
use shared::names::CryptHash;
use shared::secret::Secret;

/// Ten thousand rounds take about 10 ms here and on the host at each sign-in; twice crypt's own default.
const ROUNDS: u32 = 10_000;

/// A password could not be hashed.
#[derive(Debug, thiserror::Error)]
pub enum CryptError {
    /// The algorithm refused.
    #[error("an SFTP password could not be hashed")]
    Hash(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// The thread went away.
    #[error("the thread that hashes SFTP passwords went away")]
    Thread(#[source] tokio::task::JoinError),
}

/// The hash of an SFTP password, computed off the async threads.
///
/// # Errors
/// The algorithm or the thread fails.
pub async fn sftp_hash(password: Secret<String>) -> Result<CryptHash, CryptError> {
    tokio::task::spawn_blocking(move || hash_now(&password)).await.map_err(CryptError::Thread)?
}

fn hash_now(password: &Secret<String>) -> Result<CryptHash, CryptError> {
    // 12 bytes are the 16 characters of salt that crypt(3) reads.
    let mut salt = [0_u8; 12];
    rand::rng().fill_bytes(&mut salt);
    let params = Params::new(ROUNDS).map_err(|error| CryptError::Hash(format!("{error:?}").into()))?;
    let hash = ShaCrypt::new(Algorithm::Sha512Crypt, params)
        .hash_password_customized(password.expose().as_bytes(), &salt, None, None, params)
        .map_err(|error| CryptError::Hash(error.to_string().into()))?;
    hash.as_str().parse().map_err(|error| CryptError::Hash(Box::new(error)))
}

#[cfg(test)]
mod tests {
    use sha_crypt::{PasswordVerifier as _, ShaCrypt};
    use shared::secret::Secret;

    use super::sftp_hash;

    #[tokio::test]
    async fn an_sftp_password_becomes_a_salted_sha512_crypt_hash() {
        let secret = || Secret::new("tuesday marmalade ocean".to_owned());
        let (one, two) = (sftp_hash(secret()).await.unwrap(), sftp_hash(secret()).await.unwrap());
        assert!(one.expose().starts_with("$6$rounds=10000$"));
        assert_ne!(one.expose(), two.expose());
        assert!(ShaCrypt::SHA512.verify_password(secret().expose().as_bytes(), one.expose()).is_ok());
    }
}
