//! What every handler works with.

use std::sync::Arc;

use crate::app::App;
use crate::app::preview::{NoWorkers, Workers};
use crate::app::signal::Signals;
use crate::assets::Assets;
use crate::auth::password::{HashError, Hasher};
use crate::config::Config;
use crate::store::Db;

/// The web tier's state. Cheap to clone.
#[derive(Clone)]
pub struct AppState {
    /// What use cases work with.
    pub app: App,
    /// Settings.
    pub config: Arc<Config>,
    /// Static files, compressed.
    pub assets: Arc<Assets>,
}

impl AppState {
    /// The state over a database. `signals` takes what has changed, after each commit.
    ///
    /// # Errors
    /// No password can be hashed, which does not happen.
    pub fn new(db: Db, config: Config, signals: Arc<dyn Signals>) -> Result<Self, HashError> {
        let workers = Arc::new(NoWorkers);
        let app = App { db, hasher: Hasher::new()?, signals, workers, panel_host: config.host.as_str().into() };
        Ok(Self { app, config: Arc::new(config), assets: Arc::new(Assets::new()) })
    }

    /// The state with somebody who answers questions about servers.
    #[must_use]
    pub fn asking(mut self, workers: Arc<dyn Workers>) -> Self {
        self.app.workers = workers;
        self
    }

    /// The database, for reading.
    #[must_use]
    pub const fn db(&self) -> &Db {
        &self.app.db
    }
}
