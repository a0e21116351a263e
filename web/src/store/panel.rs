//! The panel's own row: its epoch and the uid registry.

use shared::ids::Epoch;
use shared::names::Uid;
use sqlx::Row;

use super::{Db, StoreError, Tx, now_ms, parse};

/// The panel's epoch; made at the first start.
///
/// # Errors
/// The database fails.
pub async fn panel_epoch(db: &Db) -> Result<Epoch, StoreError> {
    let mut tx = db.write().await?;
    sqlx::query("INSERT INTO panel (id, epoch, next_uid, created_ms) VALUES (1, $1, $2, $3) ON CONFLICT (id) DO NOTHING")
        .bind(Epoch::new().to_string())
        .bind(i64::from(Uid::FIRST))
        .bind(now_ms())
        .execute(&mut *tx)
        .await?;
    let row = sqlx::query("SELECT epoch FROM panel WHERE id = 1").fetch_one(&mut *tx).await?;
    tx.commit().await?;
    parse("panel.epoch", row.try_get("epoch")?)
}

/// Takes the next uid. No uid is ever given out twice, whatever becomes of its account.
///
/// # Errors
/// The range is used up, or the database fails.
pub async fn uid_take_in_tx(tx: &mut Tx) -> Result<Uid, StoreError> {
    let row = sqlx::query("UPDATE panel SET next_uid = next_uid + 1 WHERE id = 1 RETURNING next_uid").fetch_one(&mut **tx).await?;
    let next: i64 = row.try_get("next_uid")?;
    let taken = u32::try_from(next - 1).unwrap_or(u32::MAX);
    Uid::try_from(taken).map_err(|source| StoreError::Corrupt { column: "panel.next_uid", source: Box::new(source) })
}

/// Keeps where workers find the bus, for pages to say.
///
/// # Errors
/// The database fails.
pub async fn panel_keep_bus_url(db: &Db, url: &str) -> Result<(), StoreError> {
    let mut tx = db.write().await?;
    sqlx::query("UPDATE panel SET bus_url = $1 WHERE id = 1 AND bus_url <> $1").bind(url).execute(&mut *tx).await?;
    tx.commit().await?;
    Ok(())
}

/// Where workers find the bus, unless their server was told another address; empty until dispatch has said so.
///
/// # Errors
/// The database fails.
pub async fn panel_bus_url(db: &Db) -> Result<String, StoreError> {
    let row = sqlx::query("SELECT bus_url FROM panel WHERE id = 1").fetch_optional(db.read()).await?;
    Ok(row.map(|row| row.try_get("bus_url")).transpose()?.unwrap_or_default())
}
