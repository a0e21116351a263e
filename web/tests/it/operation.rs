//! Operations and pages about the fleet.

use shared::jobs::ResourceKey;
use web::app::signal::Signal;

use crate::support::fleet::{Town, fail_all, open_jobs};

#[tokio::test]
async fn clients_see_their_own_operations_only_and_admins_all() {
    let mut town = Town::new().await;
    town.site("shop.example.com").await;
    let (own, others, all) = (town.alice.get("/operations").await, town.bob.get("/operations").await, town.admin.get("/operations").await);
    assert!(own.body.contains("shop.example.com") && all.body.contains("shop.example.com"));
    assert!(!others.body.contains("shop.example.com") && !others.body.contains("alpha"));
    for query in
        ["?state=failed", "?kind=site&server=web1", "?q=shop", "?sort=state&dir=desc&page=2", "?page=-1&state=%27", "?sort=nothing"]
    {
        assert_eq!(town.admin.get(&format!("/operations{query}")).await.status, 200, "{query}");
    }
}

#[tokio::test]
async fn every_page_renders_for_its_viewers() {
    let mut town = Town::new().await;
    let site = town.site("shop.example.com").await;
    let (alpha, server) = (town.alpha.clone(), format!("/servers/{}", town.server));
    for path in
        ["/", "/sites", "/sites/new", "/accounts", "/operations", "/sessions", "/password", "/search?q=shop", "/sign-out", &site, &alpha]
    {
        for browser in [&mut town.alice, &mut town.admin] {
            assert_eq!(browser.get(path).await.status, 200, "{path}");
        }
    }
    for path in [
        "/servers",
        "/servers/new",
        "/clients",
        "/clients/new",
        "/accounts/new",
        &server,
        &format!("{alpha}/limits"),
        &format!("{alpha}/delete"),
    ] {
        assert_eq!(town.admin.get(path).await.status, 200, "{path}");
    }
}

#[tokio::test]
async fn a_retry_of_what_a_newer_change_has_replaced_is_refused() {
    let mut town = Town::new().await;
    let site = town.site("shop.example.com").await;
    town.apply_all().await;
    town.alice.post(&format!("{site}/edit"), &[("php", "8.2"), ("aliases", "www.shop.example.com")]).await;
    fail_all(town.app.db()).await;
    let (operation,): (String,) =
        sqlx::query_as("SELECT id FROM operations WHERE kind = 'site.update'").fetch_one(town.app.db().read()).await.unwrap();
    town.alice.post(&format!("{site}/edit"), &[("php", "8.2")]).await;
    let answer = town.alice.post(&format!("/operations/{operation}/retry"), &[]).await;
    assert_eq!(answer.status, 409);
}

#[tokio::test]
async fn retrying_a_site_also_retries_the_pool_that_it_needs_and_another_request_failed_to_make() {
    let mut town = Town::new().await;
    let first = town.site("first.example.com").await;
    fail_all(town.app.db()).await;
    let second = town.site("second.example.net").await;
    fail_all(town.app.db()).await;
    town.app.signals.take();
    let answer = town.alice.post(&format!("{second}/retry"), &[]).await;
    assert_eq!(answer.status, 303, "{}", answer.body);
    let told = town.app.signals.take().into_iter().filter(|signal| matches!(signal, Signal::OperationChanged { .. })).count();
    assert_eq!(told, 2, "both requests are news for whoever looks at them");
    let queued: Vec<ResourceKey> = open_jobs(town.app.db()).await.iter().map(|job| job.resource).collect();
    assert!(
        matches!(queued[..], [ResourceKey::PhpPool(_), ResourceKey::Site(site)] if Town::id(&second) == site.to_string()),
        "{queued:?}"
    );
    town.apply_all().await;
    // The first site's own request is as failed as before, but for the pool.
    assert!(town.alice.get(&first).await.body.contains("Failed"));
    assert!(town.alice.get(&second).await.body.contains("Active"));
}

#[tokio::test]
async fn a_server_is_added_with_a_token_shown_once_and_a_worker_joins_with_it_once() {
    let mut town = Town::new().await;
    let added = town
        .admin
        .post("/servers", &[("name", "web2"), ("hostname", "web2.servers.example.org"), ("role_web", "on"), ("active", "on")])
        .await;
    assert_eq!(added.status, 200, "{}", added.body);
    let (_, after) = added.body.split_once("Authorization: Bearer ").expect("the command is on the page");
    let token: String = after.chars().take_while(|c| c.is_ascii_alphanumeric() || "-_".contains(*c)).collect();
    let taken = town.admin.post("/servers", &[("name", "web2"), ("hostname", "other.servers.example.org"), ("role_web", "on")]).await;
    assert_eq!((taken.status.as_u16(), taken.value("hostname").as_deref()), (422, Some("other.servers.example.org")));

    let request = || shared::enrolment::EnrolmentRequest {
        token: token.clone(),
        public_key: shared::bus::credentials::new_user_key().unwrap().1,
        seal_key: shared::bus::sealing::SealKey::generate().public_key(),
    };
    let (first, second) = (request(), request());
    let app = &town.app.state.app;
    assert!(matches!(web::app::enrolment::enrol(app, &first).await, Ok(web::app::enrolment::Enrolled::Waiting(_))));
    let other = web::app::enrolment::enrol(app, &second).await.unwrap();
    let used = web::app::enrolment::Enrolled::Refused(shared::enrolment::Refusal::Used);
    assert_eq!(other, used, "the token belongs to the first keys");
    let pending = web::store::enrolment::enrolment_list_pending(town.app.db()).await.unwrap();
    let mut tx = town.app.db().write().await.unwrap();
    assert!(web::store::enrolment::enrolment_answer_in_tx(&mut tx, &pending[0], "{\"ok\":true}").await.unwrap());
    assert!(!web::store::enrolment::enrolment_answer_in_tx(&mut tx, &pending[0], "{}").await.unwrap(), "answered once");
    tx.commit().await.unwrap();
    let again = web::app::enrolment::enrol(app, &first).await.unwrap();
    assert_eq!(again, web::app::enrolment::Enrolled::Reply("{\"ok\":true}".to_owned()));
}

#[tokio::test]
async fn a_change_that_cannot_be_sent_says_so_and_the_admins_home_says_since_when() {
    let mut town = Town::new().await;
    let site = town.site("shop.example.com").await;
    let set = async |sql: &'static str| {
        let mut tx = town.app.db().write().await.unwrap();
        sqlx::query(sql).execute(&mut *tx).await.unwrap();
        tx.commit().await.unwrap();
    };
    assert!(!town.admin.get("/").await.body.contains("waiting to be sent since"), "it may go out any moment");
    set("UPDATE operations SET created_ms = created_ms - 60000").await;
    set("UPDATE jobs SET created_ms = created_ms - 60000").await;
    assert!(town.alice.get(&site).await.body.contains("Waiting to be sent to web1."));
    assert!(town.admin.get("/").await.body.contains("Changes have been waiting to be sent since"));
    set("UPDATE jobs SET state = 'sent' WHERE state = 'queued'").await;
    assert!(town.alice.get(&site).await.body.contains("Waiting for its turn on web1."));
    assert!(!town.admin.get("/").await.body.contains("waiting to be sent since"));
    set("UPDATE servers SET online = 0").await;
    let body = town.alice.get(&site).await.body;
    assert!(body.contains("is offline since") && body.contains("It is applied by itself when web1 returns."), "{body}");
}

#[tokio::test]
async fn an_operation_says_which_attempt_it_is_and_to_admins_from_where_it_was_asked() {
    let mut town = Town::new().await;
    let site = town.site("shop.example.com").await;
    fail_all(town.app.db()).await;
    let (operation,): (String,) =
        sqlx::query_as("SELECT id FROM operations WHERE kind = 'site.create'").fetch_one(town.app.db().read()).await.unwrap();
    let page = format!("/operations/{operation}");
    let (admins, clients) = (town.admin.get(&page).await.body, town.alice.get(&page).await.body);
    assert!(admins.contains("192.0.2.10") && admins.contains("attempt 1") && !clients.contains("192.0.2.10"), "{admins}");
    assert!(!clients.contains("attempt 1"), "the first is not worth a word");
    assert!(admins.contains("Look at the site&#39;s error log") || admins.contains("Look at the site's error log"), "{admins}");
    assert!(clients.contains("contact support"), "{clients}");

    assert_eq!(town.alice.post(&format!("{site}/retry"), &[]).await.status, 303);
    assert!(town.alice.get(&page).await.body.contains("attempt 2"));
}

#[tokio::test]
async fn an_earlier_attempt_keeps_its_plan_on_the_page_for_admins() {
    let mut town = Town::new().await;
    let site = town.site("shop.example.com").await;
    fail_all(town.app.db()).await;
    let record = r#"{"batch_size":7,"begun":1,"plan":[{"step":"Site","action":"write a vhost","diff":"+listen 80;"}],"tries":[]}"#;
    let mut tx = town.app.db().write().await.unwrap();
    sqlx::query("UPDATE jobs SET record = $1").bind(record).execute(&mut *tx).await.unwrap();
    tx.commit().await.unwrap();
    assert_eq!(town.alice.post(&format!("{site}/retry"), &[]).await.status, 303);
    let (operation,): (String,) =
        sqlx::query_as("SELECT id FROM operations WHERE kind = 'site.create'").fetch_one(town.app.db().read()).await.unwrap();
    let page = format!("/operations/{operation}");
    let (admins, clients) = (town.admin.get(&page).await.body, town.alice.get(&page).await.body);
    for said in ["Attempt 1", "together with 6 other jobs", "write a vhost", "+listen 80;"] {
        assert!(admins.contains(said) && !clients.contains(said), "{said}: {admins}");
    }
}
