//! The panel's routes and the one ordered stack around them.

use axum::Router;
use axum::body::Body;
use axum::extract::DefaultBodyLimit;
use axum::http::Response;
use axum::middleware::from_fn;
use tower_http::compression::CompressionLayer;
use tower_http::csrf::{CsrfLayer, ProtectionError};

use crate::middleware::csrf::{refused, require_origin};
use crate::middleware::error_page::error_page;
use crate::middleware::request_log::request_log;
use crate::middleware::security_headers::security_headers;
use crate::routes::{
    account, audit, client, drift, home, join, operation, password, public, queue, rollout, security, server, session, sftp, site, suspend,
};
use crate::state::AppState;

/// The longest body. Forms are a few kilobytes; an upload is not a form.
const BODY_LIMIT: usize = 1024 * 1024;

/// The whole panel. `more` holds routes of other modules, such as the live stream; they get the same stack.
pub fn router(state: AppState, more: Router<AppState>) -> Router {
    Router::new()
        .merge(public::router())
        .merge(join::router())
        .merge(session::router())
        .merge(password::router())
        .merge(home::router())
        .merge(site::router())
        .merge(account::router())
        .merge(sftp::router())
        .merge(suspend::router())
        .merge(client::router())
        .merge(operation::router())
        .merge(server::router())
        .merge(queue::router())
        .merge(security::router())
        .merge(drift::router())
        .merge(rollout::router())
        .merge(audit::router())
        .merge(more)
        .with_state(state)
        // From the innermost to the outermost: the last one sees a request first.
        .layer(DefaultBodyLimit::max(BODY_LIMIT))
        .layer(from_fn(require_origin))
        .layer(CsrfLayer::new().with_rejection_response(csrf_refused))
        .layer(from_fn(error_page))
        // Streams of events and files that are compressed already pass unchanged.
        .layer(CompressionLayer::new())
        .layer(from_fn(security_headers))
        .layer(from_fn(request_log))
}

fn csrf_refused(_: ProtectionError) -> Response<Body> {
    refused()
}
