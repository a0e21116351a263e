//! What can go wrong with the database.

use std::path::PathBuf;

use sqlx::error::DatabaseError;

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
    /// The SQLite file is what a panel left behind that was moved to PostgreSQL.
    #[error(
        "this panel was moved to PostgreSQL. Use its database there, which GANTRY_DATABASE in /etc/gantry/gantry.env names; to go back to \
         this file as it was before the move, remove {}", mark.display()
    )]
    Moved {
        /// The mark beside the file.
        mark: PathBuf,
    },
    /// A row changed between reading and writing it, or two transactions waited for each other. Trying again finds what is true
    /// by then.
    #[error("another transaction was quicker")]
    Raced,
    /// Anything else the database said.
    #[error("the database did not carry out a statement")]
    Database(#[source] sqlx::Error),
}

/// SQLite's codes for a value that is too long, that a constraint forbids, and that is of the wrong type.
const SQLITE_TOO_BIG: i32 = 18;
const SQLITE_CONSTRAINT: i32 = 19;
const SQLITE_MISMATCH: i32 = 20;
/// PostgreSQL's classes of codes for data that does not fit, and for data that a constraint forbids.
const DATA_EXCEPTION: &str = "22";
const INTEGRITY_VIOLATION: &str = "23";
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

/// Whether another try may succeed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Again {
    /// It may: the database was away, full, or busy, or a row is not readable for this release.
    Later,
    /// It may at once: another transaction was quicker.
    AtOnce,
    /// It never will: the database cannot hold what was to be written, or a rule of the schema forbids it.
    Never,
}

impl StoreError {
    /// Whether another try of the same transaction may succeed.
    #[must_use]
    pub fn again(&self) -> Again {
        match self {
            Self::Raced => Again::AtOnce,
            Self::Duplicate { .. } => Again::Never,
            Self::Database(sqlx::Error::Database(error)) if is_of_the_data(error.as_ref()) => Again::Never,
            Self::Database(sqlx::Error::Encode(_)) => Again::Never,
            // What cannot be read is no fault of what is to be written: a newer release, or a repair, reads it.
            Self::Corrupt { .. } | Self::Moved { .. } | Self::Migration(_) | Self::Database(_) => Again::Later,
        }
    }

    /// Whether this is a violation of the unique constraint on this table and column
    /// (PostgreSQL says `<table>_<column>_key`, SQLite `<table>.<column>`).
    #[must_use]
    pub fn is_duplicate_of(&self, table: &str, column: &str) -> bool {
        match self {
            Self::Duplicate { constraint } => {
                constraint == &format!("{table}_{column}_key") || constraint.split(", ").any(|part| part == format!("{table}.{column}"))
            }
            Self::Corrupt { .. } | Self::Migration(_) | Self::Moved { .. } | Self::Raced | Self::Database(_) => false,
        }
    }
}

fn is_of_the_data(error: &dyn DatabaseError) -> bool {
    error.code().is_some_and(|code| match code.parse::<i32>() {
        // SQLite's, whose lowest byte is the code that the rest makes more exact. PostgreSQL's of these classes begin with 2.
        Ok(code) if code < 10_000 => [SQLITE_TOO_BIG, SQLITE_CONSTRAINT, SQLITE_MISMATCH].contains(&(code & 0xff)),
        Ok(_) | Err(_) => code.starts_with(DATA_EXCEPTION) || code.starts_with(INTEGRITY_VIOLATION),
    })
}
