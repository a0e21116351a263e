//! Changing one's password.

use axum::extract::State;
use axum::response::{IntoResponse, Redirect, Response};
use axum::routing::{Router, get as on_get};
use axum_extra::extract::CookieJar;

use super::model::errors;
use super::{Access, Route, get, post, refused, shown};
use crate::app::password::{PasswordChange, password_change};
use crate::app::{AppError, FieldErrors};
use crate::auth::policy::LEAST_CHARACTERS;
use crate::error::PageError;
use crate::extract::{Flash, Form, PeerAddress, SignedIn, session_cookie};
use crate::paths;
use crate::state::AppState;
use crate::views::password as view;

pub(super) const TABLE: &[Route] = &[get(paths::PASSWORD, Access::SignedIn), post(paths::PASSWORD, Access::SignedIn)];

/// The routes.
pub fn router() -> Router<AppState> {
    Router::new().route(paths::PASSWORD, on_get(form).post(change))
}

fn model(signed_in: &SignedIn, refusal: &FieldErrors) -> view::Password {
    view::Password {
        forced: signed_in.actor.must_change_password,
        least: LEAST_CHARACTERS,
        login: signed_in.actor.login.to_string(),
        errors: errors(refusal),
    }
}

async fn form(signed_in: SignedIn) -> Response {
    shown(&signed_in, view::page(&signed_in.viewer, &model(&signed_in, &FieldErrors::new())))
}

async fn change(
    State(state): State<AppState>,
    signed_in: SignedIn,
    PeerAddress(peer): PeerAddress,
    Form(form): Form<PasswordChange>,
) -> Result<Response, PageError> {
    match password_change(&state.app, &signed_in.actor, &peer, form).await {
        Ok(token) => {
            let cookies = CookieJar::new().add(session_cookie(&token)).add(Flash::PasswordChanged.cookie());
            Ok((cookies, Redirect::to(paths::HOME)).into_response())
        }
        Err(AppError::Invalid(refusal)) => Ok(refused(view::page(&signed_in.viewer, &model(&signed_in, &refusal)))),
        Err(error) => Err(error.into()),
    }
}
