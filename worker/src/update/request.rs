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
#[derive(Debug, PartialEq)]
pub(crate) enum Standing {
    /// It goes on.
    UnderWay(Vec<StepReport>),
    /// It is over.
    Ended(Verdict, Vec<StepReport>),
}

/// An update that ends before anything was ordered.
struct Refusal {
    step: &'static str,
    code: FailureCode,
    detail: String,
}

impl Updates {
    /// Carries the job out, or looks how far it has come. To be called again until it is over.
    ///
    /// # Errors
    /// The thread of a call into the system panicked.
    pub(crate) async fn carry_out(
        &self,
        system: &Arc<dyn System>,
        envelope: &JobEnvelope,
        spec: &WorkerSpec,
        tell: &mut (dyn FnMut(Vec<StepReport>) + Send),
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
        let mut steps = steps();
        match self.order(system, envelope, spec, &mut steps, tell).await? {
            Ok(()) => Ok(Standing::UnderWay(steps)),
            Err(Refusal { step, code, detail }) => {
                advance(&mut steps, step, StepState::Failed, None);
                Ok(Standing::Ended(Verdict::Failed { code, effect: Effect::NothingChanged, detail: cut(detail, 4096) }, steps))
            }
        }
    }

    async fn order(
        &self,
        system: &Arc<dyn System>,
        envelope: &JobEnvelope,
        spec: &WorkerSpec,
        steps: &mut Vec<StepReport>,
        tell: &mut (dyn FnMut(Vec<StepReport>) + Send),
    ) -> Result<Result<(), Refusal>, StoreError> {
        let release = match self.checked(spec) {
            Ok(release) => release,
            Err(detail) => return Ok(Err(Refusal { step: CHECK, code: FailureCode::UpdateRefused, detail })),
        };
        let failed = |step, detail| Ok(Err(Refusal { step, code: FailureCode::UpdateFailed, detail }));
        advance(steps, CHECK, StepState::Done, Some(0));
        advance(steps, FETCH, StepState::Running, None);
        tell(steps.clone());
        if let Err(error) = self.desk.clear(Path::new("/proc/self/exe")) {
            return failed(FETCH, chain(&error));
        }
        let began = Instant::now();
        if let Err(error) = fetch(spec, release, &self.desk.package()).await {
            return failed(FETCH, chain(&error));
        }
        advance(steps, FETCH, StepState::Done, u32::try_from(began.elapsed().as_millis()).ok());
        advance(steps, INSTALL, StepState::Running, None);
        tell(steps.clone());
        let order = Order {
            job: envelope.id,
            attempt: envelope.attempt,
            from: self.version.clone(),
            to: spec.version.clone(),
            sha256: release.sha256.clone(),
            steps: steps.clone(),
            phase: Phase::Installing,
        };
        if let Err(error) = self.desk.write(&order) {
            return failed(INSTALL, chain(&error));
        }
        tracing::info!(from = %order.from, to = %order.to, "an update of this worker is ordered");
        if let Err(error) = start_updater(system).await? {
            // Nobody has begun: without its order nobody will.
            if let Err(error) = self.desk.leave() {
                tracing::error!(error = chain(&error), "the order of an update could not be taken back");
            }
            return failed(INSTALL, chain(&error));
        }
        Ok(Ok(()))
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
    use shared::jobs::{WorkerPackage, WorkerSpec};
    use shared::names::Architecture;
    use shared::release::ReleaseSignature;

    use super::super::order::Desk;
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

    #[test]
    fn a_worker_that_has_pinned_no_key_installs_nothing() {
        let Scene { updates, pinned, _directory } = scene();
        std::fs::remove_file(&updates.release_keys).unwrap();
        let why = updates.checked(&spec("0.3.0", Architecture::own().unwrap(), Some(&pinned))).unwrap_err();
        assert!(why.contains("no release key is pinned"), "{why}");
    }
}
