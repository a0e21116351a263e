//! What two processes do to one row at the same time.

use shared::operation::{JobState, OperationState};
use web::store::job::{Ending, JobRow, job_end_in_tx};
use web::store::lease::{lease_release, lease_take};
use web::store::operation::{operation_fetch, operation_settle_in_tx};
use web::store::{Db, Tx};

use crate::support::app::TestApp;
use crate::support::db::on_each;
use crate::support::fleet::{Town, open_jobs};

/// Ends a job as its outcome does, and leaves the transaction open.
async fn end(db: &Db, job: &JobRow) -> Tx {
    let mut tx = db.write().await.unwrap();
    let ending = Ending { state: JobState::Done, steps: &[], failure: None, effect: None, detail: "", took_ms: 1 };
    assert!(job_end_in_tx(&mut tx, job, &ending).await.unwrap());
    operation_settle_in_tx(&mut tx, job.operation_id).await.unwrap();
    tx
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
        // It is at the row that the first one holds, or before it; either way it goes on when the first has ended.
        tokio::time::sleep(std::time::Duration::from_millis(200)).await;
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
