//! Hosting accounts.

use axum::extract::State;
use axum::response::{IntoResponse, Redirect, Response};
use axum::routing::{Router, get as on_get, post as on_post};
use serde::Deserialize;
use shared::ids::AccountId;
use shared::names::PhpVersion;

use super::model::account::{
    SftpTyped, account_delete_model, account_limits_model, account_list_model, account_new_model, account_php_model, account_show_model,
};
use super::model::drift::preview_model;
use super::model::{ListQuery, live_url};
use super::{Access, Route, at_page, get, go, post, refusal_or, refused, shown, toast};
use crate::app::account::{AccountCreate, LimitsForm, account_create, account_create_preview};
use crate::app::account_access::{account_limits_preview, account_limits_set};
use crate::app::account_change::{account_delete, account_delete_preview};
use crate::app::operation::account_retry;
use crate::app::php::{PhpForm, php_preview, php_update};
use crate::app::site_change::ConfirmDelete;
use crate::app::{AppError, FieldErrors};
use crate::error::PageError;
use crate::extract::{Flash, Form, Path, Query, SignedIn};
use crate::paths;
use crate::state::AppState;
use crate::views::account as view;

pub(super) const TABLE: &[Route] = &[
    get(paths::ACCOUNTS, Access::SignedIn),
    post(paths::ACCOUNTS, Access::Admin),
    get(paths::ACCOUNT_NEW, Access::Admin),
    post(paths::ACCOUNT_NEW_PREVIEW, Access::Admin),
    get(paths::ACCOUNT, Access::Owner),
    get(paths::ACCOUNT_LIMITS, Access::Admin),
    post(paths::ACCOUNT_LIMITS, Access::Admin),
    post(paths::ACCOUNT_LIMITS_PREVIEW, Access::Admin),
    get(paths::ACCOUNT_PHP, Access::Owner),
    post(paths::ACCOUNT_PHP, Access::Owner),
    post(paths::ACCOUNT_PHP_PREVIEW, Access::Owner),
    post(paths::ACCOUNT_RETRY, Access::Owner),
    get(paths::ACCOUNT_DELETE, Access::Admin),
    post(paths::ACCOUNT_DELETE, Access::Admin),
    post(paths::ACCOUNT_DELETE_PREVIEW, Access::Admin),
];

/// The routes.
pub fn router() -> Router<AppState> {
    Router::new()
        .route(paths::ACCOUNTS, on_get(list).post(create))
        .route(paths::ACCOUNT_NEW, on_get(new))
        .route(paths::ACCOUNT, on_get(show))
        .route(paths::ACCOUNT_LIMITS, on_get(limits).post(limits_set))
        .route(paths::ACCOUNT_NEW_PREVIEW, on_post(create_preview))
        .route(paths::ACCOUNT_LIMITS_PREVIEW, on_post(limits_preview))
        .route(paths::ACCOUNT_PHP, on_get(php).post(php_set))
        .route(paths::ACCOUNT_PHP_PREVIEW, on_post(php_shown))
        .route(paths::ACCOUNT_RETRY, on_post(retry))
        .route(paths::ACCOUNT_DELETE, on_get(confirm).post(delete))
        .route(paths::ACCOUNT_DELETE_PREVIEW, on_post(delete_preview))
}

async fn list(State(state): State<AppState>, signed_in: SignedIn, Query(query): Query<ListQuery>) -> Result<Response, PageError> {
    let mut model = account_list_model(&state, &signed_in.actor, &query, live_url(&signed_in)).await?;
    model.toast = toast(&signed_in);
    Ok(shown(&signed_in, view::list_page(&signed_in.viewer, &model)))
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Chosen {
    owner: String,
}

async fn new(State(state): State<AppState>, signed_in: SignedIn, Query(chosen): Query<Chosen>) -> Result<Response, PageError> {
    let form = AccountCreate { owner: chosen.owner, ..AccountCreate::default() };
    let model = account_new_model(&state, &signed_in.actor, &form, &FieldErrors::new()).await?;
    Ok(view::new_page(&signed_in.viewer, &model).into_response())
}

async fn create(State(state): State<AppState>, signed_in: SignedIn, Form(form): Form<AccountCreate>) -> Result<Response, PageError> {
    match account_create(&state.app, &signed_in.actor, &form).await {
        Ok(requested) => match requested.resource {
            shared::jobs::ResourceKey::Account(id) => Ok(Redirect::to(&paths::account(id)).into_response()),
            shared::jobs::ResourceKey::Site(_) | shared::jobs::ResourceKey::PhpPool(_) | shared::jobs::ResourceKey::Worker(_) => {
                Ok(Redirect::to(paths::ACCOUNTS).into_response())
            }
        },
        Err(AppError::Invalid(refusal)) => {
            let model = account_new_model(&state, &signed_in.actor, &form, &refusal).await?;
            Ok(refused(view::new_page(&signed_in.viewer, &model)))
        }
        Err(error) => Err(error.into()),
    }
}

async fn create_preview(
    State(state): State<AppState>,
    signed_in: SignedIn,
    Form(form): Form<AccountCreate>,
) -> Result<Response, PageError> {
    let (refusal, preview) = refusal_or(account_create_preview(&state.app, &signed_in.actor, &form).await)?;
    let mut model = account_new_model(&state, &signed_in.actor, &form, &refusal).await?;
    model.preview = preview.map(|preview| preview_model(&signed_in.actor, preview));
    let shown = model.preview.is_some();
    let page = view::new_page(&at_page(signed_in, paths::ACCOUNT_NEW.to_owned()), &model);
    Ok(if shown { page.into_response() } else { refused(page) })
}

async fn show(State(state): State<AppState>, signed_in: SignedIn, Path(id): Path<AccountId>) -> Result<Response, PageError> {
    let mut model = account_show_model(&state, &signed_in.actor, id, SftpTyped::default(), live_url(&signed_in)).await?;
    model.toast = toast(&signed_in);
    Ok(shown(&signed_in, view::show_page(&signed_in.viewer, &model)))
}

async fn limits(State(state): State<AppState>, signed_in: SignedIn, Path(id): Path<AccountId>) -> Result<Response, PageError> {
    let model = account_limits_model(&state, &signed_in.actor, id, None).await?;
    Ok(view::limits_page(&signed_in.viewer, &model).into_response())
}

async fn limits_set(
    State(state): State<AppState>,
    signed_in: SignedIn,
    Path(id): Path<AccountId>,
    Form(form): Form<LimitsForm>,
) -> Result<Response, PageError> {
    match account_limits_set(&state.app, &signed_in.actor, id, &form).await {
        Ok(_) => Ok(go(&paths::account(id), Flash::Requested)),
        Err(AppError::Invalid(refusal)) => {
            let model = account_limits_model(&state, &signed_in.actor, id, Some((&form, &refusal))).await?;
            Ok(refused(view::limits_page(&signed_in.viewer, &model)))
        }
        Err(error) => Err(error.into()),
    }
}

/// The form again, with what it would change; nothing is recorded.
async fn limits_preview(
    State(state): State<AppState>,
    signed_in: SignedIn,
    Path(id): Path<AccountId>,
    Form(form): Form<LimitsForm>,
) -> Result<Response, PageError> {
    let (refusal, preview) = refusal_or(account_limits_preview(&state.app, &signed_in.actor, id, &form).await)?;
    let mut model = account_limits_model(&state, &signed_in.actor, id, Some((&form, &refusal))).await?;
    model.preview = preview.map(|preview| preview_model(&signed_in.actor, preview));
    let shown = model.preview.is_some();
    let page = view::limits_page(&at_page(signed_in, paths::account_limits(id)), &model);
    Ok(if shown { page.into_response() } else { refused(page) })
}

async fn php(
    State(state): State<AppState>,
    signed_in: SignedIn,
    Path((id, version)): Path<(AccountId, PhpVersion)>,
) -> Result<Response, PageError> {
    let model = account_php_model(&state, &signed_in.actor, id, version, None).await?;
    Ok(view::php_page(&signed_in.viewer, &model).into_response())
}

async fn php_set(
    State(state): State<AppState>,
    signed_in: SignedIn,
    Path((id, version)): Path<(AccountId, PhpVersion)>,
    Form(form): Form<PhpForm>,
) -> Result<Response, PageError> {
    match php_update(&state.app, &signed_in.actor, id, version, &form).await {
        Ok(_) => Ok(go(&paths::account(id), Flash::Requested)),
        Err(AppError::Invalid(refusal)) => {
            let model = account_php_model(&state, &signed_in.actor, id, version, Some((&form, &refusal))).await?;
            Ok(refused(view::php_page(&signed_in.viewer, &model)))
        }
        Err(error) => Err(error.into()),
    }
}

/// The form again, with what it would change; nothing is recorded.
async fn php_shown(
    State(state): State<AppState>,
    signed_in: SignedIn,
    Path((id, version)): Path<(AccountId, PhpVersion)>,
    Form(form): Form<PhpForm>,
) -> Result<Response, PageError> {
    let (refusal, preview) = refusal_or(php_preview(&state.app, &signed_in.actor, id, version, &form).await)?;
    let mut model = account_php_model(&state, &signed_in.actor, id, version, Some((&form, &refusal))).await?;
    model.preview = preview.map(|preview| preview_model(&signed_in.actor, preview));
    let shown = model.preview.is_some();
    let page = view::php_page(&at_page(signed_in, paths::account_php(id, version)), &model);
    Ok(if shown { page.into_response() } else { refused(page) })
}

async fn retry(State(state): State<AppState>, signed_in: SignedIn, Path(id): Path<AccountId>) -> Result<Response, PageError> {
    account_retry(&state.app, &signed_in.actor, id).await?;
    Ok(go(&paths::account(id), Flash::Requested))
}

async fn confirm(State(state): State<AppState>, signed_in: SignedIn, Path(id): Path<AccountId>) -> Result<Response, PageError> {
    let model = account_delete_model(&state, &signed_in.actor, id, "", &FieldErrors::new()).await?;
    Ok(view::delete_page(&signed_in.viewer, &model).into_response())
}

async fn delete(
    State(state): State<AppState>,
    signed_in: SignedIn,
    Path(id): Path<AccountId>,
    Form(form): Form<ConfirmDelete>,
) -> Result<Response, PageError> {
    match account_delete(&state.app, &signed_in.actor, id, &form).await {
        Ok(_) => Ok(go(paths::ACCOUNTS, Flash::Deleting)),
        Err(AppError::Invalid(refusal)) => {
            let model = account_delete_model(&state, &signed_in.actor, id, &form.confirm, &refusal).await?;
            Ok(refused(view::delete_page(&signed_in.viewer, &model)))
        }
        Err(error) => Err(error.into()),
    }
}

async fn delete_preview(
    State(state): State<AppState>,
    signed_in: SignedIn,
    Path(id): Path<AccountId>,
    Form(form): Form<ConfirmDelete>,
) -> Result<Response, PageError> {
    let preview = account_delete_preview(&state.app, &signed_in.actor, id).await?;
    let mut model = account_delete_model(&state, &signed_in.actor, id, &form.confirm, &FieldErrors::new()).await?;
    model.preview = Some(preview_model(&signed_in.actor, preview));
    Ok(view::delete_page(&at_page(signed_in, paths::account_delete(id)), &model).into_response())
}
