//! Servers whose host is gone for good: they are given up with all that lived there.

use shared::ids::ServerId;
use sqlx::Row;

use super::ended_server::{Parting, Told, server_end_in_tx, server_end_requests_in_tx};
use super::server::server_name_in_tx;
use super::{Db, StoreError, Tx};

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
    let mut told = server_end_requests_in_tx(tx, id, Parting::HostGone).await?;
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
