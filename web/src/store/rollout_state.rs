//! Where rollouts stand, and how that is stored.

use std::fmt;
use std::str::FromStr;

/// Where a rollout stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RolloutState {
    /// It goes on by itself.
    Running,
    /// A server failed, or went away for long: no other is begun until a person says so.
    Stopped,
    /// A person ended it.
    Cancelled,
    /// Every server is updated, or was passed over.
    Done,
}

impl RolloutState {
    const ALL: [Self; 4] = [Self::Running, Self::Stopped, Self::Cancelled, Self::Done];

    /// The stored spelling.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Running => "running",
            Self::Stopped => "stopped",
            Self::Cancelled => "cancelled",
            Self::Done => "done",
        }
    }

    /// Whether it may go on.
    #[must_use]
    pub const fn is_unfinished(self) -> bool {
        match self {
            Self::Running | Self::Stopped => true,
            Self::Cancelled | Self::Done => false,
        }
    }
}

impl fmt::Display for RolloutState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// The stored text is no state of a rollout.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not a state of a rollout")]
pub struct UnknownRolloutState;

impl FromStr for RolloutState {
    type Err = UnknownRolloutState;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::ALL.into_iter().find(|state| state.as_str() == text).ok_or(UnknownRolloutState)
    }
}
