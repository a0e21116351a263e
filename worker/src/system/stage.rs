//! nginx's own test on a tree that does not exist: a private overlay over the real one, in a mount namespace of a
//! child process. **An invalid file never exists at its real path.**
//!
//! The child is this program again (`gantry-worker stage`), because a namespace can only be left behind by a process
//! with a single thread.

use std::fs;
use std::io::{self, Read, Write};
use std::os::unix::fs::symlink;
use std::path::Path;
use std::process::ExitCode;
use std::time::Duration;

use nix::mount::{MntFlags, MsFlags, mount, umount2};
use nix::sched::{CloneFlags, unshare};
use serde::{Deserialize, Serialize};

use super::command::{CommandError, Program, cut};
use super::nginx::{self, NGINX};
use super::{Check, LiveTest, NAME_IGNORED, NginxTest, StagedChange, SystemError};

/// The directory whose candidate is tested.
pub(crate) const NGINX_TREE: &str = "/etc/nginx";
/// Where the overlay's upper layer is mounted, in the child's namespace only.
const SCRATCH: &str = "/run/gantry-stage";
/// The very program that runs, also after an upgrade has put another one in its place.
const OWN_PROGRAM: &str = "/proc/self/exe";
/// 10,000 sites take nginx 5 s; twice that, and twice again for a busy machine.
pub(super) const TEST_LIMIT: Duration = Duration::from_secs(20);

#[derive(Serialize, Deserialize)]
struct Request {
    changes: Vec<StagedChange>,
    live: LiveTest,
}

#[derive(Serialize, Deserialize)]
enum Reply {
    Tested(NginxTest),
    /// nginx did not end in time, for which nobody's configuration need be to blame: one that names a host waits for the DNS.
    TimedOut,
    Failed(String),
}

/// Why the child has tested nothing.
#[derive(Debug, thiserror::Error)]
enum Untested {
    #[error(transparent)]
    Io(#[from] io::Error),
    #[error(transparent)]
    Command(#[from] CommandError),
}

impl From<Result<NginxTest, Untested>> for Reply {
    fn from(tested: Result<NginxTest, Untested>) -> Self {
        match tested {
            Ok(test) => Self::Tested(test),
            Err(Untested::Command(CommandError::TimedOut { .. })) => Self::TimedOut,
            Err(error) => Self::Failed(error.to_string()),
        }
    }
}

/// Runs the test in a child.
pub(super) fn test_nginx(changes: &[StagedChange], live: LiveTest) -> Result<NginxTest, SystemError> {
    let request = serde_json::to_vec(&Request { changes: changes.to_vec(), live })
        .map_err(|error| SystemError::Os { doing: "write the staging request", source: error.into() })?;
    let finished = Program::new(OWN_PROGRAM).arg("stage").input(request).limit(TEST_LIMIT * 3).run()?;
    let reply = serde_json::from_str(&finished.stdout)
        .map_err(|error| SystemError::Os { doing: "read the staging reply", source: error.into() })?;
    judge(reply)
}

fn judge(reply: Reply) -> Result<NginxTest, SystemError> {
    match reply {
        Reply::Tested(test) => Ok(test),
        Reply::TimedOut => Err(CommandError::TimedOut { command: format!("{NGINX} -t"), limit: TEST_LIMIT }.into()),
        Reply::Failed(reason) => Err(SystemError::Os { doing: "stage the configuration", source: io::Error::other(reason) }),
    }
}

/// The child's whole life: request from standard input, reply to standard output. To be called before any thread is
/// started, for the subcommand `stage`.
#[must_use]
pub fn stage_child() -> ExitCode {
    let reply = Reply::from(child());
    let written = serde_json::to_vec(&reply).map_err(io::Error::from).and_then(|bytes| io::stdout().write_all(&bytes));
    if written.is_ok() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn child() -> Result<NginxTest, Untested> {
    let mut input = Vec::new();
    io::stdin().take(64 * 1024 * 1024).read_to_end(&mut input)?;
    let request: Request = serde_json::from_slice(&input).map_err(io::Error::from)?;
    nginx::make_room(None);
    unshare(CloneFlags::CLONE_NEWNS).map_err(io::Error::from)?;
    mount_overlay()?;
    for change in &request.changes {
        stage(change).map_err(|error| io::Error::other(format!("{change:?}: {error}")))?;
    }
    let candidate = run_nginx()?;
    let clean = candidate.accepted && !candidate.output.contains(NAME_IGNORED);
    if clean || request.live == LiveTest::Never {
        return Ok(NginxTest { candidate, live: None });
    }
    // What the live tree says tells whether the fault, or the warning, was there before.
    umount2(NGINX_TREE, MntFlags::MNT_DETACH).map_err(io::Error::from)?;
    Ok(NginxTest { candidate, live: Some(run_nginx()?) })
}

/// Everything private first, and recursively: otherwise the overlay would appear on the host.
fn mount_overlay() -> io::Result<()> {
    const NONE: Option<&str> = None;
    mount(NONE, "/", NONE, MsFlags::MS_REC | MsFlags::MS_PRIVATE, NONE)?;
    fs::create_dir_all(SCRATCH)?;
    mount(Some("tmpfs"), SCRATCH, Some("tmpfs"), MsFlags::MS_NOSUID | MsFlags::MS_NODEV, Some("mode=0700"))?;
    fs::create_dir(format!("{SCRATCH}/upper"))?;
    fs::create_dir(format!("{SCRATCH}/work"))?;
    let layers = format!("lowerdir={NGINX_TREE},upperdir={SCRATCH}/upper,workdir={SCRATCH}/work");
    mount(Some("overlay"), NGINX_TREE, Some("overlay"), MsFlags::MS_NOSUID | MsFlags::MS_NODEV, Some(layers.as_str()))?;
    Ok(())
}

fn stage(change: &StagedChange) -> io::Result<()> {
    let gone = |path: &Path| match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    };
    match change {
        StagedChange::Write(file) => {
            gone(&file.path)?;
            fs::write(&file.path, &file.content.0)
        }
        StagedChange::Link { path, target } => {
            gone(path)?;
            symlink(target, path)
        }
        StagedChange::Remove { path } => gone(path),
    }
}

fn run_nginx() -> Result<Check, CommandError> {
    let finished = Program::new(NGINX).arg("-t").limit(TEST_LIMIT).finish()?;
    Ok(Check { accepted: finished.status.success(), output: cut(finished.stderr, 64 * 1024) })
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use shared::failure::{FailureCode, RetryPolicy};

    use super::{Program, Reply, Untested, judge};

    #[test]
    fn f05_a_test_of_nginx_that_does_not_end_in_time_fails_in_passing() {
        let late = Program::new("/usr/bin/sleep").arg("60").limit(Duration::from_millis(10)).finish().unwrap_err();
        // As it comes from the child.
        let said = serde_json::to_string(&Reply::from(Err(Untested::from(late)))).unwrap();
        let code = judge(serde_json::from_str(&said).unwrap()).unwrap_err().code();
        assert_eq!((code, code.retry_policy()), (FailureCode::TimedOut, RetryPolicy::Again));
    }

    #[test]
    fn a_test_that_could_not_be_staged_is_a_fault() {
        let failed = Reply::from(Err(Untested::from(std::io::Error::other("no overlay"))));
        assert_eq!(judge(failed).unwrap_err().code(), FailureCode::Internal);
    }
}
