//! The worker's one database: `/var/lib/gantry-worker/worker.db`.
//!
//! **Everything committed here survives a power cut** (WAL, synchronous FULL), and everything the worker must not forget is
//! here: jobs taken, states applied, what is in flight, what has to be reported.

use std::fs::{OpenOptions, Permissions};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde::Serialize;
use serde::de::DeserializeOwned;
use shared::failure::FailureCode;
use sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions, SqliteSynchronous};
use sqlx::{Connection, SqlitePool};

/// The worker's database. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Store {
    /// One connection: writers of one file wait for each other anyway, and here nobody is ever told "busy".
    pub pool: SqlitePool,
}

/// Why the database could not be used.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// SQLite failed.
    #[error("the worker's database failed")]
    Sql(#[from] sqlx::Error),
    /// A stored value does not decode.
    #[error("a value in the table {table} does not decode")]
    Decode {
        /// Which table.
        table: &'static str,
        /// Why.
        #[source]
        source: serde_json::Error,
    },
    /// A value does not encode.
    #[error("a value could not be written as JSON")]
    Encode(#[source] serde_json::Error),
    /// The file of a damaged database could not be moved aside.
    #[error("could not move the damaged database {} aside", path.display())]
    MoveAside {
        /// Which.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// The file cannot be made or opened.
    #[error("could not open {}", path.display())]
    Unusable {
        /// Which.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// The database's own check found damage.
    #[error("the worker's database is damaged: {0}")]
    Damaged(String),
    /// The database was made by a newer worker.
    #[error("the database has version {found}, this worker knows {known}")]
    Newer {
        /// Its version.
        found: i64,
        /// Ours.
        known: i64,
    },
    /// The thread that did the work ended without a result.
    #[error("the thread of a job panicked or was cancelled")]
    WorkerThread,
}

impl StoreError {
    /// The failure a job ends with.
    #[must_use]
    pub fn code(&self) -> FailureCode {
        match self {
            // SQLITE_FULL, and the read-only and I/O errors of a file system that has run out.
            Self::Sql(sqlx::Error::Database(error)) if matches!(error.code().as_deref(), Some("13" | "8" | "778")) => FailureCode::DiskFull,
            Self::Sql(_)
            | Self::Decode { .. }
            | Self::Encode(_)
            | Self::MoveAside { .. }
            | Self::Unusable { .. }
            | Self::Damaged(_)
            | Self::Newer { .. }
            | Self::WorkerThread => FailureCode::Internal,
        }
    }

    /// Whether the file is no database any more: SQLITE_CORRUPT (11) and SQLITE_NOTADB (26), too.
    pub(crate) fn is_damage(&self) -> bool {
        matches!(self, Self::Damaged(_))
            || matches!(self, Self::Sql(sqlx::Error::Database(error)) if matches!(error.code().as_deref(), Some("11" | "26")))
    }
}

/// Forward only; the position is the version (`PRAGMA user_version`). Never change one that has been released.
const MIGRATIONS: &[&str] = &[
    include_str!("store/001_engine.sql"),
    include_str!("store/002_inbox.sql"),
    include_str!("store/003_resync.sql"),
    include_str!("store/004_drift.sql"),
    include_str!("store/005_waits.sql"),
    include_str!("store/006_sendings.sql"),
    include_str!("store/007_tries.sql"),
];

impl Store {
    /// Opens the database, makes it if there is none, and begins anew beside a damaged one.
    ///
    /// # Errors
    /// The directory cannot be written, or a newer worker made the file.
    pub async fn open(path: &Path) -> Result<Self, StoreError> {
        let existed = path.exists();
        match connect(path).await {
            Ok(store) => Ok(store),
            Err(error) if existed && error.is_damage() => {
                move_aside(path)?;
                tracing::error!(path = %path.display(), error = %error, "the worker's database was damaged; began a new one");
                connect(path).await
            }
            Err(error) => Err(error),
        }
    }

    /// Whether the database can be used as it is. Nothing is begun anew, whatever is found.
    pub(crate) async fn check(path: &Path) -> Result<(), StoreError> {
        connect(path).await?.pool.close().await;
        Ok(())
    }

    /// Whether the database takes what is written: a line goes into the journal and out again, durably.
    ///
    /// # Errors
    /// It does not.
    pub(crate) async fn try_out(&self) -> Result<(), StoreError> {
        let mut tx = self.pool.begin_with("BEGIN IMMEDIATE").await?;
        sqlx::query("INSERT INTO journal (job, phase, seq, what) VALUES ('', 'undo', 0, '')").execute(&mut *tx).await?;
        sqlx::query("DELETE FROM journal WHERE job = ''").execute(&mut *tx).await?;
        Ok(tx.commit().await?)
    }
}

/// Password hashes pass through before-images: the file is its owner's alone. SQLite gives its side files the same mode.
fn make_private(path: &Path) -> Result<(), StoreError> {
    let unusable = |source| StoreError::Unusable { path: path.to_owned(), source };
    let file = OpenOptions::new().append(true).create(true).mode(0o600).open(path).map_err(unusable)?;
    file.set_permissions(Permissions::from_mode(0o600)).map_err(unusable)
}

async fn connect(path: &Path) -> Result<Store, StoreError> {
    make_private(path)?;
    let options = SqliteConnectOptions::new()
        .filename(path)
        .create_if_missing(true)
        .journal_mode(SqliteJournalMode::Wal)
        .synchronous(SqliteSynchronous::Full)
        .foreign_keys(true)
        .busy_timeout(Duration::from_secs(10))
        // A password hash in a before-image does not stay in free pages.
        .pragma("secure_delete", "ON");
    let pool = SqlitePoolOptions::new().max_connections(1).min_connections(1).idle_timeout(None).max_lifetime(None);
    // A statement that the disk has no room for ends the whole transaction, of which the driver knows nothing: it would begin none
    // on this connection any more.
    let pool = pool.after_release(|connection, _| {
        Box::pin(async move {
            connection.ping().await?;
            Ok(!connection.is_in_transaction())
        })
    });
    let store = Store { pool: pool.connect_with(options).await? };
    migrate(&store).await?;
    Ok(store)
}

async fn migrate(store: &Store) -> Result<(), StoreError> {
    // Damage is reported as rows, not as an error.
    let found: String = sqlx::query_scalar("PRAGMA quick_check").fetch_one(&store.pool).await?;
    if found != "ok" {
        return Err(StoreError::Damaged(found));
    }
    let version: i64 = sqlx::query_scalar("PRAGMA user_version").fetch_one(&store.pool).await?;
    let known = MIGRATIONS.len() as i64;
    if version > known {
        return Err(StoreError::Newer { found: version, known });
    }
    for (number, sql) in (1_i64..).zip(MIGRATIONS).skip(usize::try_from(version).unwrap_or(0)) {
        let mut tx = store.pool.begin_with("BEGIN IMMEDIATE").await?;
        sqlx::raw_sql(*sql).execute(&mut *tx).await?;
        // A pragma takes no parameters; the number is our own.
        sqlx::raw_sql(sqlx::AssertSqlSafe(format!("PRAGMA user_version = {number}"))).execute(&mut *tx).await?;
        tx.commit().await?;
    }
    Ok(())
}

fn move_aside(path: &Path) -> Result<(), StoreError> {
    let stamp = now_ms();
    for suffix in ["", "-wal", "-shm"] {
        let mut from = path.as_os_str().to_owned();
        from.push(suffix);
        let from = PathBuf::from(from);
        let mut to = path.as_os_str().to_owned();
        to.push(format!(".damaged-{stamp}{suffix}"));
        match std::fs::rename(&from, &to) {
            Ok(()) => {}
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
            Err(source) => return Err(StoreError::MoveAside { path: from, source }),
        }
    }
    Ok(())
}

/// The host's clock, epoch milliseconds.
#[must_use]
pub fn now_ms() -> i64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |time| i64::try_from(time.as_millis()).unwrap_or(i64::MAX))
}

/// A value as a table holds it.
pub(crate) fn encode<T: Serialize>(value: &T) -> Result<String, StoreError> {
    serde_json::to_string(value).map_err(StoreError::Encode)
}

/// A value out of a table.
pub(crate) fn decode<T: DeserializeOwned>(table: &'static str, text: &str) -> Result<T, StoreError> {
    serde_json::from_str(text).map_err(|source| StoreError::Decode { table, source })
}

#[cfg(test)]
mod tests {
    use std::io::{Seek, SeekFrom, Write};

    use shared::failure::FailureCode;

    use super::{Store, StoreError};
    use crate::outbox::{resync_is_told, resync_mark_told};

    #[tokio::test]
    async fn a_database_that_takes_nothing_is_found_out_and_one_that_does_is_left_as_it_was() {
        let directory = tempfile::TempDir::new().unwrap();
        let store = Store::open(&directory.path().join("worker.db")).await.unwrap();
        store.try_out().await.unwrap();
        store.try_out().await.unwrap();
        let lines: i64 = sqlx::query_scalar("SELECT COUNT(*) FROM journal").fetch_one(&store.pool).await.unwrap();
        assert_eq!(lines, 0);
        sqlx::raw_sql("PRAGMA query_only = ON").execute(&store.pool).await.unwrap();
        assert!(store.try_out().await.is_err());
    }

    #[tokio::test]
    async fn a_new_database_has_told_the_panel_nothing_until_the_event_is_stored() {
        let directory = tempfile::TempDir::new().unwrap();
        let path = directory.path().join("worker.db");
        // Cut off before the event: the next start finds the file, and tells all the same.
        Store::open(&path).await.unwrap().pool.close().await;
        let store = Store::open(&path).await.unwrap();
        assert!(!resync_is_told(&store.pool).await.unwrap());
        let mut tx = store.pool.begin().await.unwrap();
        resync_mark_told(&mut tx, 1).await.unwrap();
        tx.commit().await.unwrap();
        assert!(resync_is_told(&store.pool).await.unwrap());
    }

    #[tokio::test]
    async fn f41_a_database_whose_disk_was_full_takes_transactions_again_when_there_is_room() {
        let directory = tempfile::TempDir::new().unwrap();
        let store = Store::open(&directory.path().join("worker.db")).await.unwrap();
        let pages: i64 = sqlx::query_scalar("PRAGMA page_count").fetch_one(&store.pool).await.unwrap();
        let limit = sqlx::AssertSqlSafe(format!("PRAGMA max_page_count = {pages}"));
        sqlx::raw_sql(limit).execute(&store.pool).await.unwrap();
        let large = "x".repeat(1 << 20);
        let mut tx = store.pool.begin_with("BEGIN IMMEDIATE").await.unwrap();
        let full = sqlx::query("INSERT INTO journal (job, phase, seq, what) VALUES ('x', 'undo', 0, $1)").bind(&large);
        assert_eq!(StoreError::from(full.execute(&mut *tx).await.unwrap_err()).code(), FailureCode::DiskFull);
        drop(tx);
        // The limit was the connection's, which is another one now.
        let mut tx = store.pool.begin_with("BEGIN IMMEDIATE").await.unwrap();
        resync_mark_told(&mut tx, 1).await.unwrap();
        tx.commit().await.unwrap();
    }

    #[tokio::test]
    async fn a_database_with_damaged_pages_is_begun_anew_and_tells_the_panel() {
        let directory = tempfile::TempDir::new().unwrap();
        let path = directory.path().join("worker.db");
        let store = Store::open(&path).await.unwrap();
        resync_mark_told(&mut store.pool.acquire().await.unwrap(), 1).await.unwrap();
        store.pool.close().await;
        let mut file = std::fs::OpenOptions::new().write(true).open(&path).unwrap();
        file.seek(SeekFrom::Start(4096)).unwrap();
        file.write_all(&[0xff; 4096]).unwrap();
        drop(file);
        let store = Store::open(&path).await.unwrap();
        assert!(!resync_is_told(&store.pool).await.unwrap());
    }
}
