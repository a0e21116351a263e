//! `gantry admin`: the way in for the operator of the panel.

use std::sync::Arc;

use anyhow::Context;
use clap::{Args, Subcommand};

use super::DatabaseArgs;
use crate::app::App;
use crate::app::preview::NoWorkers;
use crate::app::signal::NoSignals;
use crate::app::user::{first_admin, password_reset};
use crate::auth::password::Hasher;
use crate::store::Db;
use crate::store::user::Login;

#[derive(Debug, Args)]
pub(super) struct Admin {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Make the first admin and print the one-time password; print nothing if there is an admin already.
    First {
        #[command(flatten)]
        database: DatabaseArgs,
        /// What the admin signs in as.
        #[arg(long, default_value = "admin")]
        login: Login,
    },
    /// Give an admin a new one-time password, print it, and end their sessions.
    Reset {
        #[command(flatten)]
        database: DatabaseArgs,
        /// What the admin signs in as.
        #[arg(long, default_value = "admin")]
        login: Login,
    },
}

impl Admin {
    pub(super) async fn run(self) -> anyhow::Result<()> {
        match self.command {
            Command::First { database, login } => {
                let app = app(open(&database).await?)?;
                if let Some(password) = first_admin(&app, &login).await? {
                    print_line(password.expose());
                }
                app.db.close().await;
            }
            Command::Reset { database, login } => {
                let app = app(open(&database).await?)?;
                print_line(password_reset(&app, &login).await?.expose());
                app.db.close().await;
            }
        }
        Ok(())
    }
}

async fn open(database: &DatabaseArgs) -> anyhow::Result<Db> {
    Db::open(&database.database).await.context("the database could not be opened")
}

/// The use cases without a bus: whoever is signed in notices at the next look at the tables.
fn app(db: Db) -> anyhow::Result<App> {
    Ok(App { db, hasher: Hasher::new()?, signals: Arc::new(NoSignals), workers: Arc::new(NoWorkers), panel_host: "localhost".into() })
}

/// The command's result goes to standard output, alone, so that scripts can take it.
pub(super) fn print_line(text: &str) {
    use std::io::Write;
    let _ = writeln!(std::io::stdout(), "{text}");
}
