//! `gantry up`: bus, dispatch and panel on this machine, each a process of its own under its own user.
//!
//! This process holds no key and answers nobody: it makes the directories, starts the others, and starts again what ends.
//! Started as root, nothing it starts stays root. All of them end with it, also if it is killed.

use std::net::SocketAddr;
use std::os::unix::fs::{PermissionsExt, chown};
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use anyhow::{Context, bail};
use clap::Args;
use nix::sys::signal::{Signal, kill};
use nix::unistd::{Pid, geteuid};
use shared::bus::server_config::{ServerConfig, is_new_enough, render};
use tokio::process::{Child, Command};
use tokio_util::sync::CancellationToken;

use crate::dispatch::keys::load_or_create;
use crate::store::now_ms;

#[derive(Debug, Args)]
pub(super) struct Up {
    /// Everything is kept here.
    #[arg(long, default_value = "/var/lib/gantry")]
    state_dir: PathBuf,
    /// Where the panel listens.
    #[arg(long, default_value = "127.0.0.1:8443")]
    listen: SocketAddr,
    /// Further addresses the panel listens on, such as the one hosts join by; may be repeated.
    #[arg(long)]
    also_listen: Vec<SocketAddr>,
    /// Where the bus listens; workers connect here.
    #[arg(long, default_value = "127.0.0.1:4222")]
    bus_listen: SocketAddr,
    /// The nats-server binary, 2.15.1 or newer.
    #[arg(long, env = "GANTRY_NATS_SERVER", default_value = "/usr/libexec/gantry/nats-server")]
    nats_server: PathBuf,
    /// Names and addresses the panel's certificate is for, besides localhost.
    #[arg(long)]
    name: Vec<String>,
    /// Also forward this local address to the servers, by site name.
    #[arg(long)]
    forward_sites: Option<SocketAddr>,
}

/// A user and group of numbers that no package uses and no login has.
#[derive(Debug, Clone, Copy)]
struct Identity {
    uid: u32,
    gid: u32,
}

/// The group that shares the database.
const PANEL_GROUP: u32 = 64_331;
const SERVE: Identity = Identity { uid: 64_331, gid: PANEL_GROUP };
const DISPATCH: Identity = Identity { uid: 64_332, gid: PANEL_GROUP };
const BUS: Identity = Identity { uid: 64_333, gid: 64_333 };

/// The files of an installation.
struct Layout {
    root: PathBuf,
}

impl Layout {
    fn database_dir(&self) -> PathBuf {
        self.root.join("panel")
    }
    fn database(&self) -> PathBuf {
        self.database_dir().join("panel.db")
    }
    fn tls(&self) -> PathBuf {
        self.root.join("tls")
    }
    fn dispatch(&self) -> PathBuf {
        self.root.join("dispatch")
    }
    fn keys(&self) -> PathBuf {
        self.dispatch().join("bus-keys.json")
    }
    fn credentials_dir(&self) -> PathBuf {
        self.root.join("serve")
    }
    fn credentials(&self) -> PathBuf {
        self.credentials_dir().join("bus.json")
    }
    fn bus(&self) -> PathBuf {
        self.root.join("bus")
    }
}

impl Up {
    pub(super) async fn run(self, shutdown: CancellationToken) -> anyhow::Result<()> {
        let drop_rights = geteuid().is_root();
        self.check_bus_version().await?;
        let layout = Layout { root: self.state_dir.clone() };
        prepare(&layout, drop_rights)?;
        self.write_bus_config(&layout, drop_rights)?;
        migrate(&layout, drop_rights).await?;
        let mut parts = tokio::task::JoinSet::new();
        for part in self.parts(&layout, drop_rights)? {
            parts.spawn(keep_running(part, shutdown.clone()));
        }
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
        let host = self.bus_listen.ip().to_string();
        let bus = layout.bus();
        let config = ServerConfig { host: &host, port: Some(self.bus_listen.port()), data_dir: &bus, ports_dir: &bus.join("ports") };
        let file = bus.join("nats.conf");
        std::fs::write(&file, render(&config, &keys, now_ms() / 1000)?)?;
        own(&file, BUS, 0o600, drop_rights)
    }

    fn parts(&self, layout: &Layout, drop_rights: bool) -> anyhow::Result<Vec<Part>> {
        let gantry = std::env::current_exe().context("the path of gantry itself")?;
        let database = format!("sqlite:{}", layout.database().display());
        let bus_url = format!("nats://{}", self.bus_listen);
        let text = |path: PathBuf| path.display().to_string();
        let part = |name, program: &Path, identity: Identity, arguments: Vec<String>| Part {
            name,
            program: program.to_owned(),
            identity: drop_rights.then_some(identity),
            arguments,
        };
        let serve = self.serve_arguments(layout, &database, &bus_url);
        let dispatch = vec![
            "dispatch".into(),
            "--database".into(),
            database.clone(),
            "--bus-url".into(),
            bus_url,
            "--keys".into(),
            text(layout.keys()),
            "--serve-credentials".into(),
            text(layout.credentials()),
            "--name".into(),
            "up".into(),
        ];
        let mut parts = vec![
            part("bus", &self.nats_server, BUS, vec!["-c".into(), text(layout.bus().join("nats.conf"))]),
            part("dispatch", &gantry, DISPATCH, dispatch),
            part("serve", &gantry, SERVE, serve),
        ];
        if let Some(listen) = self.forward_sites {
            let arguments = vec!["forward-sites".into(), "--database".into(), database, "--listen".into(), listen.to_string()];
            parts.push(part("forward-sites", &gantry, SERVE, arguments));
        }
        Ok(parts)
    }

    fn serve_arguments(&self, layout: &Layout, database: &str, bus_url: &str) -> Vec<String> {
        let text = |path: PathBuf| path.display().to_string();
        let mut arguments = vec![
            "serve".into(),
            "--database".into(),
            database.to_owned(),
            "--listen".into(),
            self.listen.to_string(),
            "--tls-dir".into(),
            text(layout.tls()),
            "--bus-url".into(),
            bus_url.to_owned(),
            "--bus-credentials".into(),
            text(layout.credentials()),
        ];
        for listen in &self.also_listen {
            arguments.extend(["--listen".into(), listen.to_string()]);
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

/// Makes the directories, each readable by those who need it alone.
fn prepare(layout: &Layout, drop_rights: bool) -> anyhow::Result<()> {
    let root = Identity { uid: 0, gid: 0 };
    for (directory, owner, mode) in [
        (layout.root.clone(), root, 0o711),
        // The set-group-id bit gives files made by either process the group that both are in.
        (layout.database_dir(), SERVE, 0o2770),
        (layout.tls(), SERVE, 0o700),
        (layout.dispatch(), DISPATCH, 0o700),
        (layout.credentials_dir(), Identity { uid: DISPATCH.uid, gid: PANEL_GROUP }, 0o750),
        (layout.bus(), BUS, 0o700),
        (layout.bus().join("ports"), BUS, 0o700),
    ] {
        std::fs::create_dir_all(&directory).with_context(|| format!("{} could not be made", directory.display()))?;
        own(&directory, owner, mode, drop_rights)?;
    }
    // SQLite gives its companion files the mode of the database.
    let database = layout.database();
    std::fs::OpenOptions::new().create(true).append(true).open(&database)?;
    own(&database, SERVE, 0o660, drop_rights)
}

/// Brings the schema up to date before several processes open the database at once.
async fn migrate(layout: &Layout, drop_rights: bool) -> anyhow::Result<()> {
    let part = Part {
        name: "migrate",
        program: std::env::current_exe().context("the path of gantry itself")?,
        identity: drop_rights.then_some(SERVE),
        arguments: vec!["migrate".into(), "--database".into(), format!("sqlite:{}", layout.database().display())],
    };
    let status = part.spawn()?.wait().await?;
    if !status.success() {
        bail!("the database could not be brought up to date");
    }
    Ok(())
}

fn own(path: &Path, identity: Identity, mode: u32, drop_rights: bool) -> anyhow::Result<()> {
    if drop_rights {
        chown(path, Some(identity.uid), Some(identity.gid)).with_context(|| format!("{} could not be given away", path.display()))?;
    }
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode))
        .with_context(|| format!("the mode of {} could not be set", path.display()))
}

/// A process to be kept running.
struct Part {
    name: &'static str,
    program: PathBuf,
    identity: Option<Identity>,
    arguments: Vec<String>,
}

impl Part {
    /// Through setpriv, which gives up all rights and makes the process end when this one does.
    fn spawn(&self) -> std::io::Result<Child> {
        let mut command = Command::new("/usr/bin/setpriv");
        command.args(["--pdeathsig", "TERM", "--no-new-privs"]);
        if let Some(Identity { uid, gid }) = self.identity {
            command.args([format!("--reuid={uid}"), format!("--regid={gid}"), "--clear-groups".into(), "--inh-caps=-all".into()]);
        }
        command.arg("--").arg(&self.program).args(&self.arguments);
        // A Ctrl-C at the terminal goes to this process alone, which stops the others in order.
        command.stdin(Stdio::null()).process_group(0);
        if self.name == "bus" {
            command.stdout(Stdio::null()).stderr(Stdio::null());
        }
        command.spawn()
    }
}

/// A part that ended is started again after this pause, doubled each time it lived less than a minute.
const FIRST_PAUSE: Duration = Duration::from_millis(200);
const LONGEST_PAUSE: Duration = Duration::from_secs(10);
const PATIENCE: Duration = Duration::from_secs(10);

async fn keep_running(part: Part, shutdown: CancellationToken) {
    let mut pause = FIRST_PAUSE;
    while !shutdown.is_cancelled() {
        let started = std::time::Instant::now();
        match part.spawn() {
            Ok(mut child) => {
                tokio::select! {
                    ended = child.wait() => report_end(part.name, &ended),
                    () = shutdown.cancelled() => stop(&mut child).await,
                }
            }
            Err(error) => tracing::error!(part = part.name, error = %error, "a part could not be started"),
        }
        if shutdown.is_cancelled() {
            return;
        }
        pause = if started.elapsed() > Duration::from_mins(1) { FIRST_PAUSE } else { (pause * 2).min(LONGEST_PAUSE) };
        tokio::select! {
            () = tokio::time::sleep(pause) => {}
            () = shutdown.cancelled() => {}
        }
    }
}

fn report_end(name: &str, ended: &std::io::Result<ExitStatus>) {
    match ended {
        Ok(status) => tracing::warn!(part = name, status = %status, "a part ended; starting it again"),
        Err(error) => tracing::warn!(part = name, error = %error, "a part was lost; starting it again"),
    }
}

async fn stop(child: &mut Child) {
    if let Some(pid) = child.id().and_then(|id| i32::try_from(id).ok()) {
        let _ = kill(Pid::from_raw(pid), Signal::SIGTERM);
    }
    if tokio::time::timeout(PATIENCE, child.wait()).await.is_err() {
        let _ = child.kill().await;
    }
}
