//! What workers say of drift, to the database; and its repair where an admin wants it by itself.

use std::sync::Arc;
use std::time::Duration;

use shared::bus::panel::Hint;
use shared::events::{Configured, DriftReport};
use shared::ids::ServerId;

use super::{Dispatch, chain};
use crate::app::drift::repair_by_policy;
use crate::app::signal::{Signal, Signals};
use crate::store::drift::{drift_apply_in_tx, drift_forget_in_tx};
use crate::store::drift_fleet::set_aside_replace_in_tx;
use crate::store::site_configuration::site_configuration_keep_in_tx;
use crate::store::{StoreError, Tx};

/// How often servers are looked through for drift that is to be repaired by itself.
const PAUSE: Duration = Duration::from_secs(10);

/// Keeps what a worker found.
///
/// # Errors
/// The database fails.
pub async fn drift_report_apply_in_tx(tx: &mut Tx, server: ServerId, report: &DriftReport) -> Result<Vec<Hint>, StoreError> {
    if report.afresh {
        drift_forget_in_tx(tx, server).await?;
    }
    let mut hints = vec![Hint { server: Some(server), ..Hint::default() }];
    for finding in &report.findings {
        let Some(account) = drift_apply_in_tx(tx, server, finding).await? else {
            tracing::warn!(server.id = %server, resource = %finding.resource, "drift of a resource that is not the server's was dropped");
            continue;
        };
        hints.push(Hint { resource: Some(finding.resource), account: Some(account), server: Some(server), ..Hint::default() });
    }
    if let Some(files) = &report.set_aside {
        set_aside_replace_in_tx(tx, server, files).await?;
    }
    Ok(hints)
}

/// Keeps the configuration that states of sites have become.
///
/// # Errors
/// The database fails.
pub async fn configured_apply_in_tx(tx: &mut Tx, server: ServerId, configured: &Configured) -> Result<(), StoreError> {
    for site in &configured.sites {
        if !site_configuration_keep_in_tx(tx, server, site).await? {
            tracing::debug!(server.id = %server, resource = %site.resource, "the configuration of a site that is gone was dropped");
        }
    }
    Ok(())
}

/// Repairs by itself, where an admin wants that, until the process ends.
pub(crate) async fn run(dispatch: Arc<Dispatch>) {
    loop {
        tokio::time::sleep(PAUSE).await;
        let signals = Heard::default();
        if let Err(error) = repair_by_policy(&dispatch.db, &signals).await {
            tracing::warn!(error = %chain(&error), "drift could not be repaired by itself; the next look tries again");
        }
        for signal in signals.taken() {
            match signal.hint() {
                Some(hint) => dispatch.hint(&hint).await,
                None => dispatch.wake.notify_one(),
            }
        }
    }
}

/// What was signalled, to be passed on.
#[derive(Default)]
struct Heard(std::sync::Mutex<Vec<Signal>>);

impl Signals for Heard {
    fn send(&self, signal: Signal) {
        self.0.lock().unwrap_or_else(std::sync::PoisonError::into_inner).push(signal);
    }
}

impl Heard {
    fn taken(self) -> Vec<Signal> {
        self.0.into_inner().unwrap_or_else(std::sync::PoisonError::into_inner)
    }
}
