//! `gantry` as a process.

use std::io::{BufRead as _, BufReader};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

/// A running `gantry`; it is killed when dropped.
pub(super) struct Process {
    child: Child,
    log: Arc<Mutex<Vec<String>>>,
}

/// A process that says nothing for so long has nothing to say.
const PATIENCE: Duration = Duration::from_secs(60);

impl Process {
    pub(super) fn start(arguments: &[&str]) -> Self {
        let mut child = gantry(arguments).stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
        let (log, lines) = (Arc::new(Mutex::new(Vec::new())), BufReader::new(child.stderr.take().unwrap()).lines());
        let written = Arc::clone(&log);
        std::thread::spawn(move || {
            for line in lines.map_while(Result::ok) {
                written.lock().unwrap().push(line);
            }
        });
        Self { child, log }
    }

    /// Waits until it has said something; what follows these words in that line.
    pub(super) fn said(&mut self, words: &str) -> String {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let log = self.log.lock().unwrap().clone();
            if let Some((_, rest)) = log.iter().find_map(|line| line.split_once(words)) {
                return rest.to_owned();
            }
            let ended = self.child.try_wait().unwrap();
            assert!(ended.is_none() && Instant::now() < deadline, "{words:?} was not said ({ended:?}): {log:#?}");
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// What it has said.
    pub(super) fn log(&self) -> String {
        self.log.lock().unwrap().join("\n")
    }

    /// Ends it without warning.
    pub(super) fn kill(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.kill();
    }
}

/// Runs it to its end; what it printed.
pub(super) fn run(arguments: &[&str]) -> String {
    let output = gantry(arguments).output().unwrap();
    assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}

/// Runs it to an end that is a refusal; what it said.
pub(super) fn refused(arguments: &[&str]) -> String {
    let output = gantry(arguments).output().unwrap();
    assert!(!output.status.success(), "{arguments:?} was carried out");
    String::from_utf8(output.stderr).unwrap()
}

fn gantry(arguments: &[&str]) -> Command {
    let mut gantry = Command::new(env!("CARGO_BIN_EXE_gantry"));
    gantry.args(arguments).stdin(Stdio::null());
    gantry
}
