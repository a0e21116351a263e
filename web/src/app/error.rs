//! How a use case ends badly.

use crate::auth::crypt::CryptError;
use crate::auth::password::HashError;
use crate::store::StoreError;

/// What was wrong with a form: field and sentence. The empty field is the form as a whole.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct FieldErrors(Vec<(&'static str, String)>);

impl FieldErrors {
    /// Nothing wrong yet.
    #[must_use]
    pub const fn new() -> Self {
        Self(Vec::new())
    }

    /// One sentence for one field.
    #[must_use]
    pub fn one(field: &'static str, message: impl Into<String>) -> Self {
        Self(vec![(field, message.into())])
    }

    /// Adds a sentence.
    pub fn add(&mut self, field: &'static str, message: impl Into<String>) {
        self.0.push((field, message.into()));
    }

    /// The value, or its refusal noted for a field.
    pub fn take<T, E: std::fmt::Display>(&mut self, field: &'static str, parsed: Result<T, E>) -> Option<T> {
        parsed.map_err(|error| self.add(field, error.to_string())).ok()
    }

    /// Goes on if nothing was wrong.
    ///
    /// # Errors
    /// [`AppError::Invalid`] with all sentences.
    pub fn check(&self) -> Result<(), AppError> {
        if self.0.is_empty() { Ok(()) } else { Err(AppError::Invalid(self.clone())) }
    }

    /// The sentences in order.
    pub fn iter(&self) -> impl Iterator<Item = (&'static str, &str)> {
        self.0.iter().map(|(field, message)| (*field, message.as_str()))
    }
}

/// How a use case ends badly. Only [`Self::Unavailable`] and [`Self::Internal`] are for engineers.
#[derive(Debug, thiserror::Error)]
pub enum AppError {
    /// The form has errors; nothing was changed.
    #[error("the form has errors")]
    Invalid(FieldErrors),
    /// There is no such thing, or it is somebody else's.
    #[error("nothing was found")]
    NotFound,
    /// Not for this role.
    #[error("not allowed")]
    Forbidden,
    /// Not in the present state. The sentence is for people.
    #[error("{0}")]
    Conflict(String),
    /// Too many tries.
    #[error("too many tries; the next one in {retry_after_s} s")]
    TooManyRequests {
        /// Seconds to wait.
        retry_after_s: u64,
    },
    /// The same form was sent before. Resolved by `unit::settle`; a page never sees it.
    #[error("the same request was recorded before")]
    Repeated,
    /// The database is away or busy; the same request may succeed later.
    #[error("the database is not available")]
    Unavailable(#[source] StoreError),
    /// A fault of ours.
    #[error("the request failed inside")]
    Internal(#[source] Box<dyn std::error::Error + Send + Sync>),
}

impl AppError {
    /// One sentence for one field.
    #[must_use]
    pub fn invalid(field: &'static str, message: impl Into<String>) -> Self {
        Self::Invalid(FieldErrors::one(field, message))
    }

    /// A refusal because of the present state.
    #[must_use]
    pub fn conflict(message: impl Into<String>) -> Self {
        Self::Conflict(message.into())
    }
}

impl From<StoreError> for AppError {
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::Database(_) | StoreError::Raced => Self::Unavailable(error),
            StoreError::Duplicate { .. } | StoreError::Corrupt { .. } | StoreError::Migration(_) | StoreError::Moved { .. } => {
                Self::Internal(Box::new(error))
            }
        }
    }
}

impl From<HashError> for AppError {
    fn from(error: HashError) -> Self {
        Self::Internal(Box::new(error))
    }
}

impl From<CryptError> for AppError {
    fn from(error: CryptError) -> Self {
        Self::Internal(Box::new(error))
    }
}
