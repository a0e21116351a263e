//! The list of servers. For admins.

use std::cmp::Reverse;

use jiff::Timestamp;
use shared::names::PackageVersion;

use super::ListQuery;
use super::count;
use super::server::{figures, row};
use crate::app::Actor;
use crate::error::PageError;
use crate::paths;
use crate::state::AppState;
use crate::store::fleet::fleet_unhealthy;
use crate::store::server_outline::{ServerOutline, server_list_of, server_outlines};
use crate::views::server::{Counts, ListModel, Mark};

/// The list. A fleet has a few thousand servers at most, so their outlines are searched and sorted here; those on the page are
/// read whole.
///
/// # Errors
/// [`crate::app::AppError::Forbidden`] for clients, or the database fails.
pub async fn server_list_model(state: &AppState, actor: &Actor, query: &ListQuery, live: Option<String>) -> Result<ListModel, PageError> {
    actor.require_admin()?;
    let all = server_outlines(state.db()).await?;
    let figures = figures(state).await?;
    let offer = state.config.worker_offer();
    let behind = |server: &ServerOutline| offer.as_ref().is_some_and(|offer| offer.is_newer_than(&server.version));
    let counts = counts(&all);
    let all_behind = count(i64::try_from(all.iter().filter(|server| behind(server)).count()).unwrap_or(0));
    let needle = query.q.trim().to_lowercase();
    let mut found: Vec<&ServerOutline> = all
        .iter()
        .filter(|server| query.state.is_empty() || query.state == group(server))
        .filter(|server| query.role.is_empty() || server.roles.iter().any(|role| role.as_str() == query.role))
        .filter(|server| server.is_called(&needle))
        .collect();
    match Mark::of(&query.mark) {
        Some(Mark::Unhealthy) => {
            let unhealthy = fleet_unhealthy(state.db()).await?;
            found.retain(|server| unhealthy.contains(&server.id));
        }
        Some(Mark::Paused) => found.retain(|server| server.paused),
        Some(Mark::Update) => found.retain(|server| behind(server)),
        Some(Mark::Drained) => found.retain(|server| !server.active),
        None => {}
    }
    match query.sort.as_str() {
        "hostname" => found.sort_by(|one, other| one.hostname.cmp(&other.hostname)),
        "accounts" => found.sort_by_cached_key(|server| figures.accounts(server.id)),
        // As packages are compared: 0.9 is older than 0.10.
        "version" => found.sort_by_cached_key(|server| server.version.parse::<PackageVersion>().ok()),
        "reach" | "state" => found.sort_by_key(|server| group(server)),
        "waiting" => found.sort_by_cached_key(|server| Reverse(figures.waiting(server.id))),
        "update" => found.sort_by_cached_key(|server| !behind(server)),
        "active" => found.sort_by_key(|server| !server.active),
        _ => {}
    }
    if query.dir == "desc" {
        found.reverse();
    }
    let total = i64::try_from(found.len()).unwrap_or(0);
    let paging = query.paging();
    let skip = usize::try_from(paging.offset).unwrap_or(0);
    let take = usize::try_from(paging.limit).unwrap_or(0);
    let shown: Vec<_> = found.into_iter().skip(skip).take(take).map(|server| server.id).collect();
    let mut rows = Vec::with_capacity(shown.len());
    for server in server_list_of(state.db(), &shown).await? {
        rows.push(row(state, &server, &figures).await?);
    }
    Ok(ListModel {
        now: Timestamp::now(),
        listing: query.listing(paths::SERVERS, total),
        counts,
        behind: all_behind,
        rows,
        live,
        toast: None,
    })
}

const fn group(server: &ServerOutline) -> &'static str {
    if server.online {
        "online"
    } else if server.shut_out || server.heard {
        "offline"
    } else {
        "waiting"
    }
}

fn counts(servers: &[ServerOutline]) -> Counts {
    let of = |name: &str| servers.iter().filter(|server| group(server) == name).count() as u64;
    Counts { all: servers.len() as u64, online: of("online"), offline: of("offline"), waiting: of("waiting") }
}
