//! Names, and who owns them in the whole fleet.
//!
//! **A name belongs to one site and a registrable domain to one account**: two primary keys say so, not a check.

use shared::ids::{AccountId, SiteId};
use shared::names::{DomainName, SiteName};
use sqlx::Row;

use super::{Db, StoreError, Tx, now_ms, parse};

/// Who owns a registrable domain after a claim.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Claim {
    /// The account that asked, now or from before.
    Ours,
    /// Another account.
    Theirs(AccountId),
}

/// Claims a registrable domain for an account.
///
/// # Errors
/// The database fails.
pub async fn domain_claim_in_tx(tx: &mut Tx, domain: &str, account: AccountId) -> Result<Claim, StoreError> {
    sqlx::query("INSERT INTO domain_claims (domain, account_id, created_ms) VALUES ($1, $2, $3) ON CONFLICT (domain) DO NOTHING")
        .bind(domain)
        .bind(account.to_string())
        .bind(now_ms())
        .execute(&mut **tx)
        .await?;
    let row = sqlx::query("SELECT account_id FROM domain_claims WHERE domain = $1").bind(domain).fetch_one(&mut **tx).await?;
    let owner: AccountId = parse("domain_claims.account_id", row.try_get("account_id")?)?;
    Ok(if owner == account { Claim::Ours } else { Claim::Theirs(owner) })
}

/// Gives up claims of an account below which no site of it has a name any more.
///
/// # Errors
/// The database fails.
pub async fn domain_claims_release_in_tx(tx: &mut Tx, account: AccountId) -> Result<(), StoreError> {
    // A suffix comparison without LIKE, so that no character of a name is a wildcard.
    sqlx::query(
        "DELETE FROM domain_claims WHERE account_id = $1 AND NOT EXISTS ( \
         SELECT 1 FROM site_names n JOIN sites s ON s.id = n.site_id WHERE s.account_id = $1 \
         AND (n.name = domain_claims.domain OR (LENGTH(n.name) > LENGTH(domain_claims.domain) \
         AND SUBSTR(n.name, LENGTH(n.name) - LENGTH(domain_claims.domain)) = '.' || domain_claims.domain)))",
    )
    .bind(account.to_string())
    .execute(&mut **tx)
    .await?;
    Ok(())
}

/// Replaces the names of a site: its domain and its aliases, in order.
///
/// # Errors
/// [`NamesError::Taken`] with the first name another site has, or the database fails.
pub async fn site_names_replace_in_tx(tx: &mut Tx, site: SiteId, domain: &DomainName, aliases: &[SiteName]) -> Result<(), NamesError> {
    sqlx::query("DELETE FROM site_names WHERE site_id = $1").bind(site.to_string()).execute(&mut **tx).await.map_err(StoreError::from)?;
    let primary = SiteName::from(domain.clone());
    let mut names: Vec<_> = std::iter::once(&primary).chain(aliases).enumerate().collect();
    // Always in one order, so that two requests for the same names wait for each other instead of locking up.
    names.sort_by(|one, other| one.1.cmp(other.1));
    for (position, name) in names {
        let done = sqlx::query("INSERT INTO site_names (name, site_id, position) VALUES ($1, $2, $3) ON CONFLICT (name) DO NOTHING")
            .bind(name.as_str())
            .bind(site.to_string())
            .bind(i64::try_from(position).unwrap_or(i64::MAX))
            .execute(&mut **tx)
            .await
            .map_err(StoreError::from)?;
        if done.rows_affected() == 0 {
            return Err(NamesError::Taken(name.clone()));
        }
    }
    Ok(())
}

/// Why the names of a site could not be written.
#[derive(Debug, thiserror::Error)]
pub enum NamesError {
    /// Another site has this one.
    #[error("the name {0} belongs to another site")]
    Taken(SiteName),
    /// The database fails.
    #[error("the names could not be written")]
    Store(#[from] StoreError),
}

/// The further names of a site, in order.
///
/// # Errors
/// The database fails.
pub async fn site_aliases(db: &Db, site: SiteId) -> Result<Vec<SiteName>, StoreError> {
    let rows = sqlx::query("SELECT name FROM site_names WHERE site_id = $1 AND position > 0 ORDER BY position")
        .bind(site.to_string())
        .fetch_all(db.read())
        .await?;
    rows.iter().map(|row| parse("site_names.name", row.try_get("name")?)).collect()
}

/// As [`site_aliases`], inside a transaction.
///
/// # Errors
/// The database fails.
pub async fn site_aliases_in_tx(tx: &mut Tx, site: SiteId) -> Result<Vec<SiteName>, StoreError> {
    let rows = sqlx::query("SELECT name FROM site_names WHERE site_id = $1 AND position > 0 ORDER BY position")
        .bind(site.to_string())
        .fetch_all(&mut **tx)
        .await?;
    rows.iter().map(|row| parse("site_names.name", row.try_get("name")?)).collect()
}

/// The address of the server that holds the site of this name, wildcards included; empty if the server told none.
///
/// # Errors
/// The database fails.
pub async fn site_address_by_name(db: &Db, name: &str) -> Result<Option<String>, StoreError> {
    let wildcard = name.split_once('.').map_or_else(String::new, |(_, parent)| format!("*.{parent}"));
    let row = sqlx::query(
        "SELECT CASE WHEN v.address = '' THEN v.hostname ELSE v.address END AS address FROM site_names n JOIN sites s ON s.id = n.site_id \
         JOIN account_servers a ON a.account_id = s.account_id AND a.role = 'web' JOIN servers v ON v.id = a.server_id \
         WHERE n.name IN ($1, $2) ORDER BY CASE WHEN n.name = $1 THEN 0 ELSE 1 END LIMIT 1",
    )
    .bind(name)
    .bind(wildcard)
    .fetch_optional(db.read())
    .await?;
    Ok(row.map(|row| row.try_get("address")).transpose()?)
}
