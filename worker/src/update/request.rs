//! The running worker's part: refuse, or fetch and order; then tell how it ended.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Instant;

use shared::events::{Outcome, StepReport, StepState, Verdict};
use shared::failure::{Effect, FailureCode};
use shared::jobs::{JobEnvelope, WorkerSpec};
use shared::names::{Architecture, PackageVersion};
use shared::release::{Release, release_keys};

use super::fetch::fetch;
use super::order::{Desk, Order, Phase};
use super::{CHECK, FETCH, INSTALL, UPDATE_UNIT, advance, steps};
use crate::engine::blocking;
use crate::engine::error::chain;
use crate::engine::image::UnitState;
use crate::store::{StoreError, now_ms};
use crate::system::{System, SystemError, cut};

/// What a worker needs to update itself.
pub(crate) struct Updates {
    /// The version that runs.
    pub(crate) version: PackageVersion,
    /// The public halves of the release keys.
    pub(crate) release_keys: PathBuf,
    /// The files of an update.
    pub(crate) desk: Desk,
}

/// How an update stands.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Standing {
    /// The package is to be fetched, and then ordered.
    ToFetch,
    /// It goes on.
    UnderWay(Vec<StepReport>),
    /// It is over.
    Ended(Verdict, Vec<StepReport>),
}

/// The steps of an update whose package is here; or how it has ended.
pub(crate) type Fetched = Result<Vec<StepReport>, Standing>;

/// An update that ends before anything was ordered.
fn refused(mut steps: Vec<StepReport>, step: &str, code: FailureCode, detail: String) -> Standing {
    advance(&mut steps, step, StepState::Failed, None);
    Standing::Ended(Verdict::Failed { code, effect: Effect::NothingChanged, detail: cut(detail, 4096) }, steps)
}

impl Updates {
    /// How the update stands that a job wants. To be asked again until it is over.
    ///
    /// # Errors
    /// The thread of a call into the system panicked.
    pub(crate) async fn standing(
        &self,
        system: &Arc<dyn System>,
        envelope: &JobEnvelope,
        spec: &WorkerSpec,
    ) -> Result<Standing, StoreError> {
        match self.desk.order() {
            Ok(Some(order)) if order.job == envelope.id && order.attempt == envelope.attempt => return watch(system, order).await,
            Ok(_) => {}
            // Nothing can be said of how far it has come: the package that is installed says what is true.
            Err(error) => tracing::error!(error = chain(&error), "the order of an update cannot be read; beginning anew"),
        }
        if spec.version == self.version {
            return Ok(Standing::Ended(Verdict::Applied, Vec::new()));
        }
        Ok(match self.checked(spec) {
            Ok(_) => Standing::ToFetch,
            Err(detail) => refused(steps(), CHECK, FailureCode::UpdateRefused, detail),
        })
    }

    /// Whether an update has been ordered and is not over: what comes now would be lost if the old database were put back.
    pub(crate) fn are_under_way(&self) -> bool {
        matches!(self.desk.order(), Ok(Some(Order { phase: Phase::Installing | Phase::PuttingBack(_), .. })))
    }

    /// The update that has started this worker and waits until it is well, if one does.
    pub(crate) fn awaited(&self) -> Option<Order> {
        let order = self.desk.order().ok().flatten()?;
        (order.phase == Phase::Installing && order.to == self.version).then_some(order)
    }

    /// Starts an updater again that was cut off, also if the job that wanted it is not here any more.
    ///
    /// # Errors
    /// The thread of a call into the system panicked.
    pub(crate) async fn revive(&self, system: &Arc<dyn System>) -> Result<(), StoreError> {
        if let Ok(Some(order)) = self.desk.order() {
            watch(system, order).await?;
        }
        Ok(())
    }

    /// Fetches the package. Other jobs may go on meanwhile.
    pub(crate) async fn fetch(&self, spec: &WorkerSpec, tell: &mut (dyn FnMut(Vec<StepReport>) + Send)) -> Fetched {
        let mut steps = steps();
        let release = match self.checked(spec) {
            Ok(release) => release,
            Err(detail) => return Err(refused(steps, CHECK, FailureCode::UpdateRefused, detail)),
        };
        advance(&mut steps, CHECK, StepState::Done, Some(0));
        advance(&mut steps, FETCH, StepState::Running, None);
        tell(steps.clone());
        if let Err(error) = self.desk.clear(Path::new("/proc/self/exe")) {
            return Err(refused(steps, FETCH, FailureCode::UpdateFailed, chain(&error)));
        }
        let began = Instant::now();
        if let Err(error) = fetch(spec, release, &self.desk.package()).await {
            return Err(refused(steps, FETCH, FailureCode::UpdateFailed, chain(&error)));
        }
        advance(&mut steps, FETCH, StepState::Done, u32::try_from(began.elapsed().as_millis()).ok());
        Ok(steps)
    }

    /// Orders what was fetched. **From here on no other job is begun.**
    ///
    /// # Errors
    /// The thread of a call into the system panicked.
    pub(crate) async fn order(
        &self,
        system: &Arc<dyn System>,
        envelope: &JobEnvelope,
        spec: &WorkerSpec,
        mut steps: Vec<StepReport>,
    ) -> Result<Standing, StoreError> {
        let release = match self.checked(spec) {
            Ok(release) => release,
            Err(detail) => return Ok(refused(steps, CHECK, FailureCode::UpdateRefused, detail)),
        };
        advance(&mut steps, INSTALL, StepState::Running, None);
        let looked = Arc::clone(system);
        let health = blocking(move || looked.role_health()).await?;
        let order = Order {
            job: envelope.id,
            attempt: envelope.attempt,
            from: self.version.clone(),
            to: spec.version.clone(),
            sha256: release.sha256.clone(),
            well: health.into_iter().filter(|role| role.healthy).map(|role| role.role).collect(),
            steps,
            phase: Phase::Installing,
        };
        if let Err(error) = self.desk.write(&order) {
            return Ok(refused(order.steps, INSTALL, FailureCode::UpdateFailed, chain(&error)));
        }
        tracing::info!(from = %order.from, to = %order.to, "an update of this worker is ordered");
        if let Err(error) = start_updater(system).await? {
            // Nobody has begun: without its order nobody will.
            if let Err(error) = self.desk.leave() {
                tracing::error!(error = chain(&error), "the order of an update could not be taken back");
            }
            return Ok(refused(order.steps, INSTALL, FailureCode::UpdateFailed, chain(&error)));
        }
        Ok(Standing::UnderWay(order.steps))
    }

    /// The package for this machine, if it may be installed; otherwise why not.
    fn checked<'a>(&self, spec: &'a WorkerSpec) -> Result<Release<'a>, String> {
        if spec.version < self.version {
            return Err(format!("version {} is older than {}, which is installed; a worker never goes back", spec.version, self.version));
        }
        let own = Architecture::own().map_err(|error| error.to_string())?;
        let (release, signature) = spec.release_for(&own).ok_or_else(|| format!("there is no package for {own}"))?;
        let signature = signature.ok_or_else(|| format!("{} is not signed", release.file()))?;
        let keys = std::fs::read_to_string(&self.release_keys).map_err(|error| format!("no release key is pinned: {error}"))?;
        let keys = release_keys(&keys).map_err(|error| format!("{}: {error}", self.release_keys.display()))?;
        if release.is_signed(&keys, signature) {
            return Ok(release);
        }
        tracing::error!(package = release.file(), "SECURITY: a package that no pinned release key has signed was refused");
        Err(format!("none of the {} release keys that this worker has pinned has signed {}", keys.len(), release.file()))
    }

    /// Puts the desk in order after an update was told.
    pub(crate) fn forget(&self) {
        if let Err(error) = self.desk.leave() {
            tracing::warn!(error = chain(&error), "the files of an update could not be removed");
        }
    }
}

/// How far an order has come. An updater that was cut off is started again.
async fn watch(system: &Arc<dyn System>, order: Order) -> Result<Standing, StoreError> {
    if let Phase::Ended { verdict } = order.phase {
        return Ok(Standing::Ended(verdict, order.steps));
    }
    let looked = Arc::clone(system);
    let running = blocking(move || looked.units(&[UPDATE_UNIT])).await?;
    if running.is_ok_and(|states| states == [UnitState::Inactive])
        && let Err(error) = start_updater(system).await?
    {
        tracing::error!(error = chain(&error), "the updater could not be started; trying again");
    }
    Ok(Standing::UnderWay(order.steps))
}

async fn start_updater(system: &Arc<dyn System>) -> Result<Result<(), SystemError>, StoreError> {
    let system = Arc::clone(system);
    blocking(move || system.start_units(&[UPDATE_UNIT])).await
}

/// The outcome of an update that is over.
pub(crate) fn report(envelope: &JobEnvelope, verdict: Verdict, steps: Vec<StepReport>) -> Outcome {
    let took: i64 = steps.iter().filter_map(|step| step.ms).map(i64::from).sum();
    let now = now_ms();
    Outcome {
        record: None,
        job: envelope.id,
        operation: envelope.operation,
        resource: envelope.resource,
        generation: envelope.generation,
        attempt: envelope.attempt,
        verdict,
        steps,
        started_ms: now - took,
        finished_ms: now,
    }
}

#[cfg(test)]
mod tests {
    use data_encoding::BASE64;
    use ring::signature::{Ed25519KeyPair, KeyPair};
    use shared::events::{RoleHealth, Verdict};
    use shared::ids::JobId;
    use shared::jobs::{WorkerPackage, WorkerSpec};
    use shared::names::Architecture;
    use shared::release::ReleaseSignature;
    use shared::role::Role;

    use super::super::order::{Desk, GoingBack, Order, Phase};
    use super::Updates;

    struct Scene {
        _directory: tempfile::TempDir,
        updates: Updates,
        pinned: Ed25519KeyPair,
    }

    /// A worker of version 0.2.0 that has pinned one key.
    fn scene() -> Scene {
        let directory = tempfile::TempDir::new().unwrap();
        let pinned = Ed25519KeyPair::from_seed_unchecked(&[1; 32]).unwrap();
        let release_keys = directory.path().join("release-keys");
        std::fs::write(&release_keys, BASE64.encode(pinned.public_key().as_ref())).unwrap();
        let updates = Updates { version: "0.2.0".parse().unwrap(), release_keys, desk: Desk::within(directory.path()) };
        Scene { _directory: directory, updates, pinned }
    }

    fn spec(version: &str, architecture: Architecture, signer: Option<&Ed25519KeyPair>) -> WorkerSpec {
        let package = WorkerPackage { architecture: architecture.clone(), sha256: "0a".repeat(32).parse().unwrap(), signature: None };
        let (panel, fingerprint) = ("https://panel.example".to_owned(), String::new());
        let mut spec = WorkerSpec { version: version.parse().unwrap(), packages: vec![package], panel, fingerprint };
        let statement = spec.release_for(&architecture).unwrap().0.statement();
        let sign = |key: &Ed25519KeyPair| BASE64.encode(key.sign(statement.as_bytes()).as_ref()).parse::<ReleaseSignature>().unwrap();
        spec.packages[0].signature = signer.map(sign);
        spec
    }

    #[test]
    fn only_a_newer_package_for_this_machine_that_a_pinned_key_has_signed_is_installed() {
        let Scene { updates, pinned, _directory } = scene();
        let own = Architecture::own().unwrap();
        let stranger = Ed25519KeyPair::from_seed_unchecked(&[2; 32]).unwrap();
        assert!(updates.checked(&spec("0.3.0", own.clone(), Some(&pinned))).is_ok());
        let mut renamed = spec("0.3.0", own.clone(), Some(&pinned));
        renamed.version = "0.4.0".parse().unwrap();
        for (refused, says) in [
            (spec("0.1.9", own.clone(), Some(&pinned)), "a worker never goes back"),
            (spec("0.3.0", own.clone(), None), "is not signed"),
            (spec("0.3.0", own, Some(&stranger)), "has signed gantry-worker_0.3.0_"),
            (spec("0.3.0", "m68k".parse().unwrap(), Some(&pinned)), "there is no package for"),
            (renamed, "has signed gantry-worker_0.4.0_"),
        ] {
            let why = updates.checked(&refused).unwrap_err();
            assert!(why.contains(says), "{why}");
        }
    }

    /// An update that has been ordered, while these roles were well.
    fn order(well: Vec<Role>) -> Order {
        Order {
            job: JobId::new(),
            attempt: 1,
            from: "0.1.0".parse().unwrap(),
            to: "0.2.0".parse().unwrap(),
            sha256: "0a".repeat(32).parse().unwrap(),
            well,
            steps: Vec::new(),
            phase: Phase::Installing,
        }
    }

    #[test]
    fn from_its_order_to_its_end_an_update_is_under_way() {
        let Scene { updates, pinned: _pinned, _directory } = scene();
        assert!(!updates.are_under_way());
        updates.desk.clear(std::path::Path::new("/bin/true")).unwrap();
        assert!(!updates.are_under_way(), "the package is being fetched");
        let mut order = order(Vec::new());
        let back = Phase::PuttingBack(GoingBack::because("it was mute".to_owned()));
        for (phase, under_way) in [(Phase::Installing, true), (back, true), (Phase::Ended { verdict: Verdict::Applied }, false)] {
            order.phase = phase;
            updates.desk.write(&order).unwrap();
            assert_eq!(updates.are_under_way(), under_way, "{:?}", order.phase);
        }
    }

    #[test]
    fn only_the_worker_that_an_update_has_installed_is_waited_for() {
        let Scene { mut updates, pinned: _pinned, _directory } = scene();
        assert!(updates.awaited().is_none(), "nobody has ordered anything");
        updates.desk.clear(std::path::Path::new("/bin/true")).unwrap();
        let mut order = order(Vec::new());
        updates.desk.write(&order).unwrap();
        assert_eq!(updates.awaited().as_ref(), Some(&order));
        updates.version = order.from.clone();
        assert!(updates.awaited().is_none(), "the old one, until it is stopped");
        updates.version = order.to.clone();
        order.phase = Phase::Ended { verdict: Verdict::Applied };
        updates.desk.write(&order).unwrap();
        assert!(updates.awaited().is_none());
    }

    #[test]
    fn a_role_that_was_well_when_an_update_was_ordered_has_to_be_well_afterwards() {
        let health = |role, healthy| RoleHealth { role, healthy, summary: String::new() };
        let order = order(vec![Role::Web, Role::Db]);
        assert_eq!(order.lost_roles(&[health(Role::Web, true), health(Role::Db, true), health(Role::Mail, false)]), []);
        assert_eq!(order.lost_roles(&[health(Role::Web, false), health(Role::Db, true)]), [Role::Web]);
        assert_eq!(order.lost_roles(&[health(Role::Web, true)]), [Role::Db], "nothing is said of it any more");
    }

    #[test]
    fn a_worker_that_has_pinned_no_key_installs_nothing() {
        let Scene { updates, pinned, _directory } = scene();
        std::fs::remove_file(&updates.release_keys).unwrap();
        let why = updates.checked(&spec("0.3.0", Architecture::own().unwrap(), Some(&pinned))).unwrap_err();
        assert!(why.contains("no release key is pinned"), "{why}");
    }
}
