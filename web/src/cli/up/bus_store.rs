//! What the bus says when it ends, and a store that keeps it from starting.
//!
//! What is on the bus is on its way: the database has every request, and what nothing is heard of is sent again. So a damaged
//! store is put aside, and the bus starts with an empty one.

use std::collections::VecDeque;
use std::path::{Path, PathBuf};
use std::time::Duration;

use shared::bus::server_config::{accounts_dir, streams_dir};
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::Child;
use tokio::task::JoinHandle;

/// Lines kept of what the bus says.
const LAST_LINES: usize = 200;
/// A bus that lived this long has started.
const STARTED: Duration = Duration::from_secs(30);
/// It is started so often with a store that it cannot read.
const TRIES: u32 = 3;

/// Where the bus keeps what is on its way, and how often it could not start with that.
#[derive(Debug)]
pub(super) struct BusStore {
    data_dir: PathBuf,
    failed_starts: u32,
}

impl BusStore {
    pub(super) fn new(data_dir: PathBuf) -> Self {
        Self { data_dir, failed_starts: 0 }
    }

    /// Reads what the bus says until it ends, and keeps the last of it.
    pub(super) fn listen(child: &mut Child) -> JoinHandle<VecDeque<String>> {
        let stderr = child.stderr.take();
        tokio::spawn(async move {
            let mut last = VecDeque::with_capacity(LAST_LINES);
            let Some(stderr) = stderr else { return last };
            let mut lines = BufReader::new(stderr).split(b'\n');
            while let Ok(Some(line)) = lines.next_segment().await {
                if last.len() == LAST_LINES {
                    last.pop_front();
                }
                last.push_back(String::from_utf8_lossy(&line).into_owned());
            }
            last
        })
    }

    /// The bus ended by itself: its reason is logged, and a store that it cannot read is put aside.
    pub(super) async fn ended(&mut self, said: JoinHandle<VecDeque<String>>, lived: Duration) {
        let said = said.await.unwrap_or_default();
        let reason = reason(&said);
        if let Some(reason) = reason {
            tracing::warn!(part = "bus", reason, "the bus has said why it ended");
        }
        if lived > STARTED || !reason.is_some_and(blames_store) {
            self.failed_starts = 0;
            return;
        }
        self.failed_starts += 1;
        if self.failed_starts < TRIES {
            return;
        }
        self.failed_starts = 0;
        for directory in [streams_dir(&self.data_dir), accounts_dir(&self.data_dir)] {
            match put_aside(&directory) {
                Ok(aside) => tracing::error!(
                    part = "bus",
                    aside = %aside.display(),
                    "the bus cannot read its store and starts with an empty one; what was on its way is sent again",
                ),
                Err(error) => {
                    tracing::error!(part = "bus", directory = %directory.display(), error = %error, "the store cannot be put aside")
                }
            }
        }
    }
}

/// The line that says why it ended, if one does.
fn reason(said: &VecDeque<String>) -> Option<&str> {
    said.iter()
        .rev()
        .find(|line| line.contains("[FTL]") || line.starts_with("panic: ") || line.starts_with("fatal error: "))
        .map(String::as_str)
}

/// Whether an empty store may help: not when the disk is full, nor when the address or the configuration is wrong.
fn blames_store(reason: &str) -> bool {
    let store = reason.starts_with("panic: ") || reason.contains("JetStream") || reason.contains("resolver") || reason.contains("account");
    store && !reason.contains("no space left")
}

/// Moves a directory to a name of its own beside it; the one put aside before goes.
fn put_aside(directory: &Path) -> std::io::Result<PathBuf> {
    let aside = directory.with_extension("damaged");
    if aside.exists() {
        remove(&aside)?;
    }
    if directory.exists() {
        std::fs::rename(directory, &aside)?;
    }
    Ok(aside)
}

fn remove(path: &Path) -> std::io::Result<()> {
    if path.symlink_metadata()?.is_dir() { std::fs::remove_dir_all(path) } else { std::fs::remove_file(path) }
}

#[cfg(test)]
mod tests {
    use std::net::TcpStream;
    use std::sync::Arc;
    use std::time::{Duration, Instant};

    use shared::bus::server_config::streams_dir;
    use shared::testing::{NatsServer, nats_server_binary};
    use tokio::sync::Notify;
    use tokio_util::sync::CancellationToken;

    use super::super::part::{Part, keep_running};
    use super::{BusStore, blames_store};

    #[tokio::test]
    async fn a_bus_whose_store_keeps_it_from_starting_starts_with_an_empty_one() {
        let mut server = NatsServer::start();
        // Its configuration has the port it listens on from now on.
        server.restart();
        server.kill();
        let streams = streams_dir(server.dir());
        std::fs::remove_dir_all(&streams).unwrap();
        std::fs::write(&streams, "not a directory").unwrap();

        let part = Part {
            name: "bus",
            program: nats_server_binary(),
            identity: None,
            arguments: vec!["-c".to_owned(), server.dir().join("nats.conf").display().to_string()],
            database: None,
            store: Some(BusStore::new(server.dir().to_owned())),
        };
        let shutdown = CancellationToken::new();
        let kept = tokio::spawn(keep_running(part, Arc::new(Notify::new()), shutdown.clone()));
        let address = server.address().url.trim_start_matches("tls://").to_owned();
        let deadline = Instant::now() + Duration::from_secs(60);
        while TcpStream::connect(&address).is_err() {
            assert!(Instant::now() < deadline, "the bus does not start");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        assert_eq!(std::fs::read(streams.with_extension("damaged")).unwrap(), b"not a directory", "what was there is kept");
        shutdown.cancel();
        kept.await.unwrap();
    }

    #[test]
    fn a_full_disk_and_a_busy_port_are_not_the_stores_fault() {
        for (reason, expected) in [
            ("[7] 2026/11/21 [FTL] Can't start JetStream: storage directory is not a directory", true),
            ("panic: runtime error: slice bounds out of range", true),
            ("[7] 2026/11/21 [FTL] Can't start JetStream: mkdir: no space left on device", false),
            ("[7] 2026/11/21 [FTL] Error listening on port: 127.0.0.1:4222, \"bind: address already in use\"", false),
        ] {
            assert_eq!(blames_store(reason), expected, "{reason}");
        }
    }
}
