//! Laws of batches: together is the same as one after another; a member that fails or is cut off at any step is as if it had
//! never been there, and the others are as if they had been alone.

use shared::events::Verdict;
use shared::failure::{Effect, FailureCode};
use shared::jobs::{Job, JobEnvelope, PoolPresence, Presence, SiteKind};
use worker::registry::Carried;
use worker::system::fake::{FakeSystem, Snapshot, Trouble};

use crate::batch::{Tenant, applied, ended};
use crate::support::{Lab, PANIC, again, failure, hash};

/// What is there before the batch: each tenant with an account and a pool, and some with a site.
fn past() -> Vec<JobEnvelope> {
    let mut jobs = Vec::new();
    for number in 1..=6 {
        jobs.extend([Tenant(number).account(1, |_| ()), Tenant(number).pool(1, |_| ())]);
    }
    jobs.push(Tenant(1).site(0, 1, |spec| spec.kind = SiteKind::Static));
    jobs.extend([2, 4, 5].map(|number| Tenant(number).site(0, 1, |_| ())));
    jobs
}

/// One job of every kind, each of another tenant.
fn batch() -> Vec<JobEnvelope> {
    vec![
        Tenant(7).account(1, |spec| spec.sftp.password = Some(hash())),
        Tenant(2).site(0, 2, |spec| spec.presence = Presence::Deleted),
        Tenant(3).site(1, 1, |_| ()),
        Tenant(4).account(2, |spec| spec.presence = Presence::Deleted),
        Tenant(5).site(0, 2, |spec| spec.aliases = vec!["www.five.example".parse().unwrap()]),
        Tenant(6).pool(2, |spec| spec.presence = PoolPresence::Deleted),
        Tenant(8).account(1, |spec| spec.presence = Presence::Suspended),
    ]
}

/// A host on which the past has happened.
async fn lab() -> Lab {
    let lab = Lab::new().await;
    lab.applied(&past()).await;
    lab.host.start("gantry-php8.2@tenant4.service");
    lab.host.heal();
    lab
}

/// The host after some of the jobs, each alone and one after another.
async fn one_by_one(jobs: impl Iterator<Item = &JobEnvelope>) -> Snapshot {
    let lab = lab().await;
    lab.applied(&jobs.map(again).collect::<Vec<_>>()).await;
    lab.host.snapshot()
}

fn all_again(jobs: &[JobEnvelope]) -> Vec<JobEnvelope> {
    jobs.iter().map(again).collect()
}

#[tokio::test]
async fn a_batch_does_what_its_jobs_do_alone_in_any_order() {
    let expected = one_by_one(batch().iter()).await;
    assert_eq!(one_by_one(batch().iter().rev()).await, expected);
    for jobs in [batch(), batch().into_iter().rev().collect()] {
        let lab = lab().await;
        applied(&lab.carry_out_batch(&jobs).await);
        assert_eq!(lab.host.snapshot(), expected);
    }
}

#[tokio::test]
async fn a_batch_applied_twice_is_applied_once() {
    let lab = lab().await;
    applied(&lab.carry_out_batch(&batch()).await);
    let (once, changes) = (lab.host.snapshot(), lab.host.changes());
    applied(&lab.carry_out_batch(&batch()).await);
    assert_eq!((lab.host.snapshot(), lab.host.changes()), (once, changes));
}

/// The words by which the fake host knows what belongs to a member.
fn words_of(job: &JobEnvelope) -> Vec<String> {
    match &job.job {
        Job::Account(spec) => vec![spec.user.to_string()],
        Job::PhpPool(spec) => vec![spec.user.to_string()],
        Job::Site(spec) => vec![spec.domain.to_string()],
        Job::Worker(_) => Vec::new(),
    }
}

#[tokio::test]
async fn a_member_that_fails_at_any_step_leaves_nothing_behind_and_the_others_are_applied() {
    for (member, job) in batch().iter().enumerate() {
        let everybody = one_by_one(batch().iter()).await;
        let others = one_by_one(batch().iter().enumerate().filter(|(other, _)| *other != member).map(|(_, job)| job)).await;
        for word in words_of(job) {
            for call in 0.. {
                let lab = lab().await;
                lab.host.trouble_of(&word, call, 1, Trouble::Fail);
                let outcomes = ended(lab.carry_out_batch(&all_again(&batch())).await);
                if lab.host.is_trouble_to_come() {
                    break;
                }
                for (other, outcome) in outcomes.iter().enumerate().filter(|(other, _)| *other != member) {
                    assert_eq!(outcome.verdict, Verdict::Applied, "member {other} when {member} failed at its change {call}");
                }
                match failure(&outcomes[member]) {
                    // What is done for all in one call is tried again for each; that went well.
                    None => assert_eq!(lab.host.snapshot(), everybody, "member {member}, change {call}"),
                    // Past the commit point there is no way back, and the outcome says so.
                    Some((_, Effect::Partial)) => {}
                    Some(_) => assert_eq!(lab.host.snapshot(), others, "member {member} failed at its change {call}"),
                }
                lab.host.heal();
                lab.applied(&[again(job)]).await;
                assert_eq!(lab.host.snapshot(), everybody, "member {member} retried after a failure at its change {call}");
            }
        }
    }
}

#[tokio::test]
async fn whom_one_call_for_all_fails_for_fails_alone() {
    let everybody_else = one_by_one(batch()[1..].iter()).await;
    let lab = lab().await;
    // The call for all users, and the one for this user alone.
    lab.host.trouble_of("tenant7", 0, 2, Trouble::Fail);
    let outcomes = ended(lab.carry_out_batch(&batch()).await);
    assert_eq!(failure(&outcomes[0]).map(|(_, effect)| effect), Some(Effect::RolledBack));
    assert!(outcomes[1..].iter().all(|outcome| outcome.verdict == Verdict::Applied));
    assert_eq!(lab.host.snapshot(), everybody_else);
}

#[tokio::test]
async fn a_batch_cut_off_before_any_step_is_wholly_undone_or_wholly_done_after_a_restart() {
    cut_everywhere(Trouble::CutBefore).await;
}

#[tokio::test]
async fn a_batch_cut_off_after_any_step_is_wholly_undone_or_wholly_done_after_a_restart() {
    cut_everywhere(Trouble::CutAfter).await;
}

async fn cut_everywhere(trouble: Trouble) {
    let done = one_by_one(batch().iter()).await;
    for call in 0.. {
        let lab = lab().await;
        let before = lab.host.snapshot();
        lab.host.trouble_at(call, trouble);
        let jobs = batch();
        let carried = lab.carry_out_batch(&jobs).await;
        if lab.host.is_trouble_to_come() {
            applied(&carried);
            break;
        }
        lab.host.heal();
        let (lab, recovery) = lab.restart().await;
        assert_eq!(recovery.errors, 0, "cut off at change {call}");
        let state = lab.host.snapshot();
        assert!(state == before || state == done, "cut off at change {call}: neither before nor after");
        assert!(lab.host.reloads() <= 1, "cut off at change {call}: {} reloads", lab.host.reloads());
        // The very same jobs again, as the inbox gives them.
        applied(&lab.carry_out_batch(&jobs).await);
        assert_eq!(lab.host.snapshot(), done, "done again after being cut off at change {call}");
    }
}

#[tokio::test]
async fn f24_a_job_that_always_panics_fails_alone() {
    let jobs = batch();
    let others = one_by_one(jobs.iter()).await;
    let sealed = shared::jobs::SealedCryptHash { sender: String::new(), sealed: PANIC.to_owned() };
    let guilty = Tenant(9).account(1, |spec| spec.sftp.password = Some(sealed));
    for place in [0, 3, jobs.len()] {
        let lab = lab().await;
        let mut jobs = all_again(&jobs);
        jobs.insert(place, again(&guilty));
        for (index, outcome) in ended(lab.carry_out_batch(&jobs).await).iter().enumerate() {
            let expected = (index == place).then_some((FailureCode::Internal, Effect::NothingChanged));
            assert_eq!(failure(outcome), expected, "job {index} with the guilty at {place}");
        }
        assert_eq!(lab.host.snapshot(), others);
    }
}

#[tokio::test]
async fn f24_a_panic_at_any_step_is_put_back_and_costs_nobody_their_job() {
    let done = one_by_one(batch().iter()).await;
    for call in 0.. {
        let lab = lab().await;
        lab.host.trouble_at(call, Trouble::Panic);
        applied(&lab.carry_out_batch(&batch()).await);
        assert_eq!(lab.host.snapshot(), done, "a panic at change {call}");
        if lab.host.is_trouble_to_come() {
            break;
        }
    }
}

#[tokio::test]
async fn a_batch_given_again_after_its_outcomes_were_lost_has_the_same_outcomes() {
    let lab = lab().await;
    let jobs = batch();
    let carried = lab.carry_out_batch(&jobs).await;
    let (lab, _) = lab.restart().await;
    assert_eq!(lab.carry_out_batch(&jobs).await, carried);
}

#[tokio::test]
async fn many_jobs_side_by_side_come_out_as_one_after_another() {
    let jobs = |from: u32| (from..from + 60).map(|number| Tenant(number).account(1, |_| ())).collect::<Vec<_>>();
    let pools = |from: u32| (from..from + 60).map(|number| Tenant(number).pool(1, |_| ())).collect::<Vec<_>>();
    let sites = |from: u32| (from..from + 60).map(|number| Tenant(number).site(0, 1, |_| ())).collect::<Vec<_>>();
    let lab = Lab::on(FakeSystem::new()).await.threaded().await;
    worker::registry::prepare_host(&lab.engine, &mut |_| ()).await.unwrap();
    for wave in [jobs(1), pools(1), sites(1)] {
        let carried: Vec<Carried> = lab.carry_out_batch(&wave).await;
        applied(&carried);
    }
    let single = Lab::new().await;
    for wave in [jobs(1), pools(1), sites(1)] {
        single.applied(&wave).await;
    }
    assert_eq!(lab.host.snapshot(), single.host.snapshot());
}
