//! What this worker remembers of the jobs it was given, so that one that somebody stores again is told (see `shared::bus::sending`).

use shared::bus::sending::{Arrival, Seen};
use sqlx::sqlite::{SqliteConnection, SqlitePool};
use sqlx::{Connection, Row};

/// Remembers an arrival, and says what was known of it. Part of the transaction that keeps the job.
///
/// # Errors
/// The database fails.
pub(crate) async fn sending_take(connection: &mut SqliteConnection, arrival: &Arrival, now_ms: i64) -> Result<Seen, sqlx::Error> {
    let (sender, number) = (arrival.sending.connection.to_string(), i64::from(arrival.sending.number));
    let forgotten = sqlx::query("SELECT number FROM sendings_forgotten WHERE connection = ? AND number >= ?")
        .bind(&sender)
        .bind(number)
        .fetch_optional(&mut *connection)
        .await?;
    if forgotten.is_some() {
        return Ok(Seen::Replayed);
    }
    let first = sqlx::query("INSERT INTO sendings (connection, number, stored_ns, at_ms) VALUES (?, ?, ?, ?) ON CONFLICT DO NOTHING")
        .bind(&sender)
        .bind(number)
        .bind(arrival.stored_ns)
        .bind(now_ms)
        .execute(&mut *connection)
        .await?;
    if first.rows_affected() == 1 {
        return Ok(Seen::First);
    }
    let known = sqlx::query("SELECT stored_ns FROM sendings WHERE connection = ? AND number = ?")
        .bind(&sender)
        .bind(number)
        .fetch_one(&mut *connection)
        .await?;
    Ok(if known.get::<i64, _>("stored_ns") == arrival.stored_ns { Seen::Again } else { Seen::Replayed })
}

/// Forgets arrivals from before a moment, all but the highest number of each connection.
///
/// # Errors
/// The database fails.
pub(crate) async fn sendings_forget_before(pool: &SqlitePool, before_ms: i64) -> Result<(), sqlx::Error> {
    let mut connection = pool.acquire().await?;
    let mut tx = connection.begin_with("BEGIN IMMEDIATE").await?;
    sqlx::query(
        "INSERT INTO sendings_forgotten (connection, number) \
         SELECT connection, MAX(number) FROM sendings WHERE at_ms < ? GROUP BY connection \
         ON CONFLICT (connection) DO UPDATE SET number = excluded.number WHERE excluded.number > sendings_forgotten.number",
    )
    .bind(before_ms)
    .execute(&mut *tx)
    .await?;
    sqlx::query("DELETE FROM sendings WHERE at_ms < ?").bind(before_ms).execute(&mut *tx).await?;
    tx.commit().await
}

#[cfg(test)]
mod tests {
    use shared::bus::sending::{Arrival, Seen, Sending};
    use shared::ids::ConnectionId;

    use super::{sending_take, sendings_forget_before};
    use crate::store::Store;

    #[tokio::test]
    async fn a_sending_at_another_place_is_a_replay_also_when_it_was_forgotten() {
        let directory = tempfile::TempDir::new().unwrap();
        let pool = Store::open(&directory.path().join("worker.db")).await.unwrap().pool;
        let connection = ConnectionId::new();
        let arrival = |number, stored_ns| Arrival { sending: Sending { connection, number }, stored_ns };
        let take = async |number, stored_ns, now_ms| {
            sending_take(&mut pool.acquire().await.unwrap(), &arrival(number, stored_ns), now_ms).await.unwrap()
        };
        assert_eq!(take(2, 10, 1_000).await, Seen::First);
        assert_eq!(take(1, 11, 1_000).await, Seen::First, "in any order");
        assert_eq!(take(2, 10, 1_000).await, Seen::Again);
        assert_eq!(take(2, 12, 1_000).await, Seen::Replayed);
        assert_eq!(take(3, 13, 3_000).await, Seen::First);
        sendings_forget_before(&pool, 2_000).await.unwrap();
        assert_eq!(take(2, 14, 4_000).await, Seen::Replayed, "it is forgotten, and not above what was");
        assert_eq!(take(3, 13, 4_000).await, Seen::Again);
        assert_eq!(take(4, 15, 4_000).await, Seen::First);
    }
}
