//! Operations.

use axum::Json;
use axum::extract::State;
use axum::http::header::CONTENT_DISPOSITION;
use axum::response::{IntoResponse, Redirect, Response};
use axum::routing::{Router, get as on_get, post as on_post};
use shared::ids::OperationId;

use super::model::drift::preview_model;
use super::model::operation::{operation_list_model, operation_retry_model, operation_show_model};
use super::model::operation_record::operation_record;
use super::model::{ListQuery, live_url};
use super::{Access, Route, at_page, get, post, shown};
use crate::app::operation::{operation_retry, operation_retry_preview};
use crate::app::worker_update::Offer;
use crate::error::PageError;
use crate::extract::{Path, Query, SignedIn};
use crate::paths;
use crate::state::AppState;
use crate::views::operation as view;

pub(super) const TABLE: &[Route] = &[
    get(paths::OPERATIONS, Access::SignedIn),
    get(paths::OPERATION, Access::Owner),
    get(paths::OPERATION_RECORD, Access::Admin),
    get(paths::OPERATION_RETRY, Access::Owner),
    post(paths::OPERATION_RETRY, Access::Owner),
    post(paths::OPERATION_RETRY_PREVIEW, Access::Owner),
];

/// The routes.
pub fn router() -> Router<AppState> {
    Router::new()
        .route(paths::OPERATIONS, on_get(list))
        .route(paths::OPERATION, on_get(show))
        .route(paths::OPERATION_RECORD, on_get(record))
        .route(paths::OPERATION_RETRY, on_get(retry_ask).post(retry))
        .route(paths::OPERATION_RETRY_PREVIEW, on_post(retry_preview))
}

async fn list(State(state): State<AppState>, signed_in: SignedIn, Query(query): Query<ListQuery>) -> Result<Response, PageError> {
    let model = operation_list_model(&state, &signed_in.actor, &query, live_url(&signed_in)).await?;
    Ok(shown(&signed_in, view::list_page(&signed_in.viewer, &model)))
}

async fn show(State(state): State<AppState>, signed_in: SignedIn, Path(id): Path<OperationId>) -> Result<Response, PageError> {
    let model = operation_show_model(&state, &signed_in.actor, id, live_url(&signed_in)).await?;
    Ok(shown(&signed_in, view::show_page(&signed_in.viewer, &model)))
}

async fn record(State(state): State<AppState>, signed_in: SignedIn, Path(id): Path<OperationId>) -> Result<Response, PageError> {
    let record = operation_record(&state, &signed_in.actor, id).await?;
    let name = format!("attachment; filename=\"operation-{id}.json\"");
    Ok(([(CONTENT_DISPOSITION, name)], Json(record)).into_response())
}

async fn retry_ask(State(state): State<AppState>, signed_in: SignedIn, Path(id): Path<OperationId>) -> Result<Response, PageError> {
    let model = operation_retry_model(&state, &signed_in.actor, id).await?;
    Ok(view::retry_page(&signed_in.viewer, &model).into_response())
}

/// The question again, with what it would change; nothing is recorded.
async fn retry_preview(State(state): State<AppState>, signed_in: SignedIn, Path(id): Path<OperationId>) -> Result<Response, PageError> {
    let worker = state.config.worker_offer();
    let offer = worker.as_ref().map(|worker| Offer { worker, config: &state.config });
    let preview = operation_retry_preview(&state.app, &signed_in.actor, id, offer).await?;
    let mut model = operation_retry_model(&state, &signed_in.actor, id).await?;
    model.preview = Some(preview_model(&signed_in.actor, preview));
    Ok(view::retry_page(&at_page(signed_in, paths::operation_retry(id)), &model).into_response())
}

async fn retry(State(state): State<AppState>, signed_in: SignedIn, Path(id): Path<OperationId>) -> Result<Response, PageError> {
    let worker = state.config.worker_offer();
    let offer = worker.as_ref().map(|worker| Offer { worker, config: &state.config });
    operation_retry(&state.app, &signed_in.actor, id, offer).await?;
    Ok(Redirect::to(&paths::operation(id)).into_response())
}
