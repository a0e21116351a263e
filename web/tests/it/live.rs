//! Live streams: what each viewer gets, and what nobody gets.

use shared::bus::panel::Hint;
use shared::events::{Heartbeat, StepReport, StepState};
use shared::ids::{SiteId, UserId};
use shared::jobs::ResourceKey;
use web::config::Config;
use web::store::job_progress::job_progress_in_tx;
use web::store::now_ms;
use web::store::server::server_heartbeat_in_tx;
use web::worker_package::WorkerPackage;

use crate::support::app::{Browser, Stream, TestApp};
use crate::support::fleet::{Town, fail_all, heartbeat, news, open_jobs, signed_in};

/// Says of every open job that something happened, as dispatch does.
async fn hint_all(town: &Town) {
    for job in open_jobs(town.app.db()).await {
        let hint =
            Hint { resource: Some(job.resource), account: Some(job.account_id), operation: Some(job.operation_id), ..Hint::default() };
        town.app.hub.hint(hint);
    }
}

async fn message(stream: &mut Stream) -> String {
    let (event, data) = stream.next().await.expect("the stream goes on");
    assert_eq!(event, "", "{data}");
    data
}

async fn assert_gone(stream: &mut Stream) {
    assert_eq!(stream.next().await, Some(("gone".to_owned(), "gone".to_owned())));
    assert_eq!(stream.next().await, None);
}

async fn user(town: &Town, login: &str) -> UserId {
    let (id,): (String,) =
        sqlx::query_as("SELECT id FROM users WHERE login = $1").bind(login).fetch_one(town.app.db().read()).await.unwrap();
    id.parse().unwrap()
}

/// A site of bob's.
async fn bobs_site(town: &mut Town) -> String {
    let beta = Town::id(&town.beta).to_owned();
    let answer = town.bob.post("/sites", &[("account", &beta), ("domain", "other-shop.org"), ("php", "8.2")]).await;
    assert_eq!(answer.status, 303, "{}", answer.body);
    answer.location().to_owned()
}

#[tokio::test]
async fn s68_the_stream_of_a_page_one_may_not_see_ends_without_content() {
    let mut town = Town::new().await;
    let site = town.site("shop.example.com").await;
    let missing = format!("/sites/{}", SiteId::new());
    let pages = [
        &site,
        &missing,
        &town.alpha,
        &format!("/servers/{}", town.server),
        &format!("/servers/{}/drift", town.server),
        "/servers",
        "/clients",
    ]
    .map(ToOwned::to_owned);
    for page in pages {
        assert_gone(&mut town.bob.watch(&page).await).await;
    }
    for page in ["/password", "/nowhere", "https://evil.example/sites", "/../etc"] {
        assert_eq!(town.bob.watch(page).await.status, 404, "{page}");
    }
    assert_eq!(town.app.browser().watch("/sites").await.status, 401);
}

#[tokio::test]
async fn the_first_message_brings_every_live_part_of_the_page() {
    let mut town = Town::new().await;
    let site = town.site("shop.example.com").await;
    let first = message(&mut town.alice.watch(&site).await).await;
    for part in ["site-head", "site-status", "site-facts", "site-operations"] {
        assert!(first.contains(&format!("hx-target=\"#{part}\"")), "{part}");
    }
    let list = message(&mut town.alice.watch("/sites?q=shop").await).await;
    assert!(list.contains(&format!("id=\"site-{}\"", Town::id(&site))));
    let page = town.alice.get(&site).await.body;
    let head = first.split_once("id=\"site-head\"").unwrap().1.split_once("</hx-partial>").unwrap().0;
    assert!(page.contains(head.split_once("<h1").unwrap().1.split_once("</h1>").unwrap().0), "the page and its stream show the same");
}

#[tokio::test]
async fn a_change_brings_the_row_that_changed_and_no_other() {
    let mut town = Town::new().await;
    let (one, two) = (town.site("one.example.com").await, town.site("two.example.com").await);
    town.apply_all().await;
    let mut stream = town.alice.watch("/sites").await;
    message(&mut stream).await;
    assert_eq!(town.alice.post(&format!("{two}/suspend"), &[]).await.status, 303);
    hint_all(&town).await;
    let changed = message(&mut stream).await;
    assert!(changed.contains(&format!("hx-target=\"#site-{}\"", Town::id(&two))), "{changed}");
    assert!(!changed.contains(Town::id(&one)), "{changed}");
}

/// The part of a message that goes to one place.
fn part<'a>(message: &'a str, id: &str) -> &'a str {
    let (_, rest) = message.split_once(&format!("hx-target=\"#{id}\"")).unwrap_or_else(|| panic!("{id} is not in {message}"));
    rest.split_once("</hx-partial>").unwrap().0
}

#[tokio::test]
async fn a_clients_home_follows_what_happens_to_their_sites_and_accounts() {
    let mut town = Town::new().await;
    let mut stream = town.alice.watch("/").await;
    let first = message(&mut stream).await;
    assert!(part(&first, "home-tiles").contains("no sites") && part(&first, "home-accounts").contains("Active"));
    assert!(part(&first, "nav-failed").contains("hidden"));

    town.site("shop.example.com").await;
    hint_all(&town).await;
    let news = message(&mut stream).await;
    assert!(part(&news, "home-tiles").contains("1 site") && part(&news, "home-usage").contains('1'));
    assert!(part(&news, "home-busy").contains("shop.example.com") && part(&news, "home-operations").contains("shop.example.com"));

    let open = open_jobs(town.app.db()).await;
    fail_all(town.app.db()).await;
    for job in open {
        town.app.hub.hint(Hint { resource: Some(job.resource), account: Some(job.account_id), ..Hint::default() });
    }
    let news = message(&mut stream).await;
    assert!(part(&news, "home-busy").contains("Failed") && !part(&news, "nav-failed").contains("hidden"));
}

#[tokio::test]
async fn the_page_with_the_command_for_a_new_server_turns_green_when_its_worker_calls() {
    let mut town = Town::new().await;
    let fields = [("name", "web2"), ("hostname", "web2.servers.example.org"), ("role_web", "on"), ("active", "on")];
    let added = town.admin.post("/servers", &fields).await;
    let (id,): (String,) = sqlx::query_as("SELECT id FROM servers WHERE name = 'web2'").fetch_one(town.app.db().read()).await.unwrap();
    assert!(added.body.contains(&format!("/live?page=%2Fservers%2F{id}")) || added.body.contains(&format!("/live?page=/servers/{id}")));
    let mut stream = town.admin.watch(&format!("/servers/{id}")).await;
    assert!(message(&mut stream).await.contains("Waiting for web2 to call"));
    let mut tx = town.app.db().write().await.unwrap();
    sqlx::query("UPDATE servers SET public_key = 'UWEB2' WHERE id = $1").bind(&id).execute(&mut *tx).await.unwrap();
    server_heartbeat_in_tx(&mut tx, id.parse().unwrap(), &heartbeat("web2"), now_ms()).await.unwrap();
    tx.commit().await.unwrap();
    town.app.hub.hint(Hint { server: Some(id.parse().unwrap()), ..Hint::default() });
    let news = message(&mut stream).await;
    let status = news.split_once("hx-target=\"#enrol-status\"").unwrap().1;
    assert!(status.contains("Online"), "{status}");
}

#[tokio::test]
async fn a_servers_details_and_accounts_and_the_number_of_updates_follow_what_happens() {
    let mut config = Config::new("https://panel.example.org:8443");
    config.worker_packages = vec![WorkerPackage {
        file: "gantry-worker_0.2.0_amd64.deb".to_owned(),
        path: "/nowhere".into(),
        version: "0.2.0".parse().unwrap(),
        architecture: "amd64".parse().unwrap(),
        sha256: "0a".repeat(32).parse().unwrap(),
        signature: None,
    }];
    let mut town = Town::over(TestApp::with(config).await).await;
    let page = format!("/servers/{}", town.server);
    let (mut show, mut list) = (town.admin.watch(&page).await, town.admin.watch("/servers").await);
    let first = message(&mut show).await;
    assert!(part(&first, "server-facts").contains("0.1.0<small> update available") && part(&first, "server-accounts").contains(">alpha<"));
    assert!(part(&message(&mut list).await, "server-updates").contains("Updates (1)"));

    let saved = [("hostname", "moved.servers.example.org"), ("role_web", "on"), ("active", "on"), ("label", "Frankfurt 1")];
    assert_eq!(town.admin.post(&format!("{page}/edit"), &saved).await.status, 303);
    let mut tx = town.app.db().write().await.unwrap();
    let beat = Heartbeat { version: "0.2.0".to_owned(), ..heartbeat("web1") };
    server_heartbeat_in_tx(&mut tx, town.server, &beat, now_ms()).await.unwrap();
    sqlx::query("UPDATE accounts SET state = 'failed' WHERE linux_user = 'beta'").execute(&mut *tx).await.unwrap();
    tx.commit().await.unwrap();
    town.app.hub.hint(Hint { server: Some(town.server), ..Hint::default() });
    let news = message(&mut show).await;
    let facts = part(&news, "server-facts");
    assert!(facts.contains("moved.servers.example.org") && facts.contains("0.2.0") && !facts.contains("update available"), "{facts}");
    assert!(part(&news, "server-head").contains("Frankfurt 1") && part(&news, "server-accounts").contains("Failed"), "{news}");
    assert!(!part(&message(&mut list).await, "server-updates").contains("Updates"));
}

#[tokio::test]
async fn signing_out_ends_the_streams_of_that_session_at_once_and_no_others() {
    let mut town = Town::new().await;
    let site = town.site("shop.example.com").await;
    let mut other_device = signed_in(&town.app, "alice").await;
    let (mut here, mut there) = (town.alice.watch(&site).await, other_device.watch(&site).await);
    message(&mut here).await;
    message(&mut there).await;
    assert_eq!(town.alice.post("/sign-out", &[]).await.status, 303);
    town.app.hub.hint(Hint { user: Some(user(&town, "alice").await), ..Hint::default() });
    assert_gone(&mut here).await;
    town.apply_all().await;
    assert_eq!(other_device.post(&format!("{site}/suspend"), &[]).await.status, 303);
    hint_all(&town).await;
    message(&mut there).await;
    assert_eq!(town.alice.watch(&site).await.status, 401);
}

#[tokio::test]
async fn a_suspended_client_loses_their_streams() {
    let mut town = Town::new().await;
    let alice = user(&town, "alice").await;
    let mut stream = town.alice.watch("/").await;
    message(&mut stream).await;
    assert_eq!(town.admin.post(&format!("/clients/{alice}/suspend"), &[]).await.status, 303);
    town.app.hub.hint(Hint { user: Some(alice), ..Hint::default() });
    while let Some((event, _)) = stream.next().await {
        if event == "gone" {
            assert_eq!(stream.next().await, None);
            return;
        }
    }
    panic!("the stream ended without a word");
}

/// Opens a stream for each page and takes the first messages.
async fn open_all(browser: &Browser, pages: &[&str], heard: &mut String) -> Vec<Stream> {
    let mut streams = Vec::new();
    for page in pages {
        let mut stream = browser.watch(page).await;
        heard.push_str(&message(&mut stream).await);
        streams.push(stream);
    }
    streams
}

#[tokio::test]
async fn s48_a_client_never_receives_raw_output_of_a_step() {
    let mut town = Town::new().await;
    let site = town.site("shop.example.com").await;
    let job = open_jobs(town.app.db()).await.pop().unwrap();
    let operation = format!("/operations/{}", job.operation_id);
    let step =
        StepReport { name: "nginx test".to_owned(), state: StepState::Running, ms: None, detail: "RAW-OF-STEP".to_owned(), shared_with: 0 };
    let mut tx = town.app.db().write().await.unwrap();
    job_progress_in_tx(&mut tx, &news(&job, 1, vec![step])).await.unwrap();
    tx.commit().await.unwrap();

    let alpha = town.alpha.clone();
    let pages = ["/", "/sites", "/operations", &site, &alpha, &operation];
    let mut heard = String::new();
    let mut streams = open_all(&town.alice, &pages, &mut heard).await;
    assert!(heard.contains("nginx test"), "the step itself is shown");
    let mut admin = town.admin.watch(&operation).await;
    assert!(message(&mut admin).await.contains("RAW-OF-STEP"), "admins see it, so there was something to hide");

    fail_all(town.app.db()).await;
    let hint = Hint { resource: Some(job.resource), account: Some(job.account_id), operation: Some(job.operation_id), ..Hint::default() };
    town.app.hub.hint(hint);
    assert!(message(&mut admin).await.contains("raw nginx output"));
    for (stream, page) in streams.iter_mut().zip(pages) {
        let news = message(stream).await;
        assert!(!news.is_empty(), "{page}");
        heard.push_str(&news);
    }
    assert!(!heard.contains("RAW-OF-STEP") && !heard.contains("raw nginx output"));
}

#[tokio::test]
async fn s48_a_client_never_receives_a_row_of_another_client() {
    let mut town = Town::new().await;
    let site = bobs_site(&mut town).await;
    town.apply_all().await;
    let mut heard = String::new();
    let mut streams = open_all(&town.bob, &["/", "/sites", "/operations"], &mut heard).await;
    let foreign = town.site("shop.example.com").await;
    hint_all(&town).await;
    town.app.hub.hint(Hint { resource: Some(ResourceKey::Site(Town::id(&foreign).parse().unwrap())), ..Hint::default() });
    // Their own change is the next thing they hear of.
    assert_eq!(town.bob.post(&format!("{site}/suspend"), &[]).await.status, 303);
    hint_all(&town).await;
    for stream in &mut streams {
        let news = message(stream).await;
        assert!(news.contains("other-shop.org") || news.contains("Changing"), "{news}");
        heard.push_str(&news);
    }
    for word in ["shop.example.com", "alpha", "alice", Town::id(&foreign)] {
        assert!(!heard.contains(word), "{word}");
    }
}

#[tokio::test]
async fn viewers_of_one_page_with_the_same_rights_share_one_rendering_which_ends_with_them() {
    let town = Town::new().await;
    let (mut one, mut two, mut other) =
        (town.alice.watch("/sites").await, town.alice.watch("/sites").await, town.bob.watch("/sites").await);
    message(&mut one).await;
    message(&mut two).await;
    message(&mut other).await;
    assert_eq!(town.app.hub.watched_pages(), 2);
    drop(one);
    assert_eq!(town.app.hub.watched_pages(), 2);
}
