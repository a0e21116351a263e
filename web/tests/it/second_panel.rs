//! A copy of the panel's database on the same bus: a dump that was restored as a second panel, or as the first one.

use std::path::Path;

use shared::operation::ResourceState;
use tempfile::TempDir;
use web::app::operator::bus_adopt;
use web::store::Db;
use web::store::copy::{Copied, database_copy};

use super::support::app::TestApp;
use super::support::fleet::signed_in;
use super::whole::{Whole, security_events, start_dispatch, start_worker, until};

/// A copy of the panel's database as it is now.
async fn copy(of: &Db, directory: &Path) -> TestApp {
    let file = directory.join("copy.db");
    assert_eq!(database_copy(of, &file).await.unwrap(), Copied::Whole);
    TestApp::over(Db::open(&format!("sqlite:{}", file.display())).await.unwrap())
}

async fn until_told(app: &TestApp) {
    until("admins are told of a second panel", async || {
        security_events(app).await.into_iter().any(|told| told.0 == "second_panel").then_some(())
    })
    .await;
}

/// The incarnation that the panel is about to store.
async fn incarnation(app: &TestApp) -> String {
    sqlx::query_scalar("SELECT incarnation_next FROM panel").fetch_one(app.db().read()).await.unwrap()
}

async fn until_replaced(app: &TestApp) {
    let before = incarnation(app).await;
    until("the incarnation is replaced", async || (incarnation(app).await != before).then_some(())).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_copy_of_the_panel_stands_back_until_its_operator_lets_the_bus_serve_it_and_then_the_other_does() {
    let mut whole = Whole::start().await;
    let account = whole.account("copied").await;
    let directory = TempDir::new().unwrap();
    let staging = copy(whole.app.db(), directory.path()).await;
    let mut second = start_dispatch(staging.db(), &whole.nats);
    // Both are told, and nothing else changes for the panel that leads.
    until_told(&staging).await;
    until_told(&whole.app).await;
    let page = signed_in(&staging, "root").await.get("/security").await.body;
    assert!(page.contains("Second panel refused") && page.contains("gantry bus adopt"), "{page}");
    let mut admin = signed_in(&staging, "root").await;
    let answer = admin.post("/sites", &[("account", &account), ("domain", "staging.example.org"), ("php", "8.2")]).await;
    assert_eq!(answer.status, 303, "{}", answer.body);
    let site = whole.site(&account, "live.example.org").await;
    whole.until_state(site, ResourceState::Active).await;
    let sent = "SELECT COUNT(*) FROM jobs WHERE resource LIKE 'site:%' AND state <> 'queued'";
    let sent: i64 = sqlx::query_scalar(sent).fetch_one(staging.db().read()).await.unwrap();
    assert_eq!(sent, 0, "the copy has sent nothing");

    // Also not when it is started again.
    second.stop().await;
    let _second = start_dispatch(staging.db(), &whole.nats);
    bus_adopt(staging.db()).await.unwrap();
    until("the copy leads", async || {
        let state: String = sqlx::query_scalar("SELECT state FROM sites WHERE domain = 'staging.example.org'")
            .fetch_one(staging.db().read())
            .await
            .unwrap_or_default();
        (state == "active").then_some(())
    })
    .await;
    until("the other stands back", async || {
        let told = security_events(&whole.app).await;
        told.into_iter().any(|told| told.0 == "second_panel" && told.2.contains("this one sends nothing")).then_some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_backup_that_was_restored_leads_again_once_it_has_adopted_the_bus() {
    let mut whole = Whole::start().await;
    let account = whole.account("restored").await;
    let site = whole.site(&account, "before.example.org").await;
    whole.until_state(site, ResourceState::Active).await;
    let directory = TempDir::new().unwrap();
    let backup = copy(whole.app.db(), directory.path()).await;
    until_replaced(&whole.app).await;
    until_replaced(&whole.app).await;
    whole.dispatch.stop().await;

    let _dispatch = start_dispatch(backup.db(), &whole.nats);
    until_told(&backup).await;
    bus_adopt(backup.db()).await.unwrap();
    let mut admin = signed_in(&backup, "root").await;
    let answer = admin.post("/sites", &[("account", &account), ("domain", "after.example.org"), ("php", "8.2")]).await;
    assert_eq!(answer.status, 303, "{}", answer.body);
    until("the worker serves it", async || {
        whole.host.snapshot().nodes.contains_key(Path::new("/etc/nginx/sites-available/after.example.org.conf")).then_some(())
    })
    .await;
    let told: i64 =
        sqlx::query_scalar("SELECT COUNT(*) FROM audit WHERE action = 'bus.adopt'").fetch_one(backup.db().read()).await.unwrap();
    assert_eq!(told, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bus_that_was_emptied_goes_to_the_panel_that_led_and_not_to_a_copy_that_had_stood_back() {
    let mut whole = Whole::start().await;
    let account = whole.account("emptied").await;
    let directory = TempDir::new().unwrap();
    let staging = copy(whole.app.db(), directory.path()).await;
    let _second = start_dispatch(staging.db(), &whole.nats);
    until_told(&staging).await;
    whole.dispatch.stop().await;
    whole.worker.stop().await;
    whole.nats.restart_empty();
    until("the copy has looked at the empty bus", async || {
        let before = lease(&staging).await;
        tokio::time::sleep(std::time::Duration::from_millis(100)).await;
        (lease(&staging).await != before).then_some(())
    })
    .await;
    let stood_back: Option<i64> = sqlx::query_scalar("SELECT stood_back_ms FROM panel").fetch_one(staging.db().read()).await.unwrap();
    assert!(stood_back.is_some());

    whole.dispatch = start_dispatch(whole.app.db(), &whole.nats);
    whole.worker = start_worker(&whole.identity, &whole.host, &whole.state);
    let site = whole.site(&account, "emptied.example.org").await;
    whole.until_state(site, ResourceState::Active).await;
}

/// When the lease of a panel ends.
async fn lease(app: &TestApp) -> i64 {
    sqlx::query_scalar("SELECT expires_ms FROM leases").fetch_one(app.db().read()).await.unwrap()
}
