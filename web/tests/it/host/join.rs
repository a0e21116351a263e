//! A fresh host joins by the command that the panel shows.

use std::path::{Path, PathBuf};
use std::time::Duration;

use super::lab::Lab;
use super::world;

const PATIENCE: Duration = Duration::from_secs(60);
const NAME: &str = "cijoin";

#[test]
fn a_fresh_debian_13_host_joins_by_the_panels_command_and_serves_a_site() {
    let Some(world) = world() else { return };
    let panel = &world.panel;
    let host = Lab::start(NAME, "trixie");
    let address = host.address.clone();
    let hostname = format!("{NAME}.servers.example.org");
    let fields = [("name", NAME), ("hostname", hostname.as_str()), ("address", address.as_str()), ("role_web", "on"), ("active", "on")];
    let added = panel.post("/servers", &fields);
    assert_eq!(added.status, 200, "{}", added.text());
    let command = added.secret();
    let server = panel.id_of("/servers?q=", NAME, "/servers/");
    let page = format!("/servers/{server}");
    let joined = || host.succeeds(&["test", "-e", "/var/lib/gantry-worker/identity.json"]);

    // Another key than the panel's: nothing of what answers is run.
    let pin = command.split("sha256//").nth(1).and_then(|rest| rest.split('\'').next()).expect("the panel's key is pinned").to_owned();
    let other = command.replace(&pin, "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=");
    let (_, said) = host.tell(&["sh", "-c", &other]);
    assert!(said.contains("pinned public key") && !joined(), "{said}");
    // Not as root, and with a clock of another time.
    let (done, said) = host.tell(&["setpriv", "--reuid=65534", "--clear-groups", "sh", "-c", &command]);
    assert!(!done && said.contains("this must run as root") && !joined(), "{said}");

    let (done, said) = host.tell(&["sh", "-c", &command]);
    assert!(done && joined(), "{said}");
    let text = || panel.get(&page).text();
    host.until("the server is online", PATIENCE, || text().contains("Online"));
    assert_eq!(host.exec(&["stat", "-c", "%a %U", "/etc/gantry-worker/config.env"]).trim(), "600 root");
    assert!(host.succeeds(&["systemctl", "is-enabled", "gantry-worker"]));
    // What the worker itself listens on: nothing.
    let listening = host.exec(&["ss", "-H", "-l", "-n", "-p", "-t", "-u"]);
    assert!(!listening.contains("gantry-worker"), "{listening}");
    let (done, said) = host.tell(&["sh", "-c", &command]);
    assert!(!done && said.contains("this token has been used"), "{said}");

    let client = panel.client("joinclient");
    let account = panel.submit("/accounts", &[("owner", &client), ("user", "joinuser"), ("server", &server)]);
    panel.until_state(&account, "Active");
    let site = panel.site(account.trim_start_matches("/accounts/"), "joined.localhost", "8.4");
    panel.until_state(&format!("/sites/{site}"), "Active");
    assert_eq!(host.fetch("joined.localhost", "/").0, 200);
    let refused = panel.get(&format!("{page}/delete"));
    assert!(refused.text().contains("cannot be deleted yet"), "{}", refused.text());

    panel.submit(&format!("{account}/delete"), &[("confirm", "joinuser")]);
    panel.until_gone(&account);
    panel.submit(&format!("{page}/delete"), &[("confirm", NAME)]);
    let shut_out = || host.exec(&["journalctl", "-u", "gantry-worker", "--no-pager"]).contains("the connection to the bus was lost");
    host.until("the deleted server's worker is cut off", PATIENCE, shut_out);
    host.run("remove", &[]);
}

#[test]
fn a_fresh_debian_12_host_joins_by_hand_with_the_package_and_three_lines_and_keeps_its_own_settings() {
    const NAME: &str = "cihand";
    let Some(world) = world() else { return };
    let panel = &world.panel;
    let host = Lab::start(NAME, "bookworm");
    let (address, hostname) = (host.address.clone(), format!("{NAME}.servers.example.org"));
    let fields = [("name", NAME), ("hostname", hostname.as_str()), ("address", address.as_str()), ("role_web", "on"), ("active", "on")];
    let added = panel.post("/servers", &fields).text();
    let lines: Vec<&str> = added.split_whitespace().filter(|word| word.starts_with("GANTRY_")).collect();
    assert_eq!(lines.len(), 3, "{added}");
    let page = format!("/servers/{}", panel.id_of("/servers?q=", NAME, "/servers/"));

    let repository = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let target = std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| repository.join("target"), PathBuf::from);
    let architecture = host.exec(&["dpkg", "--print-architecture"]);
    let package = target.join(format!("deb/gantry-worker_{}_{}.deb", env!("CARGO_PKG_VERSION"), architecture.trim()));
    host.run("put", &[package.to_str().expect("a plain path"), "/root/gantry-worker.deb", "0644"]);
    host.exec(&["env", "DEBIAN_FRONTEND=noninteractive", "apt-get", "-q", "-y", "install", "/root/gantry-worker.deb"]);
    assert!(!host.succeeds(&["systemctl", "is-active", "--quiet", "gantry-worker"]), "it does not start before it is told where to");
    let own = "GANTRY_DRIFT_SECONDS=77";
    host.write("/etc/gantry-worker/config.env", &format!("{}\n{own}\n", lines.join("\n")));
    host.exec(&["systemctl", "enable", "--now", "gantry-worker"]);
    host.until("the server is online", PATIENCE, || panel.get(&page).text().contains("Online"));

    // With a new command it joins again, and what was set here stays.
    let (done, said) = host.tell(&["sh", "-c", &panel.post(&format!("{page}/token"), &[]).secret()]);
    assert!(done, "{said}");
    assert!(host.exec(&["cat", "/etc/gantry-worker/config.env"]).lines().any(|line| line == own));
    panel.submit(&format!("{page}/delete"), &[("confirm", NAME)]);
    host.run("remove", &[]);
}
