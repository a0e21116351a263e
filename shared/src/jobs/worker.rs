//! The desired state of a server's own worker: which package of it is installed.

use serde::{Deserialize, Serialize};

use crate::names::{Architecture, PackageVersion};
use crate::release::{Release, ReleaseSignature, Sha256Sum, WORKER_PACKAGE};

/// A version of the worker. **A worker installs only what is newer than itself and signed by a release key that it has pinned**;
/// where the file comes from is of no importance.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct WorkerSpec {
    /// The version.
    pub version: PackageVersion,
    /// Its packages, one for each kind of machine.
    pub packages: Vec<WorkerPackage>,
    /// Where the panel hands them out, as the server's host reaches it: `https://host:port`.
    pub panel: String,
    /// SHA-256 of the panel's certificate; empty if a public authority has signed it.
    pub fingerprint: String,
}

/// A package for one kind of machine.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct WorkerPackage {
    /// The machine.
    pub architecture: Architecture,
    /// The file.
    pub sha256: Sha256Sum,
    /// Who vouches for it; absent if nobody does.
    pub signature: Option<ReleaseSignature>,
}

impl WorkerSpec {
    /// The package for a machine, and what has to be signed.
    #[must_use]
    pub fn release_for<'a>(&'a self, architecture: &Architecture) -> Option<(Release<'a>, Option<&'a ReleaseSignature>)> {
        let package = self.packages.iter().find(|package| package.architecture == *architecture)?;
        let release =
            Release { package: WORKER_PACKAGE, version: &self.version, architecture: &package.architecture, sha256: &package.sha256 };
        Some((release, package.signature.as_ref()))
    }
}
