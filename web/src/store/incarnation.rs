//! Which incarnation of the panel this database holds (see `dispatch::incarnation`).
//!
//! **What is read is what is replaced**: two dispatch processes of one database never write over each other.

use shared::bus::incarnation::Incarnation;
use shared::ids::LineageId;
use sqlx::Row;

use super::{Db, StoreError, Tx, now_ms, parse};

/// What the database says.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Ours {
    /// What the bus was seen to hold.
    pub known: Option<Incarnation>,
    /// What was to replace it; the bus may have taken it.
    pub next: Option<Incarnation>,
    /// Whether this panel was not let lead.
    pub stood_back: bool,
    /// Whether an operator wants the bus to serve it all the same.
    pub adopts: bool,
}

/// What this database holds.
///
/// # Errors
/// The database fails, or a stored value is damaged.
pub async fn incarnation_ours(db: &Db) -> Result<Ours, StoreError> {
    let row =
        sqlx::query("SELECT incarnation, incarnation_next, stood_back_ms, adopts FROM panel WHERE id = 1").fetch_one(db.read()).await?;
    let read = |column: &'static str| {
        let text: Option<String> = row.try_get(column)?;
        text.map(|text| parse(column, &text)).transpose()
    };
    Ok(Ours {
        known: read("incarnation")?,
        next: read("incarnation_next")?,
        stood_back: row.try_get::<Option<i64>, _>("stood_back_ms")?.is_some(),
        adopts: row.try_get::<i64, _>("adopts")? != 0,
    })
}

/// How far a lineage of before went.
///
/// # Errors
/// The database fails.
pub async fn lineage_number(db: &Db, lineage: LineageId) -> Result<Option<u64>, StoreError> {
    let row =
        sqlx::query("SELECT number FROM panel_lineages WHERE lineage = $1").bind(lineage.to_string()).fetch_optional(db.read()).await?;
    row.map(|row| Ok(u64::try_from(row.try_get::<i64, _>("number")?).unwrap_or(0))).transpose()
}

/// Notes what the bus holds and what is to replace it. False if another process has noted something in between.
///
/// # Errors
/// The database fails.
pub async fn incarnation_note(db: &Db, ours: &Ours, known: Option<Incarnation>, next: Incarnation) -> Result<bool, StoreError> {
    let text = |incarnation: Option<Incarnation>| incarnation.map(|incarnation| incarnation.to_string());
    let mut tx = db.write().await?;
    let done = sqlx::query(
        "UPDATE panel SET incarnation = $1, incarnation_next = $2, stood_back_ms = NULL, adopts = 0 WHERE id = 1 \
         AND COALESCE(incarnation, '') = $3 AND COALESCE(incarnation_next, '') = $4 AND adopts = $5",
    )
    .bind(text(known))
    .bind(next.to_string())
    .bind(text(ours.known).unwrap_or_default())
    .bind(text(ours.next).unwrap_or_default())
    .bind(i64::from(ours.adopts))
    .execute(&mut *tx)
    .await?;
    if done.rows_affected() == 0 {
        return Ok(false);
    }
    for past in [ours.known, ours.next].into_iter().flatten().filter(|past| past.lineage != next.lineage) {
        lineage_note_in_tx(&mut tx, past).await?;
    }
    tx.commit().await?;
    Ok(true)
}

async fn lineage_note_in_tx(tx: &mut Tx, past: Incarnation) -> Result<(), StoreError> {
    sqlx::query(
        "INSERT INTO panel_lineages (lineage, number) VALUES ($1, $2) \
         ON CONFLICT (lineage) DO UPDATE SET number = excluded.number WHERE excluded.number > panel_lineages.number",
    )
    .bind(past.lineage.to_string())
    .bind(i64::try_from(past.number).unwrap_or(i64::MAX))
    .execute(&mut **tx)
    .await?;
    Ok(())
}

/// Notes that this panel was not let lead.
///
/// # Errors
/// The database fails.
pub async fn incarnation_stand_back_in_tx(tx: &mut Tx) -> Result<(), StoreError> {
    sqlx::query("UPDATE panel SET stood_back_ms = $1 WHERE id = 1 AND stood_back_ms IS NULL").bind(now_ms()).execute(&mut **tx).await?;
    Ok(())
}

/// The bus is to serve this panel from now on, whichever it serves now.
///
/// # Errors
/// The database fails.
pub async fn incarnation_adopt_in_tx(tx: &mut Tx) -> Result<(), StoreError> {
    sqlx::query("UPDATE panel SET adopts = 1 WHERE id = 1").execute(&mut **tx).await?;
    Ok(())
}
