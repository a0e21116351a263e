//! "I am here, and this is how I am": every ten seconds, and at once when the connection comes back.

use std::sync::Arc;
use std::time::Duration;

use shared::bus::worker::WorkerBus;
use shared::events::Heartbeat;
use shared::ids::EventId;

use crate::drift::last_look;
use crate::engine::blocking;
use crate::engine::error::chain;
use crate::engine::image::{Content, FileImage, Owner};
use crate::inbox::waiting;
use crate::run::Worker;
use crate::store::{StoreError, now_ms};
use crate::system::Sign;

const PERIOD: Duration = Duration::from_secs(10);
/// How often the connection is looked at in between.
const GLANCE: Duration = Duration::from_millis(500);

/// The heartbeat of this start of the worker.
pub(crate) struct Pulse<'a> {
    worker: &'a Worker,
    boot: String,
}

impl<'a> Pulse<'a> {
    pub(crate) fn new(worker: &'a Worker) -> Self {
        Self { worker, boot: EventId::new().to_string() }
    }

    /// Beats until the process ends.
    pub(crate) async fn beat(&self, bus: &WorkerBus) {
        let mut last: Option<tokio::time::Instant> = None;
        let mut was_connected = false;
        let mut signed = false;
        loop {
            let connected = bus.is_connected();
            let due = last.is_none_or(|last| last.elapsed() >= PERIOD);
            if connected && (due || !was_connected) {
                last = Some(tokio::time::Instant::now());
                match self.take().await {
                    Ok(heartbeat) => match bus.publish_heartbeat(&heartbeat).await {
                        Ok(()) => signed = signed || self.leave_sign().await,
                        Err(error) => tracing::debug!(error = %error, "a heartbeat was not sent"),
                    },
                    Err(error) => tracing::warn!(error = %error, "a heartbeat could not be made"),
                }
            }
            was_connected = connected;
            tokio::time::sleep(GLANCE).await;
        }
    }

    /// Leaves a sign for the updater, if one looks for it. True if none is left to be left.
    async fn leave_sign(&self) -> bool {
        let Some(path) = self.worker.sign.clone() else { return true };
        let content = Content(serde_json::to_vec(&Sign::of_this_process(&self.worker.updates.version)).unwrap_or_default());
        let file = FileImage { path, owner: Owner::ROOT, mode: 0o600, content };
        let system = Arc::clone(self.worker.engine.system());
        let error = match blocking(move || system.write_file(&file)).await {
            Ok(Ok(())) => return true,
            Ok(Err(error)) => chain(&error),
            Err(error) => chain(&error),
        };
        tracing::warn!(error, "an updater cannot see yet that this worker has reached the bus");
        false
    }

    async fn take(&self) -> Result<Heartbeat, StoreError> {
        let (jobs_waiting, events_waiting) = waiting(&self.worker.store.pool).await?;
        let ledger_resources = self.worker.engine.ledger().len();
        let system = Arc::clone(self.worker.engine.system());
        let (php_versions, roles, host) =
            blocking(move || (system.php_versions().unwrap_or_default(), system.role_health(), system.host_facts())).await?;
        Ok(Heartbeat {
            server: self.worker.identity.server.clone(),
            at_ms: now_ms(),
            boot: self.boot.clone(),
            version: self.worker.updates.version.to_string(),
            roles,
            php_versions,
            host,
            jobs_waiting,
            events_waiting,
            ledger_resources,
            look: last_look(&self.worker.store.pool).await?,
        })
    }
}

#[cfg(test)]
#[cfg(feature = "testing")]
mod tests {
    use super::Pulse;
    use crate::executor::tests::Scene;
    use crate::system::fake::Trouble;

    #[tokio::test]
    async fn a_sign_that_could_not_be_left_is_left_later() {
        let mut scene = Scene::new().await;
        scene.worker.sign = Some("/run/answers.json".into());
        scene.host.trouble_at(0, Trouble::Fail);
        let pulse = Pulse::new(&scene.worker);
        assert!(!pulse.leave_sign().await);
        assert!(pulse.leave_sign().await);
        assert!(scene.host.snapshot().nodes.contains_key(std::path::Path::new("/run/answers.json")));
    }
}
