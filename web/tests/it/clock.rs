//! Clocks that are wrong, or are set: nothing waits for a moment that is a day away (F-60).

use web::store::job_queue::job_list_silent;
use web::store::lease::lease_take;
use web::store::now_ms;
use web::store::server::server_list_silent;

use crate::support::app::TestApp;
use crate::support::db::on_each;
use crate::support::fleet::{Town, open_jobs};

const DAY_MS: i64 = 24 * 3600 * 1000;
const MINUTE_MS: i64 = 60 * 1000;

#[tokio::test]
async fn f60_a_job_that_was_sent_before_the_clock_was_set_back_is_sent_again_if_nothing_is_heard_of_it() {
    on_each(async |db| {
        let mut town = Town::over(TestApp::over(db.clone())).await;
        town.site("shop.example.com").await;
        let now = now_ms();
        for (sent, silent) in [(now - 5 * MINUTE_MS, true), (now, false), (now + DAY_MS, true)] {
            let mut tx = db.write().await.unwrap();
            sqlx::query("UPDATE jobs SET state = 'sent', sent_ms = $1 WHERE state <> 'done'").bind(sent).execute(&mut *tx).await.unwrap();
            tx.commit().await.unwrap();
            let heard = job_list_silent(&db, now, MINUTE_MS).await.unwrap();
            assert_eq!(heard.len(), if silent { open_jobs(&db).await.len() } else { 0 }, "sent {} ms from now", sent - now);
        }
    })
    .await;
}

#[tokio::test]
async fn f60_a_server_that_was_seen_before_the_clock_was_set_back_has_to_be_seen_again() {
    on_each(async |db| {
        let town = Town::over(TestApp::over(db.clone())).await;
        let now = now_ms();
        for (seen, silent) in [(now - 5 * MINUTE_MS, true), (now, false), (now + DAY_MS, true)] {
            let mut tx = db.write().await.unwrap();
            sqlx::query("UPDATE servers SET last_seen_ms = $1").bind(seen).execute(&mut *tx).await.unwrap();
            tx.commit().await.unwrap();
            let expected = if silent { vec![town.server] } else { Vec::new() };
            assert_eq!(server_list_silent(&db, now, MINUTE_MS).await.unwrap(), expected, "seen {} ms from now", seen - now);
        }
    })
    .await;
}

#[tokio::test]
async fn f60_a_lease_lasts_its_time_and_not_until_a_wrong_clock_says_so() {
    on_each(async |db| {
        let (now, ttl) = (now_ms(), 10_000);
        let take = async |holder: &str, now: i64| lease_take(&db, "dispatch", holder, now, ttl).await.unwrap();
        assert!(take("first", now).await);
        assert!(!take("second", now + ttl / 2).await, "it is held");
        assert!(take("second", now + ttl + 1).await, "it has ended");
        // A machine whose clock is a day ahead takes it, and dies.
        assert!(take("ahead", now + DAY_MS).await);
        assert!(take("first", now + ttl).await, "nobody waits a day for it");
    })
    .await;
}
