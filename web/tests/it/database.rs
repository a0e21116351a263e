//! A database that is locked, or full: a request is taken whole or not at all, and says so.

use sqlx::{AssertSqlSafe, Connection, Row};
use web::store::Db;

use crate::faults::database_path;
use crate::support::fleet::Town;

/// How many sites, operations and jobs there are.
async fn counts(db: &Db) -> (i64, i64, i64) {
    let sql = "SELECT (SELECT COUNT(*) FROM sites), (SELECT COUNT(*) FROM operations), (SELECT COUNT(*) FROM jobs)";
    let row = sqlx::query(sql).fetch_one(db.read()).await.unwrap();
    (row.get(0), row.get(1), row.get(2))
}

#[tokio::test]
async fn f33_a_database_that_stays_locked_refuses_with_a_time_to_try_again_and_the_same_form_is_one_request() {
    let mut town = Town::new().await;
    let account = Town::id(&town.alpha).to_owned();
    let form = [("account", account.as_str()), ("domain", "locked.example.com"), ("php", "8.2"), ("key", "0123456789abcdef")];
    let before = counts(town.app.db()).await;
    let path = database_path(town.app.db()).await;
    let mut lock = sqlx::SqliteConnection::connect(&format!("sqlite:{path}")).await.unwrap();
    sqlx::query("BEGIN IMMEDIATE").execute(&mut lock).await.unwrap();
    let answer = town.alice.post("/sites", &form).await;
    assert_eq!(answer.status, 503, "{}", answer.body);
    assert_eq!(answer.headers.get("retry-after").unwrap(), "5");
    assert!(answer.body.contains("either recorded fully or not at all"), "{}", answer.body);
    assert_eq!(town.alice.get("/sites").await.status, 200, "what is there can be read");
    sqlx::query("ROLLBACK").execute(&mut lock).await.unwrap();
    assert_eq!(counts(town.app.db()).await, before);

    for _ in 0..2 {
        assert_eq!(town.alice.post("/sites", &form).await.status, 303);
    }
    let after = counts(town.app.db()).await;
    assert_eq!((after.0, after.1), (before.0 + 1, before.1 + 1));
}

#[tokio::test]
async fn f34_a_full_database_refuses_whole_requests_and_takes_them_when_there_is_room() {
    let mut town = Town::new().await;
    let account = Town::id(&town.alpha).to_owned();
    let limit = async |pages: i64| {
        let mut tx = town.app.db().write().await.unwrap();
        sqlx::query(AssertSqlSafe(format!("PRAGMA max_page_count = {pages}"))).execute(&mut *tx).await.unwrap();
        tx.commit().await.unwrap();
    };
    let pages: i64 = sqlx::query("PRAGMA page_count").fetch_one(town.app.db().read()).await.unwrap().get(0);
    limit(pages).await;
    let mut refused = None;
    for number in 0..500 {
        let before = counts(town.app.db()).await;
        let domain = format!("full{number}.example.com");
        let answer = town.alice.post("/sites", &[("account", &account), ("domain", &domain), ("php", "static")]).await;
        if answer.status == 303 {
            continue;
        }
        assert_eq!(answer.status, 503, "{}", answer.body);
        assert_eq!(counts(town.app.db()).await, before, "half a request was taken");
        refused = Some(domain);
        break;
    }
    let domain = refused.expect("the database is full in the end");
    limit(1_000_000).await;
    assert_eq!(town.alice.post("/sites", &[("account", &account), ("domain", &domain), ("php", "static")]).await.status, 303);
}
