//! The whole of Gantry on a real systemd host: panel, bus and worker as `make up` starts them, driven over HTTPS like a
//! person would. `.ci/hosts.sh` starts it and sets `GANTRY_E2E`; without it these tests say that they are skipped.

mod account;
mod audit;
mod crash;
mod drift;
mod failure;
mod fault;
mod fleet;
mod install;
mod join;
mod lab;
mod nginx;
mod outage;
pub(crate) mod panel;
mod prober;
mod site;
mod tenant;
mod update;

use std::ops::Deref;
use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Duration;

use lab::Lab;
use panel::Panel;

/// One installation for all tests, one test at a time.
pub(crate) struct World {
    pub(crate) panel: Panel,
    pub(crate) lab: Lab,
}

/// A test's turn. **When it ends, the host is as the panel's database says**, whatever the test has done to it.
pub(crate) struct Turn(MutexGuard<'static, World>);

impl Deref for Turn {
    type Target = World;

    fn deref(&self) -> &World {
        &self.0
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            audit::assert_as_wanted();
        }
    }
}

/// The installation, or `None` with the reason printed.
pub(crate) fn world() -> Option<Turn> {
    static WORLD: OnceLock<Option<Mutex<World>>> = OnceLock::new();
    let world = WORLD.get_or_init(|| {
        let Ok(panel) = std::env::var("GANTRY_E2E") else {
            println!("skipped: host tests: GANTRY_E2E is not set; run them with `make test`");
            return None;
        };
        Some(Mutex::new(World { panel: Panel::sign_in(&panel), lab: Lab::from_env() }))
    });
    world.as_ref().map(|world| Turn(world.lock().unwrap_or_else(PoisonError::into_inner)))
}

/// A further host that has joined by the panel's command, and its page.
pub(crate) fn joined(panel: &Panel, name: &str, suite: &str) -> (Lab, String) {
    let host = Lab::start(name, suite);
    let hostname = format!("{name}.servers.example.org");
    let fields = [("name", name), ("hostname", &hostname), ("address", &host.address), ("role_web", "on"), ("active", "on")];
    let added = panel.post("/servers", &fields);
    let (done, said) = host.tell(&["sh", "-c", &added.secret()]);
    assert!(done, "{said}");
    let page = format!("/servers/{}", panel.id_of("/servers?q=", name, "/servers/"));
    host.until("the server is online", Duration::from_mins(3), || panel.get(&page).text().contains("Online"));
    (host, page)
}

/// A further host takes no more accounts once its test has ended, however it did: the other tests' are on the first one.
pub(crate) struct Drained<'a>(pub(crate) &'a Panel, pub(crate) &'a str);

impl Drop for Drained<'_> {
    fn drop(&mut self) {
        let _ = self.0.post(&format!("{}/active", self.1), &[("active", ""), ("back", "/servers")]);
    }
}

/// Kills a process that this `gantry up` started, by the name of its program or by its first argument; its parent starts it again.
pub(crate) fn restart_part(name: &str) {
    let up = std::env::var("GANTRY_E2E_UP_PID").expect("GANTRY_E2E_UP_PID is the pid of gantry up");
    let tasks = std::fs::read_dir(format!("/proc/{up}/task")).expect("the tasks of gantry up");
    let children = tasks.flatten().map(|task| std::fs::read_to_string(task.path().join("children")).unwrap_or_default());
    for pid in children.collect::<String>().split_whitespace() {
        let line = std::fs::read_to_string(format!("/proc/{pid}/cmdline")).unwrap_or_default();
        let mut words = line.split('\0');
        let program = words.next().unwrap_or_default().rsplit('/').next();
        if program == Some(name) || words.next() == Some(name) {
            assert!(std::process::Command::new("kill").args(["-KILL", pid]).status().expect("kill runs").success());
            return;
        }
    }
    panic!("gantry up ({up}) runs no {name}");
}
