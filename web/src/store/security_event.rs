//! What workers, dispatch and the bus refused as a matter of security. **Lines are added, counted up within their minute, and
//! marked as seen; those that were seen are forgotten in the end.**

use shared::security::SecurityKind;
use sqlx::any::AnyRow;
use sqlx::{AssertSqlSafe, Row};

use super::ids::SecurityEventId;
use super::list::{Page, Paging, contains};
use super::{Db, StoreError, Tx, now_ms, parse};

/// A line to be added.
#[derive(Debug, Clone)]
pub struct NewSecurityEvent<'a> {
    /// The server it concerns, or who says so; empty if nobody knows.
    pub server_name: &'a str,
    /// What was refused.
    pub kind: SecurityKind,
    /// For admins.
    pub detail: &'a str,
    /// How often.
    pub times: u32,
}

/// Within so long what is refused again, of one kind and server, is counted on its line.
const LINE_MS: i64 = 60_000;
/// What is kept of a detail: whoever is refused may have written it.
const DETAIL_CHARACTERS: usize = 1000;

/// What became of something that was refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Told {
    /// It has a line of its own.
    Anew,
    /// It was counted on a line of the last minute that nobody has seen.
    Counted,
}

/// Tells admins, with at most one new line a minute of each kind and server however much is refused.
///
/// # Errors
/// The database fails.
pub async fn security_event_tell_in_tx(tx: &mut Tx, new: &NewSecurityEvent<'_>) -> Result<Told, StoreError> {
    // Ids sort by time, so that this looks at the last minute's lines alone. Two that told at once have made two: one counts.
    let counted = sqlx::query(
        "UPDATE security_events SET times = times + $1 WHERE id = (SELECT MAX(id) FROM security_events \
         WHERE id >= $2 AND seen_ms IS NULL AND server_name = $3 AND kind = $4)",
    )
    .bind(i64::from(new.times))
    .bind(SecurityEventId::earliest(now_ms() - LINE_MS).as_str())
    .bind(new.server_name)
    .bind(new.kind.as_str())
    .execute(&mut **tx)
    .await?;
    if counted.rows_affected() > 0 {
        return Ok(Told::Counted);
    }
    security_event_insert_in_tx(tx, new).await?;
    Ok(Told::Anew)
}

/// Adds a line.
///
/// # Errors
/// The database fails.
pub async fn security_event_insert_in_tx(tx: &mut Tx, new: &NewSecurityEvent<'_>) -> Result<(), StoreError> {
    sqlx::query("INSERT INTO security_events (id, at_ms, server_name, kind, detail, times) VALUES ($1, $2, $3, $4, $5, $6)")
        .bind(SecurityEventId::new().as_str())
        .bind(now_ms())
        .bind(new.server_name)
        .bind(new.kind.as_str())
        .bind(new.detail.chars().take(DETAIL_CHARACTERS).collect::<String>())
        .bind(i64::from(new.times))
        .execute(&mut **tx)
        .await?;
    Ok(())
}

/// Forgets lines from before a moment that were seen.
///
/// # Errors
/// The database fails.
pub async fn security_event_forget_seen_in_tx(tx: &mut Tx, before_ms: i64) -> Result<(), StoreError> {
    sqlx::query("DELETE FROM security_events WHERE id < $1 AND seen_ms IS NOT NULL")
        .bind(SecurityEventId::earliest(before_ms).as_str())
        .execute(&mut **tx)
        .await?;
    Ok(())
}

/// A line as stored.
#[derive(Debug, Clone)]
pub struct SecurityEventRow {
    /// Its id.
    pub id: SecurityEventId,
    /// When the panel was told.
    pub at_ms: i64,
    /// The server's name; empty if nobody knows.
    pub server_name: String,
    /// What was refused. Text, so that a line of another release still shows.
    pub kind: String,
    /// For admins.
    pub detail: String,
    /// How often.
    pub times: i64,
    /// Whether an admin said that it was seen.
    pub seen: bool,
}

impl TryFrom<&AnyRow> for SecurityEventRow {
    type Error = StoreError;

    fn try_from(row: &AnyRow) -> Result<Self, StoreError> {
        Ok(Self {
            id: parse("security_events.id", row.try_get("id")?)?,
            at_ms: row.try_get("at_ms")?,
            server_name: row.try_get("server_name")?,
            kind: row.try_get("kind")?,
            detail: row.try_get("detail")?,
            times: row.try_get("times")?,
            seen: row.try_get::<Option<i64>, _>("seen_ms")?.is_some(),
        })
    }
}

/// Which lines.
#[derive(Debug, Clone, Default)]
pub struct SecurityEventFilter {
    /// In the server's name or the detail; empty for all.
    pub search: String,
    /// Of this kind only; empty for all.
    pub kind: String,
    /// Of this server only; empty for all.
    pub server: String,
    /// Those that were not seen only.
    pub unseen: bool,
}

/// Lines, newest first.
///
/// # Errors
/// The database fails.
pub async fn security_event_list(db: &Db, filter: &SecurityEventFilter, paging: Paging) -> Result<Page<SecurityEventRow>, StoreError> {
    let unseen = if filter.unseen { "seen_ms IS NULL AND " } else { "" };
    let from = format!(
        "FROM security_events WHERE {unseen}($1 = '' OR kind = $1) AND ($2 = '' OR server_name = $2) \
         AND ($3 = '' OR LOWER(server_name) LIKE $3 ESCAPE '\\' OR LOWER(detail) LIKE $3 ESCAPE '\\')"
    );
    let search = contains(&filter.search);
    let total = sqlx::query(AssertSqlSafe(format!("SELECT COUNT(*) AS n {from}")))
        .bind(&filter.kind)
        .bind(&filter.server)
        .bind(&search)
        .fetch_one(db.read())
        .await?;
    // Ids sort by time.
    let sql = format!("SELECT id, at_ms, server_name, kind, detail, times, seen_ms {from} ORDER BY id DESC LIMIT $4 OFFSET $5");
    let rows = sqlx::query(AssertSqlSafe(sql))
        .bind(&filter.kind)
        .bind(&filter.server)
        .bind(&search)
        .bind(paging.limit)
        .bind(paging.offset)
        .fetch_all(db.read())
        .await?;
    Ok(Page { rows: rows.iter().map(SecurityEventRow::try_from).collect::<Result<_, _>>()?, total: total.try_get("n")? })
}

/// How many lines nobody has seen, and since when.
///
/// # Errors
/// The database fails.
pub async fn security_event_unseen(db: &Db) -> Result<(i64, Option<i64>), StoreError> {
    let row =
        sqlx::query("SELECT COUNT(*) AS n, MIN(at_ms) AS since FROM security_events WHERE seen_ms IS NULL").fetch_one(db.read()).await?;
    Ok((row.try_get("n")?, row.try_get("since")?))
}

/// Marks what has come until a line as seen. How many that were.
///
/// # Errors
/// The database fails.
pub async fn security_event_mark_seen_in_tx(tx: &mut Tx, until: &SecurityEventId) -> Result<u64, StoreError> {
    let done = sqlx::query("UPDATE security_events SET seen_ms = $1 WHERE seen_ms IS NULL AND id <= $2")
        .bind(now_ms())
        .bind(until.as_str())
        .execute(&mut **tx)
        .await?;
    Ok(done.rows_affected())
}
