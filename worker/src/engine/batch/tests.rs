//! A batch by itself, with plans made by hand.

#![cfg(feature = "testing")]

use std::thread;
use std::time::{Duration, Instant};

use shared::names::DomainName;

use super::{Pace, Rounds, execute};
use crate::engine::execute::{End, Executed, Journal};
use crate::engine::image::{FileImage, Owner};
use crate::engine::plan::{Action, Plan};
use crate::engine::undo::Undo;
use crate::store::StoreError;
use crate::system::System;
use crate::system::fake::{FakeSystem, TESTS};

/// Of these tests none is cut off.
struct NoJournal;

impl Journal for NoJournal {
    fn record(&mut self, _: &[(usize, &Undo)]) -> Result<(), StoreError> {
        Ok(())
    }
}

/// Has a site of somebody else's serve a generation.
fn serve(host: &FakeSystem, domain: &str, generation: i64) {
    let vhost = format!("server {{\nserver_name {domain};\nreturn 200 '{{\"generation\":{generation}}}';\n}}\n");
    host.put_file(&format!("/etc/nginx/sites-enabled/{domain}.conf"), &vhost);
    host.reload_nginx().unwrap();
}

/// What goes on while one waits outside, and how all ended.
struct Meanwhile<'a, F: FnMut()> {
    work: F,
    ends: &'a mut Vec<End>,
}

impl<F: FnMut()> Rounds for Meanwhile<'_, F> {
    fn end(&mut self, ended: Vec<(usize, Executed)>, outside: Vec<usize>) -> bool {
        self.ends.extend(ended.into_iter().map(|(_, executed)| executed.end));
        if !outside.is_empty() {
            (self.work)();
        }
        true
    }

    fn begin(&mut self) -> bool {
        true
    }
}

#[test]
fn a_neighbour_that_others_change_while_a_job_waits_is_no_fault_of_its() {
    let (host, neighbour, service) = (FakeSystem::new(), "neighbour.example", "slow.service");
    serve(&host, neighbour, 1);
    host.start(service);
    host.hold(service);
    let domain: DomainName = neighbour.parse().unwrap();
    let mut plan = Plan::default();
    plan.step("Test", Action::RememberNeighbour { domain: domain.clone() });
    plan.step("Stop", Action::StopUnit { unit: service.to_owned() });
    plan.step("Test", Action::CompareNeighbour { domain });
    let mut ends = Vec::new();
    let work = || {
        serve(&host, neighbour, 2);
        host.let_go();
    };
    let pace = Pace { threads: 2, patience: Duration::from_millis(1) };
    execute(&[plan], &host, pace, &mut NoJournal, &mut Meanwhile { work, ends: &mut ends }, &|_, _| {});
    assert!(matches!(ends.as_slice(), [End::Done]));
}

/// A plan whose only step is a test.
fn test_of(action: Action) -> Plan {
    let mut plan = Plan::default();
    plan.step("Test", action);
    plan
}

fn php(version: &str) -> Action {
    Action::TestPhp { version: version.parse().unwrap(), user: "shop".parse().unwrap(), config: String::new() }
}

/// Carries plans out while the host holds its tests, until so many are under way. How many were.
fn with_tests_held(plans: &[Plan], under_way: usize) -> usize {
    let host = FakeSystem::new();
    host.hold(TESTS);
    let (pace, mut ends) = (Pace { threads: 4, patience: Duration::from_millis(1) }, Vec::new());
    let deadline = Instant::now() + Duration::from_secs(10);
    let reached = thread::scope(|scope| {
        let watch = scope.spawn(|| {
            while host.tests() < under_way && Instant::now() < deadline {
                thread::sleep(Duration::from_millis(1));
            }
            let reached = host.tests();
            host.let_go();
            reached
        });
        execute(plans, &host, pace, &mut NoJournal, &mut Meanwhile { work: || (), ends: &mut ends }, &|_, _| {});
        watch.join().unwrap()
    });
    assert!(ends.iter().all(|end| matches!(end, End::Done)) && ends.len() == plans.len());
    reached
}

#[test]
fn the_tests_of_each_php_and_of_nginx_are_under_way_at_once() {
    let plans = [php("8.2"), php("8.4"), php("8.2"), Action::TestNginx, Action::TestNginx].map(test_of);
    assert_eq!(with_tests_held(&plans, 3), 3, "one of each");
}

#[test]
fn nginx_is_tested_once_for_all_that_come_to_it_also_from_another_test() {
    let mut both = test_of(php("8.2"));
    both.step("nginx test", Action::TestNginx);
    let host = FakeSystem::new();
    let (pace, mut ends) = (Pace { threads: 4, patience: Duration::from_millis(1) }, Vec::new());
    let plans = [both, test_of(Action::TestNginx)];
    execute(&plans, &host, pace, &mut NoJournal, &mut Meanwhile { work: || (), ends: &mut ends }, &|_, _| {});
    assert_eq!((host.tests(), ends.len()), (2, 2));
}

/// Plans that each put a vhost in place, of which one is refused.
fn vhosts_of_which_one_is_refused(count: usize, refused: usize) -> Vec<Plan> {
    let vhost = |number: usize| {
        let content = if number == refused { "BROKEN;\n".to_owned() } else { format!("server {{\nserver_name s{number}.example;\n}}\n") };
        // Its link is there already.
        let path = format!("/etc/nginx/sites-available/s{number}.example.conf").into();
        let mut plan = test_of(Action::TestNginx);
        plan.step("Vhost", Action::WriteFile(FileImage { path, owner: Owner::ROOT, mode: 0o644, content: content.into() }));
        plan
    };
    (0..count).map(vhost).collect()
}

#[test]
fn one_whose_file_nginx_names_is_found_by_three_tests_however_many_there_are() {
    let (host, mut ends) = (FakeSystem::new(), Vec::new());
    for number in 0..100 {
        let name = format!("s{number}.example.conf");
        host.put_file(&format!("/etc/nginx/sites-available/{name}"), "");
        host.link(format!("/etc/nginx/sites-enabled/{name}").as_ref(), format!("/etc/nginx/sites-available/{name}").as_ref()).unwrap();
    }
    let (plans, pace) = (vhosts_of_which_one_is_refused(100, 70), Pace { threads: 4, patience: Duration::from_millis(1) });
    execute(&plans, &host, pace, &mut NoJournal, &mut Meanwhile { work: || (), ends: &mut ends }, &|_, _| {});
    let failed: Vec<usize> = (0..100).filter(|job| matches!(ends[*job], End::Failed(_))).collect();
    assert_eq!((failed, ends.iter().filter(|end| matches!(end, End::Done)).count()), (vec![70], 99));
    assert_eq!(host.tests(), 3, "of all, of the one, of the others");
}
