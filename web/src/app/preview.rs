//! What a change would do, before it is made: the same request up to its commit, planned by the server's own worker.
//!
//! **Nothing of it is kept, and nothing on the server is changed.**

use std::collections::BTreeSet;
use std::future::Future;
use std::pin::Pin;

use futures::future::try_join_all;
use shared::ids::AccountId;
use shared::jobs::{Job, ResourceKey};
use shared::live_read::{About, Ask, MOST_PROPOSALS, Planned, Proposal, Says};
use shared::names::ServerName;

use super::unit::{Open, Proposed, Unit};
use super::{App, AppError};
use crate::store::drift::drift_keys_of_account;
use crate::store::server::server_fetch;

/// What a worker says, once it does; `None` if it does not answer.
pub type Saying<'a> = Pin<Box<dyn Future<Output = Option<Says>> + Send + 'a>>;

/// Who answers questions about servers at once, or not at all.
pub trait Workers: Send + Sync {
    /// Asks a server's worker.
    fn ask(&self, ask: Ask) -> Saying<'_>;
}

/// Nobody answers: for tests and for commands without a bus.
#[derive(Debug, Clone, Copy, Default)]
pub struct NoWorkers;

impl Workers for NoWorkers {
    fn ask(&self, _ask: Ask) -> Saying<'_> {
        Box::pin(std::future::ready(None))
    }
}

/// What a change would do.
#[derive(Debug, Clone)]
pub struct Preview {
    /// The server that would do it.
    pub server: ServerName,
    /// Each state with what it would change; `None` if the server did not say.
    pub parts: Option<Vec<Part>>,
    /// How many further states the request has: a server is asked about [`MOST_PROPOSALS`] at once.
    pub left_out: usize,
}

/// One state and what it would change.
#[derive(Debug, Clone)]
pub struct Part {
    /// The state.
    pub job: Job,
    /// What it would change.
    pub planned: Planned,
    /// Whether the resource has drifted: then the differences hold what somebody has changed by hand.
    pub drifted: bool,
}

/// Asks each server of a request what the request would change there, all of them at once.
pub(super) async fn preview_all(app: &App, proposed: Vec<Proposed>) -> Result<Vec<Preview>, AppError> {
    try_join_all(proposed.into_iter().map(|proposed| preview(app, proposed))).await
}

/// What an opened request would change. Nothing of it is kept.
pub(super) async fn preview_of(app: &App, opened: Result<(Unit<'_>, Open), AppError>) -> Result<Preview, AppError> {
    let (unit, open) = opened?;
    preview(app, unit.propose(open).await?).await
}

/// Asks a request's server what the request would change.
pub(super) async fn preview(app: &App, proposed: Proposed) -> Result<Preview, AppError> {
    let server = server_fetch(&app.db, proposed.server).await?.ok_or(AppError::NotFound)?.name;
    let accounts: BTreeSet<AccountId> = proposed.jobs.iter().map(|job| job.account_id).collect();
    let left_out = proposed.jobs.len().saturating_sub(MOST_PROPOSALS);
    let mut jobs = proposed.jobs;
    if left_out > 0 {
        // What the request is about is shown whatever is left out.
        jobs.sort_by_key(|job| !proposed.about.contains(&job.resource));
    }
    let jobs = jobs.into_iter().take(MOST_PROPOSALS);
    let proposals: Vec<Proposal> = jobs.map(|job| Proposal { resource: job.resource, generation: job.generation, job: job.job }).collect();
    let states: Vec<(ResourceKey, Job)> = proposals.iter().map(|proposal| (proposal.resource, proposal.job.clone())).collect();
    let ask = Ask { server: server.clone(), about: About::Plan { proposals } };
    let plans = match app.workers.ask(ask).await {
        Some(Says::Plans { plans }) if plans.len() == states.len() => plans,
        Some(Says::Plans { .. } | Says::Noted | Says::Unable) | None => return Ok(Preview { server, parts: None, left_out }),
    };
    // Asked afterwards, so that what was found meanwhile counts.
    let mut drifted = Vec::new();
    for account in accounts {
        drifted.extend(drift_keys_of_account(&app.db, account).await?);
    }
    let part = |((resource, job), planned): ((ResourceKey, Job), Planned)| {
        let drifted = planned.by_hand || drifted.contains(&resource);
        Part { job, planned, drifted }
    };
    Ok(Preview { server, parts: Some(states.into_iter().zip(plans).map(part).collect()), left_out })
}
