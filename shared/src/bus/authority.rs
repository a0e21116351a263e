//! The bus's own certificate authority: who vouches that a server is this panel's bus.
//!
//! **Every connection to the bus is encrypted, and its server proves with a certificate of this authority that it is the bus.**
//! The certificate is for the one name [`BUS_NAME`], whatever address a client uses, so an address that changes needs no new
//! certificate. The nodes of a cluster ask each other for their own host's name besides; the authority signs nothing else.

use rcgen::{BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair, KeyUsagePurpose, date_time_ymd};
use rustls::ClientConfig;
use rustls::client::WebPkiServerVerifier;
use rustls::pki_types::ServerName;
use serde::{Deserialize, Serialize};

use crate::tls::{Is, authorities, provider};

/// The name in the bus's certificate.
const BUS_NAME: &str = "bus.gantry.internal";
/// The authority outlives the installation; it is replaced on purpose.
const AUTHORITY_DAYS: u64 = 20 * 365;
/// A certificate of the bus is renewed when a third of this is over.
const CERTIFICATE_DAYS: u64 = 90;
/// After how many days the certificate of the bus is renewed.
pub const RENEWAL_DAYS: u64 = CERTIFICATE_DAYS / 3;
/// A certificate of a node of a cluster is carried there by hand, so it lasts as long as browsers once allowed.
const NODE_DAYS: u64 = 825;

/// Where the bus is, and who vouches for it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct BusAddress {
    /// `tls://host:port`, several separated by commas.
    pub url: String,
    /// The authority's certificate, PEM. Several while one is replaced by another.
    pub authority: String,
}

/// Why the authority, or what it vouches for, cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum AuthorityError {
    /// A key or certificate could not be made or read.
    #[error("the bus authority's key or certificate cannot be used")]
    Certificate(#[from] rcgen::Error),
    /// Nobody could be verified by it.
    #[error("the bus authority's certificate cannot be used")]
    Verifier(#[source] rustls::client::VerifierBuilderError),
    /// TLS could not be set up.
    #[error("TLS could not be set up")]
    Tls(#[from] rustls::Error),
}

/// The authority. Its key leaves the process that makes certificates only as [`Self::key_pem`].
pub struct Authority {
    certificate: String,
    key: KeyPair,
}

/// A certificate and its key, PEM.
pub struct IssuedCertificate {
    /// The certificate.
    pub certificate: String,
    /// Its key.
    pub key: String,
}

impl Authority {
    /// A new one.
    ///
    /// # Errors
    /// Never for a key made here.
    pub fn generate(now_s: u64) -> Result<Self, AuthorityError> {
        let key = KeyPair::generate()?;
        let certificate = authority_params(now_s).self_signed(&key)?.pem();
        Ok(Self { certificate, key })
    }

    /// One that was stored.
    ///
    /// # Errors
    /// The key is damaged.
    pub fn from_pem(certificate: String, key: &str) -> Result<Self, AuthorityError> {
        Ok(Self { certificate, key: KeyPair::from_pem(key)? })
    }

    /// The certificate, PEM: what clients of the bus trust.
    #[must_use]
    pub fn certificate(&self) -> &str {
        &self.certificate
    }

    /// The key, PEM, to be stored.
    #[must_use]
    pub fn key_pem(&self) -> String {
        self.key.serialize_pem()
    }

    /// A new certificate for the bus, with a new key.
    ///
    /// # Errors
    /// The authority's key is damaged.
    pub fn issue(&self, now_s: u64) -> Result<IssuedCertificate, AuthorityError> {
        self.issue_for(&[], CERTIFICATE_DAYS, now_s)
    }

    /// A new certificate for a node of a cluster, with a new key: clients know it as the bus, the other nodes by its host.
    ///
    /// # Errors
    /// The authority's key is damaged, or the host is neither a name nor an address.
    pub fn issue_for_node(&self, host: &str, now_s: u64) -> Result<IssuedCertificate, AuthorityError> {
        self.issue_for(&[host], NODE_DAYS, now_s)
    }

    fn issue_for(&self, hosts: &[&str], days: u64, now_s: u64) -> Result<IssuedCertificate, AuthorityError> {
        let key = KeyPair::generate()?;
        let names: Vec<String> = [BUS_NAME].iter().chain(hosts).map(|name| (*name).to_owned()).collect();
        let mut params = CertificateParams::new(names)?;
        params.distinguished_name.push(DnType::CommonName, BUS_NAME);
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        if !hosts.is_empty() {
            // A node is a client of the others.
            params.extended_key_usages.push(ExtendedKeyUsagePurpose::ClientAuth);
        }
        params.use_authority_key_identifier_extension = true;
        last(&mut params, now_s, days);
        let issuer = Issuer::new(authority_params(now_s), &self.key);
        Ok(IssuedCertificate { certificate: params.signed_by(&key, &issuer)?.pem(), key: key.serialize_pem() })
    }
}

fn authority_params(now_s: u64) -> CertificateParams {
    let mut params = CertificateParams::default();
    params.distinguished_name.push(DnType::CommonName, "Gantry bus authority");
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign];
    last(&mut params, now_s, AUTHORITY_DAYS);
    params
}

/// Valid from yesterday, so that a host whose clock is slow can connect.
fn last(params: &mut CertificateParams, now_s: u64, days: u64) {
    const DAY_S: u64 = 24 * 3600;
    let at = |seconds| date_time_ymd(1970, 1, 1) + std::time::Duration::from_secs(seconds);
    params.not_before = at(now_s.saturating_sub(DAY_S));
    params.not_after = at(now_s + days * DAY_S);
}

/// TLS for a client of the bus: the authority, and nobody else, vouches for the server under [`BUS_NAME`].
pub(super) fn client_config(authority: &str) -> Result<ClientConfig, AuthorityError> {
    let authorities = WebPkiServerVerifier::builder_with_provider(authorities(authority.as_bytes()).into(), provider())
        .build()
        .map_err(AuthorityError::Verifier)?;
    let name = ServerName::try_from(BUS_NAME).map_err(|error| rustls::Error::General(error.to_string()))?;
    Ok(crate::tls::client_config(Is::Named { name, authorities })?)
}
