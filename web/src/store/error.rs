//! What can go wrong with the database.

/// A failure of the database. The message names what was attempted; the cause is the source.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// A unique constraint was violated: somebody was first. Mapped to a form field where it can be.
    #[error("the {constraint} constraint is taken")]
    Duplicate {
        /// The constraint, by the name the migration gave it, or the columns on SQLite (`users.login`).
        constraint: String,
    },
    /// A stored value does not parse.
    #[error("column {column} holds a value that does not parse")]
    Corrupt {
        /// The column.
        column: &'static str,
        /// Why.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// The schema could not be brought up to date.
    #[error("a migration failed")]
    Migration(#[source] sqlx::migrate::MigrateError),
    /// A row changed between reading and writing it, or two transactions waited for each other. Trying again finds what is true
    /// by then.
    #[error("another transaction was quicker")]
    Raced,
    /// Anything else the database said.
    #[error("the database did not carry out a statement")]
    Database(#[source] sqlx::Error),
}

/// PostgreSQL's codes for a transaction that it gave up in favour of another one.
const DEADLOCK_DETECTED: &str = "40P01";
const SERIALIZATION_FAILURE: &str = "40001";

impl From<sqlx::Error> for StoreError {
    fn from(error: sqlx::Error) -> Self {
        if let sqlx::Error::Database(database) = &error
            && database.is_unique_violation()
        {
            // PostgreSQL names the constraint; SQLite lists the columns in its message.
            let constraint =
                database.constraint().map_or_else(|| database.message().rsplit(": ").next().unwrap_or_default().to_owned(), str::to_owned);
            return Self::Duplicate { constraint };
        }
        if let sqlx::Error::Database(database) = &error
            && matches!(database.code().as_deref(), Some(DEADLOCK_DETECTED | SERIALIZATION_FAILURE))
        {
            return Self::Raced;
        }
        Self::Database(error)
    }
}

impl StoreError {
    /// Whether this is a violation of the unique constraint on this table and column
    /// (PostgreSQL says `<table>_<column>_key`, SQLite `<table>.<column>`).
    #[must_use]
    pub fn is_duplicate_of(&self, table: &str, column: &str) -> bool {
        match self {
            Self::Duplicate { constraint } => {
                constraint == &format!("{table}_{column}_key") || constraint.split(", ").any(|part| part == format!("{table}.{column}"))
            }
            Self::Corrupt { .. } | Self::Migration(_) | Self::Raced | Self::Database(_) => false,
        }
    }
}
