//! The first page: a client's tools, an admin's fleet.

use std::collections::HashMap;
use std::collections::hash_map::Entry;

use jiff::Timestamp;
use shared::operation::{OperationState, ResourceState};

use super::operation::{counts as operation_counts, newest};
use super::{FEED, account, at, count, server, site};
use crate::app::{Actor, AppError};
use crate::error::PageError;
use crate::state::AppState;
use crate::store::account_list::{AccountFilter, account_counts, account_list};
use crate::store::job_queue::job_queue_stuck_since;
use crate::store::list::{Direction, Paging, StateGroup};
use crate::store::now_ms;
use crate::store::operation_list::{OperationFilter, OperationSort, operation_rows};
use crate::store::server::server_fetch;
use crate::store::site::{SiteFilter, SiteSort, site_counts, site_rows};
use crate::store::user::{UserRole, user_count};
use crate::views::components::usage::Usage;
use crate::views::home_admin::{Figures, HomeAdmin};
use crate::views::home_client::{AccountCard, HomeClient};
use crate::views::server::Reach;

/// A queue that has not moved for so long is in trouble; the scheduler looks at it every second.
const STUCK_MS: i64 = 10_000;

/// The fleet at a glance.
///
/// # Errors
/// [`AppError::Forbidden`] for clients, or the database fails.
pub async fn home_admin_model(state: &AppState, actor: &Actor, live: Option<String>) -> Result<HomeAdmin, PageError> {
    actor.require_admin()?;
    let servers = server::rows(state).await?;
    let sites = site_counts(state.db(), actor.visible()).await?;
    let accounts = account_counts(state.db(), actor.visible()).await?;
    let operations = operation_counts(state, actor).await?;
    let of = |wanted: fn(&Reach) -> bool| servers.iter().filter(|row| wanted(&row.reach)).count() as u64;
    let figures = Figures {
        servers_online: of(|reach| matches!(reach, Reach::Online { .. })),
        servers: servers.len() as u64,
        servers_waiting: of(|reach| matches!(reach, Reach::WaitingToEnrol { .. })),
        sites: count(sites.all),
        sites_failed: count(sites.failed),
        accounts: count(accounts.all),
        clients: count(user_count(state.db(), UserRole::Client).await?),
        operations_working: operations.working,
        operations_waiting: operations.waiting,
        operations_failed: operations.failed,
    };
    let failed = OperationFilter { state: Some(OperationState::Failed), ..OperationFilter::default() };
    Ok(HomeAdmin {
        now: Timestamp::now(),
        figures,
        oldest_waiting: oldest_waiting(state, actor).await?,
        stuck_since: job_queue_stuck_since(state.db()).await?.filter(|since| now_ms() - since > STUCK_MS).map(at),
        failures: newest(state, actor, failed, FEED).await?,
        servers,
        operations: newest(state, actor, OperationFilter::default(), FEED).await?,
        live,
        toast: None,
    })
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
    // A client's accounts mostly share a server or two.
    let mut hostnames = HashMap::new();
    for row in &accounts.rows {
        if let Entry::Vacant(unknown) = hostnames.entry(row.server_id) {
            let server = server_fetch(state.db(), row.server_id).await?.ok_or(AppError::NotFound)?;
            unknown.insert(server.hostname);
        }
        cards.push(AccountCard {
            account: account::row(state, actor, row).await?,
            hostname: hostnames.get(&row.server_id).cloned().unwrap_or_default(),
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
