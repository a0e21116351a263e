//! The panel's certificate: self-signed from the first start, until a better one is put in its place.

use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use data_encoding::BASE64;
use nix::fcntl::{Flock, FlockArg};
use rcgen::{CertificateParams, DnType, ExtendedKeyUsagePurpose, KeyPair, KeyUsagePurpose};
use rustls::RootCertStore;
use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::ServerCertVerifier as _;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::server::ParsedCertificate;
use sha2::{Digest, Sha256};

use crate::private_file::{WriteError, write};
use crate::views::join::PanelTrust;

/// Where the certificate and its key lie.
#[derive(Debug, Clone)]
pub struct TlsFiles {
    /// The certificate, PEM.
    pub certificate: PathBuf,
    /// The key, PEM, readable by the panel alone.
    pub key: PathBuf,
}

/// Why there is no usable certificate.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// Making one failed.
    #[error("a self-signed certificate could not be made")]
    Generate(#[source] rcgen::Error),
    /// Reading or writing failed.
    #[error("the certificate in {path} could not be used")]
    File {
        /// Which file.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// The file holds no certificate.
    #[error("{path} holds no certificate")]
    Empty {
        /// Which file.
        path: PathBuf,
    },
    /// The file holds a certificate that nobody can use.
    #[error("the certificate in {path} is damaged")]
    Damaged {
        /// Which file.
        path: PathBuf,
        /// Why.
        #[source]
        source: rustls::Error,
    },
}

impl From<WriteError> for TlsError {
    fn from(WriteError { path, source }: WriteError) -> Self {
        Self::File { path, source }
    }
}

impl TlsFiles {
    /// The files in a directory.
    #[must_use]
    pub fn within(directory: &Path) -> Self {
        Self { certificate: directory.join("panel.crt"), key: directory.join("panel.key") }
    }

    /// Makes a self-signed certificate for these names and addresses, unless there is one. Of several processes that share the
    /// directory one makes it.
    ///
    /// # Errors
    /// It cannot be made or written.
    pub fn ensure(&self, names: &[String]) -> Result<(), TlsError> {
        if self.certificate.exists() && self.key.exists() {
            return Ok(());
        }
        let _turn = self.take_turn()?;
        if self.certificate.exists() && self.key.exists() {
            return Ok(());
        }
        let key = KeyPair::generate().map_err(TlsError::Generate)?;
        let mut params = CertificateParams::new(names.to_vec()).map_err(TlsError::Generate)?;
        params.distinguished_name.push(DnType::CommonName, names.first().map_or("gantry", String::as_str));
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        let certificate = params.self_signed(&key).map_err(TlsError::Generate)?;
        write(&self.key, key.serialize_pem().as_bytes(), 0o600)?;
        write(&self.certificate, certificate.pem().as_bytes(), 0o644)?;
        Ok(())
    }

    /// Waits until no other process makes a certificate here; none does until what is returned is dropped.
    fn take_turn(&self) -> Result<Flock<std::fs::File>, TlsError> {
        let path = self.key.with_extension("lock");
        let file = |source| TlsError::File { path: path.clone(), source };
        let lock = std::fs::OpenOptions::new().create(true).append(true).mode(0o600).open(&path).map_err(file)?;
        Flock::lock(lock, FlockArg::LockExclusive).map_err(|(_, errno)| file(errno.into()))
    }

    /// SHA-256 of the certificate as colon-separated hexadecimal digits: what browsers show and workers pin.
    ///
    /// # Errors
    /// The file cannot be read or holds no certificate.
    pub fn fingerprint(&self) -> Result<String, TlsError> {
        let chain = self.chain()?;
        let leaf = chain.first().ok_or_else(|| TlsError::Empty { path: self.certificate.clone() })?;
        Ok(fingerprint(leaf))
    }

    /// How hosts know the panel at `host`: by these authorities if they vouch for the certificate now, else by its key.
    ///
    /// # Errors
    /// The file cannot be read or holds no certificate.
    pub fn trust(&self, host: &str, authorities: RootCertStore) -> Result<PanelTrust, TlsError> {
        Ok(self.panel_certificate(authorities)?.trust(host))
    }

    /// The certificate as hosts see it that have these authorities.
    ///
    /// # Errors
    /// The file cannot be read or holds no certificate.
    pub fn panel_certificate(&self, authorities: RootCertStore) -> Result<PanelCertificate, TlsError> {
        let chain = self.chain()?;
        let leaf = chain.first().ok_or_else(|| TlsError::Empty { path: self.certificate.clone() })?;
        let parsed = ParsedCertificate::try_from(leaf).map_err(|source| TlsError::Damaged { path: self.certificate.clone(), source })?;
        let key = BASE64.encode(&Sha256::digest(parsed.subject_public_key_info().as_ref()));
        let pinned = PanelTrust::Pinned { key, fingerprint: fingerprint(leaf) };
        Ok(PanelCertificate { chain, authorities: Arc::new(authorities), pinned })
    }

    /// The certificate and those between it and its authority.
    fn chain(&self) -> Result<Vec<CertificateDer<'static>>, TlsError> {
        let pem = std::fs::read(&self.certificate).map_err(|source| TlsError::File { path: self.certificate.clone(), source })?;
        Ok(CertificateDer::pem_slice_iter(&pem).flatten().collect())
    }
}

fn fingerprint(certificate: &CertificateDer<'_>) -> String {
    Sha256::digest(certificate.as_ref()).iter().map(|byte| format!("{byte:02X}")).collect::<Vec<_>>().join(":")
}

/// The panel's certificate with the authorities that hosts believe.
#[derive(Debug, Clone)]
pub struct PanelCertificate {
    chain: Vec<CertificateDer<'static>>,
    authorities: Arc<RootCertStore>,
    pinned: PanelTrust,
}

impl PanelCertificate {
    /// How hosts know the panel at `host`: by the authorities if they vouch for the certificate there now, else by its key.
    #[must_use]
    pub fn trust(&self, host: &str) -> PanelTrust {
        if is_vouched_for(&self.chain, host, Arc::clone(&self.authorities)) { PanelTrust::Public } else { self.pinned.clone() }
    }
}

fn is_vouched_for(chain: &[CertificateDer<'_>], host: &str, authorities: Arc<RootCertStore>) -> bool {
    let provider = rustls::crypto::ring::default_provider();
    let (Some((leaf, between)), Ok(name)) = (chain.split_first(), ServerName::try_from(host.to_owned())) else { return false };
    WebPkiServerVerifier::builder_with_provider(authorities, provider.into())
        .build()
        .is_ok_and(|verifier| verifier.verify_server_cert(leaf, between, &name, &[], UnixTime::now()).is_ok())
}

#[cfg(test)]
mod tests {
    use rustls::RootCertStore;
    use shared::tls::authorities;

    use super::TlsFiles;
    use crate::config::Config;
    use crate::views::join::PanelTrust;

    #[test]
    fn a_certificate_is_made_once_and_two_installations_share_nothing() {
        let (one, two) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let names = ["localhost".to_owned(), "127.0.0.1".to_owned()];
        let (first, second) = (TlsFiles::within(one.path()), TlsFiles::within(two.path()));
        first.ensure(&names).unwrap();
        let fingerprint = first.fingerprint().unwrap();
        first.ensure(&names).unwrap();
        second.ensure(&names).unwrap();
        assert_eq!(first.fingerprint().unwrap(), fingerprint);
        assert_ne!(second.fingerprint().unwrap(), fingerprint);
        assert_eq!(fingerprint.len(), 32 * 3 - 1);
    }

    #[test]
    fn hosts_pin_the_panels_own_certificate_and_believe_authorities_that_vouch_for_it() {
        let directory = tempfile::tempdir().unwrap();
        let files = TlsFiles::within(directory.path());
        files.ensure(&["panel.example.org".to_owned()]).unwrap();
        let own = authorities(&std::fs::read(&files.certificate).unwrap());
        assert_eq!(files.trust("panel.example.org", own.clone()).unwrap(), PanelTrust::Public);
        for (host, authorities) in [("panel.example.org", RootCertStore::empty()), ("other.example.org", own)] {
            let PanelTrust::Pinned { key, fingerprint } = files.trust(host, authorities).unwrap() else { panic!("{host} is believed") };
            assert_eq!(fingerprint, files.fingerprint().unwrap());
            assert_eq!(data_encoding::BASE64.decode(key.as_bytes()).unwrap().len(), 32);
        }
    }

    #[test]
    fn a_host_that_reaches_the_panel_by_a_name_that_its_certificate_is_not_for_pins_the_key() {
        let directory = tempfile::tempdir().unwrap();
        let files = TlsFiles::within(directory.path());
        files.ensure(&["panel.example.org".to_owned(), "10.0.0.1".to_owned()]).unwrap();
        let mut config = Config::new("https://panel.example.org:8443");
        let certificate = files.panel_certificate(authorities(&std::fs::read(&files.certificate).unwrap())).unwrap();
        config.trust = certificate.trust(&config.host);
        config.certificate = Some(certificate);
        for (url, public) in [
            ("https://panel.example.org:8443", true),
            ("https://10.0.0.1:8443", true),
            ("https://inside.example.org:8443", false),
            ("https://[2001:db8::7]:8443", false),
        ] {
            let trust = config.trust_at(url);
            assert_eq!(trust == PanelTrust::Public, public, "{url}: {trust:?}");
            assert_eq!(trust.fingerprint().is_empty(), public, "{url}");
        }
    }
}
