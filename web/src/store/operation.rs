//! Operations: what people asked for, and how it went. The only writer of their state.

use shared::ids::{AccountId, OperationId, ServerId, UserId};
use shared::jobs::ResourceKey;
use shared::operation::{JobState, OperationState};
use sqlx::Row;
use sqlx::any::AnyRow;

use super::{Db, StoreError, Tx, now_ms, parse};

/// What kind of request it was. The stored spelling is `subject.verb`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum OperationKind {
    /// A hosting account is made.
    AccountCreate,
    /// SFTP, keys or limits change.
    AccountUpdate,
    /// The account and its sites are switched off.
    AccountSuspend,
    /// The account and its sites come back.
    AccountUnsuspend,
    /// The account and all it holds go.
    AccountDelete,
    /// PHP settings change.
    PhpUpdate,
    /// A site is made.
    SiteCreate,
    /// A site changes.
    SiteUpdate,
    /// A site shows the suspended page.
    SiteSuspend,
    /// A site comes back.
    SiteUnsuspend,
    /// A site goes.
    SiteDelete,
    /// An account is made again as it should be.
    AccountRepair,
    /// PHP of an account is made again as it should be.
    PhpRepair,
    /// A site is made again as it should be.
    SiteRepair,
    /// A site gets settings back that it had before.
    SiteRollback,
    /// A server's worker is updated.
    WorkerUpdate,
}

impl OperationKind {
    /// All kinds.
    pub const ALL: [Self; 16] = [
        Self::AccountCreate,
        Self::AccountUpdate,
        Self::AccountSuspend,
        Self::AccountUnsuspend,
        Self::AccountDelete,
        Self::PhpUpdate,
        Self::SiteCreate,
        Self::SiteUpdate,
        Self::SiteSuspend,
        Self::SiteUnsuspend,
        Self::SiteDelete,
        Self::AccountRepair,
        Self::PhpRepair,
        Self::SiteRepair,
        Self::SiteRollback,
        Self::WorkerUpdate,
    ];

    /// The stored spelling.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::AccountCreate => "account.create",
            Self::AccountUpdate => "account.update",
            Self::AccountSuspend => "account.suspend",
            Self::AccountUnsuspend => "account.unsuspend",
            Self::AccountDelete => "account.delete",
            Self::PhpUpdate => "php.update",
            Self::SiteCreate => "site.create",
            Self::SiteUpdate => "site.update",
            Self::SiteSuspend => "site.suspend",
            Self::SiteUnsuspend => "site.unsuspend",
            Self::SiteDelete => "site.delete",
            Self::AccountRepair => "account.repair",
            Self::PhpRepair => "php.repair",
            Self::SiteRepair => "site.repair",
            Self::SiteRollback => "site.rollback",
            Self::WorkerUpdate => "worker.update",
        }
    }

    /// What a page says, before the subject: `Create site` shop.example.
    #[must_use]
    pub const fn label(self) -> &'static str {
        match self {
            Self::AccountCreate => "Create account",
            Self::AccountUpdate => "Change account",
            Self::AccountSuspend => "Suspend account",
            Self::AccountUnsuspend => "Bring back account",
            Self::AccountDelete => "Delete account",
            Self::PhpUpdate => "Change PHP settings",
            Self::SiteCreate => "Create site",
            Self::SiteUpdate => "Change site",
            Self::SiteSuspend => "Suspend site",
            Self::SiteUnsuspend => "Bring back site",
            Self::SiteDelete => "Delete site",
            Self::AccountRepair => "Repair account",
            Self::PhpRepair => "Repair PHP",
            Self::SiteRepair => "Repair site",
            Self::SiteRollback => "Roll back site",
            Self::WorkerUpdate => "Update worker",
        }
    }
}

/// The stored text is no kind of operation.
#[derive(Debug, thiserror::Error)]
#[error("not a kind of operation")]
pub struct UnknownOperationKind;

impl std::str::FromStr for OperationKind {
    type Err = UnknownOperationKind;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::ALL.into_iter().find(|kind| kind.as_str() == text).ok_or(UnknownOperationKind)
    }
}

/// A request to be recorded.
#[derive(Debug, Clone)]
pub struct NewOperation {
    /// Its id, made by the caller because rows made in the same transaction refer to it.
    pub id: OperationId,
    /// What was asked.
    pub kind: OperationKind,
    /// Of which resource.
    pub resource: ResourceKey,
    /// Its name at the time, such as the domain.
    pub subject: String,
    /// The account.
    pub account: AccountId,
    /// The account's owner: who may see it.
    pub owner: UserId,
    /// The server.
    pub server: ServerId,
    /// Who asked.
    pub asked_by: UserId,
    /// Their name at the time.
    pub asked_by_name: String,
    /// Sent by the form, so that a repeated post is the same request.
    pub idempotency_key: Option<String>,
}

/// A request as stored.
#[derive(Debug, Clone)]
pub struct OperationRow {
    /// Its id.
    pub id: OperationId,
    /// What was asked.
    pub kind: OperationKind,
    /// Of which resource.
    pub resource: ResourceKey,
    /// Its name at the time.
    pub subject: String,
    /// The account.
    pub account_id: AccountId,
    /// The account's owner at the time.
    pub owner_id: UserId,
    /// The server.
    pub server_id: ServerId,
    /// Who asked.
    pub asked_by: UserId,
    /// Their name at the time.
    pub asked_by_name: String,
    /// Where it stands.
    pub state: OperationState,
    /// When it was asked.
    pub created_ms: i64,
    /// When it ended.
    pub finished_ms: Option<i64>,
}

macro_rules! operation_columns {
    () => {
        "id, kind, resource, subject, account_id, owner_id, server_id, asked_by, asked_by_name, state, created_ms, finished_ms"
    };
}

impl TryFrom<&AnyRow> for OperationRow {
    type Error = StoreError;

    fn try_from(row: &AnyRow) -> Result<Self, StoreError> {
        Ok(Self {
            id: parse("operations.id", row.try_get("id")?)?,
            kind: parse("operations.kind", row.try_get("kind")?)?,
            resource: parse("operations.resource", row.try_get("resource")?)?,
            subject: row.try_get("subject")?,
            account_id: parse("operations.account_id", row.try_get("account_id")?)?,
            owner_id: parse("operations.owner_id", row.try_get("owner_id")?)?,
            server_id: parse("operations.server_id", row.try_get("server_id")?)?,
            asked_by: parse("operations.asked_by", row.try_get("asked_by")?)?,
            asked_by_name: row.try_get("asked_by_name")?,
            state: parse("operations.state", row.try_get("state")?)?,
            created_ms: row.try_get("created_ms")?,
            finished_ms: row.try_get("finished_ms")?,
        })
    }
}

/// Records a request.
///
/// # Errors
/// The database fails; [`StoreError::Duplicate`] on `operations.idempotency_key` if it was recorded before.
pub async fn operation_insert_in_tx(tx: &mut Tx, new: &NewOperation) -> Result<(), StoreError> {
    sqlx::query(
        "INSERT INTO operations (id, kind, resource, subject, account_id, owner_id, server_id, asked_by, asked_by_name, state, \
         idempotency_key, created_ms) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, 'waiting', $10, $11)",
    )
    .bind(new.id.to_string())
    .bind(new.kind.as_str())
    .bind(new.resource.to_string())
    .bind(&new.subject)
    .bind(new.account.to_string())
    .bind(new.owner.to_string())
    .bind(new.server.to_string())
    .bind(new.asked_by.to_string())
    .bind(&new.asked_by_name)
    .bind(new.idempotency_key.as_deref())
    .bind(now_ms())
    .execute(&mut **tx)
    .await?;
    Ok(())
}

/// How many requests of an account have not ended. The account is locked by the caller, so that two requests are counted one after
/// the other.
///
/// # Errors
/// The database fails.
pub async fn operation_count_open_in_tx(tx: &mut Tx, account: AccountId) -> Result<i64, StoreError> {
    let row = sqlx::query("SELECT COUNT(*) AS n FROM operations WHERE account_id = $1 AND state IN ('waiting', 'working')")
        .bind(account.to_string())
        .fetch_one(&mut **tx)
        .await?;
    Ok(row.try_get("n")?)
}

/// Keeps why the request's server was chosen.
///
/// # Errors
/// The database fails.
pub async fn operation_placed_in_tx(tx: &mut Tx, id: OperationId, why: &str) -> Result<(), StoreError> {
    sqlx::query("UPDATE operations SET placed = $1 WHERE id = $2").bind(why).bind(id.to_string()).execute(&mut **tx).await?;
    Ok(())
}

/// Why a request's server was chosen; empty where there was no choice.
///
/// # Errors
/// The database fails.
pub async fn operation_placed(db: &Db, id: OperationId) -> Result<String, StoreError> {
    let row = sqlx::query("SELECT placed FROM operations WHERE id = $1").bind(id.to_string()).fetch_optional(db.read()).await?;
    Ok(row.map(|row| row.try_get("placed")).transpose()?.unwrap_or_default())
}

/// One request.
///
/// # Errors
/// The database fails.
pub async fn operation_fetch(db: &Db, id: OperationId) -> Result<Option<OperationRow>, StoreError> {
    let row = sqlx::query(concat!("SELECT ", operation_columns!(), " FROM operations WHERE id = $1"))
        .bind(id.to_string())
        .fetch_optional(db.read())
        .await?;
    row.as_ref().map(OperationRow::try_from).transpose()
}

/// The request a person sent with this key before, if any.
///
/// # Errors
/// The database fails.
pub async fn operation_fetch_by_key(db: &Db, asked_by: UserId, key: &str) -> Result<Option<OperationRow>, StoreError> {
    let row = sqlx::query(concat!("SELECT ", operation_columns!(), " FROM operations WHERE asked_by = $1 AND idempotency_key = $2"))
        .bind(asked_by.to_string())
        .bind(key)
        .fetch_optional(db.read())
        .await?;
    row.as_ref().map(OperationRow::try_from).transpose()
}

/// Brings a request's state in line with its jobs. Returns the state.
///
/// The request's row is locked before its jobs are read: of two transactions that end a job each, the second sees what the first
/// did. Without it, both would find the other's job still open, and the request would stay open for ever.
///
/// # Errors
/// The database fails.
pub async fn operation_settle_in_tx(tx: &mut Tx, id: OperationId) -> Result<OperationState, StoreError> {
    sqlx::query("UPDATE operations SET state = state WHERE id = $1").bind(id.to_string()).execute(&mut **tx).await?;
    let rows = sqlx::query("SELECT state FROM jobs WHERE operation_id = $1").bind(id.to_string()).fetch_all(&mut **tx).await?;
    let jobs = rows.iter().map(|row| parse("jobs.state", row.try_get("state")?)).collect::<Result<Vec<JobState>, StoreError>>()?;
    let state = OperationState::of_jobs(&jobs);
    sqlx::query("UPDATE operations SET state = $1, finished_ms = $2 WHERE id = $3")
        .bind(state.as_str())
        .bind(state.has_ended().then(now_ms))
        .bind(id.to_string())
        .execute(&mut **tx)
        .await?;
    Ok(state)
}
