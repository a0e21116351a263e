//! What needs no session: static files, health, enrolment of workers.

use std::time::Duration;

use axum::Json;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{Router, get as on_get, post as on_post};
use shared::enrolment::{EnrolmentRequest, Refusal};

use super::{Access, Route, get, post};
use crate::app::AppError;
use crate::app::enrolment::{Enrolled, enrol, enrol_reply};
use crate::error::PageError;
use crate::extract::Path;
use crate::paths;
use crate::state::AppState;
use crate::store::user::{UserRole, user_count};

pub(super) const TABLE: &[Route] =
    &[get(paths::STATIC, Access::Public), get(paths::HEALTHZ, Access::Public), post(paths::ENROL, Access::Public)];

/// The routes.
pub fn router() -> Router<AppState> {
    Router::new().route(paths::STATIC, on_get(static_file)).route(paths::HEALTHZ, on_get(healthz)).route(paths::ENROL, on_post(enrolment))
}

async fn static_file(State(state): State<AppState>, Path(name): Path<String>, headers: HeaderMap) -> Result<Response, PageError> {
    Ok(state.assets.answer(&name, &headers).ok_or(AppError::NotFound)?)
}

/// Whether this process serves: one read of the database.
async fn healthz(State(state): State<AppState>) -> Result<&'static str, PageError> {
    user_count(state.db(), UserRole::Admin).await?;
    Ok("ok\n")
}

/// How long a worker's request is held open for dispatch's answer; then it asks again.
const HOLD: Duration = Duration::from_secs(10);
/// How often the table is looked at meanwhile.
const LOOK: Duration = Duration::from_millis(200);

async fn enrolment(
    State(state): State<AppState>,
    body: Result<Json<EnrolmentRequest>, axum::extract::rejection::JsonRejection>,
) -> Response {
    let Ok(Json(request)) = body else { return StatusCode::BAD_REQUEST.into_response() };
    let answer: Result<Result<Option<String>, Refusal>, AppError> = async {
        let id = match enrol(&state.app, &request).await? {
            Enrolled::Reply(reply) => return Ok(Ok(Some(reply))),
            Enrolled::Refused(refusal) => return Ok(Err(refusal)),
            Enrolled::Waiting(id) => id,
        };
        let looks = HOLD.as_millis() / LOOK.as_millis();
        for _ in 0..looks {
            tokio::time::sleep(LOOK).await;
            if let Some(reply) = enrol_reply(&state.app, &id).await? {
                return Ok(Ok(Some(reply)));
            }
        }
        Ok(Ok(None))
    }
    .await;
    let json = |status, body: String| (status, [(header::CONTENT_TYPE, "application/json")], body).into_response();
    match answer {
        Ok(Ok(Some(reply))) => json(StatusCode::OK, reply),
        Ok(Ok(None)) => json(StatusCode::ACCEPTED, "{}".to_owned()),
        Ok(Err(refusal)) => (StatusCode::FORBIDDEN, Json(refusal)).into_response(),
        Err(error) => PageError::from(error).into_response(),
    }
}
