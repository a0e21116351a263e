//! Servers, for admins.

use axum::extract::State;
use axum::response::{IntoResponse, Redirect, Response};
use axum::routing::{Router, get as on_get, post as on_post};
use serde::Deserialize;
use shared::ids::ServerId;

use super::model::server::server_show_model;
use super::model::server_form::{
    server_delete_model, server_edit_model, server_enrol_model, server_new_model, server_rejoin_model, server_shut_out_model,
};
use super::model::server_list::server_list_model;
use super::model::{ListQuery, live_url};
use super::session::own_path;
use super::{Access, Route, at_page, get, go, post, refused, shown, toast};
use crate::app::server::{Rejoin, server_add, server_delete, server_set_active, server_shut_out, server_token, server_update};
use crate::app::server_form::ServerForm;
use crate::app::server_gone::server_give_up;
use crate::app::site_change::ConfirmDelete;
use crate::app::worker_update::{Offer, worker_update};
use crate::app::{AppError, FieldErrors};
use crate::error::PageError;
use crate::extract::{Flash, Form, Path, Query, SignedIn};
use crate::paths;
use crate::state::AppState;
use crate::views::server as view;

pub(super) const TABLE: &[Route] = &[
    get(paths::SERVERS, Access::Admin),
    post(paths::SERVERS, Access::Admin),
    get(paths::SERVER_NEW, Access::Admin),
    get(paths::SERVER, Access::Admin),
    get(paths::SERVER_EDIT, Access::Admin),
    post(paths::SERVER_EDIT, Access::Admin),
    post(paths::SERVER_ACTIVE, Access::Admin),
    get(paths::SERVER_TOKEN, Access::Admin),
    post(paths::SERVER_TOKEN, Access::Admin),
    post(paths::SERVER_UPDATE, Access::Admin),
    get(paths::SERVER_SHUT_OUT, Access::Admin),
    post(paths::SERVER_SHUT_OUT, Access::Admin),
    post(paths::SERVER_GONE, Access::Admin),
    get(paths::SERVER_DELETE, Access::Admin),
    post(paths::SERVER_DELETE, Access::Admin),
];

/// The routes.
pub fn router() -> Router<AppState> {
    Router::new()
        .route(paths::SERVERS, on_get(list).post(add))
        .route(paths::SERVER_NEW, on_get(new))
        .route(paths::SERVER, on_get(show))
        .route(paths::SERVER_EDIT, on_get(edit).post(update))
        .route(paths::SERVER_ACTIVE, on_post(active))
        .route(paths::SERVER_TOKEN, on_get(rejoin).post(token))
        .route(paths::SERVER_UPDATE, on_post(update_worker))
        .route(paths::SERVER_SHUT_OUT, on_get(confirm_shut_out).post(shut_out))
        .route(paths::SERVER_GONE, on_post(gone))
        .route(paths::SERVER_DELETE, on_get(confirm).post(delete))
}

async fn list(State(state): State<AppState>, signed_in: SignedIn, Query(query): Query<ListQuery>) -> Result<Response, PageError> {
    let mut model = server_list_model(&state, &signed_in.actor, &query, live_url(&signed_in)).await?;
    model.toast = toast(&signed_in);
    Ok(shown(&signed_in, view::list_page(&signed_in.viewer, &model)))
}

async fn new(State(state): State<AppState>, signed_in: SignedIn) -> Result<Response, PageError> {
    signed_in.actor.require_admin()?;
    let model = server_new_model(&state, &ServerForm::fresh(), &FieldErrors::new()).await?;
    Ok(view::new_page(&signed_in.viewer, &model).into_response())
}

/// The page with the token is the answer itself: it is stored nowhere, so it can be shown only now.
async fn add(State(state): State<AppState>, signed_in: SignedIn, Form(form): Form<ServerForm>) -> Result<Response, PageError> {
    match server_add(&state.app, &signed_in.actor, &form).await {
        Ok(made) => {
            let model = server_enrol_model(&state, &signed_in.actor, &made).await?;
            Ok(view::enrol_page(&signed_in.viewer, &model).into_response())
        }
        Err(AppError::Invalid(refusal)) => {
            Ok(refused(view::new_page(&signed_in.viewer, &server_new_model(&state, &form, &refusal).await?)))
        }
        Err(error) => Err(error.into()),
    }
}

/// What the address of a server's page says.
#[derive(Default, Deserialize)]
#[serde(default)]
struct ShowQuery {
    /// `day`, or nothing for an hour.
    span: String,
}

async fn show(
    State(state): State<AppState>,
    signed_in: SignedIn,
    Path(id): Path<ServerId>,
    Query(query): Query<ShowQuery>,
) -> Result<Response, PageError> {
    let span = view::Span::of(&query.span);
    let mut model = server_show_model(&state, &signed_in.actor, id, span, live_url(&signed_in)).await?;
    model.toast = toast(&signed_in);
    Ok(shown(&signed_in, view::show_page(&signed_in.viewer, &model)))
}

async fn edit(State(state): State<AppState>, signed_in: SignedIn, Path(id): Path<ServerId>) -> Result<Response, PageError> {
    let model = server_edit_model(&state, &signed_in.actor, id, None).await?;
    Ok(view::edit_page(&signed_in.viewer, &model).into_response())
}

async fn update(
    State(state): State<AppState>,
    signed_in: SignedIn,
    Path(id): Path<ServerId>,
    Form(form): Form<ServerForm>,
) -> Result<Response, PageError> {
    match server_update(&state.app, &signed_in.actor, id, &form).await {
        Ok(()) => Ok(go(&paths::server(id), Flash::Saved)),
        Err(AppError::Invalid(refusal)) => {
            let model = server_edit_model(&state, &signed_in.actor, id, Some((&form, &refusal))).await?;
            Ok(refused(view::edit_page(&signed_in.viewer, &model)))
        }
        Err(error) => Err(error.into()),
    }
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Switch {
    /// Anything but nothing is on.
    active: String,
    back: String,
}

async fn active(
    State(state): State<AppState>,
    signed_in: SignedIn,
    Path(id): Path<ServerId>,
    Form(form): Form<Switch>,
) -> Result<Response, PageError> {
    server_set_active(&state.app, &signed_in.actor, id, !form.active.is_empty()).await?;
    Ok(go(own_path(&form.back), Flash::Saved))
}

/// What the address says to which a script is asked for.
#[derive(Default, Deserialize)]
#[serde(default)]
struct TokenQuery {
    /// Anything: whoever asks knows that the worker joins again.
    again: String,
}

async fn rejoin(State(state): State<AppState>, signed_in: SignedIn, Path(id): Path<ServerId>) -> Result<Response, PageError> {
    let model = server_rejoin_model(&state, &signed_in.actor, id).await?;
    Ok(view::rejoin_page(&signed_in.viewer, &model).into_response())
}

/// The page with the token is the answer itself: it is stored nowhere, so it can be shown only now.
async fn token(
    State(state): State<AppState>,
    signed_in: SignedIn,
    Path(id): Path<ServerId>,
    Query(query): Query<TokenQuery>,
) -> Result<Response, PageError> {
    let rejoin = if query.again.is_empty() { Rejoin::Unasked } else { Rejoin::Agreed };
    let made = match server_token(&state.app, &signed_in.actor, id, rejoin).await {
        Ok(made) => made,
        // It answers by now: that is a question of its own.
        Err(AppError::Conflict(_)) => return Ok(Redirect::to(&paths::server_token(id)).into_response()),
        Err(error) => return Err(error.into()),
    };
    let model = server_enrol_model(&state, &signed_in.actor, &made).await?;
    Ok(view::enrol_page(&at_page(signed_in, paths::server(id)), &model).into_response())
}

async fn update_worker(State(state): State<AppState>, signed_in: SignedIn, Path(id): Path<ServerId>) -> Result<Response, PageError> {
    let offered = state.config.worker_offer();
    let offer = offered.as_ref().map(|worker| Offer { worker, config: &state.config });
    worker_update(&state.app, &signed_in.actor, id, offer).await?;
    Ok(go(&paths::server(id), Flash::Requested))
}

async fn confirm_shut_out(State(state): State<AppState>, signed_in: SignedIn, Path(id): Path<ServerId>) -> Result<Response, PageError> {
    let model = server_shut_out_model(&state, &signed_in.actor, id, "", &FieldErrors::new()).await?;
    Ok(view::shut_out_page(&signed_in.viewer, &model).into_response())
}

async fn shut_out(
    State(state): State<AppState>,
    signed_in: SignedIn,
    Path(id): Path<ServerId>,
    Form(form): Form<ConfirmDelete>,
) -> Result<Response, PageError> {
    match server_shut_out(&state.app, &signed_in.actor, id, &form).await {
        Ok(()) => Ok(go(&paths::server(id), Flash::WorkerShutOut)),
        Err(AppError::Invalid(refusal)) => {
            let model = server_shut_out_model(&state, &signed_in.actor, id, &form.confirm, &refusal).await?;
            Ok(refused(view::shut_out_page(&signed_in.viewer, &model)))
        }
        Err(error) => Err(error.into()),
    }
}

async fn confirm(State(state): State<AppState>, signed_in: SignedIn, Path(id): Path<ServerId>) -> Result<Response, PageError> {
    let model = server_delete_model(&state, &signed_in.actor, id, "", &FieldErrors::new()).await?;
    Ok(view::delete_page(&signed_in.viewer, &model).into_response())
}

async fn delete(
    State(state): State<AppState>,
    signed_in: SignedIn,
    Path(id): Path<ServerId>,
    Form(form): Form<ConfirmDelete>,
) -> Result<Response, PageError> {
    match server_delete(&state.app, &signed_in.actor, id, &form).await {
        Ok(()) => Ok(go(paths::SERVERS, Flash::ServerDeleted)),
        Err(AppError::Invalid(refusal)) => {
            let model = server_delete_model(&state, &signed_in.actor, id, &form.confirm, &refusal).await?;
            Ok(refused(view::delete_page(&signed_in.viewer, &model)))
        }
        Err(error) => Err(error.into()),
    }
}

async fn gone(
    State(state): State<AppState>,
    signed_in: SignedIn,
    Path(id): Path<ServerId>,
    Form(form): Form<ConfirmDelete>,
) -> Result<Response, PageError> {
    match server_give_up(&state.app, &signed_in.actor, id, &form).await {
        Ok(()) => Ok(go(paths::SERVERS, Flash::ServerGone)),
        Err(AppError::Invalid(refusal)) => {
            let model = server_delete_model(&state, &signed_in.actor, id, &form.confirm, &refusal).await?;
            Ok(refused(view::delete_page(&signed_in.viewer, &model)))
        }
        Err(error) => Err(error.into()),
    }
}
