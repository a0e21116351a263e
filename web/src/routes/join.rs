//! What a new host fetches: the script by which it joins, and the worker's package. No session: the token is the proof.

use axum::body::{Body, Bytes};
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{Router, get as on_get};
use futures::TryStreamExt as _;
use tokio::io::AsyncReadExt as _;

use super::{Access, Route, get};
use crate::app::AppError;
use crate::app::enrolment::token_server;
use crate::error::PageError;
use crate::extract::Path;
use crate::paths;
use crate::state::AppState;
use crate::store::now_ms;
use crate::views::join::{PackageModel, ScriptModel, refusal, script as script_text};

pub(super) const TABLE: &[Route] = &[get(paths::JOIN, Access::Public), get(paths::JOIN_PACKAGE, Access::Public)];

/// The routes.
pub fn router() -> Router<AppState> {
    Router::new().route(paths::JOIN, on_get(script)).route(paths::JOIN_PACKAGE, on_get(package))
}

/// A refusal is a script too, because a shell reads the answer: it says why, and ends.
async fn script(State(state): State<AppState>, headers: HeaderMap) -> Result<Response, PageError> {
    let text = |status, text: String| (status, [(header::CONTENT_TYPE, "text/x-shellscript; charset=utf-8")], text).into_response();
    let Some(token) = bearer(&headers) else {
        return Ok(text(StatusCode::UNAUTHORIZED, refusal("the command is not whole: copy it again from the server's page in the panel")));
    };
    let server = match token_server(&state.app, token).await? {
        Ok(server) => server,
        Err(refused) => return Ok(text(StatusCode::FORBIDDEN, refusal(&refused.to_string()))),
    };
    let config = &state.config;
    let packages = config.worker_packages.iter().map(|package| PackageModel {
        architecture: package.architecture.as_str(),
        file: &package.file,
        sha256: package.sha256.as_str(),
    });
    let panel = server.panel_url(&config.public_url);
    let trust = config.trust_at(panel);
    let model = ScriptModel {
        panel,
        trust: &trust,
        server: &server.name,
        roles: &server.roles,
        token,
        packages: packages.collect(),
        now_s: now_ms() / 1000,
    };
    Ok(text(StatusCode::OK, script_text(&model)))
}

fn bearer(headers: &HeaderMap) -> Option<&str> {
    let token = headers.get(header::AUTHORIZATION)?.to_str().ok()?.strip_prefix("Bearer ")?.trim();
    // What a token is made of; nothing else gets into a script.
    let plain = token.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_'));
    Some(token).filter(|token| plain && !token.is_empty() && token.len() <= 128)
}

/// How much of a package is read at once.
const CHUNK: usize = 64 * 1024;

async fn package(State(state): State<AppState>, Path(name): Path<String>) -> Result<Response, PageError> {
    let package = state.config.worker_packages.iter().find(|package| package.file == name).ok_or(AppError::NotFound)?;
    let mut file = tokio::fs::File::open(&package.path).await.map_err(|error| AppError::Internal(Box::new(error)))?;
    let chunks = async_stream::try_stream! {
        loop {
            let mut chunk = Vec::with_capacity(CHUNK);
            if (&mut file).take(CHUNK as u64).read_to_end(&mut chunk).await? == 0 {
                break;
            }
            yield Bytes::from(chunk);
        }
    };
    // Named as it is encoded, a package is not compressed again.
    let headers = [(header::CONTENT_TYPE, "application/vnd.debian.binary-package"), (header::CONTENT_ENCODING, "identity")];
    Ok((headers, Body::from_stream(chunks.map_err(|error: std::io::Error| error))).into_response())
}
