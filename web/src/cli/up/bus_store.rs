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
    /// Whether one was put aside since the bus last started: the one that is kept, whatever becomes of the next.
    is_put_aside: bool,
}

impl BusStore {
    pub(super) fn new(data_dir: PathBuf) -> Self {
        Self { data_dir, failed_starts: 0, is_put_aside: false }
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
        if lived > STARTED {
            self.is_put_aside = false;
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
            match put_aside(&directory, self.is_put_aside) {
                Ok(None) => {}
                Ok(Some(aside)) => tracing::error!(
                    part = "bus",
                    aside = %aside.display(),
                    "the bus cannot read its store and starts with an empty one; what was on its way is sent again",
                ),
                Err(error) => {
                    tracing::error!(part = "bus", directory = %directory.display(), error = %error, "the store cannot be put aside")
                }
            }
        }
        self.is_put_aside = true;
    }
}

/// The line that says why it ended, if one does.
fn reason(said: &VecDeque<String>) -> Option<&str> {
    said.iter().rev().find(|line| is_fatal(line) || line.starts_with("panic: ") || line.starts_with("fatal error: ")).map(String::as_str)
}

/// A line of the log as `[7] 2026/11/21 22:04:11.123456 [FTL] ...`: the mark in its place, not in what a client has sent.
fn is_fatal(line: &str) -> bool {
    line.split(' ').take(4).any(|word| word == "[FTL]")
}

/// What an empty store does not help against: the machine's and the operator's troubles.
const NOT_THE_STORE: [&str; 7] = [
    "no space left",
    "quota exceeded",
    "permission denied",
    "operation not permitted",
    "too many open files",
    "read-only file system",
    "cannot allocate memory",
];

/// Whether an empty store may help: not when the disk is full, nor when the address or the configuration is wrong.
fn blames_store(reason: &str) -> bool {
    let store = reason.starts_with("panic: ") || reason.contains("JetStream") || reason.contains("resolver") || reason.contains("account");
    let reason = reason.to_lowercase();
    store && !NOT_THE_STORE.iter().any(|trouble| reason.contains(trouble))
}

/// Moves a directory to a name of its own beside it, where the one that was put aside before stays if that is to be kept. Where,
/// if there was one.
fn put_aside(directory: &Path, keeps: bool) -> std::io::Result<Option<PathBuf>> {
    if directory.symlink_metadata().is_err() {
        return Ok(None);
    }
    let aside = directory.with_extension("damaged");
    if aside.symlink_metadata().is_ok() {
        if keeps {
            remove(directory)?;
            return Ok(Some(aside));
        }
        remove(&aside)?;
    }
    std::fs::rename(directory, &aside)?;
    Ok(Some(aside))
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
    use super::{BusStore, blames_store, is_fatal, put_aside};

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
    fn the_first_store_put_aside_is_kept_until_the_bus_has_started() {
        let directory = tempfile::tempdir().unwrap();
        let streams = directory.path().join("streams");
        let aside = streams.with_extension("damaged");
        assert_eq!(put_aside(&streams, false).unwrap(), None);
        for (store, keeps, expected) in [("first", false, "first"), ("second", true, "first"), ("third", false, "third")] {
            std::fs::write(&streams, store).unwrap();
            assert_eq!(put_aside(&streams, keeps).unwrap().as_deref(), Some(aside.as_path()));
            assert_eq!((std::fs::read_to_string(&aside).unwrap().as_str(), streams.exists()), (expected, false), "{store}");
        }
    }

    #[test]
    fn a_mark_in_what_a_client_has_sent_is_no_reason() {
        assert!(is_fatal("[7] 2026/11/21 22:04:11.123456 [FTL] Can't start JetStream"));
        assert!(!is_fatal("[7] 2026/11/21 22:04:11.123456 [ERR] client 'a [FTL] JetStream' is gone"));
    }

    #[test]
    fn a_full_disk_and_a_busy_port_are_not_the_stores_fault() {
        for (reason, expected) in [
            ("[7] 2026/11/21 [FTL] Can't start JetStream: storage directory is not a directory", true),
            ("panic: runtime error: slice bounds out of range", true),
            ("[7] 2026/11/21 [FTL] Can't start JetStream: mkdir: no space left on device", false),
            ("[7] 2026/11/21 [FTL] Can't start JetStream: open meta.inf: permission denied", false),
            ("[7] 2026/11/21 [FTL] Can't start JetStream: open meta.inf: too many open files", false),
            ("[7] 2026/11/21 [FTL] Error listening on port: 127.0.0.1:4222, \"bind: address already in use\"", false),
        ] {
            assert_eq!(blames_store(reason), expected, "{reason}");
        }
    }
}
