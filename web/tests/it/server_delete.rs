//! What was asked of a server ends with it.

use shared::ids::{AccountId, OperationId, ServerId, UserId};
use shared::jobs::WorkerSpec;
use shared::operation::OperationState;
use sqlx::AssertSqlSafe;
use web::app::Actor;
use web::app::signal::Signal;
use web::routes::model::home::home_admin_model;
use web::store::Db;
use web::store::ended_server::ended_server_mark_closed;
use web::store::operation::operation_fetch;
use web::store::worker_update::{WorkerUpdate, worker_update_in_tx};

use crate::support::app::TestApp;
use crate::support::db::on_each;
use crate::support::fleet::{Town, fail_all, server};

/// Brings what earlier panels left of deleted servers to its end.
const MIGRATION: &str = include_str!("../../../migrations/20261201010000_deleted_servers_requests.sql");

async fn run(db: &Db, sql: &str) {
    let mut tx = db.write().await.unwrap();
    sqlx::raw_sql(AssertSqlSafe(sql)).execute(&mut *tx).await.unwrap();
    tx.commit().await.unwrap();
}

/// Asks a server's worker to update itself.
async fn update(db: &Db, server: ServerId, name: &str) -> OperationId {
    let spec = WorkerSpec {
        version: "9.0".parse().unwrap(),
        packages: Vec::new(),
        panel: "https://panel.example.org".to_owned(),
        fingerprint: String::new(),
    };
    let update = WorkerUpdate { server, name: &name.parse().unwrap(), spec: &spec, asked_by: UserId::new(), asked_by_name: "root" };
    let mut tx = db.write().await.unwrap();
    let operation = worker_update_in_tx(&mut tx, &update).await.unwrap().expect("none is under way");
    tx.commit().await.unwrap();
    operation
}

/// Two servers without accounts: the first has an update on the bus, the other's has failed.
async fn with_updates(db: &Db) -> [(ServerId, OperationId); 2] {
    let (sent, failed) = (server(db, "web2", None).await, server(db, "web3", None).await);
    let failure = update(db, failed, "web3").await;
    fail_all(db).await;
    let waiting = update(db, sent, "web2").await;
    run(db, "UPDATE jobs SET state = 'sent', released = 1 WHERE state = 'queued'").await;
    [(sent, waiting), (failed, failure)]
}

/// What the overview says: operations that wait, operations that want a decision, queues, and whether anything is the oldest.
async fn overview(town: &Town) -> (u64, u64, u64, bool) {
    let home = home_admin_model(&town.app.state, &Actor::gantry(), None).await.unwrap();
    (home.figures.operations_waiting, home.figures.operations_failed, home.queues_all, home.oldest_waiting.is_some())
}

async fn state(db: &Db, operation: OperationId) -> OperationState {
    operation_fetch(db, operation).await.unwrap().unwrap().state
}

#[tokio::test]
async fn nothing_that_was_asked_of_a_deleted_server_waits_or_wants_a_decision_any_more() {
    on_each(async |db| {
        let mut town = Town::over(TestApp::over(db.clone())).await;
        let [(sent, waiting), (failed, failure)] = with_updates(&db).await;
        assert_eq!(overview(&town).await, (1, 1, 1, true));
        town.app.signals.take();

        for (id, name) in [(sent, "web2"), (failed, "web3")] {
            assert!(town.admin.get(&format!("/servers/{id}/delete")).await.body.contains("What waits for this server is cancelled."));
            assert_eq!(town.admin.post(&format!("/servers/{id}/delete"), &[("confirm", name)]).await.status, 303);
        }

        assert_eq!(overview(&town).await, (0, 0, 0, false));
        assert_eq!([state(&db, waiting).await, state(&db, failure).await], [OperationState::Cancelled, OperationState::Superseded]);
        let told = town.app.signals.take();
        for (server, operation) in [(sent, waiting), (failed, failure)] {
            let lane = AccountId::lane_of(server);
            let of_it = |signal: &Signal| matches!(signal, Signal::OperationChanged { operation: it, account, .. } if (*it, *account) == (operation, lane));
            assert!(told.iter().any(of_it), "{told:?}");
        }
        let page = town.admin.get(&format!("/operations/{waiting}")).await.body;
        assert!(page.contains("its server is not there any more") && !page.contains("Retry"), "{page}");
    })
    .await;
}

#[tokio::test]
async fn a_deleted_servers_name_is_free_once_what_lay_on_the_bus_for_it_is_removed() {
    let mut town = Town::new().await;
    let db = town.app.db().clone();
    let [(sent, _), (failed, _)] = with_updates(&db).await;
    for (id, name) in [(sent, "web2"), (failed, "web3")] {
        assert_eq!(town.admin.post(&format!("/servers/{id}/delete"), &[("confirm", name)]).await.status, 303);
    }
    let form = |name| [("name", name), ("hostname", "new.servers.example.org"), ("role_web", "on"), ("active", "on")];
    let early = town.admin.post("/servers", &form("web2")).await;
    assert!(early.status == 422 && early.body.contains("still being removed from the bus"), "{}", early.body);
    assert_eq!(town.admin.post("/servers", &form("web3")).await.status, 200, "nothing of it was on the bus");
    ended_server_mark_closed(&db, &"web2".parse().unwrap()).await.unwrap();
    assert_eq!(town.admin.post("/servers", &form("web2")).await.status, 200);
}

#[tokio::test]
async fn what_earlier_panels_left_of_deleted_servers_is_ended_by_the_upgrade() {
    on_each(async |db| {
        let town = Town::over(TestApp::over(db.clone())).await;
        let [(_, waiting), (_, failure)] = with_updates(&db).await;
        let kept = update(&db, town.server, "web1").await;
        run(&db, "DELETE FROM servers WHERE name IN ('web2', 'web3')").await;
        run(&db, MIGRATION).await;
        assert_eq!(overview(&town).await, (1, 0, 1, true));
        let states = [state(&db, waiting).await, state(&db, failure).await, state(&db, kept).await];
        assert_eq!(states, [OperationState::Cancelled, OperationState::Cancelled, OperationState::Waiting]);
    })
    .await;
}
