//! NATS's JWT version 2 (ADR-14): only what is needed of it is written here.

use data_encoding::{BASE32HEX_NOPAD, BASE64URL_NOPAD};
use nkeys::KeyPair;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use super::BusError;

/// What a JWT says.
pub(crate) struct Claims {
    /// Epoch seconds.
    pub(crate) issued_s: i64,
    /// The public key that signed it.
    pub(crate) issuer: String,
    /// Of an account: limits, exports, imports, signing keys, revocations. Of a user: rights.
    pub(crate) nats: Value,
}

impl Claims {
    /// Reads a JWT, of which nothing is verified: it comes from the bus's own store, or from a file that only its owner writes.
    pub(crate) fn of(jwt: &str) -> Option<Self> {
        let claims = BASE64URL_NOPAD.decode(jwt.split('.').nth(1)?.as_bytes()).ok()?;
        let mut claims: Value = serde_json::from_slice(&claims).ok()?;
        Some(Self { issued_s: claims["iat"].as_i64()?, issuer: claims["iss"].as_str()?.to_owned(), nats: claims["nats"].take() })
    }
}

/// Signs a JWT. The same claims of the same moment give the same text.
pub(crate) fn encode(issuer: &KeyPair, subject: &str, name: &str, now_s: i64, nats: Value) -> Result<String, BusError> {
    let mut claims = json!({"iat": now_s, "iss": issuer.public_key(), "name": name, "sub": subject, "nats": nats});
    let id = BASE32HEX_NOPAD.encode(&Sha256::digest(claims.to_string()));
    if let Some(claims) = claims.as_object_mut() {
        claims.insert("jti".to_owned(), Value::String(id));
    }
    let header = BASE64URL_NOPAD.encode(br#"{"typ":"JWT","alg":"ed25519-nkey"}"#);
    let signed = format!("{header}.{}", BASE64URL_NOPAD.encode(claims.to_string().as_bytes()));
    let signature = issuer.sign(signed.as_bytes()).map_err(|source| BusError::Key { what: "the issuer's key", source })?;
    Ok(format!("{signed}.{}", BASE64URL_NOPAD.encode(&signature)))
}
