//! Workers are updated: all of them in turn, back from one that does not work, never to one that nobody vouches for.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use super::lab::Lab;
use super::panel::Panel;
use super::prober::Prober;
use super::{Drained, joined, restart_part, world};

const PATIENCE: Duration = Duration::from_mins(3);
const NAME: &str = "ciupd";

/// The panel's own packages, among which these tests put theirs; they go when this is dropped.
struct Packages<'a> {
    panel: &'a Panel,
    directory: PathBuf,
    made: Vec<PathBuf>,
}

fn command(program: &str, arguments: &[&str]) {
    let output = Command::new(program).args(arguments).output().unwrap_or_else(|error| panic!("{program}: {error}"));
    assert!(output.status.success(), "{program} {arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
}

fn shown(path: &Path) -> &str {
    path.to_str().expect("a plain path")
}

impl<'a> Packages<'a> {
    fn open(panel: &'a Panel) -> Self {
        let up = std::env::var("GANTRY_UP").expect("GANTRY_UP is the panel's state");
        Self { panel, directory: Path::new(&up).join("packages"), made: Vec::new() }
    }

    /// Makes a package out of the panel's own: of another version, and otherwise changed; and has the panel find it.
    fn offer(&mut self, version: &str, signed: bool, change: impl FnOnce(&Path)) {
        let scratch = tempfile::tempdir().expect("a scratch directory");
        let root = scratch.path().join("root");
        let own = format!("gantry-worker_{}_", env!("CARGO_PKG_VERSION"));
        let listed = std::fs::read_dir(&self.directory).expect("the panel's packages").flatten().map(|entry| entry.path());
        let base = listed.filter(|path| shown(path).ends_with(".deb")).find(|path| shown(path).contains(&own)).expect("its own package");
        command("dpkg-deb", &["-R", shown(&base), shown(&root)]);
        let control = root.join("DEBIAN/control");
        let text = std::fs::read_to_string(&control).expect("the control file");
        let text: String = text
            .lines()
            .map(|line| if line.starts_with("Version:") { format!("Version: {version}\n") } else { format!("{line}\n") })
            .collect();
        std::fs::write(&control, text).expect("the control file");
        change(&root);
        let name = base.file_name().and_then(|name| name.to_str()).expect("a name").replace(env!("CARGO_PKG_VERSION"), version);
        let package = self.directory.join(&name);
        command("dpkg-deb", &["--root-owner-group", "-Zgzip", "-z1", "--build", shown(&root), shown(&package)]);
        self.made.push(package.clone());
        if signed {
            self.made.push(sign(&package, version, scratch.path()));
        }
        self.restart();
    }

    /// The panel looks at its packages when it starts.
    fn restart(&self) {
        restart_part("serve");
        self.panel.until_answers();
    }
}

impl Drop for Packages<'_> {
    fn drop(&mut self) {
        for file in self.made.drain(..) {
            let _ = std::fs::remove_file(file);
        }
        if !std::thread::panicking() {
            self.restart();
        }
    }
}

/// Signs a package as `.ci/deb.sh` does, with the key of this build.
fn sign(package: &Path, version: &str, scratch: &Path) -> PathBuf {
    let target =
        std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| Path::new(env!("CARGO_MANIFEST_DIR")).join("../target"), PathBuf::from);
    let (statement, signature) = (scratch.join("statement"), scratch.join("signature"));
    let sum = Command::new("sha256sum").arg(package).output().expect("sha256sum runs").stdout;
    let sum = String::from_utf8_lossy(&sum).split(' ').next().unwrap_or_default().to_owned();
    let architecture = shown(package).trim_end_matches(".deb").rsplit('_').next().unwrap_or_default().to_owned();
    let text = format!("gantry release 1\npackage gantry-worker\nversion {version}\narchitecture {architecture}\nsha256 {sum}\n");
    std::fs::write(&statement, text).expect("the statement");
    let key = target.join("release-key.pem");
    let arguments = ["pkeyutl", "-sign", "-rawin", "-inkey", shown(&key), "-in", shown(&statement), "-out", shown(&signature)];
    command("openssl", &arguments);
    let beside = PathBuf::from(format!("{}.sig", shown(package)));
    let text = data_encoding::BASE64.encode(&std::fs::read(&signature).expect("the signature"));
    std::fs::write(&beside, text).expect("the signature");
    beside
}

fn installed(host: &Lab) -> String {
    host.exec(&["dpkg-query", "--show", "--showformat=${db:Status-Status} ${Version}", "gantry-worker"]).trim().to_owned()
}

fn until_shows(host: &Lab, panel: &Panel, page: &str, words: &str) {
    host.until(&format!("{page} shows {words}: {}", panel.get(page).text()), PATIENCE, || panel.get(page).text().contains(words));
}

#[test]
fn workers_are_updated_in_turn_and_back_from_a_broken_package_and_never_to_an_unsigned_one() {
    let Some(world) = world() else { return };
    let (panel, first) = (&world.panel, &world.lab);
    let (host, page) = joined(panel, NAME, "bookworm");
    let _drained = Drained(panel, &page);
    let client = panel.client("updateclient");
    let account =
        panel.submit("/accounts", &[("owner", &client), ("user", "updateuser"), ("server", page.trim_start_matches("/servers/"))]);
    panel.until_state(&account, "Active");
    let site = panel.site(account.trim_start_matches("/accounts/"), "updated.localhost", "8.2");
    panel.until_state(&format!("/sites/{site}"), "Active");
    let mut packages = Packages::open(panel);
    let prober = Prober::start(&host.address, &["updated.localhost"]);

    // All servers, one first.
    let newer = concat!(env!("CARGO_PKG_VERSION"), "+1");
    packages.offer(newer, true, |_| {});
    until_shows(&host, panel, &page, &format!("Worker {newer} is available."));
    assert_eq!(panel.submit("/servers/updates", &[("at_once", "1")]), "/servers/updates");
    until_shows(&host, panel, "/servers/updates", &format!("Every server has worker {newer}."));
    for host in [first, &host] {
        assert_eq!(installed(host), format!("installed {newer}"));
        assert!(!host.succeeds(&["test", "-e", "/var/lib/gantry-worker/update"]), "the desk is empty again");
    }

    // One whose worker does not stay.
    let broken = concat!(env!("CARGO_PKG_VERSION"), "+2");
    packages.offer(broken, true, |root| {
        std::fs::write(root.join("usr/bin/gantry-worker"), "#!/bin/sh\necho 'nothing works here' >&2\nexit 1\n").expect("the program");
    });
    panel.submit(&format!("{page}/update"), &[]);
    until_shows(&host, panel, &page, "The worker could not be updated. Everything was put back as it was.");
    let said = panel.get(&page).text();
    assert!(said.contains(&format!("worker {broken} ended 5 times")) && said.contains("nothing works here"), "{said}");
    assert_eq!(installed(&host), format!("installed {newer}"));
    until_shows(&host, panel, &page, "Online");

    // One that nobody vouches for.
    let architecture = host.exec(&["dpkg", "--print-architecture"]);
    let architecture = architecture.trim();
    let unsigned = concat!(env!("CARGO_PKG_VERSION"), "+3");
    packages.offer(unsigned, false, |_| {});
    panel.submit(&format!("{page}/update"), &[]);
    until_shows(&host, panel, &page, "The worker does not install this package of itself. Nothing was changed.");
    assert!(panel.get(&page).text().contains(&format!("gantry-worker_{unsigned}_{architecture}.deb is not signed")));
    assert_eq!(installed(&host), format!("installed {newer}"));

    // Power that goes in the middle.
    prober.assert_nothing_lost();
    let newest = concat!(env!("CARGO_PKG_VERSION"), "+4");
    packages.offer(newest, true, |_| {});
    panel.submit(&format!("{page}/update"), &[]);
    host.until("the update is ordered", PATIENCE, || host.succeeds(&["test", "-e", "/var/lib/gantry-worker/update/previous.deb"]));
    host.run("cut", &[]);
    host.run("up", &[]);
    host.until("it went on after the boot", PATIENCE, || installed(&host) == format!("installed {newest}"));
    until_shows(&host, panel, &page, "Online");
    host.until("the update has ended", PATIENCE, || !panel.get(&page).text().contains("is available"));
    host.until("the site serves", PATIENCE, || host.fetch("updated.localhost", "/").0 == 200);

    panel.submit(&format!("{account}/delete"), &[("confirm", "updateuser")]);
    panel.until_gone(&account);
    panel.submit(&format!("{page}/delete"), &[("confirm", NAME)]);
    host.run("remove", &[]);
}
