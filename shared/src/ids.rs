//! Typed ids. Each is a UUIDv7: ids sort by the time they were made, and an id of one kind cannot be passed as another.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use uuid::Uuid;

/// The text was not a UUID.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not an id")]
pub struct InvalidId;

macro_rules! id {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
        #[serde(transparent)]
        pub struct $name(Uuid);

        impl $name {
            /// A new id for the present moment.
            #[must_use]
            #[expect(clippy::new_without_default, reason = "an id is made on purpose, never by default")]
            pub fn new() -> Self {
                Self(Uuid::now_v7())
            }

            /// When it was made, epoch milliseconds by the clock of whoever made it.
            #[must_use]
            pub fn made_ms(self) -> i64 {
                let (seconds, nanos) = self.0.get_timestamp().map_or((0, 0), |made| made.to_unix());
                i64::try_from(seconds).unwrap_or(0).saturating_mul(1000).saturating_add(i64::from(nanos / 1_000_000))
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.as_hyphenated().fmt(f)
            }
        }

        impl FromStr for $name {
            type Err = InvalidId;

            fn from_str(text: &str) -> Result<Self, Self::Err> {
                Uuid::parse_str(text).map(Self).map_err(|_| InvalidId)
            }
        }
    };
}

id!(
    /// A person who signs in.
    UserId
);

impl UserId {
    /// Gantry itself, where it does something that nobody asked for. No person has this id.
    pub const GANTRY: Self = Self(Uuid::nil());
}

id!(
    /// A hosting account: one Linux user on its servers.
    AccountId
);
id!(
    /// A site of an account.
    SiteId
);
id!(
    /// A PHP pool of an account, one per PHP version.
    PhpPoolId
);
id!(
    /// A host that runs a worker.
    ServerId
);
impl AccountId {
    /// Where jobs about a server itself stand in the queue: beside the accounts, in order among themselves. No account has it,
    /// since ids are never made twice.
    #[must_use]
    pub const fn lane_of(server: ServerId) -> Self {
        Self(server.0)
    }
}
id!(
    /// What the panel shows for one request.
    OperationId
);
id!(
    /// One resource's desired state on its way to one server.
    JobId
);
id!(
    /// The panel, and every copy of it: made with its database. Workers refuse jobs of any other.
    Epoch
);
id!(
    /// An unbroken row of incarnations of a panel (see `bus::incarnation`).
    LineageId
);
id!(
    /// What tells an incarnation from another one of the same number.
    MarkId
);
id!(
    /// A question of the panel's to a worker.
    QuestionId
);
id!(
    /// An event's identity, for de-duplication.
    EventId
);
id!(
    /// A connection to the bus, by which its messages are told apart.
    ConnectionId
);
id!(
    /// Jobs that a worker carried out together.
    BatchId
);
