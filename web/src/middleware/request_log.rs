//! One span and one line per request. No query string and no header is logged: they may hold secrets.

use std::time::Instant;

use axum::extract::{MatchedPath, Request};
use axum::middleware::Next;
use axum::response::Response;
use data_encoding::HEXLOWER;
use rand::RngCore;
use tracing::Instrument as _;

/// Runs the request in its span.
pub async fn request_log(request: Request, next: Next) -> Response {
    let mut id = [0_u8; 8];
    rand::rng().fill_bytes(&mut id);
    let route = request.extensions().get::<MatchedPath>().map_or("unknown", MatchedPath::as_str).to_owned();
    let span = tracing::info_span!("request", request.id = %HEXLOWER.encode(&id), http.method = %request.method(), http.route = %route);
    let begun = Instant::now();
    async move {
        let response = next.run(request).await;
        let took = u64::try_from(begun.elapsed().as_millis()).unwrap_or(u64::MAX);
        tracing::debug!(http.status = response.status().as_u16(), duration_ms = took, "answered");
        response
    }
    .instrument(span)
    .await
}
