//! What the panel's operator does about servers and the bus from the command line.

use shared::ids::ServerId;
use shared::names::ServerName;
use shared::secret::Secret;

use super::AppError;
use super::server::TOKEN_MS;
use crate::auth::token::{token_hash, token_new};
use crate::store::audit::{AuditAction, NewAudit, audit_insert_in_tx};
use crate::store::enrolment::enrolment_insert_in_tx;
use crate::store::incarnation::incarnation_adopt_in_tx;
use crate::store::server::{NewServer, server_fetch_by_name, server_insert_in_tx};
use crate::store::{Db, StoreError, Tx, now_ms};

/// Adds a server unless there is one of the name. Returns a token for its worker, or `None` if it was there.
///
/// # Errors
/// The database fails.
pub async fn server_ensure(db: &Db, new: &NewServer) -> Result<Option<Secret<String>>, AppError> {
    if server_fetch_by_name(db, &new.name).await?.is_some() {
        return Ok(None);
    }
    let mut tx = db.write().await?;
    let id = server_insert_in_tx(&mut tx, new).await?;
    let token = token_make_in_tx(&mut tx, id).await?;
    audit_insert_in_tx(&mut tx, &NewAudit::on_command_line(AuditAction::ServerAdd, new.name.as_str())).await?;
    tx.commit().await.map_err(StoreError::from)?;
    Ok(Some(token))
}

/// A new token for a server's worker; one made before and not used stops working.
///
/// # Errors
/// [`AppError::NotFound`] for an unknown name.
pub async fn server_token_new(db: &Db, name: &ServerName) -> Result<Secret<String>, AppError> {
    let server = server_fetch_by_name(db, name).await?.ok_or(AppError::NotFound)?;
    let mut tx = db.write().await?;
    let token = token_make_in_tx(&mut tx, server.id).await?;
    audit_insert_in_tx(&mut tx, &NewAudit::on_command_line(AuditAction::ServerToken, name.as_str())).await?;
    tx.commit().await.map_err(StoreError::from)?;
    Ok(token)
}

/// Lets the bus serve this panel from now on, whichever copy of it it serves now.
///
/// # Errors
/// The database fails.
pub async fn bus_adopt(db: &Db) -> Result<(), AppError> {
    let mut tx = db.write().await?;
    incarnation_adopt_in_tx(&mut tx).await?;
    audit_insert_in_tx(&mut tx, &NewAudit::on_command_line(AuditAction::BusAdopt, "")).await?;
    tx.commit().await.map_err(StoreError::from)?;
    Ok(())
}

async fn token_make_in_tx(tx: &mut Tx, server: ServerId) -> Result<Secret<String>, StoreError> {
    let token = token_new();
    enrolment_insert_in_tx(tx, server, &token_hash(token.expose()), now_ms() + TOKEN_MS).await?;
    Ok(token)
}
