//! `gantry up`: bus, dispatch and panel on this machine, each a process of its own under its own user.
//!
//! This process holds no key and answers nobody: it makes the directories, starts the others, and starts again what ends.
//! Started as root, nothing it starts stays root. All of them end with it, also if it is killed.

mod bus_store;
mod certificate;
pub(in crate::cli) mod layout;
mod part;

use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context, bail};
use clap::Args;
use nix::unistd::{geteuid, gethostname};
use shared::bus::server_config::{ServerConfig, is_new_enough, render};
use tokio::process::Command;
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

use crate::config::Config;
use crate::dispatch::keys::load_or_create;
use crate::private_file::write;
use crate::store::now_ms;
use bus_store::BusStore;
use certificate::BusCertificate;
use layout::{BUS, DISPATCH, Identity, Layout, SERVE, own, prepare};
use part::{Part, keep_running};

#[derive(Debug, Args)]
pub(super) struct Up {
    /// Everything is kept here.
    #[arg(long, default_value = "/var/lib/gantry")]
    state_dir: PathBuf,
    /// The database, if it is not the SQLite file in the state directory, such as `postgres://user@host/name`.
    #[arg(long, env = "GANTRY_DATABASE", hide_env_values = true)]
    database: Option<String>,
    /// Where the panel listens.
    #[arg(long, env = "GANTRY_LISTEN", default_value = "127.0.0.1:8443")]
    listen: SocketAddr,
    /// The panel's address as people type it and as hosts join by; made of the listening address if not given.
    #[arg(long, env = "GANTRY_PUBLIC_URL", value_parser = public_url)]
    public_url: Option<String>,
    /// Further addresses the panel listens on, such as the one hosts join by; may be repeated.
    #[arg(long)]
    also_listen: Vec<SocketAddr>,
    /// Where the bus listens.
    #[arg(long, env = "GANTRY_BUS_LISTEN", default_value = "127.0.0.1:4222")]
    bus_listen: SocketAddr,
    /// The bus as workers reach it; where it listens, or at the panel's own host if it listens everywhere, if not given.
    #[arg(long, env = "GANTRY_BUS_URL_FOR_WORKERS")]
    bus_url_for_workers: Option<String>,
    /// The nats-server binary, 2.15.1 or newer.
    #[arg(long, env = "GANTRY_NATS_SERVER", default_value = "/usr/libexec/gantry/nats-server")]
    nats_server: PathBuf,
    /// Names and addresses the panel's certificate is for, besides localhost.
    #[arg(long)]
    name: Vec<String>,
    /// The directory of the worker's packages that hosts install when they join.
    #[arg(long, env = "GANTRY_WORKER_PACKAGES", default_value = "/usr/share/gantry")]
    worker_packages: PathBuf,
    /// Also forward this local address to the servers, by site name.
    #[arg(long)]
    forward_sites: Option<SocketAddr>,
}

impl Up {
    pub(super) async fn run(self, shutdown: CancellationToken) -> anyhow::Result<()> {
        let drop_rights = geteuid().is_root();
        self.check_bus_version().await?;
        let layout = Layout { root: self.state_dir.clone() };
        prepare(&layout, drop_rights)?;
        let certificate = BusCertificate::new(&layout, drop_rights);
        certificate.renew()?;
        self.write_bus_config(&layout, drop_rights)?;
        migrate(self.database(&layout), drop_rights).await?;
        let mut parts = tokio::task::JoinSet::new();
        let reload = Arc::new(Notify::new());
        for part in self.parts(&layout, drop_rights)? {
            parts.spawn(keep_running(part, Arc::clone(&reload), shutdown.clone()));
        }
        parts.spawn(certificate.keep_valid(reload, shutdown));
        while parts.join_next().await.is_some() {}
        Ok(())
    }

    async fn check_bus_version(&self) -> anyhow::Result<()> {
        let output = Command::new(&self.nats_server)
            .arg("-v")
            .output()
            .await
            .with_context(|| format!("{} does not run; put nats-server 2.15.1 or newer there", self.nats_server.display()))?;
        let text = String::from_utf8_lossy(&output.stdout);
        let version = text.trim().rsplit([' ', 'v']).next().unwrap_or_default();
        if !is_new_enough(version) {
            bail!("{} is version {version}; 2.15.1 or newer is needed", self.nats_server.display());
        }
        Ok(())
    }

    fn write_bus_config(&self, layout: &Layout, drop_rights: bool) -> anyhow::Result<()> {
        let keys = load_or_create(&layout.keys())?;
        own(&layout.keys(), DISPATCH, 0o600, drop_rights)?;
        let ip = self.bus_listen.ip();
        let host = if ip.is_ipv6() { format!("[{ip}]") } else { ip.to_string() };
        let bus = layout.bus();
        let config = ServerConfig {
            name: "gantry",
            host: &host,
            port: Some(self.bus_listen.port()),
            data_dir: &bus,
            ports_dir: &bus.join("ports"),
            certificate: &layout.bus_certificate(),
            key: &layout.bus_key(),
            cluster: None,
        };
        let file = bus.join("nats.conf");
        write(&file, render(&config, &keys, now_ms() / 1000)?.as_bytes(), 0o600)?;
        own(&file, BUS, 0o600, drop_rights)
    }

    fn database(&self, layout: &Layout) -> String {
        self.database.clone().unwrap_or_else(|| format!("sqlite:{}", layout.database().display()))
    }

    /// The name that dispatch leads under. The next one of this installation leads at once; one of another machine, or of another
    /// directory, with the same database waits for its turn.
    fn dispatch_name(&self) -> String {
        let machine = std::fs::read_to_string("/etc/machine-id").unwrap_or_default();
        let host = gethostname().unwrap_or_default();
        format!("{}:{}:{}", host.display(), machine.trim(), self.state_dir.display())
    }

    /// The bus as this machine's own processes reach it.
    fn bus_url(&self) -> String {
        let mut address = self.bus_listen;
        if address.ip().is_unspecified() {
            address.set_ip(if address.is_ipv4() { Ipv4Addr::LOCALHOST.into() } else { Ipv6Addr::LOCALHOST.into() });
        }
        format!("tls://{address}")
    }

    fn bus_url_for_workers(&self) -> String {
        if let Some(url) = &self.bus_url_for_workers {
            return url.clone();
        }
        match &self.public_url {
            Some(url) if self.bus_listen.ip().is_unspecified() => {
                let host = Config::new(url).host;
                let host = if host.contains(':') { format!("[{host}]") } else { host };
                format!("tls://{host}:{}", self.bus_listen.port())
            }
            Some(_) | None => self.bus_url(),
        }
    }

    fn parts(&self, layout: &Layout, drop_rights: bool) -> anyhow::Result<Vec<Part>> {
        let gantry = std::env::current_exe().context("the path of gantry itself")?;
        let database = self.database(layout);
        let bus_url = self.bus_url();
        let text = |path: PathBuf| path.display().to_string();
        let part = |name, program: &Path, identity: Identity, arguments: Vec<String>| Part {
            name,
            program: program.to_owned(),
            identity: drop_rights.then_some(identity),
            arguments,
            database: (name != "bus").then(|| database.clone()),
            store: (name == "bus").then(|| BusStore::new(layout.bus())),
        };
        let serve = self.serve_arguments(layout, &bus_url);
        let dispatch = vec![
            "dispatch".into(),
            "--bus-url".into(),
            bus_url,
            "--bus-url-for-workers".into(),
            self.bus_url_for_workers(),
            "--bus-authority".into(),
            text(layout.bus_authority()),
            "--keys".into(),
            text(layout.keys()),
            "--serve-credentials".into(),
            text(layout.credentials()),
            "--name".into(),
            self.dispatch_name(),
        ];
        let mut parts = vec![
            part("bus", &self.nats_server, BUS, vec!["-c".into(), text(layout.bus().join("nats.conf"))]),
            part("dispatch", &gantry, DISPATCH, dispatch),
            part("serve", &gantry, SERVE, serve),
        ];
        if let Some(listen) = self.forward_sites {
            let arguments = vec!["forward-sites".into(), "--listen".into(), listen.to_string()];
            parts.push(part("forward-sites", &gantry, SERVE, arguments));
        }
        Ok(parts)
    }

    fn serve_arguments(&self, layout: &Layout, bus_url: &str) -> Vec<String> {
        let text = |path: PathBuf| path.display().to_string();
        let mut arguments = vec![
            "serve".into(),
            "--listen".into(),
            self.listen.to_string(),
            "--tls-dir".into(),
            text(layout.tls()),
            "--bus-url".into(),
            bus_url.to_owned(),
            "--bus-authority".into(),
            text(layout.bus_authority()),
            "--bus-credentials".into(),
            text(layout.credentials()),
            "--worker-packages".into(),
            text(self.worker_packages.clone()),
        ];
        for listen in &self.also_listen {
            arguments.extend(["--listen".into(), listen.to_string()]);
        }
        if let Some(url) = &self.public_url {
            arguments.extend(["--public-url".into(), url.clone(), "--name".into(), Config::new(url).host]);
        }
        for name in &self.name {
            arguments.extend(["--name".into(), name.clone()]);
        }
        if let Some(listen) = self.forward_sites {
            arguments.extend(["--site-port".into(), listen.port().to_string()]);
        }
        arguments
    }
}

/// Brings the schema up to date before several processes open the database at once.
async fn migrate(database: String, drop_rights: bool) -> anyhow::Result<()> {
    let part = Part {
        name: "migrate",
        program: std::env::current_exe().context("the path of gantry itself")?,
        identity: drop_rights.then_some(SERVE),
        arguments: vec!["migrate".into()],
        database: Some(database),
        store: None,
    };
    let status = part.spawn()?.wait().await?;
    if !status.success() {
        bail!("the database could not be brought up to date");
    }
    Ok(())
}

fn public_url(text: &str) -> Result<String, String> {
    let rest = text.strip_prefix("https://").filter(|rest| !rest.trim_end_matches('/').is_empty());
    rest.map(|_| text.to_owned()).ok_or_else(|| "the panel's address starts with https://".to_owned())
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::Up;

    #[derive(Parser)]
    struct Line {
        #[command(flatten)]
        up: Up,
    }

    #[test]
    fn dispatch_leads_under_the_name_of_its_machine_and_its_directory() {
        let name = |directory: &str| {
            Line::try_parse_from(["up", "--state-dir", directory]).unwrap_or_else(|error| panic!("{error}")).up.dispatch_name()
        };
        assert_eq!(name("/var/lib/gantry"), name("/var/lib/gantry"));
        assert_ne!(name("/var/lib/gantry"), name("/srv/gantry"));
        let host = nix::unistd::gethostname().unwrap();
        assert!(name("/var/lib/gantry").starts_with(&format!("{}:", host.display())));
    }
}
