//! Who is there: heartbeats every ten seconds, and the bus's word when a connection closes.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use futures::StreamExt;
use shared::bus::panel::{Hint, Signal};
use shared::bus::refusals::RefusedConnection;
use shared::events::Heartbeat;
use shared::ids::ServerId;
use shared::security::SecurityKind;

use super::{Dispatch, chain};
use crate::store::server::{HeardOf, server_heartbeat_in_tx, server_list_silent, server_mark_offline, server_set_peer};
use crate::store::server_sample::{minute_of, server_sample_keep_in_tx};
use crate::store::{Again, StoreError};

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
    let mut sampled = Sampled::new();
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

/// Hears of connections that the bus refused, and tells admins of those that are a matter of security.
pub(crate) async fn listen_for_refusals(dispatch: Arc<Dispatch>) {
    let mut refusals = match dispatch.bus.refusals().await {
        Ok(refusals) => Box::pin(refusals),
        Err(error) => {
            tracing::error!(error = %chain(&error), "refused connections cannot be heard of");
            return;
        }
    };
    while let Some(refused) = refusals.next().await {
        if let Err(error) = tell(&dispatch, &refused).await {
            tracing::warn!(error = %chain(&error), "a refused connection could not be looked up");
        }
    }
}

async fn tell(dispatch: &Dispatch, refused: &RefusedConnection) -> Result<(), StoreError> {
    let known = match &refused.public_key {
        Some(key) => dispatch.workers.find_by_key(&dispatch.db, key).await?.is_some(),
        None => false,
    };
    // A worker with good credentials is refused for a moment when the bus has lost its store.
    if refused.kind == SecurityKind::RefusedCredentials && known {
        return Ok(());
    }
    // A stranger may call itself what it likes; only a server's own name is told apart.
    let name = match refused.name.parse() {
        Ok(name) => dispatch.workers.find(&dispatch.db, &name).await?.map(|_| name.to_string()),
        Err(_) => None,
    };
    let called: String = refused.name.chars().filter(|c| !c.is_control()).take(64).collect();
    let detail = format!("a client that calls itself {called:?}, from {}: {}", refused.host, refused.reason);
    dispatch.refused(refused.kind, name.as_deref().unwrap_or_default(), &detail).await;
    Ok(())
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
        Ok(_) | Err(_) => dispatch.refused(SecurityKind::ForgedEvent, name.as_str(), "a heartbeat").await,
    }
}

/// The minute of the last sample of each server.
type Sampled = HashMap<ServerId, i64>;

/// Marks silent servers offline, and keeps what was heard: all together, or one by one, so that what can never be kept of one server
/// takes no other's with it.
async fn write(dispatch: &Dispatch, pending: &mut HashMap<ServerId, Heartbeat>, sampled: &mut Sampled) -> Result<(), StoreError> {
    // The one clock of all who write the same rows; theirs may differ.
    let now = dispatch.db.clock_ms().await?;
    for server in server_list_silent(&dispatch.db, now, SILENCE_MS).await? {
        mark_offline(dispatch, server).await;
    }
    if pending.is_empty() {
        return Ok(());
    }
    let mut beats: Vec<_> = pending.drain().collect();
    // In one order always, so that two transactions do not wait for each other's servers.
    beats.sort_unstable_by_key(|(server, _)| *server);
    let Err(error) = keep(dispatch, &beats, sampled, now).await else { return Ok(()) };
    if error.again() == Again::Later {
        return Err(error);
    }
    for beat in &beats {
        if let Err(error) = keep(dispatch, std::slice::from_ref(beat), sampled, now).await {
            drop_one(dispatch, beat, &error).await;
        }
    }
    Ok(())
}

/// The next heartbeat comes in ten seconds; one that can never be kept is a matter of security.
async fn drop_one(dispatch: &Dispatch, (_, heartbeat): &(ServerId, Heartbeat), error: &StoreError) {
    match error.again() {
        Again::Later | Again::AtOnce => {
            tracing::warn!(server.name = %heartbeat.server, error = %chain(error), "a heartbeat was not kept");
        }
        Again::Never => {
            let detail = format!("a heartbeat: {}", chain(error));
            dispatch.refused(SecurityKind::UnusableMessage, heartbeat.server.as_str(), &detail).await;
        }
    }
}

async fn keep(dispatch: &Dispatch, beats: &[(ServerId, Heartbeat)], sampled: &mut Sampled, now: i64) -> Result<(), StoreError> {
    let minute = minute_of(now);
    let mut seen = Vec::with_capacity(beats.len());
    let mut tx = dispatch.db.write().await?;
    for (server, heartbeat) in beats {
        match server_heartbeat_in_tx(&mut tx, *server, heartbeat, now).await? {
            HeardOf::Nobody => continue,
            HeardOf::Back => tracing::info!(server.name = %heartbeat.server, "a server is online"),
            HeardOf::Online => {}
        }
        if sampled.get(server) != Some(&minute) {
            server_sample_keep_in_tx(&mut tx, *server, minute, &heartbeat.host).await?;
        }
        seen.push(*server);
    }
    tx.commit().await?;
    for server in seen {
        sampled.insert(server, minute);
        dispatch.hint(&hint_of(server)).await;
    }
    Ok(())
}

const fn hint_of(server: ServerId) -> Hint {
    Hint { resource: None, account: None, operation: None, server: Some(server), user: None, audit: false, security: false }
}
