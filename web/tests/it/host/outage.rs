//! Things that are not there: the worker, the bus, the host.

use std::time::Duration;

use super::prober::Prober;
use super::{restart_part, world};

const PATIENCE: Duration = Duration::from_secs(60);

#[test]
fn requests_wait_for_a_stopped_worker_and_are_applied_when_it_returns() {
    let Some(world) = world() else { return };
    let (panel, lab) = (&world.panel, &world.lab);
    let client = panel.client("waitclient");
    let account = panel.account(&client, "waituser");
    lab.exec(&["systemctl", "stop", "gantry-worker"]);
    let site = panel.site(&account, "patient.localhost", "8.2");
    let page = panel.get(&format!("/sites/{site}"));
    assert_eq!(page.status, 200);
    assert_ne!(page.badge(), "Active");
    lab.exec(&["systemctl", "start", "gantry-worker"]);
    panel.until_state(&format!("/sites/{site}"), "Active");
}

#[test]
fn a_power_cut_in_mid_job_leaves_a_host_that_boots_serves_and_finishes() {
    let Some(world) = world() else { return };
    let (panel, lab) = (&world.panel, &world.lab);
    let client = panel.client("powerclient");
    let account = panel.account(&client, "poweruser");
    let good = panel.site(&account, "bright.localhost", "8.2");
    panel.until_state(&format!("/sites/{good}"), "Active");
    let site = panel.site(&account, "dark.localhost", "8.2");
    lab.run("cut", &[]);
    lab.run("up", &[]);
    lab.until("sites serve after the boot", PATIENCE, || lab.fetch("bright.localhost", "/").0 == 200);
    assert!(lab.succeeds(&["nginx", "-t"]), "the configuration is valid");
    panel.until_state(&format!("/sites/{site}"), "Active");
    lab.until("the interrupted site serves", PATIENCE, || lab.fetch("dark.localhost", "/").0 == 200);
}

#[test]
fn a_bus_that_is_killed_and_returns_loses_nothing() {
    let Some(world) = world() else { return };
    let (panel, lab) = (&world.panel, &world.lab);
    let client = panel.client("busclient");
    let account = panel.account(&client, "bususer");
    let good = panel.site(&account, "calm.localhost", "static");
    panel.until_state(&format!("/sites/{good}"), "Active");
    let prober = Prober::start(&lab.address, &["calm.localhost"]);
    for round in 0..3 {
        let site = panel.site(&account, &format!("round{round}.localhost"), "static");
        restart_part("nats-server");
        panel.until_state(&format!("/sites/{site}"), "Active");
    }
    prober.assert_nothing_lost();
}
