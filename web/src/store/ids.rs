//! Ids of rows that never leave the panel. Ids that travel are in `shared::ids`.

use std::fmt;
use std::str::FromStr;

use data_encoding::HEXLOWER;
use rand::RngCore;

use super::now_ms;

/// The text is no id of a row.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not a row's id")]
pub struct InvalidRowId;

/// 48 bits of time and 80 random bits in hex, so that ids sort by the time they were made.
fn row_id() -> String {
    let mut random = [0_u8; 10];
    rand::rng().fill_bytes(&mut random);
    row_id_of(now_ms(), random)
}

fn row_id_of(ms: i64, random: [u8; 10]) -> String {
    format!("{ms:012x}{}", HEXLOWER.encode(&random))
}

fn check(text: &str) -> Result<String, InvalidRowId> {
    let hex = text.len() == 32 && text.bytes().all(|byte| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte));
    if hex { Ok(text.to_owned()) } else { Err(InvalidRowId) }
}

macro_rules! row_id {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub struct $name(String);

        impl $name {
            /// A new id for the present moment.
            #[must_use]
            #[expect(clippy::new_without_default, reason = "an id is made on purpose, never by default")]
            pub fn new() -> Self {
                Self(row_id())
            }

            /// The text.
            #[must_use]
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl FromStr for $name {
            type Err = InvalidRowId;

            fn from_str(text: &str) -> Result<Self, Self::Err> {
                check(text).map(Self)
            }
        }
    };
}

row_id!(
    /// A signed-in device. Not the token: knowing it opens nothing.
    SessionId
);
row_id!(
    /// An enrolment.
    EnrolmentId
);
row_id!(
    /// An update of several servers' workers.
    RolloutId
);
row_id!(
    /// An SFTP key of an account.
    SftpKeyId
);
row_id!(
    /// A line of the audit log.
    AuditId
);
row_id!(
    /// Something that was refused as a matter of security.
    SecurityEventId
);

impl SecurityEventId {
    /// The first that could have been made at a moment, epoch milliseconds.
    #[must_use]
    pub fn earliest(ms: i64) -> Self {
        Self(row_id_of(ms.max(0), [0; 10]))
    }
}
