//! Hints in, renderings out. One task per distinct page being watched; it ends when nobody watches.

use std::collections::HashMap;
use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::Duration;

use shared::bus::panel::Hint;
use shared::ids::UserId;
use tokio::sync::{broadcast, watch};

use super::diff::Rendered;
use super::view::ViewKey;

/// What reading a page comes to.
pub enum Reading {
    /// The page as it is.
    Page(Rendered),
    /// It is not there for this viewer any more.
    Gone,
    /// It could not be read this time, and may be the next.
    Failed,
}

/// Reads and renders a page with a viewer's rights.
pub type Renderer = Arc<dyn Fn(ViewKey) -> Pin<Box<dyn Future<Output = Reading> + Send>> + Send + Sync>;

/// Hints held for a task that is busy rendering. If there are more, the task renders anyway: that covers them all.
const BACKLOG: usize = 256;
/// Every page is read again this often without any hint: a lost hint is made up for.
const SLOW_READ: Duration = Duration::from_secs(30);
/// A page that could not be read is tried again after this long. A database that is away is asked by every watched page.
const TRY_AGAIN: Duration = Duration::from_secs(2);

/// Where the newest rendering of a page is put.
type Rendering = watch::Sender<Option<Arc<Rendered>>>;

/// The newest rendering of a watched page.
pub type Watched = watch::Receiver<Option<Arc<Rendered>>>;

/// The hub of one serving process.
#[derive(Clone)]
pub struct Hub {
    hints: broadcast::Sender<Hint>,
    people: broadcast::Sender<UserId>,
    pages: Arc<Mutex<HashMap<ViewKey, Weak<Rendering>>>>,
}

impl Default for Hub {
    fn default() -> Self {
        Self { hints: broadcast::Sender::new(BACKLOG), people: broadcast::Sender::new(BACKLOG), pages: Arc::default() }
    }
}

impl Hub {
    /// Passes a hint on to everybody who watches something.
    pub fn hint(&self, hint: Hint) {
        // Nobody watching is no error.
        if let Some(user) = hint.user {
            let _ = self.people.send(user);
        }
        let _ = self.hints.send(hint);
    }

    /// Whose sessions or rights have changed, for streams that must notice the end of a session. Not all hints: each wakes every
    /// stream there is.
    #[must_use]
    pub fn people(&self) -> broadcast::Receiver<UserId> {
        self.people.subscribe()
    }

    /// Watches a page. The first value may be `None` until it has been rendered for the first time.
    #[must_use]
    pub fn watch(&self, key: &ViewKey, render: &Renderer) -> Watched {
        let mut pages = self.pages.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(sender) = pages.get(key).and_then(Weak::upgrade) {
            return sender.subscribe();
        }
        pages.retain(|_, page| page.strong_count() > 0);
        let sender = Arc::new(watch::Sender::new(None));
        let receiver = sender.subscribe();
        pages.insert(key.clone(), Arc::downgrade(&sender));
        // Subscribed before the first reading: what changes in between is rendered again.
        tokio::spawn(keep_rendered(key.clone(), Arc::clone(render), sender, self.hints.subscribe()));
        receiver
    }

    /// How many distinct pages are watched.
    #[must_use]
    pub fn watched_pages(&self) -> usize {
        let pages = self.pages.lock().unwrap_or_else(PoisonError::into_inner);
        pages.values().filter(|page| page.strong_count() > 0).count()
    }
}

async fn keep_rendered(key: ViewKey, render: Renderer, sender: Arc<Rendering>, mut hints: broadcast::Receiver<Hint>) {
    loop {
        let rendered = match render(key.clone()).await {
            Reading::Page(rendered) => rendered,
            Reading::Gone => {
                sender.send_replace(None);
                return;
            }
            // What is shown stays.
            Reading::Failed => {
                tokio::select! {
                    () = sender.closed() => return,
                    () = tokio::time::sleep(TRY_AGAIN) => continue,
                }
            }
        };
        // Most heartbeats change nothing that is shown, and wake nobody.
        sender.send_if_modified(|current| {
            let is_news = !current.as_ref().is_some_and(|current| rendered.says_the_same_as(current));
            if is_news {
                *current = Some(Arc::new(rendered));
            }
            is_news
        });
        tokio::time::sleep(key.pause()).await;
        tokio::select! {
            () = sender.closed() => return,
            () = wait_for_news(&key, &mut hints) => {}
            () = tokio::time::sleep(SLOW_READ) => {}
        }
    }
}

/// Returns when something was hinted at that the page shows, or when hints were lost.
async fn wait_for_news(key: &ViewKey, hints: &mut broadcast::Receiver<Hint>) {
    let mut news = false;
    loop {
        // What has gathered during the pause counts as one.
        match hints.try_recv() {
            Ok(hint) => news |= key.shows(&hint),
            Err(broadcast::error::TryRecvError::Empty) if news => return,
            Err(broadcast::error::TryRecvError::Empty) => match hints.recv().await {
                Ok(hint) => news |= key.shows(&hint),
                Err(broadcast::error::RecvError::Lagged(_)) => return,
                Err(broadcast::error::RecvError::Closed) => std::future::pending().await,
            },
            Err(broadcast::error::TryRecvError::Lagged(_)) => return,
            Err(broadcast::error::TryRecvError::Closed) => std::future::pending().await,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::{Hub, Reading, Renderer};
    use crate::live::diff::Rendered;
    use crate::live::view::{LiveView, Scope, ViewKey};

    /// A renderer with these readings in order, the last one for ever.
    fn readings(of: &'static [fn() -> Reading]) -> Renderer {
        let count = Arc::new(AtomicUsize::new(0));
        Arc::new(move |_| {
            let at = count.fetch_add(1, Ordering::Relaxed).min(of.len() - 1);
            Box::pin(async move { of[at]() })
        })
    }

    fn page() -> Reading {
        Reading::Page(Rendered::default())
    }

    /// Pages were told that they are gone when the database had been away for some seconds.
    #[tokio::test(start_paused = true)]
    async fn a_page_that_cannot_be_read_for_a_while_stays_and_one_that_is_gone_ends() {
        let key = ViewKey { view: LiveView::Home, scope: Scope::Admin };
        let mut watched =
            Hub::default().watch(&key, &readings(&[|| Reading::Failed, || Reading::Failed, page, || Reading::Failed, || Reading::Gone]));
        watched.changed().await.unwrap();
        assert!(watched.borrow_and_update().is_some());
        watched.changed().await.unwrap();
        assert!(watched.borrow_and_update().is_none(), "and not before it is gone");
        assert!(watched.changed().await.is_err(), "nobody renders it any more");
    }
}
