//! Where a new account can live.

use shared::ids::ServerId;
use shared::names::{PhpVersion, ServerName};
use shared::role::Role;
use sqlx::Row;

use super::{Db, StoreError, Tx, parse, parse_json};

/// A server that may take an account.
#[derive(Debug, Clone)]
pub struct Candidate {
    /// The server.
    pub id: ServerId,
    /// Its name.
    pub name: ServerName,
    /// What people call it; empty: by its name.
    pub label: String,
    /// What it is for.
    pub roles: Vec<Role>,
    /// Whether it takes new accounts.
    pub active: bool,
    /// Whether its worker is connected.
    pub online: bool,
    /// Whether its worker has ever joined.
    pub enrolled: bool,
    /// The key secrets for it are sealed to.
    pub seal_key: Option<String>,
    /// PHP that its worker has found there.
    pub php_versions: Vec<PhpVersion>,
    /// Accounts it has.
    pub accounts: i64,
    /// Accounts it may have.
    pub max_accounts: Option<i64>,
}

impl Candidate {
    /// Whether it has room for one more.
    #[must_use]
    pub fn has_room(&self) -> bool {
        self.max_accounts.is_none_or(|most| self.accounts < most)
    }
}

macro_rules! candidate_select {
    () => {
        "SELECT v.id, v.name, v.label, v.roles, v.active, v.online, v.public_key, v.seal_key, v.php_versions, v.max_accounts, \
         (SELECT COUNT(DISTINCT p.account_id) FROM account_servers p WHERE p.server_id = v.id) AS accounts FROM servers v "
    };
}

fn candidate(row: &sqlx::any::AnyRow) -> Result<Candidate, StoreError> {
    let public_key: Option<String> = row.try_get("public_key")?;
    Ok(Candidate {
        id: parse("servers.id", row.try_get("id")?)?,
        name: parse("servers.name", row.try_get("name")?)?,
        label: row.try_get("label")?,
        roles: parse_json("servers.roles", row.try_get("roles")?)?,
        active: row.try_get::<i32, _>("active")? != 0,
        online: row.try_get::<i32, _>("online")? != 0,
        enrolled: public_key.is_some(),
        seal_key: row.try_get("seal_key")?,
        php_versions: parse_json("servers.php_versions", row.try_get("php_versions")?)?,
        accounts: row.try_get("accounts")?,
        max_accounts: row.try_get("max_accounts")?,
    })
}

/// All servers, the least loaded first.
///
/// # Errors
/// The database fails.
pub async fn placement_list_in_tx(tx: &mut Tx) -> Result<Vec<Candidate>, StoreError> {
    let rows = sqlx::query(concat!(candidate_select!(), "ORDER BY accounts, v.name")).fetch_all(&mut **tx).await?;
    rows.iter().map(candidate).collect()
}

/// All servers, the least loaded first, for a form.
///
/// # Errors
/// The database fails.
pub async fn placement_list(db: &Db) -> Result<Vec<Candidate>, StoreError> {
    let rows = sqlx::query(concat!(candidate_select!(), "ORDER BY accounts, v.name")).fetch_all(db.read()).await?;
    rows.iter().map(candidate).collect()
}

/// One server, locked until the transaction ends, so that its count of accounts stays true.
///
/// # Errors
/// The database fails.
pub async fn placement_lock_in_tx(tx: &mut Tx, id: ServerId) -> Result<Option<Candidate>, StoreError> {
    sqlx::query("UPDATE servers SET active = active WHERE id = $1").bind(id.to_string()).execute(&mut **tx).await?;
    let row = sqlx::query(concat!(candidate_select!(), "WHERE v.id = $1")).bind(id.to_string()).fetch_optional(&mut **tx).await?;
    row.as_ref().map(candidate).transpose()
}
