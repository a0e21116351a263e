//! Who did what, from where. **Lines are only added.**

use shared::ids::UserId;

use super::ids::AuditId;
use super::{StoreError, Tx, now_ms};

/// A line of the audit log.
#[derive(Debug, Clone)]
pub struct NewAudit<'a> {
    /// Who; `None` if nobody was signed in.
    pub user: Option<UserId>,
    /// Their name, or what was typed as a login.
    pub user_name: &'a str,
    /// What, spelled `subject.verb`.
    pub action: &'a str,
    /// On what: a domain, a login, a server.
    pub subject: &'a str,
    /// The peer's address.
    pub address: &'a str,
    /// Anything more, without secrets.
    pub detail: &'a str,
}

/// Adds a line.
///
/// # Errors
/// The database fails.
pub async fn audit_insert_in_tx(tx: &mut Tx, line: &NewAudit<'_>) -> Result<(), StoreError> {
    sqlx::query(
        "INSERT INTO audit (id, at_ms, user_id, user_name, action, subject, address, detail) VALUES ($1, $2, $3, $4, $5, $6, $7, $8)",
    )
    .bind(AuditId::new().as_str())
    .bind(now_ms())
    .bind(line.user.map(|user| user.to_string()).unwrap_or_default())
    .bind(line.user_name)
    .bind(line.action)
    .bind(line.subject)
    .bind(line.address)
    .bind(line.detail)
    .execute(&mut **tx)
    .await?;
    Ok(())
}
