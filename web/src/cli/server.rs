//! `gantry server`: adds servers and makes the tokens by which their workers join.

use anyhow::Context;
use clap::{Args, Subcommand};
use shared::names::ServerName;
use shared::role::Role;
use shared::tls::{SYSTEM_AUTHORITIES, authorities};

use super::admin::print_line;
use super::{DatabaseArgs, TlsArgs};
use crate::app::operator::{server_ensure, server_token_new};
use crate::config::Config;
use crate::store::Db;
use crate::store::server::NewServer;
use crate::tls::TlsFiles;
use crate::views::join::command;

#[derive(Debug, Args)]
pub(super) struct Server {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Add a server unless it is there, and print a token for its worker; print nothing if it was there.
    Ensure {
        /// Its name on the bus and on pages.
        name: ServerName,
        #[command(flatten)]
        database: DatabaseArgs,
        /// Its FQDN.
        #[arg(long)]
        hostname: String,
        /// What it is for; may be repeated.
        #[arg(long = "role", required = true)]
        roles: Vec<Role>,
        /// The address its sites answer on.
        #[arg(long, default_value = "")]
        address: String,
    },
    /// Print a new token for a server's worker; one made before and not used stops working.
    Token {
        /// The server.
        name: ServerName,
        #[command(flatten)]
        database: DatabaseArgs,
    },
    /// Print the command by which a host joins with a token, as the server's page shows it.
    #[command(name = "join-command")]
    Join {
        /// The token. One in 64 begins with a hyphen.
        #[arg(long, allow_hyphen_values = true)]
        token: String,
        /// The panel's address as the host reaches it.
        #[arg(long, env = "GANTRY_PUBLIC_URL")]
        public_url: String,
        #[command(flatten)]
        tls: TlsArgs,
    },
    /// Print the fingerprint of the panel's certificate, which workers pin.
    Fingerprint {
        #[command(flatten)]
        tls: TlsArgs,
    },
}

impl Server {
    pub(super) async fn run(self) -> anyhow::Result<()> {
        match self.command {
            Command::Ensure { name, database, hostname, roles, address } => {
                let db = open(&database).await?;
                let new = NewServer { name, hostname, roles, address, max_accounts: None };
                if let Some(token) = server_ensure(&db, &new).await? {
                    print_line(token.expose());
                }
                db.close().await;
            }
            Command::Token { name, database } => {
                let db = open(&database).await?;
                let token = server_token_new(&db, &name).await.with_context(|| format!("no token was made for a server called {name}"))?;
                print_line(token.expose());
                db.close().await;
            }
            Command::Join { token, public_url, tls } => {
                let config = Config::new(&public_url);
                let authorities = authorities(&std::fs::read(SYSTEM_AUTHORITIES).unwrap_or_default());
                let trust = TlsFiles::within(&tls.tls_dir).trust(&config.host, authorities)?;
                print_line(&command(&config.public_url, &trust, &token));
            }
            Command::Fingerprint { tls } => print_line(&TlsFiles::within(&tls.tls_dir).fingerprint()?),
        }
        Ok(())
    }
}

async fn open(database: &DatabaseArgs) -> anyhow::Result<Db> {
    Db::open(&database.database).await.context("the database could not be opened")
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::{Command, Server};

    #[derive(Parser)]
    struct Line {
        #[command(flatten)]
        server: Server,
    }

    #[test]
    fn a_token_that_begins_with_a_hyphen_is_no_option() {
        let line = ["server", "join-command", "--token", "-Pq3", "--public-url", "https://panel.example"];
        let Command::Join { token, .. } = Line::try_parse_from(line).unwrap_or_else(|error| panic!("{error}")).server.command else {
            panic!("another command")
        };
        assert_eq!(token, "-Pq3");
    }
}
