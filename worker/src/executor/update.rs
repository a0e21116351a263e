//! The job that is about the worker itself: its package is fetched beside other jobs, and from its order on nothing else is begun.

use std::time::Duration;

use futures::FutureExt;
use shared::ids::JobId;
use shared::jobs::{Job, JobEnvelope, WorkerSpec};

use super::{Executor, Word};
use crate::inbox::Turn;
use crate::store::StoreError;
use crate::teller::Teller;
use crate::update::report;
use crate::update::request::{Fetched, Standing};
use crate::verdict::log_end;

/// An update is looked at this often.
const UPDATE_PAUSE: Duration = Duration::from_secs(1);

/// The package of a newer worker, on its way.
pub(super) struct Download {
    job: (JobId, u32),
    /// `None` while it comes.
    fetched: Option<Fetched>,
}

/// Whether a job is about the worker itself.
pub(super) const fn is_update(turn: &Turn) -> bool {
    spec(&turn.envelope).is_some()
}

const fn spec(envelope: &JobEnvelope) -> Option<&WorkerSpec> {
    match &envelope.job {
        Job::Worker(spec) => Some(spec),
        Job::Account(_) | Job::PhpPool(_) | Job::Site(_) => None,
    }
}

impl Executor<'_> {
    /// Brings the first of the updates on its way, or looks how far it has come. If nothing else may be begun meanwhile, when to look
    /// again.
    pub(super) async fn update(&mut self, updates: Vec<Turn>) -> Result<Option<Duration>, StoreError> {
        let Some(Turn { envelope, .. }) = updates.into_iter().next() else { return Ok(None) };
        let Some(spec) = spec(&envelope) else { return Ok(None) };
        let (updates, system) = (&self.worker.updates, self.worker.engine.system());
        let standing = match updates.standing(system, &envelope, spec).await? {
            Standing::ToFetch => match self.fetched(&envelope, spec) {
                None => return Ok(None),
                // Nothing else is begun before it is known which worker goes on.
                Some(Ok(_)) if !self.under_way.is_empty() => return Ok(Some(UPDATE_PAUSE)),
                Some(Ok(steps)) => updates.order(system, &envelope, spec, steps).await?,
                Some(Err(standing)) => standing,
            },
            standing @ (Standing::UnderWay(_) | Standing::Ended(..)) => standing,
        };
        match standing {
            Standing::UnderWay(steps) => {
                Teller::new(self.worker, std::slice::from_ref(&envelope)).tell(0, steps, None);
                Ok(Some(UPDATE_PAUSE))
            }
            Standing::Ended(verdict, steps) => {
                let outcome = report(&envelope, verdict, steps);
                log_end(&envelope, &outcome);
                self.end(vec![outcome], Vec::new()).await?;
                self.download = None;
                updates.forget();
                Ok(Some(Duration::ZERO))
            }
            Standing::ToFetch => Ok(None),
        }
    }

    /// What has come of the package. If nobody fetches one, this one is fetched from now on.
    fn fetched(&mut self, envelope: &JobEnvelope, spec: &WorkerSpec) -> Option<Fetched> {
        let job = (envelope.id, envelope.attempt);
        match &self.download {
            Some(Download { fetched: None, .. }) => return None,
            Some(Download { job: other, fetched }) if *other == job => return fetched.clone(),
            Some(_) | None => {}
        }
        self.download = Some(Download { job, fetched: None });
        let (worker, news, shutdown) = (self.worker, self.news.clone(), self.shutdown.clone());
        let (envelope, spec) = (envelope.clone(), spec.clone());
        let fetch = async move {
            let mut teller = Teller::new(worker, std::slice::from_ref(&envelope));
            let mut tell = |steps| teller.tell(0, steps, None);
            tokio::select! {
                // The executor hears for as long as it works.
                fetched = worker.updates.fetch(&spec, &mut tell) => drop(news.send(Word::Fetched(fetched))),
                () = shutdown.cancelled() => {}
            }
        };
        drop(self.begin.send(fetch.boxed()));
        None
    }

    /// The package has come, or has not.
    pub(super) fn has_fetched(&mut self, fetched: Fetched) {
        if let Some(download) = &mut self.download {
            download.fetched = Some(fetched);
        }
    }
}
