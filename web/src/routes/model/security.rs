//! What was refused as a matter of security, as pages show it. For admins.

use shared::security::SecurityKind;

use super::{ListQuery, at, count};
use crate::app::Actor;
use crate::error::PageError;
use crate::paths;
use crate::state::AppState;
use crate::store::list::Paging;
use crate::store::security_event::{SecurityEventFilter, SecurityEventRow, security_event_list, security_event_unseen};
use crate::views::security::{ListModel, Row};

/// The list.
///
/// # Errors
/// [`crate::app::AppError::Forbidden`] for clients, or the database fails.
pub async fn security_list_model(state: &AppState, actor: &Actor, query: &ListQuery, live: Option<String>) -> Result<ListModel, PageError> {
    actor.require_admin()?;
    let filter = SecurityEventFilter {
        search: query.q.clone(),
        kind: query.kind.clone(),
        server: query.server.clone(),
        unseen: query.state == "unseen",
    };
    let found = security_event_list(state.db(), &filter, query.paging()).await?;
    let (unseen, _) = security_event_unseen(state.db()).await?;
    let newest = security_event_list(state.db(), &SecurityEventFilter::default(), Paging::page(1, 1)).await?;
    Ok(ListModel {
        now: jiff::Timestamp::now(),
        listing: query.listing(paths::SECURITY, found.total),
        all: count(newest.total),
        unseen: count(unseen),
        newest: newest.rows.first().map(|row| row.id.to_string()),
        kinds: SecurityKind::ALL.into_iter().map(|kind| (kind.as_str().to_owned(), kind.label().to_owned())).collect(),
        rows: found.rows.iter().map(row).collect(),
        live,
    })
}

fn row(row: &SecurityEventRow) -> Row {
    let kind = row.kind.parse::<SecurityKind>().ok();
    Row {
        id: row.id.to_string(),
        at: at(row.at_ms),
        server: row.server_name.clone(),
        what: kind.map_or_else(|| row.kind.clone(), |kind| kind.label().to_owned()),
        advice: kind.map(SecurityKind::advice).unwrap_or_default(),
        detail: row.detail.clone(),
        times: count(row.times),
        seen: row.seen,
    }
}
