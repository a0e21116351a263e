//! Signed-in devices. **The table never holds a token**, only its SHA-256.

use shared::ids::UserId;
use sqlx::Row;
use sqlx::any::AnyRow;

use super::ids::SessionId;
use super::user::{Login, UserRole, UserState};
use super::{Db, StoreError, Tx, now_ms, parse};

/// A session to be recorded.
#[derive(Debug, Clone)]
pub struct NewSession {
    /// Its id.
    pub id: SessionId,
    /// Hex of the SHA-256 of the token.
    pub token_hash: String,
    /// Whose.
    pub user: UserId,
    /// When it ends, however much it is used.
    pub expires_ms: i64,
    /// The peer's address at sign-in.
    pub address: String,
    /// The browser's name for itself, cut.
    pub user_agent: String,
}

/// A session with its person, as each request needs it.
#[derive(Debug, Clone)]
pub struct SessionRow {
    /// Its id.
    pub id: SessionId,
    /// Whose.
    pub user: UserId,
    /// What they sign in with.
    pub login: Login,
    /// How pages call them.
    pub name: String,
    /// What they may do, as of now.
    pub role: UserRole,
    /// Whether they may, as of now.
    pub state: UserState,
    /// Whether they see nothing before they have chosen a password.
    pub must_change_password: bool,
    /// When they signed in.
    pub created_ms: i64,
    /// When it was last used, to the minute.
    pub last_seen_ms: i64,
    /// When it ends.
    pub expires_ms: i64,
    /// The peer's address at sign-in.
    pub address: String,
    /// The browser's name for itself.
    pub user_agent: String,
}

macro_rules! session_select {
    () => {
        "SELECT s.id, s.user_id, u.login, u.name, u.role, u.state, u.must_change_password, s.created_ms, s.last_seen_ms, s.expires_ms, \
         s.address, s.user_agent FROM sessions s JOIN users u ON u.id = s.user_id "
    };
}

impl TryFrom<&AnyRow> for SessionRow {
    type Error = StoreError;

    fn try_from(row: &AnyRow) -> Result<Self, StoreError> {
        Ok(Self {
            id: parse("sessions.id", row.try_get("id")?)?,
            user: parse("sessions.user_id", row.try_get("user_id")?)?,
            login: parse("users.login", row.try_get("login")?)?,
            name: row.try_get("name")?,
            role: parse("users.role", row.try_get("role")?)?,
            state: parse("users.state", row.try_get("state")?)?,
            must_change_password: row.try_get::<i32, _>("must_change_password")? != 0,
            created_ms: row.try_get("created_ms")?,
            last_seen_ms: row.try_get("last_seen_ms")?,
            expires_ms: row.try_get("expires_ms")?,
            address: row.try_get("address")?,
            user_agent: row.try_get("user_agent")?,
        })
    }
}

/// Records a session.
///
/// # Errors
/// The database fails.
pub async fn session_insert_in_tx(tx: &mut Tx, new: &NewSession) -> Result<(), StoreError> {
    sqlx::query(
        "INSERT INTO sessions (id, token_hash, user_id, created_ms, last_seen_ms, expires_ms, address, user_agent) \
         VALUES ($1, $2, $3, $4, $4, $5, $6, $7)",
    )
    .bind(new.id.as_str())
    .bind(&new.token_hash)
    .bind(new.user.to_string())
    .bind(now_ms())
    .bind(new.expires_ms)
    .bind(&new.address)
    .bind(&new.user_agent)
    .execute(&mut **tx)
    .await?;
    Ok(())
}

/// The session of a token.
///
/// # Errors
/// The database fails.
pub async fn session_fetch_by_hash(db: &Db, token_hash: &str) -> Result<Option<SessionRow>, StoreError> {
    let row = sqlx::query(concat!(session_select!(), "WHERE s.token_hash = $1")).bind(token_hash).fetch_optional(db.read()).await?;
    row.as_ref().map(SessionRow::try_from).transpose()
}

/// A session by its id: whether an open stream may go on.
///
/// # Errors
/// The database fails.
pub async fn session_fetch(db: &Db, id: &SessionId) -> Result<Option<SessionRow>, StoreError> {
    let row = sqlx::query(concat!(session_select!(), "WHERE s.id = $1")).bind(id.as_str()).fetch_optional(db.read()).await?;
    row.as_ref().map(SessionRow::try_from).transpose()
}

/// A person's sessions, newest first.
///
/// # Errors
/// The database fails.
pub async fn session_list(db: &Db, user: UserId) -> Result<Vec<SessionRow>, StoreError> {
    let rows = sqlx::query(concat!(session_select!(), "WHERE s.user_id = $1 AND s.expires_ms > $2 ORDER BY s.last_seen_ms DESC, s.id"))
        .bind(user.to_string())
        .bind(now_ms())
        .fetch_all(db.read())
        .await?;
    rows.iter().map(SessionRow::try_from).collect()
}

/// Notes that a session is in use.
///
/// # Errors
/// The database fails.
pub async fn session_touch(db: &Db, id: &SessionId) -> Result<(), StoreError> {
    let mut tx = db.write().await?;
    sqlx::query("UPDATE sessions SET last_seen_ms = $1 WHERE id = $2").bind(now_ms()).bind(id.as_str()).execute(&mut *tx).await?;
    tx.commit().await?;
    Ok(())
}

/// Ends a session of a person. False if it is not theirs.
///
/// # Errors
/// The database fails.
pub async fn session_delete_in_tx(tx: &mut Tx, user: UserId, id: &SessionId) -> Result<bool, StoreError> {
    let done = sqlx::query("DELETE FROM sessions WHERE id = $1 AND user_id = $2")
        .bind(id.as_str())
        .bind(user.to_string())
        .execute(&mut **tx)
        .await?;
    Ok(done.rows_affected() == 1)
}

/// Ends all sessions of a person, except one. Returns how many.
///
/// # Errors
/// The database fails.
pub async fn session_delete_of_user_in_tx(tx: &mut Tx, user: UserId, except: Option<&SessionId>) -> Result<u64, StoreError> {
    let done = sqlx::query("DELETE FROM sessions WHERE user_id = $1 AND id <> $2")
        .bind(user.to_string())
        .bind(except.map_or("", SessionId::as_str))
        .execute(&mut **tx)
        .await?;
    Ok(done.rows_affected())
}

/// Removes sessions that have ended by themselves. Returns how many.
///
/// # Errors
/// The database fails.
pub async fn session_delete_expired(db: &Db, idle_since_ms: i64) -> Result<u64, StoreError> {
    let mut tx = db.write().await?;
    let done = sqlx::query("DELETE FROM sessions WHERE expires_ms <= $1 OR last_seen_ms <= $2")
        .bind(now_ms())
        .bind(idle_since_ms)
        .execute(&mut *tx)
        .await?;
    tx.commit().await?;
    Ok(done.rows_affected())
}
