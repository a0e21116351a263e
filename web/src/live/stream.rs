//! The answer to a browser that watches a page.

use std::convert::Infallible;
use std::future::Future;
use std::time::Duration;

use axum::response::sse::{Event, KeepAlive, Sse};
use futures::Stream;
use shared::bus::panel::Hint;
use shared::ids::UserId;
use tokio::sync::broadcast;

use super::diff::Seen;
use super::hub::{Hub, Renderer};
use super::view::ViewKey;

/// A comment this often keeps proxies from closing the connection.
const KEEP_ALIVE: Duration = Duration::from_secs(15);
/// The session is looked at this often even if nobody says that it ended.
const SESSION_CHECK: Duration = Duration::from_mins(1);
/// A rendering is sent at most this often to one browser: about what an eye can follow.
const PAUSE: Duration = Duration::from_millis(40);

/// A stream of a page's changed parts. The first message brings the page to the truth. It ends, with an event `gone`,
/// when the page or the session is no longer there; the browser then loads the page again and sees why.
pub fn stream<C, F>(
    hub: &Hub,
    key: &ViewKey,
    viewer: UserId,
    render: &Renderer,
    session_stands: C,
) -> Sse<impl Stream<Item = Result<Event, Infallible>> + use<C, F>>
where
    C: Fn() -> F + Send + 'static,
    F: Future<Output = bool> + Send,
{
    let mut page = hub.watch(key, render);
    let mut hints = hub.hints();
    let events = async_stream::stream! {
        let mut seen = Seen::default();
        let mut check = tokio::time::interval(SESSION_CHECK);
        check.reset();
        let mut started = false;
        loop {
            let newest = page.borrow_and_update().clone();
            match newest {
                Some(rendered) => {
                    started = true;
                    if let Some(message) = seen.update(&rendered) {
                        yield Ok(Event::default().data(message));
                        tokio::time::sleep(PAUSE).await;
                    }
                }
                None if started => break,
                None => {}
            }
            let news = tokio::select! {
                changed = page.changed() => if changed.is_ok() { News::Page } else { News::Gone },
                () = session_hint(viewer, &mut hints) => News::Session,
                _ = check.tick() => News::Session,
            };
            match news {
                News::Page => {}
                News::Session if session_stands().await => {}
                News::Session | News::Gone => break,
            }
        }
        yield Ok(Event::default().event("gone").data("gone"));
    };
    Sse::new(events).keep_alive(KeepAlive::new().interval(KEEP_ALIVE))
}

enum News {
    Page,
    Session,
    Gone,
}

/// Returns when something was said about the viewer's own sessions or rights, or when hints were lost.
async fn session_hint(viewer: UserId, hints: &mut broadcast::Receiver<Hint>) {
    loop {
        match hints.recv().await {
            Ok(hint) if hint.user == Some(viewer) => return,
            Ok(_) => {}
            Err(broadcast::error::RecvError::Lagged(_)) => return,
            Err(broadcast::error::RecvError::Closed) => std::future::pending().await,
        }
    }
}
