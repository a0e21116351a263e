//! The worker's own Debian package: dpkg, and the worker's unit, for the updater.

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::thread;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use shared::names::PackageVersion;
use shared::release::WORKER_PACKAGE;

use super::SystemError;
use super::command::Program;
use super::services;

/// What the updater can see and do of a host. The real one is [`Dpkg`].
pub trait PackageHost {
    /// The version that is installed and configured; `None` while dpkg has not finished with it.
    fn installed(&self) -> Result<Option<PackageVersion>, SystemError>;
    /// Makes a package file of what is installed, whole or not at all.
    fn keep(&self, file: &Path) -> Result<(), SystemError>;
    /// Installs a package and what it depends on; removes nothing. Does not start the worker.
    fn install(&self, file: &Path) -> Result<(), SystemError>;
    /// Installs an older package over whatever is there. Does not start the worker.
    fn put_back(&self, file: &Path) -> Result<(), SystemError>;
    /// Stops the worker and waits for it; fine if it does not run.
    fn stop_worker(&self) -> Result<(), SystemError>;
    /// Starts the worker, and does not wait: one that never becomes ready must not hold up the updater. From here on its
    /// restarts are counted anew.
    fn start_worker(&self) -> Result<(), SystemError>;
    /// How the worker is.
    fn health(&self) -> Result<Health, SystemError>;
    /// The end of the worker's log.
    fn worker_log(&self) -> String;
    /// Waits a little before looking again.
    fn pause(&self);
}

/// How the worker is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Health {
    /// Whether it is ready, as systemd knows it.
    pub running: bool,
    /// The version of the process that runs, once it has reached the bus.
    pub answers: Option<PackageVersion>,
    /// How often systemd has started it again by itself.
    pub restarts: u32,
}

/// What a worker that has reached the bus leaves in its runtime directory, which goes with it.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Sign {
    /// Its process.
    pub(crate) pid: u32,
    /// Its version.
    pub(crate) version: PackageVersion,
}

impl Sign {
    /// That of the process that asks.
    pub(crate) fn of_this_process(version: &PackageVersion) -> Self {
        Self { pid: std::process::id(), version: version.clone() }
    }
}

/// The file of it within the runtime directory.
pub(crate) const SIGN: &str = "answers.json";
/// The runtime directory of the worker's unit.
const RUNTIME: &str = "/run/gantry-worker";
const UNIT: &str = "gantry-worker.service";
const APT: &str = "/usr/bin/apt-get";
const DPKG: &str = "/usr/bin/dpkg";
const DPKG_DEB: &str = "/usr/bin/dpkg-deb";
const DPKG_QUERY: &str = "/usr/bin/dpkg-query";
/// Another installation may hold dpkg's lock for minutes.
const INSTALL_LIMIT: Duration = Duration::from_mins(10);

/// The version of the worker's package on this host, if it was installed as one.
#[must_use]
pub fn installed_version() -> Option<PackageVersion> {
    Dpkg.installed().ok().flatten()
}

/// The host's dpkg and systemd.
#[derive(Debug, Clone, Copy)]
pub struct Dpkg;

impl PackageHost for Dpkg {
    fn installed(&self) -> Result<Option<PackageVersion>, SystemError> {
        let query = Program::new(DPKG_QUERY).arg("--show").arg("--showformat=${db:Status-Status} ${Version}").arg(WORKER_PACKAGE);
        let said = query.finish()?.stdout;
        Ok(said.strip_prefix("installed ").and_then(|version| version.trim().parse().ok()))
    }

    fn keep(&self, file: &Path) -> Result<(), SystemError> {
        let root = file.with_extension("tree");
        let kept = repack(&root, &file.with_extension("new"));
        let removed = fs::remove_dir_all(&root).map_err(failed("remove", &root));
        kept.and(removed)?;
        fs::rename(file.with_extension("new"), file).map_err(failed("put in place", file))
    }

    fn install(&self, file: &Path) -> Result<(), SystemError> {
        // A power cut may have left dpkg in the middle of something; apt refuses to go on before that is finished.
        let _ = noninteractive(Program::new(DPKG)).arg("--configure").arg("--pending").limit(INSTALL_LIMIT).finish()?;
        let apt = noninteractive(Program::new(APT)).arg("-q").arg("-y").arg("-o").arg("DPkg::Lock::Timeout=300");
        apt.arg("--no-install-recommends").arg("--no-remove").arg("install").arg(&shown(file)).limit(INSTALL_LIMIT).run()?;
        Ok(())
    }

    fn put_back(&self, file: &Path) -> Result<(), SystemError> {
        // dpkg, not apt: nothing is fetched, and a half-installed package is no obstacle.
        noninteractive(Program::new(DPKG)).arg("--install").arg(&shown(file)).limit(INSTALL_LIMIT).run()?;
        Ok(())
    }

    fn stop_worker(&self) -> Result<(), SystemError> {
        services::stop_units(&[UNIT])
    }

    fn start_worker(&self) -> Result<(), SystemError> {
        // A unit that was stopped while it waited for its next start keeps its count otherwise.
        Program::new(services::SYSTEMCTL).arg("reset-failed").arg(UNIT).run()?;
        Program::new(services::SYSTEMCTL).arg("--no-block").arg("start").arg(UNIT).run()?;
        Ok(())
    }

    fn health(&self) -> Result<Health, SystemError> {
        let show = Program::new(services::SYSTEMCTL).arg("show").arg("--property=ActiveState,MainPID,NRestarts").arg("--").arg(UNIT);
        let shown = show.run()?.stdout;
        let property = |key: &str| shown.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix('='));
        let number = |key: &str| property(key).and_then(|value| value.parse::<u32>().ok()).unwrap_or(0);
        let sign = fs::read(Path::new(RUNTIME).join(SIGN)).ok().and_then(|text| serde_json::from_slice::<Sign>(&text).ok());
        Ok(Health {
            running: property("ActiveState") == Some("active"),
            answers: sign.filter(|sign| sign.pid == number("MainPID")).map(|sign| sign.version),
            restarts: number("NRestarts"),
        })
    }

    fn worker_log(&self) -> String {
        services::recent_log(UNIT)
    }

    fn pause(&self) {
        thread::sleep(Duration::from_millis(500));
    }
}

/// Maintainer scripts ask nobody anything.
fn noninteractive(program: Program) -> Program {
    program.env("DEBIAN_FRONTEND", "noninteractive")
}

fn shown(path: &Path) -> String {
    path.display().to_string()
}

fn failed(doing: &'static str, path: &Path) -> impl FnOnce(std::io::Error) -> SystemError {
    let path = path.to_owned();
    move |source| SystemError::File { doing, path, source }
}

/// Makes a package of the installed files and of what dpkg knows of them.
fn repack(root: &Path, file: &Path) -> Result<(), SystemError> {
    let query = |what: &str| Program::new(DPKG_QUERY).arg(what).arg(WORKER_PACKAGE).run();
    let control = root.join("DEBIAN");
    if root.exists() {
        fs::remove_dir_all(root).map_err(failed("remove", root))?;
    }
    fs::create_dir_all(&control).map_err(failed("make", &control))?;
    for path in query("--listfiles")?.stdout.lines().filter(|path| path.starts_with('/') && *path != "/.") {
        let path = Path::new(path);
        if !was_left_out(path) {
            copy(path, &root.join(path.strip_prefix("/").unwrap_or(path)))?;
        }
    }
    for script in query("--control-path")?.stdout.lines().map(PathBuf::from) {
        let name = script.extension().unwrap_or_default();
        if ["preinst", "postinst", "prerm", "postrm"].iter().any(|known| name == *known) {
            copy(&script, &control.join(name))?;
        }
    }
    let known = query("--status")?.stdout;
    let fields: String = known.lines().filter(|line| !line.starts_with("Status:")).flat_map(|line| [line, "\n"]).collect();
    fs::write(control.join("control"), fields).map_err(failed("write", &control))?;
    // Not compressed: it is made for a few seconds, as a rule.
    let build = Program::new(DPKG_DEB).arg("--root-owner-group").arg("-Znone").arg("--build").arg(&shown(root)).arg(&shown(file));
    build.limit(INSTALL_LIMIT).run()?;
    let made = fs::File::open(file).and_then(|file| file.sync_all());
    made.map_err(failed("make durable", file))
}

/// Whether dpkg has not unpacked a file because an admin wants no documentation (`path-exclude` in dpkg.cfg).
fn was_left_out(path: &Path) -> bool {
    let missing = || fs::symlink_metadata(path).is_err_and(|error| error.kind() == std::io::ErrorKind::NotFound);
    path.starts_with("/usr/share/doc") && missing()
}

/// A file, link or directory of the package.
fn copy(from: &Path, to: &Path) -> Result<(), SystemError> {
    let found = fs::symlink_metadata(from).map_err(failed("look at", from))?;
    let made = if found.is_dir() {
        fs::create_dir_all(to).and_then(|()| fs::set_permissions(to, fs::Permissions::from_mode(0o755)))
    } else if found.is_symlink() {
        fs::read_link(from).and_then(|target| symlink(target, to))
    } else {
        fs::copy(from, to).map(drop)
    };
    made.map_err(failed("copy", from))
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::was_left_out;

    #[test]
    fn documentation_that_dpkg_has_not_unpacked_is_missed_by_nobody() {
        assert!(was_left_out(Path::new("/usr/share/doc/gantry-worker-that-is-not-here/copyright")));
        assert!(!was_left_out(Path::new("/usr/bin/gantry-worker-that-is-not-here")), "a program that is missing is");
        assert!(!was_left_out(Path::new("/usr/share/doc")), "what is there is packed");
    }
}
