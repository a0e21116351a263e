//! A worker trades its token for credentials. The web tier records the request; dispatch, which holds the keys, answers.

use shared::bus::credentials::{is_seal_public_key, is_user_public_key};
use shared::enrolment::{EnrolmentRequest, Refusal};

use super::signal::Signal;
use super::{App, AppError};
use crate::auth::token::token_hash;
use crate::store::enrolment::{enrolment_reply, enrolment_request_in_tx, enrolment_token};
use crate::store::ids::EnrolmentId;
use crate::store::server::{ServerRow, server_fetch};
use crate::store::{StoreError, now_ms};

/// Where a request stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Enrolled {
    /// Answered: a JSON text made by dispatch.
    Reply(String),
    /// Recorded; the same request may be sent again until it is answered.
    Waiting(EnrolmentId),
    /// The token is not good for these keys, or they are damaged.
    Refused(Refusal),
}

/// Records a worker's request, or finds the one it repeats.
///
/// # Errors
/// The database fails.
pub async fn enrol(app: &App, request: &EnrolmentRequest) -> Result<Enrolled, AppError> {
    if request.token.len() > 128 {
        return Ok(Enrolled::Refused(Refusal::Unknown));
    }
    // The first request fixes the keys of its token: damaged ones must not.
    if !is_user_public_key(&request.public_key) || !is_seal_public_key(&request.seal_key) {
        return Ok(Enrolled::Refused(Refusal::Keys));
    }
    let mut tx = app.db.write().await?;
    let row = enrolment_request_in_tx(&mut tx, &token_hash(&request.token), &request.public_key, &request.seal_key).await?;
    tx.commit().await.map_err(StoreError::from)?;
    let Some(row) = row else {
        // What was good a moment ago, and is not for these keys, has been used by others.
        return Ok(Enrolled::Refused(token_server(app, &request.token).await?.err().unwrap_or(Refusal::Used)));
    };
    match row.reply {
        Some(reply) => Ok(Enrolled::Reply(reply)),
        None => {
            app.signals.send(Signal::EnrolmentRequested);
            Ok(Enrolled::Waiting(row.id))
        }
    }
}

/// The server a token is good for, for the script by which its host joins. Nothing is used up. A token that was asked with is good
/// for whoever asked, until that worker is heard; which keys those are, only the request itself says.
///
/// # Errors
/// The database fails.
pub async fn token_server(app: &App, token: &str) -> Result<Result<ServerRow, Refusal>, AppError> {
    let Some(row) = enrolment_token(&app.db, &token_hash(token)).await? else { return Ok(Err(Refusal::Unknown)) };
    if row.used {
        return Ok(Err(Refusal::Used));
    }
    if row.expires_ms <= now_ms() {
        return Ok(Err(Refusal::Expired));
    }
    Ok(server_fetch(&app.db, row.server).await?.ok_or(Refusal::Unknown))
}

/// The answer to a recorded request, if there is one by now.
///
/// # Errors
/// The database fails.
pub async fn enrol_reply(app: &App, id: &EnrolmentId) -> Result<Option<String>, AppError> {
    Ok(enrolment_reply(&app.db, id).await?)
}
