//! Keys of workers that are worth nothing any more.

use shared::bus::credentials::Revocation;
use shared::ids::ServerId;
use shared::names::ServerName;
use sqlx::Row;

use super::{Db, StoreError, Tx, now_ms};

/// Revokes the key of a server's worker, unless it is the one that stays: what was signed for it up to now. A key that
/// was revoked before and let in again is revoked anew.
///
/// # Errors
/// The database fails.
pub async fn revocation_insert_in_tx(tx: &mut Tx, server: ServerId, stays: Option<&str>) -> Result<(), StoreError> {
    sqlx::query(
        "INSERT INTO revocations (public_key, server_name, at_ms) SELECT public_key, name, CAST($1 AS BIGINT) FROM servers \
         WHERE id = $2 AND public_key IS NOT NULL AND public_key <> $3 ON CONFLICT (public_key) DO UPDATE SET at_ms = excluded.at_ms",
    )
    .bind(now_ms())
    .bind(server.to_string())
    .bind(stays.unwrap_or_default())
    .execute(&mut **tx)
    .await?;
    Ok(())
}

/// The revoked keys of the servers that had this name.
///
/// # Errors
/// The database fails.
pub async fn revocation_list(db: &Db, server: &ServerName) -> Result<Vec<Revocation>, StoreError> {
    let rows = sqlx::query("SELECT public_key, at_ms FROM revocations WHERE server_name = $1 ORDER BY public_key")
        .bind(server.as_str())
        .fetch_all(db.read())
        .await?;
    rows.iter()
        .map(|row| {
            let at_ms: i64 = row.try_get("at_ms")?;
            // Rounded up, so that a credential made in the same second is covered.
            Ok(Revocation { public_key: row.try_get("public_key")?, at_s: at_ms / 1000 + 1 })
        })
        .collect()
}
