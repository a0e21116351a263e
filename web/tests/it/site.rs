//! Sites, from the form to the queue.

use shared::jobs::{Job, Presence, ResourceKind};
use web::app::signal::Signal;

use crate::support::app::TestApp;
use crate::support::db::on_each;
use crate::support::fleet::{Town, apply_all, fail_all, open_jobs};

async fn kinds(town: &Town) -> Vec<(ResourceKind, bool)> {
    open_jobs(town.app.db()).await.iter().map(|job| (job.resource.kind(), job.job.is_deletion())).collect()
}

#[tokio::test]
async fn a_new_site_is_recorded_with_its_jobs_in_order_and_dispatch_is_told() {
    let mut town = Town::new().await;
    town.app.signals.take();
    let site = town.site("Bücher.Example.com").await;
    let jobs = open_jobs(town.app.db()).await;
    let kinds: Vec<ResourceKind> = jobs.iter().map(|job| job.resource.kind()).collect();
    assert_eq!(kinds, [ResourceKind::PhpPool, ResourceKind::Site]);
    let needs: Vec<ResourceKind> = jobs[1].requires.iter().map(|needed| needed.resource.kind()).collect();
    assert_eq!(needs, [ResourceKind::Account, ResourceKind::PhpPool]);
    let Job::Site(spec) = &jobs[1].job else { panic!("no site") };
    assert_eq!((spec.domain.as_str(), spec.document_root.as_str()), ("xn--bcher-kva.example.com", "xn--bcher-kva.example.com"));
    assert!(town.app.signals.take().contains(&Signal::JobsQueued(town.server)));
    let page = town.alice.get(&site).await;
    assert_eq!(page.status, 200);
    assert!(page.body.contains("bücher.example.com"));
}

#[tokio::test]
async fn a_second_site_of_the_same_version_shares_the_pool() {
    let mut town = Town::new().await;
    town.site("one.example.com").await;
    town.apply_all().await;
    town.site("two.example.com").await;
    assert_eq!(kinds(&town).await, [(ResourceKind::Site, false)]);
}

#[tokio::test]
async fn a_refused_form_keeps_every_value_and_says_why_beside_the_field() {
    let mut town = Town::new().await;
    let account = Town::id(&town.alpha).to_owned();
    let fields = [
        ("account", account.as_str()),
        ("domain", "not a domain"),
        ("aliases", "www.fine.example"),
        ("document_root", "../etc"),
        ("php", "8.3"),
    ];
    let answer = town.alice.post("/sites", &fields).await;
    assert_eq!(answer.status, 422);
    assert_eq!(answer.value("domain").as_deref(), Some("not a domain"));
    assert_eq!(answer.value("aliases").unwrap().trim(), "www.fine.example");
    assert_eq!(answer.value("document_root").as_deref(), Some("../etc"));
    assert!(answer.body.contains("Folder names have letters"), "{}", answer.body);
    assert!(open_jobs(town.app.db()).await.is_empty());
}

#[tokio::test]
async fn s63_every_spelling_of_a_domain_belongs_to_whoever_claimed_it_first() {
    let mut town = Town::new().await;
    town.site("bücher.victim.example.com").await;
    let beta = Town::id(&town.beta).to_owned();
    for name in [
        "example.com",
        "victim.example.com",
        "x.victim.example.com",
        "EXAMPLE.com",
        "example.com.",
        "xn--bcher-kva.victim.example.com",
        "BÜCHER.victim.example.com",
        "ｅxample.com",
    ] {
        let answer = town.bob.post("/sites", &[("account", &beta), ("domain", name), ("php", "static")]).await;
        assert_eq!(answer.status, 422, "{name} as a domain");
        for alias in [name.to_owned(), format!("*.{}", name.trim_end_matches('.'))] {
            let fields = [("account", beta.as_str()), ("domain", "bob.example.net"), ("aliases", alias.as_str()), ("php", "static")];
            assert_eq!(town.bob.post("/sites", &fields).await.status, 422, "{alias} as an alias");
        }
    }
    let free = town.bob.post("/sites", &[("account", &beta), ("domain", "bob.example.net"), ("php", "static")]).await;
    assert_eq!(free.status, 303, "what was refused left no claim behind");
}

#[tokio::test]
async fn s64_s66_public_suffixes_and_the_panels_own_names_are_refused() {
    let mut town = Town::new().await;
    let account = Town::id(&town.alpha).to_owned();
    for name in [
        "co.uk",
        "github.io",
        "panel.example.org",
        "example.org",
        "x.panel.example.org",
        "web1.servers.example.org",
        "localhost",
        "127.0.0.1",
    ] {
        let answer = town.alice.post("/sites", &[("account", &account), ("domain", name), ("php", "static")]).await;
        assert_eq!(answer.status, 422, "{name}");
    }
    let lab = town.alice.post("/sites", &[("account", &account), ("domain", "shop.localhost"), ("php", "static")]).await;
    assert_eq!(lab.status, 303);
}

#[tokio::test]
async fn the_same_form_sent_twice_is_one_request() {
    let mut town = Town::new().await;
    let account = Town::id(&town.alpha).to_owned();
    let fields = [("account", account.as_str()), ("domain", "shop.example.com"), ("php", "static"), ("key", "form-1")];
    let (first, second) = (town.alice.post("/sites", &fields).await, town.alice.post("/sites", &fields).await);
    assert_eq!((first.status.as_u16(), second.status.as_u16()), (303, 303));
    assert_eq!(first.location(), second.location());
    assert_eq!(open_jobs(town.app.db()).await.len(), 1);
}

#[tokio::test]
async fn s69_of_fifty_requests_for_one_name_exactly_one_succeeds() {
    on_each(async |db| {
        let town = Town::over(TestApp::over(db)).await;
        let account = Town::id(&town.alpha).to_owned();
        let requests = (0..50).map(|_| {
            let (mut alice, account) = (town.alice.clone(), account.clone());
            tokio::spawn(async move {
                alice.post("/sites", &[("account", &account), ("domain", "shop.example.com"), ("php", "8.2")]).await.status.as_u16()
            })
        });
        let mut statuses = Vec::new();
        for request in requests.collect::<Vec<_>>() {
            statuses.push(request.await.unwrap());
        }
        assert_eq!(statuses.iter().filter(|status| **status == 303).count(), 1);
        assert_eq!(statuses.iter().filter(|status| **status == 422).count(), 49);
    })
    .await;
}

#[tokio::test]
async fn another_php_version_moves_the_site_first_and_lets_the_old_pool_go_after() {
    let mut town = Town::new().await;
    let site = town.site("shop.example.com").await;
    town.apply_all().await;
    assert_eq!(town.alice.post(&format!("{site}/edit"), &[("php", "8.3")]).await.status, 303);
    assert_eq!(kinds(&town).await, [(ResourceKind::PhpPool, false), (ResourceKind::Site, false), (ResourceKind::PhpPool, true)]);
    let jobs = open_jobs(town.app.db()).await;
    assert_eq!((jobs[2].requires[0].resource, jobs[2].requires[0].generation), (jobs[1].resource, jobs[1].generation));
    town.apply_all().await;
    let pools: Vec<(String,)> = sqlx::query_as("SELECT version FROM php_pools").fetch_all(town.app.db().read()).await.unwrap();
    assert_eq!(pools, [("8.3".to_owned(),)]);
    let missing = town.alice.post(&format!("{site}/edit"), &[("php", "7.4")]).await;
    assert_eq!(missing.status, 422, "the server does not report this version");
}

#[tokio::test]
async fn a_suspended_site_comes_back_as_it_was() {
    let mut town = Town::new().await;
    let site = town.site("shop.example.com").await;
    town.apply_all().await;
    for (path, presence) in [("suspend", Presence::Suspended), ("unsuspend", Presence::Active)] {
        assert_eq!(town.alice.post(&format!("{site}/{path}"), &[]).await.status, 303);
        let jobs = open_jobs(town.app.db()).await;
        let Job::Site(spec) = &jobs[0].job else { panic!("no site") };
        assert_eq!(spec.presence, presence);
        town.apply_all().await;
        assert_eq!(town.alice.post(&format!("{site}/{path}"), &[]).await.status, 409, "{path} again");
    }
}

#[tokio::test]
async fn a_deleted_site_frees_its_names_only_when_it_is_gone_from_the_server() {
    let mut town = Town::new().await;
    let site = town.site("shop.example.com").await;
    town.apply_all().await;
    let wrong = town.alice.post(&format!("{site}/delete"), &[("confirm", "shop.example")]).await;
    assert_eq!((wrong.status.as_u16(), wrong.value("confirm").as_deref()), (422, Some("shop.example")));
    assert_eq!(town.alice.post(&format!("{site}/delete"), &[("confirm", "shop.example.com")]).await.status, 303);
    assert_eq!(kinds(&town).await, [(ResourceKind::Site, true), (ResourceKind::PhpPool, true)]);
    let beta = Town::id(&town.beta).to_owned();
    let fields = [("account", beta.as_str()), ("domain", "shop.example.com"), ("php", "static")];
    assert_eq!(town.bob.post("/sites", &fields).await.status, 422);
    town.apply_all().await;
    assert_eq!(town.alice.get(&site).await.status, 404);
    assert_eq!(town.bob.post("/sites", &fields).await.status, 303);
}

#[tokio::test]
async fn a_failed_site_explains_itself_to_clients_without_raw_output_and_retries() {
    let mut town = Town::new().await;
    let site = town.site("shop.example.com").await;
    fail_all(town.app.db()).await;
    let page = town.alice.get(&site).await;
    assert!(page.body.contains("did not answer a test request") && page.body.contains("Everything was put back"), "{}", page.body);
    assert!(!page.body.contains("raw nginx output"));
    let (operation,): (String,) =
        sqlx::query_as("SELECT id FROM operations WHERE kind = 'site.create'").fetch_one(town.app.db().read()).await.unwrap();
    assert!(!town.alice.get(&format!("/operations/{operation}")).await.body.contains("raw nginx output"));
    assert!(town.admin.get(&format!("/operations/{operation}")).await.body.contains("raw nginx output"));
    assert_eq!(town.alice.post(&format!("{site}/retry"), &[]).await.status, 303);
    let jobs = open_jobs(town.app.db()).await;
    assert!(jobs.iter().all(|job| job.attempt == 2) && jobs.len() == 2);
    apply_all(town.app.db()).await;
    assert_eq!(town.alice.post(&format!("{site}/retry"), &[]).await.status, 409, "there is nothing left to retry");
}

#[tokio::test]
async fn the_pager_counts_what_filter_and_search_leave() {
    let mut town = Town::new().await;
    town.site("shop.example.com").await;
    town.apply_all().await;
    town.site("blog.example.net").await;
    fail_all(town.app.db()).await;
    for (query, pager) in
        [("", "1 to 2 of 2"), ("?state=failed", "1 to 1 of 1"), ("?q=blog", "1 to 1 of 1"), ("?q=shop&state=active", "1 to 1 of 1")]
    {
        let page = town.alice.get(&format!("/sites{query}")).await;
        assert!(page.body.contains(pager), "{query}: {}", page.body);
    }
    let none = town.alice.get("/sites?state=suspended").await;
    assert!(none.body.contains("No sites match") && !none.body.contains("aria-label=\"Pages\""), "{}", none.body);
}
