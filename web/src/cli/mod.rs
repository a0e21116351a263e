//! `gantry`: the panel's commands. Each is a file here.

mod admin;
pub mod asking;
mod authority;
mod backup;
mod bus;
mod cluster;
mod dispatch;
mod forward;
mod migrate_db;
mod serve;
mod server;
mod up;

use std::path::PathBuf;

use anyhow::Context;
use clap::{Args, Parser, Subcommand};
use shared::bus::authority::BusAddress;
use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;
use tracing::level_filters::LevelFilter;
use tracing_subscriber::filter::Targets;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;

/// The Gantry web-hosting control panel.
#[derive(Debug, Parser)]
#[command(name = "gantry", version, about)]
pub struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run everything on this machine: bus, dispatch, panel.
    Up(up::Up),
    /// Serve the panel's pages.
    Serve(serve::Serve),
    /// Command the workers. Holds the signing keys.
    Dispatch(dispatch::Dispatch),
    /// Bring the database's schema up to date.
    Migrate(DatabaseArgs),
    /// Move the panel from a SQLite file to an empty PostgreSQL database. Nothing else may use either meanwhile.
    MigrateDb(migrate_db::MigrateDb),
    /// Make the keys, certificates and configurations of a bus of several nodes.
    Cluster(cluster::Cluster),
    /// Make the first admin, or give an admin a new one-time password.
    Admin(admin::Admin),
    /// Copy all that this machine's panel needs to be itself again into a new directory, while it runs.
    Backup(backup::Backup),
    /// Say which panel the bus serves.
    Bus(bus::Bus),
    /// Add servers and let workers join.
    Server(server::Server),
    /// Forward a local port to the servers, by the site's name. For trying Gantry out.
    ForwardSites(forward::ForwardSites),
}

/// Where the database is.
#[derive(Debug, Clone, Args)]
pub struct DatabaseArgs {
    /// `sqlite:/path/to/panel.db` or `postgres://user@host/name`; what /etc/gantry/gantry.env says if not given, or else the SQLite
    /// file in /var/lib/gantry.
    #[arg(long, env = "GANTRY_DATABASE", hide_env_values = true, default_value_t = installed_database(), hide_default_value = true)]
    pub database: String,
}

/// The settings of the panel that is installed as a service.
const SETTINGS: &str = "/etc/gantry/gantry.env";

/// The database of the installed panel, so that a command in somebody's shell means the one that the service uses.
fn installed_database() -> String {
    let settings = std::fs::read_to_string(SETTINGS).unwrap_or_default();
    database_in(&settings).unwrap_or("sqlite:/var/lib/gantry/panel/panel.db").to_owned()
}

/// What a file of settings, as systemd reads it, says of the database.
fn database_in(settings: &str) -> Option<&str> {
    let mut values = settings.lines().filter_map(|line| line.trim().strip_prefix("GANTRY_DATABASE="));
    values.next_back().map(|value| value.trim().trim_matches(['"', '\''])).filter(|value| !value.is_empty())
}

/// Who vouches for the bus.
#[derive(Debug, Clone, Args)]
pub struct AuthorityArgs {
    /// The certificate of the bus's authority, PEM, as `gantry up` writes it.
    #[arg(long, env = "GANTRY_BUS_AUTHORITY", default_value = "/var/lib/gantry/bus-authority.crt")]
    pub bus_authority: PathBuf,
}

impl AuthorityArgs {
    /// The bus at a place.
    ///
    /// # Errors
    /// The file cannot be read.
    pub fn address(&self, url: &str) -> anyhow::Result<BusAddress> {
        let authority = std::fs::read_to_string(&self.bus_authority)
            .with_context(|| format!("the bus authority's certificate {} could not be read", self.bus_authority.display()))?;
        Ok(BusAddress { url: url.to_owned(), authority })
    }
}

/// Where the panel's certificate is.
#[derive(Debug, Clone, Args)]
pub struct TlsArgs {
    /// The directory of `panel.crt` and `panel.key`; made at the first start.
    #[arg(long, env = "GANTRY_TLS_DIR", default_value = "/var/lib/gantry/tls")]
    pub tls_dir: PathBuf,
}

/// Runs the command line.
///
/// # Errors
/// Whatever stops the command, with all its causes.
pub async fn run() -> anyhow::Result<()> {
    let cli = Cli::parse();
    // One TLS provider for the whole process; installing it twice is harmless.
    let _ = rustls::crypto::ring::default_provider().install_default();
    match cli.command {
        Command::Up(up) => up.run(stop_signal()?).await,
        Command::Serve(serve) => serve.run(stop_signal()?).await,
        Command::Dispatch(dispatch) => dispatch.run(stop_signal()?).await,
        Command::Migrate(args) => {
            crate::store::Db::open(&args.database).await?.close().await;
            Ok(())
        }
        Command::MigrateDb(migrate) => migrate.run().await,
        Command::Cluster(cluster) => cluster.run(),
        Command::Admin(admin) => admin.run().await,
        Command::Backup(backup) => backup.run().await,
        Command::Bus(bus) => bus.run().await,
        Command::Server(server) => server.run().await,
        Command::ForwardSites(forward) => forward.run(stop_signal()?).await,
    }
}

/// Cancelled by Ctrl-C or SIGTERM.
fn stop_signal() -> anyhow::Result<CancellationToken> {
    let token = CancellationToken::new();
    let (mut interrupt, mut terminate) = (signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?);
    let stop = token.clone();
    tokio::spawn(async move {
        tokio::select! {
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
        }
        stop.cancel();
    });
    Ok(token)
}

/// Sends logs to standard error: readable in a terminal, JSON under systemd or in a container.
pub fn install_log() {
    use std::io::IsTerminal;
    let level = std::env::var("GANTRY_LOG").ok().and_then(|level| level.parse().ok()).unwrap_or(LevelFilter::INFO);
    // The bus client reports each step of a connection; what matters of it is said by `shared::bus::client`.
    let filter = Targets::new().with_default(level).with_target("async_nats", LevelFilter::WARN);
    let lines = tracing_subscriber::fmt::layer().with_writer(std::io::stderr).with_target(false);
    let registry = tracing_subscriber::registry().with(filter);
    if std::env::var_os("GANTRY_LOG_JSON").is_some() {
        registry.with(lines.json()).init();
    } else {
        registry.with(lines.with_ansi(std::io::stderr().is_terminal())).init();
    }
}

#[cfg(test)]
mod tests {
    use super::database_in;

    #[test]
    fn the_database_of_the_installed_panel_is_read_from_its_settings() {
        let url = "postgres://gantry@db.example.org/gantry";
        for (settings, expected) in [
            (format!("GANTRY_LISTEN=[::]:8443\nGANTRY_DATABASE={url}\n"), Some(url)),
            (format!("GANTRY_DATABASE=sqlite:/old\n  GANTRY_DATABASE=\"{url}\"\n"), Some(url)),
            (format!("#GANTRY_DATABASE={url}\n"), None),
            ("GANTRY_DATABASE=\n".to_owned(), None),
            (String::new(), None),
        ] {
            assert_eq!(database_in(&settings), expected, "{settings}");
        }
    }
}
