//! The updater on a host in memory. **Whatever happens, wherever it is cut off: the old or the new worker runs in the end.**

use std::cell::RefCell;
use std::path::{Path, PathBuf};

use shared::events::{StepState, Verdict};
use shared::failure::{Effect, FailureCode};
use shared::ids::JobId;
use shared::names::PackageVersion;
use tempfile::TempDir;

use super::super::order::{Desk, GoingBack, Order, Phase};
use super::super::steps;
use super::{UpdateError, sum, update};
use crate::outbox::{resync_is_told, resync_mark_told};
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
    /// This takes no more orders as soon as a package is installed.
    fills: Option<PathBuf>,
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
        if let Some(desk) = &self.state.borrow().fills {
            fill(desk);
        }
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

/// Has the desk take no more orders, as on a full disk.
fn fill(desk: &Path) {
    std::fs::create_dir(desk.join("order.new")).unwrap();
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
            well: Vec::new(),
            steps: steps(),
            phase: Phase::Installing,
        };
        desk.write(&order).unwrap();
        let database = directory.path().join("worker.db");
        Store::open(&database).await.unwrap().pool.close().await;
        let running = Some(version("0.1.0"));
        let state = State { installed: running.clone(), running, kept: false, restarts: 0, power: None, fills: None };
        let machine = Machine { fault, state: RefCell::new(state) };
        Self { _directory: directory, desk, database, machine }
    }

    /// Where the desk's files are.
    fn files(&self) -> PathBuf {
        self.desk.package().parent().unwrap().to_owned()
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
    order.phase = Phase::PuttingBack(GoingBack::because("it was mute".to_owned()));
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

#[tokio::test]
async fn a_desk_that_takes_no_more_orders_keeps_no_worker_from_running() {
    for (fault, result) in [(Fault::None, "0.2.0"), (Fault::Crashing, "0.1.0")] {
        let scene = Scene::with(fault).await;
        scene.machine.state.borrow_mut().fills = Some(scene.files());
        assert!(matches!(scene.update().await, Err(UpdateError::Files(_))), "systemd starts it again");
        assert_eq!(scene.runs(), both(result));
        // As long as there is no room nothing is begun, and a worker that an earlier try has stopped is started.
        scene.machine.state.borrow_mut().running = None;
        assert!(matches!(scene.update().await, Err(UpdateError::Files(_))));
        assert_eq!(scene.runs(), both(result));
        std::fs::remove_dir(scene.files().join("order.new")).unwrap();
        scene.machine.state.borrow_mut().fills = None;
        scene.update().await.unwrap();
        assert_eq!((scene.runs(), scene.verdict() == Verdict::Applied), (both(result), fault == Fault::None));
    }
}

#[tokio::test]
async fn a_database_that_was_being_put_back_when_the_power_went_is_put_back() {
    let scene = Scene::with(Fault::None).await;
    let store = Store::open(&scene.database).await.unwrap();
    resync_mark_told(&mut store.pool.acquire().await.unwrap(), 1).await.unwrap();
    store.pool.close().await;
    scene.desk.keep_database(&scene.database).unwrap();
    // Half of it lies there, beside the log of the newer one; the old worker has begun anew, and runs.
    std::fs::write(&scene.database, "SQLite format 3").unwrap();
    std::fs::write(scene.database.with_extension("db-wal"), "the newer one's").unwrap();
    let mut order = scene.order();
    order.phase = Phase::PuttingBack(GoingBack { reason: "it was mute".to_owned(), was_left: true, database: true });
    scene.desk.write(&order).unwrap();
    scene.update().await.unwrap();
    let store = Store::open(&scene.database).await.unwrap();
    assert!(resync_is_told(&store.pool).await.unwrap(), "it is the one that was kept");
    let Verdict::Failed { effect, .. } = scene.verdict() else { panic!("it was kept") };
    assert_eq!((effect, scene.runs()), (Effect::RolledBack, both("0.1.0")));
}

#[tokio::test]
async fn a_database_that_the_newer_worker_has_damaged_is_the_kept_one_again() {
    let scene = Scene::with(Fault::None).await;
    let store = Store::open(&scene.database).await.unwrap();
    resync_mark_told(&mut store.pool.acquire().await.unwrap(), 1).await.unwrap();
    store.pool.close().await;
    scene.desk.keep_database(&scene.database).unwrap();
    std::fs::write(&scene.database, "no database at all, and long enough to be told from an empty one".repeat(100)).unwrap();
    std::fs::write(scene.desk.previous(), "0.1.0").unwrap();
    let mut order = scene.order();
    order.phase = Phase::PuttingBack(GoingBack::because("it was mute".to_owned()));
    scene.desk.write(&order).unwrap();
    scene.machine.state.borrow_mut().installed = Some(version("0.2.0"));
    scene.update().await.unwrap();
    let store = Store::open(&scene.database).await.unwrap();
    assert!(resync_is_told(&store.pool).await.unwrap());
}

#[tokio::test]
async fn a_worker_that_does_not_come_up_is_not_said_to_be_cut_off_from_the_bus() {
    let scene = Scene::with(Fault::None).await;
    let mut order = scene.order();
    order.phase = Phase::PuttingBack(GoingBack::because("it was mute".to_owned()));
    scene.desk.write(&order).unwrap();
    let desk = &scene.desk;
    let update = super::Update { desk, database: &scene.database, host: &scene.machine, order };
    scene.machine.state.borrow_mut().running = None;
    let words = |need| update.wait_for(&version("0.1.0"), need).unwrap_err().to_string();
    assert!(words(super::Need::Run).contains("did not come up within two minutes"));
    assert!(words(super::Need::Answer).contains("did not reach the bus in good health within two minutes"));
}
