//! The first page: a client's tools, an admin's fleet.

use std::collections::HashMap;

use jiff::Timestamp;
use shared::operation::{OperationState, ResourceState};

use super::operation::{counts as operation_counts, newest};
use super::{FEED, account, at, count, server, site};
use crate::app::Actor;
use crate::error::PageError;
use crate::state::AppState;
use crate::store::account_list::{AccountFilter, account_counts, account_list};
use crate::store::fleet::{fleet_health, operations_by_minute};
use crate::store::job_queue::job_queue_stuck_since;
use crate::store::list::{Direction, Paging, StateGroup};
use crate::store::now_ms;
use crate::store::operation_list::{OperationFilter, OperationSort, operation_rows};
use crate::store::queue::{QueueDepth, queue_depths};
use crate::store::security_event::security_event_unseen;
use crate::store::server::server_fetch;
use crate::store::site::{SiteFilter, SiteSort, site_counts, site_rows};
use crate::store::user::{UserRole, user_count};
use crate::views::components::usage::Usage;
use crate::views::home_admin::{Figures, HomeAdmin, Queue};
use crate::views::home_client::{AccountCard, HomeClient};

/// A queue that has not moved for so long is in trouble; the scheduler looks at it every second.
const STUCK_MS: i64 = 10_000;

/// The fleet at a glance.
///
/// # Errors
/// [`crate::app::AppError::Forbidden`] for clients, or the database fails.
pub async fn home_admin_model(state: &AppState, actor: &Actor, live: Option<String>) -> Result<HomeAdmin, PageError> {
    actor.require_admin()?;
    let health = fleet_health(state.db()).await?;
    let sites = site_counts(state.db(), actor.visible()).await?;
    let accounts = account_counts(state.db(), actor.visible()).await?;
    let operations = operation_counts(state, actor).await?;
    let figures = Figures {
        servers_online: count(health.online),
        servers: count(health.servers),
        servers_waiting: count(health.waiting),
        servers_unhealthy: count(health.unhealthy),
        servers_paused: count(health.paused),
        sites: count(sites.all),
        sites_failed: count(sites.failed),
        accounts: count(accounts.all),
        clients: count(user_count(state.db(), UserRole::Client).await?),
        operations_working: operations.working,
        operations_waiting: operations.waiting,
        operations_failed: operations.failed,
    };
    let failed = OperationFilter { state: Some(OperationState::Failed), ..OperationFilter::default() };
    let queues = queue_depths(state.db()).await?;
    Ok(HomeAdmin {
        now: Timestamp::now(),
        figures,
        oldest_waiting: oldest_waiting(state, actor).await?,
        stuck_since: job_queue_stuck_since(state.db()).await?.filter(|since| now_ms() - since > STUCK_MS).map(at),
        by_minute: by_minute(state).await?,
        security: security(state).await?,
        queues_all: queues.len() as u64,
        queues: shown(state, &queues).await?,
        failures: newest(state, actor, failed, FEED).await?,
        servers: server::troubled(state, SERVERS).await?,
        operations: newest(state, actor, OperationFilter::default(), FEED).await?,
        live,
        toast: None,
    })
}

/// Servers and queues that are shown; the lists hold the rest.
const SERVERS: i64 = 12;
const QUEUES: usize = 8;
/// Minutes of which operations are counted.
const MINUTES: i64 = 60;

async fn by_minute(state: &AppState) -> Result<Vec<u64>, PageError> {
    let present = now_ms() / 60_000;
    let first = present - MINUTES + 1;
    let ended: HashMap<i64, i64> = operations_by_minute(state.db(), first * 60_000).await?.into_iter().collect();
    Ok((first..=present).map(|minute| count(ended.get(&minute).copied().unwrap_or(0))).collect())
}

async fn security(state: &AppState) -> Result<Option<(u64, Timestamp)>, PageError> {
    let (unseen, since) = security_event_unseen(state.db()).await?;
    Ok(since.filter(|_| unseen > 0).map(|since| (count(unseen), at(since))))
}

async fn shown(state: &AppState, queues: &[QueueDepth]) -> Result<Vec<Queue>, PageError> {
    let mut shown = Vec::new();
    for depth in queues.iter().take(QUEUES) {
        let Some(server) = server_fetch(state.db(), depth.server).await? else { continue };
        shown.push(Queue {
            id: server.id,
            name: server.name,
            queued: count(depth.queued),
            begun: count(depth.begun),
            oldest: at(depth.oldest_ms),
            paused_since: server.queue_paused_ms.map(at),
            offline_since: (!server.online && server.last_seen_ms > 0).then(|| at(server.changed_ms)),
        });
    }
    Ok(shown)
}

async fn oldest_waiting(state: &AppState, actor: &Actor) -> Result<Option<Timestamp>, PageError> {
    let filter = OperationFilter {
        state: Some(OperationState::Waiting),
        sort: OperationSort::Created,
        direction: Direction::Ascending,
        ..OperationFilter::default()
    };
    let found = operation_rows(state.db(), actor.visible(), &filter, Paging::page(1, 1)).await?;
    Ok(found.first().map(|row| at(row.operation.created_ms)))
}

/// A client's tools, and what is going on.
///
/// # Errors
/// The database fails.
pub async fn home_client_model(state: &AppState, actor: &Actor, live: Option<String>) -> Result<HomeClient, PageError> {
    let accounts = account_list(state.db(), actor.visible(), &AccountFilter::default(), Paging::page(1, 100)).await?;
    let mut cards = Vec::new();
    for row in &accounts.rows {
        cards.push(AccountCard {
            account: account::row(state, actor, row).await?,
            hostname: row.server_hostname.clone(),
            php_versions: site::newest_first(row.server_php.iter().copied()),
        });
    }
    let counts = site_counts(state.db(), actor.visible()).await?;
    let mut busy = Vec::new();
    for group in [StateGroup::Busy, StateGroup::Failed] {
        if counts.of(Some(group)) == 0 {
            continue;
        }
        let filter = SiteFilter { state: Some(group), sort: SiteSort::Created, direction: Direction::Descending, ..SiteFilter::default() };
        let found = site_rows(state.db(), actor.visible(), &filter, Paging::page(1, FEED)).await?;
        busy.extend(site::rows(state, actor, &found).await?);
    }
    let usage = |label: &str, used: u64| Usage { label: label.to_owned(), used, limit: None, text: None };
    let active = accounts.rows.iter().any(|account| account.state != ResourceState::Deleting);
    Ok(HomeClient {
        now: Timestamp::now(),
        sites: count(counts.all),
        failed_sites: count(counts.failed),
        usage: vec![usage("Sites", count(counts.all)), usage("Accounts", count(accounts.total))],
        accounts: cards,
        busy,
        operations: newest(state, actor, OperationFilter::default(), FEED).await?,
        can_create_site: active,
        live,
        toast: None,
    })
}
