//! Updates of workers: one server, and all of them one after the other.

use std::sync::Arc;
use std::time::{Duration, Instant};

use shared::bus::topology::Replicas;
use shared::failure::FailureCode;
use shared::ids::ServerId;
use shared::jobs::Job;
use shared::testing::NatsServer;
use tokio_util::sync::CancellationToken;
use web::app::worker_update::{Offer, rollout_take_offer};
use web::config::Config;
use web::dispatch::{DispatchConfig, run as dispatch};
use web::store::job::JobRow;
use web::store::now_ms;
use web::store::panel::panel_bus_url;
use web::store::rollout::{AWAY_MS, Rollout, RolloutStep, rollout_newest};
use web::store::rollout_state::RolloutState;
use web::store::server::{server_fetch, server_heartbeat_in_tx};
use web::worker_package::WorkerPackage;

use crate::support::app::TestApp;
use crate::support::fleet::{Town, apply_all, fail_all, heartbeat, open_jobs, server, signed_in};

/// A panel that carries worker 0.2.0; its servers have 0.1.0.
async fn town() -> Town {
    Town::over(TestApp::with(config("0.2.0")).await).await
}

/// The panel is started again with its next package, which brings another worker and no more the one of before.
async fn upgrade(town: &mut Town, version: &str) {
    town.app.state.config = Arc::new(config(version));
    town.app.router = web::router::router(town.app.state.clone(), web::live::route::router(town.app.hub.clone()));
    town.admin = signed_in(&town.app, "root").await;
}

fn config(version: &str) -> Config {
    let mut config = Config::new("https://panel.example.org:8443");
    config.worker_packages = vec![WorkerPackage {
        file: format!("gantry-worker_{version}_amd64.deb"),
        path: "/nowhere".into(),
        version: version.parse().unwrap(),
        architecture: "amd64".parse().unwrap(),
        sha256: "0a".repeat(32).parse().unwrap(),
        signature: Some(format!("{}==", "A".repeat(86)).parse().unwrap()),
    }];
    config
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
    reports_health(town, id, version, true).await;
}

/// The same, and how its nginx is.
async fn reports_health(town: &Town, id: ServerId, version: &str, healthy: bool) {
    let name = server_fetch(town.app.db(), id).await.unwrap().unwrap().name;
    let mut tx = town.app.db().write().await.unwrap();
    let mut beat = shared::events::Heartbeat { version: version.to_owned(), ..heartbeat(name.as_str()) };
    beat.roles[0].healthy = healthy;
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

#[tokio::test]
async fn an_update_that_is_tried_again_is_to_what_the_panel_offers_by_then() {
    let mut town = town().await;
    town.admin.post(&format!("{}/update", page(town.server)), &[]).await;
    let operation = updates(&town).await[0].operation_id;
    fail_all(town.app.db()).await;
    upgrade(&mut town, "0.3.0").await;
    assert_eq!(town.admin.post(&format!("/operations/{operation}/retry"), &[]).await.status, 303);
    let jobs = updates(&town).await;
    let [job] = &jobs[..] else { panic!("{jobs:?}") };
    assert!(matches!(&job.job, Job::Worker(spec) if spec.version.as_str() == "0.3.0") && job.operation_id == operation, "{job:?}");
    let shown = town.admin.get(&format!("/operations/{operation}")).await.body;
    assert!(shown.contains("web1 to 0.3.0"), "{shown}");
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
            let found: Vec<ServerId> = rollout.servers.iter().filter(|one| rollout.step(one) == step).map(|one| one.server).collect();
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

    /// A server is offline since so many minutes.
    async fn away(&self, name: &str, minutes: i64) {
        self.change("UPDATE servers SET online = 0, changed_ms = $1 WHERE name = $2", minutes, name).await;
    }

    /// Nothing is sent to a server since so many minutes.
    async fn pause(&self, name: &str, minutes: i64) {
        self.change("UPDATE servers SET queue_paused_ms = $1 WHERE name = $2", minutes, name).await;
    }

    /// A server's update was begun, or is over, since so many minutes.
    async fn begun(&self, name: &str, minutes: i64) {
        let id = "(SELECT id FROM servers WHERE name = $2)";
        let ended = "CASE WHEN finished_ms IS NULL THEN NULL ELSE $1 END";
        let text =
            format!("UPDATE operations SET created_ms = $1, finished_ms = {ended} WHERE kind = 'worker.update' AND server_id = {id}");
        self.change(&text, minutes, name).await;
    }

    async fn change(&self, text: &str, minutes: i64, name: &str) {
        let mut tx = self.town.app.db().write().await.unwrap();
        let query = sqlx::query(sqlx::AssertSqlSafe(text.to_owned())).bind(now_ms() - minutes * 60_000).bind(name);
        assert_ne!(query.execute(&mut *tx).await.unwrap().rows_affected(), 0, "{text}");
        tx.commit().await.unwrap();
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
    fleet.away("web1", 2).await;
    fleet.begun("web1", 12).await;
    let shown = fleet.town.admin.clone().get("/servers/updates").await.body;
    assert!(shown.contains("web1 is offline since"), "it says what it waits for: {shown}");
    assert_eq!(fleet.rollout().await.state, RolloutState::Running, "a worker may be away for a while");
    fleet.away("web1", 11).await;
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
async fn a_server_that_went_away_before_its_turn_is_passed_over_and_holds_up_no_other() {
    let mut fleet = Fleet::new().await;
    fleet.town.admin.post("/servers/updates", &[("at_once", "5")]).await;
    fleet.until(RolloutStep::UnderWay, 1).await;
    fleet.away("web2", 11).await;
    fleet.succeed().await;
    assert_eq!(fleet.until(RolloutStep::UnderWay, 3).await, fleet.servers[2..]);
    assert_eq!(fleet.until(RolloutStep::LeftOut, 1).await, [fleet.servers[1]]);
    let shown = fleet.town.admin.get("/servers/updates").await.body;
    assert!(shown.contains("Left out") && shown.contains("it is offline since") && shown.contains("1 left out."), "{shown}");
    fleet.succeed().await;
    fleet.until_state(RolloutState::Done).await;
    assert!(updates(&fleet.town).await.is_empty(), "nothing was queued for it");
    reports(&fleet.town, fleet.servers[1], "0.1.0").await;
    assert_eq!(fleet.until(RolloutStep::LeftOut, 1).await, [fleet.servers[1]], "that it is back now does not change how the rollout ended");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_paused_server_is_passed_over_though_it_would_be_the_first_and_follows_if_it_goes_on_in_time() {
    let mut fleet = Fleet::new().await;
    fleet.pause("web1", 0).await;
    fleet.town.admin.post("/servers/updates", &[("at_once", "5")]).await;
    assert_eq!(fleet.until(RolloutStep::UnderWay, 1).await, [fleet.servers[1]], "the next is tried alone");
    let shown = fleet.town.admin.get("/servers/updates").await.body;
    assert!(shown.contains("changes for it are paused since"), "{shown}");
    fleet.change("UPDATE servers SET queue_paused_ms = NULL WHERE $1 > 0 AND name = $2", 0, "web1").await;
    fleet.succeed().await;
    fleet.until(RolloutStep::UnderWay, 4).await;
    fleet.succeed().await;
    fleet.until_state(RolloutState::Done).await;
    fleet.until(RolloutStep::Done, 5).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_was_away_before_it_was_begun_is_not_lost_yet() {
    let mut fleet = Fleet::new().await;
    fleet.town.admin.post("/servers/updates", &[("at_once", "5")]).await;
    fleet.until(RolloutStep::UnderWay, 1).await;
    fleet.away("web1", 60).await;
    assert!(fleet.rollout().await.lost(now_ms(), AWAY_MS).is_none(), "it has had no ten minutes to answer");
    fleet.begun("web1", 11).await;
    fleet.until_state(RolloutState::Stopped).await;
    let shown = fleet.town.admin.get("/servers/updates").await.body;
    assert!(shown.contains("web1 is away since") && shown.contains("its update is not over"), "{shown}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rollout_does_not_end_without_servers_that_have_only_just_gone() {
    let mut fleet = Fleet::new().await;
    fleet.town.admin.post("/servers/updates", &[("at_once", "5")]).await;
    fleet.until(RolloutStep::UnderWay, 1).await;
    for name in ["web2", "web3", "web4"] {
        fleet.away(name, 30).await;
    }
    fleet.away("web5", 1).await;
    fleet.succeed().await;
    fleet.until(RolloutStep::LeftOut, 4).await;
    let rollout = fleet.rollout().await;
    assert!(rollout.may_return(now_ms(), AWAY_MS) && rollout.state == RolloutState::Running, "{rollout:?}");
    reports(&fleet.town, fleet.servers[4], "0.1.0").await;
    assert_eq!(fleet.until(RolloutStep::UnderWay, 1).await, [fleet.servers[4]]);
    fleet.away("web5", 1).await;
    fleet.succeed().await;
    fleet.until_state(RolloutState::Done).await;
    assert_eq!(fleet.until(RolloutStep::LeftOut, 3).await, fleet.servers[1..4]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_goes_on_saying_that_it_has_the_older_worker_has_failed() {
    let mut fleet = Fleet::new().await;
    fleet.town.admin.post("/servers/updates", &[("at_once", "5")]).await;
    fleet.until(RolloutStep::UnderWay, 1).await;
    apply_all(fleet.town.app.db()).await;
    reports(&fleet.town, fleet.servers[0], "0.1.0").await;
    assert_eq!(fleet.until(RolloutStep::UnderWay, 1).await, [fleet.servers[0]], "the new worker has not been heard of yet");
    fleet.begun("web1", 2).await;
    fleet.until_state(RolloutState::Stopped).await;
    assert_eq!(fleet.until(RolloutStep::Failed, 1).await, [fleet.servers[0]]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_first_server_whose_role_stops_working_stops_the_rollout_and_the_role_is_named() {
    let mut fleet = Fleet::new().await;
    fleet.town.admin.post("/servers/updates", &[("at_once", "5")]).await;
    fleet.until(RolloutStep::UnderWay, 1).await;
    apply_all(fleet.town.app.db()).await;
    assert_eq!(fleet.until(RolloutStep::UnderWay, 1).await, [fleet.servers[0]], "it is not well before the new worker says so");
    reports_health(&fleet.town, fleet.servers[0], "0.2.0", false).await;
    fleet.until_state(RolloutState::Stopped).await;
    assert_eq!(fleet.until(RolloutStep::Ailing, 1).await, [fleet.servers[0]]);
    assert_eq!(fleet.until(RolloutStep::Waiting, 4).await, fleet.servers[1..], "no other was begun");
    let shown = fleet.town.admin.get("/servers/updates").await.body;
    assert!(shown.contains("web1 is updated, but not healthy: web not working since."), "{shown}");

    assert_eq!(fleet.town.admin.post("/servers/updates/resume", &[]).await.status, 303);
    fleet.until_state(RolloutState::Stopped).await;
    reports(&fleet.town, fleet.servers[0], "0.2.0").await;
    assert_eq!(fleet.town.admin.post("/servers/updates/resume", &[]).await.status, 303);
    assert_eq!(fleet.until(RolloutStep::UnderWay, 4).await, fleet.servers[1..], "it is well again");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_role_that_did_not_work_before_its_servers_update_is_not_held_against_it() {
    let mut fleet = Fleet::new().await;
    reports_health(&fleet.town, fleet.servers[0], "0.1.0", false).await;
    fleet.town.admin.post("/servers/updates", &[("at_once", "5")]).await;
    assert_eq!(fleet.until(RolloutStep::UnderWay, 1).await, [fleet.servers[0]]);
    apply_all(fleet.town.app.db()).await;
    reports_health(&fleet.town, fleet.servers[0], "0.2.0", false).await;
    assert_eq!(fleet.until(RolloutStep::UnderWay, 4).await, fleet.servers[1..]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rollout_that_is_resumed_goes_on_to_what_the_panel_offers_by_then_and_one_server_tries_that_first() {
    let mut fleet = Fleet::new().await;
    fleet.town.admin.post("/servers/updates", &[("at_once", "2")]).await;
    fleet.until(RolloutStep::UnderWay, 1).await;
    fleet.succeed().await;
    fleet.until(RolloutStep::UnderWay, 2).await;
    fail_all(fleet.town.app.db()).await;
    fleet.until_state(RolloutState::Stopped).await;
    upgrade(&mut fleet.town, "0.3.0").await;
    assert_eq!(fleet.town.admin.post("/servers/updates/resume", &[]).await.status, 303);
    assert_eq!(fleet.until(RolloutStep::UnderWay, 1).await, [fleet.servers[1]], "no other has tried 0.3.0");
    assert_eq!(fleet.until(RolloutStep::Done, 1).await, [fleet.servers[0]]);
    let jobs = updates(&fleet.town).await;
    assert!(matches!(&jobs[..], [job] if matches!(&job.job, Job::Worker(spec) if spec.version.as_str() == "0.3.0")), "{jobs:?}");
    assert!(fleet.town.admin.get("/servers/updates").await.body.contains("To 0.3.0"));
    apply_all(fleet.town.app.db()).await;
    reports(&fleet.town, fleet.servers[1], "0.3.0").await;
    assert_eq!(fleet.until(RolloutStep::UnderWay, 2).await, fleet.servers[2..4]);
}

#[tokio::test(flavor = "multi_thread")]
async fn servers_that_a_rollout_has_not_begun_get_the_worker_of_a_panel_that_was_updated_meanwhile() {
    let mut fleet = Fleet::new().await;
    fleet.town.admin.post("/servers/updates", &[("at_once", "5")]).await;
    fleet.until(RolloutStep::UnderWay, 1).await;
    for (carried, wanted) in [("0.3.0", "0.3.0"), ("0.2.0", "0.3.0")] {
        upgrade(&mut fleet.town, carried).await;
        let state = &fleet.town.app.state;
        let worker = state.config.worker_offer().unwrap();
        rollout_take_offer(&state.app, Offer { worker: &worker, config: &state.config }).await.unwrap();
        let rollout = fleet.rollout().await;
        let versions: Vec<&str> = rollout.servers.iter().map(|one| one.spec.version.as_str()).collect();
        assert_eq!(versions, ["0.2.0", wanted, wanted, wanted, wanted], "an older panel changes nothing");
    }
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
