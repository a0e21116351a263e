//! The worker is killed between all steps of each kind of job, on a real host (F-01, F-03).
//!
//! A worker built for tests kills itself before the n-th change of the host when `/run/gantry-worker-crash` holds n; it
//! removes the file first, so the worker that systemd starts again goes on.

use super::World;
use super::prober::Prober;
use super::world;

/// More changes than any job makes; the sweep ends when a job passes without meeting its number.
const MOST: u32 = 80;
const CRASH: &str = "/run/gantry-worker-crash";

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
    assert!(created > 3 && suspended > 1 && deleted > 1, "the worker really crashed: {created} {suspended} {deleted}");
    assert!(lab.succeeds(&["nginx", "-t"]));
    prober.assert_nothing_lost();
}

#[test]
fn a_worker_killed_before_any_change_finishes_creating_and_deleting_an_account() {
    let Some(world) = world() else { return };
    let (panel, lab) = (&world.panel, &world.lab);
    let client = panel.client("cutclient");
    let mut accounts = Vec::new();
    let created = sweep(&world, "creating an account", |n| {
        let user = format!("cut{n}x");
        accounts.push((panel.account(&client, &user), user));
    });
    let deleted = sweep(&world, "deleting an account", |n| {
        let Some((account, user)) = accounts.pop() else { panic!("more changes than accounts at {n}") };
        panel.submit(&format!("/accounts/{account}/delete"), &[("confirm", &user)]);
        panel.until_gone(&format!("/accounts/{account}"));
        assert!(!lab.succeeds(&["getent", "passwd", &user]));
        assert!(!lab.succeeds(&["test", "-e", &format!("/home/{user}")]));
    });
    assert!(created > 3 && deleted > 1, "the worker really crashed: {created} {deleted}");
}
