//! Releases: packages that the release key vouches for.
//!
//! Who builds Gantry signs a statement of a package's name, version, machine and SHA-256 with an Ed25519 key that no panel has.
//! The public halves travel inside the worker's package, so a worker installs only what the builder of its own package signed.
//! `.ci/deb.sh` writes the same statement.

use std::str::FromStr;

use data_encoding::BASE64;
use ring::signature::{ED25519, UnparsedPublicKey};

use crate::names::{Architecture, InvalidName, PackageVersion, string_name};

/// The package of the worker.
pub const WORKER_PACKAGE: &str = "gantry-worker";

/// A key that vouches for releases: 32 bytes of Ed25519, in base64.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReleaseKey(Vec<u8>);

impl FromStr for ReleaseKey {
    type Err = InvalidName;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let bytes = BASE64.decode(text.trim().as_bytes()).ok().filter(|bytes| bytes.len() == 32);
        bytes.map(Self).ok_or_else(|| InvalidName::new("A release key is 32 bytes in base64."))
    }
}

/// The keys of a file: one a line, empty lines and those that begin with `#` aside.
///
/// # Errors
/// A line is no key.
pub fn release_keys(text: &str) -> Result<Vec<ReleaseKey>, InvalidName> {
    text.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#')).map(str::parse).collect()
}

/// A signature of a release: 64 bytes of Ed25519, in base64.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReleaseSignature(String);

impl FromStr for ReleaseSignature {
    type Err = InvalidName;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let text = text.trim();
        let whole = BASE64.decode(text.as_bytes()).is_ok_and(|bytes| bytes.len() == 64);
        if whole { Ok(Self(text.to_owned())) } else { Err(InvalidName::new("A release's signature is 64 bytes in base64.")) }
    }
}

string_name!(ReleaseSignature);

/// SHA-256 of a file, 64 hexadecimal digits.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sha256Sum(String);

impl FromStr for Sha256Sum {
    type Err = InvalidName;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let plain = |byte: u8| byte.is_ascii_digit() || matches!(byte, b'a'..=b'f');
        if text.len() == 64 && text.bytes().all(plain) {
            return Ok(Self(text.to_owned()));
        }
        Err(InvalidName::new("A SHA-256 has 64 digits 0 to 9 and a to f."))
    }
}

string_name!(Sha256Sum);

/// What the release key vouches for.
#[derive(Debug, Clone, Copy)]
pub struct Release<'a> {
    /// The package's name.
    pub package: &'a str,
    /// Its version.
    pub version: &'a PackageVersion,
    /// The machine it is for.
    pub architecture: &'a Architecture,
    /// Its file.
    pub sha256: &'a Sha256Sum,
}

impl Release<'_> {
    /// What is signed. The first line keeps a signature from meaning anything else.
    #[must_use]
    pub fn statement(&self) -> String {
        let Self { package, version, architecture, sha256 } = self;
        format!("gantry release 1\npackage {package}\nversion {version}\narchitecture {architecture}\nsha256 {sha256}\n")
    }

    /// Whether one of the keys has signed it.
    #[must_use]
    pub fn is_signed(&self, keys: &[ReleaseKey], signature: &ReleaseSignature) -> bool {
        let Ok(signature) = BASE64.decode(signature.as_str().as_bytes()) else { return false };
        let statement = self.statement();
        keys.iter().any(|key| UnparsedPublicKey::new(&ED25519, &key.0).verify(statement.as_bytes(), &signature).is_ok())
    }

    /// The file's name, under which the panel hands it out.
    #[must_use]
    pub fn file(&self) -> String {
        format!("{}_{}_{}.deb", self.package, self.version, self.architecture)
    }
}

#[cfg(test)]
mod tests {
    use data_encoding::BASE64;
    use ring::signature::{Ed25519KeyPair, KeyPair};

    use super::{Release, ReleaseKey, ReleaseSignature, Sha256Sum, WORKER_PACKAGE, release_keys};

    fn pair(seed: u8) -> (Ed25519KeyPair, ReleaseKey) {
        let pair = Ed25519KeyPair::from_seed_unchecked(&[seed; 32]).unwrap();
        let key = BASE64.encode(pair.public_key().as_ref()).parse().unwrap();
        (pair, key)
    }

    #[test]
    fn a_signature_holds_for_one_package_version_machine_and_file_and_for_a_key_that_is_pinned() {
        let ((signer, key), (_, other)) = (pair(1), pair(2));
        let sum = |digit: &str| digit.repeat(64).parse::<Sha256Sum>().unwrap();
        let (version, newer) = ("0.2.0".parse().unwrap(), "0.2.1".parse().unwrap());
        let (amd64, arm64) = ("amd64".parse().unwrap(), "arm64".parse().unwrap());
        let (file, changed) = (sum("a"), sum("b"));
        let release = Release { package: WORKER_PACKAGE, version: &version, architecture: &amd64, sha256: &file };
        let signature: ReleaseSignature = BASE64.encode(signer.sign(release.statement().as_bytes()).as_ref()).parse().unwrap();

        assert!(release.is_signed(std::slice::from_ref(&key), &signature));
        assert!(release.is_signed(&[other.clone(), key.clone()], &signature), "an older key may be pinned beside it");
        assert!(!release.is_signed(&[other], &signature) && !release.is_signed(&[], &signature));
        for forged in [
            Release { package: "gantry", ..release },
            Release { version: &newer, ..release },
            Release { architecture: &arm64, ..release },
            Release { sha256: &changed, ..release },
        ] {
            assert!(!forged.is_signed(std::slice::from_ref(&key), &signature), "{forged:?}");
        }
    }

    /// As `openssl pkeyutl -sign -rawin` signs what `.ci/deb.sh` writes.
    #[test]
    fn the_statement_is_what_the_packager_signs() {
        let (version, machine) = ("0.2.0".parse().unwrap(), "amd64".parse().unwrap());
        let sum = "0".repeat(64).parse().unwrap();
        let release = Release { package: WORKER_PACKAGE, version: &version, architecture: &machine, sha256: &sum };
        let zeros = "0".repeat(64);
        let text = format!("gantry release 1\npackage gantry-worker\nversion 0.2.0\narchitecture amd64\nsha256 {zeros}\n");
        assert_eq!((release.statement(), release.file().as_str()), (text, "gantry-worker_0.2.0_amd64.deb"));
    }

    #[test]
    fn a_key_file_has_one_key_a_line_and_remarks() {
        let (key, other) = (BASE64.encode(&[7; 32]), BASE64.encode(&[8; 32]));
        assert_eq!(release_keys(&format!("# the old one\n{key}\n\n{other}\n")).unwrap().len(), 2);
        assert!(release_keys("short").is_err());
    }
}
