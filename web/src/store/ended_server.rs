//! Servers that were deleted: whoever had their keys is shut out of the bus for good.

use shared::ids::{AccountId, OperationId, ServerId, UserId};
use shared::names::ServerName;
use sqlx::Row;
use sqlx::any::AnyRow;

use super::operation::operation_settle_in_tx;
use super::revocation::revocation_insert_in_tx;
use super::{Db, StoreError, Tx, now_ms, parse};

/// A server that was deleted.
#[derive(Debug, Clone)]
pub struct EndedServer {
    /// Its name.
    pub name: ServerName,
    /// The stream that carried its jobs.
    pub stream: String,
    /// Whether dispatch has ended what it had on the bus.
    pub closed: bool,
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

/// Why nothing asked of a server will be done any more.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Parting {
    /// No account lived there, and an admin deleted it.
    Deleted,
    /// Its host is gone, and it was given up.
    HostGone,
}

impl Parting {
    /// What is kept of a job that its host will never take, for admins.
    const fn detail(self) -> &'static str {
        match self {
            Self::Deleted => "its server was deleted",
            Self::HostGone => "the host is gone for good, and its server was given up",
        }
    }
}

/// Ends what was asked of a server, deletes it with its tokens, and revokes its worker's key. What was ended; `None`, and nothing is
/// changed, while accounts live there or if there is none.
///
/// # Errors
/// The database fails.
pub async fn server_end_in_tx(tx: &mut Tx, id: ServerId) -> Result<Option<Vec<Told>>, StoreError> {
    let (server, id, now) = (id, id.to_string(), now_ms());
    let lived_on =
        sqlx::query("SELECT 1 AS one FROM account_servers WHERE server_id = $1 LIMIT 1").bind(&id).fetch_optional(&mut **tx).await?;
    if lived_on.is_some() {
        return Ok(None);
    }
    let leaving = lies_on_bus(tx, &id).await?;
    let told = server_end_requests_in_tx(tx, server, Parting::Deleted).await?;
    revocation_insert_in_tx(tx, server, None).await?;
    sqlx::query(
        "INSERT INTO ended_servers (name, stream, at_ms, given_up) \
         SELECT name, stream, CAST($1 AS BIGINT), CAST($2 AS SMALLINT) FROM servers WHERE id = $3 ON CONFLICT (name) DO NOTHING",
    )
    .bind(now)
    .bind(i32::from(leaving))
    .bind(&id)
    .execute(&mut **tx)
    .await?;
    let done = sqlx::query("DELETE FROM servers WHERE id = $1").bind(&id).execute(&mut **tx).await?;
    Ok((done.rows_affected() == 1).then_some(told))
}

/// Whether a job lies on the bus for a server, or may.
async fn lies_on_bus(tx: &mut Tx, server: &str) -> Result<bool, StoreError> {
    let row = sqlx::query(
        "SELECT 1 AS one FROM jobs WHERE server_id = $1 AND (state IN ('sent', 'working', 'blocked') OR (state = 'queued' AND released = 1)) \
         LIMIT 1",
    )
    .bind(server)
    .fetch_optional(&mut **tx)
    .await?;
    Ok(row.is_some())
}

/// Takes back every job of a server that has not ended, also those that lie on the bus: nobody will take them, and dispatch removes
/// them with the server's place on the bus. What failed there wants no decision any more: nobody can mend it.
///
/// # Errors
/// The database fails.
pub async fn server_end_requests_in_tx(tx: &mut Tx, id: ServerId, parting: Parting) -> Result<Vec<Told>, StoreError> {
    let server = id.to_string();
    let open = sqlx::query(
        "SELECT DISTINCT o.id, o.account_id, o.owner_id FROM operations o JOIN jobs j ON j.operation_id = o.id \
         WHERE j.server_id = $1 AND j.state IN ('queued', 'sent', 'working', 'blocked', 'failed') ORDER BY o.id",
    )
    .bind(&server)
    .fetch_all(&mut **tx)
    .await?;
    sqlx::query(
        "UPDATE jobs SET state = 'cancelled', finished_ms = $1, detail = $2 \
         WHERE server_id = $3 AND state IN ('queued', 'sent', 'working', 'blocked')",
    )
    .bind(now_ms())
    .bind(parting.detail())
    .bind(&server)
    .execute(&mut **tx)
    .await?;
    sqlx::query("UPDATE jobs SET state = 'superseded' WHERE server_id = $1 AND state = 'failed'").bind(&server).execute(&mut **tx).await?;
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

/// Whether a server of this name is gone, and what lies on the bus for it is not removed yet: another of its name would be handed
/// that.
///
/// # Errors
/// The database fails.
pub async fn ended_server_is_leaving_in_tx(tx: &mut Tx, name: &ServerName) -> Result<bool, StoreError> {
    let row = sqlx::query("SELECT 1 AS one FROM ended_servers WHERE name = $1 AND given_up = 1 AND closed_ms IS NULL")
        .bind(name.as_str())
        .fetch_optional(&mut **tx)
        .await?;
    Ok(row.is_some())
}

/// A name that was ended is in use again.
///
/// # Errors
/// The database fails.
pub async fn ended_server_forget_in_tx(tx: &mut Tx, name: &ServerName) -> Result<(), StoreError> {
    sqlx::query("DELETE FROM ended_servers WHERE name = $1").bind(name.as_str()).execute(&mut **tx).await?;
    Ok(())
}

/// All of them by name.
///
/// # Errors
/// The database fails.
pub async fn ended_server_list(db: &Db) -> Result<Vec<EndedServer>, StoreError> {
    let rows = sqlx::query("SELECT name, stream, closed_ms FROM ended_servers ORDER BY name").fetch_all(db.read()).await?;
    rows.iter()
        .map(|row| {
            Ok(EndedServer {
                name: parse("ended_servers.name", row.try_get("name")?)?,
                stream: row.try_get("stream")?,
                closed: row.try_get::<Option<i64>, _>("closed_ms")?.is_some(),
            })
        })
        .collect()
}

/// What one had on the bus has been ended.
///
/// # Errors
/// The database fails.
pub async fn ended_server_mark_closed(db: &Db, name: &ServerName) -> Result<(), StoreError> {
    let mut tx = db.write().await?;
    sqlx::query("UPDATE ended_servers SET closed_ms = $1 WHERE name = $2").bind(now_ms()).bind(name.as_str()).execute(&mut *tx).await?;
    tx.commit().await?;
    Ok(())
}
