//! Signatures over whole messages: Ed25519 by nkeys.
//!
//! What is signed is a context line and the payload's bytes, so that a signature made for one purpose proves nothing
//! for another. There is no expiry: a server may be offline for days. Generation and epoch fence replays.
//!
//! **What a worker signed holds no control characters but line ends and tabs once it is opened**: PostgreSQL stores no NUL, and no
//! terminal that shows a log is given an escape.

use data_encoding::BASE64URL_NOPAD;
use nkeys::KeyPair;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

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

    /// Whether a worker signs it: its host decides what its texts hold.
    const fn is_of_a_worker(self) -> bool {
        match self {
            Self::Event | Self::Progress | Self::Heartbeat | Self::Answer => true,
            // A job is carried out as it was signed.
            Self::Job | Self::Question => false,
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
    let decoded = if purpose.is_of_a_worker() {
        serde_json::from_slice::<Value>(payload).and_then(|mut message| {
            clean(&mut message);
            serde_json::from_value(message)
        })
    } else {
        serde_json::from_slice(payload)
    };
    decoded.map_err(|source| BusError::Undecodable { what: purpose.name(), source })
}

/// Puts U+FFFD in the place of each control character that is neither a line end nor a tab.
fn clean(message: &mut Value) {
    match message {
        Value::String(text) => {
            let is_unwanted = |c: char| c.is_control() && c != '\n' && c != '\t';
            if text.contains(is_unwanted) {
                *text = text.replace(is_unwanted, "\u{fffd}");
            }
        }
        Value::Array(values) => values.iter_mut().for_each(clean),
        Value::Object(fields) => fields.values_mut().for_each(clean),
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
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

    #[test]
    fn control_characters_of_a_worker_are_replaced_and_a_job_is_opened_as_it_was_signed() {
        let key = KeyPair::new_user();
        let said = ["a\0b\u{1b}[31m\r\u{85}\n\tc".to_owned()];
        for purpose in [Purpose::Event, Purpose::Progress, Purpose::Heartbeat, Purpose::Answer, Purpose::Job, Purpose::Question] {
            let signed = sign(purpose, &key, &said).unwrap();
            let opened: [String; 1] = open(purpose, &key.public_key(), &signed.payload, Some(&signed.signature)).unwrap();
            let expected = if purpose.is_of_a_worker() { "a\u{fffd}b\u{fffd}[31m\u{fffd}\u{fffd}\n\tc" } else { &said[0] };
            assert_eq!(opened[0], expected, "{purpose:?}");
        }
    }
}
