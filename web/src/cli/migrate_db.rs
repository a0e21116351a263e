//! `gantry migrate-db`: a panel that began on SQLite goes on on PostgreSQL.

use clap::Args;

use super::admin::print_line;
use crate::store::transfer::transfer;

#[derive(Debug, Args)]
pub(super) struct MigrateDb {
    /// The panel's database so far.
    #[arg(long, default_value = "sqlite:/var/lib/gantry/panel/panel.db")]
    from: String,
    /// An empty PostgreSQL database, `postgres://user@host/name`.
    #[arg(long)]
    to: String,
}

impl MigrateDb {
    pub(super) async fn run(self) -> anyhow::Result<()> {
        for moved in transfer(&self.from, &self.to).await? {
            print_line(&format!("{:>10}  {}", moved.rows, moved.table));
        }
        print_line("All of it arrived. Start the panel with the new database; the old one is as it was.");
        Ok(())
    }
}
