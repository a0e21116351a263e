//! Who is there: heartbeats every ten seconds, and the bus's word when a connection closes.
//!
//! **A closed connection shows at once, and no heartbeat from before it changes that**: neither one that waits to be written nor one
//! that is still on its way. It counts when the bus says that the worker has connected again.
//! **A silent cut shows after three heartbeats and a half.**

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;
use std::time::{Duration, Instant};

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

/// A heartbeat that comes within so long after its connection has closed was sent before.
const LATE: Duration = Duration::from_secs(2);
/// A worker with good credentials is refused for less than this, when the bus has lost its store.
const MOMENT: Duration = Duration::from_mins(1);

/// What was heard of servers and is not written yet.
#[derive(Debug, Default)]
pub(crate) struct Heard {
    pending: HashMap<ServerId, Heartbeat>,
    /// The connection that each was heard to begin.
    connected: HashMap<ServerId, String>,
    gone: HashMap<ServerId, Gone>,
    /// Since when its credentials are refused without a connection of it in between.
    refused: HashMap<ServerId, Instant>,
}

/// A server whose connection has closed.
#[derive(Debug)]
struct Gone {
    at: Instant,
    /// Counts if the worker is there again: then it may be the new connection's.
    held: Option<Heartbeat>,
}

impl Heard {
    fn beat(&mut self, server: ServerId, heartbeat: Heartbeat, now: Instant) {
        if let Some(gone) = self.gone.get_mut(&server) {
            if now.duration_since(gone.at) < LATE {
                gone.held = Some(heartbeat);
                return;
            }
            // The bus's word of the new connection was lost.
            self.gone.remove(&server);
        }
        self.pending.insert(server, heartbeat);
    }

    fn came(&mut self, server: ServerId, connection: String) {
        self.connected.insert(server, connection);
        self.refused.remove(&server);
        if let Some(held) = self.gone.remove(&server).and_then(|gone| gone.held) {
            self.pending.entry(server).or_insert(held);
        }
    }

    /// Whether somebody with the credentials of a server has been refused for so long that it is not the server's own worker.
    fn refused_for_long(&mut self, server: ServerId, now: Instant) -> bool {
        now.duration_since(*self.refused.entry(server).or_insert(now)) >= MOMENT
    }

    /// Whether the server is away now. False if another connection of it has begun since.
    fn left(&mut self, server: ServerId, connection: &str, now: Instant) -> bool {
        if self.connected.get(&server).is_some_and(|connected| connected != connection) {
            return false;
        }
        self.connected.remove(&server);
        let held = self.pending.remove(&server);
        self.gone.insert(server, Gone { at: now, held });
        true
    }
}

/// Keeps heartbeats, and marks silent servers offline.
pub(crate) async fn run(dispatch: Arc<Dispatch>) {
    let mut signals = match dispatch.bus.heartbeats().await {
        Ok(signals) => signals,
        Err(error) => {
            tracing::error!(error = %chain(&error), "heartbeats cannot be heard");
            return;
        }
    };
    let mut sampled = Sampled::new();
    let mut tick = tokio::time::interval(PAUSE);
    loop {
        tokio::select! {
            signal = signals.next() => {
                let Some(signal) = signal else { return };
                receive(&dispatch, &signal).await;
            }
            _ = tick.tick() => {
                if let Err(error) = write(&dispatch, &mut sampled).await {
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
    while let Some(connection) = gone.next().await {
        let kept = async {
            let Some(server) = dispatch.workers.find_by_key(&dispatch.db, &connection.public_key).await? else { return Ok(()) };
            // What is being written now is over before.
            if dispatch.heard.lock().await.left(server, &connection.id, Instant::now()) {
                mark_offline(&dispatch, server, dispatch.db.clock_ms().await?).await;
            }
            Ok::<_, StoreError>(())
        };
        if let Err(error) = kept.await {
            tracing::warn!(error = %chain(&error), "a closed connection could not be looked up");
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
    while let Some(connection) = come.next().await {
        let kept = async {
            if let Some(server) = dispatch.workers.find_by_key(&dispatch.db, &connection.public_key).await? {
                dispatch.heard.lock().await.came(server, connection.id);
                server_set_peer(&dispatch.db, server, &connection.host).await?;
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
        Some(key) => dispatch.workers.find_by_key(&dispatch.db, key).await?,
        None => None,
    };
    if refused.kind == SecurityKind::RefusedCredentials
        && let Some(server) = known
        && !dispatch.heard.lock().await.refused_for_long(server, Instant::now())
    {
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

async fn mark_offline(dispatch: &Dispatch, server: ServerId, now: i64) {
    match server_mark_offline(&dispatch.db, server, now).await {
        Ok(true) => {
            tracing::warn!(server.id = %server, "a server went offline");
            dispatch.hint(&Hint { presence: true, ..hint_of(server) }).await;
        }
        Ok(false) => {}
        Err(error) => tracing::warn!(error = %chain(&error), "a server's absence was not kept"),
    }
}

async fn receive(dispatch: &Dispatch, signal: &Signal) {
    let Some(name) = signal.sender() else { return };
    let Ok(Some(worker)) = dispatch.workers.find(&dispatch.db, &name).await else { return };
    match signal.open_heartbeat(&worker.public_key) {
        Ok(heartbeat) if heartbeat.server == name => {
            dispatch.heard.lock().await.beat(worker.id, heartbeat, Instant::now());
        }
        Ok(_) | Err(_) => dispatch.refused(SecurityKind::ForgedEvent, name.as_str(), "a heartbeat").await,
    }
}

/// The minute of the last sample of each server.
type Sampled = HashMap<ServerId, i64>;

/// Marks silent servers offline, and keeps what was heard: all together, or one by one, so that what can never be kept of one server
/// takes no other's with it.
async fn write(dispatch: &Dispatch, sampled: &mut Sampled) -> Result<(), StoreError> {
    // The one clock of all who write the same rows; theirs may differ.
    let now = dispatch.db.clock_ms().await?;
    for server in server_list_silent(&dispatch.db, now, SILENCE_MS).await? {
        mark_offline(dispatch, server, now).await;
    }
    // Until all is written: a connection that closes meanwhile is marked after it.
    let mut heard = dispatch.heard.lock().await;
    let pending = &mut heard.pending;
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
    let (mut seen, mut back) = (Vec::with_capacity(beats.len()), BTreeSet::new());
    let mut tx = dispatch.db.write().await?;
    for (server, heartbeat) in beats {
        match server_heartbeat_in_tx(&mut tx, *server, heartbeat, now).await? {
            HeardOf::Nobody => continue,
            HeardOf::Back => {
                tracing::info!(server.name = %heartbeat.server, "a server is online");
                back.insert(*server);
            }
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
        dispatch.hint(&Hint { presence: back.contains(&server), ..hint_of(server) }).await;
    }
    Ok(())
}

fn hint_of(server: ServerId) -> Hint {
    Hint { server: Some(server), ..Hint::default() }
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, Instant};

    use shared::events::{Heartbeat, HostFacts};
    use shared::ids::ServerId;

    use super::{Heard, LATE, MOMENT, PAUSE, SILENCE_MS};

    fn beat(number: u32) -> Heartbeat {
        Heartbeat {
            server: "web1".parse().unwrap(),
            at_ms: 0,
            boot: String::new(),
            version: String::new(),
            roles: Vec::new(),
            php_versions: Vec::new(),
            host: HostFacts::default(),
            jobs_waiting: number,
            events_waiting: 0,
            ledger_resources: 0,
            look: None,
        }
    }

    /// What would be written now.
    fn pending(heard: &Heard, server: ServerId) -> Option<u32> {
        heard.pending.get(&server).map(|beat| beat.jobs_waiting)
    }

    #[test]
    fn a_heartbeat_from_before_a_close_does_not_count_whether_it_waits_or_is_on_its_way() {
        let (mut heard, server, start) = (Heard::default(), ServerId::new(), Instant::now());
        heard.came(server, "one".to_owned());
        heard.beat(server, beat(1), start);
        assert_eq!(pending(&heard, server), Some(1));
        assert!(heard.left(server, "one", start));
        assert_eq!(pending(&heard, server), None, "it waited to be written");
        heard.beat(server, beat(2), start + LATE / 2);
        assert_eq!(pending(&heard, server), None, "it was on its way");
        heard.beat(server, beat(3), start + LATE);
        assert_eq!(pending(&heard, server), Some(3), "the word of its new connection was lost");
    }

    #[test]
    fn a_worker_that_is_back_at_once_counts_whatever_comes_first() {
        let (mut heard, server, start) = (Heard::default(), ServerId::new(), Instant::now());
        heard.came(server, "one".to_owned());
        // The new connection's heartbeat is here before the bus's word of either.
        heard.beat(server, beat(2), start);
        assert!(heard.left(server, "one", start));
        heard.came(server, "two".to_owned());
        assert_eq!(pending(&heard, server), Some(2));
        // The word of the new connection is here before that of the old one's end.
        heard.came(server, "three".to_owned());
        assert!(!heard.left(server, "two", start));
        assert_eq!(pending(&heard, server), Some(2));
        assert!(heard.left(server, "three", start));
    }

    /// Somebody who had a worker's credentials without its key could try for ever, and nobody was told.
    #[test]
    fn credentials_that_stay_refused_are_not_those_of_a_worker_whose_bus_has_lost_its_store() {
        let (mut heard, server, start) = (Heard::default(), ServerId::new(), Instant::now());
        assert!(!heard.refused_for_long(server, start));
        assert!(!heard.refused_for_long(server, start + MOMENT / 2));
        assert!(heard.refused_for_long(server, start + MOMENT));
        heard.came(server, "one".to_owned());
        assert!(!heard.refused_for_long(server, start + 2 * MOMENT), "it was let in meanwhile");
    }

    #[test]
    fn a_silent_cut_shows_within_40_seconds_and_two_lost_heartbeats_do_not() {
        let heartbeat = Duration::from_secs(10);
        let silence = Duration::from_millis(SILENCE_MS.unsigned_abs());
        assert!(silence > 3 * heartbeat);
        assert!(silence + 2 * PAUSE < Duration::from_secs(40), "it is looked for with every write");
    }
}
