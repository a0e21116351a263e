//! Why a desired state cannot be planned.

use shared::failure::FailureCode;
use shared::jobs::SettingOutOfRange;
use shared::names::{DomainName, LinuxUser, PhpVersion, SiteName};

use crate::engine::UnsealError;
use crate::system::SystemError;

/// Why a desired state cannot be planned. Nothing has been touched.
#[derive(Debug, thiserror::Error)]
pub enum PlanError {
    /// The host could not be looked at, or something lies in the way.
    #[error("the host could not be examined")]
    System(#[from] SystemError),
    /// The user, the number or the folder belongs to somebody else.
    #[error("user {user}: {reason}")]
    UserConflict {
        /// The user wanted.
        user: LinuxUser,
        /// What is in the way.
        reason: String,
    },
    /// Another site answers to one of the names.
    #[error("{name} is answered by {by}")]
    NameTaken {
        /// The name.
        name: SiteName,
        /// The other site, or the file that somebody made.
        by: String,
    },
    /// The PHP version is not installed.
    #[error("PHP {0} is not installed")]
    PhpMissing(PhpVersion),
    /// A PHP setting is outside its range.
    #[error("a PHP setting is out of range")]
    Setting(#[from] SettingOutOfRange),
    /// What this builds on is not on the host.
    #[error("{0} is not on this host")]
    Missing(String),
    /// The sealed password cannot be opened.
    #[error("the password cannot be used")]
    Unseal(#[from] UnsealError),
    /// A value does not fit the format it would be written into. The names' own rules make this impossible.
    #[error("{value:?} cannot be written into {format}")]
    Unwritable {
        /// Which format.
        format: &'static str,
        /// The value.
        value: String,
    },
    /// The worker's own package is no part of a role: `crate::update` carries such a job out.
    #[error("a job about the worker itself has no plan")]
    OfTheWorker,
    /// A daemon that the role needs is not installed.
    #[error("{0} is not installed")]
    NotInstalled(&'static str),
}

impl PlanError {
    /// The failure a job ends with.
    #[must_use]
    pub fn code(&self) -> FailureCode {
        match self {
            Self::System(error) => error.code(),
            Self::UserConflict { .. } => FailureCode::UserConflict,
            Self::NameTaken { .. } => FailureCode::NameTaken,
            Self::PhpMissing(_) => FailureCode::PhpMissing,
            Self::Missing(_) => FailureCode::RequirementFailed,
            Self::Setting(_) | Self::Unwritable { .. } | Self::OfTheWorker => FailureCode::BadJob,
            Self::Unseal(_) => FailureCode::SealUnknown,
            Self::NotInstalled(_) => FailureCode::ServiceDown,
        }
    }

    /// Whether it says that the host is not as the state has it; otherwise the host could not be asked, or the state is the fault.
    #[must_use]
    pub fn is_of_the_host(&self) -> bool {
        match self {
            Self::System(error) => error.is_obstruction(),
            Self::UserConflict { .. } | Self::NameTaken { .. } | Self::PhpMissing(_) | Self::NotInstalled(_) => true,
            // Of an account that is not there the account's own comparison tells.
            Self::Missing(_) | Self::Setting(_) | Self::Unseal(_) | Self::Unwritable { .. } | Self::OfTheWorker => false,
        }
    }

    /// A site's name that another site has.
    #[must_use]
    pub fn taken_by_site(name: SiteName, by: &DomainName) -> Self {
        Self::NameTaken { name, by: by.to_string() }
    }
}
