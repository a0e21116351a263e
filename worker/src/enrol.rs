//! Joining a panel: one HTTPS request with a token. The worker makes its own keys; their seeds never leave the host.
//!
//! The panel is known by the fingerprint of its certificate, which the admin's command carries: then no certificate authority
//! is asked, and nobody in between can answer. Without a fingerprint the authorities that Debian trusts decide.

use std::sync::Arc;
use std::time::Duration;

use data_encoding::HEXLOWER;
use http_body_util::{BodyExt, Full, Limited};
use hyper::body::Bytes;
use hyper_util::rt::TokioIo;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::{CertificateDer, ServerName as TlsName, UnixTime};
use rustls::{CertificateError, DigitallySignedStruct, SignatureScheme};
use sha2::{Digest, Sha256};
use shared::bus::credentials::{Credentials, new_user_key};
use shared::bus::sealing::SealKey;
use shared::enrolment::{EnrolmentReply, EnrolmentRequest, Refusal};
use shared::tls::{SYSTEM_AUTHORITIES, authorities};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

use crate::config::Identity;

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
    /// The command is not usable.
    #[error("{0}")]
    Command(String),
    /// The panel cannot be reached.
    #[error(
        "the panel at {address} cannot be reached ({source}). Check the address, DNS, and that this host may open connections to it; the panel needs none to this host"
    )]
    Unreachable {
        /// Where.
        address: String,
        /// Why.
        source: std::io::Error,
    },
    /// The certificate has another fingerprint.
    #[error(
        "what answers at {address} is not the panel: its certificate has another fingerprint. Copy the command from the panel again; if that does not help, something between this host and the panel answers in its place"
    )]
    WrongPanel {
        /// Where.
        address: String,
    },
    /// No authority vouches for the certificate.
    #[error("no authority that this host trusts has signed the certificate at {address}. Give the fingerprint that the panel shows")]
    Untrusted {
        /// Where.
        address: String,
    },
    /// The certificate is of another time.
    #[error(
        "the certificate at {address} is not valid at this host's time. Check the clock with timedatectl; if it is right, the panel's certificate has ended"
    )]
    Clock {
        /// Where.
        address: String,
    },
    /// TLS failed otherwise.
    #[error("no secure connection to {address} could be made")]
    Tls {
        /// Where.
        address: String,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// HTTP failed.
    #[error("the panel did not answer")]
    Http(#[source] Box<dyn std::error::Error + Send + Sync>),
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
    /// Keys could not be made.
    #[error("keys could not be made")]
    Keys(#[source] shared::bus::BusError),
}

impl EnrolError {
    /// Whether trying the same again is of no use.
    #[must_use]
    pub const fn is_final(&self) -> bool {
        match self {
            Self::Command(_) | Self::WrongPanel { .. } | Self::Untrusted { .. } | Self::Refused(_) | Self::Keys(_) => true,
            // A clock is set and a proxy's page goes away.
            Self::Unreachable { .. } | Self::Clock { .. } | Self::Tls { .. } | Self::Http(_) | Self::NoPanel { .. } => false,
        }
    }
}

/// How long `gantry-worker enroll` waits for the panel's other half to make the credentials.
const PATIENCE: Duration = Duration::from_mins(1);
/// How long one request may take; the panel holds it for ten seconds.
const REQUEST: Duration = Duration::from_secs(20);
/// The reply is a few KiB.
const MAX_REPLY: usize = 64 * 1024;

/// Joins, and returns the identity to be stored.
///
/// # Errors
/// See [`EnrolError`].
pub async fn enrol(options: EnrolOptions) -> Result<Identity, EnrolError> {
    let enrolment = Enrolment::new(options)?;
    let answer = async {
        loop {
            if let Some(identity) = enrolment.ask().await? {
                return Ok::<_, EnrolError>(identity);
            }
        }
    };
    tokio::time::timeout(PATIENCE, answer).await.map_err(|_| {
        EnrolError::Http("it has the request, and made no credentials within a minute: is `gantry dispatch` running?".into())
    })?
}

/// One worker's wish to join. It may be asked again and again: the same keys are the same request.
pub struct Enrolment {
    options: EnrolOptions,
    request: EnrolmentRequest,
    seed: String,
    seal: SealKey,
}

impl Enrolment {
    /// Makes the keys.
    ///
    /// # Errors
    /// They cannot be made.
    pub fn new(options: EnrolOptions) -> Result<Self, EnrolError> {
        let (seed, public_key) = new_user_key().map_err(EnrolError::Keys)?;
        let seal = SealKey::generate();
        let request = EnrolmentRequest { token: options.token.clone(), public_key, seal_key: seal.public_key() };
        Ok(Self { options, request, seed, seal })
    }

    /// Asks once. `None` if the panel has the request but no answer yet.
    ///
    /// # Errors
    /// See [`EnrolError`].
    pub async fn ask(&self) -> Result<Option<Identity>, EnrolError> {
        let reply = tokio::time::timeout(REQUEST, ask(&self.options, &self.request))
            .await
            .map_err(|_| EnrolError::Http("no answer within 20 s".into()))??;
        reply.map(|reply| self.identity(reply)).transpose()
    }

    fn identity(&self, reply: EnrolmentReply) -> Result<Identity, EnrolError> {
        Ok(Identity {
            server: reply.server,
            epoch: reply.epoch,
            credentials: Credentials { jwt: reply.jwt, seed: self.seed.clone() },
            seal_seed: self.seal.seed().map_err(EnrolError::Keys)?,
            panel_key: reply.panel_key,
            stream: reply.stream,
            bus: reply.bus,
        })
    }
}

async fn ask(options: &EnrolOptions, request: &EnrolmentRequest) -> Result<Option<EnrolmentReply>, EnrolError> {
    let authority = options
        .panel
        .strip_prefix("https://")
        .map(|rest| rest.trim_end_matches('/').to_owned())
        .ok_or_else(|| EnrolError::Command("the panel's address starts with https://".to_owned()))?;
    let (host, address) = match authority.rsplit_once(':') {
        Some((host, port)) if port.parse::<u16>().is_ok() => (host.to_owned(), authority.clone()),
        Some(_) | None => (authority.clone(), format!("{authority}:443")),
    };
    let name = TlsName::try_from(host.trim_matches(['[', ']']).to_owned())
        .map_err(|_| EnrolError::Command(format!("{host} is not a host name")))?;
    let connector = TlsConnector::from(Arc::new(tls_config(&options.fingerprint)?));
    let tcp = TcpStream::connect(&address).await.map_err(|source| EnrolError::Unreachable { address: address.clone(), source })?;
    let stream = connector.connect(name, tcp).await.map_err(|source| tls_error(&address, source))?;
    let (mut sender, connection) =
        hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.map_err(|error| EnrolError::Http(error.into()))?;
    tokio::spawn(connection);
    let body = serde_json::to_vec(request).map_err(|error| EnrolError::Http(error.into()))?;
    let request = hyper::Request::post("/api/enrol")
        .header("host", &authority)
        .header("content-type", "application/json")
        .body(Full::new(Bytes::from(body)))
        .map_err(|error| EnrolError::Http(error.into()))?;
    let response = sender.send_request(request).await.map_err(|error| EnrolError::Http(error.into()))?;
    let status = response.status();
    let body = Limited::new(response.into_body(), MAX_REPLY).collect().await.map_err(EnrolError::Http)?.to_bytes();
    if status == hyper::StatusCode::ACCEPTED {
        // Dispatch has not answered yet. The same request with the same keys is the same request.
        return Ok(None);
    }
    if let Ok(refusal) = serde_json::from_slice::<Refusal>(&body) {
        return Err(EnrolError::Refused(refusal));
    }
    match serde_json::from_slice(&body) {
        Ok(reply) if status.is_success() => Ok(Some(reply)),
        Ok(_) | Err(_) => Err(EnrolError::NoPanel { address, status }),
    }
}

/// What a failed handshake means for who has to mend it.
fn tls_error(address: &str, source: std::io::Error) -> EnrolError {
    let address = address.to_owned();
    match source.get_ref().and_then(|inner| inner.downcast_ref::<rustls::Error>()) {
        Some(rustls::Error::InvalidCertificate(error)) => match error {
            CertificateError::ApplicationVerificationFailure => EnrolError::WrongPanel { address },
            CertificateError::Expired
            | CertificateError::ExpiredContext { .. }
            | CertificateError::NotValidYet
            | CertificateError::NotValidYetContext { .. } => EnrolError::Clock { address },
            _ => EnrolError::Untrusted { address },
        },
        _ => EnrolError::Tls { address, source },
    }
}

fn tls_config(fingerprint: &str) -> Result<rustls::ClientConfig, EnrolError> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let versions = rustls::ClientConfig::builder_with_provider(Arc::clone(&provider))
        .with_safe_default_protocol_versions()
        .map_err(|error| EnrolError::Http(error.into()))?;
    if fingerprint.trim().is_empty() {
        let trusted = authorities(&std::fs::read(SYSTEM_AUTHORITIES).unwrap_or_default());
        return Ok(versions.with_root_certificates(trusted).with_no_client_auth());
    }
    let digits: String = fingerprint.trim().chars().filter(|c| *c != ':').collect::<String>().to_ascii_lowercase();
    let pinned = HEXLOWER
        .decode(digits.as_bytes())
        .ok()
        .filter(|bytes| bytes.len() == 32)
        .ok_or_else(|| EnrolError::Command("the fingerprint has 64 hexadecimal digits".to_owned()))?;
    let verifier = Pinned { fingerprint: pinned, provider };
    Ok(versions.dangerous().with_custom_certificate_verifier(Arc::new(verifier)).with_no_client_auth())
}

/// Accepts the one certificate whose fingerprint the command carries.
#[derive(Debug)]
struct Pinned {
    fingerprint: Vec<u8>,
    provider: Arc<CryptoProvider>,
}

impl ServerCertVerifier for Pinned {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _server_name: &TlsName<'_>,
        _ocsp: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        if Sha256::digest(end_entity.as_ref()).as_slice() == self.fingerprint {
            Ok(ServerCertVerified::assertion())
        } else {
            Err(rustls::Error::InvalidCertificate(rustls::CertificateError::ApplicationVerificationFailure))
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls12_signature(message, certificate, signature, &self.provider.signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls13_signature(message, certificate, signature, &self.provider.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}
