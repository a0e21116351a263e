//! Signatures over whole messages: Ed25519 by nkeys.
//!
//! What is signed is a context line and the payload's bytes, so that a signature made for one purpose proves nothing
//! for another. There is no expiry: a server may be offline for days. Generation and epoch fence replays.

use data_encoding::BASE64URL_NOPAD;
use nkeys::KeyPair;
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::BusError;

/// The header that carries the signature.
pub const SIGNATURE_HEADER: &str = "Gantry-Signature";

/// What a message is, and so who may sign it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Purpose {
    /// A job, signed by dispatch.
    Job,
    /// A durable event, signed by the worker.
    Event,
    /// Progress, signed by the worker.
    Progress,
    /// A heartbeat, signed by the worker.
    Heartbeat,
    /// A question, signed by dispatch.
    Question,
    /// An answer, signed by the worker.
    Answer,
}

impl Purpose {
    const fn context(self) -> &'static str {
        match self {
            Self::Job => "gantry job 1\n",
            Self::Event => "gantry event 1\n",
            Self::Progress => "gantry progress 1\n",
            Self::Heartbeat => "gantry heartbeat 1\n",
            Self::Question => "gantry question 1\n",
            Self::Answer => "gantry answer 1\n",
        }
    }

    const fn name(self) -> &'static str {
        match self {
            Self::Job => "job",
            Self::Event => "event",
            Self::Progress => "progress",
            Self::Heartbeat => "heartbeat",
            Self::Question => "question",
            Self::Answer => "answer",
        }
    }

    fn message(self, payload: &[u8]) -> Vec<u8> {
        [self.context().as_bytes(), payload].concat()
    }
}

/// A message with its signature, ready to travel.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Signed {
    /// The JSON that was signed.
    pub payload: Vec<u8>,
    /// base64url of the signature.
    pub signature: String,
}

/// Encodes and signs a message.
///
/// # Errors
/// It cannot be encoded, or the key holds no seed.
pub fn sign<T: Serialize>(purpose: Purpose, key: &KeyPair, message: &T) -> Result<Signed, BusError> {
    let payload = serde_json::to_vec(message).map_err(|source| BusError::Undecodable { what: purpose.name(), source })?;
    let signature = key.sign(&purpose.message(&payload)).map_err(|source| BusError::Key { what: "the signing key", source })?;
    Ok(Signed { payload, signature: BASE64URL_NOPAD.encode(&signature) })
}

/// Checks a signature against a public key (`U...` or `A...`) and decodes the message.
///
/// # Errors
/// The signature is missing or wrong, or the message does not decode.
pub fn open<T: DeserializeOwned>(purpose: Purpose, public_key: &str, payload: &[u8], signature: Option<&str>) -> Result<T, BusError> {
    let bad = || BusError::BadSignature { what: purpose.name() };
    let key = KeyPair::from_public_key(public_key).map_err(|source| BusError::Key { what: "the sender's public key", source })?;
    let signature = BASE64URL_NOPAD.decode(signature.ok_or_else(bad)?.as_bytes()).map_err(|_| bad())?;
    if signature.len() != 64 {
        return Err(bad());
    }
    key.verify(&purpose.message(payload), &signature).map_err(|_| bad())?;
    serde_json::from_slice(payload).map_err(|source| BusError::Undecodable { what: purpose.name(), source })
}

#[cfg(test)]
mod tests {
    use nkeys::KeyPair;

    use super::{Purpose, open, sign};

    #[test]
    fn a_signature_holds_for_its_key_its_purpose_and_its_bytes_only() {
        let key = KeyPair::new_user();
        let signed = sign(Purpose::Event, &key, &"hello").unwrap();
        let read = |purpose, public: &str, payload: &[u8], signature: Option<&str>| open::<String>(purpose, public, payload, signature);

        assert_eq!(read(Purpose::Event, &key.public_key(), &signed.payload, Some(&signed.signature)).unwrap(), "hello");
        assert!(read(Purpose::Job, &key.public_key(), &signed.payload, Some(&signed.signature)).is_err());
        assert!(read(Purpose::Event, &KeyPair::new_user().public_key(), &signed.payload, Some(&signed.signature)).is_err());
        assert!(read(Purpose::Event, &key.public_key(), b"\"hallo\"", Some(&signed.signature)).is_err());
        assert!(read(Purpose::Event, &key.public_key(), &signed.payload, None).is_err());
        assert!(read(Purpose::Event, &key.public_key(), &signed.payload, Some("AAAA")).is_err());
    }
}
