//! Runs programs: absolute path, argument vector, empty environment, a time limit that ends the whole process group.

use std::io::{self, Read, Write};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process_group};
use shared::failure::FailureCode;

/// What a program did wrong. Holds everything an engineer asks for, and no secret: those travel by standard input.
#[derive(Debug, thiserror::Error)]
pub enum CommandError {
    /// It could not be started.
    #[error("could not start `{command}`")]
    Start {
        /// Program and arguments.
        command: String,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// It did not end in time and was killed.
    #[error("`{command}` did not end within {} s", limit.as_secs())]
    TimedOut {
        /// Program and arguments.
        command: String,
        /// How long it had.
        limit: Duration,
    },
    /// It ended badly.
    #[error("`{command}` failed ({status}): {}", output.trim())]
    Failed {
        /// Program and arguments.
        command: String,
        /// How it ended.
        status: ExitStatus,
        /// What it printed, cut.
        output: String,
    },
}

impl CommandError {
    /// The failure a job ends with.
    #[must_use]
    pub fn code(&self) -> FailureCode {
        match self {
            Self::TimedOut { .. } => FailureCode::TimedOut,
            Self::Failed { output, .. } if output.contains("No space left on device") => FailureCode::DiskFull,
            Self::Start { .. } | Self::Failed { .. } => FailureCode::Internal,
        }
    }
}

/// What a program printed and how it ended.
#[derive(Debug)]
pub(super) struct Finished {
    pub(super) status: ExitStatus,
    /// Standard output.
    pub(super) stdout: String,
    /// Standard error.
    pub(super) stderr: String,
}

/// A program to run.
pub(super) struct Program {
    command: Command,
    words: String,
    input: Vec<u8>,
    limit: Duration,
}

/// Long enough for a slow disk, short enough to notice a hang.
pub(super) const DEFAULT_LIMIT: Duration = Duration::from_secs(30);
/// What is kept of a program's output: 10,000 accounts have 30,000 units, some 100 bytes each where systemd lists them.
const OUTPUT_LIMIT: u64 = 8 * 1024 * 1024;

/// Programs that were started since this process began.
static STARTED: AtomicUsize = AtomicUsize::new(0);

/// How many programs this process has started, for measuring.
#[must_use]
pub fn programs_started() -> usize {
    STARTED.load(Ordering::Relaxed)
}

impl Program {
    /// A program by its absolute path.
    pub(super) fn new(path: impl AsRef<Path>) -> Self {
        let path = path.as_ref();
        let mut command = Command::new(path);
        command
            .env_clear()
            .env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin")
            .env("LC_ALL", "C.UTF-8")
            .current_dir("/")
            .process_group(0)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        Self { command, words: path.display().to_string(), input: Vec::new(), limit: DEFAULT_LIMIT }
    }

    /// Adds an argument. Never a secret: arguments show in the process list and in errors.
    pub(super) fn arg(mut self, argument: &str) -> Self {
        self.words.push(' ');
        self.words.push_str(argument);
        self.command.arg(argument);
        self
    }

    /// Sets a variable of its environment.
    pub(super) fn env(mut self, name: &str, value: &str) -> Self {
        self.command.env(name, value);
        self
    }

    /// What it reads.
    pub(super) fn input(mut self, input: impl Into<Vec<u8>>) -> Self {
        self.input = input.into();
        self
    }

    /// How long it may take.
    pub(super) const fn limit(mut self, limit: Duration) -> Self {
        self.limit = limit;
        self
    }

    /// Runs it; an unsuccessful end is an error.
    pub(super) fn run(self) -> Result<Finished, CommandError> {
        let words = self.words.clone();
        let finished = self.finish()?;
        if finished.status.success() {
            return Ok(finished);
        }
        let output = cut(format!("{}{}", finished.stderr, finished.stdout), 4096);
        Err(CommandError::Failed { command: words, status: finished.status, output })
    }

    /// Runs it; how it ended is for the caller to judge.
    pub(super) fn finish(mut self) -> Result<Finished, CommandError> {
        STARTED.fetch_add(1, Ordering::Relaxed);
        let mut child = self.command.spawn().map_err(|source| CommandError::Start { command: self.words.clone(), source })?;
        let stdin = child.stdin.take();
        let input = std::mem::take(&mut self.input);
        thread::spawn(move || stdin.map(|mut pipe| pipe.write_all(&input)));
        let stdout = reader(child.stdout.take());
        let stderr = reader(child.stderr.take());
        let waited = wait(&mut child, Instant::now() + self.limit);
        let failed = |source| CommandError::Start { command: self.words.clone(), source };
        let Some(status) = waited.map_err(failed)? else {
            return Err(CommandError::TimedOut { command: self.words, limit: self.limit });
        };
        // A grandchild may keep the pipes open: what is there after the program's end is enough.
        let text = |pipe: mpsc::Receiver<String>| pipe.recv_timeout(Duration::from_secs(2)).unwrap_or_default();
        Ok(Finished { status, stdout: text(stdout), stderr: text(stderr) })
    }
}

fn reader(pipe: Option<impl Read + Send + 'static>) -> mpsc::Receiver<String> {
    let (sender, receiver) = mpsc::channel();
    thread::spawn(move || {
        let mut bytes = Vec::new();
        if let Some(mut pipe) = pipe {
            // The rest is read too, or the program would block on a full pipe.
            let _ = (&mut pipe).take(OUTPUT_LIMIT).read_to_end(&mut bytes);
            let _ = io::copy(&mut pipe, &mut io::sink());
        }
        let _ = sender.send(String::from_utf8_lossy(&bytes).into_owned());
    });
    receiver
}

/// Waits for the end; at the deadline ends the whole process group and returns `None`.
fn wait(child: &mut Child, deadline: Instant) -> io::Result<Option<ExitStatus>> {
    let mut nap = Duration::from_micros(200);
    loop {
        if let Some(status) = child.try_wait()? {
            return Ok(Some(status));
        }
        if Instant::now() >= deadline {
            if let Some(group) = i32::try_from(child.id()).ok().and_then(Pid::from_raw) {
                let _ = kill_process_group(group, Signal::KILL);
            }
            child.wait()?;
            return Ok(None);
        }
        thread::sleep(nap);
        nap = (nap * 2).min(Duration::from_millis(10));
    }
}

/// At most `limit` bytes of a text, ending at a character.
pub(crate) fn cut(mut text: String, limit: usize) -> String {
    if text.len() > limit {
        let end = (0..=limit).rev().find(|index| text.is_char_boundary(*index)).unwrap_or(0);
        text.truncate(end);
    }
    text
}

#[cfg(test)]
mod tests;
