//! Drift, previews and history, from what a worker reports to the page, and back.

use shared::difference::Difference;
use shared::events::{Configured, DriftFinding, DriftReport, Heartbeat, Look, SetAside, SiteConfiguration};
use shared::ids::{ServerId, SiteId};
use shared::jobs::{Generation, Job, ResourceKey, SiteSpec};
use shared::operation::ResourceState;
use web::app::drift::repair_by_policy;
use web::app::signal::NoSignals;
use web::dispatch::drift::{configured_apply_in_tx, drift_report_apply_in_tx};
use web::store::Db;
use web::store::drift::{drift_count, drift_list_of_servers};
use web::store::drift_fleet::set_aside_list;
use web::store::now_ms;
use web::store::server::server_heartbeat_in_tx;
use worker::system::fake::Node;

use crate::support::app::TestApp;
use crate::support::db::on_each;
use crate::support::fleet::{Town, fail_all, heartbeat, open_jobs, server};
use crate::whole::{Whole, until};

const DIFF: &str = "@@ -1,2 +1 @@\n server {\n-    autoindex on;\n";
pub(crate) const FILE: &str = "/etc/nginx/sites-available/shop.example.com.conf";

/// When all of it was found.
pub(crate) const SINCE: i64 = 1_790_000_000_000;

pub(crate) fn finding(resource: ResourceKey, generation: i64, differs: bool) -> DriftFinding {
    let file = Difference::File { path: FILE.to_owned(), diff: DIFF.to_owned() };
    DriftFinding { resource, generation: Generation(generation), since_ms: SINCE, differences: if differs { vec![file] } else { vec![] } }
}

async fn report(db: &Db, server: ServerId, report: DriftReport) {
    let mut tx = db.write().await.unwrap();
    drift_report_apply_in_tx(&mut tx, server, &report).await.unwrap();
    tx.commit().await.unwrap();
}

pub(crate) async fn found(db: &Db, server: ServerId, findings: Vec<DriftFinding>) {
    report(db, server, DriftReport { findings, ..DriftReport::default() }).await;
}

async fn drifted(db: &Db) -> Vec<ResourceKey> {
    let servers: Vec<(String,)> = sqlx::query_as("SELECT id FROM servers").fetch_all(db.read()).await.unwrap();
    let servers: Vec<ServerId> = servers.iter().map(|(id,)| id.parse().unwrap()).collect();
    drift_list_of_servers(db, &servers, 500).await.unwrap().into_iter().map(|row| row.resource).collect()
}

/// The files that are set aside on a server.
async fn set_aside(db: &Db, server: ServerId) -> Vec<SetAside> {
    set_aside_list(db, &[server]).await.unwrap().remove(&server).unwrap_or_default()
}

fn site_key(path: &str) -> ResourceKey {
    ResourceKey::Site(Town::id(path).parse().unwrap())
}

/// A town with an active site of alice's.
pub(crate) async fn town(db: Db) -> (Town, String, ResourceKey) {
    town_of(TestApp::over(db)).await
}

async fn town_of(app: TestApp) -> (Town, String, ResourceKey) {
    let mut town = Town::over(app).await;
    let site = town.site("shop.example.com").await;
    town.apply_all().await;
    let key = site_key(&site);
    (town, site, key)
}

#[tokio::test]
async fn a_finding_stands_until_it_is_taken_back_or_something_newer_is_applied() {
    on_each(async |db| {
        let (mut town, site, key) = town(db.clone()).await;
        let stranger = server(&db, "web2", None).await;
        found(&db, stranger, vec![finding(key, 1, true)]).await;
        assert_eq!(drifted(&db).await, [], "another server's word counts for nothing");
        found(&db, town.server, vec![finding(ResourceKey::Site(SiteId::new()), 1, true)]).await;
        assert_eq!(drifted(&db).await, [], "nobody's resource");
        for _ in 0..2 {
            found(&db, town.server, vec![finding(key, 1, true)]).await;
            assert_eq!(drifted(&db).await, [key]);
        }
        let count = drift_count(&db, town.server).await.unwrap();
        assert_eq!((count.drifted, count.resources), (1, 4), "two accounts, a pool and a site");
        found(&db, town.server, vec![finding(key, 1, false)]).await;
        assert_eq!(drifted(&db).await, []);
        found(&db, town.server, vec![finding(key, 1, true)]).await;
        town.alice.post(&format!("{site}/suspend"), &[]).await;
        assert_eq!(drifted(&db).await, [key], "a change that is under way has mended nothing yet");
        town.apply_all().await;
        assert_eq!(drifted(&db).await, []);
        found(&db, town.server, vec![finding(key, 1, true)]).await;
        assert_eq!(drifted(&db).await, [], "it was found before the newer state was applied");
    })
    .await;
}

#[tokio::test]
async fn a_report_afresh_replaces_what_was_known_and_set_aside_files_are_listed() {
    on_each(async |db| {
        let (town, _, key) = town(db.clone()).await;
        found(&db, town.server, vec![finding(key, 1, true)]).await;
        let file = SetAside { path: "/etc/nginx/gantry.d/server/a.conf.broken".to_owned(), said: "[emerg] x".to_owned(), at_ms: 1 };
        let listed = DriftReport { set_aside: Some(vec![file.clone()]), ..DriftReport::default() };
        report(&db, town.server, listed).await;
        assert_eq!((drifted(&db).await, set_aside(&db, town.server).await), (vec![key], vec![file.clone()]));
        report(&db, town.server, DriftReport { afresh: true, ..DriftReport::default() }).await;
        assert_eq!((drifted(&db).await, set_aside(&db, town.server).await), (vec![], vec![file]));
        report(&db, town.server, DriftReport { set_aside: Some(vec![]), ..DriftReport::default() }).await;
        assert_eq!(set_aside(&db, town.server).await, []);
    })
    .await;
}

#[tokio::test]
async fn an_admin_sees_how_it_differs_and_repairs_it_and_its_owner_is_told_in_plain_words() {
    on_each(async |db| {
        let (mut town, site, key) = town(db.clone()).await;
        found(&db, town.server, vec![finding(key, 1, true)]).await;
        let page = town.admin.get("/drift").await;
        assert!(page.body.contains(FILE) && page.body.contains("-    autoindex on;"), "{}", page.body);
        for path in [&site, "/sites"] {
            assert!(town.alice.get(path).await.body.contains("Drifted"), "{path}");
        }
        let own = town.alice.get(&site).await.body;
        assert!(own.contains("Somebody changed this on the server") && !own.contains(FILE) && !own.contains("autoindex"), "{own}");
        assert!(town.admin.get(&site).await.body.contains("autoindex"));
        assert_eq!(town.alice.post("/drift/repair", &[("resource", &key.to_string())]).await.status, 403);

        let fields = [("resource", key.to_string()), ("key", "once".to_owned())];
        let fields: Vec<(&str, &str)> = fields.iter().map(|(name, value)| (*name, value.as_str())).collect();
        let (first, second) = (town.admin.post("/drift/repair", &fields).await, town.admin.post("/drift/repair", &fields).await);
        assert_eq!((first.status.as_u16(), first.location()), (303, second.location()), "a second press is the same request");
        let jobs = open_jobs(&db).await;
        assert_eq!((jobs.len(), jobs[0].resource, jobs[0].generation), (1, key, Generation(2)));
        let Job::Site(SiteSpec { domain, .. }) = &jobs[0].job else { panic!("no site") };
        assert_eq!(domain.as_str(), "shop.example.com");
        let during = town.admin.get("/drift").await.body;
        assert!(during.contains(FILE) && !during.contains("value=\"site:"), "a repair under way is offered no second time: {during}");
        town.apply_all().await;
        assert!(!town.admin.get("/drift").await.body.contains(FILE));
        assert!(!town.alice.get(&site).await.body.contains("Drifted"));
        assert_eq!(town.admin.post("/drift/repair", &[("resource", &key.to_string())]).await.status, 404);
    })
    .await;
}

#[tokio::test]
async fn accounts_and_pools_are_repaired_too_and_what_failed_is_not() {
    let (mut town, site, key) = town_of(TestApp::start().await).await;
    let db = town.app.db().clone();
    let jobs =
        sqlx::query_scalar::<_, String>("SELECT resource FROM jobs WHERE resource LIKE 'php_pool:%'").fetch_one(db.read()).await.unwrap();
    let (pool, account): (ResourceKey, ResourceKey) = (jobs.parse().unwrap(), ResourceKey::Account(Town::id(&town.alpha).parse().unwrap()));
    found(&db, town.server, vec![finding(pool, 1, true), finding(account, 1, true)]).await;
    assert!(town.admin.get(&town.alpha.clone()).await.body.contains("Drifted"));
    for resource in [pool, account] {
        assert_eq!(town.admin.post("/drift/repair", &[("resource", &resource.to_string())]).await.status, 303);
    }
    assert_eq!(open_jobs(&db).await.iter().map(|job| (job.resource, job.generation.0)).collect::<Vec<_>>(), [(pool, 2), (account, 2)]);
    town.apply_all().await;
    assert_eq!(drifted(&db).await, []);

    town.alice.post(&format!("{site}/suspend"), &[]).await;
    fail_all(&db).await;
    found(&db, town.server, vec![finding(key, 1, true)]).await;
    let refused = town.admin.post("/drift/repair", &[("resource", &key.to_string())]).await;
    assert_eq!(refused.status, 409, "its last change has failed");
}

/// A worker's heartbeat tells of its last look.
pub(crate) async fn looked(db: &Db, server: ServerId, at_ms: i64, drifted: u32) {
    let look = Some(Look { at_ms, resources: 1000, drifted });
    let mut tx = db.write().await.unwrap();
    server_heartbeat_in_tx(&mut tx, server, &Heartbeat { look, ..heartbeat("web1") }, now_ms()).await.unwrap();
    tx.commit().await.unwrap();
}

/// Sets what becomes of drift, on a server that has been looked at.
async fn policy(town: &mut Town, policy: &str) {
    looked(town.app.db(), town.server, SINCE, 0).await;
    let path = format!("/servers/{}/drift/policy", town.server);
    assert_eq!(town.admin.post(&path, &[("policy", policy)]).await.status, 303);
}

#[tokio::test]
async fn by_itself_drift_is_repaired_only_where_an_admin_wants_it_and_never_again_and_again() {
    on_each(async |db| {
        let (mut town, _, key) = town(db.clone()).await;
        found(&db, town.server, vec![finding(key, 1, true)]).await;
        repair_by_policy(&db, &NoSignals).await.unwrap();
        assert!(open_jobs(&db).await.is_empty(), "it is only shown");
        policy(&mut town, "repair").await;
        for generation in 2..=4 {
            repair_by_policy(&db, &NoSignals).await.unwrap();
            repair_by_policy(&db, &NoSignals).await.unwrap();
            let jobs = open_jobs(&db).await;
            assert_eq!(jobs.iter().map(|job| job.generation.0).collect::<Vec<_>>(), [generation]);
            town.apply_all().await;
            found(&db, town.server, vec![finding(key, generation, true)]).await;
        }
        repair_by_policy(&db, &NoSignals).await.unwrap();
        assert!(open_jobs(&db).await.is_empty(), "three times within the hour are enough");
        let page = town.admin.get("/drift").await.body;
        assert!(page.contains("changed again each time"), "{page}");
        let (who,): (String,) =
            sqlx::query_as("SELECT asked_by_name FROM operations WHERE kind = 'site.repair' LIMIT 1").fetch_one(db.read()).await.unwrap();
        assert_eq!(who, "Gantry");
        assert_eq!(town.admin.post(&format!("/servers/{}/drift/policy", town.server), &[("policy", "x")]).await.status, 409);
    })
    .await;
}

#[tokio::test]
async fn more_than_a_twentieth_asks_first_and_a_word_of_an_admin_repairs_it_all() {
    on_each(async |db| {
        let (mut town, _, key) = town(db.clone()).await;
        let account = ResourceKey::Account(Town::id(&town.alpha).parse().unwrap());
        policy(&mut town, "repair").await;
        found(&db, town.server, vec![finding(key, 1, true), finding(account, 1, true)]).await;
        repair_by_policy(&db, &NoSignals).await.unwrap();
        assert!(open_jobs(&db).await.is_empty());
        let page = town.admin.get("/drift").await.body;
        assert!(page.contains("2 of 4 resources have drifted, more than 5 %") && page.contains("Confirm: repair all 2"), "{page}");
        assert_eq!(town.admin.post(&format!("/servers/{}/drift/repair", town.server), &[]).await.status, 303);
        let mut asked: Vec<ResourceKey> = open_jobs(&db).await.iter().map(|job| job.resource).collect();
        asked.sort();
        assert_eq!(asked, [account, key]);
        town.apply_all().await;
        assert!(!town.admin.get("/drift").await.body.contains("more than 5 %"));
    })
    .await;
}

#[tokio::test]
async fn a_part_of_a_report_is_not_taken_for_all_of_it_and_repaired_before_the_rest_is_there() {
    on_each(async |db| {
        let (mut town, _, key) = town(db.clone()).await;
        policy(&mut town, "repair").await;
        // The first findings of a look that no heartbeat has told of yet.
        looked(&db, town.server, SINCE - 1, 0).await;
        found(&db, town.server, vec![finding(key, 1, true)]).await;
        repair_by_policy(&db, &NoSignals).await.unwrap();
        assert!(open_jobs(&db).await.is_empty(), "how much it is in all is not known");
        looked(&db, town.server, SINCE, 4).await;
        repair_by_policy(&db, &NoSignals).await.unwrap();
        assert!(open_jobs(&db).await.is_empty(), "the look has found more than a twentieth");
        let page = town.admin.get("/drift").await.body;
        assert!(page.contains("4 of 4 resources have drifted, more than 5 %"), "{page}");
        // The worker has started again, and reports from the beginning.
        report(&db, town.server, DriftReport { afresh: true, findings: vec![finding(key, 1, true)], set_aside: None }).await;
        repair_by_policy(&db, &NoSignals).await.unwrap();
        assert!(open_jobs(&db).await.is_empty());
        looked(&db, town.server, SINCE, 1).await;
        repair_by_policy(&db, &NoSignals).await.unwrap();
        assert_eq!(open_jobs(&db).await.iter().map(|job| job.resource).collect::<Vec<_>>(), [key]);
    })
    .await;
}

#[tokio::test]
async fn a_word_of_an_admin_repairs_all_however_much_it_is_and_says_how_much() {
    on_each(async |db| {
        let mut town = Town::over(TestApp::over(db.clone())).await;
        let account = Town::id(&town.alpha).to_owned();
        let mut sites = Vec::new();
        for n in 0..30 {
            let fields = [("account", account.as_str()), ("domain", &format!("s{n}.example.com")), ("php", "static")];
            sites.push(town.alice.post("/sites", &fields).await.location().to_owned());
        }
        town.apply_all().await;
        found(&db, town.server, sites.iter().map(|site| finding(site_key(site), 1, true)).collect()).await;
        // One has a change under way, and one cannot be read.
        assert_eq!(town.alice.post(&format!("{}/suspend", sites[3]), &[]).await.status, 303);
        let mut tx = db.write().await.unwrap();
        sqlx::query("UPDATE drifts SET differences = '{' WHERE resource = $1")
            .bind(site_key(&sites[4]).to_string())
            .execute(&mut *tx)
            .await
            .unwrap();
        tx.commit().await.unwrap();
        assert_eq!(town.admin.post(&format!("/servers/{}/drift/repair", town.server), &[]).await.status, 303);
        let told = town.admin.get("/drift").await.body;
        assert!(told.contains("28 resources are being repaired."), "{told}");
        assert_eq!(open_jobs(&db).await.len(), 29, "with the one that was under way");
        assert_eq!(town.admin.post(&format!("/servers/{}/drift/repair", town.server), &[]).await.status, 303);
        assert!(town.admin.get("/drift").await.body.contains("Nothing is left to repair"));
    })
    .await;
}

#[tokio::test]
async fn what_drifts_again_and_again_or_cannot_be_read_holds_up_the_repair_of_nothing_else() {
    on_each(async |db| {
        let (mut town, _, key) = town(db.clone()).await;
        policy(&mut town, "repair").await;
        for generation in 1..=3 {
            found(&db, town.server, vec![finding(key, generation, true)]).await;
            repair_by_policy(&db, &NoSignals).await.unwrap();
            town.apply_all().await;
        }
        let account = ResourceKey::Account(Town::id(&town.alpha).parse().unwrap());
        found(&db, town.server, vec![finding(key, 4, true), finding(account, 1, true)]).await;
        assert!(!town.admin.get("/drift").await.body.contains("more than 5 %"));
        repair_by_policy(&db, &NoSignals).await.unwrap();
        assert_eq!(open_jobs(&db).await.iter().map(|job| job.resource).collect::<Vec<_>>(), [account]);
        town.apply_all().await;

        let mut tx = db.write().await.unwrap();
        sqlx::query("UPDATE drifts SET differences = '{'").execute(&mut *tx).await.unwrap();
        tx.commit().await.unwrap();
        found(&db, town.server, vec![finding(account, 2, true)]).await;
        repair_by_policy(&db, &NoSignals).await.unwrap();
        assert_eq!(open_jobs(&db).await.iter().map(|job| job.resource).collect::<Vec<_>>(), [account]);
    })
    .await;
}

#[tokio::test]
async fn servers_that_have_something_come_first_on_a_page_that_ends_and_others_are_found_by_name() {
    on_each(async |db| {
        let (mut town, _, key) = town(db.clone()).await;
        for n in 0..12 {
            server(&db, &format!("calm{n:02}"), None).await;
        }
        found(&db, town.server, vec![finding(key, 1, true)]).await;
        let page = town.admin.get("/drift").await.body;
        let at = |name: &str| page.find(&format!(">{name}<"));
        assert!(at("web1").is_some() && at("web1") < at("calm00"), "{page}");
        assert!(page.contains("1 server has drifted") && page.contains("1 to 10 of 13") && at("calm11").is_none(), "{page}");
        let found = town.admin.get("/drift?q=calm11").await.body;
        assert!(found.contains(">calm11<") && !found.contains(">web1<"), "{found}");
        assert!(town.admin.get("/drift?page=2").await.body.contains(">calm11<"));
        assert!(town.admin.get("/drift?q=nothing").await.body.contains("No servers match"));
    })
    .await;
}

#[tokio::test]
async fn an_account_that_has_drifted_says_so_however_many_of_its_sites_have_too() {
    on_each(async |db| {
        let (mut town, ..) = town(db.clone()).await;
        let account = Town::id(&town.alpha).to_owned();
        let mut tx = db.write().await.unwrap();
        for _ in 0..101 {
            sqlx::query(
                "INSERT INTO drifts (resource, server_id, account_id, generation, differences, since_ms) VALUES ($1, $2, $3, 1, '[]', 1)",
            )
            .bind(ResourceKey::Site(SiteId::new()).to_string())
            .bind(town.server.to_string())
            .bind(&account)
            .execute(&mut *tx)
            .await
            .unwrap();
        }
        tx.commit().await.unwrap();
        assert!(!town.admin.get(&town.alpha.clone()).await.body.contains("Changed on the server since"));
        found(&db, town.server, vec![finding(ResourceKey::Account(account.parse().unwrap()), 1, true)]).await;
        assert!(town.admin.get(&town.alpha.clone()).await.body.contains("Changed on the server since"));
    })
    .await;
}

fn configuration(site: ResourceKey, generation: i64, text: &str) -> Configured {
    let one = SiteConfiguration { resource: site, generation: Generation(generation), path: FILE.to_owned(), text: text.to_owned() };
    Configured { sites: vec![one] }
}

async fn configured(db: &Db, server: ServerId, configured: Configured) {
    let mut tx = db.write().await.unwrap();
    configured_apply_in_tx(&mut tx, server, &configured).await.unwrap();
    tx.commit().await.unwrap();
}

#[tokio::test]
async fn each_generation_is_kept_two_are_compared_and_an_earlier_one_comes_back_as_a_new_change() {
    on_each(async |db| {
        let (mut town, site, key) = town(db.clone()).await;
        configured(&db, town.server, configuration(key, 1, "server {\n    server_name one;\n}\n")).await;
        town.alice.post(&format!("{site}/edit"), &[("php", "static"), ("aliases", "www.shop.example.com")]).await;
        town.apply_all().await;
        configured(&db, town.server, configuration(key, 2, "server {\n    server_name two;\n}\n")).await;
        configured(&db, town.server, configuration(key, 9, "nobody asked for this")).await;
        let page = town.alice.get(&format!("{site}/history")).await;
        assert!(page.body.contains("-    server_name one;") && page.body.contains("+    server_name two;"), "{}", page.body);
        assert!(page.body.contains("alice Person") && !page.body.contains("nobody asked"), "{}", page.body);
        let turned = town.alice.get(&format!("{site}/history?from=2&to=1")).await;
        assert!(turned.body.contains("+    server_name one;"));
        assert_eq!(town.bob.get(&format!("{site}/history")).await.status, 404);
        assert_eq!(town.bob.post(&format!("{site}/rollback"), &[("generation", "1")]).await.status, 404);
        assert_eq!(town.alice.post(&format!("{site}/rollback"), &[("generation", "7")]).await.status, 404);

        for _ in 0..2 {
            let back = town.alice.post(&format!("{site}/rollback"), &[("generation", "1"), ("key", "k")]).await;
            assert_eq!(back.status, 303, "{}", back.body);
        }
        let jobs = open_jobs(&db).await;
        let job = jobs.iter().find(|job| job.resource == key).unwrap();
        let Job::Site(spec) = &job.job else { panic!("no site") };
        assert_eq!((job.generation, spec.aliases.len(), spec.kind.php().is_some()), (Generation(3), 0, true));
        town.apply_all().await;
        assert!(town.alice.get("/operations").await.body.contains("Roll back site"));
    })
    .await;
}

#[tokio::test]
async fn a_generation_that_cannot_be_read_hides_no_other() {
    let (mut town, site, key) = town_of(TestApp::start().await).await;
    let db = town.app.db().clone();
    configured(&db, town.server, configuration(key, 1, "one")).await;
    town.alice.post(&format!("{site}/edit"), &[("php", "static")]).await;
    town.apply_all().await;
    configured(&db, town.server, configuration(key, 2, "two")).await;
    let mut tx = db.write().await.unwrap();
    sqlx::query("UPDATE site_configurations SET job = '{' WHERE generation = 2").execute(&mut *tx).await.unwrap();
    tx.commit().await.unwrap();
    let page = town.alice.get(&format!("{site}/history")).await;
    assert!(page.status == 200 && page.body.contains("Roll back to this"), "{}", page.body);
}

#[tokio::test]
async fn a_generation_whose_names_belong_to_somebody_else_now_does_not_come_back() {
    let (mut town, site, key) = town_of(TestApp::start().await).await;
    let db = town.app.db().clone();
    town.alice.post(&format!("{site}/edit"), &[("php", "8.2"), ("aliases", "other.example.net")]).await;
    town.apply_all().await;
    configured(&db, town.server, configuration(key, 2, "two")).await;
    town.alice.post(&format!("{site}/edit"), &[("php", "8.2"), ("aliases", "")]).await;
    town.apply_all().await;
    let beta = Town::id(&town.beta).to_owned();
    assert_eq!(town.bob.post("/sites", &[("account", &beta), ("domain", "other.example.net"), ("php", "static")]).await.status, 303);
    let refused = town.alice.post(&format!("{site}/rollback"), &[("generation", "2")]).await;
    assert_eq!(refused.status, 409);
    assert!(refused.body.contains("not possible any more"), "{}", refused.body);
}

#[tokio::test]
async fn a_preview_records_nothing_keeps_what_was_typed_and_is_calm_when_nobody_answers() {
    on_each(async |db| {
        let (mut town, site, _) = town(db.clone()).await;
        let count = async || sqlx::query_scalar::<_, i64>("SELECT COUNT(*) FROM operations").fetch_one(db.read()).await.unwrap();
        let before = count().await;
        let fields = [("php", "static"), ("aliases", "www.shop.example.com"), ("document_root", "shop.example.com"), ("key", "k")];
        let page = town.alice.post(&format!("{site}/preview"), &fields).await;
        assert_eq!(page.status, 200, "{}", page.body);
        assert!(page.body.contains("web1 does not answer") && page.body.contains("You can still go on"), "{}", page.body);
        assert_eq!(page.value("aliases").unwrap().trim(), "www.shop.example.com");
        let account = Town::id(&town.alpha).to_owned();
        let new = [("account", account.as_str()), ("domain", "new.example.com"), ("php", "8.3")];
        let page = town.alice.post("/sites/new/preview", &new).await;
        assert_eq!((page.status.as_u16(), page.value("domain").as_deref()), (200, Some("new.example.com")));
        let limits = town.admin.post(&format!("/accounts/{account}/limits/preview"), &[("tasks", "50")]).await;
        assert_eq!((limits.status.as_u16(), limits.value("tasks").as_deref()), (200, Some("50")));
        let php = format!("/accounts/{account}/php/8.2/preview");
        let page = town.alice.post(&php, &[("pm", "static"), ("max_children", "x")]).await;
        assert_eq!(page.status, 422, "what is wrong is said before anybody is asked");
        assert_eq!(town.bob.post(&format!("{site}/preview"), &fields).await.status, 404);
        let new = [("owner", "alice"), ("user", "previewed"), ("domain", "first.example.org"), ("php", "8.2")];
        let page = town.admin.post("/accounts/new/preview", &new).await;
        assert_eq!((page.status.as_u16(), page.value("user").as_deref()), (200, Some("previewed")), "{}", page.body);
        assert_eq!(town.admin.post("/accounts/new/preview", &[("user", "x")]).await.status, 422);
        assert_eq!(town.alice.post("/accounts/new/preview", &new).await.status, 403);
        // Before something is deleted nothing has to be typed to see what goes; what was typed stays.
        let page = town.alice.post(&format!("{site}/delete/preview"), &[("confirm", "shop")]).await;
        assert_eq!((page.status.as_u16(), page.value("confirm").as_deref()), (200, Some("shop")));
        assert_eq!(town.admin.post(&format!("/accounts/{account}/delete/preview"), &[]).await.status, 200);
        assert_eq!(town.alice.post(&format!("/accounts/{account}/delete/preview"), &[]).await.status, 403);
        assert_eq!(town.bob.post(&format!("{site}/delete/preview"), &[]).await.status, 404);
        assert_eq!((count().await, open_jobs(&db).await.len()), (before, 0));
        // The same form is saved afterwards, with the same key.
        assert_eq!(town.alice.post(&format!("{site}/edit"), &fields).await.status, 303);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_hand_changes_is_found_shown_and_repaired_and_a_preview_is_what_is_then_done() {
    let mut whole = Whole::start().await;
    let account = whole.account("shopuser").await;
    let site = whole.site(&account, "shop.example.org").await;
    whole.until_state(site, ResourceState::Active).await;
    let (page, db) = (format!("/sites/{site}"), whole.app.db().clone());
    let (server,): (String,) = sqlx::query_as("SELECT id FROM servers").fetch_one(db.read()).await.unwrap();
    let check = format!("/servers/{server}/drift/check");

    let path = "/etc/nginx/sites-available/shop.example.org.conf";
    let Some(Node::File { content, .. }) = whole.host.snapshot().nodes.remove(std::path::Path::new(path)) else { panic!("no vhost") };
    whole.host.put_file(path, &(String::from_utf8(content.clone()).unwrap() + "# by hand\n"));
    whole.host.put_file("/etc/nginx/gantry.d/server/bad.conf", "BROKEN\n");
    assert_eq!(whole.admin.post(&check, &[]).await.status, 303);
    until("the drift is known", async || (drifted(&db).await == [ResourceKey::Site(site)]).then_some(())).await;
    let shown = whole.admin.get("/drift").await.body;
    assert!(shown.contains("-# by hand") && shown.contains("An include file could not stay"), "{shown}");
    assert!(shown.contains("/etc/nginx/gantry.d/server/bad.conf.broken") && shown.contains("BROKEN"), "{shown}");

    let key = ResourceKey::Site(site).to_string();
    assert_eq!(whole.admin.post("/drift/repair", &[("resource", &key)]).await.status, 303);
    until("the drift is repaired", async || drifted(&db).await.is_empty().then_some(())).await;
    whole.until_state(site, ResourceState::Active).await;

    let gone = whole.admin.post(&format!("{page}/delete/preview"), &[]).await.body;
    assert!(gone.contains("Remove /etc/nginx/sites-enabled/shop.example.org.conf.") && gone.contains("gantry-php8.2@shopuser"), "{gone}");
    let all = whole.admin.post(&format!("/accounts/{account}/delete/preview"), &[]).await.body;
    assert!(all.contains("Remove /etc/nginx/sites-enabled/shop.example.org.conf.") && all.contains("Remove user shopuser"), "{all}");
    let off = whole.admin.post(&format!("{page}/suspend/preview"), &[]).await.body;
    assert!(off.contains("/etc/nginx/sites-available/shop.example.org.conf") && off.contains("+        return 503;"), "{off}");
    let off = whole.admin.post(&format!("/accounts/{account}/suspend/preview"), &[]).await.body;
    assert!(off.contains("Bar shopuser from signing in.") && off.contains("/etc/nginx/sites-available/shop.example.org.conf"), "{off}");
    let password = whole.admin.post(&format!("/accounts/{account}/sftp-password/preview"), &[]).await.body;
    assert!(password.contains("Set the password of shopuser.") && !password.contains("$y$"), "{password}");
    let fields = [("owner", "shopuserowner"), ("user", "nextuser"), ("domain", "next.example.net"), ("php", "8.2")];
    let new = whole.admin.post("/accounts/new/preview", &fields).await.body;
    assert!(new.contains("Make user nextuser") && new.contains("Set up once its account is there"), "{new}");

    let fields = [("php", "8.2"), ("aliases", "www.shop.example.org"), ("document_root", "")];
    let preview = whole.admin.post(&format!("{page}/preview"), &fields).await.body;
    let (removed, added) = ("-    server_name shop.example.org;", "+    server_name shop.example.org www.shop.example.org;");
    assert!(preview.contains(removed) && preview.contains(added), "{preview}");
    assert_eq!(whole.admin.post(&format!("{page}/edit"), &fields).await.status, 303);
    let history = until("the new generation is in the history", async || {
        let body = whole.admin.clone().get(&format!("{page}/history")).await.body;
        (body.contains(added) && body.contains(removed)).then_some(body)
    })
    .await;
    assert!(history.contains("Repair site") && history.contains("Create site"), "{history}");
    assert_eq!(whole.admin.post(&check, &[]).await.status, 303);
    assert_eq!(whole.admin.post(&format!("{page}/rollback"), &[("generation", "2")]).await.status, 303);
    until("the names are as they were", async || {
        let nodes = whole.host.snapshot().nodes;
        let Some(Node::File { content, .. }) = nodes.get(std::path::Path::new(path)) else { return None };
        let text = String::from_utf8_lossy(content);
        (text.contains("Generation 4.") && !text.contains("www.shop.example.org")).then_some(())
    })
    .await;
}
