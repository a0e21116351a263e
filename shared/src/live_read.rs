//! Live reads: what the panel asks a worker, to be answered at once or not at all. Nothing is kept of them, and
//! **nothing on the host changes by one**.
//!
//! Dispatch signs what is asked, the worker what it answers. A repeated question does no harm, so it does not expire.

use serde::{Deserialize, Serialize};

use crate::difference::Difference;
use crate::failure::FailureCode;
use crate::ids::{Epoch, QuestionId};
use crate::jobs::{Generation, Job, ResourceKey};
use crate::names::ServerName;

/// What a page wants to know of a server. Goes from a process that serves pages to dispatch.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ask {
    /// Whom to ask.
    pub server: ServerName,
    /// What.
    pub about: About,
}

/// A question to one worker. Signed as a whole.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Question {
    /// Its identity: the answer names it.
    pub id: QuestionId,
    /// The panel's instance.
    pub epoch: Epoch,
    /// The server it is for.
    pub server: ServerName,
    /// What is asked.
    pub about: About,
}

/// What can be asked.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum About {
    /// What would these states change?
    Plan {
        /// The states, in the order in which they would be applied.
        proposals: Vec<Proposal>,
    },
    /// Look for drift now. The answer comes at once; what is found is reported as always.
    Drift,
}

/// A desired state that may become a job.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Proposal {
    /// Of which resource.
    pub resource: ResourceKey,
    /// Which generation it would be.
    pub generation: Generation,
    /// The state.
    pub job: Job,
}

/// At most so many states in one question.
pub const MOST_PROPOSALS: usize = 32;

/// A worker's answer. Signed as a whole.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Answer {
    /// The question.
    pub question: QuestionId,
    /// Who answers.
    pub server: ServerName,
    /// The answer.
    pub says: Says,
}

/// What can be answered.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum Says {
    /// What each state would change, in the order asked.
    Plans {
        /// One for each.
        plans: Vec<Planned>,
    },
    /// It will be done.
    Noted,
    /// The question cannot be answered.
    Unable,
}

/// What one state would change.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Planned {
    /// Of which resource.
    pub resource: ResourceKey,
    /// What would differ; empty if the host is so already.
    pub differences: Vec<Difference>,
    /// Whether the host is other than was last applied of the resource: then the differences hold what somebody has changed by hand.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub by_hand: bool,
    /// Why it cannot be planned as things are.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub refused: Option<Refused>,
}

/// Why a state cannot be planned.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Refused {
    /// Why.
    pub code: FailureCode,
    /// For admins.
    pub detail: String,
}

/// What a process that serves pages gets from dispatch.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum Told {
    /// The worker's answer.
    Answered {
        /// The answer.
        says: Says,
    },
    /// Nobody answered in time.
    Silent,
}
