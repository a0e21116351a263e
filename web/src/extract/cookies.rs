//! Cookies. **All are `__Host-`**: only over HTTPS, only for this very host, so no neighbour's site can set them.

use std::borrow::Cow;

use axum::http::HeaderMap;
use axum_extra::extract::CookieJar;
use axum_extra::extract::cookie::{Cookie, SameSite};
use shared::secret::Secret;

use crate::views::components::badge::Tone;
use crate::views::components::stat::counted;
use crate::views::components::toast::Toast;
use crate::views::layout::Theme;

/// The session's cookie.
pub const SESSION: &str = "__Host-gantry";
const THEME: &str = "__Host-gantry-theme";
const NAV: &str = "__Host-gantry-nav";
const FLASH: &str = "__Host-gantry-flash";

fn cookie(name: &'static str, value: String) -> Cookie<'static> {
    Cookie::build((name, value)).path("/").secure(true).http_only(true).same_site(SameSite::Lax).build()
}

/// The cookie of a new session. It ends with the browser; the table knows when the session ends.
#[must_use]
pub fn session_cookie(token: &Secret<String>) -> Cookie<'static> {
    cookie(SESSION, token.expose().clone())
}

/// Takes the session's cookie away.
#[must_use]
pub fn session_end_cookie() -> Cookie<'static> {
    gone(SESSION)
}

fn gone(name: &'static str) -> Cookie<'static> {
    let mut cookie = cookie(name, String::new());
    cookie.make_removal();
    cookie
}

/// The token a request came with.
#[must_use]
pub fn session_token(headers: &HeaderMap) -> Option<Secret<String>> {
    CookieJar::from_headers(headers).get(SESSION).map(|cookie| Secret::new(cookie.value().to_owned()))
}

/// How somebody likes pages to look.
#[derive(Debug, Clone, Copy, Default)]
pub struct Preferences {
    /// The theme.
    pub theme: Theme,
    /// Whether the sidebar is collapsed.
    pub nav_mini: bool,
}

impl Preferences {
    /// As the cookies say.
    #[must_use]
    pub fn of(headers: &HeaderMap) -> Self {
        let jar = CookieJar::from_headers(headers);
        let value = |name| jar.get(name).map(Cookie::value).unwrap_or_default();
        Self { theme: Theme::of(value(THEME)), nav_mini: value(NAV) == "mini" }
    }
}

/// Remembers a theme.
#[must_use]
pub fn theme_cookie(theme: Theme) -> Cookie<'static> {
    let mut cookie = cookie(THEME, theme.as_str().to_owned());
    cookie.make_permanent();
    cookie
}

/// Remembers the sidebar's width.
#[must_use]
pub fn nav_cookie(mini: bool) -> Cookie<'static> {
    let mut cookie = cookie(NAV, if mini { "mini" } else { "wide" }.to_owned());
    cookie.make_permanent();
    cookie
}

/// A message for the next page. The cookie holds its name, never its text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Flash {
    /// Signed out.
    SignedOut,
    /// The password was changed.
    PasswordChanged,
    /// Other sessions were ended.
    SessionsEnded,
    /// A change was recorded and is on its way.
    Requested,
    /// A request for an SFTP password was repeated; the password was in the first answer.
    PasswordMadeBefore,
    /// Settings of the panel's own were changed, at once.
    Saved,
    /// A deletion was recorded and is on its way.
    Deleting,
    /// A client was suspended.
    ClientSuspended,
    /// A client was let in again.
    ClientBack,
    /// A client was removed.
    ClientDeleted,
    /// A server was removed.
    ServerDeleted,
    /// A server was given up with the accounts on it.
    ServerGone,
    /// A server's worker was shut out.
    WorkerShutOut,
    /// A queue was paused.
    QueuePaused,
    /// A queue goes on.
    QueueResumed,
    /// A request was moved in its queue.
    QueueMoved,
    /// A request was taken back.
    OperationCancelled,
    /// So many drifted resources are repaired.
    Repairing(usize),
    /// A server looks for drift.
    Looking,
    /// A server does not answer.
    Silent,
    /// Workers are updated one after the other.
    RolloutStarted,
    /// The updates go on.
    RolloutResumed,
    /// No further worker is updated.
    RolloutCancelled,
}

/// What comes before the number in a name.
const REPAIRING: &str = "repairing-";

impl Flash {
    /// All but the one with a number.
    const ALL: [Self; 22] = [
        Self::SignedOut,
        Self::PasswordChanged,
        Self::SessionsEnded,
        Self::Requested,
        Self::PasswordMadeBefore,
        Self::Saved,
        Self::Deleting,
        Self::ClientSuspended,
        Self::ClientBack,
        Self::ClientDeleted,
        Self::ServerDeleted,
        Self::ServerGone,
        Self::WorkerShutOut,
        Self::QueuePaused,
        Self::QueueResumed,
        Self::QueueMoved,
        Self::OperationCancelled,
        Self::Looking,
        Self::Silent,
        Self::RolloutStarted,
        Self::RolloutResumed,
        Self::RolloutCancelled,
    ];

    fn name(self) -> Cow<'static, str> {
        Cow::Borrowed(match self {
            Self::Repairing(many) => return format!("{REPAIRING}{many}").into(),
            Self::SignedOut => "signed-out",
            Self::PasswordChanged => "password-changed",
            Self::SessionsEnded => "sessions-ended",
            Self::Requested => "requested",
            Self::PasswordMadeBefore => "password-made-before",
            Self::Saved => "saved",
            Self::Deleting => "deleting",
            Self::ClientSuspended => "client-suspended",
            Self::ClientBack => "client-back",
            Self::ClientDeleted => "client-deleted",
            Self::ServerDeleted => "server-deleted",
            Self::ServerGone => "server-gone",
            Self::WorkerShutOut => "worker-shut-out",
            Self::QueuePaused => "queue-paused",
            Self::QueueResumed => "queue-resumed",
            Self::QueueMoved => "queue-moved",
            Self::OperationCancelled => "operation-cancelled",
            Self::Looking => "looking",
            Self::Silent => "silent",
            Self::RolloutStarted => "rollout-started",
            Self::RolloutResumed => "rollout-resumed",
            Self::RolloutCancelled => "rollout-cancelled",
        })
    }

    /// What the page says.
    #[must_use]
    pub fn sentence(self) -> Cow<'static, str> {
        Cow::Borrowed(match self {
            Self::Repairing(0) => "Nothing is left to repair: what has drifted waits for a change that is under way or has failed.",
            Self::Repairing(many) => return format!("{} being repaired.", counted(many as u64, "resource is", "resources are")).into(),
            Self::SignedOut => "You have been signed out.",
            Self::PasswordChanged => "Your password is changed. Every other device has been signed out.",
            Self::SessionsEnded => "The other devices have been signed out.",
            Self::Requested => "Your change is on its way.",
            Self::PasswordMadeBefore => "That password was made and shown already. If you did not see it, make a new one.",
            Self::Saved => "Your changes are saved.",
            Self::Deleting => "It is being deleted.",
            Self::ClientSuspended => "The client is suspended and signed out; the accounts are being switched off.",
            Self::ClientBack => "The client may sign in again; the accounts are being brought back.",
            Self::ClientDeleted => "The client is deleted.",
            Self::ServerDeleted => "The server is deleted. Its worker can no longer connect.",
            Self::ServerGone => "The server is given up. Its accounts are gone, and their names are free.",
            Self::WorkerShutOut => "The worker is shut out. Another one joins with a new installation script.",
            Self::QueuePaused => "The queue is paused. What the server has, it finishes.",
            Self::QueueResumed => "The queue goes on.",
            Self::QueueMoved => "It was moved in the queue.",
            Self::OperationCancelled => "It is cancelled. Nothing was changed on the server.",
            Self::Looking => "The server compares itself with what was applied. What it finds appears here.",
            Self::Silent => "The server does not answer right now. It looks by itself once it is back.",
            Self::RolloutStarted => "The workers are being updated, one server first.",
            Self::RolloutResumed => "The updates go on: what failed is tried again, then the others follow.",
            Self::RolloutCancelled => "No further worker is updated. What is under way ends by itself.",
        })
    }

    /// The cookie that carries it to the next page.
    #[must_use]
    pub fn cookie(self) -> Cookie<'static> {
        cookie(FLASH, self.name().into_owned())
    }

    /// The message a request brings.
    #[must_use]
    pub fn of(headers: &HeaderMap) -> Option<Self> {
        let jar = CookieJar::from_headers(headers);
        let name = jar.get(FLASH)?.value();
        let repairing = || Some(Self::Repairing(name.strip_prefix(REPAIRING)?.parse().ok()?));
        Self::ALL.into_iter().find(|flash| flash.name() == name).or_else(repairing)
    }

    /// The message as a toast.
    #[must_use]
    pub fn toast(self) -> Toast {
        Toast { tone: Tone::Ok, title: self.sentence().into_owned(), text: None }
    }
}

/// Takes the message's cookie away, once it was shown.
#[must_use]
pub fn clear_flash() -> Cookie<'static> {
    gone(FLASH)
}
