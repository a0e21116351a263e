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
        print_line(
            "All of it arrived. Set GANTRY_DATABASE in /etc/gantry/gantry.env and start the panel. The old database is as it was, with a \
             mark beside it that keeps it from being used by mistake.",
        );
        Ok(())
    }
}
