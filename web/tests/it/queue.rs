//! The queue: coalescing, progress, and what outcomes do to resources.

use shared::events::{Progress, StepReport, StepState};
use shared::jobs::{Generation, ResourceKey};
use shared::operation::{JobEvent, JobState};
use web::dispatch::scheduler::fair_window;
use web::store::job::{job_advance_in_tx, job_fetch_in_tx};
use web::store::job_progress::job_progress_in_tx;
use web::store::job_queue::{job_list_applied, job_list_silent, job_queue, job_resend_in_tx};
use web::store::operation::operation_settle_in_tx;
use web::store::resource::{resource_applied_in_tx, resource_failed_in_tx};

use crate::support::app::TestApp;
use crate::support::db::on_each;
use crate::support::fleet::{Town, fail_all, news, open_jobs};

fn steps(state: StepState) -> Vec<StepReport> {
    vec![StepReport { name: "nginx test".to_owned(), state, ms: None, detail: String::new(), shared_with: 0 }]
}

#[tokio::test]
async fn a_newer_state_takes_the_place_of_one_that_was_not_sent() {
    on_each(async |db| {
        let mut town = Town::over(TestApp::over(db.clone())).await;
        let site = town.site("shop.example.com").await;
        town.alice.post(&format!("{site}/edit"), &[("php", "8.2"), ("aliases", "www.shop.example.com")]).await;
        let jobs = open_jobs(&db).await;
        assert_eq!(
            jobs.iter().filter(|job| matches!(job.resource, ResourceKey::Site(_))).map(|job| job.generation).collect::<Vec<_>>(),
            [Generation(2)]
        );
    })
    .await;
}

#[tokio::test]
async fn progress_never_goes_backwards_and_never_wakes_an_ended_job() {
    on_each(async |db| {
        let mut town = Town::over(TestApp::over(db.clone())).await;
        town.site("shop.example.com").await;
        let job = open_jobs(&db).await.remove(0);
        let mut tx = db.write().await.unwrap();
        assert!(job_progress_in_tx(&mut tx, &news(&job, 2, steps(StepState::Done))).await.unwrap());
        assert!(!job_progress_in_tx(&mut tx, &news(&job, 1, steps(StepState::Running))).await.unwrap());
        let other = Progress { attempt: 2, ..news(&job, 9, steps(StepState::Running)) };
        assert!(!job_progress_in_tx(&mut tx, &other).await.unwrap(), "of another attempt");
        let now = job_fetch_in_tx(&mut tx, job.id).await.unwrap().unwrap();
        assert_eq!((now.state, now.steps.clone()), (JobState::Working, steps(StepState::Done)));
        assert_eq!(job_advance_in_tx(&mut tx, &job, JobEvent::Applied).await.unwrap(), None, "read before it moved");
        assert_eq!(job_advance_in_tx(&mut tx, &now, JobEvent::Applied).await.unwrap(), Some(JobState::Done));
        assert!(!job_progress_in_tx(&mut tx, &news(&job, 9, steps(StepState::Running))).await.unwrap());
        let ended = job_fetch_in_tx(&mut tx, job.id).await.unwrap().unwrap();
        assert_eq!(job_advance_in_tx(&mut tx, &ended, JobEvent::Failed).await.unwrap(), None);
        tx.commit().await.unwrap();
    })
    .await;
}

#[tokio::test]
async fn a_blocked_job_says_what_it_waits_for_to_admins_only_and_goes_on_by_itself() {
    on_each(async |db| {
        let mut town = Town::over(TestApp::over(db.clone())).await;
        let site = town.site("shop.example.com").await;
        let job = open_jobs(&db).await.into_iter().find(|job| matches!(job.resource, ResourceKey::Site(_))).unwrap();
        let said = "[emerg] unknown directive \"x\" in /etc/nginx/conf.d/by-hand.conf:3";
        let waits = Progress { blocked: Some(said.to_owned()), ..news(&job, 1, steps(StepState::Waiting)) };
        let mut tx = db.write().await.unwrap();
        assert!(job_progress_in_tx(&mut tx, &waits).await.unwrap());
        operation_settle_in_tx(&mut tx, job.operation_id).await.unwrap();
        tx.commit().await.unwrap();
        let operation = format!("/operations/{}", job.operation_id);
        for page in [site.as_str(), "/sites", operation.as_str(), "/operations"] {
            let told = town.admin.get(page).await.body;
            assert!(told.contains("Waiting: /etc/nginx/conf.d/by-hand.conf, line 3: unknown directive"), "{page}: {told}");
            let told = town.alice.get(page).await.body;
            assert!(told.contains("has an error that is not yours") && !told.contains("by-hand"), "{page}: {told}");
        }

        let mut tx = db.write().await.unwrap();
        assert!(job_progress_in_tx(&mut tx, &news(&job, 2, steps(StepState::Running))).await.unwrap());
        tx.commit().await.unwrap();
        assert!(!town.admin.get(&site).await.body.contains("by-hand"));
    })
    .await;
}

#[tokio::test]
async fn only_the_newest_generation_moves_the_badge_and_applied_never_goes_back() {
    on_each(async |db| {
        let mut town = Town::over(TestApp::over(db.clone())).await;
        let site = town.site("shop.example.com").await;
        let first = open_jobs(&db).await.into_iter().find(|job| matches!(job.resource, ResourceKey::Site(_))).unwrap();
        town.alice.post(&format!("{site}/edit"), &[("php", "8.2"), ("document_root", "shop.example.com/public")]).await;
        let second = open_jobs(&db).await.into_iter().find(|job| matches!(job.resource, ResourceKey::Site(_))).unwrap();
        let state = async || {
            let row: (String, i64) = sqlx::query_as("SELECT state, applied_generation FROM sites").fetch_one(db.read()).await.unwrap();
            row
        };
        let mut tx = db.write().await.unwrap();
        resource_applied_in_tx(&mut tx, first.resource, first.generation, &first.job).await.unwrap();
        resource_failed_in_tx(&mut tx, first.resource, first.generation).await.unwrap();
        tx.commit().await.unwrap();
        assert_eq!(state().await, ("provisioning".to_owned(), 1), "the newer one is still on its way");
        let mut tx = db.write().await.unwrap();
        resource_applied_in_tx(&mut tx, second.resource, second.generation, &second.job).await.unwrap();
        resource_applied_in_tx(&mut tx, first.resource, first.generation, &first.job).await.unwrap();
        tx.commit().await.unwrap();
        assert_eq!(state().await, ("active".to_owned(), 2));
    })
    .await;
}

#[tokio::test]
async fn a_queued_job_that_cannot_be_read_holds_up_no_other() {
    on_each(async |db| {
        let mut town = Town::over(TestApp::over(db.clone())).await;
        town.site("broken.example.com").await;
        let other = town.site("other.example.net").await;
        let mut tx = db.write().await.unwrap();
        sqlx::query("UPDATE jobs SET job = '{}' WHERE operation_id IN (SELECT id FROM operations WHERE subject = 'broken.example.com')")
            .execute(&mut *tx)
            .await
            .unwrap();
        tx.commit().await.unwrap();
        let queue = job_queue(&db, town.server).await.unwrap();
        let sites: Vec<ResourceKey> = queue.queued.iter().map(|job| job.resource).collect();
        assert_eq!(sites, [ResourceKey::Site(Town::id(&other).parse().unwrap())]);
    })
    .await;
}

#[tokio::test]
async fn what_a_host_has_lost_is_sent_in_an_order_in_which_nothing_waits_for_what_is_not_sent() {
    on_each(async |db| {
        let mut town = Town::over(TestApp::over(db.clone())).await;
        for n in 0..20 {
            town.site(&format!("shop{n}.example.com")).await;
        }
        town.apply_all().await;
        // The account's newest job is younger than those of the sites that need it.
        assert_eq!(town.alice.post(&format!("{}/sftp-password", town.alpha), &[]).await.status, 200);
        town.apply_all().await;
        let mut tx = db.write().await.unwrap();
        for job in job_list_applied(&mut tx, town.server).await.unwrap() {
            job_resend_in_tx(&mut tx, &job).await.unwrap();
        }
        tx.commit().await.unwrap();
        let queue = job_queue(&db, town.server).await.unwrap();
        assert_eq!(queue.queued.len(), 23, "two accounts, a pool and the sites");
        let window = fair_window(&queue);
        for job in queue.queued.iter().filter(|job| window.contains(&job.id)) {
            for requirement in &job.requires {
                let needed = queue.queued.iter().find(|other| other.resource == requirement.resource).unwrap();
                assert!(window.contains(&needed.id), "{} waits for {}", job.resource, needed.resource);
            }
        }
    })
    .await;
}

#[tokio::test]
async fn what_a_host_should_serve_is_the_newest_that_was_applied_and_nothing_that_is_to_go() {
    on_each(async |db| {
        let mut town = Town::over(TestApp::over(db.clone())).await;
        let (kept, doomed) = (town.site("kept.example.com").await, town.site("doomed.example.net").await);
        town.apply_all().await;
        town.alice.post(&format!("{kept}/edit"), &[("php", "8.2"), ("aliases", "www.kept.example.com")]).await;
        town.alice.post(&format!("{doomed}/delete"), &[("confirm", "doomed.example.net")]).await;
        fail_all(&db).await;
        let mut tx = db.write().await.unwrap();
        let applied = job_list_applied(&mut tx, town.server).await.unwrap();
        let sites: Vec<(ResourceKey, Generation)> =
            applied.iter().map(|job| (job.resource, job.generation)).filter(|(key, _)| matches!(key, ResourceKey::Site(_))).collect();
        assert_eq!(sites, [(ResourceKey::Site(Town::id(&kept).parse().unwrap()), Generation(1))]);
    })
    .await;
}

#[tokio::test]
async fn a_silent_job_is_seen_beside_those_of_servers_that_are_offline_and_those_that_cannot_be_read() {
    on_each(async |db| {
        let mut town = Town::over(TestApp::over(db.clone())).await;
        for domain in ["one.example.com", "two.example.com"] {
            town.site(domain).await;
        }
        let jobs = open_jobs(&db).await;
        let mut tx = db.write().await.unwrap();
        sqlx::query("UPDATE jobs SET state = 'sent', sent_ms = 1 WHERE state = 'queued'").execute(&mut *tx).await.unwrap();
        sqlx::query("UPDATE jobs SET job = '{' WHERE id = $1").bind(jobs[0].id.to_string()).execute(&mut *tx).await.unwrap();
        tx.commit().await.unwrap();
        let silent = async || job_list_silent(&db, 1_000_000, 1000).await.unwrap().into_iter().map(|job| job.id).collect::<Vec<_>>();
        assert_eq!(silent().await, jobs[1..].iter().map(|job| job.id).collect::<Vec<_>>());
        let mut tx = db.write().await.unwrap();
        sqlx::query("UPDATE servers SET online = 0").execute(&mut *tx).await.unwrap();
        tx.commit().await.unwrap();
        assert_eq!(silent().await, [], "they wait on the bus, and take no place in the sweep");
    })
    .await;
}
