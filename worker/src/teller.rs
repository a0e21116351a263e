//! Says how the steps of a batch's jobs stand: progress, which nobody waits for.

use shared::events::{Progress, StepReport};
use shared::jobs::JobEnvelope;

use crate::run::Worker;
use crate::store::now_ms;

/// Sends each change of the jobs' steps; what the bus cannot take in time is dropped.
pub(crate) struct Teller<'a> {
    worker: &'a Worker,
    jobs: &'a [JobEnvelope],
    sequences: Vec<u32>,
}

impl<'a> Teller<'a> {
    pub(crate) fn new(worker: &'a Worker, jobs: &'a [JobEnvelope]) -> Self {
        Self { worker, jobs, sequences: jobs.iter().map(|_| 0).collect() }
    }

    pub(crate) fn tell(&mut self, job: usize, steps: Vec<StepReport>, blocked: Option<String>) {
        let envelope = &self.jobs[job];
        // Counted in hundredths of a second of the job's life, so that it goes on counting when the job is begun again, by this
        // process or by the next.
        let age = u32::try_from((now_ms() - envelope.id.made_ms()) / 10).unwrap_or(0);
        self.sequences[job] = age.max(self.sequences[job] + 1);
        let _ = self.worker.progress.try_send(Progress {
            server: envelope.server.clone(),
            job: envelope.id,
            operation: envelope.operation,
            attempt: envelope.attempt,
            sequence: self.sequences[job],
            steps,
            blocked: blocked.map(|said| crate::system::cut(said, 4096)),
        });
    }
}
