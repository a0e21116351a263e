//! What the panel's operator does about people from the command line.

use shared::ids::UserId;
use shared::secret::Secret;

use super::{App, AppError};
use crate::auth::password::one_time_password;
use crate::store::audit::{AuditAction, NewAudit, audit_insert_in_tx};
use crate::store::session::session_delete_of_user_in_tx;
use crate::store::user::{
    Login, NewUser, PasswordLife, UserRole, user_count, user_fetch_by_login, user_insert_in_tx, user_set_password_in_tx,
};
use crate::store::{StoreError, Tx};

/// Makes the first admin, unless there is one. Returns the one-time password to print.
///
/// # Errors
/// The database fails.
pub async fn first_admin(app: &App, login: &Login) -> Result<Option<Secret<String>>, AppError> {
    if user_count(&app.db, UserRole::Admin).await? > 0 {
        return Ok(None);
    }
    admin_add(app, login, "Administrator").await.map(Some)
}

/// Adds an admin. Returns the one-time password to print.
///
/// # Errors
/// [`AppError::Invalid`] on `login` if it is taken.
pub async fn admin_add(app: &App, login: &Login, name: &str) -> Result<Secret<String>, AppError> {
    let password = one_time_password();
    let password_hash = app.hasher.hash(password.clone()).await?;
    let mut tx = app.db.write().await?;
    let new = NewUser { id: UserId::new(), login: login.clone(), name: name.to_owned(), role: UserRole::Admin, password_hash };
    user_insert_in_tx(&mut tx, &new).await.map_err(login_taken)?;
    audit(&mut tx, AuditAction::UserAdd, login).await?;
    tx.commit().await.map_err(StoreError::from)?;
    Ok(password)
}

/// Gives anybody a new one-time password and ends their sessions. Returns the password to print.
///
/// # Errors
/// [`AppError::NotFound`] for an unknown login.
pub async fn password_reset(app: &App, login: &Login) -> Result<Secret<String>, AppError> {
    let user = user_fetch_by_login(&app.db, login).await?.ok_or(AppError::NotFound)?;
    let password = one_time_password();
    let hash = app.hasher.hash(password.clone()).await?;
    let mut tx = app.db.write().await?;
    user_set_password_in_tx(&mut tx, user.id, &hash, PasswordLife::Once).await?;
    session_delete_of_user_in_tx(&mut tx, user.id, None).await?;
    audit(&mut tx, AuditAction::UserResetPassword, login).await?;
    tx.commit().await.map_err(StoreError::from)?;
    Ok(password)
}

pub(super) fn login_taken(error: StoreError) -> AppError {
    if error.is_duplicate_of("users", "login") {
        AppError::invalid("login", "Somebody has this user name already. Choose another.")
    } else {
        error.into()
    }
}

async fn audit(tx: &mut Tx, action: AuditAction, login: &Login) -> Result<(), StoreError> {
    audit_insert_in_tx(tx, &NewAudit::on_command_line(action, login.as_str())).await
}
