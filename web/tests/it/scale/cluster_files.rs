//! `gantry cluster init`: what it makes is what the programs take.

use std::collections::BTreeMap;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::Command;

use shared::testing::nats_server_binary;
use tempfile::TempDir;
use web::dispatch::keys::{load_or_create, read_credentials};
use web::tls::TlsFiles;

use super::process::{refused, run};

/// Makes the files of a cluster whose nodes find theirs where they are made.
fn init(directory: &Path) {
    let (dir, node_dir) = (directory.display().to_string(), directory.join("nodes/bus1").display().to_string());
    let nodes = "bus1=127.0.0.1,bus2=[::1],bus3=bus3.example.org";
    run(&["cluster", "init", "--dir", &dir, "--node", nodes, "--node-dir", &node_dir, "--data-dir", &dir, "--name", "panel.example.org"]);
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
    assert!(changed.iter().all(|name| name.contains("/nodes/")), "{changed:?}");
    assert!(changed.iter().filter(|name| name.ends_with("/bus.crt")).count() == 3, "{changed:?}");
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

#[test]
fn a_cluster_that_could_lose_no_node_is_refused() {
    let directory = TempDir::new().unwrap();
    let dir = directory.path().display().to_string();
    assert!(refused(&["cluster", "init", "--dir", &dir, "--node", "bus1,bus2"]).contains("three or five nodes"));
    assert!(refused(&["cluster", "init", "--dir", &dir, "--node", "bus1,bus1,bus2"]).contains("same name"));
    assert!(files(directory.path()).is_empty());
}
