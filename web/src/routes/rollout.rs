//! Updates of all workers, for admins.

use axum::extract::State;
use axum::response::Response;
use axum::routing::{Router, get as on_get, post as on_post};

use super::model::live_url;
use super::model::rollout::rollout_model;
use super::{Access, Route, get, go, post, refused, shown, toast};
use crate::app::AppError;
use crate::app::worker_update::{Offer, RolloutForm, rollout_cancel, rollout_resume, rollout_start};
use crate::error::PageError;
use crate::extract::{Flash, Form, SignedIn};
use crate::paths;
use crate::state::AppState;
use crate::views::server as view;

pub(super) const TABLE: &[Route] = &[
    get(paths::ROLLOUT, Access::Admin),
    post(paths::ROLLOUT, Access::Admin),
    post(paths::ROLLOUT_CANCEL, Access::Admin),
    post(paths::ROLLOUT_RESUME, Access::Admin),
];

/// The routes.
pub fn router() -> Router<AppState> {
    Router::new()
        .route(paths::ROLLOUT, on_get(show).post(start))
        .route(paths::ROLLOUT_CANCEL, on_post(cancel))
        .route(paths::ROLLOUT_RESUME, on_post(resume))
}

async fn show(State(state): State<AppState>, signed_in: SignedIn) -> Result<Response, PageError> {
    let mut model = rollout_model(&state, &signed_in.actor, None).await?;
    (model.live, model.toast) = (live_url(&signed_in), toast(&signed_in));
    Ok(shown(&signed_in, view::rollout_page(&signed_in.viewer, &model)))
}

async fn start(State(state): State<AppState>, signed_in: SignedIn, Form(form): Form<RolloutForm>) -> Result<Response, PageError> {
    let offered = state.config.worker_offer();
    let offer = offered.as_ref().map(|worker| Offer { worker, config: &state.config });
    match rollout_start(&state.app, &signed_in.actor, offer, &form).await {
        Ok(()) => Ok(go(paths::ROLLOUT, Flash::RolloutStarted)),
        Err(AppError::Invalid(refusal)) => {
            let model = rollout_model(&state, &signed_in.actor, Some((&form, &refusal))).await?;
            Ok(refused(view::rollout_page(&signed_in.viewer, &model)))
        }
        Err(error) => Err(error.into()),
    }
}

async fn cancel(State(state): State<AppState>, signed_in: SignedIn) -> Result<Response, PageError> {
    rollout_cancel(&state.app, &signed_in.actor).await?;
    Ok(go(paths::ROLLOUT, Flash::RolloutCancelled))
}

async fn resume(State(state): State<AppState>, signed_in: SignedIn) -> Result<Response, PageError> {
    let offered = state.config.worker_offer();
    let offer = offered.as_ref().map(|worker| Offer { worker, config: &state.config });
    rollout_resume(&state.app, &signed_in.actor, offer).await?;
    Ok(go(paths::ROLLOUT, Flash::RolloutResumed))
}
