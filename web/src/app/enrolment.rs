//! A worker trades its token for credentials. The web tier records the request; dispatch, which holds the keys, answers.

use shared::enrolment::EnrolmentRequest;

use super::signal::Signal;
use super::{App, AppError};
use crate::auth::token::token_hash;
use crate::store::StoreError;
use crate::store::enrolment::{enrolment_reply, enrolment_request_in_tx};
use crate::store::ids::EnrolmentId;

/// Where a request stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Enrolled {
    /// Answered: a JSON text made by dispatch.
    Reply(String),
    /// Recorded; the same request may be sent again until it is answered.
    Waiting(EnrolmentId),
}

/// Records a worker's request, or finds the one it repeats.
///
/// # Errors
/// [`AppError::NotFound`] if the token is unknown, expired, or used by other keys.
pub async fn enrol(app: &App, request: &EnrolmentRequest) -> Result<Enrolled, AppError> {
    if !is_key(&request.public_key, 'U') || !is_key(&request.seal_key, 'X') || request.token.len() > 128 {
        return Err(AppError::NotFound);
    }
    let mut tx = app.db.write().await?;
    let row = enrolment_request_in_tx(&mut tx, &token_hash(&request.token), &request.public_key, &request.seal_key).await?;
    tx.commit().await.map_err(StoreError::from)?;
    let row = row.ok_or(AppError::NotFound)?;
    match row.reply {
        Some(reply) => Ok(Enrolled::Reply(reply)),
        None => {
            app.signals.send(Signal::EnrolmentRequested);
            Ok(Enrolled::Waiting(row.id))
        }
    }
}

/// The answer to a recorded request, if there is one by now.
///
/// # Errors
/// The database fails.
pub async fn enrol_reply(app: &App, id: &EnrolmentId) -> Result<Option<String>, AppError> {
    Ok(enrolment_reply(&app.db, id).await?)
}

/// An nkey: 56 characters of base32 that start with their kind. Dispatch checks the rest.
fn is_key(text: &str, kind: char) -> bool {
    text.len() == 56 && text.starts_with(kind) && text.bytes().all(|byte| byte.is_ascii_uppercase() || (b'2'..=b'7').contains(&byte))
}
