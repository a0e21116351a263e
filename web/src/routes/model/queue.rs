//! A server's queue as its page shows it. For admins.

use std::collections::HashMap;
use std::collections::hash_map::Entry;

use jiff::Timestamp;
use shared::ids::{AccountId, OperationId, ServerId};

use super::{ListQuery, at, count, server};
use crate::app::server::server_get;
use crate::app::{Actor, AppError};
use crate::error::PageError;
use crate::paths;
use crate::state::AppState;
use crate::store::account::account_fetch;
use crate::store::job_queue::{PER_ACCOUNT, has_room, job_in_flight};
use crate::store::operation_list::operation_fetch_visible;
use crate::store::queue::{Priority, QueueRow, queue_depths, queue_list};
use crate::store::server::ServerRow;
use crate::views::components::time::clock_text;
use crate::views::model::AccountRef;
use crate::views::queue::{CancelModel, Line, QueueModel, Standing, Urgency};

/// The queue's page.
///
/// # Errors
/// [`AppError::Forbidden`] for clients, [`AppError::NotFound`], or the database fails.
pub async fn queue_model(
    state: &AppState,
    actor: &Actor,
    id: ServerId,
    query: &ListQuery,
    live: Option<String>,
) -> Result<QueueModel, PageError> {
    let server = server_get(&state.app, actor, id).await?;
    let depth = queue_depths(state.db()).await?.into_iter().find(|depth| depth.server == id);
    let found = queue_list(state.db(), id, query.paging()).await?;
    let in_flight = job_in_flight(state.db(), id).await?;
    let share = Share { total: in_flight.iter().map(|(_, jobs)| *jobs).sum(), of: in_flight.into_iter().collect() };
    let mut accounts: HashMap<AccountId, Option<AccountRef>> = HashMap::new();
    for row in &found.rows {
        if let Entry::Vacant(unknown) = accounts.entry(row.account_id) {
            let account = account_fetch(state.db(), actor.visible(), row.account_id).await?;
            unknown.insert(account.map(|account| AccountRef { id: account.id, user: account.linux_user }));
        }
    }
    let lines = found.rows.iter().map(|row| line(&server, row, accounts.get(&row.account_id).cloned().flatten(), &share));
    Ok(QueueModel {
        now: Timestamp::now(),
        id,
        reach: server::reach(state, &server).await?,
        paused_since: server.queue_paused_ms.map(at),
        queued: depth.map_or(0, |depth| count(depth.queued)),
        begun: depth.map_or(0, |depth| count(depth.begun)),
        oldest: depth.map(|depth| at(depth.oldest_ms)),
        listing: query.listing(&paths::server_queue(id), found.total),
        rows: lines.collect(),
        live,
        toast: None,
        name: server.name,
    })
}

/// How many jobs the server has.
struct Share {
    total: u32,
    of: HashMap<AccountId, u32>,
}

impl Share {
    fn of_account(&self, account: AccountId) -> u32 {
        self.of.get(&account).copied().unwrap_or(0)
    }
}

fn line(server: &ServerRow, row: &QueueRow, account: Option<AccountRef>, share: &Share) -> Line {
    let standing = if row.blocked > 0 {
        Standing::Blocked
    } else if row.working > 0 {
        Standing::Working
    } else if row.queued < row.parts.open {
        Standing::Sent
    } else {
        Standing::Waits
    };
    Line {
        id: row.operation,
        action: row.kind.label().to_owned(),
        name: row.subject.clone(),
        account,
        asked_by: row.asked_by_name.clone(),
        asked_at: at(row.created_ms),
        sent_at: row.sent_ms.map(at),
        standing,
        urgency: match row.priority {
            Priority::Low => Urgency::Low,
            Priority::Normal => Urgency::Normal,
            Priority::High => Urgency::High,
        },
        why: why(server, row, standing, share),
        can_cancel: row.parts.can_cancel(),
    }
}

/// Why a request is not done yet.
fn why(server: &ServerRow, row: &QueueRow, standing: Standing, share: &Share) -> String {
    let name = &server.name;
    let offline = || {
        format!(
            "{name} is offline since {}. It goes on by itself when {name} returns.",
            clock_text(at(server.changed_ms), Timestamp::now())
        )
    };
    match standing {
        Standing::Working if server.online => "The worker is at work on it.".to_owned(),
        Standing::Sent if server.online => "It waits for its turn on the server, or for an earlier change of its account.".to_owned(),
        Standing::Blocked => format!("The web configuration of {name} was broken by hand. It goes on by itself when that is mended."),
        Standing::Working | Standing::Sent => offline(),
        Standing::Waits if server.public_key.is_none() => match server.shut_out_ms {
            Some(since) => {
                let since = clock_text(at(since), Timestamp::now());
                format!("The worker of {name} is shut out since {since}. It goes on when a worker has joined again.")
            }
            None => format!("{name} has not joined yet."),
        },
        Standing::Waits if server.queue_paused_ms.is_some() => "The queue is paused.".to_owned(),
        Standing::Waits if row.parts.unsent < row.queued => "Nothing was heard of it; it is sent again.".to_owned(),
        Standing::Waits if has_room(share.total, share.of_account(row.account_id)) => "It goes out any moment.".to_owned(),
        Standing::Waits if !server.online => offline(),
        Standing::Waits if share.of_account(row.account_id) >= PER_ACCOUNT => {
            format!("Its account has {PER_ACCOUNT} jobs on the server already, its share.")
        }
        Standing::Waits => format!("The server has {} jobs already, as many as it takes.", share.total),
    }
}

/// The question before a request is taken back.
///
/// # Errors
/// [`AppError::Forbidden`] for clients, [`AppError::NotFound`], or the database fails.
pub async fn cancel_model(state: &AppState, actor: &Actor, id: OperationId) -> Result<CancelModel, PageError> {
    actor.require_admin()?;
    let operation = operation_fetch_visible(state.db(), actor.visible(), id).await?.ok_or(AppError::NotFound)?.operation;
    Ok(CancelModel { id, title: format!("{} {}", operation.kind.label(), operation.subject) })
}
