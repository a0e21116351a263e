//! Signing in, staying signed in, and getting out.

use axum::http::Method;
use web::store::user::{PasswordLife, UserRole, user_set_password_in_tx};

use crate::support::app::{PASSWORD, TestApp, password_hash};
use crate::support::fleet::{person, signed_in};

async fn panel() -> TestApp {
    let app = TestApp::start().await;
    person(&app, "alice", UserRole::Client).await;
    app
}

#[tokio::test]
async fn a_wrong_password_and_an_unknown_login_get_the_same_answer_and_keep_the_login_typed() {
    let app = panel().await;
    let mut browser = app.browser();
    let wrong = browser.sign_in("alice", "not her password at all").await;
    let unknown = browser.sign_in("nobody", "not her password at all").await;
    assert_eq!((wrong.status.as_u16(), unknown.status.as_u16()), (422, 422));
    assert_eq!(wrong.body.replace("alice", "X"), unknown.body.replace("nobody", "X"));
    assert_eq!(wrong.value("login").as_deref(), Some("alice"));
    assert!(browser.cookies.is_empty() && !wrong.body.contains("not her password"));
}

#[tokio::test]
async fn a_page_asks_to_sign_in_and_leads_back_afterwards_but_never_to_another_host() {
    let app = panel().await;
    let mut browser = app.browser();
    let gate = browser.get("/sites?q=shop").await;
    assert_eq!((gate.status.as_u16(), gate.location()), (303, "/sign-in?next=%2Fsites%3Fq%3Dshop"));
    let form = browser.get(gate.location()).await;
    assert_eq!(form.value("back").as_deref(), Some("/sites?q=shop"));
    let back = browser.post("/sign-in", &[("login", "alice"), ("password", PASSWORD), ("back", "/sites?q=shop")]).await;
    assert_eq!(back.location(), "/sites?q=shop");
    let evil = app.browser().post("/sign-in", &[("login", "alice"), ("password", PASSWORD), ("back", "//evil.example")]).await;
    assert_eq!(evil.location(), "/");
}

#[tokio::test]
async fn a_part_of_a_page_gets_401_and_no_redirect() {
    let app = panel().await;
    let answer = app.browser().send(Method::GET, "/sites", None, &[("hx-request", "true")]).await;
    assert_eq!(answer.status, 401);
}

#[tokio::test]
async fn each_sign_in_is_a_new_session_and_the_table_holds_no_token() {
    let app = panel().await;
    let mut browser = signed_in(&app, "alice").await;
    let first = browser.cookies["__Host-gantry"].clone();
    browser.sign_in("alice", PASSWORD).await;
    let second = browser.cookies["__Host-gantry"].clone();
    assert_ne!(first, second);
    let rows = sqlx::query_as::<_, (String,)>("SELECT token_hash FROM sessions").fetch_all(app.db().read()).await.unwrap();
    assert_eq!(rows.len(), 1, "the old session of this browser has ended");
    assert!(rows.iter().all(|(hash,)| hash != &second && hash != &first));
}

#[tokio::test]
async fn a_fixed_cookie_is_never_upgraded() {
    let app = panel().await;
    let mut browser = app.browser();
    browser.cookies.insert("__Host-gantry".to_owned(), "attacker-chosen".to_owned());
    browser.sign_in("alice", PASSWORD).await;
    assert_ne!(browser.cookies["__Host-gantry"], "attacker-chosen");
}

#[tokio::test]
async fn signing_out_ends_this_session_only_and_everywhere_else_ends_the_others() {
    let app = panel().await;
    let (mut one, mut two, mut three) = (signed_in(&app, "alice").await, signed_in(&app, "alice").await, signed_in(&app, "alice").await);
    let stolen = one.clone();
    assert_eq!(one.post("/sign-out", &[]).await.location(), "/sign-in");
    assert_eq!(stolen.clone().get("/").await.status, 303, "the token itself is dead");
    assert_eq!(two.get("/").await.status, 200);
    assert_eq!(two.post("/sessions/end-others", &[]).await.location(), "/sessions");
    assert_eq!(two.get("/sessions").await.status, 200);
    assert_eq!(three.get("/").await.status, 303);
}

#[tokio::test]
async fn a_session_of_somebody_else_cannot_be_ended() {
    let app = panel().await;
    person(&app, "bob", UserRole::Client).await;
    let (mut alice, mut bob) = (signed_in(&app, "alice").await, signed_in(&app, "bob").await);
    let (id,): (String,) = sqlx::query_as("SELECT s.id FROM sessions s JOIN users u ON u.id = s.user_id WHERE u.login = 'alice'")
        .fetch_one(app.db().read())
        .await
        .unwrap();
    assert_eq!(bob.post("/sessions/end", &[("session", &id)]).await.status, 404);
    assert_eq!(alice.get("/").await.status, 200);
}

#[tokio::test]
async fn idle_and_expired_sessions_are_over() {
    let app = panel().await;
    for change in ["last_seen_ms = last_seen_ms - 1800001", "expires_ms = created_ms - 1"] {
        let mut alice = signed_in(&app, "alice").await;
        assert_eq!(alice.get("/").await.status, 200);
        let mut tx = app.db().write().await.unwrap();
        sqlx::query(sqlx::AssertSqlSafe(format!("UPDATE sessions SET {change}"))).execute(&mut *tx).await.unwrap();
        tx.commit().await.unwrap();
        assert_eq!(alice.get("/").await.status, 303, "{change}");
    }
}

#[tokio::test]
async fn a_one_time_password_opens_nothing_but_the_form_for_a_new_one() {
    let app = panel().await;
    let id = person(&app, "carol", UserRole::Admin).await;
    let hash = password_hash(&app.state).await;
    let mut tx = app.db().write().await.unwrap();
    user_set_password_in_tx(&mut tx, id, &hash, PasswordLife::Once).await.unwrap();
    tx.commit().await.unwrap();
    let mut carol = signed_in(&app, "carol").await;
    for path in ["/", "/sites", "/servers", "/clients", "/sessions"] {
        let answer = carol.get(path).await;
        assert_eq!((answer.status.as_u16(), answer.location()), (303, "/password"), "{path}");
    }
    let fields = [("current", PASSWORD), ("new", "seven green umbrellas"), ("repeat", "seven green umbrellas")];
    let old = carol.cookies["__Host-gantry"].clone();
    assert_eq!(carol.post("/password", &fields).await.location(), "/");
    assert_ne!(carol.cookies["__Host-gantry"], old);
    assert_eq!(carol.get("/servers").await.status, 200);
    assert_eq!(app.browser().sign_in("carol", PASSWORD).await.status, 422);
}

#[tokio::test]
async fn changing_the_password_needs_the_present_one_and_ends_every_other_session() {
    let app = panel().await;
    let (mut alice, mut other) = (signed_in(&app, "alice").await, signed_in(&app, "alice").await);
    let new = "seven green umbrellas";
    for (current, new, repeat, field) in [
        ("wrong", new, new, "current"),
        (PASSWORD, "short", "short", "new"),
        (PASSWORD, "alice person 12", "alice person 12", "new"),
        (PASSWORD, "passwordpassword", "passwordpassword", "new"),
        (PASSWORD, new, "seven green umbrella", "repeat"),
        (PASSWORD, PASSWORD, PASSWORD, "new"),
    ] {
        let answer = alice.post("/password", &[("current", current), ("new", new), ("repeat", repeat)]).await;
        assert_eq!(answer.status, 422, "{field}");
        assert!(answer.body.contains(&format!("{field}-error")) || answer.body.contains("aria-invalid"), "{field}: {}", answer.body);
    }
    assert_eq!(alice.post("/password", &[("current", PASSWORD), ("new", new), ("repeat", new)]).await.status, 303);
    assert_eq!(alice.get("/").await.status, 200);
    assert_eq!(other.get("/").await.status, 303);
}

#[tokio::test]
async fn wrong_passwords_make_an_address_and_a_login_wait_whatever_headers_claim() {
    let app = panel().await;
    let mut browser = app.browser();
    let mut statuses = Vec::new();
    for attempt in 0..8 {
        let spoofed = format!("198.51.100.{attempt}");
        let fields = [("login", "alice"), ("password", "wrong wrong wrong")];
        let headers = [("sec-fetch-site", "same-origin"), ("x-forwarded-for", spoofed.as_str()), ("forwarded", spoofed.as_str())];
        statuses.push(browser.send(Method::POST, "/sign-in", Some(&fields), &headers).await.status.as_u16());
    }
    assert_eq!(statuses[..5], [422, 422, 422, 422, 422]);
    assert_eq!(statuses[5..], [429, 429, 429]);
    let refused = browser.sign_in("alice", PASSWORD).await;
    assert_eq!(refused.status, 429);
    assert!(refused.headers.contains_key("retry-after"));
}

#[tokio::test]
async fn parallel_tries_do_not_slip_past_the_brakes() {
    let app = panel().await;
    let tries = (0..12).map(|_| {
        let mut browser = app.browser();
        tokio::spawn(async move { browser.sign_in("alice", "wrong wrong wrong").await.status.as_u16() })
    });
    let mut looked_at = 0;
    for attempt in tries.collect::<Vec<_>>() {
        looked_at += usize::from(attempt.await.unwrap() == 422);
    }
    assert_eq!(looked_at, 5);
}
