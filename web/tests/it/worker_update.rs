//! Updates of workers: one server, and all of them one after the other.

use std::time::{Duration, Instant};

use shared::bus::topology::Replicas;
use shared::failure::FailureCode;
use shared::ids::ServerId;
use shared::jobs::Job;
use shared::testing::NatsServer;
use tokio_util::sync::CancellationToken;
use web::config::Config;
use web::dispatch::{DispatchConfig, run as dispatch};
use web::store::job::JobRow;
use web::store::now_ms;
use web::store::panel::panel_bus_url;
use web::store::rollout::{Rollout, RolloutState, RolloutStep, rollout_newest};
use web::store::server::{server_fetch, server_heartbeat_in_tx};
use web::worker_package::WorkerPackage;

use crate::support::app::TestApp;
use crate::support::fleet::{Town, apply_all, fail_all, heartbeat, open_jobs, server};

/// A panel that carries worker 0.2.0; its servers have 0.1.0.
async fn town() -> Town {
    let mut config = Config::new("https://panel.example.org:8443");
    config.worker_packages = vec![WorkerPackage {
        file: "gantry-worker_0.2.0_amd64.deb".to_owned(),
        path: "/nowhere".into(),
        version: "0.2.0".parse().unwrap(),
        architecture: "amd64".parse().unwrap(),
        sha256: "0a".repeat(32).parse().unwrap(),
        signature: Some(format!("{}==", "A".repeat(86)).parse().unwrap()),
    }];
    Town::over(TestApp::with(config).await).await
}

fn page(id: ServerId) -> String {
    format!("/servers/{id}")
}

/// The updates that are on their way.
async fn updates(town: &Town) -> Vec<JobRow> {
    let mut jobs = open_jobs(town.app.db()).await;
    jobs.retain(|job| matches!(job.job, Job::Worker(_)));
    jobs
}

/// What a server's worker says of itself from now on.
async fn reports(town: &Town, id: ServerId, version: &str) {
    let name = server_fetch(town.app.db(), id).await.unwrap().unwrap().name;
    let mut tx = town.app.db().write().await.unwrap();
    let beat = shared::events::Heartbeat { version: version.to_owned(), ..heartbeat(name.as_str()) };
    server_heartbeat_in_tx(&mut tx, id, &beat, now_ms()).await.unwrap();
    tx.commit().await.unwrap();
}

#[tokio::test]
async fn a_server_with_an_older_worker_is_offered_the_panels_and_gets_one_job_for_it() {
    let mut town = town().await;
    let at = page(town.server);
    let offered = town.admin.get(&at).await.body;
    assert!(offered.contains("Worker 0.2.0 is available.") && offered.contains(&format!("action=\"{at}/update\"")), "{offered}");
    assert_eq!(town.admin.post(&format!("{at}/update"), &[]).await.status, 303);
    let jobs = updates(&town).await;
    let [job] = &jobs[..] else { panic!("{jobs:?}") };
    let Job::Worker(spec) = &job.job else { panic!("{job:?}") };
    assert_eq!((spec.version.as_str(), spec.panel.as_str(), job.server_id), ("0.2.0", "https://panel.example.org:8443", town.server));
    assert!(spec.packages[0].signature.is_some());
    assert_eq!(town.admin.post(&format!("{at}/update"), &[]).await.status, 409, "one at a time");
    apply_all(town.app.db()).await;
    reports(&town, town.server, "0.2.0").await;
    assert!(!town.admin.get(&at).await.body.contains("is available"));
    assert_eq!(town.admin.post(&format!("{at}/update"), &[]).await.status, 409, "there is nothing newer");
    let audit = town.admin.get("/audit").await.body;
    assert!(audit.contains("Update worker"), "{audit}");
}

#[tokio::test]
async fn a_newer_worker_than_the_panels_is_left_alone() {
    let mut town = town().await;
    reports(&town, town.server, "0.3.0").await;
    let at = page(town.server);
    let shown = town.admin.get(&at).await.body;
    assert!(!shown.contains("is available") && !shown.contains("update available"), "{shown}");
    assert_eq!(town.admin.post(&format!("{at}/update"), &[]).await.status, 409);
    assert!(!town.admin.get("/servers").await.body.contains("update available"));
}

#[tokio::test]
async fn a_server_that_reaches_the_panel_elsewhere_fetches_its_package_there() {
    let mut town = town().await;
    let mut tx = town.app.db().write().await.unwrap();
    sqlx::query("UPDATE servers SET panel_url = 'https://10.0.0.1:8443'").execute(&mut *tx).await.unwrap();
    tx.commit().await.unwrap();
    town.admin.post(&format!("{}/update", page(town.server)), &[]).await;
    let jobs = updates(&town).await;
    assert!(matches!(&jobs[0].job, Job::Worker(spec) if spec.panel == "https://10.0.0.1:8443"), "{jobs:?}");
}

#[tokio::test]
async fn a_failed_update_says_what_failed_and_can_be_tried_again() {
    let mut town = town().await;
    let at = page(town.server);
    town.admin.post(&format!("{at}/update"), &[]).await;
    let operation = updates(&town).await[0].operation_id;
    fail_all(town.app.db()).await;
    let mut tx = town.app.db().write().await.unwrap();
    sqlx::query("UPDATE jobs SET failure = $1").bind(FailureCode::UpdateFailed.as_str()).execute(&mut *tx).await.unwrap();
    tx.commit().await.unwrap();
    let shown = town.admin.get(&at).await.body;
    assert!(shown.contains("The worker could not be updated."), "{shown}");
    assert_eq!(town.admin.post(&format!("/operations/{operation}/retry"), &[]).await.status, 303);
    assert_eq!(updates(&town).await.len(), 1);
}

/// A town of five servers, and a dispatch that leads.
struct Fleet {
    town: Town,
    servers: Vec<ServerId>,
    stop: CancellationToken,
    nats: NatsServer,
}

impl Drop for Fleet {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

impl Fleet {
    async fn new() -> Self {
        let town = town().await;
        let mut servers = vec![town.server];
        for name in ["web2", "web3", "web4", "web5"] {
            servers.push(server(town.app.db(), name, None).await);
        }
        let (nats, stop) = (NatsServer::start(), CancellationToken::new());
        let config = DispatchConfig {
            bus: nats.address(),
            bus_for_workers: nats.address(),
            keys: nats.keys.clone(),
            name: None,
            replicas: Replicas::ONE,
        };
        let (db, token) = (town.app.db().clone(), stop.clone());
        tokio::spawn(async move { dispatch(db, config, token).await.unwrap() });
        Self { town, servers, stop, nats }
    }

    async fn rollout(&self) -> Rollout {
        rollout_newest(self.town.app.db()).await.unwrap().expect("a rollout")
    }

    /// Waits until so many servers stand so.
    async fn until(&self, step: RolloutStep, many: usize) -> Vec<ServerId> {
        let deadline = Instant::now() + Duration::from_secs(30);
        loop {
            let rollout = self.rollout().await;
            let found: Vec<ServerId> = rollout.servers.iter().filter(|one| one.step() == step).map(|one| one.server).collect();
            if found.len() == many {
                return found;
            }
            assert!(Instant::now() < deadline, "waited for {many} of {step:?}: {rollout:?}");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    async fn until_state(&self, state: RolloutState) {
        let deadline = Instant::now() + Duration::from_secs(30);
        while self.rollout().await.state != state {
            assert!(Instant::now() < deadline, "waited until {state}: {:?}", self.rollout().await);
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    /// What is under way ends well.
    async fn succeed(&self) {
        let begun = updates(&self.town).await;
        apply_all(self.town.app.db()).await;
        for job in begun {
            reports(&self.town, job.server_id, "0.2.0").await;
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn all_servers_are_updated_the_first_alone_and_then_a_few_at_a_time() {
    let mut fleet = Fleet::new().await;
    assert!(fleet.town.admin.get("/servers").await.body.contains("Updates (5)"));
    assert_eq!(fleet.town.admin.post("/servers/updates", &[("at_once", "2")]).await.status, 303);
    assert_eq!(fleet.town.admin.post("/servers/updates", &[("at_once", "2")]).await.status, 409, "one rollout at a time");
    assert_eq!(fleet.until(RolloutStep::UnderWay, 1).await, [fleet.servers[0]]);
    fleet.succeed().await;
    assert_eq!(fleet.until(RolloutStep::UnderWay, 2).await, fleet.servers[1..3]);
    assert_eq!(fleet.until(RolloutStep::Waiting, 2).await, fleet.servers[3..]);
    fleet.succeed().await;
    fleet.until(RolloutStep::UnderWay, 2).await;
    fleet.succeed().await;
    fleet.until_state(RolloutState::Done).await;
    let shown = fleet.town.admin.get("/servers/updates").await.body;
    assert!(shown.contains("Every server has worker 0.2.0."), "{shown}");
}

#[tokio::test(flavor = "multi_thread")]
async fn dispatch_says_where_workers_find_the_bus_for_pages_to_show() {
    let mut fleet = Fleet::new().await;
    let deadline = Instant::now() + Duration::from_secs(30);
    let mut url = String::new();
    while url.is_empty() {
        assert!(Instant::now() < deadline, "nobody has said where the bus is");
        tokio::time::sleep(Duration::from_millis(20)).await;
        url = panel_bus_url(fleet.town.app.db()).await.unwrap();
    }
    assert_eq!(url, fleet.nats.address().url);
    assert!(fleet.town.admin.get(&page(fleet.servers[0])).await.body.contains(&format!("{url} (the panel")));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_failure_stops_the_rollout_until_somebody_resumes_it() {
    let mut fleet = Fleet::new().await;
    fleet.town.admin.post("/servers/updates", &[("at_once", "5")]).await;
    fleet.until(RolloutStep::UnderWay, 1).await;
    fail_all(fleet.town.app.db()).await;
    fleet.until_state(RolloutState::Stopped).await;
    assert_eq!(fleet.until(RolloutStep::Waiting, 4).await, fleet.servers[1..], "no other was begun");
    let shown = fleet.town.admin.get("/servers/updates").await.body;
    assert!(shown.contains("Resume tries it again"), "{shown}");
    assert_eq!(fleet.town.admin.post("/servers/updates/resume", &[]).await.status, 303);
    assert!(fleet.town.admin.get("/servers/updates").await.body.contains("what failed is tried again"));
    assert_eq!(fleet.until(RolloutStep::UnderWay, 1).await, [fleet.servers[0]], "the first goes alone again");
    fleet.succeed().await;
    fleet.until(RolloutStep::UnderWay, 4).await;
    fleet.succeed().await;
    fleet.until_state(RolloutState::Done).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_stays_away_in_the_middle_of_its_update_stops_the_rollout_and_is_named() {
    let mut fleet = Fleet::new().await;
    fleet.town.admin.post("/servers/updates", &[("at_once", "5")]).await;
    fleet.until(RolloutStep::UnderWay, 1).await;
    let away = async |minutes: i64| {
        let mut tx = fleet.town.app.db().write().await.unwrap();
        sqlx::query("UPDATE servers SET online = 0, changed_ms = $1 WHERE name = 'web1'")
            .bind(now_ms() - minutes * 60_000)
            .execute(&mut *tx)
            .await
            .unwrap();
        tx.commit().await.unwrap();
    };
    away(2).await;
    let shown = fleet.town.admin.clone().get("/servers/updates").await.body;
    assert!(shown.contains("web1 is offline since"), "it says what it waits for: {shown}");
    assert_eq!(fleet.rollout().await.state, RolloutState::Running, "a worker may be away for a while");
    away(11).await;
    fleet.until_state(RolloutState::Stopped).await;
    let shown = fleet.town.admin.clone().get("/servers/updates").await.body;
    assert!(shown.contains("web1 is away since") && shown.contains("Resume goes on once it is back"), "{shown}");
    assert_eq!(fleet.until(RolloutStep::Waiting, 4).await, fleet.servers[1..], "no other was begun");

    reports(&fleet.town, fleet.servers[0], "0.1.0").await;
    assert_eq!(fleet.town.admin.post("/servers/updates/resume", &[]).await.status, 303);
    fleet.succeed().await;
    fleet.until(RolloutStep::UnderWay, 4).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cancelled_rollout_begins_nothing_more_and_makes_room_for_another() {
    let mut fleet = Fleet::new().await;
    fleet.town.admin.post("/servers/updates", &[("at_once", "1")]).await;
    fleet.until(RolloutStep::UnderWay, 1).await;
    assert_eq!(fleet.town.admin.post("/servers/updates/cancel", &[]).await.status, 303);
    fleet.succeed().await;
    assert_eq!(fleet.rollout().await.state, RolloutState::Cancelled);
    assert_eq!(fleet.town.admin.post("/servers/updates/resume", &[]).await.status, 409);
    assert_eq!(fleet.town.admin.post("/servers/updates", &[("at_once", "3")]).await.status, 303);
    let rollout = fleet.rollout().await;
    assert_eq!(rollout.servers.iter().map(|one| one.server).collect::<Vec<_>>(), fleet.servers[1..], "the first has it already");
}

#[tokio::test]
async fn a_rollout_wants_a_sensible_number_and_a_server_that_is_behind() {
    let mut town = town().await;
    for bad in ["", "0", "51", "many"] {
        let refused = town.admin.post("/servers/updates", &[("at_once", bad)]).await;
        assert_eq!(refused.status, 422, "{bad:?}");
        assert!(refused.body.contains("Enter a number from 1 to 50."), "{}", refused.body);
    }
    reports(&town, town.server, "0.2.0").await;
    assert_eq!(town.admin.post("/servers/updates", &[("at_once", "5")]).await.status, 409);
    assert_eq!(town.admin.post("/servers/updates/cancel", &[]).await.status, 409);
}
