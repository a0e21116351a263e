//! What other panels got wrong, as tests. Numbers are those of the security catalogue.

use axum::http::Method;
use shared::security::SecurityKind;
use web::store::list::Paging;
use web::store::security_event::{
    NewSecurityEvent, SecurityEventFilter, Told, security_event_forget_seen_in_tx, security_event_list, security_event_mark_seen_in_tx,
    security_event_tell_in_tx,
};
use web::store::{Db, now_ms};

use crate::support::db::on_each;
use crate::support::fleet::Town;

/// Everything but the clock, the page's own address and the random parts.
fn normal(body: &str, id: &str) -> String {
    let body = body.replace(id, "ID");
    let mut out = String::new();
    let mut rest = body.as_str();
    while let Some(at) = rest.find("data-now=\"") {
        out.push_str(&rest[..at]);
        rest = rest[at + 10..].split_once('"').unwrap().1;
    }
    out.push_str(rest);
    out
}

async fn rows(town: &Town) -> Vec<i64> {
    let mut counts = Vec::new();
    for sql in
        ["SELECT COUNT(*) FROM operations", "SELECT COUNT(*) FROM jobs", "SELECT COUNT(*) FROM sites", "SELECT COUNT(*) FROM sessions"]
    {
        let (count,): (i64,) = sqlx::query_as(sql).fetch_one(town.app.db().read()).await.unwrap();
        counts.push(count);
    }
    counts
}

#[tokio::test]
async fn s50_a_form_of_another_website_is_refused_and_changes_nothing() {
    let mut town = Town::new().await;
    let site = town.site("shop.example.com").await;
    let before = rows(&town).await;
    let foreign: [&[(&str, &str)]; 6] = [
        &[],
        &[("sec-fetch-site", "cross-site")],
        &[("sec-fetch-site", "same-site")],
        &[("origin", "https://evil.example")],
        &[("origin", "null")],
        &[("sec-fetch-site", "cross-site"), ("origin", "https://panel.example.org:8443")],
    ];
    for headers in foreign {
        for path in [format!("{site}/suspend"), "/sites".to_owned(), "/sign-out".to_owned(), "/sessions/end-others".to_owned()] {
            let answer = town.alice.send(Method::POST, &path, Some(&[]), headers).await;
            assert_eq!(answer.status, 403, "{path} with {headers:?}");
        }
    }
    assert_eq!(rows(&town).await, before);
}

#[tokio::test]
async fn s68_a_foreign_id_and_a_missing_one_get_the_same_page() {
    let mut town = Town::new().await;
    let site = town.site("shop.example.com").await;
    let (operation,): (String,) =
        sqlx::query_as("SELECT id FROM operations WHERE kind = 'site.create'").fetch_one(town.app.db().read()).await.unwrap();
    let site_posts = vec![
        "/edit",
        "/suspend",
        "/suspend/preview",
        "/unsuspend",
        "/unsuspend/preview",
        "/rollback/preview",
        "/retry",
        "/delete",
        "/delete/preview",
    ];
    let account_posts = vec![
        "/php/8.2",
        "/sftp-password",
        "/sftp-password/preview",
        "/sftp-keys",
        "/sftp-keys/preview",
        "/sftp-keys/remove",
        "/sftp-keys/remove/preview",
        "/retry",
    ];
    let own = [
        ("sites", Town::id(&site).to_owned(), vec!["", "/edit", "/delete", "/suspend", "/unsuspend", "/rollback?generation=1"], site_posts),
        ("accounts", Town::id(&town.alpha).to_owned(), vec!["", "/php/8.2", "/sftp-keys/remove"], account_posts),
        ("operations", operation, vec!["", "/retry"], vec!["/retry", "/retry/preview"]),
    ];
    let missing = shared::ids::SiteId::new().to_string();
    for (list, foreign, gets, posts) in own {
        for (method, tails) in [(Method::GET, gets), (Method::POST, posts)] {
            for tail in tails {
                let mut answers = Vec::new();
                for id in [&foreign, &missing] {
                    let path = format!("/{list}/{id}{tail}");
                    let answer = town.bob.send(method.clone(), &path, Some(&[]), &[("sec-fetch-site", "same-origin")]).await;
                    answers.push((answer.status.as_u16(), normal(&answer.body, id)));
                }
                assert_eq!(answers[0].0, 404, "{method} {list}{tail}");
                assert!(answers[0] == answers[1], "{method} {list}{tail} tells a foreign thing from a missing one");
            }
        }
    }
}

#[tokio::test]
async fn s60_fields_a_form_does_not_offer_change_nothing() {
    let mut town = Town::new().await;
    let site = town.site("shop.example.com").await;
    let beta = Town::id(&town.beta).to_owned();
    let extra = [
        ("php", "8.2"),
        ("account", beta.as_str()),
        ("account_id", &beta),
        ("owner_id", "x"),
        ("domain", "other.example.com"),
        ("presence", "deleted"),
        ("state", "active"),
        ("generation", "99"),
        ("applied_generation", "99"),
        ("id", "x"),
        ("role", "admin"),
    ];
    assert_eq!(town.alice.post(&format!("{site}/edit"), &extra).await.status, 303);
    let row: (String, String, String, i64, i64, String) =
        sqlx::query_as("SELECT domain, presence, state, generation, applied_generation, account_id FROM sites")
            .fetch_one(town.app.db().read())
            .await
            .unwrap();
    let expected = ("shop.example.com", "active", "provisioning", 2, 0, Town::id(&town.alpha));
    assert_eq!((row.0.as_str(), row.1.as_str(), row.2.as_str(), row.3, row.4, row.5.as_str()), expected);
    let (role,): (String,) = sqlx::query_as("SELECT role FROM users WHERE login = 'alice'").fetch_one(town.app.db().read()).await.unwrap();
    assert_eq!(role, "client");
}

#[tokio::test]
async fn every_answer_carries_the_headers_that_tie_the_browsers_hands() {
    let mut town = Town::new().await;
    let paths = ["/", "/sign-in", "/sites", "/nowhere", "/sites/x", "/healthz", "/static/none.css"];
    for path in paths {
        let answer = town.alice.get(path).await;
        let csp = answer.headers["content-security-policy"].to_str().unwrap();
        assert!(csp.starts_with("default-src 'none'") && !csp.contains("unsafe"), "{path}");
        assert_eq!(
            (&answer.headers["x-content-type-options"], &answer.headers["cache-control"]),
            (&"nosniff".parse().unwrap(), &"no-store".parse().unwrap()),
            "{path}"
        );
        assert!(!answer.body.contains(" style=") && !answer.body.contains("<script>") && !answer.body.contains(" onclick="), "{path}");
    }
}

#[tokio::test]
async fn s47_names_with_markup_are_text_on_every_page() {
    let mut town = Town::new().await;
    let evil = "<script>alert(1)</script>\"'><img src=x onerror=alert(1)>";
    assert_eq!(town.admin.post("/clients", &[("name", evil), ("login", "evil")]).await.status, 200);
    town.app.browser().sign_in(evil, evil).await;
    for path in [
        "/clients",
        "/clients?q=%3Cscript%3E",
        "/search?q=%3Cscript%3Ealert(1)%3C/script%3E",
        "/accounts/new",
        "/sites?q=%22%3E%3Cimg%20src=x%3E",
    ] {
        let answer = town.admin.get(path).await;
        assert_eq!(answer.status, 200, "{path}");
        assert!(!answer.body.contains("<script>alert") && !answer.body.contains("<img src=x"), "{path}");
    }
}

#[tokio::test]
async fn a_body_that_is_too_long_is_refused_before_it_is_read() {
    let mut town = Town::new().await;
    let long = "a".repeat(1024 * 1024 + 1);
    let answer = town.alice.post("/sites", &[("domain", &long)]).await;
    assert!(matches!(answer.status.as_u16(), 400 | 413), "{}", answer.status);
}

#[tokio::test]
async fn s45_a_foreign_host_header_changes_nothing_in_any_answer() {
    let mut town = Town::new().await;
    let site = town.site("shop.example.com").await;
    let own: &[(&str, &str)] = &[("sec-fetch-site", "same-origin")];
    let foreign: &[(&str, &str)] = &[
        ("sec-fetch-site", "same-origin"),
        ("host", "evil.example"),
        ("x-forwarded-host", "evil.example"),
        ("x-forwarded-proto", "http"),
        ("forwarded", "host=evil.example"),
        ("x-original-url", "/evil.example"),
    ];
    let server = format!("/servers/{}", town.server);
    for path in ["/", "/sites", &site, "/servers", &server, "/operations", "/nowhere", "/sites/x", "/search?q=shop", "/static/none.css"] {
        let (one, two) = (town.admin.send(Method::GET, path, None, own).await, town.admin.send(Method::GET, path, None, foreign).await);
        assert_eq!((one.status, one.location()), (two.status, two.location()), "{path}");
        assert!(!two.body.contains("evil.example") && !format!("{:?}", two.headers).contains("evil.example"), "{path}");
        // A server's details say by which address its worker knows the panel: the one of the settings.
        let addresses = if path == server { 1 } else { 0 };
        assert_eq!(two.body.matches("//panel.example.org").count(), addresses, "{path}");
        assert!(!two.location().contains("://"), "{path}");
    }
    let gate = town.app.browser().send(Method::GET, "/sites", None, foreign).await;
    assert_eq!(gate.location(), "/sign-in?next=%2Fsites");
    // And in the command for a new server.
    let fields = [("name", "web2"), ("hostname", "web2.servers.example.org"), ("role_web", "on"), ("active", "on")];
    let added = town.admin.send(Method::POST, "/servers", Some(&fields), foreign).await;
    assert!(added.body.contains("https://panel.example.org:8443/join") && !added.body.contains("evil.example"), "{}", added.body);
}

#[tokio::test]
async fn what_is_refused_again_is_counted_until_it_was_seen_and_forgotten_after_that() {
    on_each(async |db| {
        let lines = async |db: &Db| {
            let page = security_event_list(db, &SecurityEventFilter::default(), Paging::page(1, 50)).await.unwrap();
            page.rows.into_iter().map(|row| (row.id, row.server_name, row.times)).collect::<Vec<_>>()
        };
        let tell = async |server: &str, times: u32| {
            let new = NewSecurityEvent { server_name: server, kind: SecurityKind::ForgedJob, detail: "", times };
            let mut tx = db.write().await.unwrap();
            let told = security_event_tell_in_tx(&mut tx, &new).await.unwrap();
            tx.commit().await.unwrap();
            told
        };
        assert_eq!((tell("web1", 1).await, tell("web1", 4).await), (Told::Anew, Told::Counted));
        assert_eq!(tell("web2", 1).await, Told::Anew, "another server has a line of its own");
        let told = lines(&db).await;
        assert_eq!(told.iter().map(|line| (line.1.as_str(), line.2)).collect::<Vec<_>>(), [("web2", 1), ("web1", 5)]);

        let mut tx = db.write().await.unwrap();
        security_event_mark_seen_in_tx(&mut tx, &told[1].0).await.unwrap();
        tx.commit().await.unwrap();
        assert_eq!(tell("web1", 1).await, Told::Anew, "what was seen says no more");
        for (before_ms, left) in [(now_ms() - 60_000, 3), (now_ms() + 60_000, 2)] {
            let mut tx = db.write().await.unwrap();
            security_event_forget_seen_in_tx(&mut tx, before_ms).await.unwrap();
            tx.commit().await.unwrap();
            assert_eq!(lines(&db).await.len(), left);
        }
    })
    .await;
}
