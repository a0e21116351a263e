//! Who is there: a closed connection, and one that is cut without a word.

use sqlx::Row;
use web::store::now_ms;

use super::whole::{Whole, join, until};

/// Whether a server is shown online, when that changed, and when it was heard of last.
async fn seen(whole: &Whole, name: &str) -> (bool, i64, i64) {
    let sql = "SELECT online, COALESCE(changed_ms, 0) AS changed, COALESCE(last_seen_ms, 0) AS heard FROM servers WHERE name = $1";
    let row = sqlx::query(sql).bind(name).fetch_one(whole.app.db().read()).await.unwrap();
    (row.get::<i64, _>("online") != 0, row.get("changed"), row.get("heard"))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_closed_connection_shows_by_the_buss_word_and_not_by_silence() {
    let mut whole = Whole::start().await;
    let closed = now_ms();
    whole.worker.stop().await;
    until("the server is offline", async || (!seen(&whole, "web1").await.0).then_some(())).await;
    let (_, changed, heard) = seen(&whole, "web1").await;
    assert!(changed >= closed, "it was online until then");
    // Silence begins to count after three heartbeats and a half; the rest of the two seconds is the database's.
    assert!(changed - heard < 30_000, "{changed} {heard}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_of_which_nothing_is_heard_for_three_heartbeats_and_a_half_goes_offline() {
    let whole = Whole::start().await;
    for (name, ago_ms) in [("web2", 36_000), ("web3", 30_000)] {
        join(&whole.app, &whole.nats, name).await;
        let mut tx = whole.app.db().write().await.unwrap();
        let sql = "UPDATE servers SET online = 1, last_seen_ms = $1 WHERE name = $2";
        sqlx::query(sql).bind(now_ms() - ago_ms).bind(name).execute(&mut *tx).await.unwrap();
        tx.commit().await.unwrap();
    }
    until("the first is offline", async || (!seen(&whole, "web2").await.0).then_some(())).await;
    let third = seen(&whole, "web3").await;
    assert!(third.0 || now_ms() - third.2 >= 35_000, "two lost heartbeats are none of that");
}
