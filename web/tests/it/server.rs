//! Servers, as admins manage them.

use shared::bus::credentials::new_user_key;
use shared::bus::sealing::SealKey;
use shared::enrolment::{EnrolmentRequest, Refusal};
use shared::events::HostFacts;
use shared::ids::ServerId;
use shared::role::Role;
use web::app::Actor;
use web::app::enrolment::{Enrolled, enrol};
use web::auth::token::token_hash;
use web::routes::model::ListQuery;
use web::routes::model::account::account_list_model;
use web::store::Db;
use web::store::ended_server::{ended_server_list, ended_server_mark_closed, server_end_in_tx};
use web::store::enrolment::{enrolment_answer_in_tx, enrolment_insert_in_tx, enrolment_list_pending};
use web::store::now_ms;
use web::store::panel::panel_keep_bus_url;
use web::store::revocation::revocation_list;
use web::store::server::{server_fetch, server_heartbeat_in_tx};
use web::store::server_sample::{minute_of, server_sample_keep_in_tx, server_sample_list};
use web::store::server_settings::{ServerPlaces, TlsSource};
use web::store::site_name::site_address_by_name;

use crate::support::app::{Answer, TestApp};
use crate::support::db::on_each;
use crate::support::fleet::{Town, heartbeat, server};

fn token_in(answer: &Answer) -> String {
    let (_, after) = answer.body.split_once("Authorization: Bearer ").expect("the command is on the page");
    after.chars().take_while(|c| c.is_ascii_alphanumeric() || "-_".contains(*c)).collect()
}

/// A server whose worker has not joined: its path and its token.
async fn added(town: &mut Town) -> (String, String) {
    let answer = town
        .admin
        .post("/servers", &[("name", "web2"), ("hostname", "web2.servers.example.org"), ("role_web", "on"), ("active", "on")])
        .await;
    assert_eq!(answer.status, 200, "{}", answer.body);
    let (id,): (String,) = sqlx::query_as("SELECT id FROM servers WHERE name = 'web2'").fetch_one(town.app.db().read()).await.unwrap();
    (format!("/servers/{id}"), token_in(&answer))
}

/// With keys of its own each time.
fn request(token: &str) -> EnrolmentRequest {
    EnrolmentRequest { token: token.to_owned(), public_key: new_user_key().unwrap().1, seal_key: SealKey::generate().public_key() }
}

#[tokio::test]
async fn a_new_token_is_shown_once_and_the_old_one_stops_working() {
    let mut town = Town::new().await;
    let (server, old) = added(&mut town).await;
    let action = format!("{server}/token");
    assert!(town.admin.get(&server).await.body.contains(&format!("action=\"{action}\"")));
    let answer = town.admin.post(&action, &[]).await;
    assert_eq!(answer.status, 200, "{}", answer.body);
    let new = token_in(&answer);
    assert_ne!(old, new);
    assert!(!town.admin.get(&server).await.body.contains(&new));
    let app = &town.app.state.app;
    assert_eq!(enrol(app, &request(&old)).await.unwrap(), Enrolled::Refused(Refusal::Unknown));
    assert!(matches!(enrol(app, &request(&new)).await.unwrap(), Enrolled::Waiting(_)));
    assert_eq!(enrol(app, &request(&new)).await.unwrap(), Enrolled::Refused(Refusal::Used), "it lets one worker join");
}

#[tokio::test]
async fn a_server_whose_token_has_ended_offers_a_new_one() {
    let mut town = Town::new().await;
    let (server, _) = added(&mut town).await;
    let mut tx = town.app.db().write().await.unwrap();
    sqlx::query("UPDATE enrolments SET expires_ms = 1").execute(&mut *tx).await.unwrap();
    sqlx::query("UPDATE servers SET created_ms = 1").execute(&mut *tx).await.unwrap();
    tx.commit().await.unwrap();
    let page = town.admin.get(&server).await.body;
    assert!(page.contains("Its installation script has ended") && page.contains(&format!("action=\"{server}/token\"")));
}

#[tokio::test]
async fn a_server_whose_worker_answers_gets_a_script_after_a_question_and_keeps_its_key_until_it_is_run() {
    let mut town = Town::new().await;
    let server = format!("/servers/{}", town.server);
    let action = format!("{server}/token");
    let edit = [("hostname", "web1.servers.example.org"), ("active", "on"), ("role_web", "on"), ("role_mail", "on")];
    assert_eq!(town.admin.post(&format!("{server}/edit"), &edit).await.status, 303);
    let page = town.admin.get(&server).await.body;
    assert!(page.contains("mail, not reported") && page.contains(&format!("href=\"{action}\"")), "{page}");
    assert!(town.admin.get("/servers").await.body.contains(&format!("href=\"{action}\"")));
    assert_eq!((town.alice.get(&action).await.status, town.alice.post(&action, &[]).await.status).0, 403);
    let unasked = town.admin.post(&action, &[]).await;
    assert_eq!((unasked.status.as_u16(), unasked.location()), (303, action.as_str()), "that is a question");
    let question = town.admin.get(&action).await.body;
    assert!(
        question.contains("the key that it has now ends") && question.contains(&format!("action=\"{action}?again=yes\"")),
        "{question}"
    );

    let before = server_fetch(town.app.db(), town.server).await.unwrap().unwrap();
    let made = town.admin.post(&format!("{action}?again=yes"), &[]).await;
    assert_eq!(made.status, 200, "{}", made.body);
    let now = server_fetch(town.app.db(), town.server).await.unwrap().unwrap();
    assert!(now.online && now.public_key == before.public_key, "until the script is run");
    assert!(revocation_list(town.app.db(), &before.name).await.unwrap().is_empty());

    let Enrolled::Waiting(_) = enrol(&town.app.state.app, &request(&token_in(&made))).await.unwrap() else { panic!("it may join") };
    let pending = enrolment_list_pending(town.app.db()).await.unwrap().remove(0);
    let mut tx = town.app.db().write().await.unwrap();
    assert!(enrolment_answer_in_tx(&mut tx, &pending, "{}").await.unwrap());
    tx.commit().await.unwrap();
    let revoked = revocation_list(town.app.db(), &before.name).await.unwrap();
    assert_eq!(revoked.iter().map(|one| Some(one.public_key.clone())).collect::<Vec<_>>(), [before.public_key]);
}

#[tokio::test]
async fn a_script_for_a_server_that_is_away_or_shut_out_waits_for_its_worker_to_call() {
    let mut town = Town::new().await;
    let page = format!("/servers/{}", town.server);
    for shut_out in [None, Some(5_i64)] {
        let mut tx = town.app.db().write().await.unwrap();
        sqlx::query("UPDATE servers SET online = 0, shut_out_ms = $1").bind(shut_out).execute(&mut *tx).await.unwrap();
        tx.commit().await.unwrap();
        let made = town.admin.post(&format!("{page}/token"), &[]).await;
        assert_eq!(made.status, 200);
        let status = made.body.split_once("id=\"enrol-status\"").expect("it says how it stands").1;
        assert!(status.starts_with(" data-state=\"work\"") && status.contains("Waiting for web1 to call"), "{status}");
        assert!(made.body.contains("apt-get install -y curl"));
    }
}

#[tokio::test]
async fn where_the_bus_and_the_panel_are_is_said_of_a_server_that_was_told_nothing_of_its_own() {
    on_each(async |db| {
        let mut town = Town::over(TestApp::over(db.clone())).await;
        let page = format!("/servers/{}", town.server);
        assert!(!town.admin.get(&page).await.body.contains("Bus address"), "nobody has said so yet");
        panel_keep_bus_url(&db, "tls://bus.example.org:4222").await.unwrap();
        let shown = town.admin.get(&page).await.body;
        assert!(
            shown.contains("tls://bus.example.org:4222 (the panel") && shown.contains("https://panel.example.org:8443 (the panel"),
            "{shown}"
        );
        for form in ["/servers/new".to_owned(), format!("{page}/edit")] {
            let form = town.admin.get(&form).await;
            assert!(
                form.body.contains("placeholder=\"tls://bus.example.org:4222\"") && form.body.contains("Empty means tls://bus"),
                "{}",
                form.body
            );
            assert_eq!(form.value("bus_url").as_deref(), Some(""));
        }
    })
    .await;
}

#[tokio::test]
async fn settings_of_a_server_are_for_admins_and_are_saved_at_once() {
    let mut town = Town::new().await;
    let edit = format!("/servers/{}/edit", town.server);
    let fields = [
        ("hostname", "new.servers.example.org"),
        ("address", "192.0.2.99"),
        ("max_accounts", "7"),
        ("role_web", "on"),
        ("role_mail", "on"),
        ("mail_hostname", "mail.example.org"),
        ("bus_url", "bus.example.org"),
        ("panel_url", "https://inside.example.org:8443"),
        ("phpmyadmin_path", "/phpmyadmin"),
        ("roundcube_path", "/webmail"),
        ("label", " Frankfurt 1 "),
        ("panel_tls", "letsencrypt"),
        ("mail_tls", "custom"),
    ];
    assert_eq!(town.alice.get(&edit).await.status, 403);
    assert_eq!(town.alice.post(&edit, &fields).await.status, 403);
    assert_eq!(town.alice.post(&format!("/servers/{}/token", town.server), &[]).await.status, 403);
    assert_eq!(town.admin.post(&format!("/servers/{}/edit", ServerId::new()), &fields).await.status, 404);
    assert_eq!(town.admin.get(&edit).await.value("address").as_deref(), Some("192.0.2.80"));

    let saved = town.admin.post(&edit, &fields).await;
    assert_eq!((saved.status.as_u16(), saved.location()), (303, format!("/servers/{}", town.server).as_str()));
    let audit = town.admin.get("/audit").await.body;
    for said in ["Display name none to Frankfurt 1", "Panel TLS selfsigned to letsencrypt", "Mail TLS selfsigned to custom"] {
        assert!(audit.contains(said), "{said}: {audit}");
    }
    assert!(audit.contains("Hostname ") && audit.contains(" to new.servers.example.org; "), "{audit}");
    let row = server_fetch(town.app.db(), town.server).await.unwrap().unwrap();
    assert_eq!((row.hostname.as_str(), row.address.as_str()), ("new.servers.example.org", "192.0.2.99"));
    assert_eq!((row.max_accounts, row.active), (Some(7), false), "a switch that is off sends nothing");
    assert_eq!(row.roles, [Role::Web, Role::Mail]);
    let places = ServerPlaces {
        label: Some("Frankfurt 1".parse().unwrap()),
        panel_tls: TlsSource::LetsEncrypt,
        mail_tls: TlsSource::Custom,
        mail_hostname: "mail.example.org".to_owned(),
        bus_url: "tls://bus.example.org:4222".to_owned(),
        panel_url: "https://inside.example.org:8443".to_owned(),
        phpmyadmin_path: "/phpmyadmin".to_owned(),
        roundcube_path: "/webmail".to_owned(),
    };
    assert_eq!(row.places, places);
    let form = town.admin.get(&edit).await;
    assert!(form.body.contains("name=\"role_mail\" checked") && !form.body.contains("name=\"role_db\" checked"), "{}", form.body);
    let page = town.admin.get(&format!("/servers/{}", town.server)).await.body;
    assert!(page.contains("mail, not reported") && page.contains("mail.example.org"), "{page}");
    assert!(page.contains(">letsencrypt<") && page.contains("<title>Frankfurt 1") && page.contains(">web1</small>"), "{page}");
    assert!(form.body.contains("value=\"letsencrypt\" selected") && form.body.contains("value=\"custom\" selected"), "{}", form.body);
    assert!(town.admin.get("/servers?role=mail").await.body.contains(">web1<"));
    assert!(!town.admin.get("/servers?role=db").await.body.contains(">web1<"));
}

#[tokio::test]
async fn a_server_is_found_by_its_display_name_and_by_its_name() {
    let mut town = Town::new().await;
    server(town.app.db(), "web2", None).await;
    let named = [("hostname", "web1.servers.example.org"), ("active", "on"), ("role_web", "on"), ("label", "Frankfurt 1")];
    assert_eq!(town.admin.post(&format!("/servers/{}/edit", town.server), &named).await.status, 303);
    for page in ["/servers?q=frankfurt", "/servers?q=web1", "/search?q=FRANKFURT", "/search?q=web1"] {
        let found = town.admin.get(page).await.body;
        assert!(found.contains("Frankfurt 1") && found.contains("web1") && !found.contains("web2.servers"), "{page}: {found}");
    }
    let choices = town.admin.get("/accounts").await.body;
    assert!(choices.contains("<option value=\"web1\">Frankfurt 1 (web1)</option>") && choices.contains("<option value=\"web2\">web2<"));
    assert!(town.admin.get("/operations").await.body.contains(">Frankfurt 1 (web1)</option>"));
    assert!(town.admin.get("/accounts/new").await.body.contains("Frankfurt 1 (web1)"));
}

#[tokio::test]
async fn an_address_that_was_not_told_follows_the_hostname() {
    let mut town = Town::new().await;
    let site = town.site("shop.example.com").await;
    town.apply_all().await;
    let edit = format!("/servers/{}/edit", town.server);
    for hostname in ["old.servers.example.org", "new.servers.example.org"] {
        let saved = town.admin.post(&edit, &[("hostname", hostname), ("active", "on"), ("role_web", "on"), ("address", "")]).await;
        assert_eq!(saved.status, 303, "{}", saved.body);
    }
    assert_eq!(town.admin.get(&edit).await.value("address").as_deref(), Some(""));
    assert!(town.alice.get(&town.alpha.clone()).await.body.contains("new.servers.example.org"));
    assert!(!town.alice.get(&site).await.body.contains("old.servers.example.org"));
    assert!(town.admin.get(&format!("/servers/{}", town.server)).await.body.contains(">new.servers.example.org<"));
    assert_eq!(site_address_by_name(town.app.db(), "shop.example.com").await.unwrap().as_deref(), Some("new.servers.example.org"));
}

#[tokio::test]
async fn settings_that_are_refused_stay_in_the_form_and_change_nothing() {
    let mut town = Town::new().await;
    let edit = format!("/servers/{}/edit", town.server);
    let before = server_fetch(town.app.db(), town.server).await.unwrap().unwrap();
    for (field, bad) in [
        ("hostname", "web1"),
        ("hostname", ""),
        ("address", "not an address"),
        ("max_accounts", "many"),
        ("max_accounts", "-1"),
        ("mail_hostname", "mail"),
        ("bus_url", "nats://bus.example.org"),
        ("panel_url", "http://panel.example.org"),
        ("phpmyadmin_path", "phpmyadmin"),
        ("roundcube_path", "/../webmail"),
        ("label", "x\u{202e}y"),
    ] {
        let mut fields = vec![
            ("hostname", "new.servers.example.org"),
            ("address", "192.0.2.99"),
            ("max_accounts", "7"),
            ("active", "on"),
            ("role_web", "on"),
        ];
        fields.retain(|(name, _)| *name != field);
        fields.push((field, bad));
        let refused = town.admin.post(&edit, &fields).await;
        assert_eq!(refused.status, 422, "{field} {bad:?}");
        for (name, typed) in &fields {
            if !matches!(*name, "active" | "role_web") {
                assert_eq!(refused.value(name).as_deref(), Some(*typed), "{name} after a bad {field}");
            }
        }
    }
    let after = server_fetch(town.app.db(), town.server).await.unwrap().unwrap();
    assert_eq!((before.hostname, before.address, before.max_accounts), (after.hostname, after.address, after.max_accounts));
}

#[tokio::test]
async fn a_server_is_deleted_by_its_name_and_not_while_accounts_live_there() {
    let mut town = Town::new().await;
    let full = format!("/servers/{}", town.server);
    let delete = format!("{full}/delete");
    assert_eq!(town.alice.get(&delete).await.status, 403);
    assert_eq!(town.alice.post(&delete, &[("confirm", "web1")]).await.status, 403);
    assert_eq!(town.admin.post(&format!("/servers/{}/delete", ServerId::new()), &[("confirm", "x")]).await.status, 404);
    let page = town.admin.get(&delete).await.body;
    assert!(page.contains("cannot be deleted yet") && page.contains("href=\"/accounts?server=web1\""), "{page}");
    assert_eq!(town.admin.post(&delete, &[("confirm", "web1")]).await.status, 409);

    let (empty, token) = added(&mut town).await;
    let delete = format!("{empty}/delete");
    assert!(town.admin.get(&empty).await.body.contains(&format!("href=\"{delete}\"")));
    let refused = town.admin.post(&delete, &[("confirm", "web1")]).await;
    assert_eq!((refused.status.as_u16(), refused.value("confirm").as_deref()), (422, Some("web1")));
    assert_eq!(town.admin.get(&empty).await.status, 200);
    let done = town.admin.post(&delete, &[("confirm", "web2")]).await;
    assert_eq!((done.status.as_u16(), done.location()), (303, "/servers"));
    assert_eq!(town.admin.get(&empty).await.status, 404);
    assert_eq!(enrol(&town.app.state.app, &request(&token)).await.unwrap(), Enrolled::Refused(Refusal::Unknown));
    added(&mut town).await;
}

#[tokio::test]
async fn the_link_to_a_servers_accounts_leads_to_them_and_to_no_others() {
    on_each(async |db| {
        let mut town = Town::over(TestApp::over(db.clone())).await;
        server(town.app.db(), "web2", None).await;
        let page = town.admin.get(&format!("/servers/{}", town.server)).await.body;
        assert!(page.contains("href=\"/accounts?server=web1\""), "{page}");
        let here = town.admin.get("/accounts?server=web1").await.body;
        assert!(here.contains(">alpha<") && here.contains(">beta<"), "{here}");
        assert!(here.contains("<option value=\"web1\" selected>") && here.contains("<option value=\"web2\">"), "{here}");
        let there = town.admin.get("/accounts?server=web2").await.body;
        assert!(!there.contains(">alpha<") && there.contains("No accounts match"), "{there}");
        assert!(!town.alice.get("/accounts").await.body.contains("name=\"server\""), "a client chooses among no servers");
        for (filter, total) in [(Some("web1"), 2), (Some("web2"), 0), (None, 2)] {
            let query = ListQuery { server: filter.unwrap_or_default().to_owned(), ..ListQuery::default() };
            let actor = Actor::gantry();
            let model = account_list_model(&town.app.state, &actor, &query, None).await.unwrap();
            assert_eq!(model.listing.total, total, "{filter:?}");
        }
    })
    .await;
}

#[tokio::test]
async fn a_deleted_servers_keys_stay_revoked_and_its_name_is_free_on_each_database() {
    on_each(async |db: Db| {
        let id = server(&db, "web7", None).await;
        let name = "web7".parse().unwrap();
        let mut tx = db.write().await.unwrap();
        assert!(server_end_in_tx(&mut tx, id).await.unwrap().is_some());
        assert!(server_end_in_tx(&mut tx, id).await.unwrap().is_none(), "there is none any more");
        tx.commit().await.unwrap();
        let revoked = revocation_list(&db, &name).await.unwrap();
        assert_eq!(revoked.iter().map(|key| key.public_key.as_str()).collect::<Vec<_>>(), [format!("U{}", "A".repeat(55))]);
        let ended = ended_server_list(&db).await.unwrap();
        assert_eq!((ended.len(), &ended[0].name, ended[0].stream.as_str(), ended[0].closed), (1, &name, "CMD_0", false));
        ended_server_mark_closed(&db, &name).await.unwrap();
        assert!(ended_server_list(&db).await.unwrap()[0].closed);

        server(&db, "web7", None).await;
        assert!(ended_server_list(&db).await.unwrap().is_empty(), "a server of the name is there again");
        assert_eq!(revocation_list(&db, &name).await.unwrap(), revoked);
    })
    .await;
}

#[tokio::test]
async fn a_server_has_a_role_and_keeps_web_while_accounts_live_there() {
    let mut town = Town::new().await;
    let edit = format!("/servers/{}/edit", town.server);
    let named = [("hostname", "web1.servers.example.org"), ("active", "on")];
    let refused = town.admin.post(&edit, &named).await;
    assert!(refused.status == 422 && refused.body.contains("Choose at least one role."), "{}", refused.body);
    let without_web = [named.as_slice(), &[("role_db", "on")]].concat();
    let refused = town.admin.post(&edit, &without_web).await;
    assert!(refused.status == 422 && refused.body.contains("so it keeps the role web"), "{}", refused.body);
    assert_eq!(server_fetch(town.app.db(), town.server).await.unwrap().unwrap().roles, [Role::Web]);
}

#[tokio::test]
async fn a_server_is_switched_off_and_on_for_new_accounts() {
    let mut town = Town::new().await;
    let switch = format!("/servers/{}/active", town.server);
    assert_eq!(town.alice.post(&switch, &[("active", "")]).await.status, 403);
    assert_eq!(town.admin.post(&format!("/servers/{}/active", ServerId::new()), &[("active", "")]).await.status, 404);

    let off = town.admin.post(&switch, &[("active", ""), ("back", "/servers?q=web")]).await;
    assert_eq!((off.status.as_u16(), off.location()), (303, "/servers?q=web"));
    assert!(!server_fetch(town.app.db(), town.server).await.unwrap().unwrap().active);
    assert!(town.admin.get("/servers").await.body.contains(r#"aria-checked="false""#));
    assert!(town.admin.get("/audit").await.body.contains("takes no new accounts"));

    let on = town.admin.post(&switch, &[("active", "on"), ("back", "//evil.example/")]).await;
    assert_eq!(on.location(), "/", "another host is no way back");
    assert!(server_fetch(town.app.db(), town.server).await.unwrap().unwrap().active);
}

#[tokio::test]
async fn a_servers_load_is_kept_once_a_minute_for_a_day() {
    on_each(async |db: Db| {
        let web1 = server(&db, "web1", None).await;
        keep_samples(&db, web1, &[(-26 * 60, 9.0), (-600, 5.0), (-599, 7.0), (-2, 0.25), (-2, 8.0)]).await;
        let loads: Vec<_> = server_sample_list(&db, web1, 0).await.unwrap().iter().map(|sample| sample.load_centi).collect();
        assert_eq!(loads, [500, 700, 25], "the oldest is gone, and of a minute the first stays");
        let newest = server_sample_list(&db, web1, minute_of(now_ms()) - 60).await.unwrap();
        assert_eq!(newest.len(), 1);
    })
    .await;
}

#[tokio::test]
async fn a_servers_page_draws_an_hour_or_a_day() {
    let mut town = Town::new().await;
    keep_samples(town.app.db(), town.server, &[(-601, 5.0), (-600, 7.0), (-2, 0.25)]).await;
    let page = format!("/servers/{}", town.server);
    let hour = town.admin.get(&page).await.body;
    assert!(hour.contains("Load of web1: 0.25 at last, 0.25 at most"), "{hour}");
    let day = town.admin.get(&format!("{page}?span=day")).await.body;
    assert!(day.contains("Load of web1: 0.25 at last, ") && !day.contains("0.25 at most"), "{day}");
    assert_eq!(town.alice.get(&page).await.status, 403);
}

#[tokio::test]
async fn a_server_that_does_not_answer_any_more_still_says_how_big_it_is_and_what_runs_on_it() {
    let mut town = Town::new().await;
    let mut last = heartbeat("web1");
    last.host = HostFacts { os: "Debian".to_owned(), cpus: 12, memory_mib: 6144, disk_mib: 250 * 1024, ..HostFacts::default() };
    last.roles[0].summary = "nginx 1.22.1".to_owned();
    let mut tx = town.app.db().write().await.unwrap();
    server_heartbeat_in_tx(&mut tx, town.server, &last, now_ms()).await.unwrap();
    sqlx::query("UPDATE servers SET online = 0").execute(&mut *tx).await.unwrap();
    tx.commit().await.unwrap();
    let page = town.admin.get(&format!("/servers/{}", town.server)).await.body;
    assert!(page.contains("No data while it does not answer."), "{page}");
    for fact in ["<dt>Cores</dt><dd>12</dd>", "<dt>Memory</dt><dd>6 GB</dd>", "<dt>Disk</dt><dd>250 GB</dd>", "nginx 1.22.1"] {
        assert!(page.contains(fact), "{fact}: {page}");
    }
}

/// Minutes from now, and the load then; in the order of time.
async fn keep_samples(db: &Db, server: ServerId, samples: &[(i64, f64)]) {
    let now = minute_of(now_ms());
    let mut tx = db.write().await.unwrap();
    for (minute, load1) in samples {
        let host = HostFacts { load1: *load1, ..HostFacts::default() };
        server_sample_keep_in_tx(&mut tx, server, now + minute, &host).await.unwrap();
    }
    tx.commit().await.unwrap();
}

#[tokio::test]
async fn a_worker_that_is_shut_out_is_nobody_until_another_one_joins() {
    on_each(async |db| {
        let mut town = Town::over(TestApp::over(db.clone())).await;
        let page = format!("/servers/{}", town.server);
        let action = format!("{page}/shut-out");
        let before = server_fetch(town.app.db(), town.server).await.unwrap().unwrap();
        let key = before.public_key.clone().expect("its worker has joined");
        assert!(town.admin.get(&page).await.body.contains(&action));
        assert_eq!(town.alice.get(&action).await.status, 403);
        assert_eq!(town.alice.post(&action, &[("confirm", "web1")]).await.status, 403);
        let refused = town.admin.post(&action, &[("confirm", "web2")]).await;
        assert_eq!(refused.status, 422);
        assert!(refused.body.contains("Type web1 to confirm.") && refused.value("confirm").as_deref() == Some("web2"), "{}", refused.body);
        assert!(revocation_list(town.app.db(), &before.name).await.unwrap().is_empty());

        // One that asked to join as it, and has no answer yet, gets none.
        let mut tx = town.app.db().write().await.unwrap();
        enrolment_insert_in_tx(&mut tx, town.server, &token_hash("early"), now_ms() + 60_000).await.unwrap();
        tx.commit().await.unwrap();
        let Enrolled::Waiting(_) = enrol(&town.app.state.app, &request("early")).await.unwrap() else { panic!("it may ask") };
        let early = enrolment_list_pending(town.app.db()).await.unwrap().remove(0);
        assert_eq!(town.admin.post(&action, &[("confirm", "web1")]).await.location(), page);
        assert!(enrolment_list_pending(town.app.db()).await.unwrap().is_empty());
        let mut tx = town.app.db().write().await.unwrap();
        assert!(!enrolment_answer_in_tx(&mut tx, &early, "{}").await.unwrap(), "not even the one that was being made");
        tx.commit().await.unwrap();
        let revoked = revocation_list(town.app.db(), &before.name).await.unwrap();
        assert_eq!(revoked.iter().map(|one| one.public_key.as_str()).collect::<Vec<_>>(), [key.as_str()]);
        // What it said last, and what was heard too late, brings nobody back.
        let mut tx = town.app.db().write().await.unwrap();
        server_heartbeat_in_tx(&mut tx, town.server, &heartbeat("web1"), now_ms()).await.unwrap();
        tx.commit().await.unwrap();
        let row = server_fetch(town.app.db(), town.server).await.unwrap().unwrap();
        assert!(!row.online && row.public_key.is_none() && row.shut_out_ms.is_some());
        let shown = town.admin.get(&page).await.body;
        assert!(shown.contains("is shut out since") && shown.contains(&format!("{page}/token")), "{shown}");
        assert!(town.admin.get("/servers?state=offline").await.body.contains("Shut out"));
        assert!(town.admin.get("/audit").await.body.contains("Shut out worker"));
        assert_eq!(town.admin.post(&action, &[("confirm", "web1")]).await.status, 409, "there is nobody to shut out");

        let token = token_in(&town.admin.post(&format!("{page}/token"), &[]).await);
        let Enrolled::Waiting(_) = enrol(&town.app.state.app, &request(&token)).await.unwrap() else { panic!("it may join") };
        let mut tx = town.app.db().write().await.unwrap();
        let pending = enrolment_list_pending(town.app.db()).await.unwrap().remove(0);
        assert!(enrolment_answer_in_tx(&mut tx, &pending, "{}").await.unwrap());
        tx.commit().await.unwrap();
        let row = server_fetch(town.app.db(), town.server).await.unwrap().unwrap();
        assert!(row.public_key.is_some() && row.shut_out_ms.is_none());

        // The same key again: what was signed for it since the first time is worth as little.
        let revoked_at = async || {
            let revoked = revocation_list(town.app.db(), &before.name).await.unwrap();
            revoked.iter().find(|one| Some(&one.public_key) == row.public_key.as_ref()).map(|one| one.at_s)
        };
        for _ in 0..2 {
            assert_eq!(town.admin.post(&action, &[("confirm", "web1")]).await.location(), page);
            assert!(revoked_at().await.unwrap() > 1);
            let mut tx = town.app.db().write().await.unwrap();
            sqlx::query("UPDATE revocations SET at_ms = 0").execute(&mut *tx).await.unwrap();
            sqlx::query("UPDATE servers SET public_key = $1").bind(row.public_key.as_deref()).execute(&mut *tx).await.unwrap();
            tx.commit().await.unwrap();
        }
    })
    .await;
}
