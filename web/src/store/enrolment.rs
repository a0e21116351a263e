//! How a worker joins: the web tier records the request, dispatch answers it.

use shared::ids::ServerId;
use sqlx::Row;
use sqlx::any::AnyRow;

use super::ids::EnrolmentId;
use super::revocation::revocation_insert_in_tx;
use super::{Db, StoreError, Tx, now_ms, parse};

/// An enrolment as stored.
#[derive(Debug, Clone)]
pub struct EnrolmentRow {
    /// Its id.
    pub id: EnrolmentId,
    /// The server the worker joins as.
    pub server: ServerId,
    /// When its token stops working.
    pub expires_ms: i64,
    /// The worker's public nkey, once it has asked.
    pub public_key: Option<String>,
    /// The worker's public x25519 key, once it has asked.
    pub seal_key: Option<String>,
    /// What dispatch answered, a JSON text.
    pub reply: Option<String>,
}

impl TryFrom<&AnyRow> for EnrolmentRow {
    type Error = StoreError;

    fn try_from(row: &AnyRow) -> Result<Self, StoreError> {
        Ok(Self {
            id: parse("enrolments.id", row.try_get("id")?)?,
            server: parse("enrolments.server_id", row.try_get("server_id")?)?,
            expires_ms: row.try_get("expires_ms")?,
            public_key: row.try_get("public_key")?,
            seal_key: row.try_get("seal_key")?,
            reply: row.try_get("reply")?,
        })
    }
}

macro_rules! enrolment_columns {
    () => {
        "id, server_id, expires_ms, public_key, seal_key, reply"
    };
}

/// Makes a token valid for a server. Tokens made before that nobody used stop working.
///
/// # Errors
/// The database fails.
pub async fn enrolment_insert_in_tx(tx: &mut Tx, server: ServerId, token_hash: &str, expires_ms: i64) -> Result<EnrolmentId, StoreError> {
    sqlx::query("DELETE FROM enrolments WHERE server_id = $1 AND requested_ms IS NULL").bind(server.to_string()).execute(&mut **tx).await?;
    let id = EnrolmentId::new();
    sqlx::query("INSERT INTO enrolments (id, server_id, token_hash, created_ms, expires_ms) VALUES ($1, $2, $3, $4, $5)")
        .bind(id.as_str())
        .bind(server.to_string())
        .bind(token_hash)
        .bind(now_ms())
        .bind(expires_ms)
        .execute(&mut **tx)
        .await?;
    Ok(id)
}

/// Records what a worker with a token asks for. The first request fixes the keys: a repeat with the same keys is
/// the same request, one with other keys is none. `None` if the token is unknown, expired or used by other keys.
///
/// # Errors
/// The database fails.
pub async fn enrolment_request_in_tx(
    tx: &mut Tx,
    token_hash: &str,
    public_key: &str,
    seal_key: &str,
) -> Result<Option<EnrolmentRow>, StoreError> {
    let now = now_ms();
    sqlx::query(
        "UPDATE enrolments SET requested_ms = $1, public_key = $2, seal_key = $3 \
         WHERE token_hash = $4 AND requested_ms IS NULL AND expires_ms > $1",
    )
    .bind(now)
    .bind(public_key)
    .bind(seal_key)
    .bind(token_hash)
    .execute(&mut **tx)
    .await?;
    let row = sqlx::query(concat!(
        "SELECT ",
        enrolment_columns!(),
        " FROM enrolments WHERE token_hash = $1 AND public_key = $2 AND seal_key = $3 AND expires_ms > $4"
    ))
    .bind(token_hash)
    .bind(public_key)
    .bind(seal_key)
    .bind(now)
    .fetch_optional(&mut **tx)
    .await?;
    row.as_ref().map(EnrolmentRow::try_from).transpose()
}

/// A token and what became of it.
#[derive(Debug, Clone, Copy)]
pub struct TokenRow {
    /// The server it is for.
    pub server: ServerId,
    /// Whether a worker has joined with it and was heard. Until then whoever asked may ask again.
    pub used: bool,
    /// When it ends.
    pub expires_ms: i64,
}

/// A token by its hash, whether it still works or not.
///
/// # Errors
/// The database fails.
pub async fn enrolment_token(db: &Db, token_hash: &str) -> Result<Option<TokenRow>, StoreError> {
    let row = sqlx::query(
        "SELECT server_id, expires_ms, CASE WHEN reply IS NOT NULL AND EXISTS (SELECT 1 FROM servers WHERE servers.id = server_id \
         AND last_seen_ms >= requested_ms) THEN 1 ELSE 0 END AS used FROM enrolments WHERE token_hash = $1",
    )
    .bind(token_hash)
    .fetch_optional(db.read())
    .await?;
    row.map(|row| {
        Ok(TokenRow {
            server: parse("enrolments.server_id", row.try_get("server_id")?)?,
            used: row.try_get::<i64, _>("used")? != 0,
            expires_ms: row.try_get("expires_ms")?,
        })
    })
    .transpose()
}

/// Requests that wait for dispatch's answer, oldest first.
///
/// # Errors
/// The database fails.
pub async fn enrolment_list_pending(db: &Db) -> Result<Vec<EnrolmentRow>, StoreError> {
    let rows = sqlx::query(concat!(
        "SELECT ",
        enrolment_columns!(),
        " FROM enrolments WHERE requested_ms IS NOT NULL AND reply IS NULL AND expires_ms > $1 ORDER BY requested_ms, id LIMIT 100"
    ))
    .bind(now_ms())
    .fetch_all(db.read())
    .await?;
    rows.iter().map(EnrolmentRow::try_from).collect()
}

/// Answers a request and keeps the worker's keys with its server. False if it was answered before, or
/// its token has been taken back.
///
/// # Errors
/// The database fails.
pub async fn enrolment_answer_in_tx(tx: &mut Tx, enrolment: &EnrolmentRow, reply: &str) -> Result<bool, StoreError> {
    if !enrolment_refuse_in_tx(tx, enrolment, reply).await? {
        return Ok(false);
    }
    // The key it had before another worker joined as it is worth nothing from now on.
    revocation_insert_in_tx(tx, enrolment.server, enrolment.public_key.as_deref()).await?;
    sqlx::query("UPDATE servers SET public_key = $1, seal_key = $2, shut_out_ms = NULL WHERE id = $3")
        .bind(enrolment.public_key.as_deref())
        .bind(enrolment.seal_key.as_deref())
        .bind(enrolment.server.to_string())
        .execute(&mut **tx)
        .await?;
    Ok(true)
}

/// Answers a request and changes nothing of its server. False if it was answered before, or its token has been taken back.
///
/// # Errors
/// The database fails.
pub async fn enrolment_refuse_in_tx(tx: &mut Tx, enrolment: &EnrolmentRow, reply: &str) -> Result<bool, StoreError> {
    let done =
        sqlx::query("UPDATE enrolments SET reply = $1 WHERE id = $2 AND reply IS NULL AND requested_ms IS NOT NULL AND expires_ms > $3")
            .bind(reply)
            .bind(enrolment.id.as_str())
            .bind(now_ms())
            .execute(&mut **tx)
            .await?;
    Ok(done.rows_affected() == 1)
}

/// The answer to a request, once there is one.
///
/// # Errors
/// The database fails.
pub async fn enrolment_reply(db: &Db, id: &EnrolmentId) -> Result<Option<String>, StoreError> {
    let row = sqlx::query("SELECT reply FROM enrolments WHERE id = $1").bind(id.as_str()).fetch_optional(db.read()).await?;
    Ok(row.map(|row| row.try_get("reply")).transpose()?.flatten())
}

/// When the unused token of a server stops working, if there is one.
///
/// # Errors
/// The database fails.
pub async fn enrolment_open_until(db: &Db, server: ServerId) -> Result<Option<i64>, StoreError> {
    let row =
        sqlx::query("SELECT MAX(expires_ms) AS until FROM enrolments WHERE server_id = $1 AND requested_ms IS NULL AND expires_ms > $2")
            .bind(server.to_string())
            .bind(now_ms())
            .fetch_one(db.read())
            .await?;
    Ok(row.try_get("until")?)
}
