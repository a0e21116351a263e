//! The worker is killed between all steps of each kind of job, on a real host (F-01, F-03).
//!
//! A worker built for tests kills itself before the n-th change of the host when `/run/gantry-worker-crash` holds n; it
//! removes the file first, so the worker that systemd starts again goes on.

use std::time::Duration;

use super::lab::Lab;
use super::prober::Prober;
use super::site::php_form;
use super::{World, world};

/// More changes than any job makes; the sweep ends when a job passes without meeting its number.
const MOST: u32 = 80;
const CRASH: &str = "/run/gantry-worker-crash";

const PATIENCE: Duration = Duration::from_secs(60);

/// How many jobs the worker says have ended.
fn ended_jobs(lab: &Lab) -> usize {
    lab.exec(&["journalctl", "--no-pager", "--output=cat", "--unit=gantry-worker"]).matches("a job has ended").count()
}

/// Repeats `step` with the worker killed before its 1st, 2nd, 3rd... change, until a run passes untouched.
fn sweep(world: &World, what: &str, mut step: impl FnMut(u32)) -> u32 {
    for n in 1..MOST {
        world.lab.write(CRASH, &n.to_string());
        step(n);
        if world.lab.succeeds(&["test", "-e", CRASH]) {
            world.lab.exec(&["rm", CRASH]);
            return n - 1;
        }
    }
    panic!("{what} makes more than {MOST} changes");
}

#[test]
fn a_worker_killed_before_any_change_finishes_creating_changing_and_deleting_a_site() {
    let Some(world) = world() else { return };
    let (panel, lab) = (&world.panel, &world.lab);
    let client = panel.client("crashclient");
    let account = panel.account(&client, "crashuser");
    let good = panel.site(&account, "steady.localhost", "8.2");
    panel.until_state(&format!("/sites/{good}"), "Active");
    let prober = Prober::start(&lab.address, &["steady.localhost"]);

    let mut sites = Vec::new();
    let created = sweep(&world, "creating a site", |n| {
        let site = panel.site(&account, &format!("crash{n}.localhost"), "8.2");
        panel.until_state(&format!("/sites/{site}"), "Active");
        assert_eq!(lab.fetch(&format!("crash{n}.localhost"), "/").0, 200);
        sites.push((site, format!("crash{n}.localhost")));
    });
    let changed = sweep(&world, "changing a site", |n| {
        let (site, domain) = &sites[0];
        let alias = format!("alias{n}.{domain}");
        panel.submit(&format!("/sites/{site}/edit"), &[("aliases", &alias), ("document_root", domain), ("php", "8.2")]);
        panel.until_state(&format!("/sites/{site}"), "Active");
        assert_eq!(lab.fetch(&alias, "/").0, 200);
    });
    let mut size = 2;
    let tuned = sweep(&world, "changing a pool", |n| {
        size = if n % 2 == 0 { 2 } else { 8 };
        let before = ended_jobs(lab);
        panel.submit(&format!("/accounts/{account}/php/8.2"), &php_form(&size.to_string()));
        lab.until("the pool's job has ended", PATIENCE, || ended_jobs(lab) > before);
        let conf = lab.exec(&["cat", "/etc/nginx/gantry/crashuser-8.2.conf"]);
        assert!(conf.contains(&format!("client_max_body_size {size}m;")), "{conf}");
    });
    let suspended = sweep(&world, "suspending a site", |n| {
        let (site, domain) = &sites[usize::try_from(n).expect("a small number") % sites.len()];
        let verb = if lab.fetch(domain, "/").0 == 503 { "unsuspend" } else { "suspend" };
        panel.submit(&format!("/sites/{site}/{verb}"), &[]);
        panel.until_state(&format!("/sites/{site}"), if verb == "suspend" { "Suspended" } else { "Active" });
    });
    let deleted = sweep(&world, "deleting a site", |n| {
        let Some((site, domain)) = sites.pop() else { panic!("more changes than sites at {n}") };
        panel.submit(&format!("/sites/{site}/delete"), &[("confirm", &domain)]);
        panel.until_gone(&format!("/sites/{site}"));
        assert_ne!(lab.fetch(&domain, "/").0, 200);
    });
    let met = [created, changed, tuned, suspended, deleted];
    assert!(created > 3 && met.iter().all(|met| *met > 1), "the worker really crashed: {met:?}");
    assert!(lab.succeeds(&["nginx", "-t"]));
    prober.assert_nothing_lost();
}

#[test]
fn a_worker_killed_before_any_change_finishes_creating_suspending_and_deleting_an_account() {
    let Some(world) = world() else { return };
    let (panel, lab) = (&world.panel, &world.lab);
    let client = panel.client("cutclient");
    let mut accounts = Vec::new();
    let created = sweep(&world, "creating an account", |n| {
        let user = format!("cut{n}x");
        accounts.push((panel.account(&client, &user), user));
    });
    let (account, _) = &accounts[0];
    let site = panel.site(account, "cutsite.localhost", "8.2");
    panel.until_state(&format!("/sites/{site}"), "Active");
    let suspended = sweep(&world, "suspending an account and its site", |n| {
        let (verb, state, status) = if n % 2 == 0 { ("unsuspend", "Active", 200) } else { ("suspend", "Suspended", 503) };
        panel.submit(&format!("/accounts/{account}/{verb}"), &[]);
        panel.until_state(&format!("/accounts/{account}"), state);
        panel.until_state(&format!("/sites/{site}"), state);
        lab.until("the site answers so", PATIENCE, || lab.fetch("cutsite.localhost", "/").0 == status);
    });
    let deleted = sweep(&world, "deleting an account", |n| {
        let Some((account, user)) = accounts.pop() else { panic!("more changes than accounts at {n}") };
        panel.submit(&format!("/accounts/{account}/delete"), &[("confirm", &user)]);
        panel.until_gone(&format!("/accounts/{account}"));
        assert!(!lab.succeeds(&["getent", "passwd", &user]));
        assert!(!lab.succeeds(&["test", "-e", &format!("/home/{user}")]));
    });
    let met = [created, suspended, deleted];
    assert!(created > 3 && met.iter().all(|met| *met > 1), "the worker really crashed: {met:?}");
}
