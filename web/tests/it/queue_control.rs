//! Steering a queue: pausing, moving, taking back; and how many requests an account may have.

use shared::ids::{AccountId, JobId, OperationId};
use shared::jobs::{Job, ResourceKey};
use shared::operation::{JobEvent, ResourceState};
use web::dispatch::scheduler::fair_window;
use web::store::Db;
use web::store::job::{JobRow, job_advance_in_tx, job_fetch_in_tx};
use web::store::job_queue::{PER_SERVER, Queue, RESERVE, job_queue, job_queue_stuck_since};
use web::store::queue::jobs_release;

use crate::support::app::TestApp;
use crate::support::db::on_each;
use crate::support::fleet::{Town, fail_all, open_jobs};

/// The newest request about something.
async fn newest(db: &Db, subject: &str) -> OperationId {
    let row: (String,) = sqlx::query_as("SELECT id FROM operations WHERE subject = $1 ORDER BY id DESC LIMIT 1")
        .bind(subject)
        .fetch_one(db.read())
        .await
        .unwrap();
    row.0.parse().unwrap()
}

async fn state_of(db: &Db, operation: OperationId) -> String {
    let row: (String,) =
        sqlx::query_as("SELECT state FROM operations WHERE id = $1").bind(operation.to_string()).fetch_one(db.read()).await.unwrap();
    row.0
}

/// Has the bus take a job.
async fn send(db: &Db, job: &JobRow) {
    let mut tx = db.write().await.unwrap();
    let job = job_fetch_in_tx(&mut tx, job.id).await.unwrap().unwrap();
    job_advance_in_tx(&mut tx, &job, JobEvent::Published).await.unwrap().unwrap();
    tx.commit().await.unwrap();
}

async fn site_row(db: &Db) -> (String, Option<String>, String, i64) {
    sqlx::query_as("SELECT document_root, php_version, state, generation FROM sites").fetch_one(db.read()).await.unwrap()
}

async fn names(db: &Db) -> Vec<String> {
    let rows: Vec<(String,)> = sqlx::query_as("SELECT name FROM site_names ORDER BY name").fetch_all(db.read()).await.unwrap();
    rows.into_iter().map(|row| row.0).collect()
}

fn cancel(operation: OperationId) -> String {
    format!("/operations/{operation}/cancel")
}

#[tokio::test]
async fn a_change_that_was_not_sent_is_taken_back_and_the_site_is_as_it_was_applied() {
    on_each(async |db| {
        let mut town = Town::over(TestApp::over(db.clone())).await;
        let site = town.site("shop.example.com").await;
        town.apply_all().await;
        let before = site_row(&db).await;
        let change = [("php", ""), ("aliases", "www.shop.example.com other.example.net"), ("document_root", "shop.example.com/public")];
        assert_eq!(town.alice.post(&format!("{site}/edit"), &change).await.status, 303);
        assert_eq!(names(&db).await.len(), 3);
        let operation = newest(&db, "shop.example.com").await;
        assert_eq!(town.admin.get(&cancel(operation)).await.status, 200);
        let answer = town.admin.post(&cancel(operation), &[]).await;
        assert_eq!((answer.status.as_u16(), answer.location()), (303, format!("/operations/{operation}").as_str()), "{}", answer.body);

        assert_eq!(state_of(&db, operation).await, "cancelled");
        let after = site_row(&db).await;
        assert_eq!((&after.0, &after.1, &after.2), (&before.0, &before.1, &before.2));
        assert!(after.3 > before.3, "no generation is ever used twice");
        assert_eq!(names(&db).await, ["shop.example.com"]);
        assert!(open_jobs(&db).await.is_empty());
        let claims: Vec<(String,)> = sqlx::query_as("SELECT domain FROM domain_claims").fetch_all(db.read()).await.unwrap();
        assert_eq!(claims, [("example.com".to_owned(),)], "what the change had claimed is free again");
        // The next change is as good as if the cancelled one had never been.
        assert_eq!(town.alice.post(&format!("{site}/edit"), &[("php", "8.2"), ("aliases", "www.shop.example.com")]).await.status, 303);
        town.apply_all().await;
        assert_eq!(site_row(&db).await.2, ResourceState::Active.as_str());
    })
    .await;
}

#[tokio::test]
async fn a_site_that_was_never_sent_goes_with_its_names_when_it_is_taken_back() {
    on_each(async |db| {
        let mut town = Town::over(TestApp::over(db.clone())).await;
        town.site("shop.example.com").await;
        let operation = newest(&db, "shop.example.com").await;
        assert_eq!(town.admin.post(&cancel(operation), &[]).await.status, 303);
        assert!(names(&db).await.is_empty());
        let left: Vec<(String,)> = sqlx::query_as("SELECT id FROM php_pools").fetch_all(db.read()).await.unwrap();
        assert!(left.is_empty(), "the pool that came with it");
        town.site("shop.example.com").await;
    })
    .await;
}

#[tokio::test]
async fn what_was_sent_or_done_cannot_be_taken_back_and_says_so() {
    on_each(async |db| {
        let mut town = Town::over(TestApp::over(db.clone())).await;
        town.site("shop.example.com").await;
        let operation = newest(&db, "shop.example.com").await;
        let jobs = jobs_release(&db, open_jobs(&db).await).await.unwrap();
        send(&db, &jobs[0]).await;
        let refused = town.admin.post(&cancel(operation), &[]).await;
        assert_eq!(refused.status, 409);
        assert!(refused.body.contains("It has been sent to its server"), "{}", refused.body);
        assert_eq!(open_jobs(&db).await.len(), 2, "nothing was taken back in part");
        // A second attempt was sent once before.
        fail_all(&db).await;
        assert_eq!(town.admin.post(&format!("/operations/{operation}/retry"), &[]).await.status, 303);
        assert_eq!(town.admin.post(&cancel(operation), &[]).await.status, 409);
        town.apply_all().await;
        let refused = town.admin.post(&cancel(operation), &[]).await;
        assert!(refused.status == 409 && refused.body.contains("A part of it has been carried out"), "{}", refused.body);
    })
    .await;
}

#[tokio::test]
async fn what_others_build_on_is_not_taken_back_from_under_them() {
    on_each(async |db| {
        let mut town = Town::over(TestApp::over(db.clone())).await;
        town.site("first.example.com").await;
        town.site("second.example.com").await;
        // The pool came with the first, and the second needs it.
        let first = newest(&db, "first.example.com").await;
        let refused = town.admin.post(&cancel(first), &[]).await;
        assert!(refused.status == 409 && refused.body.contains("The change of second.example.com builds on this one"), "{}", refused.body);
        assert_eq!(town.admin.post(&cancel(newest(&db, "second.example.com").await), &[]).await.status, 303);
        assert_eq!(town.admin.post(&cancel(first), &[]).await.status, 303);
    })
    .await;
}

#[tokio::test]
async fn a_name_that_somebody_has_taken_since_is_not_taken_from_them() {
    on_each(async |db| {
        let mut town = Town::over(TestApp::over(db.clone())).await;
        let site = town.site("shop.example.com").await;
        town.alice.post(&format!("{site}/edit"), &[("php", "8.2"), ("aliases", "spare.example.net")]).await;
        town.apply_all().await;
        assert_eq!(town.alice.post(&format!("{site}/edit"), &[("php", "8.2")]).await.status, 303);
        let beta = Town::id(&town.beta).to_owned();
        assert_eq!(town.bob.post("/sites", &[("account", &beta), ("domain", "spare.example.net"), ("php", "")]).await.status, 303);
        let refused = town.admin.post(&cancel(newest(&db, "shop.example.com").await), &[]).await;
        assert!(refused.status == 409 && refused.body.contains("belongs to another site now"), "{}", refused.body);
        assert_eq!(names(&db).await, ["shop.example.com", "spare.example.net"]);
    })
    .await;
}

#[tokio::test]
async fn limits_and_keys_of_an_account_go_back_and_an_old_password_is_not_kept() {
    on_each(async |db| {
        let mut town = Town::over(TestApp::over(db.clone())).await;
        let alpha = town.alpha.clone();
        assert_eq!(town.alice.post(&format!("{alpha}/sftp-password"), &[]).await.status, 200);
        town.apply_all().await;
        let row = async || {
            let row: (Option<String>, String) = sqlx::query_as("SELECT sftp_password_hash, state FROM accounts WHERE linux_user = 'alpha'")
                .fetch_one(db.read())
                .await
                .unwrap();
            row
        };
        let before = row().await;
        assert_eq!(town.alice.post(&format!("{alpha}/sftp-password"), &[]).await.status, 200);
        assert_ne!(row().await.0, before.0);
        assert_eq!(town.admin.post(&cancel(newest(&db, "alpha").await), &[]).await.status, 303);
        assert_eq!(row().await, before);
        // Once a newer one is applied, nothing keeps the older.
        assert_eq!(town.alice.post(&format!("{alpha}/sftp-password"), &[]).await.status, 200);
        town.apply_all().await;
        let kept: Vec<(String,)> = sqlx::query_as("SELECT desired FROM jobs").fetch_all(db.read()).await.unwrap();
        assert!(kept.iter().all(|(desired,)| !desired.contains(before.0.as_ref().unwrap())));
    })
    .await;
}

#[tokio::test]
async fn a_paused_queue_says_so_to_everybody_and_a_client_can_neither_pause_nor_take_back() {
    on_each(async |db| {
        let mut town = Town::over(TestApp::over(db.clone())).await;
        let queue = format!("/servers/{}/queue", town.server);
        for path in [queue.clone(), format!("{queue}/pause")] {
            assert_eq!(town.alice.get(&path).await.status, 403, "{path}");
        }
        assert_eq!(town.alice.post(&format!("{queue}/pause"), &[]).await.status, 403);
        assert_eq!(town.admin.get(&format!("{queue}/pause")).await.status, 200);
        assert_eq!(town.admin.post(&format!("{queue}/pause"), &[]).await.status, 303);
        assert_eq!(town.admin.post(&format!("{queue}/pause"), &[]).await.status, 409, "it is paused");
        let site = town.site("shop.example.com").await;
        let operation = newest(&db, "shop.example.com").await;
        assert_eq!(town.alice.post(&cancel(operation), &[]).await.status, 403);
        for page in [site.as_str(), "/sites", "/operations", &format!("/operations/{operation}")] {
            let told = town.alice.get(page).await.body;
            assert!(told.contains("changes for web1 are paused since"), "{page}: {told}");
        }
        let told = town.admin.get(&queue).await.body;
        assert!(
            told.contains("This queue is paused since") && told.contains("shop.example.com") && told.contains("The queue is paused."),
            "{told}"
        );
        assert!(town.admin.get("/").await.body.contains("paused since"));
        let mut tx = db.write().await.unwrap();
        sqlx::query("UPDATE jobs SET created_ms = created_ms - 60000").execute(&mut *tx).await.unwrap();
        tx.commit().await.unwrap();
        assert_eq!(job_queue_stuck_since(&db).await.unwrap(), None, "an admin holds it; nothing is stuck");
        assert_eq!(town.admin.post(&format!("{queue}/resume"), &[]).await.status, 303);
        assert!(!town.alice.get(&site).await.body.contains("are paused since"));
        let log = town.admin.get("/audit").await.body;
        assert!(log.contains("Pause queue") && log.contains("Resume queue"), "{log}");
    })
    .await;
}

#[tokio::test]
async fn a_request_moves_before_others_and_never_before_what_its_own_account_asked_for_earlier() {
    on_each(async |db| {
        let mut town = Town::over(TestApp::over(db.clone())).await;
        let beta = Town::id(&town.beta).to_owned();
        town.bob.post("/sites", &[("account", &beta), ("domain", "bob.example.net"), ("php", "")]).await;
        town.site("first.example.com").await;
        town.site("second.example.com").await;
        let domains = async || -> Vec<String> {
            let queue = job_queue(&db, town.server).await.unwrap();
            let domain = |job: &JobRow| if let Job::Site(spec) = &job.job { Some(spec.domain.to_string()) } else { None };
            queue.queued.iter().filter_map(domain).collect()
        };
        assert_eq!(domains().await, ["bob.example.net", "first.example.com", "second.example.com"]);
        let second = newest(&db, "second.example.com").await;
        let answer = town.admin.post(&format!("/operations/{second}/sooner"), &[]).await;
        assert_eq!((answer.status.as_u16(), answer.location()), (303, format!("/servers/{}/queue", town.server).as_str()));
        assert_eq!(domains().await, ["first.example.com", "second.example.com", "bob.example.net"]);
        assert_eq!(town.admin.post(&format!("/operations/{second}/sooner"), &[]).await.status, 409, "it is first already");
        let first = newest(&db, "first.example.com").await;
        for _ in 0..2 {
            assert_eq!(town.admin.post(&format!("/operations/{first}/later"), &[]).await.status, 303);
        }
        assert_eq!(domains().await, ["bob.example.net", "first.example.com", "second.example.com"]);
        assert!(town.admin.get(&format!("/servers/{}/queue", town.server)).await.body.contains("goes out later"));
    })
    .await;
}

#[tokio::test]
async fn one_accounts_flood_leaves_room_for_everybody_else() {
    on_each(async |db| {
        let mut town = Town::over(TestApp::over(db.clone())).await;
        for n in 0..40 {
            town.site(&format!("flood{n}.example.com")).await;
        }
        let beta = Town::id(&town.beta).to_owned();
        town.bob.post("/sites", &[("account", &beta), ("domain", "calm.example.net"), ("php", "")]).await;
        // A look ahead that the flood fills alone would not see the other.
        let queue = job_queue(&db, town.server).await.unwrap();
        assert!(queue.queued.len() < 40);
        let calm = |job: &&JobRow| matches!(&job.job, Job::Site(spec) if spec.domain.as_str() == "calm.example.net");
        let calm = queue.queued.iter().find(calm).expect("it is seen").clone();
        let flood = queue.queued.iter().find(|job| job.account_id != calm.account_id).unwrap().account_id;
        assert!(fair_window(&queue).contains(&calm.id));
        // Nor does a server that is full of others keep it out.
        let full = Queue { queued: queue.queued.clone(), in_flight: vec![(flood, PER_SERVER)] };
        let window = fair_window(&full);
        assert_eq!(window, std::collections::HashSet::from([calm.id]));
        // Many accounts with one job each fill no more than the reserve.
        let many = |n: u32| (0..n).map(|_| JobRow { id: JobId::new(), account_id: AccountId::new(), ..calm.clone() }).collect();
        let crowd = Queue { queued: many(500), in_flight: vec![(flood, PER_SERVER)] };
        assert_eq!(fair_window(&crowd).len(), RESERVE as usize);
        let crowd = Queue { queued: many(500), in_flight: Vec::new() };
        assert_eq!(fair_window(&crowd).len(), (PER_SERVER + RESERVE) as usize);
    })
    .await;
}

#[tokio::test]
async fn the_queue_says_of_a_full_server_that_an_account_it_has_nothing_of_waits_for_nobody() {
    on_each(async |db| {
        let mut town = Town::over(TestApp::over(db.clone())).await;
        town.site("busy.example.com").await;
        let beta = Town::id(&town.beta).to_owned();
        town.bob.post("/sites", &[("account", &beta), ("domain", "calm.example.net"), ("php", "")]).await;
        let mut tx = db.write().await.unwrap();
        // The server holds 256 jobs of alpha's.
        sqlx::query(
            "INSERT INTO jobs (id, operation_id, position, server_id, account_id, resource, generation, requires, job, state, created_ms) \
             WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 256) \
             SELECT j.id || '-' || n.i, o.id, 0, j.server_id, j.account_id, j.resource, 0, '[]', j.job, 'sent', j.created_ms \
             FROM jobs j, operations o, n WHERE j.resource LIKE 'account:%' AND j.account_id = $1 AND o.id = j.operation_id",
        )
        .bind(Town::id(&town.alpha).to_owned())
        .execute(&mut *tx)
        .await
        .unwrap();
        tx.commit().await.unwrap();
        let page = town.admin.get(&format!("/servers/{}/queue", town.server)).await.body;
        let of = |name: &str| page.split_once(&format!("Create site {name}</a>")).unwrap().1.split_once("</tbody>").unwrap().0.to_owned();
        assert!(of("busy.example.com").contains("Its account has 16 jobs on the server already"), "{page}");
        assert!(of("calm.example.net").contains("It goes out any moment."), "{page}");
    })
    .await;
}

#[tokio::test]
async fn an_account_has_so_many_requests_open_and_no_more_and_can_always_be_suspended() {
    on_each(async |db| {
        let mut town = Town::over(TestApp::over(db.clone())).await;
        town.site("shop.example.com").await;
        let mut tx = db.write().await.unwrap();
        // 255 more of the same.
        sqlx::query(
            "INSERT INTO operations (id, kind, resource, subject, account_id, owner_id, server_id, asked_by, asked_by_name, state, created_ms) \
             WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 255) \
             SELECT o.id || '-' || n.i, o.kind, o.resource, o.subject, o.account_id, o.owner_id, o.server_id, o.asked_by, o.asked_by_name, 'waiting', \
             o.created_ms FROM operations o, n WHERE o.subject = 'shop.example.com'",
        )
        .execute(&mut *tx)
        .await
        .unwrap();
        tx.commit().await.unwrap();
        let account = Town::id(&town.alpha).to_owned();
        let refused = town.alice.post("/sites", &[("account", &account), ("domain", "more.example.com"), ("php", "")]).await;
        assert!(refused.status == 422 && refused.body.contains("256 changes under way"), "{}", refused.body);
        assert_eq!(refused.value("domain").as_deref(), Some("more.example.com"), "what was typed is kept");
        assert_eq!(names(&db).await, ["shop.example.com"], "nothing was changed");
        let preview = town.alice.post("/sites/new/preview", &[("account", &account), ("domain", "more.example.com"), ("php", "")]).await;
        assert!(preview.status == 200 && !preview.body.contains("256 changes under way"), "{}", preview.body);
        let site = town.alice.get("/sites").await.body.split('"').find(|part| part.ends_with("/suspend")).unwrap().to_owned();
        assert_eq!(town.alice.post(&site, &[]).await.status, 409);
        assert_eq!(town.alice.post(&format!("{site}/preview"), &[]).await.status, 200, "a preview takes no place");
        let beta = Town::id(&town.beta).to_owned();
        assert_eq!(town.bob.post("/sites", &[("account", &beta), ("domain", "calm.example.net"), ("php", "")]).await.status, 303);
        let alpha = town.alpha.clone();
        assert_eq!(town.admin.post(&format!("{alpha}/suspend"), &[]).await.status, 303);
    })
    .await;
}

#[tokio::test]
async fn a_job_that_cannot_be_read_breaks_no_page_and_the_rest_of_its_operation_is_shown() {
    on_each(async |db| {
        let mut town = Town::over(TestApp::over(db.clone())).await;
        let site = town.site("broken.example.com").await;
        let operation = newest(&db, "broken.example.com").await;
        for column in ["job", "requires", "steps", "resource"] {
            let site_job = open_jobs(&db).await.into_iter().find(|job| matches!(job.resource, ResourceKey::Site(_)));
            let Some(site_job) = site_job else { break };
            let mut tx = db.write().await.unwrap();
            let text: (String,) = sqlx::query_as(sqlx::AssertSqlSafe(format!("SELECT {column} FROM jobs WHERE id = $1")))
                .bind(site_job.id.to_string())
                .fetch_one(&mut *tx)
                .await
                .unwrap();
            let set = async |tx: &mut web::store::Tx, text: &str| {
                sqlx::query(sqlx::AssertSqlSafe(format!("UPDATE jobs SET {column} = $1, state = 'working' WHERE id = $2")))
                    .bind(text)
                    .bind(site_job.id.to_string())
                    .execute(&mut **tx)
                    .await
                    .unwrap();
            };
            set(&mut tx, "{}").await;
            sqlx::query("UPDATE operations SET state = 'working' WHERE id = $1")
                .bind(operation.to_string())
                .execute(&mut *tx)
                .await
                .unwrap();
            tx.commit().await.unwrap();
            let page = format!("/operations/{operation}");
            for path in [page.as_str(), "/operations", site.as_str(), "/sites", "/"] {
                assert_eq!(town.alice.get(path).await.status, 200, "{path} with {column}");
                assert_eq!(town.admin.get(path).await.status, 200, "{path} with {column}");
            }
            let (told, admins) = (town.alice.get(&page).await.body, town.admin.get(&page).await.body);
            assert!(told.contains("A part of this operation cannot be shown") && told.contains("PHP 8.2 of alpha"), "{told}");
            assert!(admins.contains(&format!("jobs.{column}")) && !told.contains(&format!("jobs.{column}")), "{admins}");
            assert_eq!(town.admin.get(&format!("{page}/record.json")).await.status, 200);
            assert_eq!(town.admin.get(&format!("/servers/{}/queue", town.server)).await.status, 200);
            let mut tx = db.write().await.unwrap();
            set(&mut tx, &text.0).await;
            tx.commit().await.unwrap();
        }
    })
    .await;
}
