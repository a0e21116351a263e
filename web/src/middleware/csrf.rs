//! Forms of other websites are refused: tower-http's layer looks at `Sec-Fetch-Site` and `Origin`.

use axum::extract::Request;
use axum::http::{Method, StatusCode, header};
use axum::middleware::Next;
use axum::response::Response;

use crate::error::explained;
use crate::paths;
use crate::views::error::ErrorKind;

/// tower-http lets a request without either header pass, because no browser sends one. Nothing but a browser has
/// business here, so such a request is refused as well. A worker that joins brings a token, not a cookie.
pub async fn require_origin(request: Request, next: Next) -> Response {
    let safe = matches!(*request.method(), Method::GET | Method::HEAD | Method::OPTIONS);
    let told = request.headers().contains_key("sec-fetch-site") || request.headers().contains_key(header::ORIGIN);
    if safe || told || request.uri().path() == paths::ENROL { next.run(request).await } else { refused() }
}

/// The page for a refused form.
#[must_use]
pub fn refused() -> Response {
    explained(StatusCode::FORBIDDEN, ErrorKind::Forbidden, None)
}
