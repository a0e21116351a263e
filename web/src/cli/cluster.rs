//! `gantry cluster`: what a bus of several nodes and the panel's processes beside it need, made in one place and carried to each.
//!
//! - `authority/`: who vouches for the nodes. Stays where it was made.
//! - `dispatch/bus-keys.json`: every signing key; for each `gantry dispatch`, and nobody else.
//! - `serve/bus.json`: the way into the bus; for each `gantry serve`.
//! - `postgres/password`: the database's, and `pgpass` beside the files of dispatch and serve, where their programs look for it.
//! - `tls/`: the panel's certificate, one for all of them; for each `gantry serve`.
//! - `bus-authority.crt`: for both.
//! - `nodes/<name>/`: configuration and certificate of one node.
//!
//! **Safe to repeat**: keys and authority are made once, the nodes' certificates anew each time; a configuration changes only if it
//! says something else, so that a node takes up its new certificate without being started again.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use anyhow::{Context, ensure};
use clap::{Args, Subcommand};
use nix::unistd::geteuid;
use shared::bus::authority::Authority;
use shared::bus::credentials::{BusKeys, PanelUser};
use shared::bus::server_config::{ClusterConfig, ServerConfig, issued_s, render};
use shared::names::ServerName;

use super::admin::print_line;
use super::authority::{load_or_create, now_s};
use super::up::layout::{BUS, DISPATCH, Identity, SERVE, own};
use crate::auth::token::token_new;
use crate::dispatch::keys;
use crate::private_file::write;
use crate::store::now_ms;
use crate::tls::TlsFiles;

#[derive(Debug, Args)]
pub(super) struct Cluster {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Make all files of a cluster, or renew its nodes' certificates.
    Init(Init),
}

#[derive(Debug, Args)]
struct Init {
    /// All files are made here.
    #[arg(long, default_value = "/var/lib/gantry/cluster")]
    dir: PathBuf,
    /// A node of the bus, by the name or `NAME=HOST` by which the others reach it; three or five of them.
    #[arg(long = "node", required = true, value_delimiter = ',')]
    nodes: Vec<Node>,
    /// Where each node listens for workers and the panel.
    #[arg(long, default_value = "[::]:4222")]
    listen: SocketAddr,
    /// Where each node listens for the other nodes.
    #[arg(long, default_value = "[::]:6222")]
    listen_nodes: SocketAddr,
    /// Where a node finds its directory of `nodes/`.
    #[arg(long, default_value = "/etc/gantry-bus")]
    node_dir: PathBuf,
    /// Where a node keeps what it stores.
    #[arg(long, default_value = "/var/lib/gantry-bus")]
    data_dir: PathBuf,
    /// Names and addresses the panel's self-signed certificate is for, besides localhost.
    #[arg(long)]
    name: Vec<String>,
}

/// A node of the bus.
#[derive(Debug, Clone)]
struct Node {
    name: ServerName,
    host: String,
}

impl FromStr for Node {
    type Err = anyhow::Error;

    fn from_str(text: &str) -> anyhow::Result<Self> {
        let (name, host) = text.split_once('=').unwrap_or((text, text));
        ensure!(!host.is_empty() && !host.contains(['/', '"', ' ']), "{host} is no host");
        Ok(Self { name: name.parse()?, host: host.trim_matches(['[', ']']).to_owned() })
    }
}

impl Node {
    /// Where the other nodes connect.
    fn route(&self, port: u16) -> String {
        if self.host.contains(':') { format!("[{}]:{port}", self.host) } else { format!("{}:{port}", self.host) }
    }
}

const ROOT: Identity = Identity { uid: 0, gid: 0 };

impl Cluster {
    pub(super) fn run(self) -> anyhow::Result<()> {
        match self.command {
            Command::Init(init) => init.run(),
        }
    }
}

impl Init {
    fn run(&self) -> anyhow::Result<()> {
        ensure!(matches!(self.nodes.len(), 3 | 5), "a cluster has three or five nodes: of two, none may be lost");
        let mut names: Vec<&str> = self.nodes.iter().map(|node| node.name.as_str()).collect();
        names.sort_unstable();
        names.dedup();
        ensure!(names.len() == self.nodes.len(), "two nodes have the same name");
        for (directory, owner, mode) in [
            ("", ROOT, 0o711),
            ("authority", ROOT, 0o700),
            ("dispatch", DISPATCH, 0o700),
            ("serve", SERVE, 0o700),
            ("tls", SERVE, 0o700),
            ("postgres", ROOT, 0o700),
            ("nodes", ROOT, 0o711),
        ] {
            self.directory(directory, owner, mode)?;
        }
        let authority = load_or_create(&self.dir.join("authority/authority.key"), &self.dir.join("authority/authority.crt"))?;
        self.file("bus-authority.crt", authority.certificate(), ROOT, 0o644)?;
        let keys = self.keys()?;
        self.panel_certificate()?;
        self.database_password()?;
        for node in &self.nodes {
            self.node(node, &authority, &keys)?;
        }
        print_line(&format!("The files of the cluster are in {}.", self.dir.display()));
        Ok(())
    }

    /// The signing keys, and serve's way in that they make.
    fn keys(&self) -> anyhow::Result<BusKeys> {
        let path = self.dir.join("dispatch/bus-keys.json");
        let keys = keys::load_or_create(&path)?;
        give(&path, DISPATCH, 0o600)?;
        let credentials = self.dir.join("serve/bus.json");
        // Another release may give other rights.
        let is_good = keys::read_credentials(&credentials).is_ok_and(|found| keys.gives(PanelUser::Serve, &found));
        if !is_good {
            keys::write_credentials(&credentials, &keys.panel_credentials(PanelUser::Serve, now_ms() / 1000)?)?;
        }
        give(&credentials, SERVE, 0o600)?;
        Ok(keys)
    }

    /// The password of PostgreSQL's user `gantry`, in the files that PostgreSQL's own tools take.
    fn database_password(&self) -> anyhow::Result<()> {
        let path = self.dir.join("postgres/password");
        if !path.exists() {
            write(&path, token_new().expose().as_bytes(), 0o600)?;
        }
        let line = format!("*:*:*:gantry:{}\n", std::fs::read_to_string(&path)?.trim());
        self.file("dispatch/pgpass", &line, DISPATCH, 0o600)?;
        self.file("serve/pgpass", &line, SERVE, 0o600)
    }

    fn panel_certificate(&self) -> anyhow::Result<()> {
        let mut names = vec!["localhost".to_owned(), "127.0.0.1".to_owned(), "::1".to_owned()];
        names.extend(self.name.iter().filter(|name| !names.contains(name)).cloned().collect::<Vec<_>>());
        let files = TlsFiles::within(&self.dir.join("tls"));
        files.ensure(&names)?;
        give(&files.certificate, SERVE, 0o644)?;
        give(&files.key, SERVE, 0o600)
    }

    fn node(&self, node: &Node, authority: &Authority, keys: &BusKeys) -> anyhow::Result<()> {
        let directory = format!("nodes/{}", node.name);
        self.directory(&directory, BUS, 0o700)?;
        let issued = authority.issue_for_node(&node.host, now_s()).with_context(|| format!("{} is no host", node.host))?;
        let listen = self.listen_nodes.to_string();
        let routes: Vec<String> = self.nodes.iter().map(|node| node.route(self.listen_nodes.port())).collect();
        let ip = self.listen.ip();
        let config = ServerConfig {
            name: node.name.as_str(),
            host: &if ip.is_ipv6() { format!("[{ip}]") } else { ip.to_string() },
            port: Some(self.listen.port()),
            data_dir: &self.data_dir,
            ports_dir: &self.data_dir,
            certificate: &self.node_dir.join("bus.crt"),
            key: &self.node_dir.join("bus.key"),
            cluster: Some(ClusterConfig { listen: &listen, nodes: &routes, authority: &self.node_dir.join("bus-authority.crt") }),
        };
        // A server that runs takes up new certificates, but no new word of its operator.
        let before = std::fs::read_to_string(self.dir.join(&directory).join("nats.conf")).unwrap_or_default();
        let issued_s = issued_s(&before, keys)?.unwrap_or(now_ms() / 1000);
        for (file, text, mode) in [
            ("bus.key", issued.key.as_str(), 0o600),
            ("bus.crt", issued.certificate.as_str(), 0o644),
            ("bus-authority.crt", authority.certificate(), 0o644),
            ("nats.conf", render(&config, keys, issued_s)?.as_str(), 0o600),
        ] {
            self.file(&format!("{directory}/{file}"), text, BUS, mode)?;
        }
        Ok(())
    }

    fn directory(&self, name: &str, owner: Identity, mode: u32) -> anyhow::Result<()> {
        let path = self.dir.join(name);
        std::fs::create_dir_all(&path).with_context(|| format!("{} could not be made", path.display()))?;
        give(&path, owner, mode)
    }

    fn file(&self, name: &str, text: &str, owner: Identity, mode: u32) -> anyhow::Result<()> {
        let path = self.dir.join(name);
        write(&path, text.as_bytes(), mode)?;
        give(&path, owner, mode)
    }
}

/// Gives a file to who reads it, where this process may.
fn give(path: &Path, owner: Identity, mode: u32) -> anyhow::Result<()> {
    own(path, owner, mode, geteuid().is_root())
}

#[cfg(test)]
mod tests {
    use super::Node;

    #[test]
    fn a_node_is_reached_by_its_name_or_by_the_host_that_is_given() {
        let route = |text: &str| text.parse::<Node>().map(|node| (node.name.to_string(), node.route(6222))).ok();
        assert_eq!(route("bus1"), Some(("bus1".to_owned(), "bus1:6222".to_owned())));
        assert_eq!(route("bus1=bus1.example.com"), Some(("bus1".to_owned(), "bus1.example.com:6222".to_owned())));
        assert_eq!(route("bus1=[fd00::1]"), Some(("bus1".to_owned(), "[fd00::1]:6222".to_owned())));
        assert_eq!(route("Bus 1"), None);
        assert_eq!(route("bus1=a\"b"), None);
    }
}
