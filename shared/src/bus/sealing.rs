//! Secrets inside jobs, readable by one worker only: x25519 boxes by nkeys' curve keys.

use data_encoding::BASE64URL_NOPAD;
use nkeys::XKey;

use super::BusError;
use crate::jobs::SealedCryptHash;
use crate::names::CryptHash;

/// Seals a password hash to a worker's public curve key (`X...`).
///
/// The sender's key is made for this one message: what is sealed proves nothing about its sender, the job's
/// signature does.
///
/// # Errors
/// The recipient's key is not one.
pub fn seal_hash(hash: &CryptHash, recipient: &str) -> Result<SealedCryptHash, BusError> {
    let recipient = XKey::from_public_key(recipient).map_err(|source| BusError::Key { what: "the worker's seal key", source })?;
    let sender = XKey::new();
    let sealed =
        sender.seal(hash.expose().as_bytes(), &recipient).map_err(|source| BusError::Key { what: "the worker's seal key", source })?;
    Ok(SealedCryptHash { sender: sender.public_key(), sealed: BASE64URL_NOPAD.encode(&sealed) })
}

/// A worker's own curve key.
pub struct SealKey(XKey);

impl SealKey {
    /// A new key.
    #[must_use]
    pub fn generate() -> Self {
        Self(XKey::new())
    }

    /// The key of a stored seed (`SX...`).
    ///
    /// # Errors
    /// The seed is not one.
    pub fn from_seed(seed: &str) -> Result<Self, BusError> {
        XKey::from_seed(seed.trim()).map(Self).map_err(|source| BusError::Key { what: "the seal key", source })
    }

    /// The seed, to be stored.
    ///
    /// # Errors
    /// Never for a key made here.
    pub fn seed(&self) -> Result<String, BusError> {
        self.0.seed().map_err(|source| BusError::Key { what: "the seal key", source })
    }

    /// The public key (`X...`).
    #[must_use]
    pub fn public_key(&self) -> String {
        self.0.public_key()
    }

    /// Opens a hash sealed to this key.
    ///
    /// # Errors
    /// It was sealed to another key, changed on the way, or holds no password hash.
    pub fn open_hash(&self, sealed: &SealedCryptHash) -> Result<CryptHash, BusError> {
        let bad = || BusError::BadSignature { what: "sealed password hash" };
        let sender = XKey::from_public_key(&sealed.sender).map_err(|source| BusError::Key { what: "the sender's seal key", source })?;
        let bytes = BASE64URL_NOPAD.decode(sealed.sealed.as_bytes()).map_err(|_| bad())?;
        let text = self.0.open(&bytes, &sender).map_err(|_| bad())?;
        String::from_utf8(text).ok().and_then(|text| text.parse().ok()).ok_or_else(bad)
    }
}

impl std::fmt::Debug for SealKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "SealKey({})", self.public_key())
    }
}

#[cfg(test)]
mod tests {
    use super::{SealKey, seal_hash};
    use crate::names::CryptHash;

    #[test]
    fn only_the_recipient_opens_what_was_sealed_to_it() {
        let hash: CryptHash = format!("$6$abcdefgh${}", "A".repeat(86)).parse().unwrap();
        let worker = SealKey::from_seed(&SealKey::generate().seed().unwrap()).unwrap();
        let sealed = seal_hash(&hash, &worker.public_key()).unwrap();
        assert_eq!(worker.open_hash(&sealed).unwrap(), hash);
        assert!(SealKey::generate().open_hash(&sealed).is_err());
        let mut changed = sealed.clone();
        changed.sealed.replace_range(40..41, if &changed.sealed[40..41] == "A" { "B" } else { "A" });
        assert!(worker.open_hash(&changed).is_err());
    }
}
