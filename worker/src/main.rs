//! `gantry-worker`: see [`worker`].

mod apply_file;

use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use apply_file::{Order, Print};
use clap::{Parser, Subcommand};
use tokio::runtime::{self, Runtime};
use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;
use tracing::level_filters::LevelFilter;
use tracing_subscriber::filter::Targets;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;
use worker::config::{Identity, IdentityError, STATE_DIR, identity_path};
use worker::enrol::{EnrolOptions, enrol};
use worker::join::{JoinError, join};
use worker::run::{DATABASE, WorkerConfig, run};
use worker::system::{Dpkg, Host, System, installed_version};
use worker::update::order::Desk;
use worker::update::updater::update;

/// Gantry's agent on a host.
#[derive(Debug, Parser)]
#[command(name = "gantry-worker", version, about)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Take jobs from the bus and make this host match them.
    Run {
        /// Where the identity and the database are.
        #[arg(long, env = "GANTRY_STATE_DIR", default_value = STATE_DIR)]
        state_dir: PathBuf,
        /// The panel to join if there is no identity yet.
        #[arg(long, env = "GANTRY_PANEL", default_value = "")]
        panel: String,
        /// The single-use token to join it with.
        #[arg(long, env = "GANTRY_TOKEN", default_value = "", hide_env_values = true)]
        token: String,
        /// SHA-256 of the panel's certificate; empty if a public authority has signed it.
        #[arg(long, env = "GANTRY_FINGERPRINT", default_value = "")]
        fingerprint: String,
        /// How often the host is compared with what was applied, in seconds.
        #[arg(long, env = "GANTRY_DRIFT_SECONDS", default_value_t = 300, value_parser = clap::value_parser!(u64).range(1..=86_400))]
        drift_seconds: u64,
    },
    /// Join a panel. The keys are made here and stay here.
    Enroll {
        /// The panel, such as https://panel.example:8443.
        #[arg(long, env = "GANTRY_PANEL")]
        panel: String,
        /// The single-use token the panel shows.
        #[arg(long, env = "GANTRY_TOKEN", hide_env_values = true)]
        token: String,
        /// SHA-256 of the panel's certificate, as the panel shows it; empty if a public authority has signed it.
        #[arg(long, env = "GANTRY_FINGERPRINT", default_value = "")]
        fingerprint: String,
        /// Where the identity is kept.
        #[arg(long, env = "GANTRY_STATE_DIR", default_value = STATE_DIR)]
        state_dir: PathBuf,
    },
    /// Carry out the update that the worker has ordered. Its own unit runs it.
    #[command(hide = true)]
    Update {
        /// Where the order and the worker's database are.
        #[arg(long, env = "GANTRY_STATE_DIR", default_value = STATE_DIR)]
        state_dir: PathBuf,
    },
    /// Test a staged configuration in a namespace of its own. Used by the worker itself.
    #[command(hide = true)]
    Stage,
    /// Compare the host with what was applied, several times, and print what that cost. For measuring.
    #[command(hide = true)]
    Look {
        /// The worker's database; not that of a worker that runs.
        #[arg(long, default_value = "/var/lib/gantry-worker/apply-file.db")]
        database: PathBuf,
        /// How often.
        #[arg(long, default_value_t = 1)]
        times: usize,
    },
    /// Carry out jobs from files, an envelope or a list of them each, and print what came of them. For looking into a host by
    /// hand, and for measuring.
    #[command(hide = true)]
    ApplyFile {
        /// The worker's database; not that of a worker that runs.
        #[arg(long, default_value = "/var/lib/gantry-worker/apply-file.db")]
        database: PathBuf,
        /// Print one line for each file instead of every outcome.
        #[arg(long)]
        summary: bool,
        /// Do one thing after another, always in the same order, so that the n-th call of the system is the same in every run.
        #[arg(long)]
        single_threaded: bool,
        /// Envelopes in JSON; a list is carried out as one batch.
        files: Vec<PathBuf>,
    },
}

/// EX_CONFIG of sysexits.h: an admin has to do something first, so systemd does not start the worker again.
const NOT_CONFIGURED: u8 = 78;

fn main() -> ExitCode {
    let cli = Cli::parse();
    // The stage child must be single-threaded when it leaves the host's mount namespace: no runtime, no logger thread.
    if let Command::Stage = cli.command {
        return worker::system::stage_child();
    }
    install_log();
    match runtime(&cli.command).map_err(anyhow::Error::from).and_then(|runtime| runtime.block_on(start(cli.command))) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            tracing::error!("{error:#}");
            let missing = matches!(error.downcast_ref(), Some(IdentityError::Missing | IdentityError::Damaged { .. }));
            if missing || error.is::<JoinError>() { ExitCode::from(NOT_CONFIGURED) } else { ExitCode::FAILURE }
        }
    }
}

fn runtime(command: &Command) -> std::io::Result<Runtime> {
    let mut runtime = match command {
        Command::ApplyFile { single_threaded: true, .. } => runtime::Builder::new_current_thread(),
        Command::Run { .. }
        | Command::Enroll { .. }
        | Command::Look { .. }
        | Command::Update { .. }
        | Command::Stage
        | Command::ApplyFile { .. } => runtime::Builder::new_multi_thread(),
    };
    runtime.enable_all().build()
}

async fn start(command: Command) -> anyhow::Result<()> {
    match command {
        Command::Run { state_dir, panel, token, fingerprint, drift_seconds } => {
            let stop = stop_signal()?;
            let identity = match Identity::load(&state_dir) {
                Err(IdentityError::Missing) if !panel.is_empty() && !token.is_empty() => {
                    let options = EnrolOptions { panel, token, fingerprint };
                    let Some(identity) = join(options, &state_dir, &stop).await? else { return Ok(()) };
                    identity
                }
                loaded => loaded?,
            };
            let version = installed_version().map_or_else(|| env!("CARGO_PKG_VERSION").parse(), Ok)?;
            tracing::info!(server.name = %identity.server, version = %version, "starting");
            // systemd makes it, and removes it when the worker ends.
            let runtime_dir = std::env::var_os("RUNTIME_DIRECTORY").map(PathBuf::from);
            let config = WorkerConfig {
                runtime_dir,
                drift_period: Duration::from_secs(drift_seconds),
                ..WorkerConfig::new(identity, &state_dir, host()?, version)
            };
            run(config, stop).await?;
            Ok(())
        }
        Command::Enroll { panel, token, fingerprint, state_dir } => {
            let identity = enrol(EnrolOptions { panel, token, fingerprint }, &state_dir).await?;
            tracing::info!(server.name = %identity.server, file = %identity_path(&state_dir).display(), "this worker has joined");
            Ok(())
        }
        Command::ApplyFile { database, summary, single_threaded, files } => {
            let print = if summary { Print::Summaries } else { Print::Outcomes };
            let order = if single_threaded { Order::Fixed } else { Order::SideBySide };
            apply_file::apply_files(&database, &files, (print, order), host()?).await
        }
        Command::Look { database, times } => apply_file::look(&database, times, host()?).await,
        Command::Update { state_dir } => Ok(update(&Desk::within(&state_dir), &state_dir.join(DATABASE), &Dpkg).await?),
        Command::Stage => Ok(()),
    }
}

/// The host; in a build for tests, one whose worker can be made to die.
fn host() -> anyhow::Result<Arc<dyn System>> {
    let host: Arc<dyn System> = Arc::new(Host::open()?);
    #[cfg(feature = "testing")]
    let host: Arc<dyn System> = Arc::new(worker::system::crashing::Crashing::new(host));
    Ok(host)
}

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

/// The journal takes standard error, and its own time stamps.
fn install_log() {
    let level = std::env::var("GANTRY_LOG").ok().and_then(|level| level.parse().ok()).unwrap_or(LevelFilter::INFO);
    // The bus client reports each step of a connection; what matters of it is said by `shared::bus::client`.
    let filter = Targets::new().with_default(level).with_target("async_nats", LevelFilter::WARN);
    let lines = tracing_subscriber::fmt::layer().with_writer(std::io::stderr).with_target(false).with_ansi(false);
    let registry = tracing_subscriber::registry().with(filter);
    if std::env::var_os("JOURNAL_STREAM").is_some() {
        registry.with(lines.without_time()).init();
    } else {
        registry.with(lines).init();
    }
}
