//! Where a request comes from.

use std::net::SocketAddr;

use axum::extract::{ConnectInfo, FromRequestParts};
use axum::http::header::USER_AGENT;
use axum::http::request::Parts;

use crate::app::AppError;
use crate::app::session::Peer;
use crate::error::PageError;
use crate::state::AppState;

/// The socket's address and the browser's name for itself. **No header tells the address**: `X-Forwarded-For` and its
/// like are whatever the sender writes.
#[derive(Debug)]
pub struct PeerAddress(pub Peer);

impl FromRequestParts<AppState> for PeerAddress {
    type Rejection = PageError;

    async fn from_request_parts(parts: &mut Parts, _: &AppState) -> Result<Self, Self::Rejection> {
        let address = parts.extensions.get::<ConnectInfo<SocketAddr>>().map(|info| info.0.ip());
        let address = address.ok_or_else(|| AppError::Internal("the listener does not tell the peer's address".into()))?;
        let user_agent = parts.headers.get(USER_AGENT).and_then(|value| value.to_str().ok()).unwrap_or_default().to_owned();
        Ok(Self(Peer { address, user_agent }))
    }
}
