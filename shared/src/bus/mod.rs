//! The bus: NATS JetStream, and everything that is said over it.
//!
//! - [`subjects`]: the only place where a subject is spelled.
//! - [`topology`]: streams and consumers; made and updated here, never deleted.
//! - [`credentials`]: operator, account and user JWTs, and the permissions of each kind of client. `jwt`: their encoding.
//! - [`authority`]: the certificate authority that vouches for the bus; every connection is encrypted.
//! - [`signing`]: jobs are signed by dispatch and events by workers, so a client of the bus can forge neither.
//! - [`incarnation`]: which of several copies of a panel the bus serves.
//! - [`sending`]: what is sent again, and what somebody stores again.
//! - [`sealing`]: secrets only one worker can read.
//! - [`server_config`]: the configuration of the nats-server that Gantry starts itself.
//! - `tampering`: whoever gets at what is on its way, in tests.
//! - [`presence`]: who is connected.
//! - [`event_message`]: a worker's event as it was delivered.
//! - [`client`], [`panel`], [`worker`]: connections with the rights of each program. [`asking`]: live reads.
//!
//! **The bus is transport, never the truth**: losing all it holds costs time, not data.
//! **This is the only module that imports async-nats.**

pub mod asking;
pub mod authority;
mod census;
pub mod client;
pub mod credentials;
pub mod event_message;
pub mod incarnation;
mod jwt;
pub mod panel;
pub mod presence;
pub mod refusals;
pub mod sealing;
pub mod sending;
pub mod server_config;
pub mod signing;
pub mod subjects;
#[cfg(feature = "testing")]
pub mod tampering;
pub mod topology;
pub mod worker;

/// What can go wrong with the bus.
#[derive(Debug, thiserror::Error)]
pub enum BusError {
    /// No connection.
    #[error("the bus at {url} cannot be reached")]
    Connect {
        /// Where.
        url: String,
        /// Why.
        #[source]
        source: async_nats::ConnectError,
    },
    /// What vouches for the bus cannot be used.
    #[error("no secure connection to the bus can be made")]
    Authority(#[from] authority::AuthorityError),
    /// A worker's identity is in use: the bus lets it in once.
    #[error(
        "another worker is connected with this identity. If this host is a copy of another one, give it an identity of its own: remove /var/lib/gantry-worker/identity.json and join it as a server of its own. After a connection that was cut, the bus lets go of the old one within 30 seconds"
    )]
    IdentityInUse,
    /// The server is too old to be trusted with jobs.
    #[error("nats-server {found} is too old: {needed} or newer is needed (older ones lose or leak jobs)")]
    TooOld {
        /// Its version.
        found: String,
        /// The oldest one accepted.
        needed: &'static str,
    },
    /// The bus refused or did not answer.
    #[error("the bus did not {action}")]
    Refused {
        /// What was attempted.
        action: String,
        /// Why.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// A key or credential is not usable.
    #[error("{what} is not a usable key")]
    Key {
        /// Which key.
        what: &'static str,
        /// Why.
        #[source]
        source: nkeys::error::Error,
    },
    /// The signature does not belong to the message.
    #[error("the signature of the {what} is missing or wrong")]
    BadSignature {
        /// Which message.
        what: &'static str,
    },
    /// The message does not decode.
    #[error("the {what} does not decode")]
    Undecodable {
        /// Which message.
        what: &'static str,
        /// Why.
        #[source]
        source: serde_json::Error,
    },
    /// The message is larger than the bus carries.
    #[error("the {what} is larger than the bus carries")]
    TooLarge {
        /// Which message.
        what: &'static str,
        /// By how much.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
}

impl BusError {
    /// Whether the message itself is at fault, so that another one may pass and this one never will.
    #[must_use]
    pub const fn is_of_the_message(&self) -> bool {
        match self {
            Self::Undecodable { .. } | Self::TooLarge { .. } => true,
            Self::Connect { .. }
            | Self::TooOld { .. }
            | Self::Refused { .. }
            | Self::Key { .. }
            | Self::BadSignature { .. }
            | Self::Authority(_)
            | Self::IdentityInUse => false,
        }
    }

    pub(crate) fn refused(action: impl Into<String>, source: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Self {
        Self::Refused { action: action.into(), source: source.into() }
    }
}
