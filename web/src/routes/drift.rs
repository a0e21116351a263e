//! Drift, for admins.

use axum::extract::State;
use axum::response::Response;
use axum::routing::{Router, get as on_get, post as on_post};
use serde::Deserialize;
use shared::ids::ServerId;

use super::model::drift::{drift_model, drift_server_model};
use super::model::{ListQuery, live_url};
use super::session::own_path;
use super::{Access, Route, get, go, post, shown, toast};
use crate::app::drift::{PolicyForm, RepairForm, drift_check, drift_policy_change, drift_repair, drift_repair_server};
use crate::error::PageError;
use crate::extract::{Flash, Form, Path, Query, SignedIn};
use crate::paths;
use crate::state::AppState;
use crate::views::{drift as view, drift_server};

pub(super) const TABLE: &[Route] = &[
    get(paths::DRIFT, Access::Admin),
    post(paths::DRIFT_REPAIR, Access::Admin),
    get(paths::SERVER_DRIFT, Access::Admin),
    post(paths::SERVER_DRIFT_REPAIR, Access::Admin),
    post(paths::SERVER_DRIFT_CHECK, Access::Admin),
    post(paths::SERVER_DRIFT_POLICY, Access::Admin),
];

/// The routes.
pub fn router() -> Router<AppState> {
    Router::new()
        .route(paths::DRIFT, on_get(show))
        .route(paths::DRIFT_REPAIR, on_post(repair))
        .route(paths::SERVER_DRIFT, on_get(show_server))
        .route(paths::SERVER_DRIFT_REPAIR, on_post(repair_server))
        .route(paths::SERVER_DRIFT_CHECK, on_post(check))
        .route(paths::SERVER_DRIFT_POLICY, on_post(policy))
}

async fn show(State(state): State<AppState>, signed_in: SignedIn, Query(query): Query<ListQuery>) -> Result<Response, PageError> {
    let mut model = drift_model(&state, &signed_in.actor, &query, live_url(&signed_in)).await?;
    model.toast = toast(&signed_in);
    Ok(shown(&signed_in, view::page(&signed_in.viewer, &model)))
}

async fn show_server(
    State(state): State<AppState>,
    signed_in: SignedIn,
    Path(id): Path<ServerId>,
    Query(query): Query<ListQuery>,
) -> Result<Response, PageError> {
    let mut model = drift_server_model(&state, &signed_in.actor, id, &query, live_url(&signed_in)).await?;
    model.toast = toast(&signed_in);
    Ok(shown(&signed_in, drift_server::page(&signed_in.viewer, &model)))
}

async fn repair(State(state): State<AppState>, signed_in: SignedIn, Form(form): Form<RepairForm>) -> Result<Response, PageError> {
    let requested = drift_repair(&state.app, &signed_in.actor, &form).await?;
    Ok(go(&paths::operation(requested.operation), Flash::Requested))
}

/// Which of the two pages a button is on.
#[derive(Default, Deserialize)]
#[serde(default)]
struct Origin {
    /// Its path; nothing for the page of all servers.
    back: String,
}

impl Origin {
    fn path(&self) -> &str {
        if self.back.is_empty() { paths::DRIFT } else { own_path(&self.back) }
    }
}

async fn repair_server(
    State(state): State<AppState>,
    signed_in: SignedIn,
    Path(id): Path<ServerId>,
    Form(origin): Form<Origin>,
) -> Result<Response, PageError> {
    let repaired = drift_repair_server(&state.app, &signed_in.actor, id).await?;
    Ok(go(origin.path(), Flash::Repairing(repaired)))
}

async fn check(
    State(state): State<AppState>,
    signed_in: SignedIn,
    Path(id): Path<ServerId>,
    Form(origin): Form<Origin>,
) -> Result<Response, PageError> {
    let answered = drift_check(&state.app, &signed_in.actor, id).await?;
    Ok(go(origin.path(), if answered { Flash::Looking } else { Flash::Silent }))
}

/// The form for what becomes of drift, on one of the two pages.
#[derive(Default, Deserialize)]
#[serde(default)]
struct Choice {
    #[serde(flatten)]
    form: PolicyForm,
    #[serde(flatten)]
    origin: Origin,
}

async fn policy(
    State(state): State<AppState>,
    signed_in: SignedIn,
    Path(id): Path<ServerId>,
    Form(choice): Form<Choice>,
) -> Result<Response, PageError> {
    drift_policy_change(&state.app, &signed_in.actor, id, &choice.form).await?;
    Ok(go(choice.origin.path(), Flash::Saved))
}
