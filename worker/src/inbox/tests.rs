use shared::ids::{AccountId, Epoch, JobId, OperationId};
use shared::jobs::{AccountLimits, AccountSpec, Generation, Job, JobEnvelope, Presence, ResourceKey, SftpAccess};
use sqlx::sqlite::SqlitePool;

use super::{Received, inbox_postpone, inbox_receive, inbox_step_back, inbox_waiting};
use crate::store::Store;

async fn store() -> (tempfile::TempDir, SqlitePool) {
    let directory = tempfile::TempDir::new().unwrap();
    let store = Store::open(&directory.path().join("worker.db")).await.unwrap();
    (directory, store.pool)
}

/// A job of an account.
pub(crate) fn job(account: AccountId) -> JobEnvelope {
    let spec = AccountSpec {
        user: "shop".parse().unwrap(),
        uid: 200_001.try_into().unwrap(),
        presence: Presence::Active,
        sftp: SftpAccess::default(),
        limits: AccountLimits::default(),
    };
    JobEnvelope {
        v: 1,
        id: JobId::new(),
        operation: OperationId::new(),
        epoch: Epoch::new(),
        server: "web1".parse().unwrap(),
        account,
        resource: ResourceKey::Account(AccountId::new()),
        generation: Generation::FIRST,
        requires: Vec::new(),
        attempt: 1,
        job: Job::Account(spec),
    }
}

async fn keep(pool: &SqlitePool, account: AccountId) -> JobEnvelope {
    let envelope = job(account);
    assert_eq!(inbox_receive(pool, &envelope, None).await.unwrap(), Received::Kept);
    envelope
}

async fn waiting(pool: &SqlitePool) -> Vec<JobId> {
    inbox_waiting(pool).await.unwrap().iter().map(|turn| turn.envelope.id).collect()
}

#[tokio::test]
async fn every_accounts_oldest_job_comes_before_anybodys_second() {
    let (_keep, pool) = store().await;
    let (flood, other) = (AccountId::new(), AccountId::new());
    let mut flooding = Vec::new();
    for _ in 0..40 {
        flooding.push(keep(&pool, flood).await.id);
    }
    let single = keep(&pool, other).await.id;
    let order = waiting(&pool).await;
    assert_eq!(order[..3], [flooding[0], single, flooding[1]]);
    assert_eq!(order.len(), 33);
}

#[tokio::test]
async fn a_job_that_steps_back_goes_behind_the_others_of_its_account() {
    let (_keep, pool) = store().await;
    let account = AccountId::new();
    let (waits, needed) = (keep(&pool, account).await, keep(&pool, account).await);
    inbox_step_back(&pool, &waits, 1_000).await.unwrap();
    let newest = keep(&pool, account).await;
    assert_eq!(waiting(&pool).await, [needed.id, waits.id, newest.id]);
    inbox_postpone(&pool, &needed, 2_000).await.unwrap();
    let first = inbox_waiting(&pool).await.unwrap().swap_remove(0);
    assert_eq!((first.envelope.id, first.not_before_ms, first.tries), (needed.id, 2_000, 1));
}

#[tokio::test]
async fn waiting_for_what_it_builds_on_takes_none_of_a_jobs_tries() {
    let (_keep, pool) = store().await;
    let envelope = keep(&pool, AccountId::new()).await;
    let counts = async || {
        let turn = inbox_waiting(&pool).await.unwrap().swap_remove(0);
        (turn.tries, turn.waits)
    };
    for _ in 0..5 {
        inbox_step_back(&pool, &envelope, 1_000).await.unwrap();
    }
    assert_eq!(counts().await, (0, 5));
    inbox_postpone(&pool, &envelope, 2_000).await.unwrap();
    assert_eq!(counts().await, (1, 5));
    // A Retry begins anew.
    inbox_receive(&pool, &JobEnvelope { attempt: 2, ..envelope.clone() }, None).await.unwrap();
    assert_eq!(counts().await, (0, 0));
}

#[tokio::test]
async fn a_job_that_cannot_be_read_holds_up_nothing() {
    let (_keep, pool) = store().await;
    let unreadable = keep(&pool, AccountId::new()).await;
    sqlx::query("UPDATE inbox SET envelope = '{}' WHERE job = ?").bind(unreadable.id.to_string()).execute(&pool).await.unwrap();
    let good = keep(&pool, AccountId::new()).await;
    assert_eq!(waiting(&pool).await, [good.id]);
    let left: i64 = sqlx::query_scalar("SELECT COUNT(*) FROM inbox").fetch_one(&pool).await.unwrap();
    assert_eq!(left, 1);
}
