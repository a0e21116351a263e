//! Why a step failed, and the code a job ends with for it.

use std::error::Error;
use std::fmt::Write;
use std::sync::Arc;

use shared::failure::FailureCode;

use crate::store::StoreError;
use crate::system::SystemError;

/// Why a step failed.
#[derive(Debug, thiserror::Error)]
pub enum StepError {
    /// The host did not do as told.
    #[error("the step failed on the host")]
    System(#[from] SystemError),
    /// The host did not do what remained after the commit point.
    #[error("what remained could not be done on the host")]
    Left(#[source] Arc<SystemError>),
    /// The before-image could not be made durable, so the step was not begun.
    #[error("the undo journal could not be written")]
    Journal(#[source] Arc<StoreError>),
    /// nginx's configuration was broken before.
    #[error("the host's nginx configuration is broken already: {0}")]
    HostConfigBroken(String),
    /// nginx does not accept the candidate.
    #[error("nginx refuses the configuration: {0}")]
    NginxRefused(String),
    /// nginx would ignore a name of the site, since another has it.
    #[error("nginx would ignore a name that another site has: {0}")]
    NameTaken(String),
    /// PHP-FPM does not accept the pool.
    #[error("PHP-FPM refuses the pool: {0}")]
    PhpRefused(String),
    /// sshd does not accept its configuration.
    #[error("sshd refuses its configuration: {0}")]
    SshdRefused(String),
    /// nftables does not accept the rules.
    #[error("nftables refuses the rules: {0}")]
    PacketFilterRefused(String),
    /// The site did not answer as it should.
    #[error("the site does not answer as it should: {0}")]
    Probe(String),
    /// Something done once for several jobs failed, and what this one had done could not be put back whole.
    #[error("a step shared with other jobs failed")]
    Shared,
    /// One of several jobs ended without a result.
    #[error("a job of the batch panicked")]
    Panic,
    /// Another site stopped answering as it did.
    #[error("another site no longer answers as before: {0}")]
    Neighbour(String),
}

impl StepError {
    /// The failure a job ends with.
    #[must_use]
    pub fn code(&self) -> FailureCode {
        match self {
            Self::System(error) => error.code(),
            Self::Left(error) => error.code(),
            Self::Journal(error) => error.code(),
            Self::HostConfigBroken(_) => FailureCode::HostConfigBroken,
            Self::NginxRefused(_) => FailureCode::WebServerRefused,
            Self::NameTaken(_) => FailureCode::NameTaken,
            Self::PhpRefused(_) => FailureCode::PhpRefused,
            Self::SshdRefused(_) | Self::PacketFilterRefused(_) | Self::Shared | Self::Panic => FailureCode::Internal,
            Self::Probe(_) | Self::Neighbour(_) => FailureCode::ProbeFailed,
        }
    }

    /// Whether the worker is being cut off, so that not even undoing is allowed.
    #[must_use]
    pub fn is_interruption(&self) -> bool {
        match self {
            Self::System(error) => matches!(error, SystemError::Interrupted),
            Self::Left(error) => matches!(**error, SystemError::Interrupted),
            Self::Journal(_)
            | Self::HostConfigBroken(_)
            | Self::NginxRefused(_)
            | Self::NameTaken(_)
            | Self::PhpRefused(_)
            | Self::SshdRefused(_)
            | Self::PacketFilterRefused(_)
            | Self::Probe(_)
            | Self::Shared
            | Self::Panic
            | Self::Neighbour(_) => false,
        }
    }
}

/// An error with all its causes, for admins and logs.
#[must_use]
pub fn chain(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(next) = cause {
        let _ = write!(text, ": {next}");
        cause = next.source();
    }
    text
}
