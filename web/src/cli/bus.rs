//! `gantry bus`: which panel the bus serves.

use anyhow::Context;
use clap::{Args, Subcommand};

use super::DatabaseArgs;
use super::admin::print_line;
use crate::app::operator::bus_adopt;
use crate::store::Db;
use crate::store::panel::panel_epoch;

#[derive(Debug, Args)]
pub(super) struct Bus {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Let the bus serve the panel of this database from now on, although it has served another copy of it: after a backup was
    /// restored. A dispatch that runs with the other copy stands back.
    Adopt {
        #[command(flatten)]
        database: DatabaseArgs,
    },
}

impl Bus {
    pub(super) async fn run(self) -> anyhow::Result<()> {
        let Command::Adopt { database } = self.command;
        let db = Db::open(&database.database).await.context("the database could not be opened")?;
        // A database that nothing has led yet has no panel to name.
        panel_epoch(&db).await?;
        bus_adopt(&db).await?;
        db.close().await;
        print_line("The dispatch of this database leads within seconds, or as soon as it is started.");
        Ok(())
    }
}
