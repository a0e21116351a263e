//! `make install` on a fresh Debian: a panel and its first server, on one machine, from the packages.

use std::path::{Path, PathBuf};
use std::time::Duration;

use super::lab::Lab;
use super::panel::Panel;
use super::world;

const PATIENCE: Duration = Duration::from_mins(2);
const NAME: &str = "ciinst";
const CHECKOUT: &str = "/root/gantry";

/// Puts the packages, which `.ci/hosts.sh` has built, and what installs them into the host.
fn bring(host: &Lab) {
    let repository = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let target = std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| repository.join("target"), PathBuf::from);
    host.exec(&["mkdir", "-p", &format!("{CHECKOUT}/.ci"), &format!("{CHECKOUT}/target/deb")]);
    let put = |from: PathBuf, to: &str, mode: &str| drop(host.run("put", &[from.to_str().expect("a plain path"), to, mode]));
    put(repository.join("Cargo.toml"), &format!("{CHECKOUT}/Cargo.toml"), "0644");
    put(repository.join(".ci/install.sh"), &format!("{CHECKOUT}/.ci/install.sh"), "0755");
    let architecture = host.exec(&["dpkg", "--print-architecture"]);
    for package in ["gantry", "gantry-worker"] {
        let file = format!("{package}_{}_{}.deb", env!("CARGO_PKG_VERSION"), architecture.trim());
        put(target.join("deb").join(&file), &format!("{CHECKOUT}/target/deb/{file}"), "0644");
    }
}

#[test]
fn make_install_makes_a_fresh_debian_13_a_panel_with_its_first_server_and_may_be_run_again() {
    let Some(_world) = world() else { return };
    let host = Lab::start(NAME, "trixie");
    bring(&host);
    let install = format!("{CHECKOUT}/.ci/install.sh");
    let (done, said) = host.tell(&[&install]);
    assert!(done, "{said}");
    let (_, after) = said.split_once("with password").expect("the one-time password is printed");
    let once = after.split_whitespace().next().expect("a password").to_owned();

    let panel = Panel::sign_in_with(&format!("https://{}:8443", host.address), None, &once);
    host.until("the machine is its own first server", PATIENCE, || panel.get("/servers").text().contains("Online"));
    let server = panel.id_of("/servers?q=", NAME, "/servers/");
    host.until("it has told which PHP it has", PATIENCE, || panel.get(&format!("/servers/{server}")).text().contains("8.4"));
    let client = panel.client("firstclient");
    let account = panel.submit("/accounts", &[("owner", &client), ("user", "firstuser"), ("server", &server)]);
    panel.until_state(&account, "Active");
    let site = panel.site(account.trim_start_matches("/accounts/"), "first.localhost", "8.4");
    panel.until_state(&format!("/sites/{site}"), "Active");
    assert_eq!(host.fetch("first.localhost", "/").0, 200);

    let (done, said) = host.tell(&[&install]);
    assert!(done && said.contains("joined already") && !said.contains("with password"), "{said}");
    panel.until_answers();
    host.until("it is online again", PATIENCE, || panel.get(&format!("/servers/{server}")).text().contains("Online"));
    assert_eq!(host.exec(&["gantry", "server", "ensure", NAME, "--hostname", "x.example", "--role", "web"]), "", "one server, not two");

    host.exec(&["env", "DEBIAN_FRONTEND=noninteractive", "apt-get", "-q", "-y", "purge", "gantry", "gantry-worker"]);
    assert!(!host.succeeds(&["test", "-e", "/var/lib/gantry"]) && !host.succeeds(&["test", "-e", "/var/lib/gantry-worker"]));
    assert_eq!(host.fetch("first.localhost", "/").0, 200, "sites keep serving");
    host.run("remove", &[]);
}
