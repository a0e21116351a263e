//! Plans of jobs, all of a batch from one look at the host; and what plans are shown as: drift, and previews.

use std::collections::BTreeSet;
use std::sync::Arc;

use shared::difference::Difference;
use shared::jobs::{Generation, Job, JobEnvelope, ResourceKey};
use shared::live_read::{Planned, Proposal, Refused};
use shared::record::PlannedAction;

use super::record::{describe, proposed};
use super::{PlanError, Readiness, readiness};
use crate::engine::difference::{differences, fact};
use crate::engine::error::chain;
use crate::engine::facts::{Facts, View};
use crate::engine::parallel::side_by_side;
use crate::engine::plan::{Action, Plan};
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

/// What would be done for a job.
///
/// # Errors
/// The state cannot be planned.
pub async fn plan(engine: &Engine, envelope: &JobEnvelope) -> Result<Plan, Unplanned> {
    let planned = plan_all(engine, vec![envelope.clone()], engine.ledger.rows()).await?;
    Ok(planned.into_iter().next().unwrap_or_else(|| Ok(Worded::default()))?.plan)
}

/// A plan, and the same in words.
#[derive(Debug, Default)]
pub(super) struct Worded {
    pub(super) plan: Plan,
    pub(super) words: Vec<PlannedAction>,
}

/// The plan of each job.
pub(super) async fn plan_all(
    engine: &Engine,
    envelopes: Vec<JobEnvelope>,
    rows: Arc<Rows>,
) -> Result<Vec<Result<Worded, PlanError>>, StoreError> {
    let (system, unsealer, threads) = (engine.system.clone(), engine.unsealer.clone(), engine.threads);
    let outsiders = engine.outsiders();
    blocking(move || {
        let jobs = envelopes.iter().chain(outsiders.iter().map(|outsider| &outsider.envelope));
        let view = View::new(system.as_ref(), &rows, touched(jobs, &rows));
        let mut plans: Vec<Option<Result<Worded, PlanError>>> = envelopes.iter().map(|_| None).collect();
        let work = envelopes.iter().zip(&mut plans).collect();
        side_by_side(threads, work, |(envelope, plan): (&JobEnvelope, &mut Option<_>)| {
            let planned = plan_one(envelope, view.facts(), &rows, unsealer.as_ref());
            *plan = Some(planned.map(|plan| Worded { words: describe(&plan, view.facts()), plan }));
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
        Readiness::Ready => plan_state(envelope.resource, envelope.generation, &envelope.job, facts, unsealer),
        Readiness::Waiting(requirement) | Readiness::Failed(requirement) => {
            let what = format!("{} of generation {}", requirement.resource, requirement.generation);
            Err(PlanError::Missing(what))
        }
    }
}

/// An exhaustive table of which role plans which state.
fn plan_state(
    resource: ResourceKey,
    generation: Generation,
    job: &Job,
    facts: Facts<'_>,
    unsealer: &dyn Unsealer,
) -> Result<Plan, PlanError> {
    match job {
        Job::Account(spec) => {
            let password = spec.sftp.password.as_ref().map(|sealed| unsealer.unseal(sealed)).transpose()?;
            web::account::plan(spec, password.as_ref(), generation, facts)
        }
        Job::PhpPool(spec) => web::php_pool::plan(spec, facts),
        Job::Site(spec) => web::site::plan(resource, spec, generation, facts),
        Job::Worker(_) => Err(PlanError::OfTheWorker),
    }
}

/// What looking at a resource came to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Compared {
    /// The host is as applied.
    Same,
    /// It is not.
    Different(Vec<Difference>),
    /// It could not be compared: the host could not be asked, its account is not there, which is the account's to say, or a job
    /// under way touches it.
    Unknown,
}

/// Compares the host with what was applied of resources, from one look. What was deleted is not compared: the names it had
/// may be somebody else's now. Nor is what a job under way touches. Starts no program, and changes nothing.
///
/// # Errors
/// The thread that looks ends without a result.
pub async fn compare(engine: &Engine, resources: Vec<ResourceKey>) -> Result<Vec<(ResourceKey, Generation, Compared)>, StoreError> {
    let (system, unsealer, threads, rows) = (engine.system.clone(), engine.unsealer.clone(), engine.threads, engine.ledger.rows());
    let outsiders = engine.outsiders();
    blocking(move || {
        let under_way = touched(outsiders.iter().map(|outsider| &outsider.envelope), &rows);
        let view = View::of_all(system.as_ref(), &rows);
        let applied = resources.iter().filter_map(|key| {
            let (generation, job) = rows.get(*key)?.applied.as_ref().filter(|(_, job)| !job.is_deletion())?;
            Some((*key, *generation, job.as_ref()))
        });
        let applied: Vec<(ResourceKey, Generation, &Job)> = applied.collect();
        let mut compared: Vec<Compared> = applied.iter().map(|_| Compared::Unknown).collect();
        let work = applied.iter().zip(&mut compared).collect();
        side_by_side(threads, work, |((key, generation, job), compared): (&(ResourceKey, Generation, &Job), &mut Compared)| {
            if under_way.contains(key) {
                return;
            }
            let planned = plan_state(*key, *generation, job, view.facts(), unsealer.as_ref());
            *compared = match planned.or_else(|error| without_password(error, job, *generation, view.facts())) {
                Ok(plan) if plan.is_empty() => Compared::Same,
                Ok(plan) => Compared::Different(differences(&plan, system.as_ref())),
                Err(error) if error.is_of_the_host() => Compared::Different(vec![fact(format!("{}.", chain(&error)))]),
                Err(error) => {
                    tracing::debug!(job.resource = %key, error = chain(&error), "a resource could not be compared");
                    Compared::Unknown
                }
            };
        });
        applied.iter().map(|(key, generation, _)| (*key, *generation)).zip(compared).map(|((key, at), found)| (key, at, found)).collect()
    })
    .await
}

/// What cannot be opened any more, since the worker has joined again with a new key, is left out: of such an account everything but
/// the password is compared.
fn without_password(error: PlanError, job: &Job, generation: Generation, facts: Facts<'_>) -> Result<Plan, PlanError> {
    let (PlanError::Unseal(_), Job::Account(spec)) = (&error, job) else { return Err(error) };
    tracing::debug!(account.name = %spec.user, error = chain(&error), "an account is compared without its password");
    let mut plan = web::account::plan(spec, None, generation, facts)?;
    plan.steps.retain(|step| !matches!(step.action, Action::SetPassword { .. }));
    Ok(plan)
}

/// What states would change if they were applied to the host as it is. Changes nothing.
///
/// # Errors
/// The thread that plans ends without a result.
pub async fn propose(engine: &Engine, proposals: Vec<Proposal>) -> Result<Vec<Planned>, StoreError> {
    // A batch under way would be seen half done.
    let _turn = engine.turn.lock().await;
    let (system, unsealer, rows) = (engine.system.clone(), engine.unsealer.clone(), engine.ledger.rows());
    blocking(move || {
        let view = View::new(system.as_ref(), &rows, proposals.iter().map(|proposal| proposal.resource).collect());
        let comparing = View::of_all(system.as_ref(), &rows);
        let plan_of = |resource, generation, job: &Job, facts| plan_state(resource, generation, job, facts, unsealer.as_ref());
        let by_hand = |resource| {
            let applied = rows.get(resource).and_then(|row| row.applied.as_ref()).filter(|(_, job)| !job.is_deletion());
            applied.is_some_and(|(generation, job)| match plan_of(resource, *generation, job, comparing.facts()) {
                Ok(plan) => !plan.is_empty(),
                Err(error) => error.is_of_the_host(),
            })
        };
        let planned = |Proposal { resource, generation, job }: Proposal| match plan_of(resource, generation, &job, view.facts()) {
            Ok(plan) => Planned { resource, differences: proposed(&plan, view.facts()), by_hand: by_hand(resource), refused: None },
            Err(error) => {
                let refused = Refused { code: error.code(), detail: crate::system::cut(chain(&error), 4096) };
                Planned { resource, differences: Vec::new(), by_hand: false, refused: Some(refused) }
            }
        };
        proposals.into_iter().map(planned).collect()
    })
    .await
}
