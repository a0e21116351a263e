//! What was refused as a matter of security, as admins see to it.

use super::signal::Signal;
use super::unit::Unit;
use super::{Actor, App, AppError};
use crate::store::audit::AuditAction;
use crate::store::ids::SecurityEventId;
use crate::store::security_event::security_event_mark_seen_in_tx;

/// Says that all that had come when the page was shown has been seen.
///
/// # Errors
/// [`AppError::Forbidden`] for clients.
pub async fn security_mark_seen(app: &App, actor: &Actor, until: &SecurityEventId) -> Result<(), AppError> {
    actor.require_admin()?;
    let mut unit = Unit::begin(app, actor).await?;
    let seen = security_event_mark_seen_in_tx(&mut unit.tx, until).await?;
    if seen > 0 {
        unit.audit(AuditAction::SecuritySeen, &seen.to_string(), "").await?;
    }
    unit.signal(Signal::SecuritySeen);
    unit.commit().await
}
