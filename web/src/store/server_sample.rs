//! A server's load over the last day, one row per minute in which it was heard of.

use shared::events::HostFacts;
use shared::ids::ServerId;
use sqlx::Row;

use super::{Db, StoreError, Tx};

/// Minutes that are kept: a day, and an hour to look at its start.
const KEPT_MINUTES: i64 = 25 * 60;
const MINUTE_MS: i64 = 60_000;

/// The load of one minute.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ServerSample {
    /// Minutes since the epoch.
    pub minute: i64,
    /// Load average over one minute, in hundredths.
    pub load_centi: i64,
    /// Memory in use, MiB.
    pub memory_used_mib: i64,
    /// Disk in use, MiB.
    pub disk_used_mib: i64,
}

/// The minute of a moment.
#[must_use]
pub const fn minute_of(ms: i64) -> i64 {
    ms.div_euclid(MINUTE_MS)
}

/// Keeps the first sample of a minute, and forgets those of the server that are too old.
///
/// # Errors
/// The database fails.
pub async fn server_sample_keep_in_tx(tx: &mut Tx, server: ServerId, minute: i64, host: &HostFacts) -> Result<(), StoreError> {
    #[expect(clippy::cast_possible_truncation, reason = "a load average is small; a senseless one is cut off")]
    let load_centi = (host.load1 * 100.0).round() as i64;
    let mib = |value: u64| i64::try_from(value).unwrap_or(i64::MAX);
    sqlx::query(
        "INSERT INTO server_samples (server_id, minute, load_centi, memory_used_mib, disk_used_mib) VALUES ($1, $2, $3, $4, $5) \
         ON CONFLICT (server_id, minute) DO NOTHING",
    )
    .bind(server.to_string())
    .bind(minute)
    .bind(load_centi)
    .bind(mib(host.memory_used_mib))
    .bind(mib(host.disk_used_mib))
    .execute(&mut **tx)
    .await?;
    sqlx::query("DELETE FROM server_samples WHERE server_id = $1 AND minute < $2")
        .bind(server.to_string())
        .bind(minute - KEPT_MINUTES)
        .execute(&mut **tx)
        .await?;
    Ok(())
}

/// A server's samples since a minute, oldest first.
///
/// # Errors
/// The database fails.
pub async fn server_sample_list(db: &Db, server: ServerId, since: i64) -> Result<Vec<ServerSample>, StoreError> {
    let rows = sqlx::query(
        "SELECT minute, load_centi, memory_used_mib, disk_used_mib FROM server_samples WHERE server_id = $1 AND minute >= $2 ORDER BY minute",
    )
    .bind(server.to_string())
    .bind(since)
    .fetch_all(db.read())
    .await?;
    let sample = |row: &sqlx::any::AnyRow| {
        Ok(ServerSample {
            minute: row.try_get("minute")?,
            load_centi: row.try_get("load_centi")?,
            memory_used_mib: row.try_get("memory_used_mib")?,
            disk_used_mib: row.try_get("disk_used_mib")?,
        })
    };
    rows.iter().map(sample).collect()
}
