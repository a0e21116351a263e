//! What several pages show: references, failures, progress.

use jiff::Timestamp;
use maud::{Markup, Render, html};
use shared::events::StepReport;
use shared::failure::{Effect, FailureCode};
use shared::ids::{AccountId, OperationId, ServerId, UserId};
use shared::names::{LinuxUser, ServerName};

use super::layout::Audience;

/// An account to point at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AccountRef {
    /// Its id.
    pub id: AccountId,
    /// Its Linux user, which is also its name.
    pub user: LinuxUser,
}

/// A server to point at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServerRef {
    /// Its id, if the viewer may open it.
    pub id: Option<ServerId>,
    /// Its name.
    pub name: ServerName,
}

/// A person to point at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PersonRef {
    /// Their id, if the viewer may open them.
    pub id: Option<UserId>,
    /// Their name.
    pub name: String,
}

/// The steps of the newest job, for the viewer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Progress {
    /// What is going on, such as `Setting up shop.example`. Read by screen readers.
    pub label: String,
    /// The steps so far, the waiting ones included.
    pub steps: Vec<StepReport>,
}

/// Work that cannot start yet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Waiting {
    /// What time it is.
    pub now: Timestamp,
    /// The server it waits for.
    pub server: ServerName,
    /// What for.
    pub until: Until,
}

/// What work waits for that cannot start yet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Until {
    /// The server has other work to do first.
    Turn,
    /// It has not been sent: the server's share is full, or nothing can be sent now.
    Unsent,
    /// An admin lets the server's queue go on.
    Resume {
        /// Since when it is paused.
        paused_since: Timestamp,
    },
    /// The server comes back.
    Return {
        /// Since when it is away.
        offline_since: Timestamp,
    },
    /// Somebody repairs the server's web configuration.
    Repair {
        /// What is wrong, with file and line. Set for admins only.
        fault: Option<String>,
    },
}

/// A failure in the words of the person it is shown to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure {
    /// What happened, a sentence.
    pub what: String,
    /// Whether anything changed, a sentence.
    pub changed: String,
    /// What to do next, a sentence.
    pub next: String,
    /// What is left of it on the host.
    pub effect: Effect,
    /// Where the Retry button posts to, if the viewer may retry.
    pub retry: Option<String>,
    /// Where it is asked what that would change, if a server can be asked.
    pub preview: Option<String>,
    /// The operation, if the viewer may open it.
    pub operation: Option<OperationId>,
    /// The raw message. Set for admins only.
    pub detail: Option<String>,
}

impl Failure {
    /// The sentences of a code, without links.
    #[must_use]
    pub fn of(code: FailureCode, effect: Effect, audience: Audience) -> Self {
        let (what, changed, next) = match audience {
            Audience::Admin => (code.what_happened_for_admins(), effect.sentence_for_admins(), code.what_next_for_admins()),
            Audience::Client => (code.what_happened(), effect.sentence(), code.what_next()),
        };
        Self {
            what: what.to_owned(),
            changed: changed.to_owned(),
            next: next.to_owned(),
            effect,
            retry: None,
            preview: None,
            operation: None,
            detail: None,
        }
    }
}

/// Makes two posts of one form the same request, so that a double click is one operation. A form on a page has a fresh one;
/// a button in a live part has one made of the state it was shown in, so that the part stays the same until that changes.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct FormKey(String);

impl FormKey {
    /// A key from its text.
    #[must_use]
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// Its text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl Render for FormKey {
    /// The form's hidden field. A browser that comes back to the page must not fill in an older key.
    fn render(&self) -> Markup {
        html! { input type="hidden" name="key" value=(self.0) autocomplete="off"; }
    }
}

/// What was wrong with a form: field name and sentence. The empty name is the form as a whole.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Errors(Vec<(String, String)>);

impl Errors {
    /// Adds a sentence for a field.
    pub fn add(&mut self, field: impl Into<String>, message: impl Into<String>) {
        self.0.push((field.into(), message.into()));
    }

    /// One sentence for a field.
    #[must_use]
    pub fn one(field: impl Into<String>, message: impl Into<String>) -> Self {
        Self(vec![(field.into(), message.into())])
    }

    /// The first sentence for a field.
    #[must_use]
    pub fn get(&self, field: &str) -> Option<&str> {
        self.0.iter().find(|(name, _)| name == field).map(|(_, message)| message.as_str())
    }

    /// Whether nothing was wrong.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// How many sentences there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.0.len()
    }
}
