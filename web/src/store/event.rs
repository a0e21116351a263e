//! Events of workers that were applied already.

use shared::ids::EventId;

use super::{Db, StoreError, Tx, now_ms};

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

/// Forgets events from before a moment.
///
/// # Errors
/// The database fails.
pub async fn event_forget_before(db: &Db, before_ms: i64) -> Result<(), StoreError> {
    let mut tx = db.write().await?;
    sqlx::query("DELETE FROM events_seen WHERE at_ms < $1").bind(before_ms).execute(&mut *tx).await?;
    tx.commit().await?;
    Ok(())
}
