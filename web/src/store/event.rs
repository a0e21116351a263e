//! Events of workers that were applied already, and how they arrived (see `shared::bus::sending`).

use shared::bus::sending::{Arrival, Seen};
use shared::ids::EventId;
use shared::names::ServerName;
use sqlx::Row;

use super::{Db, StoreError, Tx, now_ms};

/// Remembers how an event of a server arrived, and says what was known of that.
///
/// # Errors
/// The database fails.
pub async fn sending_take_in_tx(tx: &mut Tx, server: &ServerName, arrival: &Arrival) -> Result<Seen, StoreError> {
    let (connection, number) = (arrival.sending.connection.to_string(), i64::from(arrival.sending.number));
    let forgotten = sqlx::query("SELECT number FROM event_sendings_forgotten WHERE server_name = $1 AND connection = $2 AND number >= $3")
        .bind(server.as_str())
        .bind(&connection)
        .bind(number)
        .fetch_optional(&mut **tx)
        .await?;
    if forgotten.is_some() {
        return Ok(Seen::Replayed);
    }
    let first = sqlx::query(
        "INSERT INTO event_sendings (server_name, connection, number, stored_ns, at_ms) VALUES ($1, $2, $3, $4, $5) \
         ON CONFLICT (server_name, connection, number) DO NOTHING",
    )
    .bind(server.as_str())
    .bind(&connection)
    .bind(number)
    .bind(arrival.stored_ns)
    .bind(now_ms())
    .execute(&mut **tx)
    .await?;
    if first.rows_affected() == 1 {
        return Ok(Seen::First);
    }
    let known = sqlx::query("SELECT stored_ns FROM event_sendings WHERE server_name = $1 AND connection = $2 AND number = $3")
        .bind(server.as_str())
        .bind(&connection)
        .bind(number)
        .fetch_one(&mut **tx)
        .await?;
    Ok(if known.try_get::<i64, _>("stored_ns")? == arrival.stored_ns { Seen::Again } else { Seen::Replayed })
}

/// Remembers an event. False if it was seen before.
///
/// # Errors
/// The database fails.
pub async fn event_first_seen_in_tx(tx: &mut Tx, id: EventId) -> Result<bool, StoreError> {
    let done = sqlx::query("INSERT INTO events_seen (id, at_ms) VALUES ($1, $2) ON CONFLICT (id) DO NOTHING")
        .bind(id.to_string())
        .bind(now_ms())
        .execute(&mut **tx)
        .await?;
    Ok(done.rows_affected() == 1)
}

/// Forgets events from before a moment, all but the highest number of each connection of a server that is still there.
///
/// # Errors
/// The database fails.
pub async fn event_forget_before(db: &Db, before_ms: i64) -> Result<(), StoreError> {
    let mut tx = db.write().await?;
    sqlx::query("DELETE FROM events_seen WHERE at_ms < $1").bind(before_ms).execute(&mut *tx).await?;
    sqlx::query(
        "INSERT INTO event_sendings_forgotten (server_name, connection, number) \
         SELECT server_name, connection, MAX(number) FROM event_sendings WHERE at_ms < $1 GROUP BY server_name, connection \
         ON CONFLICT (server_name, connection) DO UPDATE SET number = excluded.number \
         WHERE excluded.number > event_sendings_forgotten.number",
    )
    .bind(before_ms)
    .execute(&mut *tx)
    .await?;
    sqlx::query("DELETE FROM event_sendings WHERE at_ms < $1").bind(before_ms).execute(&mut *tx).await?;
    sqlx::query("DELETE FROM event_sendings_forgotten WHERE server_name NOT IN (SELECT name FROM servers)").execute(&mut *tx).await?;
    tx.commit().await?;
    Ok(())
}
