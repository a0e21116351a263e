//! Batches: what is shared, who is to blame, who has to wait.

use std::collections::BTreeSet;

use proptest::collection::btree_set;
use proptest::prelude::proptest;
use shared::events::{Outcome, StepReport, Verdict};
use shared::failure::{Effect, FailureCode};
use shared::ids::{AccountId, PhpPoolId, SiteId};
use shared::jobs::{AccountSpec, Job, JobEnvelope, PhpPoolSpec, Presence, ResourceKey, SiteKind, SiteSpec};
use worker::registry::Carried;
use worker::system::fake::Trouble;

use crate::support::{Lab, UID, account_spec, envelope, failure, id, pool_spec, site_spec};

/// A tenant with a Linux user, a pool and sites of its own.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Tenant(pub(crate) u32);

impl Tenant {
    fn envelope(self, resource: ResourceKey, generation: i64, job: Job) -> JobEnvelope {
        JobEnvelope { account: id::<AccountId>(1_000 + self.0), ..envelope(resource, generation, job) }
    }

    pub(crate) fn account(self, generation: i64, change: impl FnOnce(&mut AccountSpec)) -> JobEnvelope {
        let Self(number) = self;
        let mut spec = account_spec();
        (spec.user, spec.uid) = (format!("tenant{number}").parse().unwrap(), (UID + number).try_into().unwrap());
        change(&mut spec);
        self.envelope(ResourceKey::Account(id(1_000 + number)), generation, Job::Account(spec))
    }

    pub(crate) fn pool(self, generation: i64, change: impl FnOnce(&mut PhpPoolSpec)) -> JobEnvelope {
        let Self(number) = self;
        let mut spec = pool_spec();
        (spec.user, spec.uid) = (format!("tenant{number}").parse().unwrap(), (UID + number).try_into().unwrap());
        change(&mut spec);
        self.envelope(ResourceKey::PhpPool(id::<PhpPoolId>(2_000 + number)), generation, Job::PhpPool(spec))
    }

    pub(crate) fn site(self, which: u32, generation: i64, change: impl FnOnce(&mut SiteSpec)) -> JobEnvelope {
        let Self(number) = self;
        let mut spec = site_spec(&format!("site{which}.of{number}.example"));
        (spec.user, spec.uid) = (format!("tenant{number}").parse().unwrap(), (UID + number).try_into().unwrap());
        change(&mut spec);
        self.envelope(ResourceKey::Site(id::<SiteId>(10_000 + 100 * number + which)), generation, Job::Site(spec))
    }
}

/// The outcomes of jobs that all have ended.
pub(crate) fn ended(carried: Vec<Carried>) -> Vec<Outcome> {
    let outcome = |carried| match carried {
        Carried::Ended(outcome) => outcome,
        other @ (Carried::Blocked { .. } | Carried::Deferred) => panic!("a job did not end: {other:?}"),
    };
    carried.into_iter().map(outcome).collect()
}

/// Asserts that all were applied.
pub(crate) fn applied(carried: &[Carried]) {
    for outcome in ended(carried.to_vec()) {
        assert_eq!(outcome.verdict, Verdict::Applied, "{} {:#?}", outcome.resource, outcome.steps);
    }
}

/// A host with tenants who have accounts and pools.
async fn lab(tenants: u32) -> Lab {
    let lab = Lab::new().await;
    applied(&lab.carry_out_batch(&(1..=tenants).map(|number| Tenant(number).account(1, |_| ())).collect::<Vec<_>>()).await);
    applied(&lab.carry_out_batch(&(1..=tenants).map(|number| Tenant(number).pool(1, |_| ())).collect::<Vec<_>>()).await);
    lab.host.heal();
    lab
}

/// A site of each tenant.
fn sites(tenants: u32) -> Vec<JobEnvelope> {
    (1..=tenants).map(|number| Tenant(number).site(0, 1, |_| ())).collect()
}

fn step<'a>(outcome: &'a Outcome, name: &str) -> &'a StepReport {
    outcome.steps.iter().find(|step| step.name == name).unwrap()
}

#[tokio::test]
async fn a_hundred_sites_are_tested_once_and_reloaded_once_and_each_has_its_own_steps() {
    let lab = lab(100).await;
    let outcomes = ended(lab.carry_out_batch(&sites(100)).await);
    assert_eq!((lab.host.tests(), lab.host.reloads()), (1, 1));
    for outcome in &outcomes {
        assert_eq!(outcome.verdict, Verdict::Applied);
        assert_eq!((step(outcome, "nginx test").shared_with, step(outcome, "Reload").shared_with), (99, 99));
        assert_eq!(step(outcome, "Site").shared_with, 0);
    }
}

#[tokio::test]
async fn pools_are_tested_together() {
    let lab = Lab::new().await;
    let tenants = 1..=20;
    applied(&lab.carry_out_batch(&tenants.clone().map(|number| Tenant(number).account(1, |_| ())).collect::<Vec<_>>()).await);
    lab.host.heal();
    applied(&lab.carry_out_batch(&tenants.map(|number| Tenant(number).pool(1, |_| ())).collect::<Vec<_>>()).await);
    assert_eq!(lab.host.tests(), 1);
}

#[tokio::test]
async fn a_job_alone_shares_nothing() {
    let lab = lab(1).await;
    let outcomes = ended(lab.carry_out_batch(&sites(1)).await);
    assert!(outcomes[0].steps.iter().all(|step| step.shared_with == 0));
}

proptest! {
    #![proptest_config(proptest::prelude::ProptestConfig { cases: 24, ..proptest::prelude::ProptestConfig::default() })]

    #[test]
    fn exactly_the_sites_that_nginx_refuses_fail(guilty in btree_set(1_u32..=20, 0..6)) {
        tokio::runtime::Runtime::new().unwrap().block_on(only_the_guilty_fail(guilty));
    }
}

async fn only_the_guilty_fail(guilty: BTreeSet<u32>) {
    let lab = lab(20).await;
    for number in &guilty {
        let text = format!("server {{ server_name site0.of{number}.example; }}");
        lab.host.put_file(&format!("/etc/nginx/conf.d/by-hand-{number}.conf"), &text);
    }
    let outcomes = ended(lab.carry_out_batch(&sites(20)).await);
    for (number, outcome) in (1..).zip(&outcomes) {
        let expected = guilty.contains(&number).then_some((FailureCode::NameTaken, Effect::NothingChanged));
        assert_eq!(failure(outcome), expected, "site of tenant {number}");
        if let Verdict::Failed { detail, .. } = &outcome.verdict {
            assert!(detail.contains(&format!("site0.of{number}.example")), "{detail}");
        }
    }
    // Nothing of the guilty was ever live, so nothing had to be taken back.
    assert_eq!(lab.host.reloads(), usize::from(guilty.len() < 20));
}

#[tokio::test]
async fn exactly_the_pools_that_php_refuses_fail() {
    let lab = lab(12).await;
    for number in [3, 4, 11] {
        lab.host.refuse_php_of(&format!("tenant{number}"));
    }
    let change = |number| Tenant(number).pool(2, |spec| spec.settings.memory_limit_mib = 64);
    let outcomes = ended(lab.carry_out_batch(&(1..=12).map(change).collect::<Vec<_>>()).await);
    for (number, outcome) in (1..).zip(&outcomes) {
        let expected = [3, 4, 11].contains(&number).then_some((FailureCode::PhpRefused, Effect::NothingChanged));
        assert_eq!(failure(outcome), expected, "pool of tenant {number}");
    }
}

#[tokio::test]
async fn a_site_that_does_not_answer_is_taken_back_alone_and_the_others_prove_themselves_again() {
    let lab = lab(5).await;
    // Tenant 6 has no pool.
    lab.applied(&[Tenant(6).account(1, |_| ())]).await;
    lab.host.heal();
    let mut jobs = sites(5);
    jobs.insert(2, Tenant(6).site(0, 1, |_| ()));
    let outcomes = ended(lab.carry_out_batch(&jobs).await);
    for (index, outcome) in outcomes.iter().enumerate() {
        let expected = (index == 2).then_some((FailureCode::ProbeFailed, Effect::RolledBack));
        assert_eq!(failure(outcome), expected, "job {index}");
    }
    assert_eq!(lab.host.reloads(), 2);
    // Once after each reload.
    let proved = |outcome: &Outcome| step(outcome, "Test request").detail.matches("Php {").count();
    assert!(outcomes.iter().enumerate().filter(|(index, _)| *index != 2).all(|(_, outcome)| proved(outcome) == 2));
    let names: Vec<_> = lab.host.snapshot().serving.into_iter().flat_map(|vhost| vhost.names).collect();
    assert!(names.contains(&"site0.of5.example".to_owned()) && !names.contains(&"site0.of6.example".to_owned()));
}

#[tokio::test]
async fn a_reload_that_fails_for_several_is_tried_again_in_halves() {
    let lab = lab(4).await;
    lab.host.trouble_of("nginx", 0, 1, Trouble::Fail);
    // The vhosts lie below a path of that name too; the first change of that name is a vhost's.
    let carried = lab.carry_out_batch(&sites(4)).await;
    let failed = ended(carried).iter().filter(|outcome| outcome.verdict != Verdict::Applied).count();
    assert_eq!(failed, 1);

    let lab = self::lab(4).await;
    lab.host.trouble_of("signal nginx", 0, 1, Trouble::Fail);
    applied(&lab.carry_out_batch(&sites(4)).await);
    // Failed, put back, and one for each half.
    assert_eq!(lab.host.reloads(), 3);
}

#[tokio::test]
async fn reloads_that_nginx_refuses_fail_everybody_change_nothing_and_are_not_tried_for_each() {
    let lab = lab(40).await;
    let before = lab.host.snapshot();
    lab.host.refuse_reloads();
    for outcome in ended(lab.carry_out_batch(&sites(40)).await) {
        assert_eq!(failure(&outcome), Some((FailureCode::ServiceDown, Effect::RolledBack)));
    }
    assert_eq!(lab.host.snapshot(), before);
    assert!(lab.host.reloads() <= 10, "{} reloads", lab.host.reloads());
}

#[tokio::test]
async fn the_live_tree_is_tested_once_however_many_are_to_blame() {
    let lab = lab(20).await;
    for number in [3, 9, 17] {
        let text = format!("server {{ server_name site0.of{number}.example; }}");
        lab.host.put_file(&format!("/etc/nginx/conf.d/by-hand-{number}.conf"), &text);
    }
    let failed = ended(lab.carry_out_batch(&sites(20)).await).iter().filter(|outcome| failure(outcome).is_some()).count();
    assert_eq!((failed, lab.host.live_tests()), (3, 1));
}

#[tokio::test]
async fn accounts_that_are_deleted_together_are_barred_in_one_pass_and_removed_in_one() {
    let lab = lab(30).await;
    let gone = |number| Tenant(number).account(2, |spec| spec.presence = Presence::Deleted);
    let outcomes = ended(lab.carry_out_batch(&(1..=30).map(gone).collect::<Vec<_>>()).await);
    for outcome in &outcomes {
        assert_eq!(outcome.verdict, Verdict::Applied);
        assert_eq!((step(outcome, "User").shared_with, step(outcome, "Clean-up").shared_with), (29, 29));
    }
    assert!(lab.host.snapshot().users.keys().all(|name| !name.starts_with("tenant")));
}

#[tokio::test]
async fn a_configuration_broken_by_hand_holds_up_sites_and_not_accounts() {
    let lab = lab(3).await;
    lab.host.put_file("/etc/nginx/conf.d/by-hand.conf", "BROKEN;");
    let mut jobs = sites(3);
    jobs.insert(1, Tenant(9).account(1, |_| ()));
    let carried = lab.carry_out_batch(&jobs).await;
    for (index, carried) in carried.iter().enumerate() {
        match carried {
            Carried::Ended(outcome) => assert_eq!((index, &outcome.verdict), (1, &Verdict::Applied)),
            Carried::Blocked { said, .. } => assert!(index != 1 && said.contains("by-hand.conf:1")),
            Carried::Deferred => panic!("job {index} was deferred"),
        }
    }
    assert_eq!(lab.host.reloads(), 0);
    lab.host.take("/etc/nginx/conf.d/by-hand.conf");
    // The same jobs: the account's outcome is known, the sites go on.
    applied(&lab.carry_out_batch(&jobs).await);
}

#[tokio::test]
async fn jobs_that_touch_the_same_thing_are_not_in_one_batch() {
    let tenant = Tenant(1);
    let named = |which, domain: &'static str| tenant.site(which, 1, move |spec| spec.aliases = vec![domain.parse().unwrap()]);
    let pairs = [
        // One name.
        [named(1, "www.one.example"), named(2, "www.one.example")],
        // One folder.
        [tenant.site(1, 1, |_| ()), tenant.site(2, 1, |spec| spec.document_root = "site1.of1.example/sub".parse().unwrap())],
        // One user.
        [tenant.pool(2, |_| ()), tenant.site(1, 1, |_| ())],
        [tenant.site(1, 1, |_| ()), tenant.account(2, |spec| spec.presence = Presence::Deleted)],
        // One resource.
        [tenant.site(1, 1, |_| ()), tenant.site(1, 2, |spec| spec.kind = SiteKind::Static)],
        // One number.
        [Tenant(7).account(1, |_| ()), Tenant(8).account(1, |spec| spec.uid = (UID + 7).try_into().unwrap())],
    ];
    for pair in pairs {
        let lab = lab(1).await;
        let carried = lab.carry_out_batch(&pair).await;
        applied(&carried[..1]);
        assert_eq!(carried[1], Carried::Deferred, "{pair:?}");
    }
}

#[tokio::test]
async fn a_job_behind_a_deferred_one_of_its_account_is_deferred_too() {
    let lab = lab(2).await;
    let newer = Tenant(1).site(1, 2, |spec| spec.kind = SiteKind::Static);
    let jobs = [Tenant(1).site(1, 1, |_| ()), newer, Tenant(1).site(2, 1, |_| ()), Tenant(2).site(0, 1, |_| ())];
    let carried = lab.carry_out_batch(&jobs).await;
    assert_eq!(carried[1..3], [Carried::Deferred, Carried::Deferred]);
    applied(&[carried[0].clone(), carried[3].clone()]);
}

#[tokio::test]
async fn a_name_that_one_job_gives_up_is_free_for_the_next_batch() {
    let lab = lab(2).await;
    let alias = |spec: &mut SiteSpec| spec.aliases = vec!["www.one.example".parse().unwrap()];
    lab.applied(&[Tenant(1).site(0, 1, alias)]).await;
    let jobs = [Tenant(1).site(0, 2, |_| ()), Tenant(2).site(0, 1, alias)];
    let carried = lab.carry_out_batch(&jobs).await;
    applied(&carried[..1]);
    assert_eq!(carried[1], Carried::Deferred);
    lab.applied(&jobs[1..]).await;
}

#[tokio::test]
async fn no_site_of_the_batch_is_its_neighbour() {
    let lab = lab(2).await;
    let plain = |spec: &mut SiteSpec| spec.kind = SiteKind::Static;
    applied(&lab.carry_out_batch(&[Tenant(1).site(0, 1, plain), Tenant(2).site(0, 1, plain)]).await);
    // Each would be asked for the other; both change what they answer.
    applied(&lab.carry_out_batch(&[Tenant(1).site(0, 2, plain), Tenant(2).site(0, 2, plain)]).await);
    // The account's site goes with it.
    let jobs = [Tenant(1).account(2, |spec| spec.presence = Presence::Deleted), Tenant(2).site(1, 1, |_| ())];
    applied(&lab.carry_out_batch(&jobs).await);
}

#[tokio::test]
async fn an_outcome_tells_what_was_planned_how_files_changed_and_in_which_company() {
    let lab = lab(3).await;
    lab.applied(&sites(3)).await;
    let change = |number| Tenant(number).site(0, 2, |spec| spec.aliases = vec![format!("www.of{number}.example").parse().unwrap()]);
    let outcomes = ended(lab.carry_out_batch(&(1..=3).map(change).collect::<Vec<_>>()).await);
    let records: Vec<_> = outcomes.iter().map(|outcome| outcome.record.clone().unwrap()).collect();
    assert!(records.iter().all(|record| record.batch == records[0].batch && record.batch_size == 3));
    let vhost = records[0].plan.iter().find(|action| action.action.contains("sites-available")).unwrap();
    assert!(vhost.action.starts_with("write /etc/nginx/sites-available/site0.of1.example"), "{}", vhost.action);
    assert!(
        vhost.diff.contains("-    server_name site0.of1.example;")
            && vhost.diff.contains("+    server_name site0.of1.example www.of1.example;"),
        "{}",
        vhost.diff
    );
    let probe = step(&outcomes[0], "Test request");
    assert!(
        probe.detail.contains("nginx answered Serving { site: Some(DomainName(\"site0.of1.example\")), generation: 2"),
        "{}",
        probe.detail
    );
    // Alone, in another batch; and nothing of a password is in it.
    let account = Tenant(9).account(1, |spec| spec.sftp.password = Some(crate::support::hash()));
    let record = lab.apply(&account).await.record.unwrap();
    assert!(record.batch_size == 1 && record.batch != records[0].batch);
    let text = serde_json::to_string(&record).unwrap();
    assert!(text.contains("set the password of tenant9") && !text.contains("$6$"), "{text}");
}
