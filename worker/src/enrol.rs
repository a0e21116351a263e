//! `gantry-worker enroll`: joins a panel. The worker makes its own keys; their seeds never leave the host.
//!
//! The panel is known by the fingerprint of its certificate, which the admin's command carries: no certificate
//! authority is asked, and nobody in between can answer.

use std::sync::Arc;
use std::time::Duration;

use data_encoding::HEXLOWER;
use http_body_util::{BodyExt, Full, Limited};
use hyper::body::Bytes;
use hyper_util::rt::TokioIo;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::{CertificateDer, ServerName as TlsName, UnixTime};
use rustls::{DigitallySignedStruct, SignatureScheme};
use sha2::{Digest, Sha256};
use shared::bus::credentials::{Credentials, new_user_key};
use shared::bus::sealing::SealKey;
use shared::enrolment::{EnrolmentReply, EnrolmentRequest};
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
    /// SHA-256 of the panel's certificate, 64 hexadecimal digits, colons allowed.
    pub fingerprint: String,
}

/// Why joining failed.
#[derive(Debug, thiserror::Error)]
pub enum EnrolError {
    /// The command is not usable.
    #[error("{0}")]
    Command(String),
    /// The panel cannot be reached.
    #[error("the panel at {address} cannot be reached")]
    Unreachable {
        /// Where.
        address: String,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// TLS failed: mostly a certificate of another fingerprint.
    #[error("the panel's certificate is not the expected one")]
    Tls(#[source] std::io::Error),
    /// HTTP failed.
    #[error("the panel did not answer")]
    Http(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// The panel said no.
    #[error("the panel refused: {0}")]
    Refused(String),
    /// Keys could not be made.
    #[error("keys could not be made")]
    Keys(#[source] shared::bus::BusError),
}

const PATIENCE: Duration = Duration::from_mins(1);
/// The reply is about one KiB.
const MAX_REPLY: usize = 64 * 1024;

/// Joins, and returns the identity to be stored.
///
/// # Errors
/// See [`EnrolError`].
pub async fn enrol(options: &EnrolOptions) -> Result<Identity, EnrolError> {
    let (seed, public_key) = new_user_key().map_err(EnrolError::Keys)?;
    let seal = SealKey::generate();
    let request = EnrolmentRequest { token: options.token.clone(), public_key, seal_key: seal.public_key() };
    let answer = async {
        loop {
            if let Some(reply) = ask(options, &request).await? {
                return Ok::<_, EnrolError>(reply);
            }
        }
    };
    let reply = tokio::time::timeout(PATIENCE, answer).await.map_err(|_| EnrolError::Http("no answer within a minute".into()))??;
    Ok(Identity {
        server: reply.server,
        epoch: reply.epoch,
        credentials: Credentials { jwt: reply.jwt, seed },
        seal_seed: seal.seed().map_err(EnrolError::Keys)?,
        panel_key: reply.panel_key,
        stream: reply.stream,
        bus_url: reply.bus_url,
    })
}

/// One request. `None` if the panel has it but no answer yet.
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
    let tcp = TcpStream::connect(&address).await.map_err(|source| EnrolError::Unreachable { address: address.clone(), source })?;
    let name = TlsName::try_from(host.trim_matches(['[', ']']).to_owned())
        .map_err(|_| EnrolError::Command(format!("{host} is not a host name")))?;
    let connector = TlsConnector::from(Arc::new(tls_config(&options.fingerprint)?));
    let stream = connector.connect(name, tcp).await.map_err(EnrolError::Tls)?;
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
    if !status.is_success() {
        return Err(EnrolError::Refused(format!("{status} {}", String::from_utf8_lossy(&body).trim())));
    }
    serde_json::from_slice(&body).map(Some).map_err(|error| EnrolError::Http(error.into()))
}

fn tls_config(fingerprint: &str) -> Result<rustls::ClientConfig, EnrolError> {
    let digits: String = fingerprint.chars().filter(|c| *c != ':').collect::<String>().to_ascii_lowercase();
    let pinned = HEXLOWER
        .decode(digits.as_bytes())
        .ok()
        .filter(|bytes| bytes.len() == 32)
        .ok_or_else(|| EnrolError::Command("the fingerprint has 64 hexadecimal digits".to_owned()))?;
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let verifier = Pinned { fingerprint: pinned, provider: Arc::clone(&provider) };
    let config = rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| EnrolError::Http(error.into()))?
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(verifier))
        .with_no_client_auth();
    Ok(config)
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
