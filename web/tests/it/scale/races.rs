//! What two processes do to one row at the same time.

use shared::operation::{JobState, OperationState};
use web::store::job::{Ending, JobRow, job_end_in_tx};
use web::store::lease::{lease_release, lease_take};
use web::store::operation::{operation_fetch, operation_settle_in_tx};
use web::store::{Backend, Db, Tx};

use crate::support::app::TestApp;
use crate::support::db::on_each;
use crate::support::fleet::{Town, open_jobs};

/// Ends a job as its outcome does, and leaves the transaction open.
async fn end(db: &Db, job: &JobRow) -> Tx {
    let mut tx = db.write().await.unwrap();
    let ending = Ending { state: JobState::Done, steps: &[], failure: None, effect: None, detail: "", record: None, took_ms: 1 };
    assert!(job_end_in_tx(&mut tx, job, &ending).await.unwrap());
    operation_settle_in_tx(&mut tx, job.operation_id).await.unwrap();
    tx
}

/// How many others wait for somebody's lock in this PostgreSQL database.
async fn waiting(db: &Db) -> i64 {
    let sql = "SELECT COUNT(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'";
    sqlx::query_scalar(sql).fetch_one(db.read()).await.unwrap()
}

#[tokio::test]
async fn a_request_whose_jobs_end_at_the_same_instant_has_ended() {
    on_each(async |db| {
        let mut town = Town::over(TestApp::over(db.clone())).await;
        town.site("shop.example.com").await;
        let jobs = open_jobs(&db).await;
        let [pool, site] = jobs.as_slice() else { panic!("a pool and a site: {jobs:?}") };
        assert_eq!(pool.operation_id, site.operation_id);
        let first = end(&db, pool).await;
        let (other, job) = (db.clone(), site.clone());
        let second = tokio::spawn(async move { end(&other, &job).await.commit().await.unwrap() });
        // SQLite lets nobody else begin; PostgreSQL lets it come as far as the row that the first one holds.
        while db.backend() == Backend::Postgres && waiting(&db).await == 0 && !second.is_finished() {
            tokio::task::yield_now().await;
        }
        assert!(!second.is_finished());
        first.commit().await.unwrap();
        second.await.unwrap();
        let operation = operation_fetch(&db, pool.operation_id).await.unwrap().unwrap();
        assert_eq!(operation.state, OperationState::Succeeded);
        assert!(operation.finished_ms.is_some());
    })
    .await;
}

#[tokio::test]
async fn of_two_that_want_a_lease_one_has_it_until_it_ends_or_is_given_back() {
    on_each(async |db| {
        let now = db.clock_ms().await.unwrap();
        let take = async |holder, at| lease_take(&db, "dispatch", holder, at, 10_000).await.unwrap();
        assert!(take("one", now).await && take("one", now + 5_000).await);
        assert!(!take("two", now + 14_000).await, "it was renewed");
        assert!(take("two", now + 15_001).await && !take("one", now + 15_002).await);
        lease_release(&db, "dispatch", "one").await.unwrap();
        assert!(!take("one", now + 15_003).await, "only who has it gives it back");
        lease_release(&db, "dispatch", "two").await.unwrap();
        assert!(take("one", now + 15_004).await);
    })
    .await;
}
