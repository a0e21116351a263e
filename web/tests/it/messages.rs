//! The message sweep: what is on its way between panel and worker is dropped, repeated, delayed past all that came after it, or
//! damaged; each message of a list of requests in each way. What comes out is always the same. Then all of it is played once more.
//!
//! With a number in `GANTRY_SWEEP_SEED` chance decides what happens to which message, the same for the same number: the long version
//! (`ONLY=messages make chaos`).

use std::collections::HashMap;
use std::path::Path;

use rand::rngs::StdRng;
use rand::seq::{IndexedRandom, SliceRandom};
use rand::{Rng, SeedableRng};
use serde_json::json;
use shared::bus::tampering::{Kept, Tamperer};
use shared::bus::topology::{EVENT_STREAM, FIRST_COMMAND_STREAM};
use shared::ids::{AccountId, Epoch, JobId, OperationId, SiteId};
use shared::operation::ResourceState;
use shared::testing::now_s;
use sqlx::{Connection, Row};
use web::store::now_ms;
use worker::system::fake::Node;

use super::whole::{Whole, security_events, start_dispatch, start_worker, until};

/// What happens to a message.
#[derive(Debug, Clone, Copy)]
enum Tampering {
    /// It is lost.
    Dropped,
    /// It comes five times.
    Repeated,
    /// It comes after everything else.
    Delayed,
    /// It comes with a bit changed.
    Damaged,
}

const ALL: [Tampering; 4] = [Tampering::Dropped, Tampering::Repeated, Tampering::Delayed, Tampering::Damaged];

async fn tamperer(whole: &Whole) -> Tamperer {
    Tamperer::connect(&whole.nats.address(), &whole.nats.keys, now_s()).await.unwrap()
}

/// The outcomes among the events.
async fn outcomes(tamperer: &Tamperer) -> Vec<Kept> {
    let kept = tamperer.kept(EVENT_STREAM).await.unwrap();
    kept.into_iter().filter(|event| event.contains(r#""type":"outcome""#)).collect()
}

/// Chance, if it is to decide.
fn chance() -> Option<StdRng> {
    let seed = std::env::var("GANTRY_SWEEP_SEED").ok()?;
    Some(StdRng::seed_from_u64(seed.parse().expect("a seed is a number")))
}

/// Does to each message what is meant for it.
async fn tamper(tamperer: &Tamperer, messages: &[(Kept, Tampering)]) {
    let (mut late, mut chance) = (Vec::new(), chance());
    for (number, (message, tampering)) in messages.iter().enumerate() {
        match tampering {
            Tampering::Dropped => tamperer.remove(message).await.unwrap(),
            Tampering::Repeated => {
                for _ in 0..4 {
                    tamperer.store(message).await.unwrap();
                }
            }
            Tampering::Delayed => {
                tamperer.remove(message).await.unwrap();
                late.push(message);
            }
            Tampering::Damaged => {
                tamperer.remove(message).await.unwrap();
                let bit = chance.as_mut().map_or(number * 1_009, |chance| chance.random_range(0..100_000));
                tamperer.store(&message.with_bit_flipped(bit)).await.unwrap();
            }
        }
    }
    late.reverse();
    if let Some(chance) = &mut chance {
        late.shuffle(chance);
    }
    for message in late {
        tamperer.store(message).await.unwrap();
    }
}

/// What is meant for each message: of every tenant's n-th job each is tampered with in another way, whenever its message came.
async fn meant(whole: &Whole, messages: &[Kept]) -> Vec<(Kept, Tampering)> {
    if let Some(mut chance) = chance() {
        return messages.iter().map(|message| (message.clone(), *ALL.choose(&mut chance).unwrap())).collect();
    }
    let rows = sqlx::query("SELECT id, account_id FROM jobs ORDER BY created_ms, id").fetch_all(whole.app.db().read()).await.unwrap();
    let (mut tenants, mut jobs) = (HashMap::new(), Vec::new());
    for row in rows {
        let (known, account) = (tenants.len(), row.get::<String, _>("account_id"));
        let (tenant, place) = tenants.entry(account).or_insert((known, 0));
        *place += 1;
        jobs.push((row.get::<String, _>("id"), *tenant + *place));
    }
    let of = |message: &Kept| jobs.iter().find(|(job, _)| message.contains(job)).expect("a message is of a job").1;
    messages.iter().map(|message| (message.clone(), ALL[of(message) % ALL.len()])).collect()
}

/// Somebody with a site of each kind, both of which were changed before anything was done; a third was suspended, and a fourth
/// deleted.
struct Tenant {
    user: String,
    account: String,
    sites: [SiteId; 2],
    suspended: SiteId,
}

/// Stops the worker, and has the panel believe that it is there: a server that is away takes no new accounts.
async fn stop_worker_unnoticed(whole: &mut Whole) {
    whole.worker.stop().await;
    until("the panel has noticed", async || (count(whole, "SELECT COUNT(*) FROM servers WHERE online = 1").await == 0).then_some(())).await;
    let mut tx = whole.app.db().write().await.unwrap();
    sqlx::query("UPDATE servers SET online = 1, last_seen_ms = $1").bind(now_ms() + 30_000).execute(&mut *tx).await.unwrap();
    tx.commit().await.unwrap();
}

/// The jobs of one tenant: the account, the pool, four sites, and their changes.
const JOBS: usize = 10;

/// As many tenants as there are kinds of tampering.
async fn tenants(whole: &mut Whole) -> Vec<Tenant> {
    let mut tenants = Vec::new();
    for number in 0..ALL.len() {
        let user = format!("tampered{number}");
        let account = whole.account(&user).await;
        let mut sites = Vec::new();
        for kind in ["8.2", "static"] {
            let domain = format!("{}.{user}.example", if kind == "static" { "plain" } else { "php" });
            let site = new_site(whole, &account, &domain, kind).await;
            ask(whole, &format!("/sites/{site}/edit"), &[("php", kind), ("aliases", &format!("www.{domain}"))]).await;
            sites.push(site);
        }
        let suspended = new_site(whole, &account, &format!("closed.{user}.example"), "static").await;
        ask(whole, &format!("/sites/{suspended}/suspend"), &[]).await;
        let domain = format!("gone.{user}.example");
        let gone = new_site(whole, &account, &domain, "static").await;
        ask(whole, &format!("/sites/{gone}/delete"), &[("confirm", &domain)]).await;
        tenants.push(Tenant { user, account, sites: sites.try_into().unwrap(), suspended });
    }
    tenants
}

async fn new_site(whole: &mut Whole, account: &str, domain: &str, kind: &str) -> SiteId {
    let location = ask(whole, "/sites", &[("account", account), ("domain", domain), ("php", kind)]).await;
    location.trim_start_matches("/sites/").parse().unwrap()
}

/// Asks for something, and waits until it is sent: a change of what was not sent yet would take its place.
async fn ask(whole: &mut Whole, path: &str, fields: &[(&str, &str)]) -> String {
    let answer = whole.admin.post(path, fields).await;
    assert_eq!(answer.status, 303, "{path}: {}", answer.body);
    until_sent(whole).await;
    answer.location().to_owned()
}

async fn count(whole: &Whole, sql: &'static str) -> i64 {
    sqlx::query(sql).fetch_one(whole.app.db().read()).await.unwrap().get(0)
}

/// Admins are told of what came repeatedly, as of what was damaged.
async fn assert_told_of(whole: &Whole, kind: &str) {
    until("admins are told", async || {
        let told = security_events(&whole.app).await;
        told.iter().any(|told| told.0 == kind && told.1 == "web1").then_some(())
    })
    .await;
}

async fn until_sent(whole: &Whole) {
    until("everything is sent", async || (count(whole, "SELECT COUNT(*) FROM jobs WHERE state = 'queued'").await == 0).then_some(())).await;
}

/// Two minutes pass, after which the panel sends again what it heard nothing of.
async fn let_time_pass(whole: &Whole) {
    let mut tx = whole.app.db().write().await.unwrap();
    sqlx::query("UPDATE jobs SET sent_ms = 1 WHERE state IN ('sent', 'working')").execute(&mut *tx).await.unwrap();
    tx.commit().await.unwrap();
}

pub(crate) async fn until_nothing_is_under_way(whole: &Whole) {
    until("nothing is under way", async || {
        (count(whole, "SELECT COUNT(*) FROM jobs WHERE state IN ('queued', 'sent', 'working', 'blocked')").await == 0).then_some(())
    })
    .await;
}

/// All sites are as they were last wanted, on the panel's pages and on the host.
async fn assert_as_wanted(whole: &Whole, tenants: &[Tenant]) {
    let nodes = format!("{:?}", whole.host.snapshot().serving);
    for tenant in tenants {
        for site in tenant.sites {
            assert_eq!(whole.state_of(site).await, Some(ResourceState::Active), "{}", tenant.user);
        }
        for kind in ["php", "plain"] {
            assert!(nodes.contains(&format!("www.{kind}.{}.example", tenant.user)), "{kind} of {} in {nodes}", tenant.user);
        }
        assert_eq!(whole.state_of(tenant.suspended).await, Some(ResourceState::Suspended), "{}", tenant.user);
        assert!(!nodes.contains(&format!("gone.{}.example", tenant.user)), "{nodes}");
        let closed = format!("/etc/nginx/sites-available/closed.{}.example.conf", tenant.user);
        let Some(Node::File { content, .. }) = whole.host.snapshot().nodes.remove(Path::new(&closed)) else {
            panic!("{closed} is no file")
        };
        assert!(String::from_utf8_lossy(&content).contains("return 503;"), "{closed} is not suspended");
    }
    assert_eq!(count(whole, "SELECT COUNT(*) FROM jobs WHERE state = 'failed'").await, 0);
    assert_eq!(count(whole, "SELECT COUNT(*) FROM sites WHERE applied_generation <> 2").await, 0);
}

/// Deletes all tenants, then plays all the messages again to a worker and a panel that remember no outcome of any job. Nothing
/// comes back.
async fn assert_replayed_in_vain(whole: &mut Whole, tenants: &[Tenant], messages: &[Kept]) {
    for tenant in tenants {
        let answer = whole.admin.post(&format!("/accounts/{}/delete", tenant.account), &[("confirm", &tenant.user)]).await;
        assert_eq!(answer.status, 303, "{}", answer.body);
    }
    until("the tenants are gone", async || (traces(whole, tenants).is_empty()).then_some(())).await;
    until_nothing_is_under_way(whole).await;
    whole.worker.stop().await;
    forget_outcomes(whole).await;
    let tamperer = tamperer(whole).await;
    for message in messages {
        tamperer.store(message).await.unwrap();
    }
    whole.worker = start_worker(&whole.identity, &whole.host, &whole.state);
    until("the worker has looked at all of it", async || {
        (tamperer.kept(FIRST_COMMAND_STREAM).await.unwrap().is_empty() && inbox(whole).await == 0).then_some(())
    })
    .await;
    // What comes after it on the same streams has been looked at when this is.
    whole.until_online().await;
    let account = whole.account("afterwards").await;
    until("the panel has looked at all of it", async || {
        let page = whole.admin.clone().get(&format!("/accounts/{account}")).await;
        page.body.contains("Active").then_some(())
    })
    .await;
    assert_eq!(traces(whole, tenants), Vec::<String>::new());
    assert_eq!(count(whole, "SELECT COUNT(*) FROM sites").await, 0);
}

/// What on the host bears a tenant's name.
fn traces(whole: &Whole, tenants: &[Tenant]) -> Vec<String> {
    let host = whole.host.snapshot();
    let all = host.nodes.keys().map(|path| path.display().to_string()).chain(host.users.into_keys()).chain(host.active);
    all.filter(|name| tenants.iter().any(|tenant| name.contains(&tenant.user))).collect()
}

async fn worker_database(whole: &Whole) -> sqlx::SqliteConnection {
    sqlx::SqliteConnection::connect(&format!("sqlite:{}", whole.state.path().join("worker.db").display())).await.unwrap()
}

async fn forget_outcomes(whole: &Whole) {
    sqlx::query("DELETE FROM ended").execute(&mut worker_database(whole).await).await.unwrap();
}

async fn inbox(whole: &Whole) -> i64 {
    sqlx::query("SELECT COUNT(*) FROM inbox").fetch_one(&mut worker_database(whole).await).await.unwrap().get(0)
}

#[tokio::test(flavor = "multi_thread")]
async fn f20_f21_f22_jobs_dropped_repeated_delayed_damaged_and_replayed_leave_what_was_last_wanted() {
    let mut whole = Whole::start().await;
    stop_worker_unnoticed(&mut whole).await;
    let tenants = tenants(&mut whole).await;
    let tamperer = tamperer(&whole).await;
    let messages = tamperer.kept(FIRST_COMMAND_STREAM).await.unwrap();
    assert_eq!(messages.len(), ALL.len() * JOBS);
    tamper(&tamperer, &meant(&whole, &messages).await).await;
    let_time_pass(&whole).await;
    whole.worker = start_worker(&whole.identity, &whole.host, &whole.state);
    until_nothing_is_under_way(&whole).await;
    assert_as_wanted(&whole, &tenants).await;
    assert_told_of(&whole, "replayed_job").await;
    assert_replayed_in_vain(&mut whole, &tenants, &messages).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn f20_outcomes_dropped_repeated_delayed_damaged_and_replayed_end_each_job_once() {
    let mut whole = Whole::start().await;
    stop_worker_unnoticed(&mut whole).await;
    let tamperer = tamperer(&whole).await;
    let before = outcomes(&tamperer).await.len();
    let tenants = tenants(&mut whole).await;
    whole.dispatch.stop().await;
    whole.worker = start_worker(&whole.identity, &whole.host, &whole.state);
    let messages = until("the worker has told every outcome", async || {
        let kept = outcomes(&tamperer).await;
        (kept.len() == before + ALL.len() * JOBS).then_some(kept)
    })
    .await;
    let messages = &messages[before..];
    tamper(&tamperer, &meant(&whole, messages).await).await;
    let_time_pass(&whole).await;
    whole.dispatch = start_dispatch(whole.app.db(), &whole.nats);
    until_nothing_is_under_way(&whole).await;
    assert_as_wanted(&whole, &tenants).await;
    assert_eq!(count(&whole, "SELECT COUNT(*) FROM jobs WHERE attempt <> 1").await, 0);
    assert_told_of(&whole, "replayed_event").await;
    assert_replayed_in_vain(&mut whole, &tenants, messages).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn f14_acknowledgements_that_are_never_confirmed_do_not_hold_up_the_jobs_one_by_one() {
    // Each would be waited for five seconds.
    const SITES: usize = 14;
    let mut whole = Whole::start().await;
    let account = whole.account("unconfirmed").await;
    let first = whole.site(&account, "first.example.org").await;
    whole.until_state(first, ResourceState::Active).await;
    whole.worker.stop().await;
    for number in 0..SITES {
        whole.site(&account, &format!("unconfirmed{number}.example.org")).await;
    }
    until_sent(&whole).await;
    // The worker is given all of them, and can keep the first only when nobody else has its database any more.
    let mut lock = worker_database(&whole).await;
    sqlx::query("BEGIN IMMEDIATE").execute(&mut lock).await.unwrap();
    whole.worker = start_worker(&whole.identity, &whole.host, &whole.state);
    let tamperer = tamperer(&whole).await;
    let consumer = whole.identity.server.as_str();
    until("the worker is given the jobs", async || {
        (tamperer.unacknowledged(FIRST_COMMAND_STREAM, consumer).await.unwrap() == SITES).then_some(())
    })
    .await;
    tamperer.remove_consumer(FIRST_COMMAND_STREAM, consumer).await.unwrap();
    sqlx::query("ROLLBACK").execute(&mut lock).await.unwrap();
    until("all sites are active", async || (count(&whole, "SELECT COUNT(*) FROM sites WHERE state <> 'active'").await == 0).then_some(()))
        .await;
    assert_eq!(security_events(&whole.app).await, [], "what is delivered again is no replay");
}

#[tokio::test(flavor = "multi_thread")]
async fn f23_what_is_no_job_for_this_worker_is_dropped_and_holds_up_nothing() {
    let mut whole = Whole::start().await;
    let account = whole.account("poisoned").await;
    let tamperer = tamperer(&whole).await;
    let (server, stranger) = (whole.identity.server.clone(), AccountId::new());
    let header = |server: &str, epoch: Epoch, v: u32| {
        json!({
            "v": v, "id": JobId::new(), "operation": OperationId::new(), "epoch": epoch, "server": server, "account": stranger,
            "resource": format!("account:{stranger}"), "generation": 1, "attempt": 1, "requires": [],
            "job": {"type": "account", "user": "stranger", "uid": 300_000, "presence": "active", "sftp": {"keys": []}, "limits": {}},
        })
    };
    let own = whole.identity.epoch;
    for bytes in [&b"no JSON"[..], b"", b"\xff\xfe\x00", &[b'['; 100_000]] {
        tamperer.store_bytes(&server, stranger, bytes).await.unwrap();
    }
    tamperer.store_bytes(&server, stranger, header("web1", own, 1).to_string().as_bytes()).await.unwrap();
    tamperer.store_job(&server, stranger, &"no job").await.unwrap();
    tamperer.store_job(&server, stranger, &header("web2", own, 1)).await.unwrap();
    tamperer.store_job(&server, stranger, &header("web1", Epoch::new(), 1)).await.unwrap();
    tamperer.store_job(&server, stranger, &header("web1", own, 99)).await.unwrap();
    let mut bad = header("web1", own, 1);
    bad["job"]["user"] = json!("../../etc");
    tamperer.store_job(&server, stranger, &bad).await.unwrap();

    let site = whole.site(&account, "poisoned.example.org").await;
    whole.until_state(site, ResourceState::Active).await;
    until("what is no job is gone", async || tamperer.kept(FIRST_COMMAND_STREAM).await.unwrap().is_empty().then_some(())).await;
    assert!(!whole.host.snapshot().users.contains_key("stranger"));
    // The list can be told from one in which everything is refused: the same, whole and signed, is a job.
    tamperer.store_job(&server, stranger, &header("web1", own, 1)).await.unwrap();
    until("a job is carried out", async || whole.host.snapshot().users.contains_key("stranger").then_some(())).await;
}
