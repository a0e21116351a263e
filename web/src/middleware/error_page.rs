//! Makes the page of a failure, for whoever looks.

use axum::extract::Request;
use axum::http::{HeaderMap, Method, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use jiff::Timestamp;
use maud::Markup;

use crate::error::Explained;
use crate::extract::{Preferences, ViewerSlot, wants_part};
use crate::views::components::badge::Tone;
use crate::views::components::toast::{Toast, toasts};
use crate::views::error::{ErrorKind, ErrorModel, page, solo_page};
use crate::views::fragment::{Fragment, partial};

/// Runs the request; if it failed, puts the page into the response.
pub async fn error_page(mut request: Request, next: Next) -> Response {
    let slot = ViewerSlot::default();
    request.extensions_mut().insert(slot.clone());
    let headers = request.headers().clone();
    let again = (request.method() == Method::GET).then(|| request.uri().path().to_owned());
    let response = next.run(request).await;
    if wants_part(&headers) && response.status() == StatusCode::SEE_OTHER && is_gate(&response) {
        return StatusCode::UNAUTHORIZED.into_response();
    }
    let explained = response.extensions().get::<Explained>().cloned().or_else(|| of_status(&response));
    let Some(explained) = explained else { return response };
    let body = render(&headers, &slot, &explained, again);
    let (mut parts, _) = response.into_parts();
    parts.headers.remove(header::CONTENT_LENGTH);
    parts.headers.remove(header::CONTENT_TYPE);
    (parts.status, parts.headers, body).into_response()
}

/// A redirect to the form for signing in or for a new password.
fn is_gate(response: &Response) -> bool {
    let location = response.headers().get(header::LOCATION).and_then(|value| value.to_str().ok()).unwrap_or_default();
    location.starts_with(crate::paths::SIGN_IN) || location == crate::paths::PASSWORD
}

/// Failures of the router and of layers, which know nothing of pages: their bodies are empty or plain text.
fn of_status(response: &Response) -> Option<Explained> {
    if response.headers().get(header::CONTENT_TYPE).is_some_and(|value| !value.as_bytes().starts_with(b"text/plain")) {
        return None;
    }
    let kind = match response.status() {
        StatusCode::NOT_FOUND => ErrorKind::NotFound,
        StatusCode::FORBIDDEN => ErrorKind::Forbidden,
        StatusCode::METHOD_NOT_ALLOWED | StatusCode::PAYLOAD_TOO_LARGE | StatusCode::BAD_REQUEST => ErrorKind::BadRequest,
        _ => return None,
    };
    Some(Explained { kind, sentence: None, reference: None })
}

fn render(headers: &HeaderMap, slot: &ViewerSlot, explained: &Explained, again: Option<String>) -> Markup {
    if wants_part(headers) {
        let title = explained.sentence.clone().unwrap_or_else(|| "That did not work. Nothing was changed.".to_owned());
        let toast = Toast { tone: Tone::Bad, title, text: None };
        return partial(&Fragment::new("toasts", toasts(Some(&toast))));
    }
    let retry = matches!(explained.kind, ErrorKind::Internal | ErrorKind::Unavailable | ErrorKind::TooMany { .. });
    let model = ErrorModel {
        kind: explained.kind,
        sentence: explained.sentence.clone(),
        reference: explained.reference.clone(),
        at: Timestamp::now(),
        again: again.filter(|_| retry),
    };
    match slot.0.get() {
        Some(viewer) => page(viewer, &model),
        None => solo_page(Preferences::of(headers).theme, &model),
    }
}
