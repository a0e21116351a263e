//! Drift, previews and history as pages show them.

use shared::difference::{Difference, unified};
use shared::failure::FailureCode;
use shared::ids::{AccountId, SiteId};
use shared::jobs::{Generation, Job, ResourceKey};
use shared::live_read::Planned;

use super::{at, count, form_key, press_key};
use crate::app::drift::{brakes, comes_back};
use crate::app::preview::Preview;
use crate::app::site_history::site_history;
use crate::app::{Actor, AppError};
use crate::error::PageError;
use crate::paths;
use crate::state::AppState;
use crate::store::drift::{DriftFilter, DriftPolicy, DriftRow as Stored, drift_count, drift_list, drift_policy, set_aside_list};
use crate::store::server::{ServerRow, server_list};
use crate::store::site::site_fetch;
use crate::store::site_configuration::SiteConfigurationRow;
use crate::views::drift::{Brake, DriftModel, DriftRow, Drifted, ServerDrift, SetAsideRow};
use crate::views::model::{AccountRef, FormKey, ServerRef};
use crate::views::preview::{Part, PreviewModel};
use crate::views::site::{Compared, GenerationRow, HistoryModel};

/// Drifted resources of one server that a page shows.
const SHOWN: i64 = 100;

/// The page of drift.
///
/// # Errors
/// [`AppError::Forbidden`] for clients, or the database fails.
pub async fn drift_model(state: &AppState, actor: &Actor, live: Option<String>) -> Result<DriftModel, PageError> {
    actor.require_admin()?;
    let mut servers = Vec::new();
    for server in server_list(state.db()).await?.iter().filter(|server| server.public_key.is_some()) {
        servers.push(server_drift(state, server).await?);
    }
    Ok(DriftModel { now: jiff::Timestamp::now(), servers, live, toast: None })
}

async fn server_drift(state: &AppState, server: &ServerRow) -> Result<ServerDrift, PageError> {
    let found = drift_list(state.db(), DriftFilter { server: Some(server.id), ..DriftFilter::default() }, SHOWN).await?;
    let counted = drift_count(state.db(), server.id).await?;
    let repairs = drift_policy(state.db(), server.id).await? == DriftPolicy::Repair;
    let mut drifted = Vec::with_capacity(found.len());
    for row in &found {
        drifted.push(drift_row(state, row).await?);
    }
    let look = server.heartbeat.as_ref().and_then(|heartbeat| heartbeat.look);
    let aside = set_aside_list(state.db(), server.id).await?;
    Ok(ServerDrift {
        server: ServerRef { id: Some(server.id), name: server.name.clone() },
        id: server.id,
        looked: look.map(|look| (at(look.at_ms), u64::from(look.resources))),
        repairs,
        brake: brakes(counted).then_some(Brake { drifted: count(counted.drifted), resources: count(counted.resources) }),
        drifted,
        total: count(counted.drifted),
        set_aside: aside.into_iter().map(|file| SetAsideRow { path: file.path, said: file.said, at: at(file.at_ms) }).collect(),
    })
}

async fn drift_row(state: &AppState, row: &Stored) -> Result<DriftRow, PageError> {
    let (title, path) = match (row.resource, &row.domain, row.php) {
        (ResourceKey::Site(id), Some(domain), _) => (format!("Site {}", domain.to_unicode()), Some(paths::site(id))),
        (ResourceKey::PhpPool(_), _, Some(version)) => {
            (format!("PHP {version} of {}", row.linux_user), Some(paths::account_php(row.account_id, version)))
        }
        (ResourceKey::Account(id), ..) => (format!("Account {}", row.linux_user), Some(paths::account(id))),
        (ResourceKey::Site(_) | ResourceKey::PhpPool(_) | ResourceKey::Worker(_), ..) => (row.resource.kind().to_string(), None),
    };
    Ok(DriftRow {
        resource: row.resource.to_string(),
        title,
        path,
        account: AccountRef { id: row.account_id, user: row.linux_user.clone() },
        note: note(state, row).await?,
    })
}

/// For an admin.
async fn note(state: &AppState, row: &Stored) -> Result<Drifted, PageError> {
    Ok(Drifted {
        since: at(row.since_ms),
        differences: row.differences.clone(),
        repair: row.settled.then(|| row.resource.to_string()),
        comes_back: comes_back(&state.app.db, row.resource).await?,
        key: press_key(row.resource, row.generation),
    })
}

/// What the page of a resource says of its drift. Clients are not told how it differs: files have other people's names in them.
///
/// # Errors
/// The database fails.
pub async fn drifted_of(state: &AppState, actor: &Actor, resource: ResourceKey) -> Result<Option<Drifted>, PageError> {
    let found = drift_list(state.db(), DriftFilter { resource: Some(resource), ..DriftFilter::default() }, 1).await?;
    noted(state, actor, found.first()).await
}

/// What the page of an account says: of itself first, then of its PHP.
///
/// # Errors
/// The database fails.
pub async fn drifted_of_account(state: &AppState, actor: &Actor, account: AccountId) -> Result<Option<Drifted>, PageError> {
    let found = drift_list(state.db(), DriftFilter { account: Some(account), ..DriftFilter::default() }, SHOWN).await?;
    let of_site = |row: &&Stored| matches!(row.resource, ResourceKey::Site(_));
    let own = found.iter().find(|row| row.resource == ResourceKey::Account(account));
    noted(state, actor, own.or_else(|| found.iter().find(|row| !of_site(row)))).await
}

async fn noted(state: &AppState, actor: &Actor, found: Option<&Stored>) -> Result<Option<Drifted>, PageError> {
    let Some(row) = found else { return Ok(None) };
    if actor.is_admin() {
        return Ok(Some(note(state, row).await?));
    }
    let plain = Drifted { since: at(row.since_ms), differences: Vec::new(), repair: None, comes_back: false, key: FormKey::default() };
    Ok(Some(plain))
}

/// When a server was last compared with what was applied, if the thing was there by then.
#[must_use]
pub fn watched_at(server: &ServerRow, created_ms: i64) -> Option<jiff::Timestamp> {
    server.heartbeat.as_ref()?.look.filter(|look| look.at_ms >= created_ms).map(|look| at(look.at_ms))
}

/// What a change would do, in the words of one viewer.
#[must_use]
pub fn preview_model(actor: &Actor, preview: Preview) -> PreviewModel {
    let parts = preview.parts.map(|parts| parts.into_iter().map(|(job, planned)| part(actor, &job, planned)).collect());
    PreviewModel { server: preview.server, parts, left_out: preview.left_out as u64 }
}

fn part(actor: &Actor, job: &Job, planned: Planned) -> Part {
    let title = super::operation::title_of(job);
    // The request makes what is missing first: a new account's site cannot be planned before the account is there.
    if planned.refused.as_ref().is_some_and(|refused| refused.code == FailureCode::RequirementFailed) {
        let text = "Set up once its account is there; what was done is on the request's own page then.".to_owned();
        return Part { title, differences: vec![Difference::Fact { text }], refused: None, detail: None };
    }
    let words = |refused: &shared::live_read::Refused| {
        if actor.is_admin() { refused.code.what_happened_for_admins() } else { refused.code.what_happened() }.to_owned()
    };
    Part {
        title,
        refused: planned.refused.as_ref().map(words),
        detail: planned.refused.filter(|_| actor.is_admin()).map(|refused| refused.detail),
        differences: planned.differences,
    }
}

/// A site's history, with two generations compared: those asked for, or the newest two.
///
/// # Errors
/// [`AppError::NotFound`], or the database fails.
pub async fn site_history_model(state: &AppState, actor: &Actor, id: SiteId, from: &str, to: &str) -> Result<HistoryModel, PageError> {
    let site = site_fetch(state.db(), actor.visible(), id).await?.ok_or(AppError::NotFound)?;
    let known = site_history(&state.app, actor, id).await?;
    let named = |text: &str| text.parse().ok().and_then(|number| known.iter().find(|row| row.generation == Generation(number)));
    let to = named(to).or_else(|| known.first());
    let from = named(from).or_else(|| known.get(1)).or(to);
    let compared = from.zip(to).map(|(from, to)| Compared {
        from: from.generation,
        to: to.generation,
        path: to.path.clone(),
        diff: unified(&from.text, &to.text),
    });
    let row = |row: &SiteConfigurationRow| {
        let current = row.generation == site.applied_generation;
        GenerationRow {
            generation: row.generation,
            action: row.kind.map_or("Change", crate::store::operation::OperationKind::label).to_owned(),
            asked_by: row.asked_by.clone().unwrap_or_default(),
            operation: row.operation,
            at: at(row.at_ms),
            current,
            back: (!current && site.presence != shared::jobs::Presence::Deleted).then(form_key),
        }
    };
    Ok(HistoryModel {
        now: jiff::Timestamp::now(),
        id,
        domain: site.domain.clone(),
        generations: known.iter().map(row).collect(),
        compared,
        refused: None,
    })
}
