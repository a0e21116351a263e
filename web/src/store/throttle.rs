//! Failed sign-ins, by key. What they mean is `auth::throttle`'s business.

use sqlx::Row;

use super::{StoreError, Tx, now_ms};

/// Failures of one key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Failures {
    /// How many in a row.
    pub count: i64,
    /// When the newest was.
    pub last_ms: i64,
}

/// The failures of a key, locked until the transaction ends.
///
/// # Errors
/// The database fails.
pub async fn throttle_lock_in_tx(tx: &mut Tx, key: &str) -> Result<Failures, StoreError> {
    sqlx::query("INSERT INTO throttles (key, failures, last_ms) VALUES ($1, 0, 0) ON CONFLICT (key) DO UPDATE SET key = excluded.key")
        .bind(key)
        .execute(&mut **tx)
        .await?;
    let row = sqlx::query("SELECT failures, last_ms FROM throttles WHERE key = $1").bind(key).fetch_one(&mut **tx).await?;
    Ok(Failures { count: row.try_get("failures")?, last_ms: row.try_get("last_ms")? })
}

/// Writes a key's failures, as of now.
///
/// # Errors
/// The database fails.
pub async fn throttle_set_in_tx(tx: &mut Tx, key: &str, count: i64) -> Result<(), StoreError> {
    sqlx::query("UPDATE throttles SET failures = $1, last_ms = $2 WHERE key = $3")
        .bind(count)
        .bind(now_ms())
        .bind(key)
        .execute(&mut **tx)
        .await?;
    Ok(())
}

/// Takes back one failure: the attempt that was counted has turned out well.
///
/// # Errors
/// The database fails.
pub async fn throttle_forgive_in_tx(tx: &mut Tx, key: &str) -> Result<(), StoreError> {
    sqlx::query("UPDATE throttles SET failures = CASE WHEN failures > 0 THEN failures - 1 ELSE 0 END WHERE key = $1")
        .bind(key)
        .execute(&mut **tx)
        .await?;
    Ok(())
}

/// Forgets a key.
///
/// # Errors
/// The database fails.
pub async fn throttle_clear_in_tx(tx: &mut Tx, key: &str) -> Result<(), StoreError> {
    sqlx::query("DELETE FROM throttles WHERE key = $1").bind(key).execute(&mut **tx).await?;
    Ok(())
}

/// Removes keys of which nothing was heard since a moment. Returns how many.
///
/// # Errors
/// The database fails.
pub async fn throttle_delete_older_in_tx(tx: &mut Tx, before_ms: i64) -> Result<u64, StoreError> {
    Ok(sqlx::query("DELETE FROM throttles WHERE last_ms < $1").bind(before_ms).execute(&mut **tx).await?.rows_affected())
}
