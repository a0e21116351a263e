//! Drift, for admins.

use axum::extract::State;
use axum::response::Response;
use axum::routing::{Router, get as on_get, post as on_post};
use shared::ids::ServerId;

use super::model::drift::drift_model;
use super::model::{ListQuery, live_url};
use super::{Access, Route, get, go, post, shown, toast};
use crate::app::drift::{PolicyForm, RepairForm, drift_check, drift_policy_change, drift_repair, drift_repair_server};
use crate::error::PageError;
use crate::extract::{Flash, Form, Path, Query, SignedIn};
use crate::paths;
use crate::state::AppState;
use crate::views::drift as view;

pub(super) const TABLE: &[Route] = &[
    get(paths::DRIFT, Access::Admin),
    post(paths::DRIFT_REPAIR, Access::Admin),
    post(paths::SERVER_DRIFT_REPAIR, Access::Admin),
    post(paths::SERVER_DRIFT_CHECK, Access::Admin),
    post(paths::SERVER_DRIFT_POLICY, Access::Admin),
];

/// The routes.
pub fn router() -> Router<AppState> {
    Router::new()
        .route(paths::DRIFT, on_get(show))
        .route(paths::DRIFT_REPAIR, on_post(repair))
        .route(paths::SERVER_DRIFT_REPAIR, on_post(repair_server))
        .route(paths::SERVER_DRIFT_CHECK, on_post(check))
        .route(paths::SERVER_DRIFT_POLICY, on_post(policy))
}

async fn show(State(state): State<AppState>, signed_in: SignedIn, Query(query): Query<ListQuery>) -> Result<Response, PageError> {
    let mut model = drift_model(&state, &signed_in.actor, &query, live_url(&signed_in)).await?;
    model.toast = toast(&signed_in);
    Ok(shown(&signed_in, view::page(&signed_in.viewer, &model)))
}

async fn repair(State(state): State<AppState>, signed_in: SignedIn, Form(form): Form<RepairForm>) -> Result<Response, PageError> {
    let requested = drift_repair(&state.app, &signed_in.actor, &form).await?;
    Ok(go(&paths::operation(requested.operation), Flash::Requested))
}

async fn repair_server(State(state): State<AppState>, signed_in: SignedIn, Path(id): Path<ServerId>) -> Result<Response, PageError> {
    let repaired = drift_repair_server(&state.app, &signed_in.actor, id).await?;
    Ok(go(paths::DRIFT, Flash::Repairing(repaired)))
}

async fn check(State(state): State<AppState>, signed_in: SignedIn, Path(id): Path<ServerId>) -> Result<Response, PageError> {
    let answered = drift_check(&state.app, &signed_in.actor, id).await?;
    Ok(go(paths::DRIFT, if answered { Flash::Looking } else { Flash::Silent }))
}

async fn policy(
    State(state): State<AppState>,
    signed_in: SignedIn,
    Path(id): Path<ServerId>,
    Form(form): Form<PolicyForm>,
) -> Result<Response, PageError> {
    drift_policy_change(&state.app, &signed_in.actor, id, &form).await?;
    Ok(go(paths::DRIFT, Flash::Saved))
}
