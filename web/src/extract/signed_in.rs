//! Who asks. **One extractor for every route that is not public.**

use std::net::SocketAddr;
use std::sync::{Arc, OnceLock};

use axum::extract::{ConnectInfo, FromRequestParts, OriginalUri};
use axum::http::request::Parts;
use axum::http::{HeaderMap, Method};
use jiff::Timestamp;

use super::{Flash, Preferences, session_token};
use crate::app::Actor;
use crate::app::session::session_actor;
use crate::error::PageError;
use crate::paths;
use crate::state::AppState;
use crate::store::operation_list::operation_count_failed;
use crate::store::user::UserRole;
use crate::views::layout::{Audience, Viewer};

/// Somebody who is signed in, and how they see pages.
#[derive(Debug, Clone)]
pub struct SignedIn {
    /// Who.
    pub actor: Actor,
    /// How they see pages.
    pub viewer: Viewer,
    /// The message the last request left for this page.
    pub flash: Option<Flash>,
}

/// Where the extractor leaves the viewer, so that an error page can be made for them.
#[derive(Debug, Clone, Default)]
pub struct ViewerSlot(pub Arc<OnceLock<Viewer>>);

/// Whether the request is for a part of a page: an htmx request or a stream. A redirect would put a whole page into it.
#[must_use]
pub fn wants_part(headers: &HeaderMap) -> bool {
    let accepts_stream =
        headers.get("accept").and_then(|value| value.to_str().ok()).is_some_and(|value| value.contains("text/event-stream"));
    headers.contains_key("hx-request") || accepts_stream
}

impl FromRequestParts<AppState> for SignedIn {
    type Rejection = PageError;

    async fn from_request_parts(parts: &mut Parts, state: &AppState) -> Result<Self, Self::Rejection> {
        let here = match parts.extensions.get::<OriginalUri>() {
            Some(uri) => uri.0.path_and_query().map_or("/", axum::http::uri::PathAndQuery::as_str).to_owned(),
            None => parts.uri.path().to_owned(),
        };
        // After a form one goes back to a page, not to the form's target.
        let back = if parts.method == Method::GET { here.clone() } else { String::new() };
        let Some(token) = session_token(&parts.headers) else { return Err(PageError::SignIn { back }) };
        let Some(mut actor) = session_actor(&state.app, token.expose()).await? else { return Err(PageError::SignIn { back }) };
        // The audit log tells where a request came from, not where its session began.
        if let Some(info) = parts.extensions.get::<ConnectInfo<SocketAddr>>() {
            actor.address = info.0.ip().to_canonical().to_string();
        }
        let free = [paths::PASSWORD, paths::SIGN_OUT, paths::THEME, paths::NAV];
        if actor.must_change_password && !free.contains(&parts.uri.path()) {
            return Err(PageError::ChangePassword);
        }
        let viewer = viewer(state, &actor, &parts.headers, here).await?;
        if let Some(slot) = parts.extensions.get::<ViewerSlot>() {
            // A second extraction in one request finds the same viewer.
            let _ = slot.0.set(viewer.clone());
        }
        Ok(Self { actor, viewer, flash: Flash::of(&parts.headers) })
    }
}

async fn viewer(state: &AppState, actor: &Actor, headers: &HeaderMap, here: String) -> Result<Viewer, PageError> {
    let failed = operation_count_failed(state.db(), actor.visible()).await?;
    let preferences = Preferences::of(headers);
    Ok(Viewer {
        name: actor.name.clone(),
        audience: match actor.role {
            UserRole::Admin => Audience::Admin,
            UserRole::Client => Audience::Client,
        },
        theme: preferences.theme,
        nav_mini: preferences.nav_mini,
        here,
        now: Timestamp::now(),
        failed_operations: u64::try_from(failed).unwrap_or(0),
    })
}
