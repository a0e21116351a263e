//! Public keys that may sign in to an account over SFTP.

use shared::ids::AccountId;
use shared::names::SshPublicKey;
use sqlx::Row;
use sqlx::any::AnyRow;

use super::ids::SftpKeyId;
use super::{Db, StoreError, Tx, now_ms, parse};

/// A key as stored.
#[derive(Debug, Clone)]
pub struct SftpKeyRow {
    /// Its id.
    pub id: SftpKeyId,
    /// The key.
    pub key: SshPublicKey,
    /// When it was added.
    pub created_ms: i64,
}

impl TryFrom<&AnyRow> for SftpKeyRow {
    type Error = StoreError;

    fn try_from(row: &AnyRow) -> Result<Self, StoreError> {
        Ok(Self {
            id: parse("account_keys.id", row.try_get("id")?)?,
            key: parse("account_keys.public_key", row.try_get("public_key")?)?,
            created_ms: row.try_get("created_ms")?,
        })
    }
}

macro_rules! select {
    () => {
        "SELECT id, public_key, created_ms FROM account_keys WHERE account_id = $1 ORDER BY id"
    };
}

/// Adds a key.
///
/// # Errors
/// [`StoreError::Duplicate`] on `account_keys.public_key`, or the database fails.
pub async fn sftp_key_insert_in_tx(tx: &mut Tx, account: AccountId, key: &SshPublicKey) -> Result<SftpKeyId, StoreError> {
    let id = SftpKeyId::new();
    sqlx::query("INSERT INTO account_keys (id, account_id, public_key, created_ms) VALUES ($1, $2, $3, $4)")
        .bind(id.as_str())
        .bind(account.to_string())
        .bind(key.as_str())
        .bind(now_ms())
        .execute(&mut **tx)
        .await?;
    Ok(id)
}

/// Removes a key of an account. False if the account has none of this id.
///
/// # Errors
/// The database fails.
pub async fn sftp_key_delete_in_tx(tx: &mut Tx, account: AccountId, id: &SftpKeyId) -> Result<bool, StoreError> {
    let done = sqlx::query("DELETE FROM account_keys WHERE id = $1 AND account_id = $2")
        .bind(id.as_str())
        .bind(account.to_string())
        .execute(&mut **tx)
        .await?;
    Ok(done.rows_affected() == 1)
}

/// The keys of an account, oldest first.
///
/// # Errors
/// The database fails.
pub async fn sftp_key_list(db: &Db, account: AccountId) -> Result<Vec<SftpKeyRow>, StoreError> {
    let rows = sqlx::query(select!()).bind(account.to_string()).fetch_all(db.read()).await?;
    rows.iter().map(SftpKeyRow::try_from).collect()
}

/// As [`sftp_key_list`], inside a transaction.
///
/// # Errors
/// The database fails.
pub async fn sftp_key_list_in_tx(tx: &mut Tx, account: AccountId) -> Result<Vec<SftpKeyRow>, StoreError> {
    let rows = sqlx::query(select!()).bind(account.to_string()).fetch_all(&mut **tx).await?;
    rows.iter().map(SftpKeyRow::try_from).collect()
}
