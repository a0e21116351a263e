//! Operations as pages show them.

use std::collections::HashMap;

use shared::events::StepReport;
use shared::failure::{Effect, FailureCode};
use shared::ids::{JobId, OperationId};
use shared::jobs::{Job, ResourceKey, ResourceKind};
use shared::operation::{JobState, OperationState};
use shared::record::JobRecord;

use super::{ListQuery, at, count, server};
use crate::app::{Actor, AppError};
use crate::error::PageError;
use crate::paths;
use crate::state::AppState;
use crate::store::account::account_fetch;
use crate::store::audit::audit_address_of_operation;
use crate::store::job::{JobList, JobRow, UnreadableJob, job_list_of_operation};
use crate::store::job_record::{AttemptRow, job_attempts_of_operation, job_records_of_operation};
use crate::store::list::{Direction, Visible};
use crate::store::operation::{OperationRow, operation_placed};
use crate::store::operation_list::{
    OperationFilter, OperationListRow, OperationSort, operation_counts, operation_fetch_visible, operation_list, operation_rows,
};
use crate::store::queue::operation_parts;
use crate::store::server::server_fetch;
use crate::store::site::site_fetch;
use crate::views::layout::Audience;
use crate::views::model::{AccountRef, Failure, PersonRef, Progress, ServerRef, Until, Waiting};
use crate::views::operation::{Attempt, Counts, JobBlock, ListModel, RetryModel, Row, ShowModel, Subject, Unreadable};

/// A request waits visibly only after so long; before, it is merely quick.
const QUICK_MS: i64 = 2000;

/// How a request stands, in the words of one viewer.
#[derive(Debug, Default)]
pub struct Standing {
    /// The steps, while it works.
    pub progress: Option<Progress>,
    /// Why it failed.
    pub failure: Option<Failure>,
    /// Why it has not begun.
    pub waiting: Option<Waiting>,
}

/// How a request stands. Reads its jobs only if there is something to tell.
///
/// # Errors
/// The database fails.
pub async fn standing(state: &AppState, actor: &Actor, row: &OperationListRow) -> Result<Standing, PageError> {
    match row.operation.state {
        OperationState::Succeeded | OperationState::Superseded | OperationState::Cancelled => Ok(Standing::default()),
        OperationState::Waiting => Ok(Standing { waiting: waiting(row), ..Standing::default() }),
        OperationState::Working => {
            let jobs = job_list_of_operation(state.db(), row.operation.id).await?.jobs;
            if let Some(waiting) = blocked(actor, row, &jobs).or_else(|| stalled(row)) {
                return Ok(Standing { waiting: Some(waiting), ..Standing::default() });
            }
            let label = format!("{} {}", row.operation.kind.label(), row.operation.subject);
            Ok(Standing { progress: Some(Progress { label, steps: steps(actor, &jobs) }), ..Standing::default() })
        }
        OperationState::Failed => {
            let jobs = job_list_of_operation(state.db(), row.operation.id).await?.jobs;
            Ok(Standing { failure: failure(actor, &row.operation, &jobs), ..Standing::default() })
        }
    }
}

fn waiting(row: &OperationListRow) -> Option<Waiting> {
    let quick = crate::store::now_ms() - row.operation.created_ms < QUICK_MS;
    let server = row.server_name.clone()?;
    if row.server_online && row.server_paused_ms.is_none() && quick {
        return None;
    }
    let until = match (row.server_online, row.jobs_in_flight, row.server_paused_ms) {
        (_, 0, Some(since)) => Until::Resume { paused_since: at(since) },
        (false, ..) => Until::Return { offline_since: at(row.server_changed_ms) },
        (true, 0, None) => Until::Unsent,
        (true, ..) => Until::Turn,
    };
    Some(Waiting { now: jiff::Timestamp::now(), server, until })
}

/// What a begun request waits for, if its server has gone offline or its queue was paused in between.
fn stalled(row: &OperationListRow) -> Option<Waiting> {
    let server = row.server_name.clone()?;
    let until = match (row.server_online, row.jobs_in_flight, row.server_paused_ms) {
        (true, 0, Some(since)) => Until::Resume { paused_since: at(since) },
        (false, ..) => Until::Return { offline_since: at(row.server_changed_ms) },
        (true, ..) => return None,
    };
    Some(Waiting { now: jiff::Timestamp::now(), server, until })
}

/// What a begun request waits for, if one of its jobs does.
fn blocked(actor: &Actor, row: &OperationListRow, jobs: &[JobRow]) -> Option<Waiting> {
    let job = jobs.iter().find(|job| job.state == JobState::Blocked)?;
    let fault = actor.is_admin().then(|| fault(&job.detail));
    Some(Waiting { now: jiff::Timestamp::now(), server: row.server_name.clone()?, until: Until::Repair { fault } })
}

/// What nginx says is wrong, file and line first: it ends its line with ` in FILE:LINE`.
fn fault(said: &str) -> String {
    let line = said.lines().find(|line| line.contains("[emerg]")).or_else(|| said.lines().next()).unwrap_or_default();
    let text = line.split_once("] ").map_or(line, |(_, text)| text).trim();
    let place = text.rsplit_once(" in ").and_then(|(what, place)| Some((what, place.rsplit_once(':')?)));
    match place {
        Some((what, (file, number))) if number.parse::<u32>().is_ok() => format!("{file}, line {number}: {what}"),
        Some(_) | None => text.to_owned(),
    }
}

/// The steps of all jobs, in order. Raw output is for admins only.
fn steps(actor: &Actor, jobs: &[JobRow]) -> Vec<StepReport> {
    jobs.iter().flat_map(|job| job.steps.iter()).map(|step| step_for(actor, step)).collect()
}

fn step_for(actor: &Actor, step: &StepReport) -> StepReport {
    StepReport { detail: if actor.is_admin() { step.detail.clone() } else { String::new() }, ..step.clone() }
}

/// The failure that caused the others: the first that is not for want of another.
fn failure(actor: &Actor, operation: &OperationRow, jobs: &[JobRow]) -> Option<Failure> {
    let failed: Vec<&JobRow> = jobs.iter().filter(|job| job.state == JobState::Failed).collect();
    let cause = failed.iter().find(|job| job.failure != Some(FailureCode::RequirementFailed)).or_else(|| failed.first())?;
    let effect = cause.effect.unwrap_or(Effect::NothingChanged);
    let audience = if actor.is_admin() { Audience::Admin } else { Audience::Client };
    let detail = actor.is_admin().then(|| cause.detail.clone()).filter(|detail| !detail.is_empty());
    let retry = paths::operation_retry(operation.id);
    Some(Failure {
        retry: Some(retry.clone()),
        preview: can_be_asked(operation).then(|| paths::preview_of(&retry)),
        operation: Some(operation.id),
        detail,
        ..Failure::of(cause.failure.unwrap_or(FailureCode::Internal), effect, audience)
    })
}

/// Whether a worker can plan what was asked for: all but another release of itself.
const fn can_be_asked(operation: &OperationRow) -> bool {
    !matches!(operation.resource, ResourceKey::Worker(_))
}

/// The question before a request is tried again.
///
/// # Errors
/// [`AppError::NotFound`], or the database fails.
pub async fn operation_retry_model(state: &AppState, actor: &Actor, id: OperationId) -> Result<RetryModel, PageError> {
    let found = operation_fetch_visible(state.db(), actor.visible(), id).await?.ok_or(AppError::NotFound)?.operation;
    Ok(RetryModel { id, title: format!("{} {}", found.kind.label(), found.subject), preview: None })
}

/// The newest request about a resource, and how it stands.
///
/// # Errors
/// The database fails.
pub async fn standing_of(state: &AppState, actor: &Actor, id: OperationId) -> Result<Standing, PageError> {
    match operation_fetch_visible(state.db(), actor.visible(), id).await? {
        Some(row) => standing(state, actor, &row).await,
        None => Ok(Standing::default()),
    }
}

/// One line of a list.
///
/// # Errors
/// The database fails.
pub async fn row(state: &AppState, actor: &Actor, found: &OperationListRow) -> Result<Row, PageError> {
    let standing = standing(state, actor, found).await?;
    let operation = &found.operation;
    let took = operation.finished_ms.map(|finished| count(finished - operation.created_ms));
    Ok(Row {
        id: operation.id,
        action: operation.kind.label().to_owned(),
        name: operation.subject.clone(),
        subject: subject(state, actor.visible(), operation.resource).await?,
        state: operation.state,
        asked_by: operation.asked_by_name.clone(),
        asked_at: at(operation.created_ms),
        took_ms: took,
        server: server_ref(actor, found),
        waiting: standing.waiting,
        progress: standing.progress,
        failure: standing.failure,
    })
}

/// Several lines of a list.
///
/// # Errors
/// The database fails.
pub async fn rows(state: &AppState, actor: &Actor, found: &[OperationListRow]) -> Result<Vec<Row>, PageError> {
    let mut rows = Vec::with_capacity(found.len());
    for operation in found {
        rows.push(row(state, actor, operation).await?);
    }
    Ok(rows)
}

fn server_ref(actor: &Actor, found: &OperationListRow) -> Option<ServerRef> {
    let name = found.server_name.clone()?;
    Some(ServerRef { id: actor.is_admin().then_some(found.operation.server_id), name })
}

async fn subject(state: &AppState, visible: Visible, resource: ResourceKey) -> Result<Subject, PageError> {
    Ok(match resource {
        ResourceKey::Site(id) if site_fetch(state.db(), visible, id).await?.is_some() => Subject::Site(id),
        ResourceKey::Account(id) if account_fetch(state.db(), visible, id).await?.is_some() => Subject::Account(id),
        ResourceKey::Worker(id) if visible == Visible::All && server_fetch(state.db(), id).await?.is_some() => Subject::Server(id),
        ResourceKey::Site(_) | ResourceKey::Account(_) | ResourceKey::PhpPool(_) | ResourceKey::Worker(_) => Subject::Gone,
    })
}

/// The newest requests that match a filter.
///
/// # Errors
/// The database fails.
pub async fn newest(state: &AppState, actor: &Actor, filter: OperationFilter, limit: i64) -> Result<Vec<Row>, PageError> {
    let filter = OperationFilter { sort: OperationSort::Created, direction: Direction::Descending, ..filter };
    let paging = crate::store::list::Paging { limit, offset: 0 };
    let found = operation_rows(state.db(), actor.visible(), &filter, paging).await?;
    rows(state, actor, &found).await
}

/// The kinds of resource that the list can be narrowed to.
const KINDS: [ResourceKind; 4] = [ResourceKind::Account, ResourceKind::PhpPool, ResourceKind::Site, ResourceKind::Worker];

/// The list.
///
/// # Errors
/// The database fails.
pub async fn operation_list_model(
    state: &AppState,
    actor: &Actor,
    query: &ListQuery,
    live: Option<String>,
) -> Result<ListModel, PageError> {
    let filter = OperationFilter {
        search: query.q.clone(),
        state: query.state.parse().ok(),
        kind: KINDS.into_iter().find(|kind| kind.as_str() == query.kind),
        server: query.server.parse().ok(),
        account: None,
        owner: None,
        sort: match query.sort.as_str() {
            "state" => OperationSort::State,
            "name" | "subject" => OperationSort::Subject,
            "kind" => OperationSort::Kind,
            "server" => OperationSort::Server,
            "asked_by" => OperationSort::AskedBy,
            _ => OperationSort::Created,
        },
        direction: query.direction(Direction::Descending),
    };
    let found = operation_list(state.db(), actor.visible(), &filter, query.paging()).await?;
    Ok(ListModel {
        now: jiff::Timestamp::now(),
        listing: query.listing(paths::OPERATIONS, found.total),
        counts: counts(state, actor).await?,
        rows: rows(state, actor, &found.rows).await?,
        servers: server::choices(state, actor).await?,
        live,
    })
}

/// How many requests each filter has.
///
/// # Errors
/// The database fails.
pub async fn counts(state: &AppState, actor: &Actor) -> Result<Counts, PageError> {
    let mut counts = Counts::default();
    for (group, n) in operation_counts(state.db(), actor.visible()).await? {
        let n = count(n);
        counts.all += n;
        match group {
            OperationState::Waiting => counts.waiting = n,
            OperationState::Working => counts.working = n,
            OperationState::Succeeded => counts.succeeded = n,
            OperationState::Failed => counts.failed = n,
            OperationState::Superseded | OperationState::Cancelled => {}
        }
    }
    Ok(counts)
}

/// One operation's page.
///
/// # Errors
/// [`AppError::NotFound`], or the database fails.
pub async fn operation_show_model(state: &AppState, actor: &Actor, id: OperationId, live: Option<String>) -> Result<ShowModel, PageError> {
    let found = operation_fetch_visible(state.db(), actor.visible(), id).await?.ok_or(AppError::NotFound)?;
    let JobList { jobs, unreadable } = job_list_of_operation(state.db(), id).await?;
    let operation = &found.operation;
    let mut blackbox = Blackbox::default();
    if actor.is_admin() {
        blackbox.records = job_records_of_operation(state.db(), id).await?.into_iter().collect();
        blackbox.attempts = job_attempts_of_operation(state.db(), id).await?;
    }
    let can_cancel = actor.is_admin() && operation_parts(state.db(), id).await?.can_cancel();
    let account = account_fetch(state.db(), actor.visible(), operation.account_id).await?;
    let server = found.server_name.as_ref().map(ToString::to_string).unwrap_or_default();
    Ok(ShowModel {
        now: jiff::Timestamp::now(),
        row: row(state, actor, &found).await?,
        jobs: jobs.iter().map(|job| job_block(actor, job, &server, &mut blackbox)).collect(),
        unreadable: unreadable.into_iter().map(|job| unreadable_job(actor, job)).collect(),
        cancel: can_cancel.then(|| paths::operation_cancel(id)),
        queue: (actor.is_admin() && !operation.state.has_ended() && found.server_name.is_some())
            .then(|| paths::server_queue(operation.server_id)),
        record: actor.is_admin().then(|| paths::operation_record(id)),
        asked_by: PersonRef { id: actor.is_admin().then_some(operation.asked_by), name: operation.asked_by_name.clone() },
        asked_from: if actor.is_admin() { audit_address_of_operation(state.db(), id, &operation.subject).await? } else { None },
        account: account.map(|account| AccountRef { id: account.id, user: account.linux_user }),
        placed: if actor.is_admin() { operation_placed(state.db(), id).await? } else { String::new() },
        finished_at: operation.finished_ms.map(at),
        retry: (operation.state == OperationState::Failed).then(|| paths::operation_retry(id)),
        show_detail: actor.is_admin(),
        live,
    })
}

/// What is kept of jobs beside their rows. Empty for clients.
#[derive(Default)]
struct Blackbox {
    records: HashMap<JobId, JobRecord>,
    attempts: Vec<AttemptRow>,
}

fn unreadable_job(actor: &Actor, job: UnreadableJob) -> Unreadable {
    Unreadable { id: job.id, state: job.state, error: if actor.is_admin() { job.error } else { String::new() } }
}

fn attempt(row: &AttemptRow) -> Attempt {
    Attempt {
        number: row.attempt,
        state: row.state,
        steps: row.steps.clone(),
        detail: row.detail.clone(),
        took_ms: row.finished_ms.zip(row.started_ms).map(|(finished, started)| count(finished - started)),
        record: row.record.clone(),
    }
}

/// What a state is of, such as `Site shop.example`.
pub(super) fn title_of(job: &Job) -> String {
    match job {
        Job::Account(spec) => format!("Account {}", spec.user),
        Job::PhpPool(spec) => format!("PHP {} of {}", spec.version, spec.user),
        Job::Site(spec) => format!("Site {}", spec.domain.to_unicode()),
        Job::Worker(spec) => format!("Worker {}", spec.version),
    }
}

fn job_block(actor: &Actor, job: &JobRow, server: &str, blackbox: &mut Blackbox) -> JobBlock {
    JobBlock {
        id: job.id,
        title: title_of(&job.job),
        kind: job.resource.kind(),
        state: job.state,
        server: server.to_owned(),
        generation: job.generation,
        attempt: job.attempt,
        steps: job.steps.iter().map(|step| step_for(actor, step)).collect(),
        took_ms: job.finished_ms.zip(job.started_ms).map(|(finished, started)| count(finished - started)),
        record: blackbox.records.remove(&job.id),
        attempts: blackbox.attempts.iter().filter(|row| row.job == job.id).map(attempt).collect(),
        detail: if actor.is_admin() { job.detail.clone() } else { String::new() },
    }
}

#[cfg(test)]
mod tests {
    use super::fault;

    #[test]
    fn a_fault_begins_with_file_and_line_where_nginx_names_them() {
        let said = "[warn] something harmless in /etc/nginx/a.conf:1\n\
                    [emerg] unknown directive \"x\" in /etc/nginx/conf.d/by-hand.conf:3\nnginx: configuration file test failed";
        assert_eq!(fault(said), "/etc/nginx/conf.d/by-hand.conf, line 3: unknown directive \"x\"");
        let said = "[emerg] open() \"/etc/nginx/sites-enabled/gone\" failed (2: No such file or directory) in /etc/nginx/nginx.conf:60";
        assert_eq!(
            fault(said),
            "/etc/nginx/nginx.conf, line 60: open() \"/etc/nginx/sites-enabled/gone\" failed (2: No such file or directory)"
        );
        assert_eq!(fault("[emerg] host not found"), "host not found");
        assert_eq!(fault(""), "");
    }
}
