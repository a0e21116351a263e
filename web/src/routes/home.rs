//! The first page, search, and how pages look.

use axum::extract::State;
use axum::response::{IntoResponse, Redirect, Response};
use axum::routing::{Router, get as on_get, post as on_post};
use axum_extra::extract::CookieJar;
use serde::Deserialize;

use super::model::home::{home_admin_model, home_client_model};
use super::model::live_url;
use super::model::search::search_model;
use super::session::own_path;
use super::{Access, Route, get, post, shown, toast};
use crate::error::PageError;
use crate::extract::{Form, Query, SignedIn, nav_cookie, theme_cookie};
use crate::paths;
use crate::state::AppState;
use crate::views::layout::Theme;
use crate::views::{home_admin, home_client, search};

pub(super) const TABLE: &[Route] = &[
    get(paths::HOME, Access::SignedIn),
    get(paths::SEARCH, Access::SignedIn),
    post(paths::THEME, Access::SignedIn),
    post(paths::NAV, Access::SignedIn),
];

/// The routes.
pub fn router() -> Router<AppState> {
    Router::new()
        .route(paths::HOME, on_get(home))
        .route(paths::SEARCH, on_get(find))
        .route(paths::THEME, on_post(theme))
        .route(paths::NAV, on_post(nav))
}

async fn home(State(state): State<AppState>, signed_in: SignedIn) -> Result<Response, PageError> {
    let live = live_url(&signed_in);
    let page = if signed_in.actor.is_admin() {
        let mut model = home_admin_model(&state, &signed_in.actor, live).await?;
        model.toast = toast(&signed_in);
        home_admin::page(&signed_in.viewer, &model)
    } else {
        let mut model = home_client_model(&state, &signed_in.actor, live).await?;
        model.toast = toast(&signed_in);
        home_client::page(&signed_in.viewer, &model)
    };
    Ok(shown(&signed_in, page))
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Find {
    q: String,
}

async fn find(State(state): State<AppState>, signed_in: SignedIn, Query(query): Query<Find>) -> Result<Response, PageError> {
    let model = search_model(&state, &signed_in.actor, &query.q).await?;
    Ok(search::page(&signed_in.viewer, &model).into_response())
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Look {
    theme: String,
    nav: String,
    back: String,
}

async fn theme(_: SignedIn, Form(form): Form<Look>) -> Response {
    (CookieJar::new().add(theme_cookie(Theme::of(&form.theme))), Redirect::to(own_path(&form.back))).into_response()
}

async fn nav(_: SignedIn, Form(form): Form<Look>) -> Response {
    (CookieJar::new().add(nav_cookie(form.nav == "mini")), Redirect::to(own_path(&form.back))).into_response()
}
