//! Each way a job fails has its own code, and says truly whether anything changed.

use shared::events::{StepState, Verdict};
use shared::failure::{Effect, FailureCode};
use shared::jobs::{Generation, JobEnvelope, PoolPresence, Presence, Requirement, SiteKind};
use worker::registry::Carried;
use worker::system::fake::{FakeSystem, Node, Trouble};

use crate::support::{Lab, account, failure, pool, pool_key, site};

/// A lab with an account and a pool.
async fn lab() -> Lab {
    let lab = Lab::new().await;
    lab.applied(&[account(1, |_| ()), pool(1, |_| ())]).await;
    lab.host.heal();
    lab
}

/// Asserts that a job fails in a way and leaves the host as it was.
async fn fails(lab: &Lab, job: &JobEnvelope, code: FailureCode, effect: Effect) {
    let before = lab.host.snapshot();
    let outcome = lab.apply(job).await;
    assert_eq!(failure(&outcome), Some((code, effect)), "{:?}", outcome.verdict);
    assert_eq!(lab.host.snapshot(), before);
}

#[tokio::test]
async fn a_configuration_broken_by_hand_is_nobodys_fault_and_the_job_waits_until_it_is_mended() {
    let lab = lab().await;
    let job = site(30, "shop.example", 1, |_| ());
    lab.host.put_file("/etc/nginx/conf.d/by-hand.conf", "BROKEN;");
    let before = lab.host.snapshot();
    for _ in 0..2 {
        let Carried::Blocked { said, steps } = lab.carry_out(&job).await else { panic!("it is not blocked") };
        assert!(said.contains("/etc/nginx/conf.d/by-hand.conf:1"), "{said}");
        assert!(steps.iter().all(|step| step.state == StepState::Waiting), "{steps:?}");
        assert_eq!(lab.host.snapshot(), before);
    }
    assert_eq!(lab.host.reloads(), 0);
    lab.host.take("/etc/nginx/conf.d/by-hand.conf");
    lab.applied(&[job]).await;
}

#[tokio::test]
async fn a_name_of_another_site_of_ours_is_taken() {
    let lab = lab().await;
    lab.applied(&[site(30, "shop.example", 1, |spec| spec.aliases = vec!["www.shop.example".parse().unwrap()])]).await;
    fails(&lab, &site(31, "www.shop.example", 1, |_| ()), FailureCode::NameTaken, Effect::NothingChanged).await;
}

#[tokio::test]
async fn a_name_in_a_vhost_made_by_hand_is_taken_whichever_file_sorts_first() {
    for name in ["000.conf", "zzz.conf"] {
        let lab = lab().await;
        lab.host.put_file(&format!("/etc/nginx/sites-enabled/{name}"), "server { server_name shop.example; }");
        fails(&lab, &site(30, "shop.example", 1, |_| ()), FailureCode::NameTaken, Effect::NothingChanged).await;
    }
}

#[tokio::test]
async fn a_vhost_file_made_by_hand_is_not_overwritten() {
    let lab = lab().await;
    lab.host.put_file("/etc/nginx/sites-available/shop.example.conf", "server { server_name elsewhere.example; }");
    fails(&lab, &site(30, "shop.example", 1, |_| ()), FailureCode::NameTaken, Effect::NothingChanged).await;
    fails_not(&lab, &site(30, "shop.example", 2, |spec| spec.presence = Presence::Deleted)).await;
    assert!(lab.host.snapshot().nodes.contains_key(std::path::Path::new("/etc/nginx/sites-available/shop.example.conf")));
}

async fn fails_not(lab: &Lab, job: &JobEnvelope) {
    assert_eq!(lab.apply(job).await.verdict, Verdict::Applied);
}

#[tokio::test]
async fn a_pool_php_refuses_changes_nothing() {
    let lab = lab().await;
    lab.host.refuse_php();
    let job = pool(2, |spec| spec.settings.memory_limit_mib = 64);
    fails(&lab, &job, FailureCode::PhpRefused, Effect::NothingChanged).await;
}

#[tokio::test]
async fn a_php_version_that_is_not_installed_is_missing() {
    let lab = lab().await;
    let job = pool(2, |spec| spec.version = "7.4".parse().unwrap());
    fails(&lab, &job, FailureCode::PhpMissing, Effect::NothingChanged).await;
    let job = site(30, "shop.example", 1, |spec| spec.kind = SiteKind::Php { version: "7.4".parse().unwrap() });
    fails(&lab, &job, FailureCode::PhpMissing, Effect::NothingChanged).await;
}

#[tokio::test]
async fn a_setting_out_of_range_is_a_bad_job() {
    let lab = lab().await;
    let job = pool(2, |spec| spec.settings.memory_limit_mib = 1_000_000);
    fails(&lab, &job, FailureCode::BadJob, Effect::NothingChanged).await;
}

#[tokio::test]
async fn a_reload_nginx_refuses_silently_is_noticed_and_put_back() {
    let lab = lab().await;
    lab.host.refuse_reloads();
    fails(&lab, &site(30, "shop.example", 1, |_| ()), FailureCode::ServiceDown, Effect::RolledBack).await;
}

#[tokio::test]
async fn a_php_site_without_its_pool_does_not_count_as_active() {
    let lab = Lab::new().await;
    lab.applied(&[account(1, |_| ())]).await;
    let outcome = lab.apply(&site(30, "shop.example", 1, |_| ())).await;
    assert_eq!(failure(&outcome), Some((FailureCode::ProbeFailed, Effect::RolledBack)));
    let states: Vec<_> = outcome.steps.iter().map(|step| (step.name.as_str(), step.state)).collect();
    let undone = StepState::Undone;
    assert_eq!(
        states,
        [("Folders", undone), ("nginx test", undone), ("Site", undone), ("Reload", undone), ("Test request", StepState::Failed)]
    );
    assert!(outcome.steps[4].detail.contains("502"), "{:?}", outcome.steps[4]);
}

#[tokio::test]
async fn a_user_or_a_number_that_is_not_ours_is_a_conflict() {
    let same_name = FakeSystem::new();
    same_name.put_user("shop", 1001);
    let same_number = FakeSystem::new();
    same_number.put_user("other", 200_001);
    let same_group = FakeSystem::new();
    same_group.put_group("shop", 1001);
    let same_group_number = FakeSystem::new();
    same_group_number.put_group("other", 200_001);
    let folder = FakeSystem::new();
    folder.put("/home/shop", Node::directory());
    for host in [same_name, same_number, same_group, same_group_number, folder] {
        let lab = Lab::on(host).await;
        fails(&lab, &account(1, |_| ()), FailureCode::UserConflict, Effect::NothingChanged).await;
        let deletion = account(2, |spec| spec.presence = Presence::Deleted);
        fails(&lab, &deletion, FailureCode::UserConflict, Effect::NothingChanged).await;
    }
}

#[tokio::test]
async fn a_group_that_a_half_made_or_half_removed_user_has_left_is_taken_over_and_goes_with_the_account() {
    let deletion = || account(3, |spec| spec.presence = Presence::Deleted);
    for jobs in [vec![account(1, |_| ()), deletion()], vec![deletion()]] {
        let lab = Lab::new().await;
        lab.host.put_group("shop", 200_001);
        lab.applied(&jobs).await;
        let host = lab.host.snapshot();
        assert!(host.groups.is_empty() && !host.users.contains_key("shop"));
    }
}

#[tokio::test]
async fn links_and_pipes_in_a_tenants_way_are_his_own_doing() {
    for node in [Node::Link { target: "/etc".into() }, Node::Pipe] {
        let lab = lab().await;
        lab.host.put("/home/shop/htdocs/shop.example", node);
        fails(&lab, &site(30, "shop.example", 1, |_| ()), FailureCode::TenantInterference, Effect::NothingChanged).await;
    }
}

#[tokio::test]
async fn a_job_whose_requirement_has_not_been_reached_fails() {
    let lab = lab().await;
    let mut job = site(30, "shop.example", 1, |_| ());
    job.requires = vec![Requirement { resource: pool_key(), generation: Generation(2) }];
    fails(&lab, &job, FailureCode::RequirementFailed, Effect::NothingChanged).await;
}

#[tokio::test]
async fn a_site_of_an_account_that_is_not_there_fails() {
    let lab = Lab::new().await;
    fails(&lab, &site(30, "shop.example", 1, |_| ()), FailureCode::RequirementFailed, Effect::NothingChanged).await;
}

#[tokio::test]
async fn a_job_for_another_kind_of_resource_is_bad() {
    let lab = Lab::new().await;
    let mut job = account(1, |_| ());
    job.resource = pool_key();
    fails(&lab, &job, FailureCode::BadJob, Effect::NothingChanged).await;
}

#[tokio::test]
async fn an_older_generation_is_superseded_and_changes_nothing() {
    let lab = lab().await;
    lab.applied(&[account(5, |spec| spec.limits.memory_mib = Some(64))]).await;
    let before = lab.host.snapshot();
    assert_eq!(lab.apply(&account(4, |_| ())).await.verdict, Verdict::Superseded);
    assert_eq!(lab.host.snapshot(), before);
}

#[tokio::test]
async fn a_deleted_resource_does_not_come_back_by_an_older_job() {
    let lab = lab().await;
    lab.applied(&[account(3, |spec| spec.presence = Presence::Deleted)]).await;
    assert_eq!(lab.apply(&account(2, |_| ())).await.verdict, Verdict::Superseded);
}

#[tokio::test]
async fn a_failed_change_keeps_serving_what_served_and_a_retry_applies_it() {
    let lab = lab().await;
    lab.applied(&[site(30, "shop.example", 1, |_| ())]).await;
    lab.host.put_file("/etc/nginx/sites-enabled/by-hand.conf", "server { server_name www.shop.example; }");
    let mut job = site(30, "shop.example", 2, |spec| spec.aliases = vec!["www.shop.example".parse().unwrap()]);
    fails(&lab, &job, FailureCode::NameTaken, Effect::NothingChanged).await;
    lab.host.take("/etc/nginx/sites-enabled/by-hand.conf");
    job.attempt = 2;
    lab.applied(&[job]).await;
}

#[tokio::test]
async fn a_tenants_files_stay_when_a_site_is_deleted_and_a_bare_placeholder_goes() {
    let lab = lab().await;
    lab.applied(&[site(30, "shop.example", 1, |_| ()), site(31, "bare.example", 1, |_| ())]).await;
    lab.host.put_file("/home/shop/htdocs/shop.example/mine.php", "<?php");
    for (number, domain) in [(30, "shop.example"), (31, "bare.example")] {
        lab.applied(&[site(number, domain, 2, |spec| spec.presence = Presence::Deleted)]).await;
    }
    let nodes = lab.host.snapshot().nodes;
    assert!(nodes.contains_key(std::path::Path::new("/home/shop/htdocs/shop.example/index.php")));
    assert!(!nodes.contains_key(std::path::Path::new("/home/shop/htdocs/bare.example")));
}

#[tokio::test]
async fn progress_tells_every_change_of_a_visible_step() {
    let lab = lab().await;
    let mut seen = Vec::new();
    let job = site(30, "shop.example", 1, |_| ());
    worker::registry::carry_out(&lab.engine, &job, &mut |steps| seen.push(steps)).await;
    assert!(seen.iter().all(|steps| steps.len() == 5));
    assert_eq!(seen.first().unwrap()[0].state, StepState::Running);
    assert!(seen.last().unwrap().iter().all(|step| step.state == StepState::Done));
}

#[tokio::test]
async fn what_a_failing_database_left_in_the_journal_is_never_put_back_over_something_newer() {
    let lab = lab().await;
    let vhost = "/etc/nginx/sites-available/shop.example.conf";
    lab.leave_in_journal(&format!(r#"{{"path":{{"path":"{vhost}","before":"absent"}}}}"#)).await;
    lab.applied(&[site(30, "shop.example", 1, |_| ())]).await;
    let (lab, recovery) = lab.restart().await;
    assert_eq!(recovery.undone, 0);
    assert!(lab.host.snapshot().nodes.contains_key(std::path::Path::new(vhost)));
}

#[tokio::test]
async fn a_job_that_is_committed_is_applied_even_if_the_database_fails_or_a_panic_comes_after_it() {
    let gone = || account(2, |spec| spec.presence = Presence::Deleted);
    let is_there = |lab: &Lab| lab.host.snapshot().users.contains_key("shop");
    for panics in [false, true] {
        let lab = lab().await;
        if panics {
            // The account's processes are ended once before the commit point; after it, it is tried twice.
            lab.host.trouble_of("processes", 1, 2, Trouble::Panic);
        } else {
            let trigger = "CREATE TRIGGER failing BEFORE DELETE ON journal WHEN OLD.phase = 'finish'";
            lab.run_sql(format!("{trigger} BEGIN SELECT RAISE(ABORT, 'made to fail'); END")).await;
        }
        let job = gone();
        assert_eq!(lab.apply(&job).await.verdict, Verdict::Applied);
        assert_eq!(lab.engine.ledger().rows().get(job.resource).unwrap().state, worker::ledger::RowState::Applied);
        assert_eq!(is_there(&lab), panics);
        if !panics {
            lab.run_sql("DROP TRIGGER failing".to_owned()).await;
        }
        let (lab, recovery) = lab.restart().await;
        assert_eq!((recovery.finished, recovery.errors, is_there(&lab)), (1, 0, false));
        assert_eq!(lab.restart().await.1.finished, 0);
    }
}

const SHOP_LIMITS: &str = "/etc/nginx/gantry/shop-8.2.conf";

#[tokio::test]
async fn nginx_takes_a_body_as_large_as_the_pool_does_from_the_change_of_the_pool_on() {
    let lab = lab().await;
    lab.applied(&[site(30, "shop.example", 1, |_| ())]).await;
    let limit = || match &lab.host.snapshot().nodes[std::path::Path::new(SHOP_LIMITS)] {
        Node::File { content, .. } => String::from_utf8(content.clone()).unwrap(),
        other => panic!("{other:?}"),
    };
    assert!(limit().contains("client_max_body_size 64m;"));
    let change = pool(2, |spec| spec.settings.post_max_size_mib = 200);
    let plan = serde_json::to_string(&worker::registry::plan(&lab.engine, &change).await.unwrap()).unwrap();
    assert!(plan.contains("test_nginx") && plan.contains("reload_nginx"), "{plan}");
    lab.applied(&[change]).await;
    assert!(limit().contains("client_max_body_size 200m;"));
}

#[tokio::test]
async fn what_a_vhost_includes_stays_as_long_as_a_site_needs_it_and_not_longer() {
    let lab = lab().await;
    let there = || lab.host.snapshot().nodes.contains_key(std::path::Path::new(SHOP_LIMITS));
    lab.applied(&[site(30, "shop.example", 1, |_| ()), pool(2, |spec| spec.presence = PoolPresence::Deleted)]).await;
    assert!(there());
    lab.applied(&[account(2, |spec| spec.presence = Presence::Deleted)]).await;
    assert!(!there());
}

/// Where the bus has lost its store, the jobs of an account come in any order.
#[tokio::test]
async fn what_a_vhost_includes_of_a_pool_that_was_deleted_before_it_goes_with_the_vhost() {
    type Change = fn(&mut shared::jobs::SiteSpec);
    let changes: [Change; 3] =
        [|spec| spec.presence = Presence::Deleted, |spec| spec.presence = Presence::Suspended, |spec| spec.kind = SiteKind::Static];
    for change in changes {
        let lab = lab().await;
        let there = || lab.host.snapshot().nodes.contains_key(std::path::Path::new(SHOP_LIMITS));
        lab.applied(&[site(30, "shop.example", 1, |_| ()), site(31, "other.example", 1, |_| ())]).await;
        lab.applied(&[pool(2, |spec| spec.presence = PoolPresence::Deleted)]).await;
        lab.applied(&[site(30, "shop.example", 2, change)]).await;
        assert!(there(), "the other one needs it");
        lab.applied(&[site(31, "other.example", 2, change)]).await;
        assert!(!there());
    }
}

/// A lab with a site whose PHP is busy for good.
async fn busy_lab() -> Lab {
    let lab = lab().await;
    lab.applied(&[site(30, "shop.example", 1, |_| ())]).await;
    lab.host.start("gantry-php8.2@shop.service");
    lab.host.keep_busy("shop-8.2", 10);
    lab
}

#[tokio::test]
async fn a_site_whose_php_is_busy_can_be_changed_suspended_and_made_active_again() {
    let lab = busy_lab().await;
    lab.applied(&[
        site(30, "shop.example", 2, |spec| spec.aliases = vec!["www.shop.example".parse().unwrap()]),
        site(30, "shop.example", 3, |spec| spec.presence = Presence::Suspended),
        site(30, "shop.example", 4, |_| ()),
        pool(2, |spec| spec.settings.memory_limit_mib = 64),
    ])
    .await;
}

/// Of a hundred masters started at once on a busy machine, four sites were called dead before theirs were up.
#[tokio::test]
async fn a_master_that_is_still_being_started_is_waited_for() {
    let lab = lab().await;
    // More than are asked in a row.
    lab.host.wake_slowly("shop", "8.2", 25);
    lab.applied(&[site(30, "shop.example", 1, |_| ())]).await;
}

#[tokio::test]
async fn a_silent_pool_that_is_not_at_work_proves_nothing() {
    let lab = lab().await;
    lab.host.keep_busy("shop-8.2", 0);
    fails(&lab, &site(30, "shop.example", 1, |_| ()), FailureCode::ProbeFailed, Effect::RolledBack).await;
}

#[tokio::test]
async fn a_neighbour_whose_php_is_busy_stands_in_nobodys_way() {
    let lab = busy_lab().await;
    lab.applied(&[site(31, "other.example", 1, |spec| spec.kind = SiteKind::Static)]).await;
}

#[tokio::test]
async fn php_is_asked_where_a_site_becomes_active_and_left_alone_where_it_served_before() {
    let lab = lab().await;
    let asks_php = async |job: &JobEnvelope| {
        let plan = worker::registry::plan(&lab.engine, job).await.unwrap();
        serde_json::to_string(&plan).unwrap().contains(r#""expect":{"php":"#)
    };
    assert!(asks_php(&site(30, "shop.example", 1, |_| ())).await);
    lab.applied(&[site(30, "shop.example", 1, |_| ())]).await;
    assert!(!asks_php(&site(30, "shop.example", 2, |spec| spec.aliases = vec!["www.shop.example".parse().unwrap()])).await);
    assert!(!asks_php(&site(30, "shop.example", 2, |spec| spec.presence = Presence::Suspended)).await);
    assert!(asks_php(&site(30, "shop.example", 2, |spec| spec.kind = SiteKind::Php { version: "8.4".parse().unwrap() })).await);
    lab.applied(&[site(30, "shop.example", 2, |spec| spec.presence = Presence::Suspended)]).await;
    assert!(asks_php(&site(30, "shop.example", 3, |_| ())).await);
}

/// A site whose wildcard covers the name of another.
async fn wildcard_lab(kind: SiteKind) -> Lab {
    let lab = lab().await;
    let wildcard = site(30, "shop.example", 1, |spec| {
        spec.aliases = vec!["*.shop.example".parse().unwrap()];
        spec.kind = kind;
    });
    lab.applied(&[wildcard]).await;
    lab
}

fn kinds() -> [SiteKind; 2] {
    [SiteKind::Static, SiteKind::Php { version: "8.2".parse().unwrap() }]
}

#[tokio::test]
async fn a_site_below_anothers_wildcard_is_made_changed_and_deleted() {
    for kind in kinds() {
        let lab = wildcard_lab(kind).await;
        let blog = |generation, presence| {
            site(31, "blog.shop.example", generation, |spec| {
                spec.kind = kind;
                spec.presence = presence;
            })
        };
        lab.applied(&[blog(1, Presence::Active), blog(2, Presence::Suspended), blog(3, Presence::Deleted)]).await;
    }
}

#[tokio::test]
async fn an_answer_of_anothers_wildcard_proves_no_site_even_if_its_generation_is_the_same() {
    for kind in kinds() {
        let lab = wildcard_lab(kind).await;
        // An administrator empties what has just been put in place.
        lab.host.put_file_at_reload("/etc/nginx/sites-enabled/blog.shop.example.conf", "");
        let blog = site(31, "blog.shop.example", 1, |spec| spec.kind = kind);
        fails(&lab, &blog, FailureCode::ProbeFailed, Effect::RolledBack).await;
    }
}

#[tokio::test]
async fn what_a_tenant_has_made_of_his_log_keeps_his_pool_from_serving_and_not_from_being_suspended() {
    let lab = lab().await;
    lab.host.put("/home/shop/logs/php-8.2.log", Node::Pipe);
    lab.applied(&[pool(2, |spec| spec.presence = PoolPresence::Suspended)]).await;
    fails(&lab, &pool(3, |_| ()), FailureCode::TenantInterference, Effect::NothingChanged).await;
}

#[tokio::test]
async fn a_neighbour_that_somebody_took_away_without_a_reload_costs_nobody_his_job() {
    let lab = lab().await;
    lab.applied(&[site(30, "shop.example", 1, |_| ())]).await;
    lab.host.take("/etc/nginx/sites-enabled/shop.example.conf");
    lab.applied(&[site(31, "other.example", 1, |spec| spec.kind = SiteKind::Static)]).await;
}

#[tokio::test]
async fn a_job_that_changes_its_neighbour_whenever_it_is_tried_fails_after_the_second_time() {
    let lab = lab().await;
    lab.applied(&[site(30, "shop.example", 1, |_| ())]).await;
    lab.host.make_restless("shop.example");
    lab.host.heal();
    fails(&lab, &site(31, "other.example", 1, |spec| spec.kind = SiteKind::Static), FailureCode::ProbeFailed, Effect::RolledBack).await;
    // One for each try, and one to put it back.
    assert_eq!(lab.host.reloads(), 4);
}
