//! The database: SQLite inside the panel, or PostgreSQL for several panels. One SQL text serves both.
//!
//! **Rules of the SQL here**: `$1` placeholders, no `SELECT *`, TEXT ids, BIGINT milliseconds, SMALLINT 0/1,
//! `CAST(COALESCE(SUM(x),0) AS BIGINT)`, `CASE WHEN EXISTS(..) THEN 1 ELSE 0 END`.
//! **A write transaction is always [`Db::write`]** (`BEGIN IMMEDIATE` on SQLite: a plain one fails under contention).
//! **Nothing slow inside a transaction**: no network, no password hash.

pub mod account;
pub mod account_list;
pub mod audit;
pub mod copy;
pub mod desired_state;
pub mod drift;
pub mod drift_fleet;
pub mod ended_server;
pub mod enrolment;
pub mod error;
pub mod event;
pub mod fleet;
pub mod gone_server;
pub mod ids;
pub mod incarnation;
pub mod job;
pub mod job_progress;
pub mod job_queue;
pub mod job_record;
pub mod lease;
pub mod list;
pub mod operation;
pub mod operation_list;
pub mod panel;
pub mod php_pool;
pub mod placement;
pub mod queue;
pub mod resource;
pub mod revocation;
pub mod rollout;
pub mod rollout_state;
pub mod security_event;
pub mod server;
pub mod server_outline;
pub mod server_sample;
pub mod server_settings;
pub mod session;
pub mod sftp_key;
pub mod shut_out;
pub mod site;
pub mod site_configuration;
pub mod site_name;
pub mod throttle;
pub mod transfer;
pub mod user;
pub mod worker_update;

use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use sqlx::any::{AnyConnectOptions, AnyPoolOptions};
use sqlx::{Any, AnyPool, Connection, Executor, Transaction};

pub use error::{Again, StoreError};

/// Which database it is, for the few places where the two differ.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Backend {
    /// A SQLite file.
    Sqlite,
    /// PostgreSQL.
    Postgres,
}

/// The database. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Db {
    read: AnyPool,
    write: AnyPool,
    backend: Backend,
}

/// A write transaction; rolled back if dropped.
pub type Tx = Transaction<'static, Any>;

static MIGRATOR: sqlx::migrate::Migrator = sqlx::migrate!("../migrations");

impl Db {
    /// Opens the database at `sqlite:PATH` or `postgres://...` and brings its schema up to date.
    ///
    /// # Errors
    /// The database cannot be reached, or a migration fails.
    pub async fn open(url: &str) -> Result<Self, StoreError> {
        sqlx::any::install_default_drivers();
        let backend = if url.starts_with("sqlite:") { Backend::Sqlite } else { Backend::Postgres };
        let db = match backend {
            Backend::Sqlite => Self::open_sqlite(url).await?,
            Backend::Postgres => {
                let pool = AnyPoolOptions::new().max_connections(16).acquire_timeout(Duration::from_secs(10)).connect(url).await?;
                Self { read: pool.clone(), write: pool, backend }
            }
        };
        MIGRATOR.run(&db.write).await.map_err(StoreError::Migration)?;
        Ok(db)
    }

    async fn open_sqlite(url: &str) -> Result<Self, StoreError> {
        if let Some(mark) = moved_mark(url).filter(|mark| mark.exists()) {
            return Err(StoreError::Moved { mark });
        }
        let create = if url.contains('?') { format!("{url}&mode=rwc") } else { format!("{url}?mode=rwc") };
        let options = AnyConnectOptions::from_str(&create)?;
        let write = AnyPoolOptions::new()
            .max_connections(1)
            .acquire_timeout(Duration::from_secs(30))
            .after_connect(|connection, _| {
                Box::pin(async move {
                    connection
                        .execute(
                            "PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL; PRAGMA busy_timeout=10000; PRAGMA foreign_keys=ON; \
                             PRAGMA temp_store=MEMORY; PRAGMA journal_size_limit=67108864;",
                        )
                        .await?;
                    Ok(())
                })
            })
            // A statement that the disk has no room for ends the whole transaction, of which the driver knows nothing: it would
            // begin none on this connection any more.
            .after_release(|connection, _| {
                Box::pin(async move {
                    connection.ping().await?;
                    Ok(!connection.is_in_transaction())
                })
            })
            .connect_with(options.clone())
            .await?;
        let read = AnyPoolOptions::new()
            .max_connections(4)
            .acquire_timeout(Duration::from_secs(30))
            .after_connect(|connection, _| {
                Box::pin(async move {
                    connection.execute("PRAGMA busy_timeout=10000; PRAGMA query_only=ON; PRAGMA temp_store=MEMORY;").await?;
                    Ok(())
                })
            })
            .connect_with(options)
            .await?;
        Ok(Self { read, write, backend: Backend::Sqlite })
    }

    /// Connections for reading.
    #[must_use]
    pub fn read(&self) -> &AnyPool {
        &self.read
    }

    /// Begins a write transaction.
    ///
    /// # Errors
    /// No connection within the time limit.
    pub async fn write(&self) -> Result<Tx, StoreError> {
        let begin = match self.backend {
            Backend::Sqlite => "BEGIN IMMEDIATE",
            Backend::Postgres => "BEGIN",
        };
        Ok(self.write.begin_with(begin).await?)
    }

    /// The present moment in epoch milliseconds by the one clock that all who share this database go by: PostgreSQL's own, or
    /// this machine's.
    ///
    /// # Errors
    /// The database fails.
    pub async fn clock_ms(&self) -> Result<i64, StoreError> {
        match self.backend {
            Backend::Sqlite => Ok(now_ms()),
            Backend::Postgres => {
                let clock = "SELECT CAST(EXTRACT(EPOCH FROM clock_timestamp()) * 1000 AS BIGINT)";
                Ok(sqlx::query_scalar(clock).fetch_one(&self.read).await?)
            }
        }
    }

    /// Which database this is.
    #[must_use]
    pub const fn backend(&self) -> Backend {
        self.backend
    }

    /// Closes all connections.
    pub async fn close(&self) {
        self.read.close().await;
        self.write.close().await;
    }
}

/// The file beside a SQLite database that says that the panel was moved away; `None` if it is in no file.
fn moved_mark(url: &str) -> Option<PathBuf> {
    let path = url.strip_prefix("sqlite:")?.split('?').next()?;
    let path = path.strip_prefix("//").unwrap_or(path);
    (!path.is_empty() && !path.contains(":memory:")).then(|| PathBuf::from(format!("{path}.moved")))
}

/// Begins a part of a transaction that may be undone without the rest. It ends with [`part_keep`] or [`part_undo`].
///
/// # Errors
/// The database fails.
pub async fn part_begin(tx: &mut Tx) -> Result<(), StoreError> {
    sqlx::query("SAVEPOINT part").execute(&mut **tx).await?;
    Ok(())
}

/// Keeps the part.
///
/// # Errors
/// The database fails.
pub async fn part_keep(tx: &mut Tx) -> Result<(), StoreError> {
    sqlx::query("RELEASE SAVEPOINT part").execute(&mut **tx).await?;
    Ok(())
}

/// Undoes the part.
///
/// # Errors
/// The database fails.
pub async fn part_undo(tx: &mut Tx) -> Result<(), StoreError> {
    sqlx::query("ROLLBACK TO SAVEPOINT part").execute(&mut **tx).await?;
    part_keep(tx).await
}

/// The present moment in epoch milliseconds. The one clock of the web crate.
#[must_use]
pub fn now_ms() -> i64 {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
}

/// Reads a text column as one of our types; a value that does not parse is a corrupt row, not a panic.
pub(crate) fn parse<T>(column: &'static str, text: &str) -> Result<T, StoreError>
where
    T: FromStr,
    T::Err: std::error::Error + Send + Sync + 'static,
{
    text.parse().map_err(|source| StoreError::Corrupt { column, source: Box::new(source) })
}

/// Reads a JSON column.
pub(crate) fn parse_json<T: serde::de::DeserializeOwned>(column: &'static str, text: &str) -> Result<T, StoreError> {
    serde_json::from_str(text).map_err(|source| StoreError::Corrupt { column, source: Box::new(source) })
}

/// Writes a JSON column.
pub(crate) fn to_json<T: serde::Serialize>(column: &'static str, value: &T) -> Result<String, StoreError> {
    serde_json::to_string(value).map_err(|source| StoreError::Corrupt { column, source: Box::new(source) })
}
