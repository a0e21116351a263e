//! "I am here, and this is how I am": every ten seconds, and at once when the connection comes back.

use std::sync::Arc;
use std::time::Duration;

use shared::bus::worker::WorkerBus;
use shared::events::Heartbeat;
use shared::ids::EventId;
use shared::names::ServerName;

use crate::drift::last_look;
use crate::engine::{Engine, blocking};
use crate::inbox::waiting;
use crate::store::{Store, StoreError, now_ms};

const PERIOD: Duration = Duration::from_secs(10);
/// How often the connection is looked at in between.
const GLANCE: Duration = Duration::from_millis(500);

/// What a heartbeat is made of.
pub struct Pulse {
    server: ServerName,
    boot: String,
    engine: Arc<Engine>,
    store: Store,
}

impl Pulse {
    /// The pulse of this start of the worker.
    #[must_use]
    pub fn new(server: ServerName, engine: Arc<Engine>, store: Store) -> Self {
        Self { server, boot: EventId::new().to_string(), engine, store }
    }

    /// Beats until the process ends.
    pub async fn beat(&self, bus: &WorkerBus) {
        let mut last: Option<tokio::time::Instant> = None;
        let mut was_connected = false;
        loop {
            let connected = bus.is_connected();
            let due = last.is_none_or(|last| last.elapsed() >= PERIOD);
            if connected && (due || !was_connected) {
                last = Some(tokio::time::Instant::now());
                match self.take().await {
                    Ok(heartbeat) => {
                        if let Err(error) = bus.publish_heartbeat(&heartbeat).await {
                            tracing::debug!(error = %error, "a heartbeat was not sent");
                        }
                    }
                    Err(error) => tracing::warn!(error = %error, "a heartbeat could not be made"),
                }
            }
            was_connected = connected;
            tokio::time::sleep(GLANCE).await;
        }
    }

    async fn take(&self) -> Result<Heartbeat, StoreError> {
        let (jobs_waiting, events_waiting) = waiting(&self.store.pool).await?;
        let ledger_resources = self.engine.ledger().len();
        let system = Arc::clone(self.engine.system());
        let (php_versions, roles, host) =
            blocking(move || (system.php_versions().unwrap_or_default(), system.role_health(), system.host_facts())).await?;
        Ok(Heartbeat {
            server: self.server.clone(),
            at_ms: now_ms(),
            boot: self.boot.clone(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            roles,
            php_versions,
            host,
            jobs_waiting,
            events_waiting,
            ledger_resources,
            look: last_look(&self.store.pool).await?,
        })
    }
}
