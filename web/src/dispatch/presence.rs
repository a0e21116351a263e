//! Who is there: heartbeats every ten seconds, and the bus's word when a connection closes.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use futures::StreamExt;
use shared::bus::panel::{Hint, Signal};
use shared::events::Heartbeat;
use shared::ids::ServerId;

use super::{Dispatch, chain};
use crate::store::server::{server_heartbeat_in_tx, server_list_silent, server_mark_offline, server_set_peer};
use crate::store::server_sample::{minute_of, server_sample_keep_in_tx};
use crate::store::{StoreError, now_ms};

/// Heartbeats are written together, this often.
const PAUSE: Duration = Duration::from_millis(500);
/// Three heartbeats and a half: a silent cut shows within 40 s.
const SILENCE_MS: i64 = 35_000;

/// Keeps heartbeats, and marks silent servers offline.
pub(crate) async fn run(dispatch: Arc<Dispatch>) {
    let mut signals = match dispatch.bus.heartbeats().await {
        Ok(signals) => signals,
        Err(error) => {
            tracing::error!(error = %chain(&error), "heartbeats cannot be heard");
            return;
        }
    };
    let mut pending = HashMap::new();
    let mut sampled = HashMap::new();
    let mut tick = tokio::time::interval(PAUSE);
    loop {
        tokio::select! {
            signal = signals.next() => {
                let Some(signal) = signal else { return };
                receive(&dispatch, &signal, &mut pending).await;
            }
            _ = tick.tick() => {
                if let Err(error) = write(&dispatch, &mut pending, &mut sampled).await {
                    tracing::warn!(error = %chain(&error), "heartbeats were not kept");
                }
            }
        }
    }
}

/// Hears of closed connections.
pub(crate) async fn listen_for_disconnects(dispatch: Arc<Dispatch>) {
    let mut gone = match dispatch.bus.disconnects().await {
        Ok(gone) => Box::pin(gone),
        Err(error) => {
            tracing::error!(error = %chain(&error), "closed connections cannot be heard of");
            return;
        }
    };
    while let Some(public_key) = gone.next().await {
        match dispatch.workers.find_by_key(&dispatch.db, &public_key).await {
            Ok(Some(server)) => mark_offline(&dispatch, server).await,
            Ok(None) => {}
            Err(error) => tracing::warn!(error = %chain(&error), "a closed connection could not be looked up"),
        }
    }
}

/// Hears where connections come from.
pub(crate) async fn listen_for_connects(dispatch: Arc<Dispatch>) {
    let mut come = match dispatch.bus.connects().await {
        Ok(come) => Box::pin(come),
        Err(error) => {
            tracing::error!(error = %chain(&error), "new connections cannot be heard of");
            return;
        }
    };
    while let Some((public_key, peer)) = come.next().await {
        let kept = async {
            if let Some(server) = dispatch.workers.find_by_key(&dispatch.db, &public_key).await? {
                server_set_peer(&dispatch.db, server, &peer).await?;
                dispatch.hint(&hint_of(server)).await;
            }
            Ok::<_, StoreError>(())
        };
        if let Err(error) = kept.await {
            tracing::warn!(error = %chain(&error), "where a worker connects from was not kept");
        }
    }
}

async fn mark_offline(dispatch: &Dispatch, server: ServerId) {
    match server_mark_offline(&dispatch.db, server).await {
        Ok(true) => {
            tracing::warn!(server.id = %server, "a server went offline");
            dispatch.hint(&hint_of(server)).await;
        }
        Ok(false) => {}
        Err(error) => tracing::warn!(error = %chain(&error), "a server's absence was not kept"),
    }
}

async fn receive(dispatch: &Dispatch, signal: &Signal, pending: &mut HashMap<ServerId, Heartbeat>) {
    let Some(name) = signal.sender() else { return };
    let Ok(Some(worker)) = dispatch.workers.find(&dispatch.db, &name).await else { return };
    match signal.open_heartbeat(&worker.public_key) {
        Ok(heartbeat) if heartbeat.server == name => {
            pending.insert(worker.id, heartbeat);
        }
        Ok(_) | Err(_) => tracing::error!(server.name = %name, "a heartbeat that its server did not sign was dropped"),
    }
}

/// `sampled` has the minute of the last sample of each server.
async fn write(
    dispatch: &Dispatch,
    pending: &mut HashMap<ServerId, Heartbeat>,
    sampled: &mut HashMap<ServerId, i64>,
) -> Result<(), StoreError> {
    for server in server_list_silent(&dispatch.db, now_ms(), SILENCE_MS).await? {
        mark_offline(dispatch, server).await;
    }
    if pending.is_empty() {
        return Ok(());
    }
    let mut tx = dispatch.db.write().await?;
    let minute = minute_of(now_ms());
    let mut seen = Vec::new();
    for (server, heartbeat) in pending.drain() {
        if server_heartbeat_in_tx(&mut tx, server, &heartbeat).await? {
            tracing::info!(server.name = %heartbeat.server, "a server is online");
        }
        if sampled.insert(server, minute) != Some(minute) {
            server_sample_keep_in_tx(&mut tx, server, minute, &heartbeat.host).await?;
        }
        seen.push(server);
    }
    tx.commit().await?;
    for server in seen {
        dispatch.hint(&hint_of(server)).await;
    }
    Ok(())
}

const fn hint_of(server: ServerId) -> Hint {
    Hint { resource: None, account: None, operation: None, server: Some(server), user: None }
}
