//! Every failure a browser sees.
//!
//! **The only `IntoResponse` for failures**, and logged once, here, with the whole chain. The page itself is made by
//! `middleware::error_page`, which knows who looks.

use std::error::Error as _;

use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Redirect, Response};
use data_encoding::BASE32_NOPAD;
use rand::RngCore;

use crate::app::AppError;
use crate::paths;
use crate::store::StoreError;
use crate::views::error::ErrorKind;

/// How a request ends badly.
#[derive(Debug)]
pub enum PageError {
    /// 303 to the form for signing in, and then back; 401 for parts of a page.
    SignIn {
        /// Where to go afterwards.
        back: String,
    },
    /// 303 to the form for a new password; 403 for parts of a page.
    ChangePassword,
    /// The request makes no sense: a form that does not decode, a body that is too long.
    BadRequest,
    /// A use case refused.
    App(AppError),
}

impl PageError {
    /// Whether the same request may go well a little later: the fault is ours, or the database's.
    #[must_use]
    pub const fn may_pass(&self) -> bool {
        match self {
            Self::App(AppError::Unavailable(_) | AppError::Internal(_)) => true,
            Self::SignIn { .. }
            | Self::ChangePassword
            | Self::BadRequest
            | Self::App(
                AppError::Invalid(_)
                | AppError::NotFound
                | AppError::Forbidden
                | AppError::Conflict(_)
                | AppError::TooManyRequests { .. }
                | AppError::Repeated,
            ) => false,
        }
    }
}

impl From<AppError> for PageError {
    fn from(error: AppError) -> Self {
        Self::App(error)
    }
}

impl From<StoreError> for PageError {
    fn from(error: StoreError) -> Self {
        Self::App(error.into())
    }
}

/// What the page of a failure needs; travels in the response's extensions.
#[derive(Debug, Clone)]
pub struct Explained {
    /// What went wrong.
    pub kind: ErrorKind,
    /// The sentence of a conflict, in place of the general one.
    pub sentence: Option<String>,
    /// The number support finds the log by.
    pub reference: Option<String>,
}

impl IntoResponse for PageError {
    fn into_response(self) -> Response {
        match self {
            Self::SignIn { back } => Redirect::to(&paths::with_query(paths::SIGN_IN, [("next", back)])).into_response(),
            Self::ChangePassword => Redirect::to(paths::PASSWORD).into_response(),
            Self::BadRequest => explained(StatusCode::BAD_REQUEST, ErrorKind::BadRequest, None),
            Self::App(error) => app_error(error),
        }
    }
}

/// A database that is busy mostly is not any more after so many seconds.
const TRY_AGAIN_S: &str = "5";

fn app_error(error: AppError) -> Response {
    match error {
        AppError::NotFound => explained(StatusCode::NOT_FOUND, ErrorKind::NotFound, None),
        AppError::Forbidden => explained(StatusCode::FORBIDDEN, ErrorKind::Forbidden, None),
        AppError::Conflict(sentence) => explained(StatusCode::CONFLICT, ErrorKind::Conflict, Some(sentence)),
        AppError::Repeated => explained(StatusCode::CONFLICT, ErrorKind::Conflict, None),
        // Forms show their errors themselves; a button's form has no fields to show them at.
        AppError::Invalid(errors) => {
            let sentence = errors.iter().map(|(_, message)| message.to_owned()).next();
            explained(StatusCode::UNPROCESSABLE_ENTITY, ErrorKind::BadRequest, sentence)
        }
        AppError::TooManyRequests { retry_after_s } => {
            let mut response = explained(StatusCode::TOO_MANY_REQUESTS, ErrorKind::TooMany { seconds: retry_after_s }, None);
            response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from(retry_after_s));
            response
        }
        AppError::Unavailable(_) => {
            let mut response = ours(StatusCode::SERVICE_UNAVAILABLE, ErrorKind::Unavailable, &error);
            response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from_static(TRY_AGAIN_S));
            response
        }
        AppError::Internal(_) => ours(StatusCode::INTERNAL_SERVER_ERROR, ErrorKind::Internal, &error),
    }
}

/// A failure with its page.
#[must_use]
pub fn explained(status: StatusCode, kind: ErrorKind, sentence: Option<String>) -> Response {
    (status, axum::Extension(Explained { kind, sentence, reference: None })).into_response()
}

/// A fault of ours: the log gets the whole chain, the page a number to find it by.
fn ours(status: StatusCode, kind: ErrorKind, error: &AppError) -> Response {
    let reference = reference();
    let mut chain = error.to_string();
    let mut cause = error.source();
    while let Some(source) = cause {
        chain.push_str(": ");
        chain.push_str(&source.to_string());
        cause = source.source();
    }
    tracing::error!(error.reference = %reference, error.chain = %chain, "a request failed inside");
    (status, axum::Extension(Explained { kind, sentence: None, reference: Some(reference) })).into_response()
}

fn reference() -> String {
    let mut bytes = [0_u8; 5];
    rand::rng().fill_bytes(&mut bytes);
    BASE32_NOPAD.encode(&bytes)
}
