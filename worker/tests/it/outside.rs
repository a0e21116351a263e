//! Fairness between accounts: a job that waits for its own tenant waits alone.

use std::time::Duration;

use shared::events::Verdict;
use shared::failure::Effect;
use shared::jobs::{JobEnvelope, PoolPresence, Presence};
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};
use worker::registry::{Carried, News, carry_out_in_rounds};
use worker::system::fake::{Snapshot, Trouble};

use crate::batch::{Tenant, applied, ended};
use crate::support::{Lab, again, failure};

const SLOW: &str = "site0.of1.example";

/// A host with four tenants, whose worker waits for nobody's tenant.
async fn lab() -> Lab {
    let lab = Lab::new().await;
    for number in 1..=4 {
        lab.applied(&[Tenant(number).account(1, |_| ()), Tenant(number).pool(1, |_| ())]).await;
    }
    let mut lab = lab.threaded().await;
    lab.engine = lab.engine.with_patience(Duration::from_millis(1));
    lab.host.heal();
    lab
}

fn site(number: u32) -> JobEnvelope {
    Tenant(number).site(0, 1, |_| ())
}

/// The host after some sites, each alone and one after another.
async fn after(sites: &[u32]) -> Snapshot {
    let lab = lab().await;
    lab.applied(&sites.iter().map(|number| site(*number)).collect::<Vec<_>>()).await;
    lab.host.snapshot()
}

/// What becomes of a job of the batch.
async fn end_of(job: usize, said: &mut UnboundedReceiver<News>) -> Carried {
    loop {
        match said.recv().await.unwrap() {
            News::Ended(which, carried) if which == job => return carried,
            News::Ended(which, carried) => panic!("job {which} ended first: {carried:?}"),
            News::Steps(..) | News::LetsPass | News::Parted(_) => {}
        }
    }
}

/// Carries out a batch whose first job is held until `meanwhile` lets it go; gives what became of the first.
async fn while_the_first_is_held(lab: &Lab, jobs: &[JobEnvelope], meanwhile: impl AsyncFnOnce()) -> Carried {
    while_held(lab, SLOW, jobs, meanwhile).await
}

/// The same, where it waits for something else.
async fn while_held(lab: &Lab, held: &str, jobs: &[JobEnvelope], meanwhile: impl AsyncFnOnce()) -> Carried {
    lab.host.hold(held);
    let (say, mut said) = unbounded_channel();
    let mut news = move |news| drop(say.send(news));
    let watch = async {
        for job in 1..jobs.len() {
            applied(&[end_of(job, &mut said).await]);
        }
        meanwhile().await;
        lab.host.let_go();
        end_of(0, &mut said).await
    };
    tokio::join!(carry_out_in_rounds(&lab.engine, jobs, &mut news), watch).1
}

#[tokio::test]
async fn a_job_that_waits_for_its_tenant_holds_up_neither_its_batch_nor_the_next() {
    let lab = lab().await;
    let slow = while_the_first_is_held(&lab, &[site(1), site(2)], async || {
        applied(&lab.carry_out_batch(&[site(3)]).await);
        applied(&lab.carry_out_batch(&[site(4)]).await);
    })
    .await;
    applied(&[slow]);
    assert_eq!(lab.host.snapshot(), after(&[1, 2, 3, 4]).await);
}

#[tokio::test]
async fn a_job_that_fails_after_the_others_went_on_is_taken_back_alone() {
    let lab = lab().await;
    let slow = while_the_first_is_held(&lab, &[site(1), site(2)], async || {
        applied(&lab.carry_out_batch(&[site(3)]).await);
        // Its PHP is gone for good.
        lab.host.take("/etc/gantry-worker/php/tenant1-8.2.conf");
    })
    .await;
    let slow = ended(vec![slow]).remove(0);
    assert_eq!(failure(&slow).map(|(_, effect)| effect), Some(Effect::RolledBack));
    let left: Vec<_> = lab.host.snapshot().serving.into_iter().flat_map(|vhost| vhost.names).collect();
    assert!(!left.contains(&SLOW.to_owned()), "{left:?}");
    for number in [2, 3] {
        assert!(left.contains(&format!("site0.of{number}.example")), "{left:?}");
    }
}

#[tokio::test]
async fn nothing_touches_what_a_waiting_job_touches() {
    let lab = lab().await;
    let slow = while_the_first_is_held(&lab, &[site(1), site(2)], async || {
        let same_name = Tenant(3).site(0, 1, |spec| spec.aliases = vec![SLOW.parse().unwrap()]);
        let same_user = Tenant(1).pool(2, |spec| spec.presence = PoolPresence::Deleted);
        let same_account = Tenant(1).account(2, |spec| spec.presence = Presence::Deleted);
        for job in [same_name, same_user, same_account] {
            assert_eq!(lab.carry_out_batch(&[job]).await, [Carried::Deferred]);
        }
    })
    .await;
    applied(&[slow]);
    assert_eq!(lab.host.snapshot(), after(&[1, 2]).await);
}

#[tokio::test]
async fn a_worker_cut_off_while_a_job_waits_takes_back_that_job_and_no_other() {
    let lab = lab().await;
    let jobs = [site(1), site(2)];
    let slow = while_the_first_is_held(&lab, &jobs, async || {
        lab.host.trouble_at(0, Trouble::CutBefore);
        let cut = ended(lab.carry_out_batch(&[site(3)]).await);
        assert_ne!(cut[0].verdict, Verdict::Applied);
    })
    .await;
    assert_ne!(ended(vec![slow])[0].verdict, Verdict::Applied);
    lab.host.heal();
    let (lab, recovery) = lab.restart().await;
    assert_eq!(recovery.errors, 0);
    assert_eq!(lab.host.snapshot(), after(&[2]).await);
    applied(&lab.carry_out_batch(&jobs).await);
    assert_eq!(lab.host.snapshot(), after(&[1, 2]).await);
}

#[tokio::test]
async fn a_pool_that_does_not_stop_holds_up_nobody_else() {
    let lab = lab().await;
    let service = "gantry-php8.2@tenant1.service";
    lab.host.start(service);
    lab.host.hold(service);
    let suspend = Tenant(1).pool(2, |spec| spec.presence = PoolPresence::Suspended);
    let slow = while_the_first_is_held(&lab, &[suspend.clone(), site(2)], async || {
        applied(&lab.carry_out_batch(&[site(3)]).await);
        assert!(lab.host.snapshot().active.contains(service));
    })
    .await;
    applied(&[slow]);
    assert!(!lab.host.snapshot().active.contains(service));
    lab.applied(&[again(&suspend)]).await;
}

/// A suspension of the first tenant's pool, whose master does not stop while it is held.
const MASTER: &str = "gantry-php8.2@tenant1.service";

fn suspension() -> JobEnvelope {
    Tenant(1).pool(2, |spec| spec.presence = PoolPresence::Suspended)
}

#[tokio::test]
async fn whoever_failed_together_with_others_waits_for_nobodys_tenant_and_ends_once() {
    let lab = lab().await;
    lab.host.start(MASTER);
    lab.host.hold(MASTER);
    lab.host.refuse_reloads();
    let jobs = [suspension(), site(2), site(3)];
    let (say, mut said) = unbounded_channel();
    let mut news = move |news| drop(say.send(news));
    let watch = async {
        let mut heard: [Vec<Carried>; 3] = Default::default();
        let mut parted = 0;
        while let Some(news) = said.recv().await {
            match news {
                News::Ended(job, carried) => heard[job].push(carried),
                News::Parted(jobs) => {
                    parted += jobs;
                    // They are free for the next batch while the first still waits; its commit fails.
                    assert_eq!(heard, [vec![], vec![Carried::Deferred], vec![Carried::Deferred]]);
                    lab.fail("ledger").await;
                    lab.host.let_go();
                }
                News::Steps(..) | News::LetsPass => {}
            }
        }
        (heard, parted)
    };
    let batch = async {
        carry_out_in_rounds(&lab.engine, &jobs, &mut news).await;
        drop(news);
    };
    let ((), ([first, second, third], parted)) = tokio::join!(batch, watch);
    assert_eq!((first.len(), second.len(), third.len(), parted), (1, 1, 1, 2));
    assert_eq!(failure(&ended(first)[0]).map(|(_, effect)| effect), Some(Effect::RolledBack));
    assert!(lab.host.snapshot().active.contains(MASTER));
}

#[tokio::test]
async fn a_socket_whose_start_is_taken_back_waits_for_nobodys_request() {
    let lab = lab().await;
    lab.applied(&[suspension()]).await;
    // By the time the change fails, the master has a request that does not end.
    lab.host.hold(MASTER);
    lab.fail("ledger").await;
    let carried = tokio::time::timeout(Duration::from_secs(60), lab.carry_out_batch(&[Tenant(1).pool(3, |_| ())])).await;
    lab.host.let_go();
    let carried = ended(carried.expect("the socket is stopped"));
    assert_eq!(failure(&carried[0]).map(|(_, effect)| effect), Some(Effect::RolledBack));
    assert!(!lab.host.snapshot().active.contains("gantry-php8.2@tenant1.socket"));
}

/// The host after some jobs, beside a tenant whose pool is awake, and whose PHP may then go for good.
async fn beside_a_tenant(jobs: &[JobEnvelope], php: Php) -> Snapshot {
    let lab = lab().await;
    lab.host.start(MASTER);
    applied(&lab.carry_out_batch(jobs).await);
    php.perhaps_goes(&lab);
    lab.host.snapshot()
}

#[derive(Clone, Copy, PartialEq)]
enum Php {
    Stays,
    Goes,
}

impl Php {
    fn perhaps_goes(self, lab: &Lab) {
        if self == Self::Goes {
            lab.host.take("/etc/gantry-worker/php/tenant1-8.2.conf");
        }
    }
}

/// Cuts the worker off at every change after a wait. In the end the job is undone, or done if that is given.
async fn cut_everywhere(held: &str, slow: JobEnvelope, php: Php, trouble: Trouble, done: Option<Snapshot>) {
    let undone = beside_a_tenant(&[site(2)], php).await;
    let jobs = [slow, site(2)];
    for call in 0.. {
        let lab = lab().await;
        lab.host.start(MASTER);
        let carried = while_held(&lab, held, &jobs, async || {
            php.perhaps_goes(&lab);
            lab.host.trouble_at(call, trouble);
        })
        .await;
        assert_eq!(ended(vec![carried]).len(), 1);
        if lab.host.is_trouble_to_come() {
            assert!(call > 0, "nothing was cut off");
            assert_eq!(lab.host.snapshot(), done.unwrap_or(undone));
            break;
        }
        lab.host.heal();
        let (lab, recovery) = lab.restart().await;
        assert_eq!(recovery.errors, 0, "cut off at change {call}");
        let state = lab.host.snapshot();
        assert!(state == undone || Some(&state) == done.as_ref(), "cut off at change {call}: neither before nor after");
        if let Some(done) = &done {
            applied(&lab.carry_out_batch(&jobs).await);
            assert_eq!(lab.host.snapshot(), *done, "done again after being cut off at change {call}");
        }
    }
}

#[tokio::test]
async fn a_worker_cut_off_at_any_step_after_a_wait_leaves_the_job_wholly_undone_or_wholly_done() {
    let done = beside_a_tenant(&[suspension(), site(2)], Php::Stays).await;
    for trouble in [Trouble::CutBefore, Trouble::CutAfter] {
        cut_everywhere(MASTER, suspension(), Php::Stays, trouble, Some(done.clone())).await;
        // This one fails, and is cut off while it is put back.
        cut_everywhere(SLOW, site(1), Php::Goes, trouble, None).await;
    }
}

#[tokio::test]
async fn a_database_that_fails_after_a_wait_costs_that_job_alone_and_it_can_be_retried() {
    let jobs = [suspension(), site(2)];
    for table in ["ledger", "journal"] {
        let lab = lab().await;
        lab.host.start(MASTER);
        let slow = while_held(&lab, MASTER, &jobs, async || lab.fail(table).await).await;
        assert_eq!(failure(&ended(vec![slow])[0]).map(|(_, effect)| effect), Some(Effect::RolledBack), "{table}");
        assert_eq!(lab.host.snapshot(), beside_a_tenant(&[site(2)], Php::Stays).await, "{table}");
        lab.mend(table).await;
        lab.applied(&[again(&jobs[0])]).await;
        assert_eq!(lab.host.snapshot(), beside_a_tenant(&jobs, Php::Stays).await, "{table}");
    }
}

#[tokio::test]
async fn a_batch_whose_commit_failed_lets_others_go_on_until_its_tenant_has_answered() {
    let lab = lab().await;
    let before = lab.host.snapshot();
    lab.fail("ledger").await;
    lab.host.hold(SLOW);
    let jobs = [site(1), site(2)];
    let other = async {
        // It has the turn, though the first still waits; the database is no better for it.
        let jobs = [site(3)];
        let carried = tokio::time::timeout(Duration::from_mins(1), lab.carry_out_batch(&jobs)).await;
        lab.host.let_go();
        let outcomes = ended(carried.expect("the turn is given up"));
        assert_eq!(failure(&outcomes[0]).map(|(_, effect)| effect), Some(Effect::RolledBack));
    };
    let (carried, ()) = tokio::join!(lab.carry_out_batch(&jobs), other);
    for outcome in ended(carried) {
        assert_eq!(failure(&outcome).map(|(_, effect)| effect), Some(Effect::RolledBack));
    }
    assert_eq!(lab.host.snapshot(), before);
    lab.mend("ledger").await;
    applied(&lab.carry_out_batch(&[again(&jobs[0]), again(&jobs[1])]).await);
}
