//! Search over everything the viewer may see.

use super::server::word;
use crate::app::Actor;
use crate::error::PageError;
use crate::paths;
use crate::state::AppState;
use crate::store::account_list::{AccountFilter, account_rows};
use crate::store::fleet::fleet_list_called;
use crate::store::list::{Direction, Paging};
use crate::store::operation_list::{OperationFilter, operation_rows};
use crate::store::site::{SiteFilter, site_rows};
use crate::store::user::{ClientFilter, client_list};
use crate::views::search::{Hit, HitKind, Search};

/// Hits per kind: enough to choose from; the lists hold the rest.
const MOST: i64 = 10;

/// What is found.
///
/// # Errors
/// The database fails.
pub async fn search_model(state: &AppState, actor: &Actor, q: &str) -> Result<Search, PageError> {
    let q: String = q.trim().chars().take(200).collect();
    let mut hits = Vec::new();
    if !q.is_empty() {
        own_hits(state, actor, &q, &mut hits).await?;
        if actor.is_admin() {
            fleet_hits(state, &q, &mut hits).await?;
        }
        operation_hits(state, actor, &q, &mut hits).await?;
    }
    Ok(Search { q, hits })
}

async fn own_hits(state: &AppState, actor: &Actor, q: &str, hits: &mut Vec<Hit>) -> Result<(), PageError> {
    let few = Paging::page(1, MOST);
    let sites = site_rows(state.db(), actor.visible(), &SiteFilter { search: q.to_owned(), ..SiteFilter::default() }, few).await?;
    hits.extend(sites.iter().map(|site| Hit {
        kind: HitKind::Site,
        label: site.domain.to_unicode(),
        note: format!("{} on {}", site.linux_user, site.server_name),
        href: paths::site(site.id),
    }));
    let accounts =
        account_rows(state.db(), actor.visible(), &AccountFilter { search: q.to_owned(), ..AccountFilter::default() }, few).await?;
    hits.extend(accounts.iter().map(|account| Hit {
        kind: HitKind::Account,
        label: account.linux_user.to_string(),
        note: format!("{} on {}", account.owner_name, account.server_name),
        href: paths::account(account.id),
    }));
    Ok(())
}

async fn fleet_hits(state: &AppState, q: &str, hits: &mut Vec<Hit>) -> Result<(), PageError> {
    let clients = client_list(state.db(), &ClientFilter { search: q.to_owned(), ..ClientFilter::default() }, Paging::page(1, MOST)).await?;
    hits.extend(clients.rows.iter().map(|client| Hit {
        kind: HitKind::Client,
        label: client.user.name.clone(),
        note: client.user.login.to_string(),
        href: paths::client(client.user.id),
    }));
    hits.extend(fleet_list_called(state.db(), q, MOST).await?.into_iter().map(|server| Hit {
        kind: HitKind::Server,
        label: word(&server.name, &server.label),
        note: server.hostname,
        href: paths::server(server.id),
    }));
    Ok(())
}

async fn operation_hits(state: &AppState, actor: &Actor, q: &str, hits: &mut Vec<Hit>) -> Result<(), PageError> {
    let filter = OperationFilter { search: q.to_owned(), direction: Direction::Descending, ..OperationFilter::default() };
    let found = operation_rows(state.db(), actor.visible(), &filter, Paging::page(1, MOST)).await?;
    hits.extend(found.iter().map(|row| Hit {
        kind: HitKind::Operation,
        label: format!("{} {}", row.operation.kind.label(), row.operation.subject),
        note: row.operation.asked_by_name.clone(),
        href: paths::operation(row.operation.id),
    }));
    Ok(())
}
