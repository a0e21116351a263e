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

use super::command::{Program, cut};
use super::nginx::{self, NGINX};
use super::{Check, LiveTest, NAME_IGNORED, NginxTest, StagedChange, SystemError};

/// The directory whose candidate is tested.
pub(crate) const NGINX_TREE: &str = "/etc/nginx";
/// Where the overlay's upper layer is mounted, in the child's namespace only.
const SCRATCH: &str = "/run/gantry-stage";
/// The very program that runs, also after an upgrade has put another one in its place.
const OWN_PROGRAM: &str = "/proc/self/exe";
/// 10,000 sites take nginx 5 s; twice that, and twice again for a busy machine.
const TEST_LIMIT: Duration = Duration::from_secs(20);

#[derive(Serialize, Deserialize)]
struct Request {
    changes: Vec<StagedChange>,
    live: LiveTest,
}

#[derive(Serialize, Deserialize)]
enum Reply {
    Tested(NginxTest),
    Failed(String),
}

/// Runs the test in a child.
pub(super) fn test_nginx(changes: &[StagedChange], live: LiveTest) -> Result<NginxTest, SystemError> {
    let request = serde_json::to_vec(&Request { changes: changes.to_vec(), live })
        .map_err(|error| SystemError::Os { doing: "write the staging request", source: error.into() })?;
    let finished = Program::new(OWN_PROGRAM).arg("stage").input(request).limit(TEST_LIMIT * 3).run()?;
    let reply = serde_json::from_str(&finished.stdout)
        .map_err(|error| SystemError::Os { doing: "read the staging reply", source: error.into() })?;
    match reply {
        Reply::Tested(test) => Ok(test),
        Reply::Failed(reason) => Err(SystemError::Os { doing: "stage the configuration", source: io::Error::other(reason) }),
    }
}

/// The child's whole life: request from standard input, reply to standard output. To be called before any thread is
/// started, for the subcommand `stage`.
#[must_use]
pub fn stage_child() -> ExitCode {
    let reply = match child() {
        Ok(test) => Reply::Tested(test),
        Err(error) => Reply::Failed(error.to_string()),
    };
    let written = serde_json::to_vec(&reply).map_err(io::Error::from).and_then(|bytes| io::stdout().write_all(&bytes));
    if written.is_ok() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn child() -> io::Result<NginxTest> {
    let mut input = Vec::new();
    io::stdin().take(64 * 1024 * 1024).read_to_end(&mut input)?;
    let request: Request = serde_json::from_slice(&input)?;
    nginx::make_room(None);
    unshare(CloneFlags::CLONE_NEWNS)?;
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
    umount2(NGINX_TREE, MntFlags::MNT_DETACH)?;
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

fn run_nginx() -> io::Result<Check> {
    let finished = Program::new(NGINX).arg("-t").limit(TEST_LIMIT).finish().map_err(io::Error::other)?;
    Ok(Check { accepted: finished.status.success(), output: cut(finished.stderr, 64 * 1024) })
}
