//! Queues of servers, for admins.

use axum::extract::State;
use axum::response::{IntoResponse, Response};
use axum::routing::{Router, get as on_get, post as on_post};
use shared::ids::{OperationId, ServerId};

use super::model::queue::{cancel_model, queue_model};
use super::model::{ListQuery, live_url};
use super::{Access, Route, get, go, post, shown, toast};
use crate::app::queue::{operation_cancel, operation_shift, queue_pause, queue_resume};
use crate::app::server::server_get;
use crate::error::PageError;
use crate::extract::{Flash, Path, Query, SignedIn};
use crate::paths;
use crate::state::AppState;
use crate::store::queue::Shift;
use crate::views::queue as view;

pub(super) const TABLE: &[Route] = &[
    get(paths::SERVER_QUEUE, Access::Admin),
    get(paths::SERVER_QUEUE_PAUSE, Access::Admin),
    post(paths::SERVER_QUEUE_PAUSE, Access::Admin),
    post(paths::SERVER_QUEUE_RESUME, Access::Admin),
    get(paths::OPERATION_CANCEL, Access::Admin),
    post(paths::OPERATION_CANCEL, Access::Admin),
    post(paths::OPERATION_SOONER, Access::Admin),
    post(paths::OPERATION_LATER, Access::Admin),
];

/// The routes.
pub fn router() -> Router<AppState> {
    Router::new()
        .route(paths::SERVER_QUEUE, on_get(show))
        .route(paths::SERVER_QUEUE_PAUSE, on_get(confirm_pause).post(pause))
        .route(paths::SERVER_QUEUE_RESUME, on_post(resume))
        .route(paths::OPERATION_CANCEL, on_get(confirm_cancel).post(cancel))
        .route(paths::OPERATION_SOONER, on_post(sooner))
        .route(paths::OPERATION_LATER, on_post(later))
}

async fn show(
    State(state): State<AppState>,
    signed_in: SignedIn,
    Path(id): Path<ServerId>,
    Query(query): Query<ListQuery>,
) -> Result<Response, PageError> {
    let mut model = queue_model(&state, &signed_in.actor, id, &query, live_url(&signed_in)).await?;
    model.toast = toast(&signed_in);
    Ok(shown(&signed_in, view::queue_page(&signed_in.viewer, &model)))
}

async fn confirm_pause(State(state): State<AppState>, signed_in: SignedIn, Path(id): Path<ServerId>) -> Result<Response, PageError> {
    let server = server_get(&state.app, &signed_in.actor, id).await?;
    Ok(view::pause_page(&signed_in.viewer, id, &server.name).into_response())
}

async fn pause(State(state): State<AppState>, signed_in: SignedIn, Path(id): Path<ServerId>) -> Result<Response, PageError> {
    queue_pause(&state.app, &signed_in.actor, id).await?;
    Ok(go(&paths::server_queue(id), Flash::QueuePaused))
}

async fn resume(State(state): State<AppState>, signed_in: SignedIn, Path(id): Path<ServerId>) -> Result<Response, PageError> {
    queue_resume(&state.app, &signed_in.actor, id).await?;
    Ok(go(&paths::server_queue(id), Flash::QueueResumed))
}

async fn confirm_cancel(State(state): State<AppState>, signed_in: SignedIn, Path(id): Path<OperationId>) -> Result<Response, PageError> {
    let model = cancel_model(&state, &signed_in.actor, id).await?;
    Ok(view::cancel_page(&signed_in.viewer, &model).into_response())
}

async fn cancel(State(state): State<AppState>, signed_in: SignedIn, Path(id): Path<OperationId>) -> Result<Response, PageError> {
    operation_cancel(&state.app, &signed_in.actor, id).await?;
    Ok(go(&paths::operation(id), Flash::OperationCancelled))
}

async fn sooner(State(state): State<AppState>, signed_in: SignedIn, Path(id): Path<OperationId>) -> Result<Response, PageError> {
    shift(&state, &signed_in, id, Shift::Sooner).await
}

async fn later(State(state): State<AppState>, signed_in: SignedIn, Path(id): Path<OperationId>) -> Result<Response, PageError> {
    shift(&state, &signed_in, id, Shift::Later).await
}

async fn shift(state: &AppState, signed_in: &SignedIn, id: OperationId, shift: Shift) -> Result<Response, PageError> {
    let operation = operation_shift(&state.app, &signed_in.actor, id, shift).await?;
    Ok(go(&paths::server_queue(operation.server_id), Flash::QueueMoved))
}
