//! How a worker joins: one HTTPS request with a single-use token and the public halves of keys made on the host.

use serde::{Deserialize, Serialize};

use crate::bus::authority::BusAddress;
use crate::ids::Epoch;
use crate::names::ServerName;

/// What a worker sends.
#[derive(Clone, Serialize, Deserialize)]
pub struct EnrolmentRequest {
    /// The token an admin was shown.
    pub token: String,
    /// The worker's public nkey (`U...`).
    pub public_key: String,
    /// The worker's public x25519 key (`X...`), to which secrets are sealed.
    pub seal_key: String,
}

impl std::fmt::Debug for EnrolmentRequest {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "EnrolmentRequest({})", self.public_key)
    }
}

/// What it gets back. Nothing in it is a secret: the JWT is useless without the worker's seed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct EnrolmentReply {
    /// Its name on the bus.
    pub server: ServerName,
    /// The panel's instance; jobs of any other are refused.
    pub epoch: Epoch,
    /// Its user JWT.
    pub jwt: String,
    /// The public key that signs jobs; the worker pins it.
    pub panel_key: String,
    /// The stream that carries its jobs.
    pub stream: String,
    /// Where the bus is, and who vouches for it.
    pub bus: BusAddress,
}

/// Why a panel does not let a worker join. The answer's body, with status 403.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[serde(tag = "refused", rename_all = "snake_case")]
pub enum Refusal {
    /// No such token.
    #[error(
        "the panel does not know this token. A newer one may have taken its place, or it is another panel's: generate the installation script again on the server's page"
    )]
    Unknown,
    /// A worker has joined with it.
    #[error("this token has been used. It works once: generate a new installation script on the server's page")]
    Used,
    /// It was made too long ago.
    #[error("this token has ended. It works for an hour: generate a new installation script on the server's page")]
    Expired,
    /// The keys are not whole.
    #[error(
        "the keys of this host did not reach it whole. Run the panel's command again; if it happens again, generate a new installation script on the server's page"
    )]
    Keys,
}

#[cfg(test)]
mod tests {
    use super::Refusal;

    #[test]
    fn refusals_keep_their_spelling() {
        for (refusal, spelled) in
            [(Refusal::Unknown, "unknown"), (Refusal::Used, "used"), (Refusal::Expired, "expired"), (Refusal::Keys, "keys")]
        {
            let json = serde_json::to_string(&refusal).unwrap();
            assert_eq!(json, format!(r#"{{"refused":"{spelled}"}}"#));
            assert_eq!(serde_json::from_str::<Refusal>(&json).unwrap(), refusal);
        }
    }
}
