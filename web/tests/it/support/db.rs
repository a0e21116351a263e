//! A database for one test: a fresh SQLite file, or a fresh PostgreSQL database where `TEST_PG_URL` names a server.

use sqlx::{AssertSqlSafe, Connection, Executor, PgConnection};
use tempfile::TempDir;
use web::store::Db;

/// A database that goes when the test ends.
pub(crate) struct TestDb {
    pub(crate) db: Db,
    _directory: TempDir,
}

/// A fresh SQLite file.
pub(crate) async fn sqlite() -> TestDb {
    let directory = tempfile::tempdir().unwrap();
    let db = Db::open(&format!("sqlite:{}", directory.path().join("panel.db").display())).await.unwrap();
    web::store::panel::panel_epoch(&db).await.unwrap();
    TestDb { db, _directory: directory }
}

/// The address of a fresh, empty database of the PostgreSQL server that `TEST_PG_URL` names; `None` without one.
pub(crate) async fn postgres_url() -> Option<String> {
    let server = std::env::var("TEST_PG_URL").ok()?;
    let name = format!("gantry_{}", shared::ids::JobId::new().to_string().replace('-', ""));
    let mut connection = PgConnection::connect(&server).await.unwrap();
    connection.execute(AssertSqlSafe(format!("CREATE DATABASE {name}"))).await.unwrap();
    connection.close().await.unwrap();
    let (base, _) = server.rsplit_once('/').unwrap();
    Some(format!("{base}/{name}"))
}

/// A fresh database of that server with the schema.
pub(crate) async fn postgres() -> Option<TestDb> {
    let db = Db::open(&postgres_url().await?).await.unwrap();
    web::store::panel::panel_epoch(&db).await.unwrap();
    Some(TestDb { db, _directory: tempfile::tempdir().unwrap() })
}

/// Runs a test on every database there is.
pub(crate) async fn on_each<F: AsyncFn(Db)>(test: F) {
    let fresh = sqlite().await;
    test(fresh.db.clone()).await;
    if let Some(fresh) = postgres().await {
        test(fresh.db.clone()).await;
        fresh.db.close().await;
    }
}
