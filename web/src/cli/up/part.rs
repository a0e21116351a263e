//! The processes `gantry up` starts, and starts again when they end.

use std::path::PathBuf;
use std::process::{ExitStatus, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use tokio::process::{Child, Command};
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

use super::bus_store::BusStore;
use super::layout::Identity;

/// A process to be kept running.
pub(super) struct Part {
    pub(super) name: &'static str,
    pub(super) program: PathBuf,
    pub(super) identity: Option<Identity>,
    pub(super) arguments: Vec<String>,
    /// The database, for those that have one. Not an argument: everybody on this machine sees those.
    pub(super) database: Option<String>,
    /// For the bus, whose output is not shown but what it says of its own end.
    pub(super) store: Option<BusStore>,
}

impl Part {
    /// Through setpriv, which gives up all rights and makes the process end when this one does.
    pub(super) fn spawn(&self) -> std::io::Result<Child> {
        let mut command = Command::new("/usr/bin/setpriv");
        command.args(["--pdeathsig", "TERM", "--no-new-privs"]);
        if let Some(Identity { uid, gid }) = self.identity {
            command.args([format!("--reuid={uid}"), format!("--regid={gid}"), "--clear-groups".into(), "--inh-caps=-all".into()]);
        }
        command.arg("--").arg(&self.program).args(&self.arguments);
        match &self.database {
            Some(database) => command.env("GANTRY_DATABASE", database),
            None => command.env_remove("GANTRY_DATABASE"),
        };
        // A Ctrl-C at the terminal goes to this process alone, which stops the others in order.
        command.stdin(Stdio::null()).process_group(0);
        if self.store.is_some() {
            command.stdout(Stdio::null()).stderr(Stdio::piped());
        }
        command.spawn()
    }
}

/// A part that ended is started again after this pause, doubled each time it lived less than a minute.
const FIRST_PAUSE: Duration = Duration::from_millis(200);
const LONGEST_PAUSE: Duration = Duration::from_secs(10);
const PATIENCE: Duration = Duration::from_secs(10);

pub(super) async fn keep_running(mut part: Part, reload: Arc<Notify>, shutdown: CancellationToken) {
    let mut pause = FIRST_PAUSE;
    while !shutdown.is_cancelled() {
        let started = Instant::now();
        match part.spawn() {
            Ok(mut child) => {
                let last_words = part.store.is_some().then(|| BusStore::listen(&mut child));
                loop {
                    tokio::select! {
                        ended = child.wait() => break report_end(part.name, &ended),
                        () = shutdown.cancelled() => break stop(&mut child).await,
                        () = reload.notified(), if part.store.is_some() => signal(&child, Signal::SIGHUP),
                    }
                }
                if let (Some(store), Some(last_words), false) = (&mut part.store, last_words, shutdown.is_cancelled()) {
                    store.ended(last_words, started.elapsed()).await;
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

fn signal(child: &Child, signal: Signal) {
    if let Some(pid) = child.id().and_then(|id| i32::try_from(id).ok()) {
        let _ = kill(Pid::from_raw(pid), signal);
    }
}

async fn stop(child: &mut Child) {
    signal(child, Signal::SIGTERM);
    if tokio::time::timeout(PATIENCE, child.wait()).await.is_err() {
        let _ = child.kill().await;
    }
}
