//! The audit log: who sees which lines, and how one finds them.

use scraper::{Html, Selector};
use shared::role::Role;
use web::app::operator::{server_ensure, server_token_new};
use web::paths;
use web::store::audit::{AuditAction, NewAudit, audit_insert_in_tx};
use web::store::server::NewServer;

use crate::support::app::{Browser, PASSWORD};
use crate::support::fleet::Town;

/// The lines of a page: action, object, by, from.
async fn lines(browser: &mut Browser, path: &str) -> Vec<[String; 4]> {
    let answer = browser.get(path).await;
    assert_eq!(answer.status, 200, "{}", answer.body);
    let html = Html::parse_document(&answer.body);
    let (row, cell) = (Selector::parse("main tbody > tr").unwrap(), Selector::parse("td").unwrap());
    html.select(&row)
        .map(|row| {
            let mut cells = row.select(&cell).map(|cell| cell.text().collect::<String>().trim().to_owned());
            [(); 4].map(|()| cells.next().unwrap())
        })
        .collect()
}

fn texts(lines: &[[String; 4]], column: usize) -> Vec<&str> {
    lines.iter().map(|line| line[column].as_str()).collect()
}

#[tokio::test]
async fn an_admin_finds_who_did_what_by_person_action_object_and_word() {
    let mut town = Town::new().await;
    let site = town.site("shop.example.com").await;
    town.apply_all().await;
    town.alice.post(&format!("{site}/suspend"), &[]).await;
    let newest = lines(&mut town.admin, paths::AUDIT).await;
    assert_eq!(newest[0], ["Suspend site", "shop.example.com", "alice Person", "192.0.2.10"]);

    let (alice,): (String,) = sqlx::query_as("SELECT id FROM users WHERE login = 'alice'").fetch_one(town.app.db().read()).await.unwrap();
    let by = lines(&mut town.admin, &paths::audit_by(alice.parse().unwrap())).await;
    assert_eq!(texts(&by, 0), ["Suspend site", "Create site", "Sign in"]);
    let of = lines(&mut town.admin, &paths::audit_of("shop.example.com")).await;
    assert_eq!(texts(&of, 0), ["Suspend site", "Create site"]);
    let created = lines(&mut town.admin, "/audit?action=account.create").await;
    assert_eq!(texts(&created, 1), ["beta", "alpha"]);
    let found = lines(&mut town.admin, "/audit?q=SHOP").await;
    assert_eq!(texts(&found, 1), ["shop.example.com", "shop.example.com"]);
    assert_eq!(lines(&mut town.admin, "/audit?q=100%25").await, Vec::<[String; 4]>::new());
}

#[tokio::test]
async fn a_client_sees_what_they_did_and_what_was_done_to_their_sign_in_and_nothing_else() {
    let mut town = Town::new().await;
    town.site("shop.example.com").await;
    let mut stranger = town.app.browser();
    stranger.address = "198.51.100.9:40000".parse().unwrap();
    stranger.sign_in("alice", "not her password").await;
    stranger.sign_in("bob", "not his password").await;
    let (alice,): (String,) = sqlx::query_as("SELECT id FROM users WHERE login = 'alice'").fetch_one(town.app.db().read()).await.unwrap();
    town.admin.address = "203.0.113.7:40000".parse().unwrap();
    town.admin.post(&format!("/clients/{alice}/suspend"), &[]).await;
    town.admin.post(&format!("/clients/{alice}/unsuspend"), &[]).await;
    let mut alice = town.app.browser();
    alice.sign_in("alice", PASSWORD).await;

    let seen = lines(&mut alice, paths::AUDIT).await;
    let expected = [
        ["Sign in", "alice", "alice Person", "192.0.2.10"],
        ["Let client in again", "alice", "root Person", "none"],
        ["Suspend client", "alice", "root Person", "none"],
        ["Sign-in refused", "alice", "alice", "198.51.100.9"],
        ["Create site", "shop.example.com", "alice Person", "192.0.2.10"],
        ["Sign in", "alice", "alice Person", "192.0.2.10"],
    ];
    assert_eq!(seen, expected.map(|line| line.map(str::to_owned)));
    for path in ["/audit?who=bob", "/audit?object=beta", "/audit?q=bob", "/audit?action=account.create"] {
        assert_eq!(lines(&mut alice, path).await, Vec::<[String; 4]>::new(), "{path}");
    }
}

#[tokio::test]
async fn the_lines_come_in_pages_that_keep_the_filters() {
    let mut town = Town::new().await;
    let mut tx = town.app.db().write().await.unwrap();
    for _ in 0..51 {
        let (user_name, subject, address) = ("carol", "carol", "198.51.100.9");
        let line = NewAudit { user: None, user_name, action: AuditAction::SessionRefused, subject, address, detail: "" };
        audit_insert_in_tx(&mut tx, &line).await.unwrap();
    }
    tx.commit().await.unwrap();
    assert_eq!(lines(&mut town.admin, "/audit?object=carol").await.len(), 50);
    let page = town.admin.get("/audit?object=carol").await;
    assert!(page.body.contains("page=2&amp;object=carol"), "{}", page.body);
    assert_eq!(lines(&mut town.admin, "/audit?page=2&object=carol").await.len(), 1);
}

#[tokio::test]
async fn what_the_operator_does_to_servers_on_the_command_line_is_in_the_log() {
    let mut town = Town::new().await;
    let new = NewServer {
        name: "web9".parse().unwrap(),
        hostname: "web9.example.org".to_owned(),
        roles: vec![Role::Web],
        address: String::new(),
        max_accounts: None,
    };
    assert!(server_ensure(town.app.db(), &new).await.unwrap().is_some());
    assert!(server_ensure(town.app.db(), &new).await.unwrap().is_none(), "it is there already");
    server_token_new(town.app.db(), &new.name).await.unwrap();
    let newest = lines(&mut town.admin, paths::AUDIT).await;
    assert_eq!(texts(&newest[..2], 0), ["New token for a worker", "Add server"]);
    assert_eq!(texts(&newest[..2], 1), ["web9", "web9"]);
    assert!(newest[..2].iter().all(|line| line[2].contains("command line")), "{newest:?}");
}
