//! The ways a job ends badly. Each has a stable code, a sentence for clients and a decision on retrying.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// Why a job failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum FailureCode {
    /// The host's nginx configuration was broken before this job, by somebody's hand.
    HostConfigBroken,
    /// nginx refuses the configuration this job would make.
    WebServerRefused,
    /// Another site on the host answers to one of the names.
    NameTaken,
    /// PHP-FPM refuses the pool.
    PhpRefused,
    /// The PHP version is not installed on the host.
    PhpMissing,
    /// The disk is full, or out of inodes, or read-only.
    DiskFull,
    /// nginx, systemd or another service does not run or does not answer.
    ServiceDown,
    /// Everything was put in place, but the site did not answer as it should.
    ProbeFailed,
    /// A step took too long.
    TimedOut,
    /// The Linux user or uid exists on the host and is not Gantry's.
    UserConflict,
    /// Something inside the account's own files stands in the way (a link, a pipe, a file where a folder belongs).
    TenantInterference,
    /// A job this one builds on has failed.
    RequirementFailed,
    /// The job does not parse, is not signed, or is for somebody else.
    BadJob,
    /// The worker is too old for this job.
    WorkerOutdated,
    /// A secret in the job is sealed to another key than the worker's, such as the one it had before it joined again.
    SealUnknown,
    /// The worker does not install this package of itself: nobody vouches for it, it is not newer, or it is for another machine.
    UpdateRefused,
    /// A package of the worker could not be had or installed, or did not work.
    UpdateFailed,
    /// A fault in Gantry itself.
    Internal,
}

/// What happens to a failed job without a person.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RetryPolicy {
    /// The worker tries again by itself, with growing pauses, and then gives up.
    Again,
    /// Only a person's Retry, or a newer desired state, starts it again.
    ByHand,
}

impl FailureCode {
    /// All codes.
    pub const ALL: [Self; 18] = [
        Self::HostConfigBroken,
        Self::WebServerRefused,
        Self::NameTaken,
        Self::PhpRefused,
        Self::PhpMissing,
        Self::DiskFull,
        Self::ServiceDown,
        Self::ProbeFailed,
        Self::TimedOut,
        Self::UserConflict,
        Self::TenantInterference,
        Self::RequirementFailed,
        Self::BadJob,
        Self::WorkerOutdated,
        Self::SealUnknown,
        Self::UpdateRefused,
        Self::UpdateFailed,
        Self::Internal,
    ];

    /// The stored and wire spelling.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::HostConfigBroken => "host_config_broken",
            Self::WebServerRefused => "web_server_refused",
            Self::NameTaken => "name_taken",
            Self::PhpRefused => "php_refused",
            Self::PhpMissing => "php_missing",
            Self::DiskFull => "disk_full",
            Self::ServiceDown => "service_down",
            Self::ProbeFailed => "probe_failed",
            Self::TimedOut => "timed_out",
            Self::UserConflict => "user_conflict",
            Self::TenantInterference => "tenant_interference",
            Self::RequirementFailed => "requirement_failed",
            Self::BadJob => "bad_job",
            Self::WorkerOutdated => "worker_outdated",
            Self::SealUnknown => "seal_unknown",
            Self::UpdateRefused => "update_refused",
            Self::UpdateFailed => "update_failed",
            Self::Internal => "internal",
        }
    }

    /// What happened, for a client.
    #[must_use]
    pub const fn what_happened(self) -> &'static str {
        match self {
            Self::HostConfigBroken => {
                "The server's web configuration has an error that is not yours, so no change can be applied right now."
            }
            Self::WebServerRefused => "The web server did not accept the new configuration of this site.",
            Self::NameTaken => "Another site on this server already answers to one of these names.",
            Self::PhpRefused => "PHP did not accept these settings.",
            Self::PhpMissing => "This PHP version is not installed on the server.",
            Self::DiskFull => "The server has no space left for this change.",
            Self::ServiceDown => "A service on the server is not running.",
            Self::ProbeFailed => "The site was set up but did not answer a test request.",
            Self::TimedOut => "The server took too long.",
            Self::UserConflict => "A system user of this name already exists on the server.",
            Self::TenantInterference => "Something in the account's own files stands in the way.",
            Self::RequirementFailed => "An earlier step this change needs has failed.",
            Self::BadJob => "The server refused the request.",
            Self::WorkerOutdated => "The server's software is too old for this change.",
            Self::SealUnknown => "The server could not read the password, since it has a new key.",
            Self::UpdateRefused => "The server did not accept this version of its software.",
            Self::UpdateFailed => "The server's software could not be updated.",
            Self::Internal => "Something went wrong on our side.",
        }
    }

    /// What to do next, for a client.
    #[must_use]
    pub const fn what_next(self) -> &'static str {
        match self {
            Self::HostConfigBroken => "An administrator has to repair the server's configuration. Retry afterwards.",
            Self::WebServerRefused | Self::ProbeFailed | Self::SealUnknown | Self::Internal => {
                "Retry. If it fails again, contact support with the operation's number."
            }
            Self::NameTaken => "Remove the name here or there, then retry.",
            Self::PhpRefused => "Change the PHP settings and save them again.",
            Self::PhpMissing => "Choose another PHP version.",
            Self::DiskFull => "Free some space or contact support, then retry.",
            Self::ServiceDown | Self::TimedOut => "Retry in a minute. If it fails again, contact support.",
            Self::UserConflict => "Choose another user name, or contact support.",
            Self::TenantInterference => "Remove links or special files from the site's folder, then retry.",
            Self::RequirementFailed => "Retry the earlier change first.",
            Self::BadJob | Self::WorkerOutdated | Self::UpdateRefused | Self::UpdateFailed => "Contact support.",
        }
    }

    /// What happened, for an admin.
    #[must_use]
    pub const fn what_happened_for_admins(self) -> &'static str {
        match self {
            Self::HostConfigBroken => "The server's web configuration was broken before this change, by somebody's hand.",
            Self::WebServerRefused => "nginx refuses the configuration that this change would make.",
            Self::PhpRefused => "PHP-FPM refuses this pool.",
            Self::DiskFull => "The server's disk is full, out of inodes, or read-only.",
            Self::TimedOut => "A step on the server took too long.",
            Self::RequirementFailed => "A job that this one builds on has failed, or did not arrive.",
            Self::BadJob => "The worker refused the job: it does not parse, is not signed, or is for another server.",
            Self::SealUnknown => "The worker cannot open the password in this job: it was sealed to a key that it does not have.",
            Self::WorkerOutdated => "The server's worker is too old for this job.",
            Self::UpdateRefused => "The worker does not install this package of itself.",
            Self::UpdateFailed => "The worker could not be updated.",
            Self::Internal => "A fault in Gantry itself.",
            Self::NameTaken | Self::PhpMissing | Self::ServiceDown | Self::ProbeFailed | Self::UserConflict | Self::TenantInterference => {
                self.what_happened()
            }
        }
    }

    /// What to do next, for an admin.
    #[must_use]
    pub const fn what_next_for_admins(self) -> &'static str {
        match self {
            Self::HostConfigBroken => "Repair the file that nginx names below, on the server, then retry.",
            Self::WebServerRefused => "Look at what nginx says below, then change the site or the server, and retry.",
            Self::NameTaken => "Remove the name from the other site, or from this one, then retry.",
            Self::PhpRefused => "Look at what PHP-FPM says below, and change the pool's settings.",
            Self::PhpMissing => "Install this PHP version on the server, or choose another, then retry.",
            Self::DiskFull => "Make room on the server, then retry.",
            Self::ServiceDown => "Start the service that is named below, then retry.",
            Self::ProbeFailed => "Look at the site's error log on the server, then retry.",
            Self::TimedOut => "Look at the server's load, then retry.",
            Self::UserConflict => "Rename or remove the server's own user, or delete this account and choose another name.",
            Self::TenantInterference => "Look at the path that is named below; its owner can remove it. Then retry.",
            Self::RequirementFailed => "Retry the job that failed first; this one after it.",
            Self::SealUnknown => "Retry: the password is sealed again, to the key the worker has now.",
            Self::BadJob => "Check that panel and worker belong together: let the worker join again, then retry.",
            Self::WorkerOutdated => "Update the worker, then retry.",
            Self::UpdateRefused => "Install a panel whose worker package was signed with the release key that this worker has pinned.",
            Self::UpdateFailed => "Look at what it says below, then retry.",
            Self::Internal => "Retry. If it fails again, the text below and the server's log tell more.",
        }
    }

    /// Whether the worker tries again by itself.
    #[must_use]
    pub const fn retry_policy(self) -> RetryPolicy {
        match self {
            Self::ServiceDown | Self::TimedOut => RetryPolicy::Again,
            Self::HostConfigBroken
            | Self::WebServerRefused
            | Self::NameTaken
            | Self::PhpRefused
            | Self::PhpMissing
            | Self::DiskFull
            | Self::ProbeFailed
            | Self::UserConflict
            | Self::TenantInterference
            | Self::RequirementFailed
            | Self::BadJob
            | Self::WorkerOutdated
            | Self::SealUnknown
            | Self::UpdateRefused
            | Self::UpdateFailed
            | Self::Internal => RetryPolicy::ByHand,
        }
    }
}

impl fmt::Display for FailureCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// The text is no failure code.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not a failure code")]
pub struct UnknownFailureCode;

impl FromStr for FailureCode {
    type Err = UnknownFailureCode;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::ALL.into_iter().find(|code| code.as_str() == text).ok_or(UnknownFailureCode)
    }
}

/// A code of a newer release is one that this release has no words for: a fault.
impl<'de> Deserialize<'de> for FailureCode {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Ok(String::deserialize(deserializer)?.parse().unwrap_or(Self::Internal))
    }
}

/// What a failed job left on the host.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Effect {
    /// Nothing was touched.
    NothingChanged,
    /// What had been changed was put back.
    RolledBack,
    /// Putting things back failed in part; an admin must look.
    Partial,
}

impl Effect {
    /// Whether anything changed, for a client.
    #[must_use]
    pub const fn sentence(self) -> &'static str {
        match self {
            Self::NothingChanged => "Nothing was changed.",
            Self::RolledBack => "Everything was put back as it was.",
            Self::Partial => "Not everything could be put back. An administrator has been told.",
        }
    }

    /// Whether anything changed, for an admin.
    #[must_use]
    pub const fn sentence_for_admins(self) -> &'static str {
        match self {
            Self::NothingChanged | Self::RolledBack => self.sentence(),
            Self::Partial => "Not everything could be put back: look at the server.",
        }
    }

    /// The stored and wire spelling.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::NothingChanged => "nothing_changed",
            Self::RolledBack => "rolled_back",
            Self::Partial => "partial",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Effect, FailureCode};

    #[test]
    fn every_code_is_spelled_the_same_on_the_wire_and_in_the_database() {
        for code in FailureCode::ALL {
            assert_eq!(serde_json::to_string(&code).unwrap(), format!("\"{code}\""));
            assert_eq!(code.as_str().parse(), Ok(code));
            assert_eq!(serde_json::from_str::<FailureCode>(&format!("\"{code}\"")).unwrap(), code);
        }
        assert_eq!(serde_json::from_str::<FailureCode>("\"from_the_future\"").unwrap(), FailureCode::Internal);
        for effect in [Effect::NothingChanged, Effect::RolledBack, Effect::Partial] {
            assert_eq!(serde_json::to_string(&effect).unwrap(), format!("\"{}\"", effect.as_str()));
        }
    }

    #[test]
    fn every_code_says_what_happened_and_what_to_do_in_whole_sentences_for_clients_and_for_admins() {
        for code in FailureCode::ALL {
            let texts = [code.what_happened(), code.what_next(), code.what_happened_for_admins(), code.what_next_for_admins()];
            for text in texts {
                assert!(
                    text.ends_with('.') && text.starts_with(|first: char| first.is_uppercase() || text.starts_with("nginx")),
                    "{code}: {text}"
                );
            }
            for text in [code.what_happened_for_admins(), code.what_next_for_admins()] {
                assert!(!text.contains("administrator") && !text.contains("support"), "{code} sends an admin to themselves: {text}");
            }
        }
    }
}
