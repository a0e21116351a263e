//! Drift, previews and history as pages show them.

use jiff::Timestamp;
use shared::difference::{Difference, unified};
use shared::events::SetAside;
use shared::failure::FailureCode;
use shared::ids::{AccountId, ServerId, SiteId};
use shared::jobs::{Generation, ResourceKey};

use super::{ListQuery, at, count, form_key, press_key};
use crate::app::drift::{brakes, drifted_at_large};
use crate::app::preview::{Part as Planning, Preview};
use crate::app::server::server_get;
use crate::app::site_history::{site_generation, site_history};
use crate::app::{Actor, AppError};
use crate::error::PageError;
use crate::paths;
use crate::state::AppState;
use crate::store::drift::{
    DriftRow as Stored, drift_count, drift_fetch, drift_list_of_account, drift_list_of_server, drift_list_of_servers,
};
use crate::store::drift_fleet::{DriftPolicy, DriftServer, drift_policy_fetch, drift_server_count, drift_server_list, set_aside_list};
use crate::store::server::ServerRow;
use crate::store::site::site_fetch;
use crate::store::site_configuration::SiteConfigurationRow;
use crate::views::drift::{Brake, DriftModel, DriftRow, Drifted, ServerDrift, SetAsideRow};
use crate::views::drift_server::DriftServerModel;
use crate::views::listing::Listing;
use crate::views::model::{AccountRef, FormKey, ServerRef};
use crate::views::preview::{Part, PreviewModel};
use crate::views::site::{Compared, GenerationRow, HistoryModel, RollbackModel};

/// Drifted resources of each server that the page of all servers shows.
const SHOWN: i64 = 50;
/// Servers per page: each is a card with everything that has drifted there.
const SERVERS: u64 = 10;

/// The page of drift.
///
/// # Errors
/// [`AppError::Forbidden`] for clients, or the database fails.
pub async fn drift_model(state: &AppState, actor: &Actor, query: &ListQuery, live: Option<String>) -> Result<DriftModel, PageError> {
    actor.require_admin()?;
    let found = drift_server_list(state.db(), &query.q, query.paging_by(SERVERS)).await?;
    let ids: Vec<ServerId> = found.rows.iter().map(|server| server.id).collect();
    let drifts = drift_list_of_servers(state.db(), &ids, SHOWN).await?;
    let mut aside = set_aside_list(state.db(), &ids).await?;
    let servers = found.rows.iter().map(|server| {
        let drifts = drifts.iter().filter(|drift| drift.server_id == server.id);
        server_drift(server, drifts, aside.remove(&server.id).unwrap_or_default())
    });
    Ok(DriftModel {
        now: jiff::Timestamp::now(),
        servers: servers.collect(),
        with_something: count(drift_server_count(state.db()).await?),
        listing: Listing { per_page: SERVERS, ..query.listing(paths::DRIFT, found.total) },
        live,
        toast: None,
    })
}

/// The page of one server's drift.
///
/// # Errors
/// [`AppError::Forbidden`] for clients, [`AppError::NotFound`], or the database fails.
pub async fn drift_server_model(
    state: &AppState,
    actor: &Actor,
    id: ServerId,
    query: &ListQuery,
    live: Option<String>,
) -> Result<DriftServerModel, PageError> {
    let server = server_get(&state.app, actor, id).await?;
    let server = DriftServer {
        id,
        name: server.name,
        look: server.heartbeat.and_then(|heartbeat| heartbeat.look),
        policy: drift_policy_fetch(state.db(), id).await?,
        count: drift_count(state.db(), id).await?,
    };
    let found = drift_list_of_server(state.db(), id, &query.q, query.paging()).await?;
    let aside = set_aside_list(state.db(), &[id]).await?.remove(&id).unwrap_or_default();
    Ok(DriftServerModel {
        now: jiff::Timestamp::now(),
        server: server_drift(&server, found.rows.iter(), aside),
        listing: query.listing(&paths::server_drift(id), found.total),
        live,
        toast: None,
    })
}

fn server_drift<'a>(server: &DriftServer, drifts: impl Iterator<Item = &'a Stored>, aside: Vec<SetAside>) -> ServerDrift {
    let fresh = drifted_at_large(server.count, server.look);
    ServerDrift {
        server: ServerRef { id: Some(server.id), name: server.name.clone() },
        id: server.id,
        looked: server.look.map(|look| (at(look.at_ms), u64::from(look.resources))),
        repairs: server.policy == DriftPolicy::Repair,
        brake: brakes(server.count, server.look).then_some(Brake { drifted: count(fresh), resources: count(server.count.resources) }),
        drifted: drifts.map(drift_row).collect(),
        total: count(server.count.drifted),
        set_aside: aside.into_iter().map(|file| SetAsideRow { path: file.path, said: file.said, at: at(file.at_ms) }).collect(),
    }
}

fn drift_row(row: &Stored) -> DriftRow {
    let (title, path) = match (row.resource, &row.domain, row.php) {
        (ResourceKey::Site(id), Some(domain), _) => (format!("Site {}", domain.to_unicode()), Some(paths::site(id))),
        (ResourceKey::PhpPool(_), _, Some(version)) => {
            (format!("PHP {version} of {}", row.linux_user), Some(paths::account_php(row.account_id, version)))
        }
        (ResourceKey::Account(id), ..) => (format!("Account {}", row.linux_user), Some(paths::account(id))),
        (ResourceKey::Site(_) | ResourceKey::PhpPool(_) | ResourceKey::Worker(_), ..) => (row.resource.kind().to_string(), None),
    };
    DriftRow {
        resource: row.resource.to_string(),
        title,
        path,
        account: AccountRef { id: row.account_id, user: row.linux_user.clone() },
        note: note(row),
    }
}

/// For an admin.
fn note(row: &Stored) -> Drifted {
    Drifted {
        now: Timestamp::now(),
        since: at(row.since_ms),
        differences: row.differences.clone(),
        repair: row.settled.then(|| row.resource.to_string()),
        comes_back: row.given_up,
        key: press_key(row.resource, row.generation),
    }
}

/// What the page of a resource says of its drift. Clients are not told how it differs: files have other people's names in them.
///
/// # Errors
/// The database fails.
pub async fn drifted_of(state: &AppState, actor: &Actor, resource: ResourceKey) -> Result<Option<Drifted>, PageError> {
    Ok(drift_fetch(state.db(), resource).await?.as_ref().map(|found| noted(actor, found)))
}

/// What the page of an account says: of itself first, then of its PHP.
///
/// # Errors
/// The database fails.
pub async fn drifted_of_account(state: &AppState, actor: &Actor, account: AccountId) -> Result<Option<Drifted>, PageError> {
    Ok(drift_list_of_account(state.db(), account).await?.first().map(|found| noted(actor, found)))
}

fn noted(actor: &Actor, found: &Stored) -> Drifted {
    if actor.is_admin() {
        return note(found);
    }
    Drifted {
        now: Timestamp::now(),
        since: at(found.since_ms),
        differences: Vec::new(),
        repair: None,
        comes_back: false,
        key: FormKey::default(),
    }
}

/// When a server was last compared with what was applied, if the thing was there by then.
#[must_use]
pub fn watched_at(server: &ServerRow, created_ms: i64) -> Option<jiff::Timestamp> {
    server.heartbeat.as_ref()?.look.filter(|look| look.at_ms >= created_ms).map(|look| at(look.at_ms))
}

/// What a change would do, in the words of one viewer.
#[must_use]
pub fn preview_model(actor: &Actor, preview: Preview) -> PreviewModel {
    let parts = preview.parts.map(|parts| parts.into_iter().map(|planned| part(actor, planned)).collect());
    PreviewModel { server: preview.server, parts, left_out: preview.left_out as u64 }
}

fn part(actor: &Actor, Planning { job, planned, drifted }: Planning) -> Part {
    let title = super::operation::title_of(&job);
    // The request makes what is missing first: a new account's site cannot be planned before the account is there.
    if planned.refused.as_ref().is_some_and(|refused| refused.code == FailureCode::RequirementFailed) {
        let text = "Set up once its account is there; what was done is on the request's own page then.".to_owned();
        return Part { title, differences: vec![Difference::Fact { text }], refused: None, detail: None };
    }
    let words = |refused: &shared::live_read::Refused| {
        if actor.is_admin() { refused.code.what_happened_for_admins() } else { refused.code.what_happened() }.to_owned()
    };
    // What somebody has changed by hand is not told to clients, here no more than in the note on the drift.
    let differences = planned.differences.into_iter();
    let differences = if drifted && !actor.is_admin() { differences.map(without_lines).collect() } else { differences.collect() };
    Part {
        title,
        refused: planned.refused.as_ref().map(words),
        detail: planned.refused.filter(|_| actor.is_admin()).map(|refused| refused.detail),
        differences,
    }
}

/// Which file changes, not how.
fn without_lines(difference: Difference) -> Difference {
    match difference {
        Difference::File { path, diff: _ } => Difference::Fact { text: format!("{path} changes.") },
        Difference::Fact { .. } => difference,
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
            back: !current && site.presence != shared::jobs::Presence::Deleted,
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

/// The question before a generation comes back.
///
/// # Errors
/// [`AppError::NotFound`], or the database fails.
pub async fn site_rollback_model(state: &AppState, actor: &Actor, id: SiteId, generation: &str) -> Result<RollbackModel, PageError> {
    let site = site_fetch(state.db(), actor.visible(), id).await?.ok_or(AppError::NotFound)?;
    let then = site_generation(&state.app, actor, id, generation).await?;
    let known = site_history(&state.app, actor, id).await?;
    let now = known.iter().find(|row| row.generation == site.applied_generation);
    Ok(RollbackModel {
        now: jiff::Timestamp::now(),
        id,
        domain: site.domain,
        generation: then.generation,
        at: at(then.at_ms),
        diff: now.map(|now| unified(&now.text, &then.text)),
        path: then.path,
        key: form_key(),
        refused: None,
        preview: None,
    })
}

#[cfg(test)]
mod tests {
    use shared::difference::Difference;
    use shared::ids::SiteId;
    use shared::jobs::{Job, ResourceKey, WorkerSpec};
    use shared::live_read::Planned;

    use super::{Planning, part};
    use crate::app::Actor;
    use crate::store::user::UserRole;

    #[test]
    fn a_preview_tells_clients_nothing_of_what_somebody_has_changed_by_hand() {
        let spec = WorkerSpec { version: "1.0".parse().unwrap(), packages: Vec::new(), panel: String::new(), fingerprint: String::new() };
        let planning = |drifted| Planning {
            job: Job::Worker(spec.clone()),
            planned: Planned {
                resource: ResourceKey::Site(SiteId::new()),
                differences: vec![Difference::File { path: "/etc/a.conf".to_owned(), diff: "-by hand\n".to_owned() }],
                by_hand: false,
                refused: None,
            },
            drifted,
        };
        let (admin, client) = (Actor::gantry(), Actor { role: UserRole::Client, ..Actor::gantry() });
        let told = |actor: &Actor, drifted| format!("{:?}", part(actor, planning(drifted)).differences);
        assert!(told(&admin, true).contains("by hand") && told(&client, false).contains("by hand"));
        assert!(!told(&client, true).contains("by hand") && told(&client, true).contains("/etc/a.conf changes."));
    }
}
