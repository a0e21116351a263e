//! Hosting accounts: their desired state and how far it has come.

use shared::ids::{AccountId, OperationId, ServerId, UserId};
use shared::jobs::{AccountLimits, Generation, Presence};
use shared::names::{CryptHash, LinuxUser, PhpVersion, ServerName, Uid};
use shared::operation::{EverApplied, ResourceState};
use sqlx::Row;
use sqlx::any::AnyRow;

use super::list::Visible;
use super::user::UserState;
use super::{Db, StoreError, Tx, now_ms, parse, parse_json};

/// An account as stored, with its owner and its web server.
#[derive(Debug, Clone)]
pub struct AccountRow {
    /// Its id.
    pub id: AccountId,
    /// Who owns it.
    pub owner_id: UserId,
    /// Their name.
    pub owner_name: String,
    /// Whether they may sign in; if not, nothing of theirs serves.
    pub owner_state: UserState,
    /// Its Linux user.
    pub linux_user: LinuxUser,
    /// That user's uid.
    pub uid: Uid,
    /// How its owner or an admin wants it.
    pub presence: Presence,
    /// Its badge.
    pub state: ResourceState,
    /// Its newest desired state.
    pub generation: Generation,
    /// The newest that was applied; 0 for none.
    pub applied_generation: Generation,
    /// The newest generation that is wanted: `generation`, unless newer ones were taken back.
    pub wanted_generation: Generation,
    /// The hash of its SFTP password.
    pub sftp_password: Option<CryptHash>,
    /// What its slice may use.
    pub limits: AccountLimits,
    /// The newest request about it.
    pub last_operation: OperationId,
    /// When it was asked for.
    pub created_ms: i64,
    /// Its web server.
    pub server_id: ServerId,
    /// That server's name.
    pub server_name: ServerName,
    /// The host's own name.
    pub server_hostname: String,
    /// Where that server's sites answer.
    pub server_address: String,
    /// Whether that server's worker is connected.
    pub server_online: bool,
    /// The public key secrets for that server are sealed to.
    pub server_seal_key: Option<String>,
    /// PHP versions that server reports.
    pub server_php: Vec<PhpVersion>,
    /// How many sites it has.
    pub sites: i64,
    /// Whether it, or PHP of it, is on its server other than it was applied.
    pub drifted: bool,
}

impl AccountRow {
    /// Whether it was ever applied.
    #[must_use]
    pub const fn ever_applied(&self) -> EverApplied {
        if self.applied_generation.0 > 0 { EverApplied::Yes } else { EverApplied::No }
    }
}

macro_rules! account_select {
    () => {
        "SELECT a.id, a.owner_id, u.name AS owner_name, u.state AS owner_state, a.linux_user, a.uid, a.presence, a.state, a.generation, \
         a.applied_generation, a.wanted_generation, a.sftp_password_hash, a.cpu_percent, a.memory_mib, a.tasks, a.last_operation_id, a.created_ms, \
         v.id AS server_id, v.name AS server_name, v.hostname AS server_hostname, v.address AS server_address, v.online AS server_online, \
         v.seal_key AS server_seal_key, v.php_versions AS server_php, (SELECT COUNT(*) FROM sites s WHERE s.account_id = a.id) AS sites, \
         (SELECT COUNT(*) FROM drifts d WHERE d.account_id = a.id AND d.resource NOT LIKE 'site:%') AS drifted "
    };
}

macro_rules! account_from {
    () => {
        "FROM accounts a JOIN users u ON u.id = a.owner_id \
         JOIN account_servers p ON p.account_id = a.id AND p.role = 'web' JOIN servers v ON v.id = p.server_id "
    };
}
pub(crate) use {account_from, account_select};

pub(super) fn presence(column: &'static str, text: &str) -> Result<Presence, StoreError> {
    parse_json(column, &format!("\"{text}\""))
}

pub(super) const fn presence_word(presence: Presence) -> &'static str {
    match presence {
        Presence::Active => "active",
        Presence::Suspended => "suspended",
        Presence::Deleted => "deleted",
    }
}

fn limit(row: &AnyRow, column: &str) -> Result<Option<u32>, StoreError> {
    let value: Option<i64> = row.try_get(column)?;
    Ok(value.and_then(|value| u32::try_from(value).ok()))
}

impl TryFrom<&AnyRow> for AccountRow {
    type Error = StoreError;

    fn try_from(row: &AnyRow) -> Result<Self, StoreError> {
        let uid: i64 = row.try_get("uid")?;
        let password: Option<String> = row.try_get("sftp_password_hash")?;
        Ok(Self {
            id: parse("accounts.id", row.try_get("id")?)?,
            owner_id: parse("accounts.owner_id", row.try_get("owner_id")?)?,
            owner_name: row.try_get("owner_name")?,
            owner_state: parse("users.state", row.try_get("owner_state")?)?,
            linux_user: parse("accounts.linux_user", row.try_get("linux_user")?)?,
            uid: u32::try_from(uid)
                .ok()
                .and_then(|uid| Uid::try_from(uid).ok())
                .ok_or_else(|| StoreError::Corrupt { column: "accounts.uid", source: "outside the range".into() })?,
            presence: presence("accounts.presence", row.try_get("presence")?)?,
            state: parse("accounts.state", row.try_get("state")?)?,
            generation: Generation(row.try_get("generation")?),
            applied_generation: Generation(row.try_get("applied_generation")?),
            wanted_generation: Generation(row.try_get("wanted_generation")?),
            sftp_password: password.map(|hash| parse("accounts.sftp_password_hash", &hash)).transpose()?,
            limits: AccountLimits {
                cpu_percent: limit(row, "cpu_percent")?,
                memory_mib: limit(row, "memory_mib")?,
                tasks: limit(row, "tasks")?,
            },
            last_operation: parse("accounts.last_operation_id", row.try_get("last_operation_id")?)?,
            created_ms: row.try_get("created_ms")?,
            server_id: parse("servers.id", row.try_get("server_id")?)?,
            server_name: parse("servers.name", row.try_get("server_name")?)?,
            server_hostname: row.try_get("server_hostname")?,
            server_address: row.try_get("server_address")?,
            server_online: row.try_get::<i32, _>("server_online")? != 0,
            server_seal_key: row.try_get("server_seal_key")?,
            server_php: parse_json("servers.php_versions", row.try_get("server_php")?)?,
            sites: row.try_get("sites")?,
            drifted: row.try_get::<i64, _>("drifted")? > 0,
        })
    }
}

/// An account to be made.
#[derive(Debug, Clone)]
pub struct NewAccount {
    /// Its id.
    pub id: AccountId,
    /// Who owns it.
    pub owner: UserId,
    /// Its Linux user.
    pub linux_user: LinuxUser,
    /// From the registry.
    pub uid: Uid,
    /// Its web server.
    pub server: ServerId,
    /// The hash of its SFTP password.
    pub sftp_password: Option<CryptHash>,
    /// What its slice may use.
    pub limits: AccountLimits,
    /// The request that makes it.
    pub operation: OperationId,
}

/// Makes an account and puts it on its web server.
///
/// # Errors
/// [`StoreError::Duplicate`] on `accounts.linux_user`, or the database fails.
pub async fn account_insert_in_tx(tx: &mut Tx, new: &NewAccount) -> Result<(), StoreError> {
    sqlx::query(
        "INSERT INTO accounts (id, owner_id, linux_user, uid, presence, state, generation, sftp_password_hash, cpu_percent, memory_mib, \
         tasks, last_operation_id, created_ms) VALUES ($1, $2, $3, $4, 'active', 'provisioning', 1, $5, $6, $7, $8, $9, $10)",
    )
    .bind(new.id.to_string())
    .bind(new.owner.to_string())
    .bind(new.linux_user.as_str())
    .bind(i64::from(new.uid.get()))
    .bind(new.sftp_password.as_ref().map(CryptHash::expose))
    .bind(new.limits.cpu_percent.map(i64::from))
    .bind(new.limits.memory_mib.map(i64::from))
    .bind(new.limits.tasks.map(i64::from))
    .bind(new.operation.to_string())
    .bind(now_ms())
    .execute(&mut **tx)
    .await?;
    sqlx::query("INSERT INTO account_servers (account_id, role, server_id) VALUES ($1, 'web', $2)")
        .bind(new.id.to_string())
        .bind(new.server.to_string())
        .execute(&mut **tx)
        .await?;
    Ok(())
}

/// One account, if it may be seen.
///
/// # Errors
/// The database fails.
pub async fn account_fetch(db: &Db, visible: Visible, id: AccountId) -> Result<Option<AccountRow>, StoreError> {
    let row = sqlx::query(concat!(account_select!(), account_from!(), "WHERE a.id = $1 AND ($2 = '' OR a.owner_id = $2)"))
        .bind(id.to_string())
        .bind(visible.owner())
        .fetch_optional(db.read())
        .await?;
    row.as_ref().map(AccountRow::try_from).transpose()
}

/// One account, if it may be seen, locked until the transaction ends: changes of one account and of all it holds
/// happen one after the other.
///
/// # Errors
/// The database fails.
pub async fn account_lock_in_tx(tx: &mut Tx, visible: Visible, id: AccountId) -> Result<Option<AccountRow>, StoreError> {
    sqlx::query("UPDATE accounts SET state = state WHERE id = $1").bind(id.to_string()).execute(&mut **tx).await?;
    let row = sqlx::query(concat!(account_select!(), account_from!(), "WHERE a.id = $1 AND ($2 = '' OR a.owner_id = $2)"))
        .bind(id.to_string())
        .bind(visible.owner())
        .fetch_optional(&mut **tx)
        .await?;
    row.as_ref().map(AccountRow::try_from).transpose()
}

/// The Linux user of an account, if it may be seen.
///
/// # Errors
/// The database fails.
pub async fn account_user_in_tx(tx: &mut Tx, visible: Visible, id: AccountId) -> Result<Option<LinuxUser>, StoreError> {
    let row = sqlx::query("SELECT linux_user FROM accounts WHERE id = $1 AND ($2 = '' OR owner_id = $2)")
        .bind(id.to_string())
        .bind(visible.owner())
        .fetch_optional(&mut **tx)
        .await?;
    row.map(|row| parse("accounts.linux_user", row.try_get("linux_user")?)).transpose()
}

/// What a request changes about an account.
#[derive(Debug, Clone)]
pub struct AccountChange<'a> {
    /// Wanted so from now on.
    pub presence: Presence,
    /// Its badge.
    pub state: ResourceState,
    /// Its new desired state's number.
    pub generation: Generation,
    /// The hash of its SFTP password.
    pub sftp_password: Option<&'a CryptHash>,
    /// What its slice may use.
    pub limits: AccountLimits,
    /// The request.
    pub operation: OperationId,
}

/// Writes a new desired state.
///
/// # Errors
/// The database fails.
pub async fn account_update_in_tx(tx: &mut Tx, id: AccountId, change: &AccountChange<'_>) -> Result<(), StoreError> {
    sqlx::query(
        "UPDATE accounts SET presence = $1, state = $2, generation = $3, wanted_generation = $3, sftp_password_hash = $4, cpu_percent = $5, memory_mib = $6, \
         tasks = $7, last_operation_id = $8 WHERE id = $9",
    )
    .bind(presence_word(change.presence))
    .bind(change.state.as_str())
    .bind(change.generation.0)
    .bind(change.sftp_password.map(CryptHash::expose))
    .bind(change.limits.cpu_percent.map(i64::from))
    .bind(change.limits.memory_mib.map(i64::from))
    .bind(change.limits.tasks.map(i64::from))
    .bind(change.operation.to_string())
    .bind(id.to_string())
    .execute(&mut **tx)
    .await?;
    Ok(())
}

/// The accounts of one owner, by Linux user.
///
/// # Errors
/// The database fails.
pub async fn account_ids_of_owner_in_tx(tx: &mut Tx, owner: UserId) -> Result<Vec<AccountId>, StoreError> {
    let rows =
        sqlx::query("SELECT id FROM accounts WHERE owner_id = $1 ORDER BY linux_user").bind(owner.to_string()).fetch_all(&mut **tx).await?;
    rows.iter().map(|row| parse("accounts.id", row.try_get("id")?)).collect()
}

/// The account of a Linux user, if it may be seen.
///
/// # Errors
/// The database fails.
pub async fn account_fetch_by_user(db: &Db, visible: Visible, user: &LinuxUser) -> Result<Option<AccountRow>, StoreError> {
    let row = sqlx::query(concat!(account_select!(), account_from!(), "WHERE a.linux_user = $1 AND ($2 = '' OR a.owner_id = $2)"))
        .bind(user.as_str())
        .bind(visible.owner())
        .fetch_optional(db.read())
        .await?;
    row.as_ref().map(AccountRow::try_from).transpose()
}
