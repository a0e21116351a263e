//! Servers that were deleted: whoever had their keys is shut out of the bus for good.

use shared::ids::ServerId;
use shared::names::ServerName;
use sqlx::Row;

use super::revocation::revocation_insert_in_tx;
use super::{Db, StoreError, Tx, now_ms, parse};

/// A server that was deleted.
#[derive(Debug, Clone)]
pub struct EndedServer {
    /// Its name.
    pub name: ServerName,
    /// The stream that carried its jobs.
    pub stream: String,
    /// Whether dispatch has ended what it had on the bus.
    pub closed: bool,
}

/// Deletes a server with its tokens, and revokes its worker's key. False, and nothing is changed, while accounts live there.
///
/// # Errors
/// The database fails.
pub async fn server_end_in_tx(tx: &mut Tx, id: ServerId) -> Result<bool, StoreError> {
    let (server, id, now) = (id, id.to_string(), now_ms());
    let lived_on =
        sqlx::query("SELECT 1 AS one FROM account_servers WHERE server_id = $1 LIMIT 1").bind(&id).fetch_optional(&mut **tx).await?;
    if lived_on.is_some() {
        return Ok(false);
    }
    revocation_insert_in_tx(tx, server, None).await?;
    sqlx::query(
        "INSERT INTO ended_servers (name, stream, at_ms) SELECT name, stream, CAST($1 AS BIGINT) FROM servers WHERE id = $2 \
         ON CONFLICT (name) DO NOTHING",
    )
    .bind(now)
    .bind(&id)
    .execute(&mut **tx)
    .await?;
    let done = sqlx::query("DELETE FROM servers WHERE id = $1").bind(&id).execute(&mut **tx).await?;
    Ok(done.rows_affected() == 1)
}

/// Whether a server of this name was given up, and what lies on the bus for it is not removed yet: another of its name would be
/// handed that.
///
/// # Errors
/// The database fails.
pub async fn ended_server_is_leaving_in_tx(tx: &mut Tx, name: &ServerName) -> Result<bool, StoreError> {
    let row = sqlx::query("SELECT 1 AS one FROM ended_servers WHERE name = $1 AND given_up = 1 AND closed_ms IS NULL")
        .bind(name.as_str())
        .fetch_optional(&mut **tx)
        .await?;
    Ok(row.is_some())
}

/// A name that was ended is in use again.
///
/// # Errors
/// The database fails.
pub async fn ended_server_forget_in_tx(tx: &mut Tx, name: &ServerName) -> Result<(), StoreError> {
    sqlx::query("DELETE FROM ended_servers WHERE name = $1").bind(name.as_str()).execute(&mut **tx).await?;
    Ok(())
}

/// All of them by name.
///
/// # Errors
/// The database fails.
pub async fn ended_server_list(db: &Db) -> Result<Vec<EndedServer>, StoreError> {
    let rows = sqlx::query("SELECT name, stream, closed_ms FROM ended_servers ORDER BY name").fetch_all(db.read()).await?;
    rows.iter()
        .map(|row| {
            Ok(EndedServer {
                name: parse("ended_servers.name", row.try_get("name")?)?,
                stream: row.try_get("stream")?,
                closed: row.try_get::<Option<i64>, _>("closed_ms")?.is_some(),
            })
        })
        .collect()
}

/// What one had on the bus has been ended.
///
/// # Errors
/// The database fails.
pub async fn ended_server_mark_closed(db: &Db, name: &ServerName) -> Result<(), StoreError> {
    let mut tx = db.write().await?;
    sqlx::query("UPDATE ended_servers SET closed_ms = $1 WHERE name = $2").bind(now_ms()).bind(name.as_str()).execute(&mut *tx).await?;
    tx.commit().await?;
    Ok(())
}
