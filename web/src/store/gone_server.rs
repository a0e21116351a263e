//! Servers whose host is gone for good: they are given up with all that lived there.

use shared::ids::{AccountId, OperationId, ServerId, UserId};
use sqlx::Row;
use sqlx::any::AnyRow;

use super::ended_server::server_end_in_tx;
use super::operation::operation_settle_in_tx;
use super::server::server_name_in_tx;
use super::{Db, StoreError, Tx, now_ms, parse};

/// What a server's host had.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Held {
    /// Accounts.
    pub accounts: i64,
    /// Their sites.
    pub sites: i64,
}

/// What became of a server that is to be given up.
#[derive(Debug, Clone)]
pub enum GivenUp {
    /// It is gone, and what is said of it to open pages.
    Gone(Vec<Told>),
    /// Nothing: its worker answers.
    Online,
}

/// An operation that was ended, or the last one of an account that was given up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Told {
    /// The operation.
    pub operation: OperationId,
    /// Its account.
    pub account: AccountId,
    /// The account's owner.
    pub owner: UserId,
}

/// What is kept of a job that its host will never take, for admins.
const HOST_GONE: &str = "the host is gone for good, and its server was given up";

/// How much lives on a server.
///
/// # Errors
/// The database fails.
pub async fn server_held(db: &Db, id: ServerId) -> Result<Held, StoreError> {
    let row = sqlx::query(
        "SELECT COUNT(DISTINCT p.account_id) AS accounts, COUNT(DISTINCT s.id) AS sites FROM account_servers p \
         LEFT JOIN sites s ON s.account_id = p.account_id WHERE p.server_id = $1",
    )
    .bind(id.to_string())
    .fetch_one(db.read())
    .await?;
    Ok(Held { accounts: row.try_get("accounts")?, sites: row.try_get("sites")? })
}

/// The Linux users of the accounts on a server, by name.
///
/// # Errors
/// The database fails.
pub async fn server_users_in_tx(tx: &mut Tx, id: ServerId) -> Result<Vec<String>, StoreError> {
    let rows = sqlx::query(
        "SELECT DISTINCT a.linux_user FROM accounts a JOIN account_servers p ON p.account_id = a.id WHERE p.server_id = $1 ORDER BY a.linux_user",
    )
    .bind(id.to_string())
    .fetch_all(&mut **tx)
    .await?;
    rows.iter().map(|row| Ok(row.try_get("linux_user")?)).collect()
}

/// Gives up a server, which the caller has locked: ends what was asked of it, removes the accounts there with their pools and sites,
/// so that their names are free, revokes its key and deletes it. **Never one whose worker answers.**
///
/// # Errors
/// The database fails.
pub async fn server_give_up_in_tx(tx: &mut Tx, id: ServerId) -> Result<GivenUp, StoreError> {
    let server = id.to_string();
    let online = sqlx::query("SELECT 1 AS one FROM servers WHERE id = $1 AND online = 1").bind(&server).fetch_optional(&mut **tx).await?;
    if online.is_some() {
        return Ok(GivenUp::Online);
    }
    let mut told = end_operations(tx, &server).await?;
    let accounts = sqlx::query(
        "SELECT DISTINCT a.last_operation_id AS id, a.id AS account_id, a.owner_id FROM accounts a \
         JOIN account_servers p ON p.account_id = a.id WHERE p.server_id = $1",
    )
    .bind(&server)
    .fetch_all(&mut **tx)
    .await?;
    for account in &accounts {
        told.push(Told::try_from(account)?);
    }
    // Keys, pools, sites, names and claims go by their foreign keys.
    sqlx::query("DELETE FROM accounts WHERE id IN (SELECT account_id FROM account_servers WHERE server_id = $1)")
        .bind(&server)
        .execute(&mut **tx)
        .await?;
    let name = server_name_in_tx(tx, id).await?;
    server_end_in_tx(tx, id).await?;
    sqlx::query("UPDATE ended_servers SET given_up = 1 WHERE name = $1").bind(name).execute(&mut **tx).await?;
    Ok(GivenUp::Gone(told))
}

/// Takes back every job that has not ended, also those that lie on the bus: nobody is there to take them, and dispatch removes them
/// with the server's place on the bus.
async fn end_operations(tx: &mut Tx, server: &str) -> Result<Vec<Told>, StoreError> {
    let open = sqlx::query(
        "SELECT DISTINCT o.id, o.account_id, o.owner_id FROM operations o JOIN jobs j ON j.operation_id = o.id \
         WHERE j.server_id = $1 AND j.state IN ('queued', 'sent', 'working', 'blocked', 'failed') ORDER BY o.id",
    )
    .bind(server)
    .fetch_all(&mut **tx)
    .await?;
    sqlx::query(
        "UPDATE jobs SET state = 'cancelled', finished_ms = $1, detail = $2 \
         WHERE server_id = $3 AND state IN ('queued', 'sent', 'working', 'blocked')",
    )
    .bind(now_ms())
    .bind(HOST_GONE)
    .bind(server)
    .execute(&mut **tx)
    .await?;
    // A failure that nobody can mend any more wants no decision.
    sqlx::query("UPDATE jobs SET state = 'superseded' WHERE server_id = $1 AND state = 'failed'").bind(server).execute(&mut **tx).await?;
    let mut told = Vec::with_capacity(open.len());
    for row in &open {
        let ended = Told::try_from(row)?;
        operation_settle_in_tx(tx, ended.operation).await?;
        told.push(ended);
    }
    Ok(told)
}

impl TryFrom<&AnyRow> for Told {
    type Error = StoreError;

    fn try_from(row: &AnyRow) -> Result<Self, StoreError> {
        Ok(Self {
            operation: parse("operations.id", row.try_get("id")?)?,
            account: parse("operations.account_id", row.try_get("account_id")?)?,
            owner: parse("operations.owner_id", row.try_get("owner_id")?)?,
        })
    }
}
