//! The audit log.

use axum::extract::State;
use axum::response::{IntoResponse, Response};
use axum::routing::{Router, get as on_get};

use super::model::audit::audit_list_model;
use super::model::{ListQuery, live_url};
use super::{Access, Route, get};
use crate::error::PageError;
use crate::extract::{Query, SignedIn};
use crate::paths;
use crate::state::AppState;
use crate::views::audit as view;

pub(super) const TABLE: &[Route] = &[get(paths::AUDIT, Access::SignedIn)];

/// The routes.
pub fn router() -> Router<AppState> {
    Router::new().route(paths::AUDIT, on_get(list))
}

async fn list(State(state): State<AppState>, signed_in: SignedIn, Query(query): Query<ListQuery>) -> Result<Response, PageError> {
    let model = audit_list_model(&state, &signed_in.actor, &query, live_url(&signed_in)).await?;
    Ok(view::list_page(&signed_in.viewer, &model).into_response())
}
