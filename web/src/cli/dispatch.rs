//! `gantry dispatch`.

use std::path::PathBuf;

use anyhow::Context;
use clap::Args;
use shared::bus::credentials::PanelUser;
use shared::bus::topology::Replicas;
use tokio_util::sync::CancellationToken;

use super::{AuthorityArgs, DatabaseArgs};
use crate::dispatch::keys::{load_or_create, write_credentials};
use crate::dispatch::{DispatchConfig, run};
use crate::store::{Db, now_ms};

#[derive(Debug, Args)]
pub(super) struct Dispatch {
    #[command(flatten)]
    database: DatabaseArgs,
    /// The bus, as this process reaches it.
    #[arg(long, env = "GANTRY_BUS_URL", default_value = "tls://127.0.0.1:4222")]
    bus_url: String,
    /// The bus, as workers reach it; the same if not given.
    #[arg(long, env = "GANTRY_BUS_URL_FOR_WORKERS")]
    bus_url_for_workers: Option<String>,
    #[command(flatten)]
    authority: AuthorityArgs,
    /// How many nodes of the bus keep each stream: 1, or 3 on a cluster of three.
    #[arg(long, env = "GANTRY_BUS_REPLICAS", default_value = "1")]
    bus_replicas: Replicas,
    /// The file of the signing keys; made at the first start.
    #[arg(long, env = "GANTRY_BUS_KEYS", default_value = "/var/lib/gantry/dispatch/bus-keys.json")]
    keys: PathBuf,
    /// Write the panel's own way into the bus here at each start.
    #[arg(long, env = "GANTRY_SERVE_CREDENTIALS")]
    serve_credentials: Option<PathBuf>,
    /// The name it leads under. Of two that run at once each needs its own; one that is started in the place of another that
    /// ended, under the same name, leads at once instead of waiting for the other's lease to run out.
    #[arg(long, env = "GANTRY_DISPATCH_NAME")]
    name: Option<String>,
}

impl Dispatch {
    pub(super) async fn run(self, shutdown: CancellationToken) -> anyhow::Result<()> {
        let keys = load_or_create(&self.keys)?;
        if let Some(path) = &self.serve_credentials {
            write_credentials(path, &keys.panel_credentials(PanelUser::Serve, now_ms() / 1000)?)?;
        }
        let db = Db::open(&self.database.database).await.context("the database could not be opened")?;
        let bus_for_workers = self.authority.address(self.bus_url_for_workers.as_ref().unwrap_or(&self.bus_url))?;
        let bus = self.authority.address(&self.bus_url)?;
        run(db, DispatchConfig { bus, bus_for_workers, keys, replicas: self.bus_replicas, name: self.name }, shutdown).await?;
        Ok(())
    }
}
