//! Any change shows its plan before it is made: the question, the plan, and nothing kept of either.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

use shared::difference::Difference;
use shared::events::{Configured, SiteConfiguration};
use shared::jobs::{Generation, Job, Presence, ResourceKey};
use shared::live_read::{About, Ask, MOST_PROPOSALS, Planned, Proposal, Says};
use web::app::preview::{Saying, Workers};
use web::dispatch::drift::configured_apply_in_tx;
use web::store::Db;

use crate::support::app::{Answer, Browser, TestApp};
use crate::support::db::on_each;
use crate::support::fleet::{Town, fail_all, open_jobs, server};

const KEY: &str = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJ4Yb0yVw8jYkT0o1Yp2rSQqJm8a5L0yS9Jx3X5cV0aB me@laptop";

/// Workers that would change something about everything, and find that somebody was there before.
#[derive(Default)]
struct Planners {
    asked: Mutex<Vec<Ask>>,
    away: AtomicBool,
}

impl Workers for Planners {
    fn ask(&self, ask: Ask) -> Saying<'_> {
        let About::Plan { proposals } = &ask.about else { return Box::pin(std::future::ready(None)) };
        let planned = |proposal: &Proposal| Planned {
            resource: proposal.resource,
            differences: vec![
                Difference::Fact { text: format!("Make {} so on {}.", proposal.resource, ask.server) },
                Difference::File { path: "/etc/a.conf".to_owned(), diff: "-by hand\n".to_owned() },
            ],
            by_hand: true,
            refused: None,
        };
        let plans = proposals.iter().map(planned).collect();
        self.asked.lock().unwrap().push(ask);
        Box::pin(std::future::ready((!self.away.load(Ordering::Relaxed)).then_some(Says::Plans { plans })))
    }
}

impl Planners {
    /// The states that were asked about since the last time.
    fn jobs(&self) -> Vec<Job> {
        let asked = std::mem::take(&mut *self.asked.lock().unwrap());
        let proposals = asked.into_iter().flat_map(|ask| match ask.about {
            About::Plan { proposals } => proposals,
            About::Drift => Vec::new(),
        });
        proposals.map(|proposal| proposal.job).collect()
    }
}

async fn town(db: Db) -> (Town, Arc<Planners>) {
    let planners = Arc::new(Planners::default());
    (Town::over(TestApp::answered_by(db, planners.clone())).await, planners)
}

/// All that a request could leave behind.
async fn kept(db: &Db) -> Vec<i64> {
    let mut kept = Vec::new();
    for what in [
        "SELECT COUNT(*) FROM operations",
        "SELECT COUNT(*) FROM jobs",
        "SELECT COUNT(*) FROM jobs WHERE state = 'queued'",
        "SELECT COUNT(*) FROM audit",
        "SELECT COUNT(*) FROM sessions",
        "SELECT COUNT(*) FROM users WHERE state = 'active'",
        "SELECT COUNT(*) FROM account_keys",
        "SELECT COUNT(*) FROM accounts WHERE sftp_password_hash IS NULL",
        "SELECT CAST(COALESCE(SUM(wanted_generation), 0) AS BIGINT) FROM accounts",
        "SELECT CAST(COALESCE(SUM(wanted_generation), 0) AS BIGINT) FROM php_pools",
        "SELECT CAST(COALESCE(SUM(wanted_generation), 0) AS BIGINT) FROM sites",
    ] {
        kept.push(sqlx::query_scalar::<_, i64>(what).fetch_one(db.read()).await.unwrap());
    }
    kept
}

/// Asks what a form would change. Nothing is kept of the question, whether the server answers or not.
async fn preview(db: &Db, planners: &Planners, who: &mut Browser, action: &str, fields: &[(&str, &str)]) -> Answer {
    let before = kept(db).await;
    planners.away.store(true, Ordering::Relaxed);
    let silent = who.post(&format!("{action}/preview"), fields).await;
    assert!(silent.status == 200 && silent.body.contains("web1 does not answer"), "{action}: {}", silent.body);
    planners.away.store(false, Ordering::Relaxed);
    planners.jobs();
    let answer = who.post(&format!("{action}/preview"), fields).await;
    assert_eq!(answer.status, 200, "{action}: {}", answer.body);
    assert!(answer.body.contains("Nothing has been changed yet") && answer.body.contains("so on web1."), "{action}: {}", answer.body);
    assert_eq!(kept(db).await, before, "{action} keeps something");
    answer
}

fn tells_what_a_hand_did(answer: &Answer) -> bool {
    answer.body.contains("by hand")
}

#[tokio::test]
async fn a_site_that_is_suspended_or_brought_back_asks_first_and_shows_what_would_be_done() {
    on_each(async |db| {
        let (mut town, planners) = town(db.clone()).await;
        let site = town.site("shop.example.com").await;
        town.apply_all().await;
        for (verb, says, presence) in [
            ("suspend", "Visitors see a page that says the site is suspended", Presence::Suspended),
            ("unsuspend", "Visitors see the site again", Presence::Active),
        ] {
            let action = format!("{site}/{verb}");
            assert_eq!(town.bob.get(&action).await.status, 404);
            assert_eq!(town.bob.post(&format!("{action}/preview"), &[]).await.status, 404);
            let asked = town.alice.get(&action).await;
            assert!(asked.status == 200 && asked.body.contains(says), "{}", asked.body);
            let shown = preview(&db, &planners, &mut town.alice, &action, &[]).await;
            assert!(!tells_what_a_hand_did(&shown) && shown.body.contains("/etc/a.conf changes."), "{}", shown.body);
            let jobs = planners.jobs();
            assert!(jobs.iter().any(|job| matches!(job, Job::Site(spec) if spec.presence == presence)), "{jobs:?}");
            assert!(tells_what_a_hand_did(&preview(&db, &planners, &mut town.admin, &action, &[]).await));
            let key = asked.value("key").unwrap();
            assert_eq!(shown.value("key").as_deref(), Some(key.as_str()), "the question after the preview is the same one");
            assert_eq!(town.alice.post(&action, &[("key", &key)]).await.status, 303);
            town.apply_all().await;
            assert_eq!(town.alice.post(&format!("{action}/preview"), &[]).await.status, 409, "there is nothing left to do");
        }
    })
    .await;
}

#[tokio::test]
async fn an_account_that_is_suspended_or_brought_back_asks_first_and_shows_the_plan_of_all_it_holds() {
    on_each(async |db| {
        let (mut town, planners) = town(db.clone()).await;
        town.site("shop.example.com").await;
        town.apply_all().await;
        for (verb, says) in [("suspend", "Visitors of its 1 site see a page"), ("unsuspend", "Its sites answer again")] {
            let action = format!("{}/{verb}", town.alpha);
            assert_eq!(town.alice.get(&action).await.status, 403);
            assert_eq!(town.alice.post(&format!("{action}/preview"), &[]).await.status, 403);
            let asked = town.admin.get(&action).await;
            assert!(asked.status == 200 && asked.body.contains(says), "{}", asked.body);
            let shown = preview(&db, &planners, &mut town.admin, &action, &[]).await;
            for title in ["Account alpha", "PHP 8.2 of alpha", "Site shop.example.com"] {
                assert!(shown.body.contains(title), "{title}: {}", shown.body);
            }
            assert_eq!(town.admin.post(&action, &[("key", &asked.value("key").unwrap())]).await.status, 303);
            town.apply_all().await;
        }
    })
    .await;
}

#[tokio::test]
async fn a_client_that_is_suspended_shows_the_plan_of_each_account_on_its_server_and_says_what_is_left_out() {
    on_each(async |db| {
        let (mut town, planners) = town(db.clone()).await;
        let (alice,): (String,) = sqlx::query_as("SELECT id FROM users WHERE login = 'alice'").fetch_one(db.read()).await.unwrap();
        let other = server(&db, "web2", None).await.to_string();
        let made = town.admin.post("/accounts", &[("owner", &alice), ("user", "gamma"), ("server", &other)]).await;
        assert_eq!(made.status, 303, "{}", made.body);
        let account = Town::id(&town.alpha).to_owned();
        for n in 0..MOST_PROPOSALS {
            let fields = [("account", account.as_str()), ("domain", &format!("s{n}.example.com")), ("php", "static")];
            assert_eq!(town.alice.post("/sites", &fields).await.status, 303);
        }
        town.apply_all().await;
        let action = format!("/clients/{alice}/suspend");
        assert_eq!(town.alice.get(&action).await.status, 403);
        assert_eq!(town.alice.post(&format!("{action}/preview"), &[]).await.status, 403);
        let asked = town.admin.get(&action).await.body;
        assert!(asked.contains("Their 2 accounts are switched off") && asked.contains("32 sites"), "{asked}");
        let shown = preview(&db, &planners, &mut town.admin, &action, &[]).await.body;
        assert!(shown.contains("Account alpha") && shown.contains("Account gamma") && shown.contains("so on web2."), "{shown}");
        assert!(shown.contains("And 1 further change."), "{shown}");
        assert_eq!(town.alice.get("/").await.status, 200, "a preview signs nobody out");

        assert_eq!(town.admin.post(&action, &[]).await.status, 303);
        town.apply_all().await;
        let back = format!("/clients/{alice}/unsuspend");
        assert!(town.admin.get(&back).await.body.contains("They sign in again with the password they had."));
        let shown = preview(&db, &planners, &mut town.admin, &back, &[]).await.body;
        assert!(shown.contains("Account alpha") && shown.contains("Account gamma"), "{shown}");
        assert_eq!(town.admin.get("/clients/x/suspend").await.status, 404);
    })
    .await;
}

#[tokio::test]
async fn sftp_access_shows_what_would_be_done_before_a_password_is_set_or_a_key_comes_or_goes() {
    on_each(async |db| {
        let (mut town, planners) = town(db.clone()).await;
        let (account, password) = (town.alpha.clone(), format!("{}/sftp-password", town.alpha));
        let shown = preview(&db, &planners, &mut town.alice, &password, &[]).await;
        assert!(!tells_what_a_hand_did(&shown) && !shown.body.contains("The new password."), "{}", shown.body);
        assert!(planners.jobs().iter().all(|job| matches!(job, Job::Account(spec) if spec.sftp.password.is_some())));

        let keys = format!("{account}/sftp-keys");
        let shown = preview(&db, &planners, &mut town.alice, &keys, &[("key", KEY)]).await;
        assert_eq!(shown.value("key").unwrap().trim(), KEY, "what was typed stays");
        let wrong = town.alice.post(&format!("{keys}/preview"), &[("key", "no key")]).await;
        assert_eq!((wrong.status.as_u16(), wrong.value("key").unwrap().trim()), (422, "no key"));
        assert_eq!(town.alice.post(&keys, &[("key", KEY)]).await.status, 303);
        town.apply_all().await;
        assert_eq!(town.alice.post(&format!("{keys}/preview"), &[("key", KEY)]).await.status, 422, "it is on the list already");

        let page = town.alice.get(&account).await.body;
        let question = page.split('"').find(|part| part.contains("/sftp-keys/remove?")).unwrap().to_owned();
        let asked = town.alice.get(&question).await;
        let fingerprint = asked.value("fingerprint").unwrap();
        assert!(asked.body.contains("Remove the key me@laptop?") && asked.body.contains(&fingerprint), "{}", asked.body);
        let remove = format!("{keys}/remove");
        preview(&db, &planners, &mut town.alice, &remove, &[("fingerprint", &fingerprint)]).await;
        assert!(planners.jobs().iter().all(|job| matches!(job, Job::Account(spec) if spec.sftp.keys.is_empty())));
        assert_eq!(town.bob.get(&question).await.status, 404);
        for path in [&password, &keys, &remove] {
            assert_eq!(town.bob.post(&format!("{path}/preview"), &[("key", KEY), ("fingerprint", &fingerprint)]).await.status, 404);
        }
        assert_eq!(town.alice.get(&format!("{remove}?fingerprint=SHA256:none")).await.status, 404);
        assert_eq!(town.alice.post(&remove, &[("fingerprint", &fingerprint)]).await.status, 303);
    })
    .await;
}

async fn configured(db: &Db, town: &Town, site: &str, generation: i64, text: &str) {
    let resource = ResourceKey::Site(Town::id(site).parse().unwrap());
    let one = SiteConfiguration { resource, generation: Generation(generation), path: "/etc/a.conf".to_owned(), text: text.to_owned() };
    let mut tx = db.write().await.unwrap();
    configured_apply_in_tx(&mut tx, town.server, &Configured { sites: vec![one] }).await.unwrap();
    tx.commit().await.unwrap();
}

#[tokio::test]
async fn an_earlier_generation_shows_what_was_other_then_and_what_its_return_would_change_php_included() {
    on_each(async |db| {
        let (mut town, planners) = town(db.clone()).await;
        let site = town.site("shop.example.com").await;
        town.apply_all().await;
        configured(&db, &town, &site, 1, "php 8.2\n").await;
        town.alice.post(&format!("{site}/edit"), &[("php", "8.3")]).await;
        town.apply_all().await;
        configured(&db, &town, &site, 2, "php 8.3\n").await;
        let (question, action) = (format!("{site}/rollback?generation=1"), format!("{site}/rollback"));
        assert!(town.alice.get(&format!("{site}/history")).await.body.contains(&question));
        let asked = town.alice.get(&question).await;
        assert!(asked.body.contains("-php 8.3") && asked.body.contains("+php 8.2"), "{}", asked.body);
        let shown = preview(&db, &planners, &mut town.alice, &action, &[("generation", "1")]).await;
        for title in ["Site shop.example.com", "PHP 8.2 of alpha", "PHP 8.3 of alpha"] {
            assert!(shown.body.contains(title), "{title}: {}", shown.body);
        }
        assert!(!tells_what_a_hand_did(&shown));
        assert_eq!(town.bob.get(&question).await.status, 404);
        assert_eq!(town.bob.post(&format!("{action}/preview"), &[("generation", "1")]).await.status, 404);
        for (path, status) in [(format!("{site}/rollback?generation=7"), 404), (format!("{site}/rollback"), 404)] {
            assert_eq!(town.alice.get(&path).await.status, status, "{path}");
        }
        assert_eq!(town.alice.post(&format!("{action}/preview"), &[("generation", "7")]).await.status, 404);
        let fields = [("generation", "1"), ("key", &asked.value("key").unwrap())];
        assert_eq!(town.alice.post(&action, &fields).await.status, 303);
        town.apply_all().await;
    })
    .await;
}

#[tokio::test]
async fn what_failed_shows_what_would_be_done_before_it_is_tried_again() {
    on_each(async |db| {
        let (mut town, planners) = town(db.clone()).await;
        let site = town.site("shop.example.com").await;
        fail_all(&db).await;
        let page = town.alice.get(&site).await.body;
        let asks = page.split('"').find(|part| part.ends_with("/retry/preview")).unwrap().to_owned();
        let action = asks.strip_suffix("/preview").unwrap().to_owned();
        let operation = action.strip_suffix("/retry").unwrap().to_owned();
        assert!(town.alice.get(&operation).await.body.contains(&asks), "the request's own page asks too");
        let asked = town.alice.get(&action).await;
        assert!(asked.status == 200 && asked.body.contains("Create site shop.example.com"), "{}", asked.body);
        let shown = preview(&db, &planners, &mut town.alice, &action, &[]).await;
        assert!(!tells_what_a_hand_did(&shown));
        let jobs = planners.jobs();
        assert!(matches!(&jobs[..], [Job::PhpPool(_), Job::Site(spec)] if spec.presence == Presence::Active), "{jobs:?}");
        assert_eq!(
            (town.bob.get(&action).await.status, town.bob.post(&asks, &[]).await.status),
            (404.try_into().unwrap(), 404.try_into().unwrap())
        );
        assert!(open_jobs(&db).await.is_empty());
        assert_eq!(town.alice.post(&action, &[]).await.status, 303);
        town.apply_all().await;
        assert_eq!(town.alice.post(&asks, &[]).await.status, 409, "there is nothing left to try");
    })
    .await;
}
