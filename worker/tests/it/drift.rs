//! Drift: whatever is changed by hand is found and shown, a repair cures it, and what is as applied is never taken for drift.

use std::time::Duration;

use shared::difference::Difference;
use shared::jobs::{Generation, JobEnvelope, PoolPresence, Presence, ResourceKey, SiteKind};
use shared::live_read::Proposal;
use worker::drift::{compare_all, drifted};
use worker::engine::image::{Acl, Owner, WebRights};
use worker::registry::{self, Compared};
use worker::system::fake::{FakeSystem, Node};

use crate::laws::{cases, lab};
use crate::support::{KEY, Lab, UID, account, again, hash, id, pool, pool_key, site, site_key};

/// How everything that was applied differs now.
async fn differences(lab: &Lab) -> Vec<(ResourceKey, Vec<Difference>)> {
    let found = compare_all(&lab.engine, Duration::ZERO).await.unwrap();
    let different = |(key, _, compared)| match compared {
        Compared::Different(differences) => Some((key, differences)),
        Compared::Same | Compared::Unknown => None,
    };
    found.into_iter().filter_map(different).collect()
}

fn words(differences: &[Difference]) -> String {
    let word = |difference: &Difference| match difference {
        Difference::File { path, diff } => format!("{path}\n{diff}"),
        Difference::Fact { text } => text.clone(),
    };
    differences.iter().map(word).collect::<Vec<_>>().join("\n")
}

#[tokio::test]
async fn what_any_job_has_made_is_no_drift() {
    for case in cases() {
        let lab = lab(&case).await;
        assert_eq!(differences(&lab).await, [], "before {}", case.name);
        lab.applied(&[again(&case.job)]).await;
        assert_eq!(differences(&lab).await, [], "after {}", case.name);
    }
}

/// An account with everything an account can have.
fn everything() -> [JobEnvelope; 4] {
    let account = account(1, |spec| {
        spec.sftp.password = Some(hash());
        spec.sftp.keys = vec![KEY.parse().unwrap()];
    });
    let other = site(31, "other.example", 1, |spec| spec.kind = SiteKind::Static);
    [account, pool(1, |_| ()), other, site(30, "shop.example", 1, |_| ())]
}

/// A change by hand: what it is called, the change, whose drift it is, and what is said of it.
type Tampering = (&'static str, fn(&FakeSystem), ResourceKey, &'static str);

fn directory(mode: u32, owner: Owner) -> Node {
    Node::Directory { owner, mode, acl: Acl::default() }
}

fn add_line(host: &FakeSystem) {
    let path = "/etc/nginx/sites-available/shop.example.conf";
    let Some(Node::File { content, .. }) = host.snapshot().nodes.remove(std::path::Path::new(path)) else { panic!("no vhost") };
    host.put_file(path, &(String::from_utf8(content).unwrap() + "# by hand\n"));
}

fn tamperings() -> Vec<Tampering> {
    let (account, shop) = (ResourceKey::Account(id(10)), site_key(30));
    vec![
        ("a line added to a vhost", add_line, shop, "-# by hand"),
        ("a vhost deleted", |host| host.take("/etc/nginx/sites-available/shop.example.conf"), shop, "+server {"),
        ("a link deleted", |host| host.take("/etc/nginx/sites-enabled/shop.example.conf"), shop, "is missing"),
        (
            "a link turned elsewhere",
            |host| host.put("/etc/nginx/sites-enabled/shop.example.conf", Node::Link { target: "/etc/passwd".into() }),
            shop,
            "leads to /etc/passwd, and should lead to ../sites-available/shop.example.conf",
        ),
        (
            "a document root deleted",
            |host| host.take("/home/shop/htdocs/shop.example"),
            shop,
            "The folder /home/shop/htdocs/shop.example is missing",
        ),
        (
            "the cell opened to the world",
            |host| host.put("/home/shop", directory(0o777, Owner::root_for(200_001))),
            account,
            "has the mode 0777, and should have 0750",
        ),
        (
            "the cell given away",
            |host| host.put("/home/shop", directory(0o750, Owner::tenant(1))),
            account,
            "belongs to 1:1, and should belong to 0:200001",
        ),
        ("keys deleted", |host| host.take("/etc/gantry-worker/keys/shop"), account, "/etc/gantry-worker/keys/shop"),
        ("a slice's file emptied", |host| host.put_file("/etc/systemd/system/gantry-shop.slice", ""), account, "gantry-shop.slice"),
        (
            "a pool's configuration deleted",
            |host| host.take("/etc/gantry-worker/php/shop-8.2.conf"),
            pool_key(),
            "/etc/gantry-worker/php/shop-8.2.conf",
        ),
        (
            "a pool's file readable by all",
            |host| {
                let path = std::path::Path::new("/etc/gantry-worker/php/shop-8.2.conf");
                let Some(Node::File { owner, content, .. }) = host.snapshot().nodes.remove(path) else { panic!("no pool") };
                host.put("/etc/gantry-worker/php/shop-8.2.conf", Node::File { owner, mode: 0o644, content });
            },
            pool_key(),
            "has the mode 0644, and should have 0640",
        ),
        ("a socket stopped", |host| host.stop("gantry-php8.2@shop.socket"), pool_key(), "does not run, and should"),
        ("a password set by hand", |host| host.set_password("shop", "$6$other$x"), account, "The password of shop is another one"),
        ("a user removed", |host| host.remove_user_by_hand("shop"), account, "The user shop (uid 200001) is missing"),
        ("PHP uninstalled", FakeSystem::remove_php, pool_key(), "PHP 8.2 is not installed"),
    ]
}

#[tokio::test]
async fn every_change_by_hand_is_found_where_it_belongs_and_says_nothing_of_a_password() {
    for (name, tamper, whose, said) in tamperings() {
        let lab = Lab::new().await;
        lab.applied(&everything()).await;
        tamper(&lab.host);
        let found = differences(&lab).await;
        let own = found.iter().find(|(key, _)| *key == whose).unwrap_or_else(|| panic!("{name} was not found: {found:?}"));
        assert!(words(&own.1).contains(said), "{name}: {}", words(&own.1));
        assert!(found.iter().all(|(_, differences)| !words(differences).contains("$6$")), "{name}");
    }
}

#[tokio::test]
async fn the_same_state_sent_as_a_new_generation_repairs_every_change_by_hand() {
    for (name, tamper, _, _) in tamperings().into_iter().filter(|(name, ..)| *name != "PHP uninstalled") {
        let lab = Lab::new().await;
        lab.applied(&everything()).await;
        tamper(&lab.host);
        let drifted: Vec<ResourceKey> = differences(&lab).await.into_iter().map(|(key, _)| key).collect();
        let jobs = everything().into_iter().filter(|job| drifted.contains(&job.resource));
        lab.applied(&jobs.map(|job| JobEnvelope { generation: Generation(2), ..again(&job) }).collect::<Vec<_>>()).await;
        assert_eq!(differences(&lab).await, [], "{name}");
    }
}

#[tokio::test]
async fn a_look_changes_nothing_and_starts_nothing() {
    let lab = Lab::new().await;
    lab.applied(&everything()).await;
    lab.host.heal();
    let before = lab.host.snapshot();
    let found = compare_all(&lab.engine, Duration::ZERO).await.unwrap();
    assert_eq!((found.len(), drifted(&found)), (4, 0));
    assert_eq!((lab.host.changes(), lab.host.tests(), lab.host.reloads()), (0, 0, 0));
    assert_eq!(lab.host.snapshot(), before);
}

#[tokio::test]
async fn what_was_deleted_is_not_compared_with_what_has_its_name_now() {
    let lab = Lab::new().await;
    lab.applied(&everything()).await;
    lab.applied(&[site(30, "shop.example", 2, |spec| spec.presence = Presence::Deleted)]).await;
    lab.applied(&[pool(2, |spec| spec.presence = PoolPresence::Deleted)]).await;
    lab.applied(&[pool(3, |_| ()), site(40, "shop.example", 1, |_| ())]).await;
    assert_eq!(differences(&lab).await, []);
}

#[tokio::test]
async fn a_file_without_our_mark_is_shown_as_somebody_elses() {
    let lab = Lab::new().await;
    lab.applied(&everything()).await;
    lab.host.put_file("/etc/nginx/sites-available/shop.example.conf", "server { server_name shop.example; }\n");
    let found = differences(&lab).await;
    assert!(words(&found[0].1).contains("shop.example is answered by /etc/nginx/sites-available/shop.example.conf"), "{found:?}");
}

#[tokio::test]
async fn a_state_that_failed_is_no_drift_and_what_serves_instead_is_compared() {
    let lab = Lab::new().await;
    lab.applied(&everything()).await;
    lab.host.refuse_php();
    lab.apply(&pool(2, |spec| spec.settings.memory_limit_mib = 64)).await;
    assert_eq!(differences(&lab).await, []);
}

#[tokio::test]
async fn a_preview_is_what_is_then_done_and_changes_nothing() {
    let lab = Lab::new().await;
    lab.applied(&everything()).await;
    let job = site(30, "shop.example", 2, |spec| spec.aliases = vec!["www.shop.example".parse().unwrap()]);
    lab.host.heal();
    let before = lab.host.snapshot();
    let proposal = Proposal { resource: job.resource, generation: job.generation, job: job.job.clone() };
    let planned = registry::propose(&lab.engine, vec![proposal]).await.unwrap().remove(0);
    assert_eq!((lab.host.changes(), lab.host.tests()), (0, 0));
    assert_eq!(lab.host.snapshot(), before);
    let shown = words(&planned.differences);
    assert!(shown.contains("-    server_name shop.example;\n+    server_name shop.example www.shop.example;"), "{shown}");

    // The way back shows the same lines the other way round.
    lab.applied(&[job]).await;
    let back = site(30, "shop.example", 3, |_| ());
    let proposal = Proposal { resource: back.resource, generation: back.generation, job: back.job };
    let planned = registry::propose(&lab.engine, vec![proposal]).await.unwrap().remove(0);
    assert!(words(&planned.differences).contains("-    server_name shop.example www.shop.example;\n+    server_name shop.example;"));
}

#[tokio::test]
async fn a_preview_says_whether_the_host_was_changed_by_hand_before_any_pass_has_found_it() {
    let lab = Lab::new().await;
    lab.applied(&everything()).await;
    let proposals = || {
        let changed = site(30, "shop.example", 2, |spec| spec.aliases = vec!["www.shop.example".parse().unwrap()]);
        let new = site(33, "new.example", 1, |spec| spec.kind = SiteKind::Static);
        [changed, new].map(|job| Proposal { resource: job.resource, generation: job.generation, job: job.job }).to_vec()
    };
    let by_hand = async || registry::propose(&lab.engine, proposals()).await.unwrap().iter().map(|plan| plan.by_hand).collect::<Vec<_>>();
    assert_eq!(by_hand().await, [false, false]);
    add_line(&lab.host);
    assert_eq!(by_hand().await, [true, false]);
}

#[tokio::test]
async fn a_preview_of_what_cannot_be_says_why() {
    let lab = Lab::new().await;
    lab.applied(&everything()).await;
    let job = site(32, "third.example", 1, |spec| spec.aliases = vec!["other.example".parse().unwrap()]);
    let proposal = Proposal { resource: job.resource, generation: job.generation, job: job.job };
    let planned = registry::propose(&lab.engine, vec![proposal]).await.unwrap().remove(0);
    let refused = planned.refused.unwrap();
    assert_eq!(refused.code, shared::failure::FailureCode::NameTaken);
    assert!(planned.differences.is_empty());
}

#[tokio::test]
async fn what_a_tenant_makes_of_his_own_directories_is_no_drift_as_long_as_the_web_server_gets_in() {
    let web = Acl::for_web_server(WebRights::Read, 33);
    let own = |mode, acl: &Acl| Node::Directory { owner: Owner::tenant(200_001), mode, acl: acl.clone() };
    let (root, home, tmp) = ("/home/shop/htdocs/shop.example", "/home/shop/home", "/home/shop/tmp");
    let lab = Lab::new().await;
    lab.applied(&everything()).await;
    for (path, node) in [(root, own(0o2777, &web)), (home, own(0o711, &Acl::default())), (tmp, own(0o1777, &Acl::default()))] {
        lab.host.put(path, node);
    }
    assert_eq!(differences(&lab).await, []);
    // A job about them sets them right all the same.
    lab.applied(&everything().map(|job| JobEnvelope { generation: Generation(2), ..again(&job) })).await;
    assert_eq!(lab.host.snapshot().nodes[std::path::Path::new(home)], own(0o750, &Acl::default()));

    let shut = Acl::for_web_server(WebRights::Enter, 33);
    for (path, node, said) in [
        (root, own(0o750, &Acl::default()), "other access lists"),
        (root, own(0o750, &shut), "other access lists"),
        (home, directory(0o750, Owner::ROOT), "belongs to 0:0"),
        (tmp, directory(0o700, Owner::tenant(200_002)), "belongs to 200002:200002"),
    ] {
        let before = lab.host.snapshot().nodes[std::path::Path::new(path)].clone();
        lab.host.put(path, node);
        let found = differences(&lab).await;
        assert!(found.len() == 1 && words(&found[0].1).contains(said), "{path}: {found:?}");
        lab.host.put(path, before);
    }
}

#[tokio::test]
async fn a_host_that_does_not_answer_is_no_drift_and_is_asked_once() {
    let lab = Lab::new().await;
    lab.applied(&everything()).await;
    let mut other = pool(1, |spec| spec.version = "8.4".parse().unwrap());
    other.resource = ResourceKey::PhpPool(id(21));
    lab.applied(&[other]).await;
    lab.host.silence_systemd();
    let found = compare_all(&lab.engine, Duration::ZERO).await.unwrap();
    let of_pool = found.iter().find(|(key, ..)| *key == pool_key()).map(|(_, _, compared)| compared);
    assert_eq!((of_pool, drifted(&found)), (Some(&Compared::Unknown), 0));
    assert_eq!(lab.host.units_asked(), 1);
}

#[tokio::test]
async fn what_lies_in_the_way_is_drift() {
    let lab = Lab::new().await;
    lab.applied(&everything()).await;
    lab.host.put("/home/shop/htdocs/shop.example", Node::Pipe);
    let found = differences(&lab).await;
    assert!(found.len() == 1 && words(&found[0].1).contains("a pipe"), "{found:?}");
}

#[tokio::test]
async fn an_account_whose_password_cannot_be_opened_any_more_is_compared_in_everything_else() {
    let lab = Lab::new().await;
    lab.applied(&everything()).await;
    let resealed = |column: &str| format!("{column} = replace({column}, '{}', 'to a former key')", hash().sealed);
    lab.run_sql(format!("UPDATE ledger SET {}, {}", resealed("spec"), resealed("applied_spec"))).await;
    let (lab, _) = lab.restart().await;
    let found = compare_all(&lab.engine, Duration::ZERO).await.unwrap();
    assert!(found.iter().all(|(_, _, compared)| *compared == Compared::Same), "{found:?}");
    lab.host.take("/etc/gantry-worker/keys/shop");
    lab.host.put("/home/shop/htdocs", directory(0o777, Owner::tenant(UID)));
    lab.host.set_password("shop", "!");
    let found = differences(&lab).await;
    let said = found.iter().map(|(_, differences)| words(differences)).collect::<String>();
    assert_eq!(found.len(), 1, "{found:?}");
    assert!(said.contains("/etc/gantry-worker/keys/shop") && said.contains("/home/shop/htdocs"), "{said}");
    assert!(!said.contains("password"), "{said}");
    lab.host.remove_user_by_hand("shop");
    assert!(words(&differences(&lab).await[0].1).contains("The user shop"));
}
