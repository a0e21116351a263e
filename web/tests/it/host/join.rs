//! A fresh host joins by the command that the panel shows.

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
