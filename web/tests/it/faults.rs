//! Faults of bus, dispatch and database, with everything real but the host. Which fault has which test: `.ci/faults.md`.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use shared::bus::tampering::Tamperer;
use shared::bus::topology::FIRST_COMMAND_STREAM;
use shared::bus::worker::WorkerBus;
use shared::events::{Progress, StepReport, StepState};
use shared::ids::{AccountId, JobId, OperationId};
use shared::operation::ResourceState;
use shared::testing::now_s;
use sqlx::{AssertSqlSafe, Connection, Row};
use tempfile::TempDir;
use web::app::operator::bus_adopt;
use web::store::Db;

use super::messages::until_nothing_is_under_way;
use super::support::app::TestApp;
use super::support::fleet::signed_in;
use super::whole::{Whole, join, start_dispatch, start_worker, until};

fn is_served(whole: &Whole, domain: &str) -> bool {
    whole.host.snapshot().serving.iter().any(|vhost| vhost.names.iter().any(|name| name == domain))
}

#[tokio::test(flavor = "multi_thread")]
async fn f04_an_outcome_that_nobody_heard_is_told_by_the_worker_that_starts_next_and_nothing_is_done_twice() {
    let mut whole = Whole::start().await;
    let account = whole.account("unheard").await;
    // The job waits in the inbox until the bus is gone.
    whole.host.put_file("/etc/nginx/conf.d/by-hand.conf", "BROKEN;");
    let site = whole.site(&account, "unheard.example.org").await;
    until("the job waits", async || {
        let row = sqlx::query("SELECT COUNT(*) FROM jobs WHERE state = 'blocked'").fetch_one(whole.app.db().read()).await.unwrap();
        (row.get::<i64, _>(0) == 1).then_some(())
    })
    .await;
    whole.nats.kill();
    whole.host.take("/etc/nginx/conf.d/by-hand.conf");
    until("the job is done without a bus", async || is_served(&whole, "unheard.example.org").then_some(())).await;
    whole.worker.stop().await;
    whole.host.heal();
    whole.nats.restart();
    whole.worker = start_worker(&whole.identity, &whole.host, &whole.state);
    whole.until_state(site, ResourceState::Active).await;
    assert_eq!(whole.host.changes(), 0, "it was only told");
}

#[tokio::test(flavor = "multi_thread")]
async fn f10_a_request_while_the_bus_is_down_is_taken_and_carried_out_when_it_is_back() {
    let mut whole = Whole::start().await;
    let account = whole.account("busless").await;
    whole.nats.kill();
    let site = whole.site(&account, "busless.example.org").await;
    let page = whole.admin.get(&format!("/sites/{site}")).await;
    assert_eq!(page.status, 200);
    assert_eq!(whole.state_of(site).await, Some(ResourceState::Provisioning));
    whole.nats.restart();
    whole.until_state(site, ResourceState::Active).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn f13_twenty_restarts_of_the_bus_under_load_lose_no_job_and_leave_no_consumer_stuck() {
    let mut whole = Whole::start().await;
    let account = whole.account("restless").await;
    let mut sites = Vec::new();
    for round in 0..20 {
        sites.push(whole.site(&account, &format!("round{round}.example.org")).await);
        whole.nats.restart();
    }
    for site in sites {
        whole.until_state(site, ResourceState::Active).await;
    }
    let last = whole.site(&account, "afterwards.example.org").await;
    whole.until_state(last, ResourceState::Active).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn f16_jobs_that_the_bus_has_no_room_for_stay_in_the_queue_and_go_out_when_it_has() {
    let mut whole = Whole::start().await;
    let account = whole.account("roomless").await;
    let first = whole.site(&account, "roomy.example.org").await;
    whole.until_state(first, ResourceState::Active).await;
    let tamperer = Tamperer::connect(&whole.nats.address(), &whole.nats.keys, now_s()).await.unwrap();
    let room = tamperer.set_room(FIRST_COMMAND_STREAM, 1).await.unwrap();
    tamperer.store_bytes(&whole.identity.server, AccountId::new(), b"no room").await.unwrap_err();
    let site = whole.site(&account, "roomless.example.org").await;
    whole.until_state(site, ResourceState::Active).await;
    // What is refused has dispatch look at its streams.
    assert_eq!(tamperer.set_room(FIRST_COMMAND_STREAM, room).await.unwrap(), room);
    let attempts = sqlx::query("SELECT DISTINCT attempt FROM jobs").fetch_all(whole.app.db().read()).await.unwrap();
    assert_eq!(attempts.iter().map(|row| row.get::<i64, _>(0)).collect::<Vec<_>>(), [1], "nothing has failed");
}

#[tokio::test(flavor = "multi_thread")]
async fn f17_a_worker_that_floods_the_bus_holds_up_no_other() {
    let mut whole = Whole::start().await;
    let account = whole.account("flooded").await;
    let other = join(&whole.app, &whole.nats, "web2").await;
    let bus = WorkerBus::connect(&whole.nats.address(), &other.server, &other.credentials).await.unwrap();
    let stop = Arc::new(AtomicBool::new(false));
    let flag = Arc::clone(&stop);
    let flood = tokio::spawn(async move {
        let step = StepReport { name: "x".to_owned(), state: StepState::Running, ms: None, detail: "x".repeat(100_000), shared_with: 0 };
        let (mut sent, operation) = (0_u32, OperationId::new());
        while !flag.load(Ordering::Relaxed) {
            sent += 1;
            let (server, steps) = (other.server.clone(), vec![step.clone()]);
            let news = Progress { server, job: JobId::new(), operation, attempt: 1, sequence: sent, steps, blocked: None };
            bus.publish_progress(&news).await.unwrap();
        }
        sent
    });
    for round in 0..5 {
        let site = whole.site(&account, &format!("flooded{round}.example.org")).await;
        whole.until_state(site, ResourceState::Active).await;
    }
    stop.store(true, Ordering::Relaxed);
    assert!(flood.await.unwrap() > 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn f32_two_dispatches_that_both_believe_to_lead_do_nothing_twice() {
    let mut whole = Whole::start().await;
    let account = whole.account("doubled").await;
    let _second = start_dispatch(whole.app.db(), &whole.nats);
    let mut sites = Vec::new();
    for round in 0..6 {
        // Whoever leads goes on until it looks at its lease again; the other finds it free.
        let mut tx = whole.app.db().write().await.unwrap();
        sqlx::query("UPDATE leases SET expires_ms = 0, holder = 'nobody'").execute(&mut *tx).await.unwrap();
        tx.commit().await.unwrap();
        let site = whole.site(&account, &format!("doubled{round}.example.org")).await;
        whole.until_state(site, ResourceState::Active).await;
        sites.push(site);
    }
    // An outcome that was given to the one of them which then gave up is given to the other after ten seconds.
    until_nothing_is_under_way(&whole).await;
    let rows = sqlx::query("SELECT attempt, state FROM jobs").fetch_all(whole.app.db().read()).await.unwrap();
    assert!(rows.iter().all(|row| (row.get::<i64, _>(0), row.get::<String, _>(1)) == (1, "done".to_owned())));
    let names = whole.host.snapshot().serving.iter().filter(|vhost| vhost.names[0].starts_with("doubled")).count();
    assert_eq!(names, sites.len());
}

/// A copy of the panel's database as it is now.
/// Waits for the next renewal of dispatch's lease, without a connection for reading.
async fn until_renewed(whole: &Whole) {
    let ends = async || {
        let mut tx = whole.app.db().write().await.unwrap();
        sqlx::query("SELECT expires_ms FROM leases").fetch_one(&mut *tx).await.unwrap().get::<i64, _>(0)
    };
    let before = ends().await;
    until("the lease is renewed", async || (ends().await != before).then_some(())).await;
}

/// One part waited for the database behind another that had it and that nobody polled meanwhile: for half a minute nobody could write.
#[tokio::test(flavor = "multi_thread")]
async fn f33_a_dispatch_whose_parts_wait_for_the_database_keeps_it_from_nobody_once_it_is_free() {
    let whole = Whole::start().await;
    // Whoever reads first, as the one who looks after the bus's incarnation, is half a turn behind the lease from now on.
    let mut reads = Vec::new();
    for _ in 0..4 {
        reads.push(whole.app.db().read().acquire().await.unwrap());
    }
    tokio::time::sleep(Duration::from_secs(3)).await;
    until_renewed(&whole).await;
    tokio::time::sleep(Duration::from_millis(1500)).await;
    drop(reads);
    until_renewed(&whole).await;
    let held = whole.app.db().write().await.unwrap();
    // Until after the next renewal is due.
    tokio::time::sleep(Duration::from_secs(4)).await;
    held.rollback().await.unwrap();
    let free = tokio::time::timeout(Duration::from_secs(15), whole.app.db().write()).await;
    free.expect("nobody keeps the database").unwrap().rollback().await.unwrap();
}

async fn backup(whole: &Whole, directory: &TempDir, name: &str) -> String {
    let path = directory.path().join(name);
    let mut connection = sqlx::SqliteConnection::connect(&format!("sqlite:{}", database_path(whole.app.db()).await)).await.unwrap();
    sqlx::query(AssertSqlSafe(format!("VACUUM INTO '{}'", path.display()))).execute(&mut connection).await.unwrap();
    format!("sqlite:{}", path.display())
}

pub(crate) async fn database_path(db: &Db) -> String {
    sqlx::query("PRAGMA database_list").fetch_one(db.read()).await.unwrap().get("file")
}

#[tokio::test(flavor = "multi_thread")]
async fn f35_f36_a_database_restored_from_a_backup_or_empty_takes_nothing_from_the_host() {
    let directory = TempDir::new().unwrap();
    let mut whole = Whole::start().await;
    let empty = backup(&whole, &directory, "empty.db").await;
    let account = whole.account("restored").await;
    let old = whole.site(&account, "old.example.org").await;
    whole.until_state(old, ResourceState::Active).await;
    let yesterday = backup(&whole, &directory, "yesterday.db").await;
    let change = [("php", "8.2"), ("aliases", "www.old.example.org")];
    assert_eq!(whole.admin.post(&format!("/sites/{old}/edit"), &change).await.status, 303);
    until("the change is made", async || is_served(&whole, "www.old.example.org").then_some(())).await;
    let young = whole.site(&account, "young.example.org").await;
    whole.until_state(young, ResourceState::Active).await;

    for (number, database) in [&yesterday, &empty].into_iter().enumerate() {
        whole.worker.stop().await;
        whole.dispatch.stop().await;
        whole.app = TestApp::over(Db::open(database).await.unwrap());
        // The operator's word, without which a copy of a panel stands back.
        bus_adopt(whole.app.db()).await.unwrap();
        whole.dispatch = start_dispatch(whole.app.db(), &whole.nats);
        // A worker that has forgotten what it told tells its whole ledger.
        sqlx::query("DELETE FROM resync_told")
            .execute(
                &mut sqlx::SqliteConnection::connect(&format!("sqlite:{}", whole.state.path().join("worker.db").display())).await.unwrap(),
            )
            .await
            .unwrap();
        whole.worker = start_worker(&whole.identity, &whole.host, &whole.state);
        whole.admin = signed_in(&whole.app, "root").await;
        whole.until_online().await;
        // Work goes on, and by then everything that was told has been looked at.
        let account = whole.account(&format!("another{number}")).await;
        let ended = if database == &yesterday {
            let site = whole.site(&account, "another.example.net").await;
            whole.until_state(site, ResourceState::Active).await;
            "active"
        } else {
            // It gives out a number that somebody on the host has.
            "failed"
        };
        until(&format!("the account is {ended}"), async || {
            let row =
                sqlx::query("SELECT state FROM accounts WHERE id = $1").bind(&account).fetch_one(whole.app.db().read()).await.unwrap();
            (row.get::<String, _>(0) == ended).then_some(())
        })
        .await;
        for domain in ["old.example.org", "young.example.org"] {
            assert!(is_served(&whole, domain), "{domain} is gone with backup {number}");
        }
        if database == &yesterday {
            assert!(is_served(&whole, "www.old.example.org"), "what the panel has forgotten of a site it knows is gone");
            // The next change is made of what the panel knows now, or not at all; it does not spin for ever.
            assert_eq!(whole.admin.post(&format!("/sites/{old}/suspend"), &[]).await.status, 303);
            until("the change ends", async || {
                let state = whole.state_of(old).await?;
                matches!(state, ResourceState::Suspended | ResourceState::Failed).then_some(())
            })
            .await;
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn f67_an_account_deleted_while_it_is_made_is_gone_in_the_end() {
    let mut whole = Whole::start().await;
    for round in 0..5 {
        let user = format!("shortlived{round}");
        let account = whole.account(&user).await;
        let site = whole.site(&account, &format!("{user}.example")).await;
        let answer = whole.admin.post(&format!("/accounts/{account}/delete"), &[("confirm", &user)]).await;
        assert_eq!(answer.status, 303, "{}", answer.body);
        until("the site is gone", async || whole.state_of(site).await.is_none().then_some(())).await;
        until("nothing is left on the host", async || {
            let host = whole.host.snapshot();
            let mut names = host.nodes.keys().map(|path| path.display().to_string()).chain(host.users.into_keys()).chain(host.active);
            (!names.any(|name| name.contains(&user))).then_some(())
        })
        .await;
    }
}
