//! The answer to a browser that watches a page.

use std::convert::Infallible;
use std::future::Future;
use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::http::header;
use axum::response::{IntoResponse, Response};
use shared::ids::UserId;
use tokio::sync::broadcast;

use super::diff::Seen;
use super::hub::{Hub, Renderer};
use super::view::ViewKey;

/// A comment this often keeps proxies from closing the connection.
const KEEP_ALIVE: Duration = Duration::from_secs(15);
/// The session is looked at with every fourth of them, once a minute, even if nobody says that it ended.
const SESSION_CHECK: u32 = 4;
/// A rendering is sent at most this often to one browser: about what an eye can follow.
const PAUSE: Duration = Duration::from_millis(40);

const COMMENT: Bytes = Bytes::from_static(b":\n\n");
const GONE: Bytes = Bytes::from_static(b"event: gone\ndata: gone\n\n");

/// A stream of a page's changed parts. The first message brings the page to the truth. It ends, with an event `gone`,
/// when the page or the session is no longer there; the browser then loads the page again and sees why.
pub fn stream<C, F>(hub: &Hub, key: &ViewKey, viewer: UserId, render: &Renderer, session_stands: C) -> Response
where
    C: Fn() -> F + Send + 'static,
    F: Future<Output = bool> + Send + 'static,
{
    let mut page = hub.watch(key, render);
    let mut people = hub.people();
    // The bytes are the hub's, and the same for every viewer: axum's own events would copy them for each.
    let events = async_stream::stream! {
        let mut seen = Seen::default();
        let mut keep_alive = tokio::time::interval(KEEP_ALIVE);
        keep_alive.reset();
        let mut comments = 0;
        let mut started = false;
        loop {
            let newest = page.borrow_and_update().clone();
            match newest {
                Some(rendered) => {
                    started = true;
                    if let Some(message) = seen.update(&rendered) {
                        drop(rendered);
                        yield Ok::<_, Infallible>(message);
                        tokio::time::sleep(PAUSE).await;
                    }
                }
                None if started => break,
                None => {}
            }
            let news = tokio::select! {
                changed = page.changed() => if changed.is_ok() { News::Page } else { News::Gone },
                () = own_change(viewer, &mut people) => News::Session,
                _ = keep_alive.tick() => News::Silence,
            };
            match news {
                News::Page => {}
                News::Silence => {
                    yield Ok(COMMENT);
                    comments += 1;
                    if comments % SESSION_CHECK == 0 && !session_stands().await {
                        break;
                    }
                }
                News::Session if session_stands().await => {}
                News::Session | News::Gone => break,
            }
        }
        yield Ok(GONE);
    };
    let headers = [(header::CONTENT_TYPE, "text/event-stream"), (header::CACHE_CONTROL, "no-cache")];
    (headers, Body::from_stream(events)).into_response()
}

enum News {
    Page,
    Session,
    Silence,
    Gone,
}

/// Returns when something was said about the viewer's own sessions or rights, or when that may have been missed.
async fn own_change(viewer: UserId, people: &mut broadcast::Receiver<UserId>) {
    loop {
        match people.recv().await {
            Ok(user) if user == viewer => return,
            Ok(_) => {}
            Err(broadcast::error::RecvError::Lagged(_)) => return,
            Err(broadcast::error::RecvError::Closed) => std::future::pending().await,
        }
    }
}
