//! Who may say what: the servers' public keys, kept for a few seconds.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use shared::ids::ServerId;
use shared::names::ServerName;
use tokio::sync::Mutex;

use crate::store::server::server_key_list;
use crate::store::{Db, StoreError};

/// A server that has joined.
#[derive(Debug, Clone)]
pub(crate) struct Worker {
    /// The server.
    pub(crate) id: ServerId,
    /// Its key: what it sends is signed with it.
    pub(crate) public_key: String,
}

/// A cache of the servers that have joined.
#[derive(Debug, Default)]
pub(crate) struct Workers {
    cache: Mutex<Option<Cache>>,
}

#[derive(Debug)]
struct Cache {
    read: Instant,
    by_name: HashMap<ServerName, Worker>,
}

/// A server that another process has changed is noticed after at most this long.
const FRESH: Duration = Duration::from_secs(2);
/// An unknown name makes the cache read again, but not more often than this: a flood of strangers costs nothing.
const PAUSE: Duration = Duration::from_millis(200);

impl Workers {
    /// Forgets what was read. To be called when a worker joins: what it says first, signed with a key of its own, must not
    /// be taken for a stranger's.
    pub(crate) async fn forget(&self) {
        *self.cache.lock().await = None;
    }

    /// The server of this name, if it has joined.
    ///
    /// # Errors
    /// The database fails.
    pub(crate) async fn find(&self, db: &Db, name: &ServerName) -> Result<Option<Worker>, StoreError> {
        let mut cache = self.cache.lock().await;
        let stale = cache.as_ref().is_none_or(|cache| {
            let age = cache.read.elapsed();
            age > FRESH || (age > PAUSE && !cache.by_name.contains_key(name))
        });
        if stale {
            *cache = Some(read(db).await?);
        }
        Ok(cache.as_ref().and_then(|cache| cache.by_name.get(name).cloned()))
    }

    /// The server that has this public key.
    ///
    /// # Errors
    /// The database fails.
    pub(crate) async fn find_by_key(&self, db: &Db, public_key: &str) -> Result<Option<ServerId>, StoreError> {
        let mut cache = self.cache.lock().await;
        if cache.as_ref().is_none_or(|cache| cache.read.elapsed() > FRESH) {
            *cache = Some(read(db).await?);
        }
        Ok(cache.as_ref().and_then(|cache| cache.by_name.values().find(|worker| worker.public_key == public_key).map(|worker| worker.id)))
    }
}

async fn read(db: &Db) -> Result<Cache, StoreError> {
    let by_name = server_key_list(db)
        .await?
        .into_iter()
        .map(|server| (server.name, Worker { id: server.id, public_key: server.public_key }))
        .collect();
    Ok(Cache { read: Instant::now(), by_name })
}
