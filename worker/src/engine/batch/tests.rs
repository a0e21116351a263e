//! A batch by itself, with plans made by hand.

#![cfg(feature = "testing")]

use std::time::Duration;

use shared::names::DomainName;

use super::{Pace, Rounds, execute};
use crate::engine::execute::{End, Executed, Journal};
use crate::engine::plan::{Action, Plan};
use crate::engine::undo::Undo;
use crate::store::StoreError;
use crate::system::System;
use crate::system::fake::FakeSystem;

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
