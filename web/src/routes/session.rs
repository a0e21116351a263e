//! Signing in and out, and one's sessions.

use axum::extract::State;
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Redirect, Response};
use axum::routing::{Router, get as on_get, post as on_post};
use axum_extra::extract::CookieJar;
use serde::Deserialize;

use super::model::{at, errors};
use super::{Access, Route, get, go, post, shown, toast};
use crate::app::session::{self, SignIn};
use crate::app::{AppError, FieldErrors};
use crate::error::PageError;
use crate::extract::{
    Flash, Form, PeerAddress, Preferences, Query, SignedIn, clear_flash, session_cookie, session_end_cookie, session_token,
};
use crate::paths;
use crate::state::AppState;
use crate::views::sessions as sessions_view;
use crate::views::sign_in as view;

pub(super) const TABLE: &[Route] = &[
    get(paths::SIGN_IN, Access::Public),
    post(paths::SIGN_IN, Access::Public),
    get(paths::SIGN_OUT, Access::SignedIn),
    post(paths::SIGN_OUT, Access::SignedIn),
    get(paths::SESSIONS, Access::SignedIn),
    post(paths::SESSION_END, Access::SignedIn),
    post(paths::SESSIONS_END_OTHERS, Access::SignedIn),
];

/// The routes.
pub fn router() -> Router<AppState> {
    Router::new()
        .route(paths::SIGN_IN, on_get(form).post(sign_in))
        .route(paths::SIGN_OUT, on_get(sign_out_form).post(sign_out))
        .route(paths::SESSIONS, on_get(list))
        .route(paths::SESSION_END, on_post(end))
        .route(paths::SESSIONS_END_OTHERS, on_post(end_others))
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Next {
    next: String,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct SignInForm {
    login: String,
    password: String,
    back: String,
}

/// A path of this panel, or home. `//host` and `/\host` are other hosts to a browser.
pub(super) fn own_path(path: &str) -> &str {
    let plain = path.starts_with('/') && !path[1..].starts_with(['/', '\\']) && !path.chars().any(char::is_control);
    if plain { path } else { paths::HOME }
}

async fn form(State(state): State<AppState>, Query(query): Query<Next>, headers: HeaderMap) -> Response {
    let flash = Flash::of(&headers);
    let model = view::SignIn {
        theme: Preferences::of(&headers).theme,
        panel: state.config.host.clone(),
        back: own_path(&query.next).to_owned(),
        notice: flash.map(|flash| flash.sentence().into_owned()),
        ..view::SignIn::default()
    };
    match flash {
        Some(_) => (CookieJar::new().add(clear_flash()), view::page(&model)).into_response(),
        None => view::page(&model).into_response(),
    }
}

async fn sign_in(
    State(state): State<AppState>,
    PeerAddress(peer): PeerAddress,
    headers: HeaderMap,
    Form(form): Form<SignInForm>,
) -> Result<Response, PageError> {
    let back = own_path(&form.back).to_owned();
    let typed = SignIn { login: form.login.clone(), password: form.password };
    let (status, refusal, wait) = match session::sign_in(&state.app, &peer, typed).await {
        Ok(token) => {
            // Whatever session the browser had before ends here: a new sign-in is a new session.
            if let Some(old) = session_token(&headers)
                && let Some(actor) = session::session_actor(&state.app, old.expose()).await?
            {
                session::sign_out(&state.app, &actor).await?;
            }
            return Ok((CookieJar::new().add(session_cookie(&token)), Redirect::to(&back)).into_response());
        }
        Err(AppError::Invalid(refusal)) => (StatusCode::UNPROCESSABLE_ENTITY, refusal, None),
        Err(AppError::TooManyRequests { retry_after_s }) => {
            let sentence = format!("Too many tries. Try again in {retry_after_s} seconds.");
            (StatusCode::TOO_MANY_REQUESTS, FieldErrors::one("", sentence), Some(retry_after_s))
        }
        Err(error) => return Err(error.into()),
    };
    let model = view::SignIn {
        theme: Preferences::of(&headers).theme,
        panel: state.config.host.clone(),
        login: form.login,
        back,
        errors: errors(&refusal),
        notice: None,
    };
    let mut response = (status, view::page(&model)).into_response();
    if let Some(seconds) = wait {
        response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from(seconds));
    }
    Ok(response)
}

async fn sign_out_form(signed_in: SignedIn) -> Response {
    view::sign_out_page(signed_in.viewer.theme).into_response()
}

async fn sign_out(State(state): State<AppState>, signed_in: SignedIn) -> Result<Response, PageError> {
    session::sign_out(&state.app, &signed_in.actor).await?;
    let cookies = CookieJar::new().add(session_end_cookie()).add(Flash::SignedOut.cookie());
    Ok((cookies, Redirect::to(paths::SIGN_IN)).into_response())
}

async fn list(State(state): State<AppState>, signed_in: SignedIn) -> Result<Response, PageError> {
    let rows = session::sessions(&state.app, &signed_in.actor).await?;
    let rows = rows.into_iter().map(|row| sessions_view::Session {
        is_this: row.id == signed_in.actor.session,
        handle: row.id.to_string(),
        device: device(&row.user_agent),
        address: row.address,
        signed_in_at: at(row.created_ms),
        seen_at: at(row.last_seen_ms),
    });
    let model = sessions_view::Sessions { rows: rows.collect(), toast: toast(&signed_in) };
    Ok(shown(&signed_in, sessions_view::page(&signed_in.viewer, &model)))
}

/// What a browser says it is, in words. It is only a reminder; nothing is decided by it.
fn device(user_agent: &str) -> String {
    let first = |names: &[(&str, &'static str)]| names.iter().find(|(mark, _)| user_agent.contains(mark)).map(|(_, name)| *name);
    let browser =
        first(&[("Edg", "Edge"), ("OPR", "Opera"), ("Firefox", "Firefox"), ("Chrom", "Chrome"), ("Safari", "Safari"), ("curl", "curl")]);
    let system = first(&[
        ("Android", "Android"),
        ("iPhone", "iPhone"),
        ("iPad", "iPad"),
        ("Windows", "Windows"),
        ("Mac OS", "macOS"),
        ("Linux", "Linux"),
    ]);
    match (browser, system) {
        (Some(browser), Some(system)) => format!("{browser} on {system}"),
        (Some(name), None) | (None, Some(name)) => name.to_owned(),
        (None, None) => "Unknown browser".to_owned(),
    }
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct EndForm {
    session: String,
}

async fn end(State(state): State<AppState>, signed_in: SignedIn, Form(form): Form<EndForm>) -> Result<Response, PageError> {
    let id = form.session.parse().map_err(|_| AppError::NotFound)?;
    session::session_end(&state.app, &signed_in.actor, &id).await?;
    Ok(Redirect::to(paths::SESSIONS).into_response())
}

async fn end_others(State(state): State<AppState>, signed_in: SignedIn) -> Result<Response, PageError> {
    session::sessions_end_others(&state.app, &signed_in.actor).await?;
    Ok(go(paths::SESSIONS, Flash::SessionsEnded))
}

#[cfg(test)]
mod tests {
    use super::{device, own_path};

    #[test]
    fn signing_in_never_leads_to_another_host() {
        for foreign in ["//evil.example", "/\\evil.example", "https://evil.example", "evil", "", "/a\nb", "javascript:alert(1)"] {
            assert_eq!(own_path(foreign), "/", "{foreign:?}");
        }
        assert_eq!(own_path("/sites?q=a"), "/sites?q=a");
    }

    #[test]
    fn a_device_is_named_in_words() {
        assert_eq!(device("Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0"), "Firefox on Linux");
        assert_eq!(device("??"), "Unknown browser");
    }
}
