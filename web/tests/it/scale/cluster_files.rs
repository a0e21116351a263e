//! `gantry cluster init`: what it makes is what the programs take.

use std::collections::BTreeMap;
use std::io::{BufRead as _, BufReader};
use std::net::{IpAddr, Ipv4Addr};
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::{Child, ChildStderr, Command, Stdio};

use shared::bus::credentials::{BusKeys, PanelUser};
use shared::testing::nats_server_binary;
use tempfile::TempDir;
use web::dispatch::keys::{load_or_create, read_credentials, write_credentials};
use web::tls::TlsFiles;

use super::process::{refused, run};

/// Makes the files of a cluster whose nodes find theirs where they are made.
fn init(directory: &Path) {
    init_at(directory, IpAddr::V4(Ipv4Addr::LOCALHOST));
}

/// As [`init`], for nodes that listen there.
fn init_at(directory: &Path, ip: IpAddr) {
    let (listen, listen_nodes) = (format!("{ip}:4222"), format!("{ip}:6222"));
    let (dir, node_dir) = (directory.display().to_string(), directory.join("nodes/bus1").display().to_string());
    let nodes = "bus1=127.0.0.1,bus2=[::1],bus3=bus3.example.org";
    let data_dir = directory.join("data").display().to_string();
    run(&[
        "cluster",
        "init",
        "--dir",
        &dir,
        "--node",
        nodes,
        "--node-dir",
        &node_dir,
        "--data-dir",
        &data_dir,
        "--name",
        "panel.example.org",
        "--listen",
        &listen,
        "--listen-nodes",
        &listen_nodes,
    ]);
}

/// Every file with its bytes.
fn files(directory: &Path) -> BTreeMap<String, Vec<u8>> {
    let mut found = BTreeMap::new();
    for entry in std::fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(files(&path));
        } else {
            found.insert(path.display().to_string(), std::fs::read(&path).unwrap());
        }
    }
    found
}

#[test]
fn the_files_of_a_cluster_are_made_once_but_for_the_nodes_certificates() {
    let directory = TempDir::new().unwrap();
    init(directory.path());
    let before = files(directory.path());
    init(directory.path());
    let after = files(directory.path());
    assert!(before.keys().eq(after.keys()));
    let changed: Vec<&str> = before.iter().filter(|(name, bytes)| after[*name] != **bytes).map(|(name, _)| name.as_str()).collect();
    assert_eq!(changed.len(), 6, "{changed:?}");
    assert!(changed.iter().all(|name| name.ends_with("/bus.crt") || name.ends_with("/bus.key")), "{changed:?}");
    for secret in [
        "dispatch/bus-keys.json",
        "serve/bus.json",
        "tls/panel.key",
        "nodes/bus1/bus.key",
        "authority/authority.key",
        "postgres/password",
        "serve/pgpass",
    ] {
        let mode = std::fs::metadata(directory.path().join(secret)).unwrap().permissions().mode() & 0o777;
        assert_eq!(mode, 0o600, "{secret}");
    }
}

#[test]
fn each_program_takes_its_files_of_a_cluster() {
    let directory = TempDir::new().unwrap();
    init(directory.path());
    let checked =
        Command::new(nats_server_binary()).arg("-t").arg("-c").arg(directory.path().join("nodes/bus1/nats.conf")).output().unwrap();
    assert!(checked.status.success(), "{}", String::from_utf8_lossy(&checked.stderr));
    load_or_create(&directory.path().join("dispatch/bus-keys.json")).unwrap();
    read_credentials(&directory.path().join("serve/bus.json")).unwrap();
    TlsFiles::within(&directory.path().join("tls")).fingerprint().unwrap();
    let conf = std::fs::read_to_string(directory.path().join("nodes/bus2/nats.conf")).unwrap();
    assert!(conf.contains("nats-route://[::1]:6222") && conf.contains("server_name: \"bus2\""), "{conf}");
}

/// The configuration of a node as it was made some years ago.
fn issued_long_ago(config: &Path, keys: &BusKeys) {
    const THEN_S: i64 = 1_700_000_000;
    let (system, panel) = (keys.system_account().unwrap(), keys.panel_account().unwrap());
    let jwts = [
        ("operator".to_owned(), keys.operator_jwt(THEN_S).unwrap()),
        (format!("  {system}"), keys.system_account_jwt(THEN_S).unwrap()),
        (format!("  {panel}"), keys.panel_account_jwt(THEN_S).unwrap()),
    ];
    let text = std::fs::read_to_string(config).unwrap();
    let lines = text.lines().map(|line| {
        let jwt = jwts.iter().find(|(name, _)| line.split_once(": ").is_some_and(|(key, _)| key == name));
        jwt.map_or_else(|| format!("{line}\n"), |(name, jwt)| format!("{name}: \"{jwt}\"\n"))
    });
    let then: String = lines.collect();
    assert_eq!(jwts.iter().filter(|(_, jwt)| then.contains(jwt.as_str())).count(), 3);
    std::fs::write(config, then).unwrap();
}

/// A node that runs; it ends when dropped.
struct Node {
    child: Child,
    log: std::io::Lines<BufReader<ChildStderr>>,
}

impl Node {
    fn start(config: &Path) -> Self {
        let mut child = Command::new(nats_server_binary()).arg("-c").arg(config).stderr(Stdio::piped()).spawn().unwrap();
        let log = BufReader::new(child.stderr.take().unwrap()).lines();
        Self { child, log }
    }

    /// Waits for a line with one of these words; which of them.
    fn says<'a>(&mut self, words: &[&'a str]) -> &'a str {
        let heard = self.log.by_ref().map_while(Result::ok).find_map(|line| words.iter().find(|words| line.contains(**words)).copied());
        heard.expect("the node ended")
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
fn a_node_that_runs_takes_up_its_renewed_certificate() {
    let directory = TempDir::new().unwrap();
    // An address of its own, on which every port is free.
    let [high, low] = u16::try_from(std::process::id() % 0xffff).unwrap().to_be_bytes();
    let ip = IpAddr::V4(Ipv4Addr::new(127, 94, high, low));
    init_at(directory.path(), ip);
    let config = directory.path().join("nodes/bus1/nats.conf");
    issued_long_ago(&config, &load_or_create(&directory.path().join("dispatch/bus-keys.json")).unwrap());
    let mut node = Node::start(&config);
    node.says(&["Server is ready"]);
    init_at(directory.path(), ip);
    let told = Command::new(nats_server_binary()).args(["--signal", &format!("reload={}", node.child.id())]).status().unwrap();
    assert!(told.success());
    let said = node.says(&["Reloaded server configuration", "Failed to reload"]);
    assert_eq!(said, "Reloaded server configuration");
}

#[test]
fn serve_gets_new_credentials_when_its_rights_are_others_and_keeps_them_otherwise() {
    let directory = TempDir::new().unwrap();
    init(directory.path());
    let file = directory.path().join("serve/bus.json");
    let keys = load_or_create(&directory.path().join("dispatch/bus-keys.json")).unwrap();
    let before = std::fs::read(&file).unwrap();
    init(directory.path());
    assert_eq!(std::fs::read(&file).unwrap(), before);
    for other in [keys.panel_credentials(PanelUser::Dispatch, 1), BusKeys::generate().unwrap().panel_credentials(PanelUser::Serve, 1)] {
        write_credentials(&file, &other.unwrap()).unwrap();
        init(directory.path());
        assert!(keys.gives(PanelUser::Serve, &read_credentials(&file).unwrap()));
    }
}

#[test]
fn a_cluster_that_could_lose_no_node_is_refused() {
    let directory = TempDir::new().unwrap();
    let dir = directory.path().display().to_string();
    assert!(refused(&["cluster", "init", "--dir", &dir, "--node", "bus1,bus2"]).contains("three or five nodes"));
    assert!(refused(&["cluster", "init", "--dir", &dir, "--node", "bus1,bus1,bus2"]).contains("same name"));
    assert!(files(directory.path()).is_empty());
}
