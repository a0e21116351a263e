//! HTTPS to the panel, which a worker needs only to join and to fetch its own packages.
//!
//! The panel is known by the fingerprint of its certificate, which the admin's command or a signed job carries: then no
//! certificate authority is asked, and nobody in between can answer. Without a fingerprint the authorities that Debian trusts
//! decide.

use std::sync::Arc;

use data_encoding::HEXLOWER;
use hyper::body::Body;
use hyper::client::conn::http1::{SendRequest, handshake};
use hyper_util::rt::TokioIo;
use rustls::CertificateError;
use rustls::pki_types::ServerName as TlsName;
use shared::tls::{Is, SYSTEM_AUTHORITIES, authorities, client_config, provider};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

/// Why the panel could not be talked to. Each says what to do.
#[derive(Debug, thiserror::Error)]
pub enum PanelError {
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
}

impl PanelError {
    /// Whether trying the same again is of no use.
    #[must_use]
    pub const fn is_final(&self) -> bool {
        match self {
            Self::Command(_) | Self::WrongPanel { .. } | Self::Untrusted { .. } => true,
            // A clock is set, and a network mended.
            Self::Unreachable { .. } | Self::Clock { .. } | Self::Tls { .. } | Self::Http(_) => false,
        }
    }

    /// An error of the HTTP client.
    pub(crate) fn http(error: impl std::error::Error + Send + Sync + 'static) -> Self {
        Self::Http(Box::new(error))
    }
}

/// A panel that a connection stands to.
pub(crate) struct Panel {
    /// As a request's `Host` names it.
    pub(crate) authority: String,
    /// Host and port.
    pub(crate) address: String,
}

/// Connects to the panel at `https://host:port`, whose certificate has the fingerprint, if one is given.
pub(crate) async fn connect<B>(url: &str, fingerprint: &str) -> Result<(SendRequest<B>, Panel), PanelError>
where
    B: Body<Data: Send, Error: Into<Box<dyn std::error::Error + Send + Sync>>> + Send + 'static,
{
    let authority = url
        .strip_prefix("https://")
        .map(|rest| rest.trim_end_matches('/').to_owned())
        .ok_or_else(|| PanelError::Command("the panel's address starts with https://".to_owned()))?;
    let (host, address) = match authority.rsplit_once(':') {
        Some((host, port)) if port.parse::<u16>().is_ok() => (host.to_owned(), authority.clone()),
        Some(_) | None => (authority.clone(), format!("{authority}:443")),
    };
    let name = TlsName::try_from(host.trim_matches(['[', ']']).to_owned())
        .map_err(|_| PanelError::Command(format!("{host} is not a host name")))?;
    let connector = TlsConnector::from(Arc::new(tls_config(fingerprint)?));
    let tcp = TcpStream::connect(&address).await.map_err(|source| PanelError::Unreachable { address: address.clone(), source })?;
    let stream = connector.connect(name, tcp).await.map_err(|source| tls_error(&address, source))?;
    let (sender, connection) = handshake(TokioIo::new(stream)).await.map_err(PanelError::http)?;
    tokio::spawn(connection);
    Ok((sender, Panel { authority, address }))
}

/// What a failed handshake means for who has to mend it.
fn tls_error(address: &str, source: std::io::Error) -> PanelError {
    let address = address.to_owned();
    match source.get_ref().and_then(|inner| inner.downcast_ref::<rustls::Error>()) {
        Some(rustls::Error::InvalidCertificate(error)) => match error {
            CertificateError::ApplicationVerificationFailure => PanelError::WrongPanel { address },
            CertificateError::Expired
            | CertificateError::ExpiredContext { .. }
            | CertificateError::NotValidYet
            | CertificateError::NotValidYetContext { .. } => PanelError::Clock { address },
            _ => PanelError::Untrusted { address },
        },
        _ => PanelError::Tls { address, source },
    }
}

fn tls_config(fingerprint: &str) -> Result<rustls::ClientConfig, PanelError> {
    if fingerprint.trim().is_empty() {
        let trusted = authorities(&std::fs::read(SYSTEM_AUTHORITIES).unwrap_or_default());
        let versions = rustls::ClientConfig::builder_with_provider(provider()).with_safe_default_protocol_versions();
        return Ok(versions.map_err(PanelError::http)?.with_root_certificates(trusted).with_no_client_auth());
    }
    let digits: String = fingerprint.trim().chars().filter(|c| *c != ':').collect::<String>().to_ascii_lowercase();
    let pinned = HEXLOWER
        .decode(digits.as_bytes())
        .ok()
        .and_then(|bytes| bytes.try_into().ok())
        .ok_or_else(|| PanelError::Command("the fingerprint has 64 hexadecimal digits".to_owned()))?;
    client_config(Is::Pinned(pinned)).map_err(PanelError::http)
}
