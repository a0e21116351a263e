//! Handlers: extract, one use case, one view. **No SQL and no policy here.**
//!
//! [`table`] lists every route with who may use it; the router is built from the same features, and a test holds the two
//! together.

pub mod account;
pub mod audit;
pub mod client;
pub mod drift;
pub mod home;
pub mod join;
pub mod model;
pub mod operation;
pub mod password;
pub mod public;
pub mod queue;
pub mod rollout;
pub mod security;
pub mod server;
pub mod session;
pub mod sftp;
pub mod site;
pub mod suspend;

use axum::http::StatusCode;
use axum::response::{IntoResponse, Redirect, Response};
use maud::Markup;

use crate::app::{AppError, FieldErrors};
use crate::extract::{Flash, SignedIn, clear_flash};
use crate::views::components::toast::Toast;
use crate::views::layout::Viewer;

/// Who may use a route.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Access {
    /// Anybody.
    Public,
    /// Whoever is signed in.
    SignedIn,
    /// Admins; others get 403.
    Admin,
    /// The owner of the thing in the address, and admins; others get 404.
    Owner,
}

/// One route.
#[derive(Debug, Clone, Copy)]
pub struct Route {
    /// `GET` or `POST`; `GET` answers `HEAD` as well.
    pub method: &'static str,
    /// The pattern, from [`crate::paths`].
    pub pattern: &'static str,
    /// Who may use it.
    pub access: Access,
}

const fn get(pattern: &'static str, access: Access) -> Route {
    Route { method: "GET", pattern, access }
}

const fn post(pattern: &'static str, access: Access) -> Route {
    Route { method: "POST", pattern, access }
}

/// Every route.
#[must_use]
pub fn table() -> Vec<Route> {
    [
        public::TABLE,
        join::TABLE,
        session::TABLE,
        password::TABLE,
        home::TABLE,
        site::TABLE,
        account::TABLE,
        sftp::TABLE,
        suspend::TABLE,
        client::TABLE,
        operation::TABLE,
        server::TABLE,
        queue::TABLE,
        security::TABLE,
        drift::TABLE,
        rollout::TABLE,
        audit::TABLE,
        crate::live::route::TABLE,
    ]
    .concat()
}

/// A page, and the message of the request before it taken away.
fn shown(signed_in: &SignedIn, page: Markup) -> Response {
    match signed_in.flash {
        Some(_) => (axum_extra::extract::CookieJar::new().add(clear_flash()), page).into_response(),
        None => page.into_response(),
    }
}

/// The message of the request before, for a page's model.
fn toast(signed_in: &SignedIn) -> Option<Toast> {
    signed_in.flash.map(Flash::toast)
}

/// The viewer as if at another page: an answer to a form whose own address is no page has to send them back to one.
fn at_page(signed_in: SignedIn, here: String) -> Viewer {
    Viewer { here, ..signed_in.viewer }
}

/// The form again, with what was typed and what was wrong.
fn refused(page: Markup) -> Response {
    (StatusCode::UNPROCESSABLE_ENTITY, page).into_response()
}

/// What a form is shown again with: its refusals, or what it came to.
fn refusal_or<T>(result: Result<T, AppError>) -> Result<(FieldErrors, Option<T>), AppError> {
    match result {
        Ok(value) => Ok((FieldErrors::new(), Some(value))),
        Err(AppError::Invalid(refusal)) => Ok((refusal, None)),
        Err(error) => Err(error),
    }
}

/// To a page, with a message.
fn go(path: &str, flash: Flash) -> Response {
    (axum_extra::extract::CookieJar::new().add(flash.cookie()), Redirect::to(path)).into_response()
}
