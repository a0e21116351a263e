//! Accounts, from the form to the queue.

use shared::jobs::{Job, PoolPresence, Presence, ResourceKind};
use web::store::user::UserRole;

use crate::support::app::TestApp;
use crate::support::fleet::{Town, open_jobs, person, server, signed_in};

const KEY: &str = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJ4Yb0yVw8jYkT0o1Yp2rSQqJm8a5L0yS9Jx3X5cV0aB me@laptop";

#[tokio::test]
async fn accounts_get_different_uids_and_a_taken_name_is_said_beside_its_field() {
    let mut town = Town::new().await;
    let uids: Vec<(i64,)> = sqlx::query_as("SELECT uid FROM accounts ORDER BY uid").fetch_all(town.app.db().read()).await.unwrap();
    assert_eq!(uids, [(200_000,), (200_001,)]);
    let (owner,): (String,) = sqlx::query_as("SELECT id FROM users WHERE login = 'bob'").fetch_one(town.app.db().read()).await.unwrap();
    let taken = town.admin.post("/accounts", &[("owner", &owner), ("user", "alpha")]).await;
    assert_eq!((taken.status.as_u16(), taken.value("user").as_deref()), (422, Some("alpha")));
    assert!(taken.body.contains("exists already"));
}

#[tokio::test]
async fn an_account_is_placed_on_the_least_loaded_server_with_room() {
    let app = TestApp::start().await;
    let (small, large) = (server(app.db(), "small", Some(1)).await, server(app.db(), "large", None).await);
    person(&app, "root", UserRole::Admin).await;
    let owner = person(&app, "alice", UserRole::Client).await.to_string();
    let mut admin = signed_in(&app, "root").await;
    for user in ["one", "two", "three"] {
        assert_eq!(admin.post("/accounts", &[("owner", &owner), ("user", user)]).await.status, 303);
    }
    let placed: Vec<(String,)> =
        sqlx::query_as("SELECT server_id FROM account_servers p JOIN accounts a ON a.id = p.account_id ORDER BY a.uid")
            .fetch_all(app.db().read())
            .await
            .unwrap();
    let placed: Vec<&str> = placed.iter().map(|row| row.0.as_str()).collect();
    assert_eq!(placed, [large.to_string(), small.to_string(), large.to_string()]);
    let why: Vec<(String, String)> =
        sqlx::query_as("SELECT id, placed FROM operations ORDER BY id").fetch_all(app.db().read()).await.unwrap();
    assert_eq!(why[0].1, "Of 2 web servers that were online and had room, the one with the fewest accounts: it had 0 accounts.");
    assert_eq!(why[2].1, "The only web server that was online and had room. It had 1 account then.");
    let page = format!("/operations/{}", why[2].0);
    assert!(admin.get(&page).await.body.contains(&why[2].1));
    assert!(!signed_in(&app, "alice").await.get(&page).await.body.contains("Why there"), "how full servers are is not for clients");
    let full = admin.post("/accounts", &[("owner", &owner), ("user", "four"), ("server", &small.to_string())]).await;
    assert_eq!(full.status, 422);
}

#[tokio::test]
async fn an_account_with_a_site_is_placed_where_its_php_is_unless_a_server_was_chosen() {
    let app = TestApp::start().await;
    let (old, new) = (server(app.db(), "old", None).await, server(app.db(), "xnew", None).await);
    for (id, versions) in [(old, r#"["8.2"]"#), (new, r#"["8.2","8.4"]"#)] {
        let mut tx = app.db().write().await.unwrap();
        sqlx::query("UPDATE servers SET php_versions = $1 WHERE id = $2")
            .bind(versions)
            .bind(id.to_string())
            .execute(&mut *tx)
            .await
            .unwrap();
        tx.commit().await.unwrap();
    }
    person(&app, "root", UserRole::Admin).await;
    let owner = person(&app, "alice", UserRole::Client).await.to_string();
    let mut admin = signed_in(&app, "root").await;
    let form = |user: &'static str, domain, php, server| {
        [("owner", owner.clone()), ("user", user.to_owned()), ("domain", domain), ("php", php), ("server", server)]
    };
    let mut ask = async |user, domain: &str, php: &str, server: &str| {
        let fields = form(user, domain.to_owned(), php.to_owned(), server.to_owned());
        admin.post("/accounts", &fields.each_ref().map(|(name, value)| (*name, value.as_str()))).await
    };
    // The second has as many accounts by then, and comes later by name.
    assert_eq!(ask("one", "one.example", "8.4", "").await.status, 303);
    assert_eq!(ask("two", "", "8.4", "").await.status, 303);
    let refused = ask("three", "three.example", "8.3", "").await;
    assert_eq!(refused.status, 422);
    assert!(refused.body.contains("No server that takes accounts now has PHP 8.3."), "{}", refused.body);
    let refused = ask("three", "three.example", "8.4", &old.to_string()).await;
    assert!(refused.status == 422 && refused.body.contains("PHP 8.4 is not installed on old."), "{}", refused.body);
    let placed: Vec<(String, String)> =
        sqlx::query_as("SELECT p.server_id, o.placed FROM account_servers p JOIN accounts a ON a.id = p.account_id JOIN operations o ON o.id = a.last_operation_id ORDER BY a.uid")
            .fetch_all(app.db().read())
            .await
            .unwrap();
    assert_eq!(placed.iter().map(|row| row.0.as_str()).collect::<Vec<_>>(), [new.to_string(), old.to_string()]);
    assert_eq!(placed[0].1, "The only web server that was online and had room and PHP 8.4. It had 0 accounts then.");

    // The site's own page knows the request that has made it with its account.
    let (site,): (String,) = sqlx::query_as("SELECT id FROM sites").fetch_one(app.db().read()).await.unwrap();
    let page = admin.get(&format!("/sites/{site}")).await.body;
    assert!(page.contains("Create account <span class=\"strong\">one</span>"), "{page}");
}

#[tokio::test]
async fn an_sftp_password_is_shown_once_and_travels_sealed() {
    let mut town = Town::new().await;
    let path = town.alpha.clone();
    let answer = town.alice.post(&format!("{path}/sftp-password"), &[]).await;
    assert_eq!(answer.status, 200);
    assert_eq!(answer.value("back").as_deref(), Some(path.as_str()), "the theme's switch leads to a page");
    let jobs = open_jobs(town.app.db()).await;
    let Job::Account(spec) = &jobs[0].job else { panic!("no account") };
    assert!(spec.sftp.password.is_some());
    assert!(!serde_json::to_string(&jobs[0].job).unwrap().contains("$6$"));
    let again = town.alice.get(&path).await;
    let shown: Vec<&str> =
        answer.body.split(['<', '>', '"', ' ']).filter(|word| word.len() == 23 && word.matches('-').count() == 3).collect();
    assert!(!shown.is_empty(), "the password is on the page");
    assert!(shown.iter().all(|password| !again.body.contains(password)));
}

#[tokio::test]
async fn sftp_keys_are_added_once_and_removed() {
    let mut town = Town::new().await;
    let keys = format!("{}/sftp-keys", town.alpha);
    assert_eq!(town.alice.post(&keys, &[("key", KEY)]).await.status, 303);
    let twice = town.alice.post(&keys, &[("key", KEY)]).await;
    assert_eq!((twice.status.as_u16(), twice.value("key").unwrap().trim()), (422, KEY));
    assert_eq!(town.alice.post(&keys, &[("key", "-----BEGIN OPENSSH PRIVATE KEY-----")]).await.status, 422);
    let jobs = open_jobs(town.app.db()).await;
    let Job::Account(spec) = &jobs.last().unwrap().job else { panic!("no account") };
    let fingerprint = spec.sftp.keys[0].fingerprint();
    assert_eq!(town.alice.post(&format!("{keys}/remove"), &[("fingerprint", &fingerprint)]).await.status, 303);
    assert_eq!(town.alice.post(&format!("{keys}/remove"), &[("fingerprint", &fingerprint)]).await.status, 404);
    let open = open_jobs(town.app.db()).await;
    assert_eq!(open.len(), 1, "older states were coalesced away");
    let Job::Account(spec) = &open[0].job else { panic!("no account") };
    assert!(spec.sftp.keys.is_empty());
}

#[tokio::test]
async fn suspending_an_account_takes_all_it_holds_along_and_brings_back_exactly_what_was() {
    let mut town = Town::new().await;
    town.site("one.example.com").await;
    let two = town.site("two.example.com").await;
    town.apply_all().await;
    town.alice.post(&format!("{two}/suspend"), &[]).await;
    town.apply_all().await;
    assert_eq!(town.admin.post(&format!("{}/suspend", town.alpha), &[]).await.status, 303);
    let jobs = open_jobs(town.app.db()).await;
    let kinds: Vec<ResourceKind> = jobs.iter().map(|job| job.resource.kind()).collect();
    assert_eq!(kinds, [ResourceKind::Site, ResourceKind::PhpPool, ResourceKind::Account], "visitors see the page before anything stops");
    assert!(matches!(&jobs[1].job, Job::PhpPool(spec) if spec.presence == PoolPresence::Suspended));
    town.apply_all().await;
    assert_eq!(town.admin.post(&format!("{}/unsuspend", town.alpha), &[]).await.status, 303);
    let jobs = open_jobs(town.app.db()).await;
    let kinds: Vec<ResourceKind> = jobs.iter().map(|job| job.resource.kind()).collect();
    assert_eq!(kinds, [ResourceKind::Account, ResourceKind::PhpPool, ResourceKind::Site]);
    assert!(matches!(&jobs[2].job, Job::Site(spec) if spec.domain.as_str() == "one.example.com" && spec.presence == Presence::Active));
}

#[tokio::test]
async fn deleting_an_account_takes_sites_then_pools_then_the_user() {
    let mut town = Town::new().await;
    town.site("one.example.com").await;
    assert_eq!(town.admin.post(&format!("{}/delete", town.alpha), &[("confirm", "beta")]).await.status, 422);
    assert_eq!(town.admin.post(&format!("{}/delete", town.alpha), &[("confirm", "alpha")]).await.status, 303);
    let jobs = open_jobs(town.app.db()).await;
    let deletions: Vec<ResourceKind> = jobs.iter().filter(|job| job.job.is_deletion()).map(|job| job.resource.kind()).collect();
    assert_eq!(deletions, [ResourceKind::Site, ResourceKind::PhpPool, ResourceKind::Account]);
    assert_eq!(jobs.last().unwrap().requires.len(), 2);
    town.apply_all().await;
    for table in ["accounts WHERE linux_user = 'alpha'", "sites", "site_names", "domain_claims", "php_pools"] {
        let (left,): (i64,) =
            sqlx::query_as(sqlx::AssertSqlSafe(format!("SELECT COUNT(*) FROM {table}"))).fetch_one(town.app.db().read()).await.unwrap();
        assert_eq!(left, 0, "{table}");
    }
}

#[tokio::test]
async fn php_settings_outside_their_range_are_refused_with_what_was_typed() {
    let mut town = Town::new().await;
    town.site("one.example.com").await;
    town.apply_all().await;
    let path = format!("{}/php/8.2", town.alpha);
    let good = [
        ("memory_limit_mib", "512"),
        ("max_execution_time_s", "60"),
        ("max_input_time_s", "60"),
        ("max_input_vars", "5000"),
        ("post_max_size_mib", "64"),
        ("upload_max_filesize_mib", "64"),
        ("pm", "ondemand"),
        ("max_children", "10"),
        ("idle_timeout_s", "20"),
        ("max_requests", "1000"),
    ];
    let mut bad = good;
    bad[0].1 = "1G\nauto_prepend_file=/x";
    let refused = town.alice.post(&path, &bad).await;
    assert_eq!(refused.status, 422);
    assert_eq!(town.alice.post(&path, &good).await.status, 303);
    let jobs = open_jobs(town.app.db()).await;
    assert!(matches!(&jobs[0].job, Job::PhpPool(spec) if spec.settings.memory_limit_mib == 512));
    assert_eq!(town.alice.get(&format!("{}/php/8.3", town.alpha)).await.status, 404);
}

#[tokio::test]
async fn an_owner_is_found_by_what_they_sign_in_with_however_many_clients_there_are() {
    let mut town = Town::new().await;
    for n in 0..12 {
        person(&town.app, &format!("client{n}"), UserRole::Client).await;
    }
    let form = town.admin.get("/accounts/new").await;
    assert_eq!(form.value("owner").as_deref(), Some(""), "too many for a list: they are found by typing");
    assert!(form.body.contains("<option value=\"client7\">client7 Person</option>"), "{}", form.body);
    let refused = town.admin.post("/accounts", &[("owner", "nobody7"), ("user", "gamma")]).await;
    assert_eq!((refused.status.as_u16(), refused.value("owner").as_deref()), (422, Some("nobody7")));
    let created = town.admin.post("/accounts", &[("owner", " Client7 "), ("user", "gamma")]).await;
    assert_eq!(created.status, 303, "{}", created.body);
    assert!(town.admin.get(created.location()).await.body.contains("client7 Person"));

    let alice: (String,) = sqlx::query_as("SELECT id FROM users WHERE login = 'alice'").fetch_one(town.app.db().read()).await.unwrap();
    let chosen = town.admin.get(&web::paths::account_new_for(alice.0.parse().unwrap())).await;
    assert_eq!(chosen.value("owner").as_deref(), Some("alice"));
}

#[tokio::test]
async fn an_account_is_found_by_its_user_and_never_one_of_somebody_elses() {
    let mut town = Town::new().await;
    let own = town.alice.post("/sites", &[("account", "alpha"), ("domain", "shop.example.com"), ("php", "8.2")]).await;
    assert_eq!(own.status, 303, "{}", own.body);
    let foreign = town.alice.post("/sites", &[("account", "beta"), ("domain", "stolen.example.net"), ("php", "8.2")]).await;
    let missing = town.alice.post("/sites", &[("account", "nothere"), ("domain", "stolen.example.net"), ("php", "8.2")]).await;
    assert_eq!((foreign.status.as_u16(), missing.status.as_u16()), (422, 422));
    assert!(foreign.body.contains("There is no such account") && missing.body.contains("There is no such account"));
}
