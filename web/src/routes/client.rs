//! Clients, for admins.

use axum::extract::State;
use axum::response::{IntoResponse, Response};
use axum::routing::{Router, get as on_get, post as on_post};
use shared::ids::UserId;

use super::model::client::{client_delete_model, client_list_model, client_new_model, client_show_model};
use super::model::{ListQuery, live_url};
use super::{Access, Route, at_page, get, go, post, refused, shown, toast};
use crate::app::client::{ClientCreate, client_create, client_delete, client_reset_password};
use crate::app::site_change::ConfirmDelete;
use crate::app::{AppError, FieldErrors};
use crate::error::PageError;
use crate::extract::{Flash, Form, Path, Query, SignedIn};
use crate::paths;
use crate::state::AppState;
use crate::views::client as view;

pub(super) const TABLE: &[Route] = &[
    get(paths::CLIENTS, Access::Admin),
    post(paths::CLIENTS, Access::Admin),
    get(paths::CLIENT_NEW, Access::Admin),
    get(paths::CLIENT, Access::Admin),
    post(paths::CLIENT_RESET_PASSWORD, Access::Admin),
    get(paths::CLIENT_DELETE, Access::Admin),
    post(paths::CLIENT_DELETE, Access::Admin),
];

/// The routes.
pub fn router() -> Router<AppState> {
    Router::new()
        .route(paths::CLIENTS, on_get(list).post(create))
        .route(paths::CLIENT_NEW, on_get(new))
        .route(paths::CLIENT, on_get(show))
        .route(paths::CLIENT_RESET_PASSWORD, on_post(reset_password))
        .route(paths::CLIENT_DELETE, on_get(confirm).post(delete))
}

async fn list(State(state): State<AppState>, signed_in: SignedIn, Query(query): Query<ListQuery>) -> Result<Response, PageError> {
    let mut model = client_list_model(&state, &signed_in.actor, &query, live_url(&signed_in)).await?;
    model.toast = toast(&signed_in);
    Ok(shown(&signed_in, view::list_page(&signed_in.viewer, &model)))
}

async fn new(signed_in: SignedIn) -> Result<Response, PageError> {
    signed_in.actor.require_admin()?;
    let model = client_new_model(&ClientCreate::default(), &FieldErrors::new());
    Ok(view::new_page(&signed_in.viewer, &model).into_response())
}

/// The page with the one-time password is the answer itself: it is stored nowhere, so it can be shown only now.
async fn create(State(state): State<AppState>, signed_in: SignedIn, Form(form): Form<ClientCreate>) -> Result<Response, PageError> {
    match client_create(&state.app, &signed_in.actor, &form).await {
        Ok((id, password)) => {
            let shown_once = Some(view::OneTimePassword(password.expose().clone()));
            let model = client_show_model(&state, &signed_in.actor, id, shown_once).await?;
            Ok(view::show_page(&signed_in.viewer, &model).into_response())
        }
        Err(AppError::Invalid(refusal)) => Ok(refused(view::new_page(&signed_in.viewer, &client_new_model(&form, &refusal)))),
        Err(error) => Err(error.into()),
    }
}

async fn show(State(state): State<AppState>, signed_in: SignedIn, Path(id): Path<UserId>) -> Result<Response, PageError> {
    let mut model = client_show_model(&state, &signed_in.actor, id, None).await?;
    model.toast = toast(&signed_in);
    Ok(shown(&signed_in, view::show_page(&signed_in.viewer, &model)))
}

async fn reset_password(State(state): State<AppState>, signed_in: SignedIn, Path(id): Path<UserId>) -> Result<Response, PageError> {
    let password = client_reset_password(&state.app, &signed_in.actor, id).await?;
    let shown_once = Some(view::OneTimePassword(password.expose().clone()));
    let model = client_show_model(&state, &signed_in.actor, id, shown_once).await?;
    Ok(view::show_page(&at_page(signed_in, paths::client(id)), &model).into_response())
}

async fn confirm(State(state): State<AppState>, signed_in: SignedIn, Path(id): Path<UserId>) -> Result<Response, PageError> {
    let model = client_delete_model(&state, &signed_in.actor, id, "", &FieldErrors::new()).await?;
    Ok(view::delete_page(&signed_in.viewer, &model).into_response())
}

async fn delete(
    State(state): State<AppState>,
    signed_in: SignedIn,
    Path(id): Path<UserId>,
    Form(form): Form<ConfirmDelete>,
) -> Result<Response, PageError> {
    match client_delete(&state.app, &signed_in.actor, id, &form).await {
        Ok(()) => Ok(go(paths::CLIENTS, Flash::ClientDeleted)),
        Err(AppError::Invalid(refusal)) => {
            let model = client_delete_model(&state, &signed_in.actor, id, &form.confirm, &refusal).await?;
            Ok(refused(view::delete_page(&signed_in.viewer, &model)))
        }
        Err(error) => Err(error.into()),
    }
}
