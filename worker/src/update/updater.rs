//! `gantry-worker update`: carries an order out. It runs as a copy of the old worker, in a unit of its own.

use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::time::Instant;

use data_encoding::HEXLOWER;
use sha2::{Digest, Sha256};
use shared::events::{StepState, Verdict};
use shared::failure::{Effect, FailureCode};
use shared::names::PackageVersion;

use super::order::{Desk, GoingBack, Order, Phase};
use super::{ANSWER, INSTALL, PUT_BACK, advance};
use crate::engine::error::chain;
use crate::store::{Store, StoreError};
use crate::system::{Health, PackageHost, SystemError, cut};

/// What ends an updater, or an attempt of it.
#[derive(Debug, thiserror::Error)]
pub enum UpdateError {
    /// The host did not do as it was told.
    #[error(transparent)]
    System(#[from] SystemError),
    /// The updater's own files cannot be used.
    #[error("could not use the files of the update")]
    Files(#[from] io::Error),
    /// The package is another one than was ordered.
    #[error("{} is not the package that was ordered", .0.display())]
    Changed(PathBuf),
    /// The worker does not answer.
    #[error("worker {version} {how}{log}")]
    Silent {
        /// Which.
        version: PackageVersion,
        /// What it did instead.
        how: String,
        /// The end of its log.
        log: String,
    },
}

impl UpdateError {
    /// Whether the power is going: nothing more may be done.
    const fn is_cut(&self) -> bool {
        matches!(self, Self::System(SystemError::Interrupted))
    }
}

/// What a worker has to do to count as back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Need {
    /// Reach the bus, and leave its sign that it is well.
    Answer,
    /// Run: the bus may be away by now.
    Run,
}

/// How often the worker is looked at: two minutes in all.
const LOOKS: u32 = 240;
/// It must be well for so many looks in a row: five seconds.
const STEADY: u32 = 10;
/// One that was started again so often does not stay.
const RESTARTS: u32 = 5;

/// Carries out the order that lies on the desk, or what is left of it. Without one there is nothing to do.
///
/// # Errors
/// The desk cannot be used, or the power goes; the next start goes on.
pub async fn update(desk: &Desk, database: &Path, host: &dyn PackageHost) -> Result<(), UpdateError> {
    match desk.order()? {
        Some(order) => Update { desk, database, host, order }.run().await,
        None => Ok(()),
    }
}

struct Update<'a> {
    desk: &'a Desk,
    database: &'a Path,
    host: &'a dyn PackageHost,
    order: Order,
}

impl Update<'_> {
    async fn run(mut self) -> Result<(), UpdateError> {
        if self.order.phase == Phase::Installing {
            // What cannot be recorded is not begun. An earlier try may have stopped the worker.
            if let Err(error) = self.desk.write(&self.order) {
                self.host.start_worker()?;
                return Err(error.into());
            }
            self.order.phase = match self.install() {
                Ok(()) => Phase::Ended { verdict: Verdict::Applied },
                Err(error) if error.is_cut() => return Err(error),
                Err(error) => Phase::PuttingBack(GoingBack::because(cut(chain(&error), 3072))),
            };
        }
        if let Phase::PuttingBack(back) = self.order.phase.clone() {
            self.order.phase = Phase::Ended { verdict: self.put_back(back).await? };
        }
        Ok(self.desk.write(&self.order)?)
    }

    fn install(&mut self) -> Result<(), UpdateError> {
        self.timed(INSTALL, Self::install_package)?;
        self.timed(ANSWER, |update| {
            update.host.start_worker()?;
            update.wait_for(&update.order.to, Need::Answer)
        })
    }

    fn install_package(&mut self) -> Result<(), UpdateError> {
        let installed = self.host.installed()?;
        if installed.as_ref() == Some(&self.order.to) {
            return Ok(());
        }
        let package = self.desk.package();
        if sum(&package)? != self.order.sha256.as_str() {
            return Err(UpdateError::Changed(package));
        }
        if !self.desk.previous().exists() {
            self.host.keep(&self.desk.previous())?;
        }
        self.host.stop_worker()?;
        // As the old worker has left it. In mid-install the new one may have run.
        if installed.as_ref() == Some(&self.order.from) || !self.desk.has_database(self.database) {
            self.desk.keep_database(self.database)?;
        }
        Ok(self.host.install(&package)?)
    }

    /// Goes back, and says what that came to. **Whatever goes wrong, a worker is started.**
    async fn put_back(&mut self, back: GoingBack) -> Result<Verdict, UpdateError> {
        let reason = back.reason.clone();
        tracing::error!(reason, from = %self.order.to, to = %self.order.from, "an update failed; the old worker is put back");
        let failed = |effect, detail| Ok(Verdict::Failed { code: FailureCode::UpdateFailed, effect, detail: cut(detail, 4096) });
        advance(&mut self.order.steps, PUT_BACK, StepState::Running, None);
        let began = Instant::now();
        let restored = self.restore(back).await;
        let ms = u32::try_from(began.elapsed().as_millis()).ok();
        let error = match restored {
            Ok(effect) => {
                advance(&mut self.order.steps, PUT_BACK, StepState::Done, ms);
                return failed(effect, reason);
            }
            Err(error) if error.is_cut() => return Err(error),
            Err(error) => error,
        };
        self.host.start_worker()?;
        match error {
            // A full disk, as a rule: systemd starts the updater again.
            UpdateError::Files(error) => Err(error.into()),
            error @ (UpdateError::System(_) | UpdateError::Changed(_) | UpdateError::Silent { .. }) => {
                advance(&mut self.order.steps, PUT_BACK, StepState::Failed, ms);
                failed(Effect::Partial, format!("{reason}\nGoing back failed too: {}", chain(&error)))
            }
        }
    }

    async fn restore(&mut self, mut back: GoingBack) -> Result<Effect, UpdateError> {
        let from = self.order.from.clone();
        let is_left = self.host.installed()?.as_ref() != Some(&from);
        back.was_left |= is_left;
        self.note(&back);
        // An old worker that runs has its package and its database.
        if is_left || back.database || !self.host.health()?.running {
            self.host.stop_worker()?;
            if is_left {
                self.host.put_back(&self.desk.previous())?;
            }
            self.restore_database(&mut back).await?;
            self.host.start_worker()?;
        }
        self.wait_for(&from, Need::Run)?;
        Ok(if back.was_left { Effect::RolledBack } else { Effect::NothingChanged })
    }

    /// Puts the database back if the old worker cannot use it, or if that has begun.
    async fn restore_database(&mut self, back: &mut GoingBack) -> Result<(), UpdateError> {
        if !back.database {
            match Store::check(self.database).await {
                Ok(()) => return Ok(()),
                Err(StoreError::Newer { .. }) => {}
                Err(error) if error.is_damage() && self.desk.has_database(self.database) => {}
                Err(error) => {
                    // The worker says so itself.
                    tracing::error!(error = chain(&error), "the worker's database cannot be opened");
                    return Ok(());
                }
            }
            back.database = true;
            self.order.phase = Phase::PuttingBack(back.clone());
            self.desk.write(&self.order)?;
        }
        self.desk.restore_database(self.database)?;
        back.database = false;
        self.note(back);
        Ok(())
    }

    /// Keeps how far going back has come. What cannot be kept is found out again.
    fn note(&mut self, back: &GoingBack) {
        self.order.phase = Phase::PuttingBack(back.clone());
        self.record();
    }

    fn record(&self) {
        if let Err(error) = self.desk.write(&self.order) {
            tracing::error!(error = chain(&error), "how far the update has come could not be recorded");
        }
    }

    fn wait_for(&self, version: &PackageVersion, need: Need) -> Result<(), UpdateError> {
        let mut steady = 0;
        let silent = |how: String| UpdateError::Silent { version: version.clone(), how, log: self.host.worker_log() };
        for _ in 0..LOOKS {
            let Health { running, answers, restarts } = self.host.health()?;
            if restarts >= RESTARTS {
                return Err(silent(format!("ended {restarts} times")));
            }
            let well = running && (need == Need::Run || answers.as_ref() == Some(version));
            steady = if well { steady + 1 } else { 0 };
            if steady >= STEADY {
                return Ok(());
            }
            self.host.pause();
        }
        let what = match need {
            Need::Answer => "reach the bus in good health",
            Need::Run => "come up",
        };
        Err(silent(format!("did not {what} within two minutes")))
    }

    /// Does a step, with the order's own record of it.
    fn timed(&mut self, name: &str, work: impl FnOnce(&mut Self) -> Result<(), UpdateError>) -> Result<(), UpdateError> {
        let began = Instant::now();
        advance(&mut self.order.steps, name, StepState::Running, None);
        self.record();
        let done = work(self);
        let state = if done.is_ok() { StepState::Done } else { StepState::Failed };
        advance(&mut self.order.steps, name, state, u32::try_from(began.elapsed().as_millis()).ok());
        done
    }
}

/// SHA-256 of a file in hexadecimal digits.
fn sum(path: &Path) -> io::Result<String> {
    let (mut file, mut hash, mut chunk) = (std::fs::File::open(path)?, Sha256::new(), vec![0; 64 * 1024]);
    loop {
        match file.read(&mut chunk)? {
            0 => return Ok(HEXLOWER.encode(&hash.finalize())),
            length => hash.update(&chunk[..length]),
        }
    }
}

#[cfg(test)]
mod tests;
