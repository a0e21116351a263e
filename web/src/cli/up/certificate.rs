//! The bus's certificate and the authority behind it: made at the first start, renewed by themselves.
//!
//! The authority's key is root's and no process reads it but this one. To replace the authority, stop Gantry, remove
//! `authority/` and start it again: workers that joined before do not trust the new one and need a new installation script.

use std::sync::Arc;
use std::time::Duration;

use shared::bus::authority::RENEWAL_DAYS;
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

use super::layout::{BUS, Identity, Layout, own};
use crate::cli::authority::{load_or_create, now_s};
use crate::private_file::write;

/// What renews the bus's certificate.
pub(super) struct BusCertificate {
    layout: Layout,
    drop_rights: bool,
}

impl BusCertificate {
    pub(super) fn new(layout: &Layout, drop_rights: bool) -> Self {
        Self { layout: layout.clone(), drop_rights }
    }

    /// Writes a new certificate and key for the bus, and the authority's certificate for whoever connects.
    pub(super) fn renew(&self) -> anyhow::Result<()> {
        let layout = &self.layout;
        let (key, certificate) = layout.authority();
        let authority = load_or_create(&key, &certificate)?;
        let issued = authority.issue(now_s())?;
        let root = Identity { uid: 0, gid: 0 };
        for (path, text, owner, mode) in [
            (layout.bus_key(), issued.key.as_str(), BUS, 0o600),
            (layout.bus_certificate(), issued.certificate.as_str(), BUS, 0o644),
            (layout.bus_authority(), authority.certificate(), root, 0o644),
        ] {
            write(&path, text.as_bytes(), mode)?;
            own(&path, owner, mode, self.drop_rights)?;
        }
        Ok(())
    }

    /// Renews the certificate a third into its life, and has the bus take it up; connections that stand are left alone.
    pub(super) async fn keep_valid(self, reload: Arc<Notify>, shutdown: CancellationToken) {
        let mut pause = Duration::from_hours(RENEWAL_DAYS * 24);
        loop {
            tokio::select! {
                () = shutdown.cancelled() => return,
                () = tokio::time::sleep(pause) => {}
            }
            pause = match self.renew() {
                Ok(()) => {
                    tracing::info!("renewed the bus's certificate");
                    reload.notify_one();
                    Duration::from_hours(RENEWAL_DAYS * 24)
                }
                Err(error) => {
                    tracing::error!("the bus's certificate could not be renewed; trying again in an hour: {error:#}");
                    Duration::from_hours(1)
                }
            };
        }
    }
}
