//! How dispatch answers workers that want to join, and cuts off those that are to be.

use std::time::{Duration, Instant};

use shared::bus::credentials::new_user_key;
use shared::bus::sealing::SealKey;
use shared::bus::topology::Replicas;
use shared::enrolment::{EnrolmentReply, EnrolmentRequest, Refusal};
use shared::ids::ServerId;
use shared::testing::NatsServer;
use tokio_util::sync::CancellationToken;
use web::app::enrolment::{Enrolled, enrol, enrol_reply};
use web::auth::token::token_hash;
use web::dispatch::{DispatchConfig, run as dispatch};
use web::store::enrolment::{enrolment_insert_in_tx, enrolment_list_pending, enrolment_request_in_tx};
use web::store::ids::EnrolmentId;
use web::store::now_ms;
use web::store::revocation::revocation_list;
use web::store::server::server_fetch;
use web::store::shut_out::{server_list_shut_out, server_shut_out_in_tx};

use crate::support::app::TestApp;
use crate::support::fleet::server;

/// A panel with a bus; its dispatch is started when all that it is to find is there.
struct Panel {
    app: TestApp,
    nats: NatsServer,
    stop: CancellationToken,
}

impl Drop for Panel {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

impl Panel {
    async fn new() -> Self {
        Self { app: TestApp::start().await, nats: NatsServer::start(), stop: CancellationToken::new() }
    }

    fn start_dispatch(&self) {
        let config = DispatchConfig {
            bus: self.nats.address(),
            bus_for_workers: self.nats.address(),
            keys: self.nats.keys.clone(),
            replicas: Replicas::ONE,
            name: None,
        };
        tokio::spawn(dispatch(self.app.db().clone(), config, self.stop.clone()));
    }

    async fn token(&self, server: ServerId, token: &str) {
        let mut tx = self.app.db().write().await.unwrap();
        enrolment_insert_in_tx(&mut tx, server, &token_hash(token), now_ms() + 60_000).await.unwrap();
        tx.commit().await.unwrap();
    }

    async fn asks(&self, request: &EnrolmentRequest) -> EnrolmentId {
        let Enrolled::Waiting(id) = enrol(&self.app.state.app, request).await.unwrap() else { panic!("it may join") };
        id
    }

    async fn reply(&self, id: &EnrolmentId) -> String {
        until(async || enrol_reply(&self.app.state.app, id).await.unwrap()).await
    }

    async fn run(&self, sql: &'static str) {
        let mut tx = self.app.db().write().await.unwrap();
        sqlx::query(sql).execute(&mut *tx).await.unwrap();
        tx.commit().await.unwrap();
    }
}

async fn until<T>(found: impl AsyncFn() -> Option<T>) -> T {
    let end = Instant::now() + Duration::from_secs(20);
    loop {
        if let Some(found) = found().await {
            return found;
        }
        assert!(Instant::now() < end, "it does not come");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

fn request(token: &str) -> EnrolmentRequest {
    EnrolmentRequest { token: token.to_owned(), public_key: new_user_key().unwrap().1, seal_key: SealKey::generate().public_key() }
}

/// A key of which one letter has changed.
fn damaged(key: &str) -> String {
    let last = if key.ends_with('A') { 'B' } else { 'A' };
    format!("{}{last}", &key[..key.len() - 1])
}

#[tokio::test]
async fn damaged_keys_are_refused_at_once_and_the_token_stays_good() {
    let panel = Panel::new().await;
    let web1 = server(panel.app.db(), "web1", None).await;
    panel.token(web1, "T").await;
    let whole = request("T");
    for bad in [
        EnrolmentRequest { public_key: damaged(&whole.public_key), ..whole.clone() },
        EnrolmentRequest { seal_key: damaged(&whole.seal_key), ..whole.clone() },
        EnrolmentRequest { public_key: whole.seal_key.clone(), seal_key: whole.public_key.clone(), ..whole.clone() },
        EnrolmentRequest { seal_key: String::new(), ..whole.clone() },
    ] {
        assert_eq!(enrol(&panel.app.state.app, &bad).await.unwrap(), Enrolled::Refused(Refusal::Keys), "{bad:?}");
    }
    panel.asks(&whole).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn dispatch_lets_nobody_take_a_workers_place_with_damaged_keys_and_says_why() {
    let panel = Panel::new().await;
    let db = panel.app.db();
    let whole = request("");
    for (name, public_key, seal_key) in
        [("web1", damaged(&whole.public_key), whole.seal_key.clone()), ("web2", whole.public_key.clone(), damaged(&whole.seal_key))]
    {
        let id = server(db, name, None).await;
        panel.token(id, name).await;
        // As a panel recorded it that did not look.
        let mut tx = db.write().await.unwrap();
        enrolment_request_in_tx(&mut tx, &token_hash(name), &public_key, &seal_key).await.unwrap().expect("the token is good");
        tx.commit().await.unwrap();
    }
    let pending = enrolment_list_pending(db).await.unwrap();
    panel.start_dispatch();
    for enrolment in pending {
        let before = server_fetch(db, enrolment.server).await.unwrap().unwrap();
        let reply = panel.reply(&enrolment.id).await;
        // A worker looks for a refusal first, whatever the status.
        assert_eq!(serde_json::from_str::<Refusal>(&reply).unwrap(), Refusal::Keys);
        let after = server_fetch(db, enrolment.server).await.unwrap().unwrap();
        assert_eq!((after.public_key, after.seal_key), (before.public_key, before.seal_key));
        assert!(revocation_list(db, &before.name).await.unwrap().is_empty(), "{}", before.name);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_deleted_server_that_the_bus_does_not_end_holds_up_neither_a_worker_that_joins_nor_one_that_is_shut_out() {
    let panel = Panel::new().await;
    let db = panel.app.db();
    let (joins, out) = (server(db, "web1", None).await, server(db, "web2", None).await);
    panel.run("INSERT INTO ended_servers (name, stream, at_ms) VALUES ('aaa', 'CMD_99', 1)").await;
    panel.token(joins, "T").await;
    let id = panel.asks(&request("T")).await;
    let mut tx = db.write().await.unwrap();
    assert!(server_shut_out_in_tx(&mut tx, out).await.unwrap());
    tx.commit().await.unwrap();

    panel.start_dispatch();

    let reply: EnrolmentReply = serde_json::from_str(&panel.reply(&id).await).unwrap();
    assert_eq!(reply.server.as_str(), "web1");
    until(async || server_list_shut_out(db).await.unwrap().is_empty().then_some(())).await;
    let (still_there,): (i64,) =
        sqlx::query_as("SELECT COUNT(*) AS n FROM ended_servers WHERE closed_ms IS NULL").fetch_one(db.read()).await.unwrap();
    assert_eq!(still_there, 1, "it is tried again");
}
