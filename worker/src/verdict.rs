//! What the worker reads off outcomes, and says of them in its journal.

use shared::events::{Outcome, Verdict};
use shared::failure::{FailureCode, RetryPolicy};
use shared::jobs::JobEnvelope;

/// Whether it may be good to try again.
pub(crate) fn is_passing(outcome: &Outcome) -> bool {
    match &outcome.verdict {
        Verdict::Failed { code, .. } => code.retry_policy() == RetryPolicy::Again,
        Verdict::Applied | Verdict::Superseded => false,
    }
}

/// What nginx said of a job that it refused; empty otherwise.
pub(crate) fn refusal(outcome: &Outcome) -> &str {
    match &outcome.verdict {
        Verdict::Failed { code: FailureCode::WebServerRefused, detail, effect: _ } => detail,
        Verdict::Failed { .. } | Verdict::Applied | Verdict::Superseded => "",
    }
}

/// Says that a job has ended.
pub(crate) fn log_end(envelope: &JobEnvelope, outcome: &Outcome) {
    let verdict = match outcome.verdict {
        Verdict::Applied => "applied",
        Verdict::Superseded => "superseded",
        Verdict::Failed { .. } => "failed",
    };
    tracing::info!(
        operation.id = %envelope.operation, job.id = %envelope.id, job.kind = %envelope.job.kind(), job.attempt = envelope.attempt,
        resource.generation = %envelope.generation, verdict, duration_ms = outcome.finished_ms - outcome.started_ms, "a job has ended"
    );
}
