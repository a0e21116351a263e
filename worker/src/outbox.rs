//! Events on their way to the bus: stored, in order, until the bus confirms.
//!
//! **Each sending is signed anew** (see `shared::bus::sending`). The signature that is stored is for a worker of the release before,
//! which may take this one's place again.

use std::time::Duration;

use shared::bus::signing::{Purpose, sign};
use shared::bus::worker::WorkerBus;
use shared::events::{Event, EventEnvelope};
use shared::ids::EventId;
use shared::jobs::ENVELOPE_VERSION;
use sqlx::Row;
use sqlx::sqlite::{SqliteConnection, SqlitePool};
use tokio::sync::Notify;

use crate::config::Identity;

/// Stores an event. Part of the transaction that commits what it tells of.
///
/// # Errors
/// The database fails, or the identity's key is damaged.
pub async fn outbox_insert(connection: &mut SqliteConnection, identity: &Identity, event: Event) -> Result<(), sqlx::Error> {
    let envelope = EventEnvelope { v: ENVELOPE_VERSION, id: EventId::new(), epoch: identity.epoch, server: identity.server.clone(), event };
    let signed = shared::bus::credentials::user_key(&identity.credentials.seed)
        .and_then(|key| sign(Purpose::Event, &key, &envelope))
        .map_err(|error| sqlx::Error::Encode(error.into()))?;
    sqlx::query("INSERT INTO outbox (id, payload, signature) VALUES (?, ?, ?)")
        .bind(envelope.id.to_string())
        .bind(signed.payload)
        .bind(signed.signature)
        .execute(connection)
        .await?;
    Ok(())
}

/// Whether the panel has been told what this database holds. A new database has told nothing, also after a cut.
///
/// # Errors
/// The database fails.
pub async fn resync_is_told(pool: &SqlitePool) -> Result<bool, sqlx::Error> {
    Ok(sqlx::query("SELECT at_ms FROM resync_told LIMIT 1").fetch_optional(pool).await?.is_some())
}

/// Notes that the panel is told. Part of the transaction that stores the event.
///
/// # Errors
/// The database fails.
pub async fn resync_mark_told(connection: &mut SqliteConnection, now_ms: i64) -> Result<(), sqlx::Error> {
    sqlx::query("INSERT INTO resync_told (at_ms) VALUES (?)").bind(now_ms).execute(connection).await?;
    Ok(())
}

/// Sends what is stored, oldest first, whenever there is something. Never ends.
pub async fn run(pool: &SqlitePool, bus: &WorkerBus, wake: &Notify) {
    loop {
        match send_oldest(pool, bus).await {
            Ok(true) => continue,
            Ok(false) => {}
            Err(error) => {
                tracing::debug!(error = %error, "an event waits for the bus");
                tokio::time::sleep(Duration::from_millis(500)).await;
                continue;
            }
        }
        let _ = tokio::time::timeout(Duration::from_secs(5), wake.notified()).await;
    }
}

/// Sends the oldest event. False if there is none.
async fn send_oldest(pool: &SqlitePool, bus: &WorkerBus) -> Result<bool, Box<dyn std::error::Error + Send + Sync>> {
    let row = sqlx::query("SELECT sequence, id, payload FROM outbox ORDER BY sequence LIMIT 1").fetch_optional(pool).await?;
    let Some(row) = row else { return Ok(false) };
    bus.send_event(row.get("id"), row.get("payload")).await?;
    sqlx::query("DELETE FROM outbox WHERE sequence = ?").bind(row.get::<i64, _>("sequence")).execute(pool).await?;
    Ok(true)
}
