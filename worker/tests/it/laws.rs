//! Laws that hold for every job: applied twice is applied once; failed at any step, the host is unchanged; cut off at any
//! step and started again, the host is consistent.

use std::path::Path;
use std::time::Duration;

use shared::events::{Outcome, Verdict};
use shared::failure::Effect;
use shared::jobs::{JobEnvelope, PoolPresence, Presence, SiteKind};
use shared::role::Role;
use worker::registry;
use worker::system::System as _;
use worker::system::fake::{FakeSystem, Node, Trouble};

use crate::support::{KEY, Lab, account, again, failure, hash, pool, site};

/// A job, and what was applied before it.
pub(crate) struct Case {
    pub(crate) name: &'static str,
    before: Vec<JobEnvelope>,
    pub(crate) job: JobEnvelope,
}

fn case(name: &'static str, before: &[&JobEnvelope], job: JobEnvelope) -> Case {
    Case { name, before: before.iter().copied().map(again).collect(), job }
}

/// Every kind of job, made, changed, suspended, brought back and deleted.
pub(crate) fn cases() -> Vec<Case> {
    let a1 = account(1, |_| ());
    let a2 = account(2, |spec| {
        spec.sftp.password = Some(hash());
        spec.sftp.keys = vec![KEY.parse().unwrap()];
        spec.limits.memory_mib = Some(64);
    });
    let p1 = pool(1, |_| ());
    let s1 = site(30, "shop.example", 1, |_| ());
    let other = site(31, "other.example", 1, |spec| spec.kind = SiteKind::Static);
    let all = [&a1, &p1, &other, &s1];
    let all_and = |last| [&a1, &p1, &other, &s1, last];
    let a_suspended = account(2, |spec| spec.presence = Presence::Suspended);
    let p_suspended = pool(2, |spec| spec.presence = PoolPresence::Suspended);
    let s_suspended = site(30, "shop.example", 2, |spec| spec.presence = Presence::Suspended);
    vec![
        case("account create", &[], a1.clone()),
        case("account with a password and keys", &[], a2.clone()),
        case("account change", &[&a1], a2.clone()),
        case("account change back", &[&a1, &a2], account(3, |_| ())),
        case("account suspend", &all, a_suspended.clone()),
        case("account unsuspend", &all_and(&a_suspended), account(3, |_| ())),
        case("account delete", &[&a1, &a2], account(3, |spec| spec.presence = Presence::Deleted)),
        case("account delete with all it has", &all, account(2, |spec| spec.presence = Presence::Deleted)),
        case("account delete of nothing", &[], account(1, |spec| spec.presence = Presence::Deleted)),
        case("pool create", &[&a1], p1.clone()),
        case("pool change", &all, pool(2, |spec| spec.settings.memory_limit_mib = 64)),
        case("pool suspend", &all, p_suspended.clone()),
        case("pool unsuspend", &all_and(&p_suspended), pool(3, |_| ())),
        case("pool delete", &all, pool(2, |spec| spec.presence = PoolPresence::Deleted)),
        case("site create", &[&a1, &p1, &other], s1.clone()),
        case("static site create", &[&a1], other.clone()),
        case("site change", &all, site(30, "shop.example", 2, |spec| spec.aliases = vec!["*.shop.example".parse().unwrap()])),
        case("site from PHP to static", &all, site(30, "shop.example", 2, |spec| spec.kind = SiteKind::Static)),
        case("site suspend", &all, s_suspended.clone()),
        case("site unsuspend", &all_and(&s_suspended), site(30, "shop.example", 3, |_| ())),
        case("site delete", &all, site(30, "shop.example", 2, |spec| spec.presence = Presence::Deleted)),
        case("site delete of nothing", &[&a1], site(30, "shop.example", 1, |spec| spec.presence = Presence::Deleted)),
    ]
}

/// A host on which a case's past has happened, with its pool awake.
pub(crate) async fn lab(case: &Case) -> Lab {
    let lab = Lab::new().await;
    lab.applied(&case.before.iter().map(again).collect::<Vec<_>>()).await;
    if lab.host.snapshot().active.contains("gantry-php8.2@shop.socket") {
        lab.host.start("gantry-php8.2@shop.service");
    }
    lab.host.heal();
    lab
}

#[tokio::test]
async fn every_job_applied_twice_is_applied_once() {
    for case in cases() {
        let lab = lab(&case).await;
        lab.applied(&[again(&case.job)]).await;
        let once = lab.host.snapshot();
        let changes = lab.host.changes();
        assert!(registry::plan(&lab.engine, &case.job).await.unwrap().is_empty(), "{}: the plan is not empty", case.name);
        lab.applied(&[again(&case.job)]).await;
        assert_eq!(lab.host.snapshot(), once, "{}", case.name);
        assert_eq!(lab.host.changes(), changes, "{}: something was done twice", case.name);
    }
}

#[tokio::test]
async fn every_job_that_fails_at_any_step_leaves_the_host_as_it_was_and_can_be_retried() {
    for case in cases() {
        let done = final_state(&case).await;
        for call in 0.. {
            let lab = lab(&case).await;
            let before = lab.host.snapshot();
            lab.host.trouble_at(call, Trouble::Fail);
            let outcome = lab.apply(&again(&case.job)).await;
            let Some((_, effect)) = failure(&outcome) else {
                assert_eq!(outcome.verdict, Verdict::Applied);
                break;
            };
            // Past the commit point there is no way back, and the outcome says so.
            if effect != Effect::Partial {
                assert_eq!(lab.host.snapshot(), before, "{} failed at change {call}", case.name);
            }
            lab.host.heal();
            lab.applied(&[again(&case.job)]).await;
            assert_eq!(lab.host.snapshot(), done, "{} retried after a failure at change {call}", case.name);
        }
    }
}

#[tokio::test]
async fn every_job_cut_off_before_any_step_is_consistent_after_a_restart() {
    cut_everywhere(Trouble::CutBefore).await;
}

#[tokio::test]
async fn every_job_cut_off_after_any_step_is_consistent_after_a_restart() {
    cut_everywhere(Trouble::CutAfter).await;
}

async fn cut_everywhere(trouble: Trouble) {
    for case in cases() {
        let done = final_state(&case).await;
        for call in 0.. {
            let lab = lab(&case).await;
            let before = lab.host.snapshot();
            lab.host.trouble_at(call, trouble);
            let job = again(&case.job);
            if lab.apply(&job).await.verdict == Verdict::Applied {
                break;
            }
            lab.host.heal();
            let (lab, recovery) = lab.restart().await;
            assert_eq!(recovery.errors, 0, "{} cut off at change {call}", case.name);
            let state = lab.host.snapshot();
            assert!(state == before || state == done, "{} cut off at change {call} is neither before nor after", case.name);
            lab.applied(&[again(&job)]).await;
            assert_eq!(lab.host.snapshot(), done, "{} done again after being cut off at change {call}", case.name);
        }
    }
}

#[tokio::test]
async fn every_job_that_stalls_at_any_step_is_seen_to_hang_and_ends_as_it_would_have() {
    for case in cases() {
        let done = final_state(&case).await;
        for call in 0.. {
            let lab = lab(&case).await;
            lab.host.trouble_at(call, Trouble::Stall);
            let job = again(&case.job);
            let stalled = async {
                while lab.host.stalled().is_none() {
                    tokio::time::sleep(Duration::from_millis(1)).await;
                }
            };
            let apply = lab.apply(&job);
            tokio::pin!(apply);
            let outcome = tokio::select! {
                outcome = &mut apply => outcome,
                () = stalled => {
                    // Whoever looks at the host sees it, and so the watchdog does.
                    assert!(lab.engine.hangs(Duration::ZERO).is_some(), "{} stalled at change {call}", case.name);
                    lab.host.let_go();
                    apply.await
                }
            };
            assert_eq!(outcome.verdict, Verdict::Applied, "{} stalled at change {call}", case.name);
            assert_eq!(lab.engine.hangs(Duration::ZERO), None);
            assert_eq!(lab.host.snapshot(), done, "{} stalled at change {call}", case.name);
            if lab.host.is_trouble_to_come() {
                break;
            }
        }
    }
}

#[tokio::test]
async fn a_worker_that_is_ended_while_a_job_stalls_starts_on_a_consistent_host() {
    for case in cases() {
        let done = final_state(&case).await;
        for call in 0.. {
            let lab = lab(&case).await;
            let before = lab.host.snapshot();
            lab.host.trouble_at(call, Trouble::Stall);
            let job = again(&case.job);
            if ended_while_it_stalls(&lab, &job).await == Some(Verdict::Applied) {
                break;
            }
            lab.host.heal();
            let (lab, recovery) = lab.restart().await;
            assert_eq!(recovery.errors, 0, "{} ended while change {call} stalled", case.name);
            let state = lab.host.snapshot();
            assert!(state == before || state == done, "{} ended while change {call} stalled is neither before nor after", case.name);
            lab.applied(&[again(&job)]).await;
            assert_eq!(lab.host.snapshot(), done, "{} done again after it was ended while change {call} stalled", case.name);
        }
    }
}

/// The worker is cut off as soon as something stalls. How the job has ended, if it did.
async fn ended_while_it_stalls(lab: &Lab, job: &JobEnvelope) -> Option<Verdict> {
    let cut_off = async {
        while lab.host.stalled().is_none() && lab.host.is_trouble_to_come() {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        lab.host.cut_off();
        std::future::pending().await
    };
    tokio::select! {
        outcome = lab.apply(job) => Some(outcome.verdict),
        () = cut_off => None,
    }
}

async fn final_state(case: &Case) -> worker::system::fake::Snapshot {
    let lab = lab(case).await;
    lab.applied(&[again(&case.job)]).await;
    lab.host.snapshot()
}

#[tokio::test]
async fn deleting_everything_leaves_the_host_as_it_was_before_the_account() {
    let lab = Lab::new().await;
    let before = lab.host.snapshot();
    lab.applied(&[account(1, |_| ()), pool(1, |_| ()), site(30, "shop.example", 1, |_| ())]).await;
    lab.applied(&[
        site(30, "shop.example", 2, |spec| spec.presence = Presence::Deleted),
        pool(2, |spec| spec.presence = PoolPresence::Deleted),
        account(2, |spec| spec.presence = Presence::Deleted),
    ])
    .await;
    lab.empty_trash().await;
    assert_eq!(lab.host.snapshot(), before);
}

#[tokio::test]
async fn unsuspending_restores_exactly_what_was_but_for_the_generation() {
    let lab = Lab::new().await;
    lab.applied(&[account(1, |_| ()), pool(1, |_| ()), site(30, "shop.example", 1, |_| ())]).await;
    let before = lab.host.snapshot();
    lab.applied(&[
        account(2, |spec| spec.presence = Presence::Suspended),
        pool(2, |spec| spec.presence = PoolPresence::Suspended),
        site(30, "shop.example", 2, |spec| spec.presence = Presence::Suspended),
    ])
    .await;
    lab.applied(&[account(3, |_| ()), pool(3, |_| ()), site(30, "shop.example", 3, |_| ())]).await;
    let after = lab.host.snapshot();
    assert_eq!((after.users, after.active), (before.users, before.active));
    assert_eq!(after.nodes.keys().collect::<Vec<_>>(), before.nodes.keys().collect::<Vec<_>>());
}

#[tokio::test]
async fn an_nginx_conf_in_another_encoding_is_left_as_it_is() {
    let host = FakeSystem::new();
    let path = Path::new("/etc/nginx/nginx.conf");
    let Some(Node::File { owner, mode, mut content }) = host.snapshot().nodes.remove(path) else { panic!("Debian's is there") };
    content.extend(b"# Fran\xe7ois\n");
    let foreign = Node::File { owner, mode, content };
    host.put("/etc/nginx/nginx.conf", foreign.clone());
    let lab = Lab::on(host).await;
    assert_eq!(registry::prepare_host(&lab.engine, &mut |_| ()).await.unwrap().failure, None);
    assert_eq!(lab.host.snapshot().nodes[path], foreign);
}

#[tokio::test]
async fn preparing_the_host_fails_whole_at_any_step_and_does_nothing_the_second_time() {
    for call in 0.. {
        let lab = Lab::on(FakeSystem::new()).await;
        let before = lab.host.snapshot();
        lab.host.trouble_at(call, Trouble::Fail);
        let prepared = registry::prepare_host(&lab.engine, &mut |_| ()).await.unwrap();
        if prepared.failure.is_none() {
            assert!(registry::prepare_host(&lab.engine, &mut |_| ()).await.unwrap().steps.is_empty());
            break;
        }
        // nginx loads what is there when it is told to; before the first reload it was told nothing.
        assert_eq!(lab.host.snapshot().nodes, before.nodes, "failed at change {call}");
    }
}

#[tokio::test]
async fn a_deleted_accounts_files_go_after_the_job_and_a_cut_in_between_loses_none_of_them() {
    let lab = Lab::new().await;
    let before = lab.host.snapshot();
    lab.applied(&[account(1, |_| ())]).await;
    for file in 0..1000 {
        lab.host.put_file(&format!("/home/shop/home/{file}"), "");
    }
    lab.applied(&[account(2, |spec| spec.presence = Presence::Deleted)]).await;
    let trees = |lab: &Lab| lab.host.snapshot().nodes.keys().filter(|path| path.starts_with("/home/.gantry-trash/")).count();
    assert!(trees(&lab) > 1000, "the outcome is told before the files are gone");
    lab.host.trouble_at(2, Trouble::CutBefore);
    lab.empty_trash().await;
    assert!(trees(&lab) > 0);
    lab.host.heal();
    let (lab, _) = lab.restart().await;
    lab.empty_trash().await;
    assert_eq!(lab.host.snapshot(), before);
}

#[tokio::test]
async fn the_trash_is_never_emptied_of_what_a_job_that_is_undone_brings_back() {
    let gone = Lab::new().await.host.snapshot();
    for call in 0.. {
        let lab = Lab::new().await;
        lab.applied(&[account(1, |_| ())]).await;
        lab.host.put_file("/home/shop/home/letter", "");
        let before = lab.host.snapshot();
        lab.host.trouble_at(call, Trouble::CutAfter);
        let _ = lab.carry_out(&account(2, |spec| spec.presence = Presence::Deleted)).await;
        if lab.host.is_trouble_to_come() {
            break;
        }
        lab.host.heal();
        lab.empty_trash().await;
        let state = lab.host.snapshot();
        assert!(state == before || state == gone, "cut off at change {call}: neither there nor gone");
    }
}

#[tokio::test]
async fn a_site_of_another_kind_gets_its_placeholder_unless_the_tenant_has_put_something_there() {
    let (php, page) = (Path::new("/home/shop/htdocs/shop.example/index.php"), Path::new("/home/shop/htdocs/shop.example/index.html"));
    for uploaded in [false, true] {
        let lab = Lab::new().await;
        lab.applied(&[account(1, |_| ()), pool(1, |_| ()), site(30, "shop.example", 1, |_| ())]).await;
        if uploaded {
            lab.host.put_file("/home/shop/htdocs/shop.example/letter", "");
        }
        lab.applied(&[site(30, "shop.example", 2, |spec| spec.kind = SiteKind::Static)]).await;
        let nodes = lab.host.snapshot().nodes;
        assert_eq!((nodes.contains_key(php), nodes.contains_key(page)), (uploaded, !uploaded));
    }
}

#[tokio::test]
async fn what_a_failed_undo_has_left_in_the_trash_is_kept() {
    let lab = Lab::new().await;
    lab.applied(&[account(1, |_| ())]).await;
    lab.host.put_file("/home/.gantry-trash/shop-200001-2/letter", "");
    lab.empty_trash().await;
    assert!(lab.host.snapshot().nodes.contains_key(Path::new("/home/.gantry-trash/shop-200001-2/letter")));
}

#[tokio::test]
async fn what_an_administrator_says_at_sshds_door_stands() {
    let host = FakeSystem::new();
    host.put_file("/etc/ssh/sshd_config", "#LoginGraceTime 2m\nmaxstartups=5:50:10\n");
    host.put_file("/etc/ssh/sshd_config.d/10-own.conf", "  PerSourceMaxStartups\t3\n");
    host.put_file("/etc/ssh/sshd_config.d/not-read", "LoginGraceTime 5\n");
    let lab = Lab::on(host).await;
    assert_eq!(registry::prepare_host(&lab.engine, &mut |_| ()).await.unwrap().failure, None);
    let nodes = lab.host.snapshot().nodes;
    let Node::File { content, .. } = &nodes[std::path::Path::new("/etc/ssh/sshd_config.d/50-gantry.conf")] else { panic!("no file") };
    let text = String::from_utf8_lossy(content);
    assert!(text.contains("\nLoginGraceTime 30\n") && text.contains("\nPerSourceNetBlockSize"), "{text}");
    assert!(!text.contains("\nMaxStartups") && !text.contains("\nPerSourceMaxStartups"), "{text}");
    assert!(registry::prepare_host(&lab.engine, &mut |_| ()).await.unwrap().steps.is_empty());
}

#[tokio::test]
async fn a_host_without_nginx_is_no_web_server_and_nothing_is_prepared_or_told_of_one() {
    let host = FakeSystem::new();
    host.take("/usr/sbin/nginx");
    let lab = Lab::on(host).await;
    let prepared = registry::prepare_host(&lab.engine, &mut |_| ()).await.unwrap();
    assert_eq!((prepared.failure, prepared.steps.len()), (None, 0));
    assert!(lab.host.role_health().is_empty());

    let lab = Lab::new().await;
    assert_eq!(lab.host.role_health().iter().map(|health| health.role).collect::<Vec<_>>(), [Role::Web]);
    lab.applied(&[account(1, |_| ())]).await;
    lab.host.take("/usr/sbin/nginx");
    let refused = registry::prepare_host(&lab.engine, &mut |_| ()).await.err().map(|error| error.to_string());
    assert_eq!(refused.as_deref(), Some("nginx is not installed"), "accounts live here");
}

#[tokio::test]
async fn packet_filter_rules_that_somebody_flushed_are_loaded_again() {
    let lab = Lab::new().await;
    lab.host.flush_packet_filter();
    let prepared = registry::prepare_host(&lab.engine, &mut |_| ()).await.unwrap();
    assert_eq!(prepared.steps.iter().map(|step| step.name.as_str()).collect::<Vec<_>>(), ["Firewall"]);
    assert!(registry::prepare_host(&lab.engine, &mut |_| ()).await.unwrap().steps.is_empty());
}

#[tokio::test]
async fn a_job_given_again_after_its_outcome_was_lost_has_the_same_outcome() {
    let lab = Lab::new().await;
    let job = account(1, |_| ());
    let outcome = lab.apply(&job).await;
    assert!(!outcome.steps.is_empty());
    let (lab, _) = lab.restart().await;
    assert_eq!(lab.apply(&job).await, outcome);
}

/// As an undo that went wrong leaves it, or a database that was lost: files say nothing of what daemons have read.
#[tokio::test]
async fn every_job_whose_files_are_there_without_its_proof_is_loaded_and_proved_all_the_same() {
    for case in cases() {
        let lab = lab(&case).await;
        lab.run_sql("CREATE TABLE before AS SELECT * FROM ledger".to_owned()).await;
        let first = lab.apply(&again(&case.job)).await;
        let done = lab.host.snapshot();
        lab.run_sql("DELETE FROM ledger; INSERT INTO ledger SELECT * FROM before; DELETE FROM settled".to_owned()).await;
        let (lab, _) = lab.restart().await;
        let second = lab.apply(&again(&case.job)).await;
        assert_eq!((&second.verdict, lab.host.snapshot()), (&first.verdict, done), "{}", case.name);
        let proofs = |outcome: &Outcome| {
            let names = outcome.steps.iter().map(|step| step.name.clone());
            names.filter(|name| ["Reload", "Test request"].contains(&name.as_str())).collect::<Vec<_>>()
        };
        assert_eq!(proofs(&second), proofs(&first), "{}", case.name);
    }
}
