//! How files arrive in an account: its SFTP password and keys.

use axum::extract::State;
use axum::response::{IntoResponse, Response};
use axum::routing::{Router, get as on_get, post as on_post};
use serde::Deserialize;
use shared::ids::AccountId;

use super::model::account::{SftpTyped, account_show_model};
use super::model::drift::preview_model;
use super::model::sftp::sftp_key_remove_model;
use super::{Access, Route, at_page, get, go, post, refusal_or, refused};
use crate::app::account_access::{
    SftpKeyForm, SftpPasswordForm, sftp_key_add, sftp_key_add_preview, sftp_key_remove, sftp_key_remove_preview, sftp_password_preview,
    sftp_password_set,
};
use crate::app::{AppError, FieldErrors};
use crate::error::PageError;
use crate::extract::{Flash, Form, Path, Query, SignedIn};
use crate::paths;
use crate::state::AppState;
use crate::views::account as view;

pub(super) const TABLE: &[Route] = &[
    post(paths::ACCOUNT_SFTP_PASSWORD, Access::Owner),
    post(paths::ACCOUNT_SFTP_PASSWORD_PREVIEW, Access::Owner),
    post(paths::ACCOUNT_SFTP_KEYS, Access::Owner),
    post(paths::ACCOUNT_SFTP_KEYS_PREVIEW, Access::Owner),
    get(paths::ACCOUNT_SFTP_KEY_REMOVE, Access::Owner),
    post(paths::ACCOUNT_SFTP_KEY_REMOVE, Access::Owner),
    post(paths::ACCOUNT_SFTP_KEY_REMOVE_PREVIEW, Access::Owner),
];

/// The routes.
pub fn router() -> Router<AppState> {
    Router::new()
        .route(paths::ACCOUNT_SFTP_PASSWORD, on_post(password))
        .route(paths::ACCOUNT_SFTP_PASSWORD_PREVIEW, on_post(password_preview))
        .route(paths::ACCOUNT_SFTP_KEYS, on_post(key_add))
        .route(paths::ACCOUNT_SFTP_KEYS_PREVIEW, on_post(key_add_preview))
        .route(paths::ACCOUNT_SFTP_KEY_REMOVE, on_get(key_remove_ask).post(key_remove))
        .route(paths::ACCOUNT_SFTP_KEY_REMOVE_PREVIEW, on_post(key_remove_preview))
}

/// The page with the new password is the answer itself: it is stored nowhere, so it can be shown only now.
async fn password(
    State(state): State<AppState>,
    signed_in: SignedIn,
    Path(id): Path<AccountId>,
    Form(form): Form<SftpPasswordForm>,
) -> Result<Response, PageError> {
    let (_, made) = sftp_password_set(&state.app, &signed_in.actor, id, &form).await?;
    if made.is_none() && form.password.is_empty() {
        return Ok(go(&paths::account(id), Flash::PasswordMadeBefore));
    }
    let typed = SftpTyped { new_password: made.map(|password| password.expose().clone()), ..SftpTyped::default() };
    let model = account_show_model(&state, &signed_in.actor, id, typed, None).await?;
    Ok(view::show_page(&at_page(signed_in, paths::account(id)), &model).into_response())
}

/// The account's page, with what a new password would change; nothing is recorded.
async fn password_preview(
    State(state): State<AppState>,
    signed_in: SignedIn,
    Path(id): Path<AccountId>,
    Form(form): Form<SftpPasswordForm>,
) -> Result<Response, PageError> {
    let preview = sftp_password_preview(&state.app, &signed_in.actor, id, &form).await?;
    let mut model = account_show_model(&state, &signed_in.actor, id, SftpTyped::default(), None).await?;
    model.preview = Some(preview_model(&signed_in.actor, preview));
    Ok(view::show_page(&at_page(signed_in, paths::account(id)), &model).into_response())
}

async fn key_add(
    State(state): State<AppState>,
    signed_in: SignedIn,
    Path(id): Path<AccountId>,
    Form(form): Form<SftpKeyForm>,
) -> Result<Response, PageError> {
    match sftp_key_add(&state.app, &signed_in.actor, id, &form).await {
        Ok(_) => Ok(go(&paths::account(id), Flash::Requested)),
        Err(AppError::Invalid(refusal)) => key_form(&state, signed_in, id, &form, refusal).await,
        Err(error) => Err(error.into()),
    }
}

/// The account's page with the key that was typed, and why it was refused.
async fn key_form(
    state: &AppState,
    signed_in: SignedIn,
    id: AccountId,
    form: &SftpKeyForm,
    refusal: FieldErrors,
) -> Result<Response, PageError> {
    let typed = SftpTyped { key: &form.key, refused: refusal, new_password: None };
    let model = account_show_model(state, &signed_in.actor, id, typed, None).await?;
    Ok(refused(view::show_page(&at_page(signed_in, paths::account(id)), &model)))
}

/// The account's page with the key that was typed, and what adding it would change; nothing is recorded.
async fn key_add_preview(
    State(state): State<AppState>,
    signed_in: SignedIn,
    Path(id): Path<AccountId>,
    Form(form): Form<SftpKeyForm>,
) -> Result<Response, PageError> {
    let (refusal, preview) = refusal_or(sftp_key_add_preview(&state.app, &signed_in.actor, id, &form).await)?;
    let Some(preview) = preview else { return key_form(&state, signed_in, id, &form, refusal).await };
    let typed = SftpTyped { key: &form.key, ..SftpTyped::default() };
    let mut model = account_show_model(&state, &signed_in.actor, id, typed, None).await?;
    model.preview = Some(preview_model(&signed_in.actor, preview));
    Ok(view::show_page(&at_page(signed_in, paths::account(id)), &model).into_response())
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct KeyRemove {
    fingerprint: String,
}

async fn key_remove_ask(
    State(state): State<AppState>,
    signed_in: SignedIn,
    Path(id): Path<AccountId>,
    Query(key): Query<KeyRemove>,
) -> Result<Response, PageError> {
    let model = sftp_key_remove_model(&state, &signed_in.actor, id, &key.fingerprint).await?;
    Ok(view::key_remove_page(&signed_in.viewer, &model).into_response())
}

/// The question again, with what it would change; nothing is recorded.
async fn key_remove_preview(
    State(state): State<AppState>,
    signed_in: SignedIn,
    Path(id): Path<AccountId>,
    Form(key): Form<KeyRemove>,
) -> Result<Response, PageError> {
    let preview = sftp_key_remove_preview(&state.app, &signed_in.actor, id, &key.fingerprint).await?;
    let mut model = sftp_key_remove_model(&state, &signed_in.actor, id, &key.fingerprint).await?;
    model.preview = Some(preview_model(&signed_in.actor, preview));
    let viewer = at_page(signed_in, paths::account_sftp_key_remove_of(id, &key.fingerprint));
    Ok(view::key_remove_page(&viewer, &model).into_response())
}

async fn key_remove(
    State(state): State<AppState>,
    signed_in: SignedIn,
    Path(id): Path<AccountId>,
    Form(form): Form<KeyRemove>,
) -> Result<Response, PageError> {
    sftp_key_remove(&state.app, &signed_in.actor, id, &form.fingerprint).await?;
    Ok(go(&paths::account(id), Flash::Requested))
}
