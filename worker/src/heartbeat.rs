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
use crate::update::order::Order;

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
                        Ok(()) => signed = signed || (self.is_well(bus, &heartbeat).await && self.leave_sign().await),
                        Err(error) => tracing::debug!(error = %error, "a heartbeat was not sent"),
                    },
                    Err(error) => tracing::warn!(error = %error, "a heartbeat could not be made"),
                }
            }
            was_connected = connected;
            tokio::time::sleep(GLANCE).await;
        }
    }

    /// Whether this worker can do what it is for, if an update waits for that: it goes back to the old one otherwise. That it has told
    /// how it is says already that it has read its database and looked at its daemons.
    async fn is_well(&self, bus: &WorkerBus, heartbeat: &Heartbeat) -> bool {
        let Some(order) = self.worker.updates.awaited() else { return true };
        let tried = async {
            self.try_host(&order, heartbeat).await?;
            bus.find_consumer(&self.worker.identity.stream).await.map_err(|error| chain(&error))
        };
        let Err(error) = tried.await else { return true };
        tracing::warn!(error, "this newer worker does not count as well yet");
        false
    }

    async fn try_host(&self, order: &Order, heartbeat: &Heartbeat) -> Result<(), String> {
        self.worker.store.try_out().await.map_err(|error| chain(&error))?;
        match order.lost_roles(&heartbeat.roles)[..] {
            [] => Ok(()),
            [first, ..] => Err(format!("the role {first} worked before the update and does not now")),
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
        tracing::warn!(error, "an updater cannot see yet that this worker is well");
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
    use std::path::Path;

    use shared::ids::JobId;

    use super::Pulse;
    use crate::executor::tests::Scene;
    use crate::system::System as _;
    use crate::system::fake::Trouble;
    use crate::update::order::{Desk, Order, Phase};

    #[tokio::test]
    async fn a_sign_that_could_not_be_left_is_left_later() {
        let mut scene = Scene::new().await;
        scene.worker.sign = Some("/run/answers.json".into());
        scene.host.trouble_at(0, Trouble::Fail);
        let pulse = Pulse::new(&scene.worker);
        assert!(!pulse.leave_sign().await);
        assert!(pulse.leave_sign().await);
        assert!(scene.host.snapshot().nodes.contains_key(Path::new("/run/answers.json")));
    }

    #[tokio::test]
    async fn a_newer_worker_with_which_a_role_fails_or_whose_database_takes_nothing_does_not_count_as_well() {
        let mut scene = Scene::new().await;
        let directory = tempfile::TempDir::new().unwrap();
        scene.worker.updates.desk = Desk::within(directory.path());
        scene.worker.updates.desk.clear(Path::new("/bin/true")).unwrap();
        let well = scene.host.role_health().into_iter().filter(|role| role.healthy).map(|role| role.role).collect();
        let order = Order {
            job: JobId::new(),
            attempt: 1,
            from: "0.0.1".parse().unwrap(),
            to: scene.worker.updates.version.clone(),
            sha256: "0a".repeat(32).parse().unwrap(),
            well,
            steps: Vec::new(),
            phase: Phase::Installing,
        };
        scene.worker.updates.desk.write(&order).unwrap();
        let awaited = scene.worker.updates.awaited().unwrap();
        let pulse = Pulse::new(&scene.worker);
        let tried = async || pulse.try_host(&awaited, &pulse.take().await.unwrap()).await;
        assert_eq!(tried().await, Ok(()));
        scene.host.stop("nginx.service");
        assert!(tried().await.unwrap_err().contains("the role web worked before"));
        scene.host.start("nginx.service");
        assert_eq!(tried().await, Ok(()));
        sqlx::raw_sql("PRAGMA query_only = ON").execute(&scene.worker.store.pool).await.unwrap();
        assert!(tried().await.is_err());
    }
}
