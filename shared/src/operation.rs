//! The states of jobs, operations and resources, and the only moves between them.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

macro_rules! spelled {
    ($name:ident { $($variant:ident => $text:literal),+ $(,)? }) => {
        impl $name {
            /// All states.
            pub const ALL: &[Self] = &[$(Self::$variant),+];

            /// The stored spelling.
            #[must_use]
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $text),+ }
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(self.as_str())
            }
        }

        impl FromStr for $name {
            type Err = UnknownState;

            fn from_str(text: &str) -> Result<Self, Self::Err> {
                match text { $($text => Ok(Self::$variant),)+ _ => Err(UnknownState(text.to_owned())) }
            }
        }
    };
}

/// The text is no state of this kind.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is not a state")]
pub struct UnknownState(String);

/// A move that the state does not allow.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{event:?} does not follow {state}")]
pub struct IllegalTransition {
    state: String,
    event: String,
}

/// Where a job stands, as the panel knows it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum JobState {
    /// In the database, not yet on the bus.
    Queued,
    /// The bus has it.
    Sent,
    /// The worker has begun.
    Working,
    /// The worker waits until a configuration that somebody's hand has broken is mended, and goes on by itself.
    Blocked,
    /// Applied and proved.
    Done,
    /// Ended badly; Retry queues it again.
    Failed,
    /// A newer state of the resource made it pointless.
    Superseded,
    /// Taken back before it was sent.
    Cancelled,
}
spelled!(JobState {
    Queued => "queued", Sent => "sent", Working => "working", Blocked => "blocked", Done => "done", Failed => "failed",
    Superseded => "superseded", Cancelled => "cancelled",
});

/// What happens to a job.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum JobEvent {
    /// The bus has acknowledged it.
    Published,
    /// The sweeper puts it on the queue again, because nothing was heard of it.
    Requeued,
    /// The worker reports progress.
    Progressed,
    /// The worker waits for a broken configuration to be mended.
    Blocked,
    /// The worker applied it.
    Applied,
    /// The worker could not.
    Failed,
    /// The worker, or the panel, has a newer state.
    Superseded,
    /// A person asks for another try.
    Retried,
    /// A person takes it back.
    Cancelled,
    /// The host has lost what it had applied: the same state goes out again.
    Resent,
}

impl JobState {
    /// The state after an event.
    ///
    /// Outcomes are accepted from every state that has not ended: an outcome may arrive before the mark that the job
    /// was sent. A repeated outcome of an ended job is illegal, and the caller drops it.
    ///
    /// # Errors
    /// The move is not allowed.
    pub fn advance(self, event: JobEvent) -> Result<Self, IllegalTransition> {
        use JobEvent as E;
        match (self, event) {
            (Self::Queued, E::Published) => Ok(Self::Sent),
            // A worker may be quicker than the mark.
            (Self::Working | Self::Blocked, E::Published) => Ok(self),
            (Self::Queued | Self::Sent | Self::Working | Self::Blocked, E::Requeued) => Ok(Self::Queued),
            (Self::Queued | Self::Sent | Self::Working | Self::Blocked, E::Progressed) => Ok(Self::Working),
            (Self::Queued | Self::Sent | Self::Working | Self::Blocked, E::Blocked) => Ok(Self::Blocked),
            (Self::Queued | Self::Sent | Self::Working | Self::Blocked, E::Applied) => Ok(Self::Done),
            (Self::Queued | Self::Sent | Self::Working | Self::Blocked, E::Failed) => Ok(Self::Failed),
            (Self::Queued | Self::Sent | Self::Working | Self::Blocked | Self::Failed, E::Superseded) => Ok(Self::Superseded),
            (Self::Failed, E::Retried) | (Self::Done, E::Resent) => Ok(Self::Queued),
            (Self::Queued, E::Cancelled) => Ok(Self::Cancelled),
            _ => Err(IllegalTransition { state: self.to_string(), event: format!("{event:?}") }),
        }
    }

    /// Whether nothing more happens to the job by itself.
    #[must_use]
    pub const fn has_ended(self) -> bool {
        match self {
            Self::Queued | Self::Sent | Self::Working | Self::Blocked => false,
            Self::Done | Self::Failed | Self::Superseded | Self::Cancelled => true,
        }
    }
}

/// Where a request stands: a view of its jobs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OperationState {
    /// Nothing has begun.
    Waiting,
    /// Some job is under way.
    Working,
    /// All jobs are done.
    Succeeded,
    /// Some job failed and none is under way.
    Failed,
    /// Newer requests made it pointless.
    Superseded,
    /// Taken back.
    Cancelled,
}
spelled!(OperationState {
    Waiting => "waiting", Working => "working", Succeeded => "succeeded", Failed => "failed", Superseded => "superseded", Cancelled => "cancelled",
});

impl OperationState {
    /// The state of an operation with these jobs. Without jobs there was nothing to do: succeeded.
    #[must_use]
    pub fn of_jobs(jobs: &[JobState]) -> Self {
        let any = |state: JobState| jobs.contains(&state);
        let open = jobs.iter().any(|job| !job.has_ended());
        if open && any(JobState::Failed) && !any(JobState::Working) && !any(JobState::Sent) {
            // What waits behind a failed job of the same request will fail for it.
            return Self::Working;
        }
        if open {
            let begun = jobs.iter().any(|job| matches!(job, JobState::Working | JobState::Blocked | JobState::Done));
            return if begun { Self::Working } else { Self::Waiting };
        }
        if any(JobState::Failed) {
            Self::Failed
        } else if any(JobState::Cancelled) {
            Self::Cancelled
        } else if !jobs.is_empty() && jobs.iter().all(|job| *job == JobState::Superseded) {
            Self::Superseded
        } else {
            Self::Succeeded
        }
    }

    /// Whether the request is over.
    #[must_use]
    pub const fn has_ended(self) -> bool {
        match self {
            Self::Waiting | Self::Working => false,
            Self::Succeeded | Self::Failed | Self::Superseded | Self::Cancelled => true,
        }
    }
}

/// The lifecycle of an account or a site: what its badge shows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ResourceState {
    /// Being made for the first time.
    Provisioning,
    /// Proved to work.
    Active,
    /// A change is on its way; what served before serves.
    Updating,
    /// Switched off.
    Suspended,
    /// On its way out.
    Deleting,
    /// The last change failed. What served before, if anything, still serves.
    Failed,
    /// Gone.
    Deleted,
}
spelled!(ResourceState {
    Provisioning => "provisioning", Active => "active", Updating => "updating", Suspended => "suspended", Deleting => "deleting",
    Failed => "failed", Deleted => "deleted",
});

/// What happens to a resource.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ResourceEvent {
    /// A person asks for a change that keeps it.
    ChangeRequested,
    /// A person asks for its deletion.
    DeletionRequested,
    /// The newest desired state was applied, and it is "active".
    AppliedActive,
    /// The newest desired state was applied, and it is "suspended".
    AppliedSuspended,
    /// The newest desired state was applied, and it is "deleted".
    AppliedDeleted,
    /// The newest desired state failed.
    ChangeFailed,
}

impl ResourceState {
    /// The state after an event. `ever_applied` tells a first creation from a later change.
    ///
    /// # Errors
    /// The move is not allowed: nothing happens to what is gone, and what is being deleted can only go.
    pub fn advance(self, event: ResourceEvent, ever_applied: EverApplied) -> Result<Self, IllegalTransition> {
        use ResourceEvent as E;
        match (self, event) {
            (Self::Deleted, _) | (Self::Deleting, E::ChangeRequested) => {
                Err(IllegalTransition { state: self.to_string(), event: format!("{event:?}") })
            }
            (_, E::ChangeRequested) => Ok(match ever_applied {
                EverApplied::No => Self::Provisioning,
                EverApplied::Yes => Self::Updating,
            }),
            (_, E::DeletionRequested) => Ok(Self::Deleting),
            (_, E::AppliedActive) => Ok(Self::Active),
            (_, E::AppliedSuspended) => Ok(Self::Suspended),
            (_, E::AppliedDeleted) => Ok(Self::Deleted),
            (_, E::ChangeFailed) => Ok(Self::Failed),
        }
    }

    /// Whether a change is under way.
    #[must_use]
    pub const fn is_busy(self) -> bool {
        match self {
            Self::Provisioning | Self::Updating | Self::Deleting => true,
            Self::Active | Self::Suspended | Self::Failed | Self::Deleted => false,
        }
    }
}

/// Whether a resource has ever been applied on its host.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EverApplied {
    /// Never: it is being made.
    No,
    /// At least once: something serves.
    Yes,
}

#[cfg(test)]
mod tests {
    use super::{EverApplied, JobEvent, JobState, OperationState, ResourceEvent, ResourceState};

    #[test]
    fn every_state_reads_back_what_it_is_spelled_as() {
        for state in JobState::ALL {
            assert_eq!(state.as_str().parse(), Ok(*state));
            assert_eq!(serde_json::to_string(state).unwrap(), format!("\"{state}\""));
        }
        for state in OperationState::ALL {
            assert_eq!(state.as_str().parse(), Ok(*state));
        }
        for state in ResourceState::ALL {
            assert_eq!(state.as_str().parse(), Ok(*state));
        }
    }

    #[test]
    fn an_ended_job_ignores_late_news_and_only_a_failed_one_can_be_retried() {
        for event in [JobEvent::Published, JobEvent::Progressed, JobEvent::Blocked, JobEvent::Applied, JobEvent::Failed, JobEvent::Requeued]
        {
            for ended in [JobState::Done, JobState::Failed, JobState::Superseded, JobState::Cancelled] {
                assert!(ended.advance(event).is_err(), "{event:?} moved {ended}");
            }
        }
        assert_eq!(JobState::Failed.advance(JobEvent::Retried), Ok(JobState::Queued));
        assert!(JobState::Done.advance(JobEvent::Retried).is_err());
    }

    #[test]
    fn a_blocked_job_goes_on_by_itself_or_is_sent_again() {
        assert_eq!(JobState::Working.advance(JobEvent::Blocked), Ok(JobState::Blocked));
        assert_eq!(JobState::Blocked.advance(JobEvent::Progressed), Ok(JobState::Working));
        assert_eq!(JobState::Blocked.advance(JobEvent::Requeued), Ok(JobState::Queued));
        assert_eq!(OperationState::of_jobs(&[JobState::Done, JobState::Blocked]), OperationState::Working);
    }

    #[test]
    fn an_outcome_may_overtake_the_mark_that_the_job_was_sent() {
        assert_eq!(JobState::Queued.advance(JobEvent::Applied), Ok(JobState::Done));
        assert_eq!(JobState::Working.advance(JobEvent::Published), Ok(JobState::Working));
    }

    #[test]
    fn an_operation_is_what_its_jobs_are() {
        use JobState as J;
        for (jobs, expected) in [
            (vec![], OperationState::Succeeded),
            (vec![J::Queued, J::Queued], OperationState::Waiting),
            (vec![J::Done, J::Queued], OperationState::Working),
            (vec![J::Done, J::Done], OperationState::Succeeded),
            (vec![J::Done, J::Failed], OperationState::Failed),
            (vec![J::Failed, J::Queued], OperationState::Working),
            (vec![J::Superseded, J::Superseded], OperationState::Superseded),
            (vec![J::Done, J::Superseded], OperationState::Succeeded),
            (vec![J::Cancelled], OperationState::Cancelled),
        ] {
            assert_eq!(OperationState::of_jobs(&jobs), expected, "{jobs:?}");
        }
    }

    #[test]
    fn a_deleted_resource_never_comes_back_and_a_deleting_one_takes_no_change() {
        for event in [ResourceEvent::ChangeRequested, ResourceEvent::AppliedActive, ResourceEvent::ChangeFailed] {
            assert!(ResourceState::Deleted.advance(event, EverApplied::Yes).is_err());
        }
        assert!(ResourceState::Deleting.advance(ResourceEvent::ChangeRequested, EverApplied::Yes).is_err());
        assert_eq!(ResourceState::Failed.advance(ResourceEvent::ChangeRequested, EverApplied::No), Ok(ResourceState::Provisioning));
    }
}
