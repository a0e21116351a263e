//! Every route is listed with who may use it, and behaves so.

use std::collections::BTreeSet;

use axum::http::Method;
use shared::ids::{AccountId, OperationId, ServerId, SiteId, UserId};
use web::routes::{Access, Route, table};

use crate::support::app::Browser;
use crate::support::fleet::Town;

/// A pattern with ids that exist nowhere.
fn example(pattern: &str) -> String {
    let id = match pattern.split('/').nth(1) {
        Some("sites") => SiteId::new().to_string(),
        Some("accounts") => AccountId::new().to_string(),
        Some("clients") => UserId::new().to_string(),
        Some("operations") => OperationId::new().to_string(),
        _ => ServerId::new().to_string(),
    };
    pattern.replace("{id}", &id).replace("{version}", "8.2").replace("{file}", "none.css")
}

async fn ask(browser: &mut Browser, route: &Route) -> u16 {
    let path = example(route.pattern);
    let answer = if route.method == "POST" { browser.post(&path, &[]).await } else { browser.get(&path).await };
    answer.status.as_u16()
}

#[test]
fn every_address_is_in_the_table() {
    let source = include_str!("../../src/paths.rs");
    let listed: BTreeSet<&str> = table().iter().map(|route| route.pattern).collect();
    for line in source.lines().filter(|line| line.starts_with("pub const ") && line.contains(": &str = \"/")) {
        let pattern = line.split('"').nth(1).unwrap();
        assert!(listed.contains(pattern), "{pattern} is in no feature's table");
    }
}

#[test]
fn every_route_of_the_router_is_in_the_table() {
    let sources = [
        include_str!("../../src/routes/public.rs"),
        include_str!("../../src/routes/join.rs"),
        include_str!("../../src/routes/session.rs"),
        include_str!("../../src/routes/password.rs"),
        include_str!("../../src/routes/home.rs"),
        include_str!("../../src/routes/site.rs"),
        include_str!("../../src/routes/account.rs"),
        include_str!("../../src/routes/sftp.rs"),
        include_str!("../../src/routes/suspend.rs"),
        include_str!("../../src/routes/client.rs"),
        include_str!("../../src/routes/operation.rs"),
        include_str!("../../src/routes/server.rs"),
        include_str!("../../src/routes/queue.rs"),
        include_str!("../../src/routes/security.rs"),
        include_str!("../../src/routes/drift.rs"),
        include_str!("../../src/routes/rollout.rs"),
        include_str!("../../src/routes/audit.rs"),
        include_str!("../../src/live/route.rs"),
    ];
    let mut handlers = 0;
    for source in sources {
        for line in source.lines().filter(|line| line.trim_start().starts_with(".route(") || line.contains("Router::new().route(")) {
            handlers += line.matches("on_get(").count() + line.matches("on_post(").count() + line.matches(").post(").count();
        }
    }
    assert_eq!(handlers, table().len());
}

#[tokio::test]
async fn without_a_session_nothing_answers_any_method_of_a_route_that_is_not_public() {
    let town = Town::new().await;
    let mut browser = town.app.browser();
    for route in table().into_iter().filter(|route| route.access != Access::Public) {
        for method in ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "FOO"] {
            let path = example(route.pattern);
            let method = Method::from_bytes(method.as_bytes()).unwrap();
            let answer = browser.send(method.clone(), &path, None, &[("sec-fetch-site", "same-origin")]).await;
            let gate = answer.status == 303 && answer.location().starts_with("/sign-in");
            assert!(gate || matches!(answer.status.as_u16(), 401 | 403 | 405), "{method} {path}: {}", answer.status);
        }
    }
}

#[tokio::test]
async fn each_role_gets_what_the_table_says() {
    let mut town = Town::new().await;
    for route in table() {
        if route.pattern == "/sign-out" || route.pattern.starts_with("/sessions/end") || route.pattern == "/password" {
            continue;
        }
        let (client, admin) = (ask(&mut town.bob, &route).await, ask(&mut town.admin, &route).await);
        let name = format!("{} {}", route.method, route.pattern);
        match route.access {
            Access::Admin => {
                assert_eq!(client, 403, "{name} for a client");
                assert_ne!(admin, 403, "{name} for an admin");
            }
            Access::Owner => assert_eq!((client, admin), (404, 404), "{name} of nobody"),
            Access::SignedIn => assert!(client < 500 && !matches!(client, 401 | 403 | 404), "{name}: {client}"),
            Access::Public => assert!(client < 500, "{name}: {client}"),
        }
    }
}
