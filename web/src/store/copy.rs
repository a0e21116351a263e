//! A copy of the whole database while it is in use.

use std::path::Path;

use super::{Backend, Db, StoreError};

/// What became of a wish for a copy.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Copied {
    /// It is there: the database as it was at one moment.
    Whole,
    /// PostgreSQL has tools of its own for this.
    Not,
}

/// Writes a copy of a SQLite database into a new or empty file.
///
/// # Errors
/// The database fails, or the file cannot be written or holds something.
pub async fn database_copy(db: &Db, to: &Path) -> Result<Copied, StoreError> {
    match db.backend() {
        Backend::Sqlite => {
            // Not in a transaction, and without writing to the database itself.
            sqlx::query("VACUUM INTO $1").bind(to.display().to_string()).execute(&db.write).await?;
            Ok(Copied::Whole)
        }
        Backend::Postgres => Ok(Copied::Not),
    }
}
