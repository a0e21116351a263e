//! Goes on with the rollout that is not over: the first server alone, then a few at a time, and none after a failure.

use std::sync::Arc;
use std::time::Duration;

use shared::bus::panel::Hint;
use shared::ids::ServerId;
use shared::role::Role;

use super::{Dispatch, DispatchError, chain};
use crate::store::rollout::{
    AWAY_MS, Rollout, RolloutStep, rollout_begin_in_tx, rollout_is_running, rollout_lock_unfinished_in_tx, rollout_set_state_in_tx,
};
use crate::store::rollout_state::RolloutState;
use crate::store::worker_update::{WorkerUpdate, worker_update_in_tx};
use crate::store::{StoreError, now_ms};

/// How often it is looked at. A worker takes ten seconds and more to update itself.
const PAUSE: Duration = Duration::from_secs(1);

/// Goes on until the process ends.
pub(crate) async fn run(dispatch: Arc<Dispatch>) {
    loop {
        tokio::time::sleep(PAUSE).await;
        if let Err(error) = go_on(&dispatch).await {
            tracing::warn!(error = %chain(&error), "the rollout could not go on; it is looked at again");
        }
    }
}

/// What is to be done for a rollout.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Move {
    /// Nothing now.
    Wait,
    /// These servers' turn has come, by their places.
    Begin(Vec<usize>),
    /// One has failed, is not well any more, or is away for too long.
    Stop,
    /// All are done, but for those that are passed over.
    Finish,
}

/// What is to be done, given how the servers stand, in their order.
#[must_use]
pub fn next_move(steps: &[RolloutStep], at_once: usize) -> Move {
    let many = |wanted: RolloutStep| steps.iter().filter(|step| **step == wanted).count();
    if many(RolloutStep::Failed) + many(RolloutStep::Ailing) > 0 {
        return Move::Stop;
    }
    if many(RolloutStep::Done) + many(RolloutStep::LeftOut) == steps.len() {
        return Move::Finish;
    }
    // Until one is well, one is enough to try.
    let room = if many(RolloutStep::Done) == 0 { 1 } else { at_once.max(1) }.saturating_sub(many(RolloutStep::UnderWay));
    let waiting = (0..steps.len()).filter(|place| steps[*place] == RolloutStep::Waiting);
    match waiting.take(room).collect::<Vec<_>>() {
        none if none.is_empty() => Move::Wait,
        turn => Move::Begin(turn),
    }
}

async fn go_on(dispatch: &Dispatch) -> Result<(), DispatchError> {
    if !rollout_is_running(&dispatch.db).await? {
        return Ok(());
    }
    let mut tx = dispatch.db.write().await?;
    let Some(rollout) = rollout_lock_unfinished_in_tx(&mut tx).await?.filter(|rollout| rollout.state == RolloutState::Running) else {
        return Ok(());
    };
    let mut moved: Vec<ServerId> = Vec::new();
    match turn(&rollout, now_ms()) {
        Move::Wait => return Ok(()),
        Move::Begin(places) => {
            for place in places {
                moved.extend(begin(&mut tx, &rollout, place).await?);
            }
        }
        Move::Stop => {
            rollout_set_state_in_tx(&mut tx, &rollout.id, RolloutState::Stopped).await?;
            tell_stop(&rollout);
            moved.extend(rollout.servers.first().map(|server| server.server));
        }
        Move::Finish => {
            rollout_set_state_in_tx(&mut tx, &rollout.id, RolloutState::Done).await?;
            let left_out = rollout.servers.iter().filter(|server| rollout.step(server) == RolloutStep::LeftOut).count();
            tracing::info!(version = %rollout.version, left_out, "every server of the rollout is updated, but for those that were left out");
            moved.extend(rollout.servers.first().map(|server| server.server));
        }
    }
    tx.commit().await.map_err(StoreError::from)?;
    dispatch.wake.notify_one();
    for server in moved {
        dispatch.hint(&Hint { server: Some(server), ..Hint::default() }).await;
    }
    Ok(())
}

/// What is to be done now.
fn turn(rollout: &Rollout, now_ms: i64) -> Move {
    if rollout.lost(now_ms, AWAY_MS).is_some() {
        return Move::Stop;
    }
    let steps: Vec<RolloutStep> = rollout.servers.iter().map(|server| rollout.step(server)).collect();
    let next = next_move(&steps, rollout.room());
    if next == Move::Finish && rollout.may_return(now_ms, AWAY_MS) { Move::Wait } else { next }
}

fn tell_stop(rollout: &Rollout) {
    let version = &rollout.version;
    if let Some(server) = rollout.ailing() {
        let roles: Vec<&str> = server.lost_roles().into_iter().map(Role::as_str).collect();
        let roles = roles.join(", ");
        tracing::error!(%version, server.name = %server.name, roles, "roles of a server stopped working after its update; the rollout has stopped");
    } else if let Some((server, _)) = rollout.lost(now_ms(), AWAY_MS) {
        tracing::error!(%version, server.name = %server.name, "a server is away and its update is not over; the rollout has stopped");
    } else {
        tracing::error!(%version, "a server could not be updated; the rollout has stopped");
    }
}

/// Queues a server's update. `None` if one is under way that somebody has asked for by itself: that one is waited for.
async fn begin(tx: &mut crate::store::Tx, rollout: &Rollout, place: usize) -> Result<Option<ServerId>, StoreError> {
    let server = &rollout.servers[place];
    let update = WorkerUpdate {
        server: server.server,
        name: &server.name,
        spec: &server.spec,
        asked_by: rollout.asked_by,
        asked_by_name: &rollout.asked_by_name,
    };
    let Some(operation) = worker_update_in_tx(tx, &update).await? else { return Ok(None) };
    rollout_begin_in_tx(tx, &rollout.id, server, operation).await?;
    Ok(Some(server.server))
}

#[cfg(test)]
mod tests {
    use super::{Move, next_move};
    use crate::store::rollout::RolloutStep::{Ailing, Done, Failed, LeftOut, UnderWay, Waiting};

    #[test]
    fn the_first_server_goes_alone_and_then_a_few_at_a_time() {
        assert_eq!(next_move(&[Waiting, Waiting, Waiting], 2), Move::Begin(vec![0]));
        assert_eq!(next_move(&[UnderWay, Waiting, Waiting], 2), Move::Wait);
        assert_eq!(next_move(&[Done, Waiting, Waiting, Waiting], 2), Move::Begin(vec![1, 2]));
        assert_eq!(next_move(&[Done, UnderWay, Done, Waiting], 2), Move::Begin(vec![3]));
        assert_eq!(next_move(&[Done, UnderWay, UnderWay, Waiting], 2), Move::Wait);
        assert_eq!(next_move(&[Done, Done, Done], 2), Move::Finish);
    }

    #[test]
    fn after_a_failure_none_is_begun_whoever_else_is_under_way() {
        for steps in [
            vec![Failed, Waiting],
            vec![Done, UnderWay, Failed, Waiting],
            vec![Done, Failed],
            vec![Ailing, Waiting],
            vec![Done, LeftOut, Ailing],
        ] {
            assert_eq!(next_move(&steps, 5), Move::Stop, "{steps:?}");
        }
    }

    #[test]
    fn servers_that_are_passed_over_hold_up_no_other_and_not_the_end() {
        assert_eq!(next_move(&[LeftOut, Waiting, Waiting], 5), Move::Begin(vec![1]));
        assert_eq!(next_move(&[LeftOut, Done, Waiting, LeftOut, Waiting], 5), Move::Begin(vec![2, 4]));
        assert_eq!(next_move(&[LeftOut, UnderWay], 5), Move::Wait);
        assert_eq!(next_move(&[Done, LeftOut], 5), Move::Finish);
    }

    #[test]
    fn a_first_server_that_left_the_fleet_gives_its_place_to_the_next() {
        assert_eq!(next_move(&[Waiting, Waiting], 5), Move::Begin(vec![0]));
        assert_eq!(next_move(&[], 5), Move::Finish);
    }
}
