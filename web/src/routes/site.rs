//! Sites.

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Redirect, Response};
use axum::routing::{Router, get as on_get, post as on_post};
use serde::Deserialize;
use shared::ids::SiteId;
use shared::jobs::ResourceKey;

use super::model::drift::{preview_model, site_history_model, site_rollback_model};
use super::model::site::{site_delete_model, site_edit_model, site_list_model, site_new_model, site_show_model};
use super::model::{ListQuery, live_url};
use super::{Access, Route, at_page, get, go, post, refusal_or, refused, shown, toast};
use crate::app::operation::site_retry;
use crate::app::site::{SiteCreate, SiteUpdate, site_create, site_create_preview, site_update, site_update_preview};
use crate::app::site_change::{ConfirmDelete, site_delete, site_delete_preview};
use crate::app::site_history::{RollbackForm, site_rollback, site_rollback_preview};
use crate::app::{AppError, FieldErrors};
use crate::error::PageError;
use crate::extract::{Flash, Form, Path, Query, SignedIn};
use crate::paths;
use crate::state::AppState;
use crate::views::site as view;

pub(super) const TABLE: &[Route] = &[
    get(paths::SITES, Access::SignedIn),
    post(paths::SITES, Access::SignedIn),
    get(paths::SITE_NEW, Access::SignedIn),
    post(paths::SITE_NEW_PREVIEW, Access::SignedIn),
    get(paths::SITE, Access::Owner),
    get(paths::SITE_EDIT, Access::Owner),
    post(paths::SITE_EDIT, Access::Owner),
    post(paths::SITE_PREVIEW, Access::Owner),
    get(paths::SITE_HISTORY, Access::Owner),
    get(paths::SITE_ROLLBACK, Access::Owner),
    post(paths::SITE_ROLLBACK, Access::Owner),
    post(paths::SITE_ROLLBACK_PREVIEW, Access::Owner),
    post(paths::SITE_RETRY, Access::Owner),
    get(paths::SITE_DELETE, Access::Owner),
    post(paths::SITE_DELETE, Access::Owner),
    post(paths::SITE_DELETE_PREVIEW, Access::Owner),
];

/// The routes.
pub fn router() -> Router<AppState> {
    Router::new()
        .route(paths::SITES, on_get(list).post(create))
        .route(paths::SITE_NEW, on_get(new))
        .route(paths::SITE_NEW_PREVIEW, on_post(create_preview))
        .route(paths::SITE, on_get(show))
        .route(paths::SITE_EDIT, on_get(edit).post(update))
        .route(paths::SITE_PREVIEW, on_post(update_preview))
        .route(paths::SITE_HISTORY, on_get(history))
        .route(paths::SITE_ROLLBACK, on_get(rollback_ask).post(rollback))
        .route(paths::SITE_ROLLBACK_PREVIEW, on_post(rollback_preview))
        .route(paths::SITE_RETRY, on_post(retry))
        .route(paths::SITE_DELETE, on_get(confirm).post(delete))
        .route(paths::SITE_DELETE_PREVIEW, on_post(delete_preview))
}

async fn list(State(state): State<AppState>, signed_in: SignedIn, Query(query): Query<ListQuery>) -> Result<Response, PageError> {
    let mut model = site_list_model(&state, &signed_in.actor, &query, live_url(&signed_in)).await?;
    model.toast = toast(&signed_in);
    Ok(shown(&signed_in, view::list_page(&signed_in.viewer, &model)))
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Chosen {
    account: String,
}

async fn new(State(state): State<AppState>, signed_in: SignedIn, Query(chosen): Query<Chosen>) -> Result<Response, PageError> {
    let form = SiteCreate { account: chosen.account, ..SiteCreate::default() };
    let model = site_new_model(&state, &signed_in.actor, &form, &FieldErrors::new()).await?;
    Ok(view::new_page(&signed_in.viewer, &model).into_response())
}

async fn create(State(state): State<AppState>, signed_in: SignedIn, Form(form): Form<SiteCreate>) -> Result<Response, PageError> {
    match site_create(&state.app, &signed_in.actor, &form).await {
        Ok(requested) => Ok(Redirect::to(&resource_path(requested.resource)).into_response()),
        Err(AppError::Invalid(refusal)) => {
            let model = site_new_model(&state, &signed_in.actor, &form, &refusal).await?;
            Ok(refused(view::new_page(&signed_in.viewer, &model)))
        }
        Err(error) => Err(error.into()),
    }
}

/// The form again, with what it would change; nothing is recorded.
async fn create_preview(State(state): State<AppState>, signed_in: SignedIn, Form(form): Form<SiteCreate>) -> Result<Response, PageError> {
    let (refusal, preview) = refusal_or(site_create_preview(&state.app, &signed_in.actor, &form).await)?;
    let mut model = site_new_model(&state, &signed_in.actor, &form, &refusal).await?;
    model.preview = preview.map(|preview| preview_model(&signed_in.actor, preview));
    let shown = model.preview.is_some();
    let page = view::new_page(&at_page(signed_in, paths::SITE_NEW.to_owned()), &model);
    Ok(if shown { page.into_response() } else { refused(page) })
}

fn resource_path(resource: ResourceKey) -> String {
    match resource {
        ResourceKey::Site(id) => paths::site(id),
        ResourceKey::Account(id) => paths::account(id),
        ResourceKey::PhpPool(_) | ResourceKey::Worker(_) => paths::OPERATIONS.to_owned(),
    }
}

async fn show(State(state): State<AppState>, signed_in: SignedIn, Path(id): Path<SiteId>) -> Result<Response, PageError> {
    let mut model = site_show_model(&state, &signed_in.actor, id, live_url(&signed_in)).await?;
    model.toast = toast(&signed_in);
    Ok(shown(&signed_in, view::show_page(&signed_in.viewer, &model)))
}

async fn edit(State(state): State<AppState>, signed_in: SignedIn, Path(id): Path<SiteId>) -> Result<Response, PageError> {
    let model = site_edit_model(&state, &signed_in.actor, id, None).await?;
    Ok(view::edit_page(&signed_in.viewer, &model).into_response())
}

async fn update(
    State(state): State<AppState>,
    signed_in: SignedIn,
    Path(id): Path<SiteId>,
    Form(form): Form<SiteUpdate>,
) -> Result<Response, PageError> {
    match site_update(&state.app, &signed_in.actor, id, &form).await {
        Ok(_) => Ok(go(&paths::site(id), Flash::Requested)),
        Err(AppError::Invalid(refusal)) => {
            let model = site_edit_model(&state, &signed_in.actor, id, Some((&form, &refusal))).await?;
            Ok(refused(view::edit_page(&signed_in.viewer, &model)))
        }
        Err(error) => Err(error.into()),
    }
}

/// The form again, with what it would change; nothing is recorded.
async fn update_preview(
    State(state): State<AppState>,
    signed_in: SignedIn,
    Path(id): Path<SiteId>,
    Form(form): Form<SiteUpdate>,
) -> Result<Response, PageError> {
    let (refusal, preview) = refusal_or(site_update_preview(&state.app, &signed_in.actor, id, &form).await)?;
    let mut model = site_edit_model(&state, &signed_in.actor, id, Some((&form, &refusal))).await?;
    model.preview = preview.map(|preview| preview_model(&signed_in.actor, preview));
    let shown = model.preview.is_some();
    let page = view::edit_page(&at_page(signed_in, paths::site_edit(id)), &model);
    Ok(if shown { page.into_response() } else { refused(page) })
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Pair {
    from: String,
    to: String,
}

async fn history(
    State(state): State<AppState>,
    signed_in: SignedIn,
    Path(id): Path<SiteId>,
    Query(pair): Query<Pair>,
) -> Result<Response, PageError> {
    let model = site_history_model(&state, &signed_in.actor, id, &pair.from, &pair.to).await?;
    Ok(view::history_page(&signed_in.viewer, &model).into_response())
}

async fn rollback_ask(
    State(state): State<AppState>,
    signed_in: SignedIn,
    Path(id): Path<SiteId>,
    Query(form): Query<RollbackForm>,
) -> Result<Response, PageError> {
    let model = site_rollback_model(&state, &signed_in.actor, id, &form.generation).await?;
    Ok(view::rollback_page(&signed_in.viewer, &model).into_response())
}

/// The question again, with what it would change, or why it is not possible; nothing is recorded.
async fn rollback_preview(
    State(state): State<AppState>,
    signed_in: SignedIn,
    Path(id): Path<SiteId>,
    Form(form): Form<RollbackForm>,
) -> Result<Response, PageError> {
    let mut model = site_rollback_model(&state, &signed_in.actor, id, &form.generation).await?;
    let status = match site_rollback_preview(&state.app, &signed_in.actor, id, &form).await {
        Ok(preview) => {
            model.preview = Some(preview_model(&signed_in.actor, preview));
            StatusCode::OK
        }
        Err(AppError::Conflict(sentence)) => {
            model.refused = Some(sentence);
            StatusCode::CONFLICT
        }
        Err(error) => return Err(error.into()),
    };
    let viewer = at_page(signed_in, paths::site_rollback_to(id, model.generation));
    Ok((status, view::rollback_page(&viewer, &model)).into_response())
}

async fn rollback(
    State(state): State<AppState>,
    signed_in: SignedIn,
    Path(id): Path<SiteId>,
    Form(form): Form<RollbackForm>,
) -> Result<Response, PageError> {
    match site_rollback(&state.app, &signed_in.actor, id, &form).await {
        Ok(_) => Ok(go(&paths::site(id), Flash::Requested)),
        Err(AppError::Conflict(sentence)) => {
            let mut model = site_history_model(&state, &signed_in.actor, id, &form.generation, "").await?;
            model.refused = Some(sentence);
            let page = view::history_page(&at_page(signed_in, paths::site_history(id)), &model);
            Ok((StatusCode::CONFLICT, page).into_response())
        }
        Err(error) => Err(error.into()),
    }
}

async fn retry(State(state): State<AppState>, signed_in: SignedIn, Path(id): Path<SiteId>) -> Result<Response, PageError> {
    site_retry(&state.app, &signed_in.actor, id).await?;
    Ok(go(&paths::site(id), Flash::Requested))
}

async fn confirm(State(state): State<AppState>, signed_in: SignedIn, Path(id): Path<SiteId>) -> Result<Response, PageError> {
    let model = site_delete_model(&state, &signed_in.actor, id, "", &FieldErrors::new()).await?;
    Ok(view::delete_page(&signed_in.viewer, &model).into_response())
}

async fn delete(
    State(state): State<AppState>,
    signed_in: SignedIn,
    Path(id): Path<SiteId>,
    Form(form): Form<ConfirmDelete>,
) -> Result<Response, PageError> {
    match site_delete(&state.app, &signed_in.actor, id, &form).await {
        Ok(_) => Ok(go(paths::SITES, Flash::Deleting)),
        Err(AppError::Invalid(refusal)) => {
            let model = site_delete_model(&state, &signed_in.actor, id, &form.confirm, &refusal).await?;
            Ok(refused(view::delete_page(&signed_in.viewer, &model)))
        }
        Err(error) => Err(error.into()),
    }
}

async fn delete_preview(
    State(state): State<AppState>,
    signed_in: SignedIn,
    Path(id): Path<SiteId>,
    Form(form): Form<ConfirmDelete>,
) -> Result<Response, PageError> {
    let preview = site_delete_preview(&state.app, &signed_in.actor, id).await?;
    let mut model = site_delete_model(&state, &signed_in.actor, id, &form.confirm, &FieldErrors::new()).await?;
    model.preview = Some(preview_model(&signed_in.actor, preview));
    Ok(view::delete_page(&at_page(signed_in, paths::site_delete(id)), &model).into_response())
}
