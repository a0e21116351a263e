//! A whole panel from SQLite to PostgreSQL.
//!
//! **All or nothing**: the target is filled in one transaction, which ends with a count of every table. Whatever interrupts it
//! leaves the target empty, and it is started again.
//! **Nothing is lost behind its back**: while it runs no other process has the source open.
//!
//! Tables and columns are read from the source's own schema, so a migration that adds one is covered.

use std::collections::BTreeSet;

use sqlx::any::{AnyConnectOptions, AnyRow};
use sqlx::{AnyConnection, AssertSqlSafe, ConnectOptions as _, Connection as _, Executor as _, Row, ValueRef as _};

use super::{Backend, Db, StoreError, Tx, moved_mark, now_ms};

/// A table that was moved.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Moved {
    /// Its name.
    pub table: String,
    /// Its rows.
    pub rows: i64,
}

/// Why nothing was moved.
#[derive(Debug, thiserror::Error)]
pub enum TransferError {
    /// They are not a SQLite file and a PostgreSQL database.
    #[error("a panel is moved from sqlite:PATH to postgres://...")]
    Direction,
    /// Something has the source open.
    #[error("the panel at {source_url} is in use; stop it first")]
    InUse {
        /// The source.
        source_url: String,
    },
    /// There is something in the target.
    #[error("the target holds a panel already: table {table} is not empty")]
    NotEmpty {
        /// A table that is not empty.
        table: String,
    },
    /// A table arrived incomplete; nothing was kept.
    #[error("of table {table} {arrived} of {rows} rows arrived")]
    Incomplete {
        /// The table.
        table: String,
        /// Its rows in the source.
        rows: i64,
        /// Its rows in the target.
        arrived: i64,
    },
    /// A column of a type that the schema's own rules do not know.
    #[error("column {column} of table {table} is of a type that cannot be moved")]
    UnknownType {
        /// The table.
        table: String,
        /// The column.
        column: String,
    },
    /// A table could not be read or written; nothing was kept.
    #[error("table {table} could not be moved")]
    Table {
        /// The table.
        table: String,
        /// Why.
        #[source]
        source: sqlx::Error,
    },
    /// The database failed.
    #[error("the database failed")]
    Store(#[from] StoreError),
}

impl From<sqlx::Error> for TransferError {
    fn from(error: sqlx::Error) -> Self {
        Self::Store(error.into())
    }
}

/// A table of the source.
#[derive(Debug)]
struct Table {
    name: String,
    columns: Vec<Column>,
    /// The tables its foreign keys lead to.
    refers_to: BTreeSet<String>,
}

#[derive(Debug)]
struct Column {
    name: String,
    /// Text, or else a whole number: the schema has nothing else.
    is_text: bool,
}

/// Moves everything. Both schemas are brought up to date first. From then on the source is not opened any more, unless the mark that
/// is left beside it is removed.
///
/// # Errors
/// See [`TransferError`]. The source is as it was, the target holds an empty schema.
pub async fn transfer(from: &str, to: &str) -> Result<Vec<Moved>, TransferError> {
    if !from.starts_with("sqlite:") || to.starts_with("sqlite:") {
        return Err(TransferError::Direction);
    }
    sqlx::any::install_default_drivers();
    // Opening it as the panel does would make a file that is not there.
    take_alone(from).await?.close().await?;
    Db::open(from).await?.close().await;
    let target = Db::open(to).await?;
    let mut source = take_alone(from).await?;
    let tables = in_order(tables(&mut source).await?);
    let moved = fill(&mut source, &target, &tables).await;
    target.close().await;
    // Whatever becomes of the source now, what has arrived has arrived.
    if let Err(error) = release(source).await {
        tracing::warn!(error = %error, "the old database could not be closed in order; it is as it was");
    }
    let moved = moved?;
    if let Some(mark) = moved_mark(from)
        && let Err(error) = std::fs::write(&mark, MARK)
    {
        tracing::warn!(file = %mark.display(), error = %error, "nothing says that the old database is not in use any more; put it aside");
    }
    Ok(moved)
}

/// What is left beside the source.
const MARK: &str = "The panel in this database was moved to PostgreSQL, and goes on there. To go back to what it was before the move, \
                    stop the panel, remove this file, and take GANTRY_DATABASE out of /etc/gantry/gantry.env.\n";

async fn release(mut source: AnyConnection) -> Result<(), sqlx::Error> {
    source.execute("ROLLBACK").await?;
    // As the panel has it; it makes it so itself at each start.
    source.execute("PRAGMA journal_mode=WAL").await?;
    source.close().await
}

/// Opens the source for this process alone, until the connection is closed.
async fn take_alone(url: &str) -> Result<AnyConnection, TransferError> {
    let options: AnyConnectOptions = url.parse()?;
    let mut source = options.connect().await?;
    // Leaving the write-ahead log needs every other connection to be closed, and fails at once if one is open.
    source.execute("PRAGMA busy_timeout=0").await?;
    let alone = async {
        source.execute("PRAGMA locking_mode=EXCLUSIVE").await?;
        let mode: String = sqlx::query_scalar("PRAGMA journal_mode=DELETE").fetch_one(&mut source).await?;
        if mode == "delete" { source.execute("BEGIN EXCLUSIVE").await.map(|_| true) } else { Ok(false) }
    };
    match alone.await {
        Ok(true) => Ok(source),
        Ok(false) => Err(TransferError::InUse { source_url: url.to_owned() }),
        Err(sqlx::Error::Database(error)) if error.message().contains("locked") => Err(TransferError::InUse { source_url: url.to_owned() }),
        Err(error) => Err(error.into()),
    }
}

async fn tables(source: &mut AnyConnection) -> Result<Vec<Table>, TransferError> {
    let names = "SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite\\_%' ESCAPE '\\' \
                 AND name <> '_sqlx_migrations' ORDER BY name";
    let names: Vec<String> = sqlx::query_scalar(names).fetch_all(&mut *source).await?;
    let mut tables = Vec::with_capacity(names.len());
    for name in names {
        let rows = sqlx::query("SELECT name, type FROM pragma_table_info($1) ORDER BY cid").bind(&name).fetch_all(&mut *source).await?;
        let columns = rows.iter().map(|row| column(&name, row)).collect::<Result<_, TransferError>>()?;
        let refers_to = sqlx::query_scalar::<_, String>("SELECT DISTINCT \"table\" FROM pragma_foreign_key_list($1)")
            .bind(&name)
            .fetch_all(&mut *source)
            .await?;
        tables.push(Table { name, columns, refers_to: refers_to.into_iter().collect() });
    }
    Ok(tables)
}

fn column(table: &str, row: &AnyRow) -> Result<Column, TransferError> {
    let name: String = row.try_get("name")?;
    match row.try_get::<String, _>("type")?.as_str() {
        "TEXT" => Ok(Column { name, is_text: true }),
        "BIGINT" | "SMALLINT" => Ok(Column { name, is_text: false }),
        _ => Err(TransferError::UnknownType { table: table.to_owned(), column: name }),
    }
}

/// Every table after those that it refers to.
fn in_order(mut tables: Vec<Table>) -> Vec<Table> {
    let mut ordered: Vec<Table> = Vec::with_capacity(tables.len());
    while !tables.is_empty() {
        let waits = |table: &Table, waiting: &[Table]| {
            waiting.iter().any(|other| other.name != table.name && table.refers_to.contains(&other.name))
        };
        // Tables that refer to each other in a circle would wait for ever; the database then says what is wrong with the first.
        let next = (0..tables.len()).find(|at| !waits(&tables[*at], &tables)).unwrap_or(0);
        ordered.push(tables.remove(next));
    }
    ordered
}

async fn fill(source: &mut AnyConnection, target: &Db, tables: &[Table]) -> Result<Vec<Moved>, TransferError> {
    debug_assert_eq!(target.backend(), Backend::Postgres);
    let mut tx = target.write().await?;
    for table in tables {
        // Until the end nobody else writes either.
        tx.execute(AssertSqlSafe(format!("LOCK TABLE {} IN EXCLUSIVE MODE", quoted(&table.name)))).await?;
        if count_in_target(&mut tx, table).await? > 0 {
            return Err(TransferError::NotEmpty { table: table.name.clone() });
        }
    }
    let mut moved = Vec::with_capacity(tables.len());
    for table in tables {
        let failed = |source| TransferError::Table { table: table.name.clone(), source };
        let rows = copy(source, &mut tx, table).await.map_err(failed)?;
        let arrived = count_in_target(&mut tx, table).await?;
        if arrived != rows {
            return Err(TransferError::Incomplete { table: table.name.clone(), rows, arrived });
        }
        moved.push(Moved { table: table.name.clone(), rows });
    }
    // Whoever led there leads no more, and nobody need wait for it.
    sqlx::query("DELETE FROM leases").execute(&mut *tx).await?;
    tx.commit().await?;
    tracing::info!(tables = moved.len(), at_ms = now_ms(), "the panel was moved");
    Ok(moved)
}

/// Rows of one statement: with the 30 columns of the widest table 15,000 values, of the 65,535 that PostgreSQL takes.
const AT_ONCE: usize = 500;

/// Copies all rows; how many the source has.
async fn copy(source: &mut AnyConnection, tx: &mut Tx, table: &Table) -> Result<i64, sqlx::Error> {
    let columns = table.columns.iter().map(|column| quoted(&column.name)).collect::<Vec<_>>().join(", ");
    let name = quoted(&table.name);
    let rows: i64 = sqlx::query_scalar(AssertSqlSafe(format!("SELECT COUNT(*) FROM {name}"))).fetch_one(&mut *source).await?;
    let select = format!("SELECT {columns}, rowid FROM {name} WHERE rowid > $1 ORDER BY rowid LIMIT {AT_ONCE}");
    let mut last = i64::MIN;
    loop {
        let chunk = sqlx::query(AssertSqlSafe(select.as_str())).bind(last).fetch_all(&mut *source).await?;
        let Some(newest) = chunk.last() else { return Ok(rows) };
        last = newest.try_get(table.columns.len())?;
        insert(tx, table, &format!("INSERT INTO {name} ({columns}) VALUES "), &chunk).await?;
    }
}

async fn insert(tx: &mut Tx, table: &Table, into: &str, rows: &[AnyRow]) -> Result<(), sqlx::Error> {
    let width = table.columns.len();
    let places: Vec<String> = (0..rows.len())
        .map(|row| {
            let places: Vec<String> = (1..=width).map(|column| format!("${}", row * width + column)).collect();
            format!("({})", places.join(", "))
        })
        .collect();
    let sql = format!("{into}{}", places.join(", "));
    let mut query = sqlx::query(AssertSqlSafe(sql.as_str()));
    for row in rows {
        for (at, column) in table.columns.iter().enumerate() {
            query = match (row.try_get_raw(at)?.is_null(), column.is_text) {
                (true, true) => query.bind(None::<String>),
                (true, false) => query.bind(None::<i64>),
                // SQLite keeps a NUL in a text, PostgreSQL does not.
                (false, true) => query.bind(row.try_get::<String, _>(at)?.replace('\0', "")),
                (false, false) => query.bind(row.try_get::<i64, _>(at)?),
            };
        }
    }
    query.execute(&mut **tx).await?;
    Ok(())
}

async fn count_in_target(tx: &mut Tx, table: &Table) -> Result<i64, sqlx::Error> {
    let count = format!("SELECT COUNT(*) FROM {}", quoted(&table.name));
    sqlx::query_scalar(AssertSqlSafe(count)).fetch_one(&mut **tx).await
}

/// A name of the schema in a statement.
fn quoted(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

#[cfg(test)]
mod tests {
    use super::{Table, in_order};

    #[test]
    fn a_table_comes_after_those_it_refers_to() {
        let table = |name: &str, refers_to: &[&str]| Table {
            name: name.to_owned(),
            columns: Vec::new(),
            refers_to: refers_to.iter().map(|name| (*name).to_owned()).collect(),
        };
        let tables = vec![table("accounts", &["users"]), table("keys", &["accounts"]), table("tree", &["tree"]), table("users", &[])];
        let order: Vec<String> = in_order(tables).into_iter().map(|table| table.name).collect();
        assert_eq!(order, ["tree", "users", "accounts", "keys"]);
    }
}
