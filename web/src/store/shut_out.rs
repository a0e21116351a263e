//! Workers that an admin shuts out while their server stays.

use shared::ids::ServerId;

use super::revocation::revocation_insert_in_tx;
use super::server::{ServerRow, server_columns};
use super::{Db, StoreError, Tx, now_ms};

/// Revokes the key of a server's worker and ends its tokens, also one that a worker has just used and has no answer for. False, and nothing is changed, if no worker has joined.
///
/// # Errors
/// The database fails.
pub async fn server_shut_out_in_tx(tx: &mut Tx, id: ServerId) -> Result<bool, StoreError> {
    revocation_insert_in_tx(tx, id, None).await?;
    let (id, now) = (id.to_string(), now_ms());
    let done = sqlx::query(
        "UPDATE servers SET public_key = NULL, online = 0, changed_ms = CASE WHEN online = 1 THEN $1 ELSE changed_ms END, \
         shut_out_ms = $1, shut_out_told = 0 WHERE id = $2 AND public_key IS NOT NULL",
    )
    .bind(now)
    .bind(&id)
    .execute(&mut **tx)
    .await?;
    sqlx::query("UPDATE enrolments SET expires_ms = $1 WHERE server_id = $2 AND reply IS NULL AND expires_ms > $1")
        .bind(now)
        .bind(&id)
        .execute(&mut **tx)
        .await?;
    Ok(done.rows_affected() == 1)
}

/// The servers whose workers are shut out, and of which the bus does not know that yet.
///
/// # Errors
/// The database fails.
pub async fn server_list_shut_out(db: &Db) -> Result<Vec<ServerRow>, StoreError> {
    let rows = sqlx::query(concat!("SELECT ", server_columns!(), " FROM servers WHERE shut_out_ms IS NOT NULL AND shut_out_told = 0"))
        .fetch_all(db.read())
        .await?;
    rows.iter().map(ServerRow::try_from).collect()
}

/// The bus knows.
///
/// # Errors
/// The database fails.
pub async fn server_mark_shut_out(db: &Db, server: &ServerRow) -> Result<(), StoreError> {
    let mut tx = db.write().await?;
    sqlx::query("UPDATE servers SET shut_out_told = 1 WHERE id = $1 AND shut_out_ms = $2")
        .bind(server.id.to_string())
        .bind(server.shut_out_ms)
        .execute(&mut *tx)
        .await?;
    tx.commit().await?;
    Ok(())
}
