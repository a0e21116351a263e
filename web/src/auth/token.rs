//! Tokens: 256 random bits that stand for a session or an enrolment. Only their SHA-256 is stored.

use data_encoding::{BASE64URL_NOPAD, HEXLOWER};
use rand::RngCore;
use sha2::{Digest, Sha256};
use shared::secret::Secret;

/// A new token as base64url, 43 characters.
#[must_use]
pub fn token_new() -> Secret<String> {
    let mut bytes = [0_u8; 32];
    rand::rng().fill_bytes(&mut bytes);
    Secret::new(BASE64URL_NOPAD.encode(&bytes))
}

/// What is stored of a token: hex of its SHA-256. A lookup by it needs no comparison in constant time, because what is
/// compared is the hash.
#[must_use]
pub fn token_hash(token: &str) -> String {
    HEXLOWER.encode(&Sha256::digest(token.as_bytes()))
}

#[cfg(test)]
mod tests {
    use super::{token_hash, token_new};

    #[test]
    fn tokens_differ_and_their_hash_does_not_show_them() {
        let (one, two) = (token_new(), token_new());
        assert_ne!(one.expose(), two.expose());
        assert_eq!((one.expose().len(), token_hash(one.expose()).len()), (43, 64));
        assert!(!token_hash(one.expose()).contains(one.expose().as_str()));
    }
}
