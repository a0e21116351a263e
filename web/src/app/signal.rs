//! What is said after a commit, so that others need not wait for their next look at the tables.
//!
//! **A signal is a hint**: losing one costs time, not truth. It carries ids only.

use shared::bus::panel::Hint;
use shared::ids::{AccountId, OperationId, ServerId, UserId};

/// Something has changed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Signal {
    /// A server has new jobs on its queue. For dispatch.
    JobsQueued(ServerId),
    /// A worker waits for an answer. For dispatch.
    EnrolmentRequested,
    /// A request was recorded, retried or superseded. For live pages.
    OperationChanged {
        /// The request.
        operation: OperationId,
        /// Its account.
        account: AccountId,
        /// The account's owner.
        owner: UserId,
    },
    /// A server was added or changed by an admin. For live pages.
    ServerChanged(ServerId),
    /// A person was added, changed or removed. For live pages.
    UserChanged(UserId),
    /// A line was added to the audit log. For live pages.
    Audited,
    /// Security events were marked as seen. For live pages.
    SecuritySeen,
    /// Sessions of a person have ended; streams of theirs must look whether their own still exists.
    SessionsEnded(UserId),
}

impl Signal {
    /// What it tells open pages. `None`: it is for dispatch, which looks at the tables again.
    #[must_use]
    pub fn hint(&self) -> Option<Hint> {
        let hint = match self {
            Self::JobsQueued(_) | Self::EnrolmentRequested => return None,
            Self::OperationChanged { operation, account, owner: _ } => {
                Hint { operation: Some(*operation), account: Some(*account), ..Hint::default() }
            }
            Self::ServerChanged(server) => Hint { server: Some(*server), ..Hint::default() },
            Self::UserChanged(user) | Self::SessionsEnded(user) => Hint { user: Some(*user), ..Hint::default() },
            Self::Audited => Hint { audit: true, ..Hint::default() },
            Self::SecuritySeen => Hint { security: true, ..Hint::default() },
        };
        Some(hint)
    }
}

/// Takes signals. **Never fails and never waits**: the request is committed whatever becomes of the hint.
pub trait Signals: Send + Sync {
    /// Passes a signal on.
    fn send(&self, signal: Signal);
}

/// Drops signals: for tests and for commands without a bus.
#[derive(Debug, Clone, Copy, Default)]
pub struct NoSignals;

impl Signals for NoSignals {
    fn send(&self, _signal: Signal) {}
}
