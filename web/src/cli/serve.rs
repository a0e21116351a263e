//! `gantry serve`.

use std::net::{SocketAddr, TcpListener};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use axum::Router;
use axum_server::Handle;
use axum_server::tls_rustls::RustlsConfig;
use clap::Args;
use futures::StreamExt;
use shared::bus::authority::BusAddress;
use shared::bus::panel::{Hint, ServeBus};
use shared::tls::{SYSTEM_AUTHORITIES, authorities};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use super::asking::BusWorkers;
use super::{AuthorityArgs, DatabaseArgs, TlsArgs};
use crate::app::signal::{Signal, Signals};
use crate::app::worker_update::{Offer, rollout_take_offer};
use crate::config::Config;
use crate::dispatch::chain;
use crate::dispatch::keys::read_credentials;
use crate::live;
use crate::live::hub::Hub;
use crate::router::router;
use crate::state::AppState;
use crate::store::Db;
use crate::tls::TlsFiles;
use crate::worker_package::worker_packages;

#[derive(Debug, Args)]
pub(super) struct Serve {
    #[command(flatten)]
    database: DatabaseArgs,
    #[command(flatten)]
    tls: TlsArgs,
    /// Where to listen; may be repeated.
    #[arg(long, env = "GANTRY_LISTEN", default_value = "[::]:8443", value_delimiter = ',')]
    listen: Vec<SocketAddr>,
    /// The panel's address as people type it; `https://` and the first listening address if not given.
    #[arg(long, env = "GANTRY_PUBLIC_URL")]
    public_url: Option<String>,
    /// Names and addresses the self-signed certificate is for, besides localhost.
    #[arg(long)]
    name: Vec<String>,
    /// The bus.
    #[arg(long, env = "GANTRY_BUS_URL", default_value = "tls://127.0.0.1:4222")]
    bus_url: String,
    #[command(flatten)]
    authority: AuthorityArgs,
    /// The file of this process's way into the bus, as dispatch writes it.
    #[arg(long, env = "GANTRY_BUS_CREDENTIALS", default_value = "/var/lib/gantry/serve/bus.json")]
    bus_credentials: PathBuf,
    /// The port at which browsers reach sites over HTTP, if not 80; such as the one of `gantry forward-sites`.
    #[arg(long, env = "GANTRY_SITE_PORT")]
    site_port: Option<u16>,
    /// The directory of the worker's packages that hosts install when they join.
    #[arg(long, env = "GANTRY_WORKER_PACKAGES", default_value = "/usr/share/gantry")]
    worker_packages: PathBuf,
}

/// How long requests under way may take after a stop was asked for.
const GRACE: Duration = Duration::from_secs(5);

impl Serve {
    pub(super) async fn run(self, shutdown: CancellationToken) -> anyhow::Result<()> {
        let files = TlsFiles::within(&self.tls.tls_dir);
        files.ensure(&self.names())?;
        let db = Db::open(&self.database.database).await.context("the database could not be opened")?;
        let mut config = Config::new(&self.public_url());
        let certificate = files.panel_certificate(authorities(&std::fs::read(SYSTEM_AUTHORITIES).unwrap_or_default()))?;
        config.trust = certificate.trust(&config.host);
        config.certificate = Some(certificate);
        config.worker_packages = worker_packages(&self.worker_packages)
            .with_context(|| format!("the worker's packages in {} could not be read", self.worker_packages.display()))?;
        config.site_port = self.site_port;
        let hub = Hub::default();
        let (signals, queue) = BusSignals::new(hub.clone());
        let workers = Arc::new(BusWorkers::default());
        let state = AppState::new(db, config, Arc::new(signals))?.asking(Arc::<BusWorkers>::clone(&workers));
        take_offer(&state).await;
        tokio::spawn(talk_to_bus(self.authority.address(&self.bus_url)?, self.bus_credentials.clone(), hub.clone(), queue, workers));
        let router = router(state, live::route::router(hub));
        serve(&self.listen, &files, router, shutdown).await
    }

    fn names(&self) -> Vec<String> {
        let mut names = vec!["localhost".to_owned(), "127.0.0.1".to_owned(), "::1".to_owned()];
        let listening = self.listen.iter().map(SocketAddr::ip).filter(|address| !address.is_unspecified());
        for name in listening.map(|address| address.to_string()).chain(self.name.iter().cloned()) {
            if !names.contains(&name) {
                names.push(name);
            }
        }
        names
    }

    fn public_url(&self) -> String {
        self.public_url.clone().unwrap_or_else(|| {
            let first = self.listen.first().copied().unwrap_or_else(|| SocketAddr::from(([127, 0, 0, 1], 8443)));
            if first.ip().is_unspecified() { format!("https://localhost:{}", first.port()) } else { format!("https://{first}") }
        })
    }
}

/// A rollout that was begun by a panel of before goes on with the package of this one. What fails here is left to its *Resume*.
async fn take_offer(state: &AppState) {
    let Some(worker) = state.config.worker_offer() else { return };
    if let Err(error) = rollout_take_offer(&state.app, Offer { worker: &worker, config: &state.config }).await {
        tracing::warn!(error = %chain(&error), "the rollout under way keeps the packages of before");
    }
}

/// Serves over HTTPS, HTTP/2 where the browser speaks it, until the process is to stop.
async fn serve(listen: &[SocketAddr], files: &TlsFiles, router: Router, shutdown: CancellationToken) -> anyhow::Result<()> {
    let tls = RustlsConfig::from_pem_file(&files.certificate, &files.key).await.context("the certificate could not be read")?;
    let service = router.into_make_service_with_connect_info::<SocketAddr>();
    let handle = Handle::new();
    let mut listeners = tokio::task::JoinSet::new();
    for address in listen {
        let listener = TcpListener::bind(address).with_context(|| format!("the panel could not listen at {address}"))?;
        listener.set_nonblocking(true)?;
        // The port, if the system chose it.
        tracing::info!(address = %listener.local_addr()?, "the panel listens");
        let server = axum_server::from_tcp_rustls(listener, tls.clone())?.handle(handle.clone());
        listeners.spawn(server.serve(service.clone()));
    }
    tokio::select! {
        () = shutdown.cancelled() => handle.graceful_shutdown(Some(GRACE)),
        ended = listeners.join_next() => {
            if let Some(ended) = ended {
                ended.context("a listener panicked")?.context("the panel could not listen")?;
            }
        }
    }
    while let Some(ended) = listeners.join_next().await {
        ended.context("a listener panicked")?.context("a listener failed")?;
    }
    Ok(())
}

/// Signals queued for the bus; more are dropped, and found by the sweeps.
const QUEUE: usize = 1024;

/// Passes signals to this process's own pages at once, and to the bus for the others.
struct BusSignals {
    hub: Hub,
    queue: mpsc::Sender<Message>,
}

enum Message {
    Wake,
    Hint(Hint),
}

impl BusSignals {
    fn new(hub: Hub) -> (Self, mpsc::Receiver<Message>) {
        let (queue, receiver) = mpsc::channel(QUEUE);
        (Self { hub, queue }, receiver)
    }
}

impl Signals for BusSignals {
    fn send(&self, signal: Signal) {
        let message = signal.hint().map_or(Message::Wake, Message::Hint);
        if let Message::Hint(hint) = &message {
            self.hub.hint(hint.clone());
        }
        let _ = self.queue.try_send(message);
    }
}

/// Connects for as long as it takes, then passes messages both ways. The panel serves meanwhile.
async fn talk_to_bus(address: BusAddress, credentials: PathBuf, hub: Hub, mut queue: mpsc::Receiver<Message>, workers: Arc<BusWorkers>) {
    let bus = connect(&address, &credentials).await;
    workers.connected(bus.clone());
    let listener = bus.clone();
    tokio::spawn(async move {
        match listener.hints().await {
            Ok(hints) => {
                let mut hints = Box::pin(hints);
                while let Some(hint) = hints.next().await {
                    hub.hint(hint);
                }
            }
            Err(error) => tracing::error!(error = %error, "hints cannot be heard"),
        }
    });
    while let Some(message) = queue.recv().await {
        let sent = match message {
            Message::Wake => bus.wake().await,
            Message::Hint(hint) => bus.hint(&hint).await,
        };
        if let Err(error) = sent {
            tracing::debug!(error = %error, "a message was not sent");
        }
    }
}

async fn connect(address: &BusAddress, credentials: &std::path::Path) -> ServeBus {
    let mut reported = false;
    loop {
        let error = match read_credentials(credentials) {
            Ok(credentials) => match ServeBus::connect(address, &credentials).await {
                Ok(bus) => return bus,
                Err(error) => error.to_string(),
            },
            Err(error) => error.to_string(),
        };
        if !std::mem::replace(&mut reported, true) {
            tracing::warn!(error, "waiting for the bus; pages are served meanwhile");
        }
        tokio::time::sleep(Duration::from_millis(500)).await;
    }
}
