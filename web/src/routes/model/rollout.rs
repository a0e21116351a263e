//! Updates of all workers as their page shows them. For admins.

use jiff::Timestamp;

use super::operation::standing_of;
use super::{at, count};
use crate::app::worker_update::RolloutForm;
use crate::app::{Actor, FieldErrors};
use crate::error::PageError;
use crate::state::AppState;
use crate::store::fleet::fleet_versions;
use crate::store::now_ms;
use crate::store::rollout::{AWAY_MS, Rollout as Stored, RolloutServer, RolloutStep, rollout_newest};
use crate::store::rollout_state::RolloutState;
use crate::views::model::Failure;
use crate::views::server::{Hold, LeftOut, Rollout, RolloutModel, RolloutRow, RolloutRowState, Tally};

/// Servers that the page shows; of a rollout of more, first those that failed, those under way, and those that come next.
const SHOWN: usize = 100;
/// How many at a time, if nobody says otherwise.
const AT_ONCE: &str = "5";

/// The page.
///
/// # Errors
/// [`crate::app::AppError::Forbidden`] for clients, or the database fails.
pub async fn rollout_model(
    state: &AppState,
    actor: &Actor,
    typed: Option<(&RolloutForm, &FieldErrors)>,
) -> Result<RolloutModel, PageError> {
    actor.require_admin()?;
    let offer = state.config.worker_offer();
    let versions = fleet_versions(state.db()).await?;
    let is_behind = |reported: &str| offer.as_ref().is_some_and(|offer| offer.is_newer_than(reported));
    let behind = |online: bool| versions.iter().filter(|(version, is)| *is == online && is_behind(version)).count() as u64;
    let rollout = match rollout_newest(state.db()).await? {
        Some(stored) => Some(rollout(state, actor, stored).await?),
        None => None,
    };
    Ok(RolloutModel {
        now: Timestamp::now(),
        offered: offer.as_ref().map(|offer| offer.version.to_string()),
        behind: behind(true),
        offline: behind(false),
        rollout,
        at_once: typed.map_or_else(|| AT_ONCE.to_owned(), |(form, _)| form.at_once.clone()),
        errors: typed.map(|(_, refused)| super::errors(refused)).unwrap_or_default(),
        live: None,
        toast: None,
    })
}

async fn rollout(state: &AppState, actor: &Actor, stored: Stored) -> Result<Rollout, PageError> {
    let of = |step: RolloutStep| stored.servers.iter().filter(|server| stored.step(server) == step).count() as u64;
    let mut shown: Vec<&RolloutServer> = stored.servers.iter().collect();
    if shown.len() > SHOWN {
        shown.sort_by_key(|server| match stored.step(server) {
            RolloutStep::Failed | RolloutStep::Ailing => 0,
            RolloutStep::UnderWay => 1,
            RolloutStep::Waiting => 2,
            RolloutStep::LeftOut => 3,
            RolloutStep::Done => 4,
        });
        shown.truncate(SHOWN);
    }
    let mut rows = Vec::with_capacity(shown.len());
    for server in shown {
        rows.push(row(state, actor, server, stored.step(server)).await?);
    }
    Ok(Rollout {
        version: stored.version.to_string(),
        at_once: count(stored.at_once),
        badge: match stored.state {
            RolloutState::Running => Rollout::RUNNING,
            RolloutState::Stopped => Rollout::STOPPED,
            RolloutState::Cancelled => Rollout::CANCELLED,
            RolloutState::Done => Rollout::DONE,
        },
        unfinished: stored.state.is_unfinished(),
        stopped: stored.state == RolloutState::Stopped,
        asked_by: stored.asked_by_name.clone(),
        asked_at: at(stored.created_ms),
        tally: Tally {
            done: of(RolloutStep::Done),
            under_way: of(RolloutStep::UnderWay),
            waiting: of(RolloutStep::Waiting),
            left_out: of(RolloutStep::LeftOut),
            failed: of(RolloutStep::Failed) + of(RolloutStep::Ailing),
        },
        hold: hold(&stored),
        rows,
    })
}

/// The server that holds up the others without having failed.
fn hold(stored: &Stored) -> Option<Hold> {
    if let Some(server) = stored.ailing() {
        return Some(Hold::Ailing { server: server.name.clone(), roles: server.lost_roles() });
    }
    stored.lost(now_ms(), AWAY_MS).map(|(server, since)| Hold::Away { server: server.name.clone(), since: at(since) })
}

async fn row(state: &AppState, actor: &Actor, server: &RolloutServer, step: RolloutStep) -> Result<RolloutRow, PageError> {
    let operation = server.begun.as_ref().map(|begun| begun.id);
    let row_state = match (step, operation) {
        (RolloutStep::Waiting, _) => RolloutRowState::Waiting,
        (RolloutStep::LeftOut, _) => RolloutRowState::LeftOut(left_out(server)),
        (RolloutStep::Done, _) => RolloutRowState::Done,
        (RolloutStep::Ailing, _) => RolloutRowState::Ailing(server.lost_roles()),
        (RolloutStep::UnderWay, Some(id)) => {
            let standing = standing_of(state, actor, id).await?;
            match (standing.waiting, standing.progress) {
                (Some(waiting), _) => RolloutRowState::Held(waiting),
                (None, progress) => RolloutRowState::UnderWay(progress),
            }
        }
        (RolloutStep::UnderWay, None) => RolloutRowState::UnderWay(None),
        (RolloutStep::Failed, Some(id)) => {
            let failure = standing_of(state, actor, id).await?.failure;
            // The rollout's own Resume tries it again.
            RolloutRowState::Failed(failure.map(|failure| Failure { retry: None, operation: None, ..failure }))
        }
        (RolloutStep::Failed, None) => RolloutRowState::Failed(None),
    };
    Ok(RolloutRow { id: server.server, name: server.name.clone(), version: server.reported.clone(), state: row_state, operation })
}

fn left_out(server: &RolloutServer) -> Option<LeftOut> {
    let offline = server.offline_since_ms.map(|since| LeftOut::Offline { since: at(since) });
    offline.or_else(|| server.paused_since_ms.map(|since| LeftOut::Paused { since: at(since) }))
}
