//! The files of the authority that vouches for the bus.

use std::path::Path;

use anyhow::Context;
use shared::bus::authority::Authority;

use crate::private_file::write;
use crate::store::now_ms;

/// Reads the authority, or makes it if there is none. A damaged one is never replaced: workers trust it.
pub(super) fn load_or_create(key: &Path, certificate: &Path) -> anyhow::Result<Authority> {
    if !key.exists() {
        let authority = Authority::generate(now_s())?;
        // The key comes last: without it, what is there is made again.
        write(certificate, authority.certificate().as_bytes(), 0o644)?;
        write(key, authority.key_pem().as_bytes(), 0o600)?;
        tracing::info!(file = %certificate.display(), "made the authority that vouches for the bus");
    }
    let read = |path: &Path| std::fs::read_to_string(path).with_context(|| format!("{} could not be read", path.display()));
    Authority::from_pem(read(certificate)?, &read(key)?).with_context(|| format!("{} is damaged", key.display()))
}

/// Epoch seconds, as certificates count.
pub(super) fn now_s() -> u64 {
    u64::try_from(now_ms() / 1000).unwrap_or_default()
}
