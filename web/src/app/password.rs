//! Changing one's password.

use serde::Deserialize;
use shared::secret::Secret;

use super::session::{Brakes, Peer, session_open_in_tx};
use super::signal::Signal;
use super::unit::Unit;
use super::{Actor, App, AppError};
use crate::auth::policy;
use crate::auth::token::token_new;
use crate::store::audit::AuditAction;
use crate::store::session::session_delete_of_user_in_tx;
use crate::store::user::{PasswordLife, user_fetch, user_lock_in_tx, user_set_password_in_tx};

/// The form.
#[derive(Clone, Default, Deserialize)]
#[serde(default)]
pub struct PasswordChange {
    /// The present password.
    pub current: String,
    /// The new one.
    pub new: String,
    /// The new one again.
    pub repeat: String,
}

/// Changes the password, ends every session and begins a new one, whose token is returned.
///
/// # Errors
/// [`AppError::Invalid`] on `current`, `new` or `repeat`; [`AppError::TooManyRequests`] after wrong present passwords.
pub async fn password_change(app: &App, actor: &Actor, peer: &Peer, form: PasswordChange) -> Result<Secret<String>, AppError> {
    // The rules first: only a present password that is looked at counts as a try.
    policy::check(&form.new, &[actor.login.as_str(), &actor.name, &app.panel_host])
        .map_err(|refused| AppError::invalid("new", refused.to_string()))?;
    if form.new != form.repeat {
        return Err(AppError::invalid("repeat", "The two new passwords differ."));
    }
    if form.new == form.current {
        return Err(AppError::invalid("new", "Choose a password other than the present one."));
    }
    let user = user_fetch(&app.db, actor.user).await?.ok_or(AppError::NotFound)?;
    let brakes = Brakes::new(Some(&actor.login), peer.address);
    brakes.take(app).await?;
    if !app.hasher.verify(Secret::new(form.current), Some(user.password_hash)).await? {
        return Err(AppError::invalid("current", "This is not your present password."));
    }
    let hash = app.hasher.hash(Secret::new(form.new)).await?;
    let token = token_new();
    let mut unit = Unit::begin(app, actor).await?;
    brakes.forgive_in_tx(&mut unit.tx).await?;
    let user = user_lock_in_tx(&mut unit.tx, actor.user).await?.ok_or(AppError::NotFound)?;
    user_set_password_in_tx(&mut unit.tx, actor.user, &hash, PasswordLife::Lasting).await?;
    session_delete_of_user_in_tx(&mut unit.tx, actor.user, None).await?;
    session_open_in_tx(&mut unit.tx, &user, peer, &token).await?;
    unit.audit(AuditAction::PasswordChange, actor.login.as_str(), "").await?;
    unit.signal(Signal::SessionsEnded(actor.user));
    unit.commit().await?;
    Ok(token)
}
