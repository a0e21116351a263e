//! How earlier tries of a job ended, kept until its outcome tells them.

use shared::events::{Outcome, Verdict};
use shared::record::Try;
use sqlx::SqlitePool;
use sqlx::sqlite::SqliteConnection;

use crate::store::{StoreError, decode, encode};
use crate::system::cut;

/// Of each step's and each try's words so much is kept, in bytes: a record has a few tries, each of a dozen steps.
const MOST_TEXT: usize = 1024;

/// Keeps a try that failed, as the n-th.
pub(crate) async fn try_keep(connection: &mut SqliteConnection, number: u32, outcome: &Outcome) -> Result<(), StoreError> {
    let Verdict::Failed { code, detail, .. } = &outcome.verdict else { return Ok(()) };
    let mut steps = outcome.steps.clone();
    for step in &mut steps {
        step.detail = cut(std::mem::take(&mut step.detail), MOST_TEXT);
    }
    let took_ms = u64::try_from(outcome.finished_ms - outcome.started_ms).unwrap_or(0);
    let one = Try { code: *code, detail: cut(detail.clone(), MOST_TEXT), steps, took_ms };
    sqlx::query("INSERT OR REPLACE INTO tries (job, attempt, number, what) VALUES (?, ?, ?, ?)")
        .bind(outcome.job.to_string())
        .bind(i64::from(outcome.attempt))
        .bind(i64::from(number))
        .bind(encode(&one)?)
        .execute(connection)
        .await?;
    Ok(())
}

/// Puts the earlier tries into the outcome that ends their job, and forgets them.
pub(crate) async fn tries_tell(connection: &mut SqliteConnection, outcome: &mut Outcome) -> Result<(), StoreError> {
    let job = outcome.job.to_string();
    let kept: Vec<String> = sqlx::query_scalar("SELECT what FROM tries WHERE job = ? AND attempt = ? ORDER BY number")
        .bind(&job)
        .bind(i64::from(outcome.attempt))
        .fetch_all(&mut *connection)
        .await?;
    if !kept.is_empty() {
        let tries = kept.iter().map(|one| decode("tries", one)).collect::<Result<Vec<Try>, _>>()?;
        let record = outcome.record.get_or_insert_default();
        record.begun = record.begun.max(u32::try_from(tries.len()).unwrap_or(u32::MAX).saturating_add(1));
        record.tries = tries;
    }
    sqlx::query("DELETE FROM tries WHERE job = ? AND attempt <= ?").bind(job).bind(i64::from(outcome.attempt)).execute(connection).await?;
    Ok(())
}

/// Forgets those of jobs that wait no more.
pub(crate) async fn tries_forget(pool: &SqlitePool) -> Result<(), sqlx::Error> {
    sqlx::query("DELETE FROM tries WHERE job NOT IN (SELECT job FROM inbox)").execute(pool).await?;
    Ok(())
}

#[cfg(test)]
#[cfg(feature = "testing")]
mod tests {
    use shared::events::{StepState, Verdict};
    use shared::failure::FailureCode;

    use crate::executor::tests::{Scene, tenants};

    #[tokio::test]
    async fn the_outcome_of_a_job_tells_every_try_with_its_steps_and_its_reason() {
        let (scene, [tenant]) = (Scene::new().await, tenants());
        let pool = &scene.worker.store.pool;
        let site = tenant.site(0);
        scene
            .work(async || {
                let past = [tenant.account(), tenant.pool()];
                scene.hand_over(&past).await;
                scene.applied(&past).await;
                // What it has refused needs no undoing.
                scene.host.refuse_reloads_for(2);
                scene.hand_over(std::slice::from_ref(&site)).await;
                let outcome = scene.outcome(&site).await;
                assert_eq!(outcome.verdict, Verdict::Applied);
                let record = outcome.record.unwrap();
                assert_eq!((record.begun, record.tries.len()), (3, 2));
                for one in record.tries {
                    assert_eq!(one.code, FailureCode::ServiceDown);
                    assert!(one.detail.contains("made to refuse"), "{}", one.detail);
                    let failed = one.steps.iter().find(|step| step.state == StepState::Failed).unwrap();
                    assert!(failed.name == "Reload" && failed.detail.contains("made to refuse"), "{failed:?}");
                }
            })
            .await;
        let left: i64 = sqlx::query_scalar("SELECT COUNT(*) FROM tries").fetch_one(pool).await.unwrap();
        assert_eq!(left, 0);
    }
}
