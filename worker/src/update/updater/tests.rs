//! The updater on a host in memory. **Whatever happens, wherever it is cut off: the old or the new worker runs in the end.**

use std::cell::RefCell;
use std::path::{Path, PathBuf};

use shared::events::{StepState, Verdict};
use shared::failure::{Effect, FailureCode};
use shared::ids::JobId;
use shared::names::PackageVersion;
use tempfile::TempDir;

use super::super::order::{Desk, Order, Phase};
use super::super::steps;
use super::{UpdateError, sum, update};
use crate::store::Store;
use crate::system::{CommandError, Health, PackageHost, SystemError};

fn version(text: &str) -> PackageVersion {
    text.parse().unwrap()
}

/// What is wrong with the new package.
#[derive(Clone, Copy, PartialEq)]
enum Fault {
    None,
    /// apt refuses it.
    Uninstallable,
    /// Its worker ends at once.
    Crashing,
    /// Its worker runs and never reaches the bus.
    Mute,
}

struct State {
    /// `None`: in the middle of something.
    installed: Option<PackageVersion>,
    running: Option<PackageVersion>,
    kept: bool,
    restarts: u32,
    /// Calls until the power goes.
    power: Option<u32>,
}

/// A host whose power may go after any call that changes something, whether or not the call has had its effect by then.
struct Machine {
    fault: Fault,
    state: RefCell<State>,
}

impl Machine {
    /// Does something, unless the power goes before or right after it.
    fn act(&self, work: impl FnOnce(&mut State)) -> Result<(), SystemError> {
        let mut state = self.state.borrow_mut();
        for half in [false, true] {
            if state.power == Some(0) {
                return Err(SystemError::Interrupted);
            }
            state.power = state.power.map(|left| left - 1);
            if half {
                work(&mut state);
                break;
            }
        }
        if state.power == Some(0) { Err(SystemError::Interrupted) } else { Ok(()) }
    }
}

impl PackageHost for Machine {
    fn installed(&self) -> Result<Option<PackageVersion>, SystemError> {
        Ok(self.state.borrow().installed.clone())
    }

    fn keep(&self, file: &Path) -> Result<(), SystemError> {
        assert!(self.state.borrow().installed.is_some(), "what is half installed is nothing to go back to");
        self.act(|state| state.kept = true)?;
        std::fs::write(file, "0.1.0").unwrap();
        Ok(())
    }

    fn install(&self, _: &Path) -> Result<(), SystemError> {
        assert!(self.state.borrow().running.is_none(), "the worker is stopped while its package is replaced");
        if self.fault == Fault::Uninstallable {
            return Err(CommandError::TimedOut { command: "apt-get".to_owned(), limit: std::time::Duration::ZERO }.into());
        }
        self.act(|state| state.installed = None)?;
        self.act(|state| state.installed = Some(version("0.2.0")))
    }

    fn put_back(&self, file: &Path) -> Result<(), SystemError> {
        assert!(file.exists(), "there is something to go back to");
        self.act(|state| state.installed = None)?;
        self.act(|state| state.installed = Some(version("0.1.0")))
    }

    fn stop_worker(&self) -> Result<(), SystemError> {
        self.act(|state| state.running = None)
    }

    fn start_worker(&self) -> Result<(), SystemError> {
        let started = self.state.borrow().installed.clone();
        self.act(|state| (state.running, state.restarts) = (started, 0))
    }

    fn health(&self) -> Result<Health, SystemError> {
        let mut state = self.state.borrow_mut();
        let new = state.running == Some(version("0.2.0"));
        if new && self.fault == Fault::Crashing {
            state.restarts += 1;
            return Ok(Health { running: false, answers: None, restarts: state.restarts });
        }
        let mute = new && self.fault == Fault::Mute;
        Ok(Health { running: state.running.is_some(), answers: state.running.clone().filter(|_| !mute), restarts: 0 })
    }

    fn worker_log(&self) -> String {
        ": its log".to_owned()
    }

    fn pause(&self) {}
}

/// A desk with an order from 0.1.0 to 0.2.0, a database, and a machine whose old worker runs.
struct Scene {
    _directory: TempDir,
    desk: Desk,
    database: PathBuf,
    machine: Machine,
}

impl Scene {
    async fn with(fault: Fault) -> Self {
        let directory = TempDir::new().unwrap();
        let desk = Desk::within(directory.path());
        desk.clear(Path::new("/bin/true")).unwrap();
        std::fs::write(desk.package(), "0.2.0").unwrap();
        let order = Order {
            job: JobId::new(),
            attempt: 1,
            from: version("0.1.0"),
            to: version("0.2.0"),
            sha256: sum(&desk.package()).unwrap().parse().unwrap(),
            steps: steps(),
            phase: Phase::Installing,
        };
        desk.write(&order).unwrap();
        let database = directory.path().join("worker.db");
        Store::open(&database).await.unwrap().pool.close().await;
        let running = Some(version("0.1.0"));
        let state = State { installed: running.clone(), running, kept: false, restarts: 0, power: None };
        let machine = Machine { fault, state: RefCell::new(state) };
        Self { _directory: directory, desk, database, machine }
    }

    async fn update(&self) -> Result<(), UpdateError> {
        update(&self.desk, &self.database, &self.machine).await
    }

    fn order(&self) -> Order {
        self.desk.order().unwrap().unwrap()
    }

    fn verdict(&self) -> Verdict {
        match self.order().phase {
            Phase::Ended { verdict } => verdict,
            other => panic!("it has not ended: {other:?}"),
        }
    }

    fn runs(&self) -> (Option<PackageVersion>, Option<PackageVersion>) {
        let state = self.machine.state.borrow();
        (state.installed.clone(), state.running.clone())
    }
}

fn both(text: &str) -> (Option<PackageVersion>, Option<PackageVersion>) {
    (Some(version(text)), Some(version(text)))
}

#[tokio::test]
async fn a_package_whose_worker_answers_is_kept() {
    let scene = Scene::with(Fault::None).await;
    scene.update().await.unwrap();
    assert_eq!((scene.verdict(), scene.runs()), (Verdict::Applied, both("0.2.0")));
    assert!(scene.order().steps[2..].iter().all(|step| step.state == StepState::Done), "{:?}", scene.order().steps);
}

#[tokio::test]
async fn a_package_that_does_not_work_gives_way_to_the_old_one_and_says_why() {
    for (fault, says) in [(Fault::Crashing, "worker 0.2.0 ended 5 times: its log"), (Fault::Mute, "did not reach the bus")] {
        let scene = Scene::with(fault).await;
        scene.update().await.unwrap();
        let Verdict::Failed { code, effect, detail } = scene.verdict() else { panic!("it was kept") };
        assert_eq!((code, effect, scene.runs()), (FailureCode::UpdateFailed, Effect::RolledBack, both("0.1.0")), "{detail}");
        assert!(detail.contains(says), "{detail}");
    }
}

#[tokio::test]
async fn a_package_that_cannot_be_installed_changes_nothing() {
    let scene = Scene::with(Fault::Uninstallable).await;
    scene.update().await.unwrap();
    let Verdict::Failed { code, effect, detail } = scene.verdict() else { panic!("it was kept") };
    assert_eq!((code, effect, scene.runs()), (FailureCode::UpdateFailed, Effect::NothingChanged, both("0.1.0")), "{detail}");
    assert!(detail.contains("apt-get"), "{detail}");
}

#[tokio::test]
async fn a_package_that_is_not_the_one_ordered_is_not_installed() {
    let scene = Scene::with(Fault::None).await;
    std::fs::write(scene.desk.package(), "something else").unwrap();
    scene.update().await.unwrap();
    assert!(matches!(scene.verdict(), Verdict::Failed { effect: Effect::NothingChanged, .. }));
    assert_eq!((scene.runs(), scene.machine.state.borrow().kept), (both("0.1.0"), false));
}

#[tokio::test]
async fn what_a_newer_worker_has_made_of_the_database_is_taken_back_with_it() {
    let scene = Scene::with(Fault::Mute).await;
    let store = Store::open(&scene.database).await.unwrap();
    sqlx::raw_sql("PRAGMA user_version = 99").execute(&store.pool).await.unwrap();
    store.pool.close().await;
    let newer = std::fs::read(&scene.database).unwrap();
    drop(scene);

    let scene = Scene::with(Fault::None).await;
    let mut order = scene.order();
    scene.desk.keep_database(&scene.database).unwrap();
    std::fs::write(&scene.database, newer).unwrap();
    std::fs::write(scene.desk.previous(), "0.1.0").unwrap();
    order.phase = Phase::PuttingBack { reason: "it was mute".to_owned() };
    scene.desk.write(&order).unwrap();
    scene.machine.state.borrow_mut().installed = Some(version("0.2.0"));
    scene.update().await.unwrap();
    assert_eq!(scene.runs(), both("0.1.0"));
    Store::open(&scene.database).await.expect("the old worker knows its database again");
}

#[tokio::test]
async fn without_an_order_or_after_its_end_nothing_is_done() {
    let scene = Scene::with(Fault::None).await;
    scene.update().await.unwrap();
    let ended = scene.order();
    scene.machine.state.borrow_mut().power = Some(0);
    scene.update().await.unwrap();
    assert_eq!(scene.order(), ended);
    scene.desk.leave().unwrap();
    scene.update().await.unwrap();
}

#[tokio::test]
async fn cut_off_anywhere_it_goes_on_and_ends_with_the_old_or_the_new_worker() {
    for (fault, result) in [(Fault::None, "0.2.0"), (Fault::Crashing, "0.1.0")] {
        let mut cuts = 0;
        for calls in 0.. {
            let scene = Scene::with(fault).await;
            scene.machine.state.borrow_mut().power = Some(calls);
            let cut = scene.update().await.is_err();
            cuts += u32::from(cut);
            // The host boots: what is installed runs, even if dpkg has not finished with it.
            {
                let mut state = scene.machine.state.borrow_mut();
                state.power = None;
                state.running = Some(state.installed.clone().unwrap_or_else(|| version("0.2.0")));
            }
            scene.update().await.unwrap();
            assert_eq!(scene.runs(), both(result), "cut off after {calls} calls");
            assert_eq!(scene.verdict() == Verdict::Applied, fault == Fault::None);
            if !cut {
                break;
            }
        }
        assert!(cuts > 5, "it was cut off {cuts} times only");
    }
}
