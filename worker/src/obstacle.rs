//! Jobs that wait until a configuration broken by somebody's hand is mended.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use shared::events::StepReport;
use shared::ids::JobId;
use shared::jobs::JobEnvelope;

use crate::engine::blocking;
use crate::engine::check::plain;
use crate::run::Worker;
use crate::store::StoreError;
use crate::system::LiveTest;
use crate::teller::Teller;

/// A broken configuration is looked at this often, and not so often that the looking costs more than a twentieth of the time.
const LOOK_AGAIN: Duration = Duration::from_secs(2);
const LOOK_SHARE: u32 = 20;
/// The panel is told again after this.
const TELL_AGAIN: Duration = Duration::from_secs(15);

/// A job that cannot go on, what nginx says of it, and its steps.
pub(crate) type Blocked = (String, JobEnvelope, Vec<StepReport>);

/// A configuration that nginx refuses, and the jobs that wait until it is mended.
pub(crate) struct Obstacle {
    /// What nginx says.
    said: String,
    jobs: HashMap<JobId, (JobEnvelope, Vec<StepReport>)>,
    /// The next look.
    look_at: Instant,
    /// When the panel was last told; progress may be lost.
    told_at: Instant,
}

impl Obstacle {
    /// Jobs have met it: they wait, and the panel is told.
    pub(crate) fn meet(obstacle: &mut Option<Self>, worker: &Worker, blocked: Vec<Blocked>) {
        for (said, envelope, steps) in blocked {
            Teller::new(worker, std::slice::from_ref(&envelope)).tell(0, steps.clone(), Some(said.clone()));
            let met = obstacle.get_or_insert_with(|| {
                tracing::error!(detail = said, "nginx's configuration has been broken by hand; jobs wait until it is mended");
                let now = Instant::now();
                Self { said: said.clone(), jobs: HashMap::new(), look_at: now + LOOK_AGAIN, told_at: now }
            });
            met.jobs.insert(envelope.id, (envelope, steps));
            met.said = said;
        }
    }

    /// The jobs that wait.
    pub(crate) fn jobs(&self) -> impl Iterator<Item = JobId> {
        self.jobs.keys().copied()
    }

    /// How long until the next look.
    pub(crate) fn next_look(&self) -> Duration {
        self.look_at.saturating_duration_since(Instant::now())
    }

    /// Once in a while: is it mended? Then what waits for it goes on by itself.
    ///
    /// # Errors
    /// The thread that looks ends without a result.
    pub(crate) async fn look(met: &mut Option<Self>, worker: &Worker) -> Result<(), StoreError> {
        let Some(obstacle) = met else { return Ok(()) };
        let began = Instant::now();
        if began < obstacle.look_at {
            return Ok(());
        }
        let system = worker.engine.system().clone();
        let test = blocking(move || system.test_nginx(&[], LiveTest::Never)).await?;
        obstacle.look_at = Instant::now() + (began.elapsed() * LOOK_SHARE).max(LOOK_AGAIN);
        let said = match test {
            Ok(test) if test.candidate.accepted => {
                tracing::info!(jobs = obstacle.jobs.len(), "nginx's configuration has been mended; jobs go on");
                *met = None;
                return Ok(());
            }
            Ok(test) => plain(&test.candidate.output),
            Err(error) => {
                tracing::warn!(error = %error, "nginx's configuration could not be tested");
                return Ok(());
            }
        };
        if said != obstacle.said || obstacle.told_at.elapsed() >= TELL_AGAIN {
            (obstacle.said, obstacle.told_at) = (said.clone(), Instant::now());
            for (envelope, steps) in obstacle.jobs.values() {
                Teller::new(worker, std::slice::from_ref(envelope)).tell(0, steps.clone(), Some(said.clone()));
            }
        }
        Ok(())
    }
}
