//! Faults on a real host, beside those of the other files; which fault has which test is in `.ci/faults.md`.

use std::time::Duration;

use super::lab::Lab;
use super::prober::Prober;
use super::world;

const PATIENCE: Duration = Duration::from_secs(90);

fn worker_process(lab: &Lab) -> String {
    lab.exec(&["systemctl", "show", "--property=MainPID", "--value", "gantry-worker"]).trim().to_owned()
}

#[test]
fn f02_a_worker_that_is_killed_over_and_over_finishes_once_it_is_left_alone() {
    let Some(world) = world() else { return };
    let (panel, lab) = (&world.panel, &world.lab);
    let client = panel.client("loopclient");
    let account = panel.account(&client, "loopuser");
    let good = panel.site(&account, "whole.localhost", "8.2");
    panel.until_state(&format!("/sites/{good}"), "Active");
    let prober = Prober::start(&lab.address, &["whole.localhost"]);
    let mut sites = Vec::new();
    for round in 0..10 {
        sites.push(panel.site(&account, &format!("loop{round}.localhost"), if round % 2 == 0 { "8.2" } else { "static" }));
        let before = worker_process(lab);
        lab.exec(&["systemctl", "kill", "--signal=KILL", "gantry-worker"]);
        // As soon as there is another one, which is recovering from the last kill, it is its turn.
        lab.until("systemd starts another worker", PATIENCE, || !["0", &before].contains(&worker_process(lab).as_str()));
    }
    for site in sites {
        panel.until_state(&format!("/sites/{site}"), "Active");
    }
    assert!(lab.succeeds(&["nginx", "-t"]));
    prober.assert_nothing_lost();
}

/// It hangs as hard as a process can: it is stopped. The unit's own times are a minute, and half of one until it is killed.
#[test]
fn f05_a_worker_that_no_longer_says_that_it_lives_is_ended_by_systemd_and_the_next_one_goes_on() {
    const UNIT: &str = "/run/systemd/system/gantry-worker.service.d";
    let Some(world) = world() else { return };
    let (panel, lab) = (&world.panel, &world.lab);
    let client = panel.client("hungclient");
    let account = panel.account(&client, "hunguser");
    let good = panel.site(&account, "unhung.localhost", "8.2");
    panel.until_state(&format!("/sites/{good}"), "Active");
    lab.exec(&["mkdir", "-p", UNIT]);
    lab.write(&format!("{UNIT}/90-short.conf"), "[Service]\nWatchdogSec=3s\nTimeoutAbortSec=2s\n");
    lab.exec(&["systemctl", "daemon-reload"]);
    lab.exec(&["systemctl", "restart", "gantry-worker"]);
    let prober = Prober::start(&lab.address, &["unhung.localhost"]);
    let hung = worker_process(lab);
    lab.exec(&["kill", "-STOP", &hung]);
    let site = panel.site(&account, "afterhang.localhost", "8.2");
    panel.until_state(&format!("/sites/{site}"), "Active");
    assert_ne!(worker_process(lab), hung);
    let said = lab.exec(&["journalctl", "--no-pager", "--output=cat", "--unit=gantry-worker"]);
    assert!(said.contains("Watchdog timeout"), "{said}");
    lab.exec(&["rm", "-r", UNIT]);
    lab.exec(&["systemctl", "daemon-reload"]);
    lab.exec(&["systemctl", "restart", "gantry-worker"]);
    prober.assert_nothing_lost();
}

#[test]
fn f06_a_lock_of_a_dead_process_stops_nobody_and_one_of_a_live_process_is_respected() {
    let Some(world) = world() else { return };
    let (panel, lab) = (&world.panel, &world.lab);
    let client = panel.client("lockclient");
    // No process has so high a number.
    lab.exec(&["sh", "-c", "printf 4194304 > /etc/passwd.lock; printf 4194304 > /etc/shadow.lock; printf 4194304 > /etc/group.lock"]);
    let account = panel.account(&client, "lockuser");
    let page = format!("/accounts/{account}");
    let password = || lab.exec(&["getent", "shadow", "lockuser"]).split(':').nth(1).unwrap_or_default().to_owned();
    assert_eq!(panel.post(&format!("{page}/sftp-password"), &[]).status, 200);
    lab.until("the password is set", PATIENCE, || password().starts_with('$'));
    panel.until_state(&page, "Active");
    let first = password();

    // systemd itself seems to be changing users by hand.
    lab.exec(&["sh", "-c", "printf 1 > /etc/shadow.lock"]);
    assert_eq!(panel.post(&format!("{page}/sftp-password"), &[]).status, 200);
    panel.until_state(&page, "Failed");
    assert!(lab.succeeds(&["test", "-e", "/etc/shadow.lock"]), "a live lock was removed");
    assert_eq!(password(), first);
    lab.exec(&["rm", "/etc/shadow.lock"]);
    panel.submit(&format!("{page}/retry"), &[]);
    panel.until_state(&page, "Active");
    assert_ne!(password(), first);
}

#[test]
fn f52_a_site_asked_for_while_nginx_is_down_fails_with_the_reason_and_retry_works() {
    let Some(world) = world() else { return };
    let (panel, lab) = (&world.panel, &world.lab);
    let client = panel.client("downclient");
    let account = panel.account(&client, "downuser");
    lab.exec(&["systemctl", "stop", "nginx"]);
    let site = panel.site(&account, "down.localhost", "static");
    let page = format!("/sites/{site}");
    panel.until_state(&page, "Failed");
    let (text, running) = (panel.get(&page).text(), lab.succeeds(&["systemctl", "is-active", "--quiet", "nginx"]));
    lab.exec(&["systemctl", "start", "nginx"]);
    assert!(text.contains("not running"), "{text}");
    assert!(!running, "whoever stopped nginx wanted it stopped");
    panel.submit(&format!("{page}/retry"), &[]);
    panel.until_state(&page, "Active");
    assert_eq!(lab.fetch("down.localhost", "/").0, 200);
}

/// How many batches the worker has carried out.
fn batches(lab: &Lab) -> usize {
    lab.exec(&["journalctl", "--no-pager", "--output=cat", "--unit=gantry-worker"]).matches("a batch has ended").count()
}

#[test]
fn f55_a_hundred_sites_at_once_cost_others_no_request_and_few_reloads() {
    const SITES: usize = 100;
    let Some(world) = world() else { return };
    let (panel, lab) = (&world.panel, &world.lab);
    let client = panel.client("manyclient");
    let accounts: Vec<String> = (0..5).map(|number| panel.account(&client, &format!("manyuser{number}"))).collect();
    let good = panel.site(&accounts[0], "settled.localhost", "8.2");
    panel.until_state(&format!("/sites/{good}"), "Active");
    let prober = Prober::start(&lab.address, &["settled.localhost"]);
    let before = batches(lab);
    // They wait for a worker, and so come at once.
    lab.exec(&["systemctl", "stop", "gantry-worker"]);
    let site = |number: usize| panel.site(&accounts[number % accounts.len()], &format!("many{number}.localhost"), "static");
    let sites: Vec<String> = (0..SITES).map(site).collect();
    lab.exec(&["systemctl", "start", "gantry-worker"]);
    for site in sites {
        panel.until_state(&format!("/sites/{site}"), "Active");
    }
    let batches = batches(lab) - before;
    // An account has sixteen jobs under way at a time, so there are at least two.
    assert!(batches <= SITES / 4, "{batches} batches for {SITES} sites");
    prober.assert_nothing_lost();
}

#[test]
fn f61_a_host_cut_off_from_the_bus_in_silence_serves_on_is_shown_offline_and_catches_up() {
    let Some(world) = world() else { return };
    let (panel, lab) = (&world.panel, &world.lab);
    let client = panel.client("awayclient");
    let account = panel.account(&client, "awayuser");
    let good = panel.site(&account, "near.localhost", "8.2");
    panel.until_state(&format!("/sites/{good}"), "Active");
    let server = panel.id_of("/servers?q=", &std::env::var("GANTRY_E2E_HOST").expect("the host's name"), "/servers/");
    let prober = Prober::start(&lab.address, &["near.localhost"]);
    lab.exec(&["nft", "add table inet away"]);
    lab.exec(&["nft", "add chain inet away out { type filter hook output priority -10; }"]);
    lab.exec(&["nft", "add rule inet away out tcp dport 4222 drop"]);
    let site = panel.site(&account, "far.localhost", "8.2");
    lab.until("the page says that the server is offline", PATIENCE, || panel.get(&format!("/servers/{server}")).text().contains("Offline"));
    assert_ne!(panel.get(&format!("/sites/{site}")).badge(), "Active");
    lab.exec(&["nft", "delete", "table", "inet", "away"]);
    panel.until_state(&format!("/sites/{site}"), "Active");
    lab.until("the page says that the server is online", PATIENCE, || panel.get(&format!("/servers/{server}")).text().contains("Online"));
    prober.assert_nothing_lost();
}

#[test]
fn f66_a_tenant_who_fights_the_worker_touches_nothing_of_others() {
    let Some(world) = world() else { return };
    let (panel, lab) = (&world.panel, &world.lab);
    let client = panel.client("fightclient");
    let (fighter, victim) = (panel.account(&client, "fightuser"), panel.account(&client, "peaceuser"));
    let (site, good) = (panel.site(&fighter, "fight.localhost", "8.2"), panel.site(&victim, "peace.localhost", "8.2"));
    let page = format!("/sites/{site}");
    panel.until_state(&page, "Active");
    panel.until_state(&format!("/sites/{good}"), "Active");
    // All of somebody else's: owner, mode, size and when it was last changed. Of the system's, which other tests' accounts change
    // too, what the links point to: owner and mode.
    let others = || {
        let all = ["-maxdepth", "4", "!", "-path", "*/logs/*", "-printf", "%p %U:%G %m %s %C@\n"];
        let own = lab.exec(&[["find", "/home/peaceuser"].as_slice(), &all].concat());
        [own, lab.exec(&["stat", "--format=%n %u:%g %a", "/home", "/etc/shadow", "/etc/passwd"])]
    };
    let prober = Prober::start(&lab.address, &["peace.localhost"]);
    let before = others();
    let script = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../.ci/chaos/fight.php");
    lab.run("put", &[script.to_str().expect("a plain path"), "/srv/fight.php", "0644"]);
    lab.exec(&["systemd-run", "--quiet", "--unit=fight", "--uid=fightuser", "--gid=fightuser", "php", "/srv/fight.php", "fightuser", "30"]);
    let fights = || lab.succeeds(&["systemctl", "is-active", "--quiet", "fight"]);
    let mut rounds = 0;
    while fights() {
        rounds += 1;
        for (verb, fields) in [
            ("suspend", vec![]),
            ("unsuspend", vec![]),
            ("edit", vec![("php", "8.2"), ("aliases", ""), ("document_root", "fight.localhost/public")]),
            ("edit", vec![("php", "static"), ("aliases", ""), ("document_root", "fight.localhost")]),
            ("edit", vec![("php", "8.2"), ("aliases", ""), ("document_root", "fight.localhost")]),
        ] {
            panel.post(&format!("{page}/{verb}"), &fields);
            let ends = || ["Active", "Suspended", "Failed"].contains(&panel.get(&page).badge().as_str());
            lab.until("the job ends, well or not", PATIENCE, ends);
        }
    }
    assert!(rounds > 0, "there was a fight");
    assert_eq!(others(), before);
    if panel.get(&page).badge() == "Failed" {
        panel.submit(&format!("{page}/retry"), &[]);
    }
    panel.until_state(&page, "Active");
    prober.assert_nothing_lost();
}
