//! The record of one job on its host: what was planned, and in which company it was carried out. For admins.

use serde::{Deserialize, Serialize};

use crate::events::StepReport;
use crate::failure::FailureCode;
use crate::ids::BatchId;

/// What a worker keeps of a job beside its steps. Cut to [`JobRecord::MOST_TEXT`].
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct JobRecord {
    /// The batch the job rode in.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub batch: Option<BatchId>,
    /// How many jobs that batch had, this one included.
    #[serde(default)]
    pub batch_size: u32,
    /// How often the worker began the job within this attempt: more than once after failures in passing.
    #[serde(default)]
    pub begun: u32,
    /// What was planned, in order.
    #[serde(default)]
    pub plan: Vec<PlannedAction>,
    /// How the earlier beginnings ended, the first one first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub tries: Vec<Try>,
}

/// How one beginning of a job ended that the worker followed with another.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Try {
    /// Why it failed.
    pub code: FailureCode,
    /// The same for an engineer, cut to 1 KiB.
    pub detail: String,
    /// Its steps, the words of each cut to 1 KiB.
    pub steps: Vec<StepReport>,
    /// How long it took, milliseconds.
    pub took_ms: u64,
}

impl JobRecord {
    /// All differences of a record together, bytes.
    pub const MOST_TEXT: usize = 16 * 1024;
}

/// One action of a plan.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PlannedAction {
    /// The visible step it belongs to.
    pub step: String,
    /// What is done, such as `write /etc/nginx/sites-available/shop.example.conf`.
    pub action: String,
    /// How a file changes, as a unified diff.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub diff: String,
}
