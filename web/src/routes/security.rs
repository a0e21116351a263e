//! What was refused as a matter of security, for admins.

use axum::extract::State;
use axum::response::{IntoResponse, Redirect, Response};
use axum::routing::{Router, get as on_get, post as on_post};
use serde::Deserialize;

use super::model::security::security_list_model;
use super::model::{ListQuery, live_url};
use super::{Access, Route, get, post, shown};
use crate::app::AppError;
use crate::app::security::security_mark_seen;
use crate::error::PageError;
use crate::extract::{Form, Query, SignedIn};
use crate::paths;
use crate::state::AppState;
use crate::views::security as view;

pub(super) const TABLE: &[Route] = &[get(paths::SECURITY, Access::Admin), post(paths::SECURITY_SEEN, Access::Admin)];

/// The routes.
pub fn router() -> Router<AppState> {
    Router::new().route(paths::SECURITY, on_get(list)).route(paths::SECURITY_SEEN, on_post(seen))
}

async fn list(State(state): State<AppState>, signed_in: SignedIn, Query(query): Query<ListQuery>) -> Result<Response, PageError> {
    let model = security_list_model(&state, &signed_in.actor, &query, live_url(&signed_in)).await?;
    Ok(shown(&signed_in, view::list_page(&signed_in.viewer, &model)))
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Until {
    until: String,
}

async fn seen(State(state): State<AppState>, signed_in: SignedIn, Form(form): Form<Until>) -> Result<Response, PageError> {
    signed_in.actor.require_admin()?;
    let until = form.until.parse().map_err(|_| AppError::NotFound)?;
    security_mark_seen(&state.app, &signed_in.actor, &until).await?;
    Ok(Redirect::to(paths::SECURITY).into_response())
}
