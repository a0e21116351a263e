//! Plans of jobs, all of a batch from one look at the host.

use std::collections::BTreeSet;
use std::sync::Arc;

use shared::jobs::{Job, JobEnvelope, ResourceKey};

use shared::record::PlannedAction;

use super::record::describe;
use super::{PlanError, Readiness, readiness};
use crate::engine::facts::{Facts, View};
use crate::engine::parallel::side_by_side;
use crate::engine::plan::Plan;
use crate::engine::{Engine, Unsealer, blocking};
use crate::ledger::Rows;
use crate::roles::web;
use crate::store::StoreError;

/// Why there is no plan.
#[derive(Debug, thiserror::Error)]
pub enum Unplanned {
    /// The state cannot be planned.
    #[error(transparent)]
    Plan(#[from] PlanError),
    /// The worker's own memory failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// What would be done for a job: the preview, and the measure of drift.
///
/// # Errors
/// The state cannot be planned.
pub async fn plan(engine: &Engine, envelope: &JobEnvelope) -> Result<Plan, Unplanned> {
    let planned = plan_all(engine, vec![envelope.clone()], engine.ledger.rows()).await?;
    Ok(planned.into_iter().next().unwrap_or_else(|| Ok(Planned::default()))?.plan)
}

/// A plan, and the same in words.
#[derive(Debug, Default)]
pub(super) struct Planned {
    pub(super) plan: Plan,
    pub(super) words: Vec<PlannedAction>,
}

/// The plan of each job.
pub(super) async fn plan_all(
    engine: &Engine,
    envelopes: Vec<JobEnvelope>,
    rows: Arc<Rows>,
) -> Result<Vec<Result<Planned, PlanError>>, StoreError> {
    let (system, unsealer, threads) = (engine.system.clone(), engine.unsealer.clone(), engine.threads);
    let outsiders = engine.outsiders();
    blocking(move || {
        let jobs = envelopes.iter().chain(outsiders.iter().map(|outsider| &outsider.envelope));
        let view = View::new(system.as_ref(), &rows, touched(jobs, &rows));
        let mut plans: Vec<Option<Result<Planned, PlanError>>> = envelopes.iter().map(|_| None).collect();
        let work = envelopes.iter().zip(&mut plans).collect();
        side_by_side(threads, work, |(envelope, plan): (&JobEnvelope, &mut Option<_>)| {
            let planned = plan_one(envelope, view.facts(), &rows, unsealer.as_ref());
            *plan = Some(planned.map(|plan| Planned { words: describe(&plan, view.facts()), plan }));
        });
        plans.into_iter().flatten().collect()
    })
    .await
}

/// The resources that may change: those of the jobs, and what goes with an account.
fn touched<'a>(jobs: impl Iterator<Item = &'a JobEnvelope>, rows: &Rows) -> BTreeSet<ResourceKey> {
    let mut touched = BTreeSet::new();
    for envelope in jobs {
        touched.insert(envelope.resource);
        if let Job::Account(spec) = &envelope.job {
            touched.extend(rows.applied_of_user(&spec.user).map(|(key, _, _)| key));
        }
    }
    touched
}

fn plan_one(envelope: &JobEnvelope, facts: Facts<'_>, rows: &Rows, unsealer: &dyn Unsealer) -> Result<Plan, PlanError> {
    match readiness(rows, envelope) {
        Readiness::Ready => {}
        Readiness::Waiting(requirement) | Readiness::Failed(requirement) => {
            let what = format!("{} of generation {}", requirement.resource, requirement.generation);
            return Err(PlanError::Missing(what));
        }
    }
    match &envelope.job {
        Job::Account(spec) => {
            let password = spec.sftp.password.as_ref().map(|sealed| unsealer.unseal(sealed)).transpose()?;
            web::account::plan(spec, password.as_ref(), envelope.generation, facts)
        }
        Job::PhpPool(spec) => web::php_pool::plan(spec, facts),
        Job::Site(spec) => web::site::plan(envelope.resource, spec, envelope.generation, facts),
        Job::Worker(_) => Err(PlanError::OfTheWorker),
    }
}
