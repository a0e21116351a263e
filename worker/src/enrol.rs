//! Joining a panel: one HTTPS request with a token. The worker makes its own keys; their seeds never leave the host.
//!
//! **It may be asked again with the same token**, however the last try ended: the keys are kept until the identity is.

use std::path::{Path, PathBuf};
use std::time::Duration;

use http_body_util::{BodyExt, Full, Limited};
use hyper::body::Bytes;
use shared::bus::credentials::Credentials;
use shared::bus::sealing::SealKey;
use shared::enrolment::{EnrolmentReply, EnrolmentRequest, Refusal};

use crate::config::{Identity, IdentityError};
use crate::panel::{PanelError, connect};
use crate::pending::Pending;
pub use crate::pending::PendingError;

/// What an admin's command says.
#[derive(Debug, Clone)]
pub struct EnrolOptions {
    /// `https://panel.example:8443`.
    pub panel: String,
    /// The single-use token.
    pub token: String,
    /// SHA-256 of the panel's certificate, 64 hexadecimal digits, colons allowed. Empty: a public authority has signed it.
    pub fingerprint: String,
}

/// Why joining failed. Each says what to do.
#[derive(Debug, thiserror::Error)]
pub enum EnrolError {
    /// The panel could not be talked to.
    #[error(transparent)]
    Panel(#[from] PanelError),
    /// The answer is none of a panel's.
    #[error("what answers at {address} is no Gantry panel ({status})")]
    NoPanel {
        /// Where.
        address: String,
        /// What it said.
        status: hyper::StatusCode,
    },
    /// The panel said no.
    #[error("{0}")]
    Refused(Refusal),
    /// There are no keys to ask with.
    #[error(transparent)]
    Keys(#[from] PendingError),
    /// The panel has answered, and the answer could not be kept.
    #[error("this host has joined, but could not keep it; ask again with the same token")]
    Store(#[from] IdentityError),
}

impl EnrolError {
    /// Whether trying the same again is of no use.
    #[must_use]
    pub const fn is_final(&self) -> bool {
        match self {
            Self::Panel(error) => error.is_final(),
            Self::Refused(_) | Self::Keys(_) | Self::Store(_) => true,
            // A proxy's page goes away.
            Self::NoPanel { .. } => false,
        }
    }
}

/// How long `gantry-worker enroll` waits for the panel's other half to make the credentials.
const PATIENCE: Duration = Duration::from_mins(1);
/// How long one request may take; the panel holds it for ten seconds.
const REQUEST: Duration = Duration::from_secs(20);
/// The reply is a few KiB.
const MAX_REPLY: usize = 64 * 1024;

/// Joins, and returns the identity, which is kept in the state directory.
///
/// # Errors
/// See [`EnrolError`].
pub async fn enrol(options: EnrolOptions, state_dir: &Path) -> Result<Identity, EnrolError> {
    let enrolment = Enrolment::new(options, state_dir)?;
    let answer = async {
        loop {
            if let Some(identity) = enrolment.ask().await? {
                return Ok::<_, EnrolError>(identity);
            }
        }
    };
    tokio::time::timeout(PATIENCE, answer).await.map_err(|_| {
        PanelError::Http("it has the request, and made no credentials within a minute: is `gantry dispatch` running? The same command may be run again for as long as the token works".into())
    })?
}

/// One worker's wish to join. It may be asked again and again: the same keys are the same request.
pub struct Enrolment {
    options: EnrolOptions,
    request: EnrolmentRequest,
    keys: Pending,
    state_dir: PathBuf,
}

impl Enrolment {
    /// Takes up the keys that are kept for this token, or makes and keeps new ones.
    ///
    /// # Errors
    /// They cannot be made or kept.
    pub fn new(options: EnrolOptions, state_dir: &Path) -> Result<Self, EnrolError> {
        let keys = Pending::of(&options.token, state_dir)?;
        let seal_key = SealKey::from_seed(&keys.seal_seed).map_err(PendingError::Keys)?.public_key();
        let request = EnrolmentRequest { token: options.token.clone(), public_key: keys.public_key.clone(), seal_key };
        Ok(Self { options, request, keys, state_dir: state_dir.to_owned() })
    }

    /// Asks once, and keeps the identity if it is answered. `None` if the panel has the request but no answer yet.
    ///
    /// # Errors
    /// See [`EnrolError`].
    pub async fn ask(&self) -> Result<Option<Identity>, EnrolError> {
        let reply = tokio::time::timeout(REQUEST, ask(&self.options, &self.request))
            .await
            .map_err(|_| PanelError::Http("no answer within 20 s".into()))??;
        let Some(reply) = reply else { return Ok(None) };
        let identity = self.identity(reply);
        identity.store(&self.state_dir)?;
        Pending::forget(&self.state_dir);
        Ok(Some(identity))
    }

    fn identity(&self, reply: EnrolmentReply) -> Identity {
        Identity {
            server: reply.server,
            epoch: reply.epoch,
            credentials: Credentials { jwt: reply.jwt, seed: self.keys.seed.clone() },
            seal_seed: self.keys.seal_seed.clone(),
            panel_key: reply.panel_key,
            stream: reply.stream,
            bus: reply.bus,
        }
    }
}

async fn ask(options: &EnrolOptions, request: &EnrolmentRequest) -> Result<Option<EnrolmentReply>, EnrolError> {
    let (mut sender, panel) = connect(&options.panel, &options.fingerprint).await?;
    let body = serde_json::to_vec(request).map_err(PanelError::http)?;
    let request = hyper::Request::post("/api/enrol")
        .header("host", &panel.authority)
        .header("content-type", "application/json")
        .body(Full::new(Bytes::from(body)))
        .map_err(PanelError::http)?;
    let response = sender.send_request(request).await.map_err(PanelError::http)?;
    let status = response.status();
    let body = Limited::new(response.into_body(), MAX_REPLY).collect().await.map_err(PanelError::Http)?.to_bytes();
    if status == hyper::StatusCode::ACCEPTED {
        // Dispatch has not answered yet. The same request with the same keys is the same request.
        return Ok(None);
    }
    if let Ok(refusal) = serde_json::from_slice::<Refusal>(&body) {
        return Err(EnrolError::Refused(refusal));
    }
    match serde_json::from_slice(&body) {
        Ok(reply) if status.is_success() => Ok(Some(reply)),
        Ok(_) | Err(_) => Err(EnrolError::NoPanel { address: panel.address, status }),
    }
}
