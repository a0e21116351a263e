//! Taking requests back beside others: what was let go, what is under way, what failed before, and what others wait for.

use shared::ids::OperationId;
use shared::jobs::ResourceKey;
use shared::operation::JobEvent;
use web::store::Db;
use web::store::job::{JobRow, job_advance_in_tx, job_fetch_in_tx};
use web::store::job_queue::job_queue;
use web::store::queue::jobs_release;
use web::store::resource::resource_applied_in_tx;

use crate::support::app::TestApp;
use crate::support::db::on_each;
use crate::support::fleet::{Town, apply_all, fail_all, open_jobs};

/// The newest request.
async fn newest(db: &Db) -> OperationId {
    let row: (String,) = sqlx::query_as("SELECT id FROM operations ORDER BY id DESC LIMIT 1").fetch_one(db.read()).await.unwrap();
    row.0.parse().unwrap()
}

async fn state_of(db: &Db, operation: OperationId) -> String {
    let row: (String,) =
        sqlx::query_as("SELECT state FROM operations WHERE id = $1").bind(operation.to_string()).fetch_one(db.read()).await.unwrap();
    row.0
}

/// Takes the newest request back; what the panel says.
async fn cancel(town: &mut Town, db: &Db) -> (u16, String) {
    let answer = town.admin.post(&format!("/operations/{}/cancel", newest(db).await), &[]).await;
    (answer.status.as_u16(), answer.body)
}

async fn edit(town: &mut Town, site: &str, root: &str) {
    let fields = [("php", "8.2"), ("aliases", ""), ("document_root", root)];
    assert_eq!(town.alice.post(&format!("{site}/edit"), &fields).await.status, 303);
}

/// Folder, badge, and the newest request of the only site.
async fn site_row(db: &Db) -> (String, String, String) {
    sqlx::query_as("SELECT document_root, state, last_operation_id FROM sites").fetch_one(db.read()).await.unwrap()
}

async fn advance(db: &Db, job: &JobRow, event: JobEvent) {
    let mut tx = db.write().await.unwrap();
    let job = job_fetch_in_tx(&mut tx, job.id).await.unwrap().unwrap();
    job_advance_in_tx(&mut tx, &job, event).await.unwrap().unwrap();
    tx.commit().await.unwrap();
}

#[tokio::test]
async fn what_is_being_sent_cannot_be_taken_back_though_nobody_has_confirmed_it() {
    on_each(async |db| {
        let mut town = Town::over(TestApp::over(db.clone())).await;
        town.site("shop.example.com").await;
        let operation = newest(&db).await;
        assert!(town.admin.get(&format!("/operations/{operation}")).await.body.contains("/cancel"));
        let queued = job_queue(&db, town.server).await.unwrap().queued;
        let released = jobs_release(&db, queued.clone()).await.unwrap();
        assert_eq!(released.len(), 2, "the pool and the site");
        // The dispatcher is gone before it has heard of the bus, or marked anything.
        let (status, told) = cancel(&mut town, &db).await;
        assert!(status == 409 && told.contains("It has been sent to its server"), "{told}");
        assert!(!town.admin.get(&format!("/operations/{operation}")).await.body.contains("/cancel"));
        assert!(!town.admin.get(&format!("/servers/{}/queue", town.server)).await.body.contains("/cancel"));
        let again = job_queue(&db, town.server).await.unwrap().queued;
        assert_eq!(jobs_release(&db, again).await.unwrap().len(), 2, "they are sent once more");
    })
    .await;
}

#[tokio::test]
async fn what_was_taken_back_or_overtaken_after_the_queue_was_read_is_not_let_go() {
    on_each(async |db| {
        let mut town = Town::over(TestApp::over(db.clone())).await;
        town.site("shop.example.com").await;
        let queued = job_queue(&db, town.server).await.unwrap().queued;
        assert_eq!(cancel(&mut town, &db).await.0, 303);
        assert!(jobs_release(&db, queued).await.unwrap().is_empty());

        let site = town.site("shop.example.com").await;
        let queued = job_queue(&db, town.server).await.unwrap().queued;
        edit(&mut town, &site, "shop.example.com/public").await;
        let released = jobs_release(&db, queued).await.unwrap();
        assert!(matches!(released.as_slice(), [pool] if matches!(pool.resource, ResourceKey::PhpPool(_))));
    })
    .await;
}

#[tokio::test]
async fn a_change_behind_one_that_the_server_has_is_not_taken_back() {
    on_each(async |db| {
        let mut town = Town::over(TestApp::over(db.clone())).await;
        let site = town.site("shop.example.com").await;
        town.apply_all().await;
        edit(&mut town, &site, "shop.example.com/two").await;
        let second = open_jobs(&db).await.remove(0);
        advance(&db, &second, JobEvent::Published).await;
        edit(&mut town, &site, "shop.example.com/three").await;
        for standing in ["sent", "working"] {
            let (status, told) = cancel(&mut town, &db).await;
            assert!(status == 409 && told.contains("An earlier change is under way"), "{standing}: {told}");
            assert_eq!(site_row(&db).await.0, "shop.example.com/three", "nothing was changed");
            advance(&db, &second, JobEvent::Progressed).await;
        }
    })
    .await;
}

#[tokio::test]
async fn a_change_behind_a_creation_under_way_is_not_taken_back() {
    on_each(async |db| {
        let mut town = Town::over(TestApp::over(db.clone())).await;
        let site = town.site("shop.example.com").await;
        for job in open_jobs(&db).await {
            advance(&db, &job, JobEvent::Published).await;
        }
        edit(&mut town, &site, "shop.example.com/two").await;
        let (status, told) = cancel(&mut town, &db).await;
        assert!(status == 409 && told.contains("An earlier change is under way"), "{told}");
        assert_eq!(site_row(&db).await.1, "provisioning");
        apply_all(&db).await;
        assert_eq!(site_row(&db).await.1, "active");
    })
    .await;
}

#[tokio::test]
async fn a_request_in_the_place_of_another_that_waited_is_not_taken_back_and_names_it() {
    on_each(async |db| {
        let mut town = Town::over(TestApp::over(db.clone())).await;
        let site = town.site("shop.example.com").await;
        town.apply_all().await;
        edit(&mut town, &site, "shop.example.com/two").await;
        edit(&mut town, &site, "shop.example.com/three").await;
        let (status, told) = cancel(&mut town, &db).await;
        assert!(status == 409 && told.contains("taken the place of") && told.contains("Change site shop.example.com"), "{told}");
        assert_eq!(site_row(&db).await.0, "shop.example.com/three");
    })
    .await;
}

#[tokio::test]
async fn what_had_failed_before_has_failed_again_and_can_be_retried() {
    on_each(async |db| {
        let mut town = Town::over(TestApp::over(db.clone())).await;
        let site = town.site("shop.example.com").await;
        town.apply_all().await;
        edit(&mut town, &site, "shop.example.com/two").await;
        fail_all(&db).await;
        let failed = newest(&db).await;
        edit(&mut town, &site, "shop.example.com/three").await;
        assert_eq!(state_of(&db, failed).await, "superseded");
        assert_eq!(cancel(&mut town, &db).await.0, 303);
        assert_eq!(state_of(&db, failed).await, "failed");
        let expected = ("shop.example.com/two".to_owned(), "failed".to_owned(), failed.to_string());
        assert_eq!(site_row(&db).await, expected);
        assert_eq!(town.alice.post(&format!("/operations/{failed}/retry"), &[]).await.status, 303);
        assert_eq!(open_jobs(&db).await.len(), 1, "the retry is no older than what is wanted");
        town.apply_all().await;
        assert_eq!(site_row(&db).await.1, "active");
        assert_eq!(state_of(&db, failed).await, "succeeded");
    })
    .await;
}

#[tokio::test]
async fn what_a_later_site_waits_for_is_not_taken_back() {
    on_each(async |db| {
        let mut town = Town::over(TestApp::over(db.clone())).await;
        let alpha = town.alpha.clone();
        let account = Town::id(&alpha).to_owned();
        assert_eq!(town.admin.post(&format!("{alpha}/suspend"), &[]).await.status, 303);
        town.apply_all().await;
        assert_eq!(town.admin.post(&format!("{alpha}/unsuspend"), &[]).await.status, 303);
        let back = newest(&db).await;
        town.site("shop.example.com").await;
        // Such as one that was asked for while the account came back: it waits for just that generation.
        let key = ResourceKey::Account(account.parse().unwrap());
        let requires = format!(r#"[{{"resource":"{key}","generation":3}}]"#);
        let mut tx = db.write().await.unwrap();
        sqlx::query("UPDATE jobs SET requires = $1 WHERE state = 'queued' AND resource LIKE 'site:%'")
            .bind(requires)
            .execute(&mut *tx)
            .await
            .unwrap();
        tx.commit().await.unwrap();
        let answer = town.admin.post(&format!("/operations/{back}/cancel"), &[]).await;
        assert!(answer.status == 409 && answer.body.contains("The change of shop.example.com builds on this one"), "{}", answer.body);
    })
    .await;
}

#[tokio::test]
async fn after_a_change_was_taken_back_the_resource_is_repaired_and_its_php_is_not_changing() {
    on_each(async |db| {
        let mut town = Town::over(TestApp::over(db.clone())).await;
        let site = town.site("shop.example.com").await;
        town.apply_all().await;
        edit(&mut town, &site, "shop.example.com/two").await;
        assert_eq!(cancel(&mut town, &db).await.0, 303);
        let php = format!("{}/php/8.2", town.alpha);
        let settings = [
            ("memory_limit_mib", "512"),
            ("max_execution_time_s", "60"),
            ("max_input_time_s", "60"),
            ("max_input_vars", "5000"),
            ("post_max_size_mib", "64"),
            ("upload_max_filesize_mib", "64"),
            ("pm", "static"),
            ("max_children", "7"),
            ("max_requests", "1000"),
        ];
        let changed = town.alice.post(&php, &settings).await;
        assert_eq!(changed.status, 303, "{}", changed.body);
        assert_eq!(cancel(&mut town, &db).await.0, 303);
        let account = town.admin.get(&town.alpha.clone()).await.body;
        assert!(!account.contains("Updating"), "{account}");

        let keys: Vec<(String,)> =
            sqlx::query_as("SELECT resource FROM jobs WHERE state = 'cancelled' ORDER BY resource").fetch_all(db.read()).await.unwrap();
        assert_eq!(keys.len(), 2);
        let mut tx = db.write().await.unwrap();
        for (key,) in &keys {
            let finding = shared::events::DriftFinding {
                resource: key.parse().unwrap(),
                generation: shared::jobs::Generation(1),
                since_ms: 1_790_000_000_000,
                differences: vec![shared::difference::Difference::File { path: "/etc/x".to_owned(), diff: "-x\n".to_owned() }],
            };
            web::store::drift::drift_apply_in_tx(&mut tx, town.server, &finding).await.unwrap().unwrap();
        }
        tx.commit().await.unwrap();
        for (key,) in &keys {
            let answer = town.admin.post("/drift/repair", &[("resource", key)]).await;
            assert_eq!(answer.status, 303, "{key}: {}", answer.body);
        }
        let repairs = open_jobs(&db).await;
        assert!(repairs.iter().all(|job| job.generation.0 == 3), "a number is never used twice");
        let mut tx = db.write().await.unwrap();
        for job in &repairs {
            resource_applied_in_tx(&mut tx, job.resource, job.generation, &job.job).await.unwrap();
        }
        tx.commit().await.unwrap();
    })
    .await;
}

#[tokio::test]
async fn what_an_account_asks_for_later_goes_out_after_what_was_moved_back() {
    on_each(async |db| {
        let mut town = Town::over(TestApp::over(db.clone())).await;
        town.site("first.example.com").await;
        let first = newest(&db).await;
        assert_eq!(town.admin.post(&format!("/operations/{first}/later"), &[]).await.status, 303);
        town.site("second.example.com").await;
        let queued = job_queue(&db, town.server).await.unwrap().queued;
        let mut by_age: Vec<_> = queued.iter().map(|job| job.id).collect();
        by_age.sort_unstable();
        assert_eq!(queued.iter().map(|job| job.id).collect::<Vec<_>>(), by_age);
    })
    .await;
}
