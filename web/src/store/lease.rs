//! Leases: of several dispatch processes one leads.

use super::{Db, StoreError};

/// A lease that ends later than so many lives from now was taken by a clock that was ahead: its holder's was set right since, or
/// is not this machine's. Whoever really holds it takes it back at its next renewal; two that lead for a moment do no harm.
const LIVES: i64 = 10;

/// Takes or renews a lease. True if `holder` has it until `now + ttl`.
///
/// # Errors
/// The database fails.
pub async fn lease_take(db: &Db, name: &str, holder: &str, now_ms: i64, ttl_ms: i64) -> Result<bool, StoreError> {
    let mut tx = db.write().await?;
    let done = sqlx::query(
        "INSERT INTO leases (name, holder, expires_ms) VALUES ($1, $2, $3) \
         ON CONFLICT (name) DO UPDATE SET holder = excluded.holder, expires_ms = excluded.expires_ms \
         WHERE leases.holder = excluded.holder OR leases.expires_ms < $4 OR leases.expires_ms > $5",
    )
    .bind(name)
    .bind(holder)
    .bind(now_ms + ttl_ms)
    .bind(now_ms)
    .bind(now_ms + LIVES * ttl_ms)
    .execute(&mut *tx)
    .await?;
    tx.commit().await?;
    Ok(done.rows_affected() == 1)
}

/// Gives a lease back, so that another process need not wait for it to expire.
///
/// # Errors
/// The database fails.
pub async fn lease_release(db: &Db, name: &str, holder: &str) -> Result<(), StoreError> {
    let mut tx = db.write().await?;
    sqlx::query("DELETE FROM leases WHERE name = $1 AND holder = $2").bind(name).bind(holder).execute(&mut *tx).await?;
    tx.commit().await?;
    Ok(())
}
