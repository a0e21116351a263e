//! `GET /live?page=ADDRESS`: the stream of a page.

use std::sync::Arc;

use axum::Router;
use axum::extract::State;
use axum::http::HeaderMap;
use axum::response::Response;
use axum::routing::get as on_get;
use serde::Deserialize;

use super::hub::{Hub, Reading, Renderer};
use super::stream::stream;
use super::view::{LiveView, ViewKey};
use crate::app::session::session_stands;
use crate::app::{Actor, AppError};
use crate::error::PageError;
use crate::extract::{Query, SignedIn, session_token};
use crate::paths;
use crate::routes::model::live::live_page;
use crate::routes::{Access, Route};
use crate::state::AppState;

pub(crate) const TABLE: &[Route] = &[Route { method: "GET", pattern: paths::LIVE, access: Access::SignedIn }];

/// The route, over a hub.
pub fn router(hub: Hub) -> Router<AppState> {
    Router::new().route(paths::LIVE, on_get(move |state, signed_in, query, headers| live(hub.clone(), state, signed_in, query, headers)))
}

#[derive(Deserialize)]
struct LiveQuery {
    /// The address of the page.
    page: String,
}

async fn live(
    hub: Hub,
    State(state): State<AppState>,
    SignedIn { actor, .. }: SignedIn,
    Query(query): Query<LiveQuery>,
    headers: HeaderMap,
) -> Result<Response, PageError> {
    let view = LiveView::at(&query.page).ok_or(AppError::NotFound)?;
    let key = ViewKey { view, scope: (&actor).into() };
    let token = session_token(&headers).ok_or(AppError::NotFound)?;
    let viewer = actor.user;
    let render = renderer(&state, actor);
    let app = state.app.clone();
    let stands = move || {
        let (app, token) = (app.clone(), token.clone());
        // A database that does not answer ends no stream; the next look decides.
        async move { session_stands(&app, token.expose()).await.unwrap_or(true) }
    };
    Ok(stream(&hub, &key, viewer, &render, stands))
}

/// Renders a page with the rights of the actor, who stands for all of the same scope.
fn renderer(state: &AppState, actor: Actor) -> Renderer {
    let state = state.clone();
    Arc::new(move |key: ViewKey| {
        let (state, actor) = (state.clone(), actor.clone());
        Box::pin(async move {
            match live_page(&state, &actor, &key.view).await {
                Ok(page) => Reading::Page(page.into()),
                Err(error) if error.may_pass() => {
                    tracing::warn!(view = ?key.view, error = ?error, "a live page could not be read; it is tried again");
                    Reading::Failed
                }
                Err(error) => {
                    tracing::debug!(view = ?key.view, error = ?error, "a live page is not there any more");
                    Reading::Gone
                }
            }
        })
    })
}
