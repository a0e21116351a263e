//! The worker's packages that this panel hands out: those it came with, of its own version.

use std::path::{Path, PathBuf};

use data_encoding::HEXLOWER;
use sha2::{Digest, Sha256};

/// A package for one kind of machine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WorkerPackage {
    /// Its file name: `gantry-worker_<version>_<architecture>.deb`.
    pub file: String,
    /// Where it lies.
    pub path: PathBuf,
    /// Debian's name of the machine, such as `amd64`.
    pub architecture: String,
    /// SHA-256 in hexadecimal digits: a host installs nothing else.
    pub sha256: String,
}

/// The packages of this program's own version in a directory; none if there is no such directory.
///
/// # Errors
/// A package cannot be read.
pub fn worker_packages(directory: &Path) -> std::io::Result<Vec<WorkerPackage>> {
    let listed = match std::fs::read_dir(directory) {
        Ok(listed) => listed,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(error),
    };
    let mut packages = Vec::new();
    for entry in listed {
        let path = entry?.path();
        let Some(file) = path.file_name().and_then(|name| name.to_str()).map(str::to_owned) else { continue };
        let Some(architecture) = architecture(&file) else { continue };
        let sha256 = HEXLOWER.encode(&Sha256::digest(std::fs::read(&path)?));
        packages.push(WorkerPackage { architecture: architecture.to_owned(), file, path, sha256 });
    }
    packages.sort_by(|one, other| one.architecture.cmp(&other.architecture));
    Ok(packages)
}

/// The machine a file name says, if it is of this version.
fn architecture(file: &str) -> Option<&str> {
    let own = concat!("gantry-worker_", env!("CARGO_PKG_VERSION"), "_");
    let architecture = file.strip_prefix(own)?.strip_suffix(".deb")?;
    let plain = !architecture.is_empty() && architecture.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit());
    plain.then_some(architecture)
}

#[cfg(test)]
mod tests {
    use super::worker_packages;

    #[test]
    fn only_packages_of_the_panels_own_version_are_handed_out() {
        let directory = tempfile::tempdir().unwrap();
        let own = concat!("gantry-worker_", env!("CARGO_PKG_VERSION"), "_amd64.deb");
        for name in [own, "gantry-worker_0.0.1_amd64.deb", "gantry-worker_0.0.1_amd64.deb.new", "other.deb"] {
            std::fs::write(directory.path().join(name), "abc").unwrap();
        }
        let found = worker_packages(directory.path()).unwrap();
        assert_eq!(found.len(), 1);
        assert_eq!((found[0].file.as_str(), found[0].architecture.as_str()), (own, "amd64"));
        assert_eq!(found[0].sha256, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
        assert_eq!(worker_packages(&directory.path().join("none")).unwrap(), []);
    }
}
