//! The panel's certificate: self-signed from the first start, until a better one is put in its place.

use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use rcgen::{CertificateParams, DnType, ExtendedKeyUsagePurpose, KeyPair, KeyUsagePurpose};
use sha2::{Digest, Sha256};

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
}

impl TlsFiles {
    /// The files in a directory.
    #[must_use]
    pub fn within(directory: &Path) -> Self {
        Self { certificate: directory.join("panel.crt"), key: directory.join("panel.key") }
    }

    /// Makes a self-signed certificate for these names and addresses, unless there is one.
    ///
    /// # Errors
    /// It cannot be made or written.
    pub fn ensure(&self, names: &[String]) -> Result<(), TlsError> {
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
        write(&self.certificate, certificate.pem().as_bytes(), 0o644)
    }

    /// SHA-256 of the certificate as colon-separated hexadecimal digits: what browsers show and workers pin.
    ///
    /// # Errors
    /// The file cannot be read or holds no certificate.
    pub fn fingerprint(&self) -> Result<String, TlsError> {
        let text =
            std::fs::read_to_string(&self.certificate).map_err(|source| TlsError::File { path: self.certificate.clone(), source })?;
        let der = first_certificate(&text).ok_or_else(|| TlsError::Empty { path: self.certificate.clone() })?;
        Ok(Sha256::digest(der).iter().map(|byte| format!("{byte:02X}")).collect::<Vec<_>>().join(":"))
    }
}

/// The bytes between the first pair of PEM lines.
fn first_certificate(pem: &str) -> Option<Vec<u8>> {
    let body = pem.split("-----BEGIN CERTIFICATE-----").nth(1)?.split("-----END CERTIFICATE-----").next()?;
    let base64: String = body.split_ascii_whitespace().collect();
    data_encoding::BASE64.decode(base64.as_bytes()).ok()
}

fn write(path: &Path, bytes: &[u8], mode: u32) -> Result<(), TlsError> {
    let file = |source| TlsError::File { path: path.to_owned(), source };
    let temporary = path.with_extension("new");
    let _ = std::fs::remove_file(&temporary);
    let mut new = std::fs::OpenOptions::new().write(true).create_new(true).mode(mode).open(&temporary).map_err(file)?;
    new.write_all(bytes).and_then(|()| new.sync_all()).map_err(file)?;
    std::fs::rename(&temporary, path).map_err(file)
}

#[cfg(test)]
mod tests {
    use super::TlsFiles;

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
}
