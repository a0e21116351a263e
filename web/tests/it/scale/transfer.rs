//! `gantry migrate-db`: a panel moves from SQLite to PostgreSQL whole, or not at all.

use sqlx::{AssertSqlSafe, Row as _};
use tempfile::TempDir;
use web::store::Db;

use super::database;
use super::process::{refused, run};
use crate::support::app::TestApp;
use crate::support::fleet::{Town, fail_all, signed_in};

/// A SQLite panel with people, accounts, sites, and requests that went well and badly.
async fn panel(directory: &TempDir) -> String {
    let url = format!("sqlite:{}", directory.path().join("panel.db").display());
    let db = Db::open(&url).await.unwrap();
    web::store::panel::panel_epoch(&db).await.unwrap();
    let mut town = Town::over(TestApp::over(db.clone())).await;
    for number in 0..70 {
        town.site(&format!("s{number}.example.com")).await;
    }
    town.apply_all().await;
    town.site("broken.example.com").await;
    fail_all(&db).await;
    drop(town);
    db.close().await;
    url
}

/// Every row of every table as text.
async fn rows(url: &str, tables: &[String]) -> Vec<String> {
    let db = Db::open(url).await.unwrap();
    let mut all = Vec::new();
    for table in tables {
        let columns = sqlx::query_scalar::<_, String>("SELECT name FROM pragma_table_info($1) ORDER BY name");
        let columns = columns.bind(table);
        let columns: Vec<String> = match db.backend() {
            web::store::Backend::Sqlite => columns.fetch_all(db.read()).await.unwrap(),
            web::store::Backend::Postgres => {
                let names = "SELECT CAST(column_name AS TEXT) FROM information_schema.columns WHERE table_name = $1 ORDER BY column_name";
                sqlx::query_scalar(names).bind(table).fetch_all(db.read()).await.unwrap()
            }
        };
        let texts: Vec<String> = columns.iter().map(|column| format!("COALESCE(CAST({column} AS TEXT), 'NULL')")).collect();
        let select = format!("SELECT {} AS line FROM {table}", texts.join(" || '|' || "));
        let found = sqlx::query(AssertSqlSafe(select)).fetch_all(db.read()).await.unwrap();
        all.extend(found.iter().map(|row| format!("{table}|{}", row.get::<String, _>("line"))));
    }
    db.close().await;
    all.sort();
    all
}

async fn tables(url: &str) -> Vec<String> {
    let db = Db::open(url).await.unwrap();
    let names = "SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite%' AND name NOT LIKE '\\_%' ESCAPE '\\'";
    let names = sqlx::query_scalar(names).fetch_all(db.read()).await.unwrap();
    db.close().await;
    names
}

#[tokio::test]
async fn a_panel_on_sqlite_moves_to_postgresql_with_every_row_and_goes_on() {
    let Some(target) = database().await else { return };
    let directory = TempDir::new().unwrap();
    let source = panel(&directory).await;
    let tables = tables(&source).await;
    assert!(tables.len() >= 18, "{tables:?}");
    let before = rows(&source, &tables).await;
    let printed = run(&["migrate-db", "--from", &source, "--to", &target]);
    assert!(printed.contains("71  sites") && printed.contains("All of it arrived."), "{printed}");
    let after = rows(&target, &tables).await;
    assert!(before.len() > 200);
    assert_eq!(before, after);

    let db = Db::open(&target).await.unwrap();
    let app = TestApp::over(db.clone());
    let mut alice = signed_in(&app, "alice").await;
    assert!(alice.get("/sites?q=s69").await.body.contains("s69.example.com"));
    db.close().await;
}

#[tokio::test]
async fn a_panel_is_moved_into_an_empty_database_only() {
    let Some(target) = database().await else { return };
    let directory = TempDir::new().unwrap();
    let source = panel(&directory).await;
    run(&["admin", "first", "--database", &target]);
    let said = refused(&["migrate-db", "--from", &source, "--to", &target]);
    assert!(said.contains("is not empty"), "{said}");
    let said = refused(&["migrate-db", "--from", &target, "--to", &target]);
    assert!(said.contains("sqlite:PATH to postgres://"), "{said}");
}

#[tokio::test]
async fn a_panel_in_use_and_a_file_that_is_not_there_are_not_moved() {
    let Some(target) = database().await else { return };
    let directory = TempDir::new().unwrap();
    let source = panel(&directory).await;
    let in_use = Db::open(&source).await.unwrap();
    let said = refused(&["migrate-db", "--from", &source, "--to", &target]);
    assert!(said.contains("is in use; stop it first"), "{said}");
    in_use.close().await;
    let missing = format!("sqlite:{}", directory.path().join("mistyped.db").display());
    refused(&["migrate-db", "--from", &missing, "--to", &target]);
    assert!(!directory.path().join("mistyped.db").exists(), "no panel is made by looking for one");
    run(&["migrate-db", "--from", &source, "--to", &target]);
}

#[tokio::test]
async fn a_move_that_is_interrupted_leaves_the_target_empty_and_is_made_again() {
    let Some(target) = database().await else { return };
    let directory = TempDir::new().unwrap();
    let source = panel(&directory).await;
    // A row that the target refuses, in one of the last tables: what was copied before must not stay.
    let db = Db::open(&target).await.unwrap();
    let mut tx = db.write().await.unwrap();
    sqlx::query("ALTER TABLE sites ADD CONSTRAINT interrupted CHECK (domain <> 'broken.example.com')").execute(&mut *tx).await.unwrap();
    tx.commit().await.unwrap();
    let said = refused(&["migrate-db", "--from", &source, "--to", &target]);
    assert!(said.contains("table sites could not be moved"), "{said}");
    for table in tables(&source).await {
        let count: i64 = sqlx::query_scalar(AssertSqlSafe(format!("SELECT COUNT(*) FROM {table}"))).fetch_one(db.read()).await.unwrap();
        assert_eq!(count, 0, "{table}");
    }
    let mut tx = db.write().await.unwrap();
    sqlx::query("ALTER TABLE sites DROP CONSTRAINT interrupted").execute(&mut *tx).await.unwrap();
    tx.commit().await.unwrap();
    db.close().await;
    run(&["migrate-db", "--from", &source, "--to", &target]);
}

#[tokio::test]
async fn a_panel_that_was_moved_is_not_used_by_mistake_and_can_be_gone_back_to() {
    let Some(target) = database().await else { return };
    let directory = TempDir::new().unwrap();
    let source = panel(&directory).await;
    run(&["migrate-db", "--from", &source, "--to", &target]);
    let said = refused(&["admin", "reset", "--login", "root", "--database", &source]);
    assert!(said.contains("was moved to PostgreSQL") && said.contains("panel.db.moved"), "{said}");
    assert!(refused(&["migrate-db", "--from", &source, "--to", &target]).contains("was moved to PostgreSQL"));
    std::fs::remove_file(directory.path().join("panel.db.moved")).unwrap();
    run(&["admin", "reset", "--login", "root", "--database", &source]);
}

#[tokio::test]
async fn a_nul_that_sqlite_kept_does_not_hinder_the_move() {
    let Some(target) = database().await else { return };
    let directory = TempDir::new().unwrap();
    let source = panel(&directory).await;
    let db = Db::open(&source).await.unwrap();
    let mut tx = db.write().await.unwrap();
    sqlx::query("UPDATE servers SET version = $1").bind("1.0\0").execute(&mut *tx).await.unwrap();
    tx.commit().await.unwrap();
    db.close().await;
    run(&["migrate-db", "--from", &source, "--to", &target]);
    let db = Db::open(&target).await.unwrap();
    let version: String = sqlx::query_scalar("SELECT version FROM servers").fetch_one(db.read()).await.unwrap();
    assert_eq!(version, "1.0");
    db.close().await;
}
