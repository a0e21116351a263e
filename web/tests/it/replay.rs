//! What is sent again, what is delivered again, and what somebody stores again.

use shared::bus::sending::{Arrival, Seen, Sending};
use shared::bus::tampering::{Kept, Tamperer};
use shared::bus::topology::{EVENT_CONSUMER, EVENT_STREAM, FIRST_COMMAND_STREAM};
use shared::bus::worker::WorkerBus;
use shared::ids::{ConnectionId, EventId, SiteId};
use shared::operation::ResourceState;
use shared::role::Role;
use shared::testing::now_s;
use web::store::event::{event_forget_before, sending_take_in_tx};
use web::store::server::{NewServer, server_insert_in_tx};

use super::support::db::on_each;
use super::whole::{Whole, security_events, start_worker, until};

/// A panel with a site, and whoever can write to its bus.
struct Scene {
    whole: Whole,
    tamperer: Tamperer,
    account: String,
}

impl Scene {
    async fn new() -> Self {
        let mut whole = Whole::start().await;
        let tamperer = Tamperer::connect(&whole.nats.address(), &whole.nats.keys, now_s()).await.unwrap();
        let account = whole.account("replayed").await;
        let first = whole.site(&account, "first.example.org").await;
        whole.until_state(first, ResourceState::Active).await;
        Self { whole, tamperer, account }
    }

    /// A job that the worker has not been given yet; it is stopped.
    async fn job_on_its_way(&mut self) -> (SiteId, Kept) {
        self.whole.worker.stop().await;
        let site = self.whole.site(&self.account, "second.example.org").await;
        let tamperer = &self.tamperer;
        let job = until("the job is sent", async || tamperer.kept(FIRST_COMMAND_STREAM).await.unwrap().pop()).await;
        (site, job)
    }

    /// What comes after all that came before has been looked at when this is active.
    async fn until_looked_at(&mut self) {
        let site = self.whole.site(&self.account, "after.example.org").await;
        self.whole.until_state(site, ResourceState::Active).await;
    }

    fn start_worker(&mut self) {
        self.whole.worker = start_worker(&self.whole.identity, &self.whole.host, &self.whole.state);
    }

    async fn told(&self) -> Vec<String> {
        security_events(&self.whole.app).await.into_iter().map(|told| format!("{} {}", told.0, told.1)).collect()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_that_somebody_stores_again_is_refused_and_told_and_changes_nothing() {
    let mut scene = Scene::new().await;
    let (site, job) = scene.job_on_its_way().await;
    scene.start_worker();
    scene.whole.until_state(site, ResourceState::Active).await;
    let before = scene.whole.host.snapshot();
    scene.tamperer.store(&job).await.unwrap();
    until("admins are told", async || (scene.told().await == ["replayed_job web1"]).then_some(())).await;
    until("it is off the stream", async || scene.tamperer.kept(FIRST_COMMAND_STREAM).await.unwrap().is_empty().then_some(())).await;
    assert_eq!(scene.whole.host.snapshot(), before);
    assert_eq!(scene.whole.state_of(site).await, Some(ResourceState::Active));
    let page = scene.whole.admin.get("/security").await.body;
    assert!(page.contains("Replayed job refused"), "{page}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_that_dispatch_sends_again_is_no_replay() {
    let mut scene = Scene::new().await;
    let (site, _) = scene.job_on_its_way().await;
    // Two minutes pass: whoever heard nothing of it sends it again.
    let db = scene.whole.app.db();
    let mut tx = db.write().await.unwrap();
    sqlx::query("UPDATE jobs SET sent_ms = 1 WHERE state = 'sent'").execute(&mut *tx).await.unwrap();
    tx.commit().await.unwrap();
    until("it is sent again", async || {
        // The bus's word that the worker is away may come at any moment of it.
        let mut tx = db.write().await.unwrap();
        sqlx::query("UPDATE servers SET online = 1, last_seen_ms = $1")
            .bind(web::store::now_ms() + 30_000)
            .execute(&mut *tx)
            .await
            .unwrap();
        tx.commit().await.unwrap();
        (scene.tamperer.kept(FIRST_COMMAND_STREAM).await.unwrap().len() == 2).then_some(())
    })
    .await;
    scene.start_worker();
    scene.whole.until_state(site, ResourceState::Active).await;
    scene.until_looked_at().await;
    assert_eq!(scene.told().await, Vec::<String>::new());
}

#[tokio::test(flavor = "multi_thread")]
async fn an_event_that_somebody_stores_again_is_dropped_and_told_and_changes_nothing() {
    let scene = Scene::new().await;
    let events = scene.tamperer.kept(EVENT_STREAM).await.unwrap();
    let outcome = events.iter().rfind(|event| event.contains(r#""type":"outcome""#)).unwrap();
    let jobs = async || -> Vec<(String, String, Option<i64>)> {
        sqlx::query_as("SELECT id, state, finished_ms FROM jobs ORDER BY id").fetch_all(scene.whole.app.db().read()).await.unwrap()
    };
    let before = jobs().await;
    scene.tamperer.store(outcome).await.unwrap();
    until("admins are told", async || (scene.told().await == ["replayed_event web1"]).then_some(())).await;
    assert_eq!(jobs().await, before);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_event_that_is_delivered_again_or_sent_again_is_no_replay() {
    let mut scene = Scene::new().await;
    let events = scene.tamperer.kept(EVENT_STREAM).await.unwrap();
    // All that was ever delivered is delivered again, to a consumer that is made anew.
    scene.tamperer.remove_consumer(EVENT_STREAM, EVENT_CONSUMER).await.unwrap();
    scene.until_looked_at().await;
    // A worker that has heard of no confirmation for longer than the bus looks for repeats.
    scene.whole.worker.stop().await;
    let identity = &scene.whole.identity;
    let bus = until("the old connection is over", async || {
        WorkerBus::connect(&scene.whole.nats.address(), &identity.server, &identity.credentials).await.ok()
    })
    .await;
    let mut event: serde_json::Map<String, serde_json::Value> = serde_json::from_slice(events.last().unwrap().payload()).unwrap();
    event.remove("sending").unwrap();
    for _ in 0..2 {
        bus.send_event(&EventId::new().to_string(), &serde_json::to_vec(&event).unwrap()).await.unwrap();
    }
    bus.close().await;
    let second = scene.tamperer.kept(EVENT_STREAM).await.unwrap().pop().unwrap();
    scene.start_worker();
    scene.whole.until_online().await;
    // The very last of them, stored once more, is one: it has been looked at when admins are told, and so have all before it.
    scene.tamperer.store(&second).await.unwrap();
    until("admins are told", async || scene.told().await.contains(&"replayed_event web1".to_owned()).then_some(())).await;
    let counted: Vec<i64> =
        security_events(&scene.whole.app).await.into_iter().filter(|told| told.0 == "replayed_event").map(|told| told.3).collect();
    assert_eq!(counted, [1], "{:?}", scene.told().await);
}

#[tokio::test]
async fn what_was_forgotten_of_a_servers_sendings_is_still_told_from_new_ones() {
    on_each(async |db| {
        let (server, connection) = ("web1".parse().unwrap(), ConnectionId::new());
        let new = NewServer {
            name: "web1".parse().unwrap(),
            hostname: String::new(),
            roles: vec![Role::Web],
            address: String::new(),
            max_accounts: None,
        };
        let mut tx = db.write().await.unwrap();
        server_insert_in_tx(&mut tx, &new).await.unwrap();
        tx.commit().await.unwrap();
        let take = async |number, stored_ns| {
            let mut tx = db.write().await.unwrap();
            let arrival = Arrival { sending: Sending { connection, number }, stored_ns };
            let seen = sending_take_in_tx(&mut tx, &server, &arrival).await.unwrap();
            tx.commit().await.unwrap();
            seen
        };
        assert_eq!(take(2, 10).await, Seen::First);
        assert_eq!(take(1, 11).await, Seen::First, "in any order");
        assert_eq!(take(2, 10).await, Seen::Again);
        assert_eq!(take(2, 12).await, Seen::Replayed);
        event_forget_before(&db, web::store::now_ms() + 1).await.unwrap();
        assert_eq!(take(2, 12).await, Seen::Replayed);
        assert_eq!(take(3, 13).await, Seen::First);
    })
    .await;
}
