//! The worker's packages that this panel hands out: those it came with.

use std::path::{Path, PathBuf};

use data_encoding::HEXLOWER;
use sha2::{Digest, Sha256};
use shared::jobs::{self, WorkerSpec};
use shared::names::{Architecture, PackageVersion};
use shared::release::{Release, ReleaseSignature, Sha256Sum, WORKER_PACKAGE};

/// A package for one kind of machine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WorkerPackage {
    /// Its file name: `gantry-worker_<version>_<architecture>.deb`.
    pub file: String,
    /// Where it lies.
    pub path: PathBuf,
    /// Its version.
    pub version: PackageVersion,
    /// The machine.
    pub architecture: Architecture,
    /// Its SHA-256: a host installs nothing else.
    pub sha256: Sha256Sum,
    /// What vouches for it: the file of the same name and `.sig`. It is for workers to judge: this panel has no release key.
    pub signature: Option<ReleaseSignature>,
}

/// The packages of the newest version in a directory, one for each kind of machine; none if there is no such directory.
///
/// # Errors
/// A package cannot be read.
pub fn worker_packages(directory: &Path) -> std::io::Result<Vec<WorkerPackage>> {
    let listed = match std::fs::read_dir(directory) {
        Ok(listed) => listed,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(error),
    };
    let mut found: Vec<(PackageVersion, Architecture, PathBuf)> = Vec::new();
    for entry in listed {
        let path = entry?.path();
        if let Some((version, architecture)) = path.file_name().and_then(|name| named(name.to_str()?)) {
            found.push((version, architecture, path));
        }
    }
    let newest = found.iter().map(|(version, ..)| version.clone()).max();
    found.retain(|(version, ..)| newest.as_ref() == Some(version));
    found.sort_by(|(_, one, _), (_, other, _)| one.cmp(other));
    found.into_iter().map(|(version, architecture, path)| read(version, architecture, path)).collect()
}

fn read(version: PackageVersion, architecture: Architecture, path: PathBuf) -> std::io::Result<WorkerPackage> {
    let digits = HEXLOWER.encode(&Sha256::digest(std::fs::read(&path)?));
    let sha256: Sha256Sum = digits.parse().map_err(std::io::Error::other)?;
    let mut beside = path.clone().into_os_string();
    beside.push(".sig");
    // What is no signature vouches for nothing.
    let signature = std::fs::read_to_string(beside).ok().and_then(|text| text.parse().ok());
    let file = Release { package: WORKER_PACKAGE, version: &version, architecture: &architecture, sha256: &sha256 }.file();
    Ok(WorkerPackage { file, path, version, architecture, sha256, signature })
}

/// The version and machine that a file name says.
fn named(file: &str) -> Option<(PackageVersion, Architecture)> {
    let rest = file.strip_prefix(WORKER_PACKAGE)?.strip_prefix('_')?.strip_suffix(".deb")?;
    let (version, architecture) = rest.split_once('_')?;
    Some((version.parse().ok()?, architecture.parse().ok()?))
}

/// The version of the worker that servers can be updated to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WorkerOffer {
    /// The version.
    pub version: PackageVersion,
    packages: Vec<jobs::WorkerPackage>,
}

impl WorkerOffer {
    /// What these packages offer. `None` without a package.
    #[must_use]
    pub fn of(packages: &[WorkerPackage]) -> Option<Self> {
        let version = packages.first()?.version.clone();
        let packages = packages.iter().map(|package| jobs::WorkerPackage {
            architecture: package.architecture.clone(),
            sha256: package.sha256.clone(),
            signature: package.signature.clone(),
        });
        Some(Self { version, packages: packages.collect() })
    }

    /// Whether it is newer than what a server reports. One that reports nothing, or nothing that is a version, is left alone.
    #[must_use]
    pub fn is_newer_than(&self, reported: &str) -> bool {
        reported.parse().is_ok_and(|reported| self.version > reported)
    }

    /// The job for a server whose host reaches the panel at this address, where its certificate has this fingerprint; empty if a
    /// public authority vouches for it there.
    #[must_use]
    pub fn spec(&self, panel: &str, fingerprint: &str) -> WorkerSpec {
        WorkerSpec {
            version: self.version.clone(),
            packages: self.packages.clone(),
            panel: panel.to_owned(),
            fingerprint: fingerprint.to_owned(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{WorkerOffer, worker_packages};

    #[test]
    fn the_newest_version_is_handed_out_with_its_signatures_and_nothing_beside_it() {
        let directory = tempfile::tempdir().unwrap();
        let put = |name: &str, content: &str| std::fs::write(directory.path().join(name), content).unwrap();
        for name in
            ["gantry-worker_0.10.0_amd64.deb", "gantry-worker_0.10.0_arm64.deb", "gantry-worker_0.9.0_amd64.deb", "gantry_0.11.0_amd64.deb"]
        {
            put(name, "abc");
        }
        put("gantry-worker_0.11.0_amd64.deb.new", "abc");
        put("gantry-worker_0.10.0_amd64.deb.sig", &format!("{}==\n", "A".repeat(86)));
        put("gantry-worker_0.10.0_arm64.deb.sig", "nobody");
        let found = worker_packages(directory.path()).unwrap();
        let shown: Vec<_> = found.iter().map(|package| (package.file.as_str(), package.signature.is_some())).collect();
        assert_eq!(shown, [("gantry-worker_0.10.0_amd64.deb", true), ("gantry-worker_0.10.0_arm64.deb", false)]);
        assert_eq!(found[0].sha256.as_str(), "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
        assert_eq!(worker_packages(&directory.path().join("none")).unwrap(), []);
    }

    #[test]
    fn only_a_newer_version_is_an_update() {
        let directory = tempfile::tempdir().unwrap();
        std::fs::write(directory.path().join("gantry-worker_0.10.0_amd64.deb"), "abc").unwrap();
        let offer = WorkerOffer::of(&worker_packages(directory.path()).unwrap()).unwrap();
        assert!(offer.is_newer_than("0.9.0") && offer.is_newer_than("0.10.0~rc1"));
        for other in ["0.10.0", "0.11.0", "", "unknown"] {
            assert!(!offer.is_newer_than(other), "{other:?}");
        }
        assert_eq!(WorkerOffer::of(&[]), None);
    }
}
