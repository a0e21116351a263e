//! Throw-away nats-servers for tests: the real binary, the real configuration, ports of their own.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use crate::bus::authority::{Authority, BusAddress};
use crate::bus::credentials::BusKeys;
use crate::bus::server_config::{ClusterConfig, ServerConfig, accounts_dir, render, streams_dir};

/// Where the nats-server binary lies: `GANTRY_NATS_SERVER`, or `.gantry/bin/nats-server` in the checkout.
#[must_use]
pub fn nats_server_binary() -> PathBuf {
    std::env::var_os("GANTRY_NATS_SERVER")
        .map_or_else(|| Path::new(env!("CARGO_MANIFEST_DIR")).join("../.gantry/bin/nats-server"), PathBuf::from)
}

/// A running nats-server; it ends when dropped.
pub struct NatsServer {
    child: Child,
    dir: tempfile::TempDir,
    listens: SocketAddr,
    authority: Authority,
    /// The keys it trusts.
    pub keys: BusKeys,
}

impl NatsServer {
    /// Starts one.
    ///
    /// # Panics
    /// The binary is missing or does not start: the message says how to get it.
    #[must_use]
    pub fn start() -> Self {
        Self::start_at(Ipv4Addr::LOCALHOST.into())
    }

    /// Starts one that listens on IPv6 alone.
    ///
    /// # Panics
    /// As [`Self::start`].
    #[must_use]
    pub fn start_ipv6() -> Self {
        Self::start_at(Ipv6Addr::LOCALHOST.into())
    }

    #[expect(clippy::expect_used, reason = "a test that cannot have its server must fail loudly")]
    fn start_at(host: IpAddr) -> Self {
        let dir = tempfile::tempdir().expect("a scratch directory");
        let keys = BusKeys::generate().expect("keys");
        let authority = Authority::generate(epoch_s()).expect("an authority");
        certify(dir.path(), &authority);
        let (child, listens) = launch(dir.path(), &keys, host, None);
        Self { child, dir, listens, authority, keys }
    }

    /// Where clients connect.
    #[must_use]
    pub fn address(&self) -> BusAddress {
        BusAddress { url: format!("tls://{}", self.listens), authority: self.authority.certificate().to_owned() }
    }

    /// Gives it a new certificate while it runs: of its own authority, or of another one, which is returned as its address.
    ///
    /// # Panics
    /// It cannot be told.
    #[expect(clippy::expect_used, reason = "a test that cannot have its server must fail loudly")]
    pub fn renew(&mut self, authority: Option<Authority>) -> BusAddress {
        self.authority = authority.unwrap_or_else(|| {
            let own = self.authority.certificate().to_owned();
            Authority::from_pem(own, &self.authority.key_pem()).expect("its own authority")
        });
        certify(self.dir.path(), &self.authority);
        let reload = format!("reload={}", self.child.id());
        let told = Command::new(nats_server_binary()).args(["--signal", &reload]).status().expect("nats-server runs");
        assert!(told.success(), "the server was not told");
        self.address()
    }

    /// Where its configuration (`nats.conf`) and all it keeps lie.
    #[must_use]
    pub fn dir(&self) -> &Path {
        self.dir.path()
    }

    /// Kills the server without warning.
    pub fn kill(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }

    /// Starts it again on its port, with what it had stored.
    pub fn restart(&mut self) {
        self.kill();
        (self.child, _) = launch(self.dir.path(), &self.keys, self.listens.ip(), Some(self.listens.port()));
    }

    /// Kills it, throws away all it had stored, and starts it again on its port.
    #[expect(clippy::expect_used, reason = "a test that cannot have its server must fail loudly")]
    pub fn restart_empty(&mut self) {
        self.kill();
        for kept in [streams_dir(self.dir.path()), accounts_dir(self.dir.path())] {
            std::fs::remove_dir_all(kept).expect("what it keeps");
        }
        (self.child, _) = launch(self.dir.path(), &self.keys, self.listens.ip(), Some(self.listens.port()));
    }
}

impl Drop for NatsServer {
    fn drop(&mut self) {
        self.kill();
    }
}

#[expect(clippy::expect_used, reason = "a test that cannot have its server must fail loudly")]
fn launch(dir: &Path, keys: &BusKeys, host: IpAddr, port: Option<u16>) -> (Child, SocketAddr) {
    let ports = dir.join("ports");
    let _ = std::fs::remove_dir_all(&ports);
    std::fs::create_dir_all(&ports).expect("the ports directory");
    let (certificate, key) = (dir.join("bus.crt"), dir.join("bus.key"));
    let listen = if host.is_ipv6() { format!("[{host}]") } else { host.to_string() };
    let config = ServerConfig {
        name: "gantry",
        host: &listen,
        port,
        data_dir: dir,
        ports_dir: &ports,
        certificate: &certificate,
        key: &key,
        cluster: None,
    };
    let child = run(dir, &config, keys);
    let mut chosen = None;
    until("nats-server listens", || {
        chosen = chosen_port(&ports).map(|port| SocketAddr::new(host, port));
        chosen.is_some_and(|address| TcpStream::connect(address).is_ok())
    });
    (child, chosen.expect("its address"))
}

#[expect(clippy::expect_used, reason = "a test that cannot have its server must fail loudly")]
fn run(dir: &Path, config: &ServerConfig<'_>, keys: &BusKeys) -> Child {
    let file = dir.join("nats.conf");
    std::fs::write(&file, render(config, keys, now_s()).expect("a configuration")).expect("the configuration file");
    Command::new(nats_server_binary())
        .arg("-c")
        .arg(&file)
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .expect("nats-server starts; `make tools` puts it into .gantry/bin")
}

fn until(what: &str, mut holds: impl FnMut() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(10);
    while !holds() {
        assert!(Instant::now() < deadline, "waited ten seconds until {what}");
        std::thread::sleep(Duration::from_millis(10));
    }
}

/// Three nats-servers that are one bus; they end when dropped.
pub struct NatsCluster {
    nodes: Vec<Node>,
    authority: Authority,
    /// The keys they trust.
    pub keys: BusKeys,
    _dir: tempfile::TempDir,
}

struct Node {
    child: Child,
    dir: PathBuf,
    client: SocketAddr,
    route: SocketAddr,
}

impl NatsCluster {
    /// Starts them. It takes them some seconds to choose a leader; until then JetStream does not answer.
    ///
    /// # Panics
    /// The binary is missing or does not start.
    #[must_use]
    #[expect(clippy::expect_used, reason = "a test that cannot have its servers must fail loudly")]
    pub fn start() -> Self {
        // A port that was free a moment ago may be somebody else's by now.
        (0..5).find_map(|_| Self::try_start()).expect("six free ports")
    }

    #[expect(clippy::expect_used, reason = "a test that cannot have its servers must fail loudly")]
    fn try_start() -> Option<Self> {
        let dir = tempfile::tempdir().expect("a scratch directory");
        let keys = BusKeys::generate().expect("keys");
        let authority = Authority::generate(epoch_s()).expect("an authority");
        // Each node must know the others' ports before it starts, so the system cannot choose them while it does.
        let held: Vec<TcpListener> = (0..6).map(|_| TcpListener::bind(("127.0.0.1", 0)).expect("a free port")).collect();
        let ports: Vec<SocketAddr> = held.iter().map(|port| port.local_addr().expect("its address")).collect();
        drop(held);
        let routes: Vec<String> = ports[3..].iter().map(SocketAddr::to_string).collect();
        let nodes = (0..3).map(|number| {
            let dir = dir.path().join(node_name(number));
            std::fs::create_dir(&dir).expect("a node's directory");
            let issued = authority.issue_for_node("127.0.0.1", epoch_s()).expect("a certificate");
            for (file, text) in
                [("bus.crt", &issued.certificate), ("bus.key", &issued.key), ("authority.crt", &authority.certificate().to_owned())]
            {
                std::fs::write(dir.join(file), text).expect("a node's file");
            }
            let (client, route) = (ports[number], ports[3 + number]);
            Node { child: run_node(&dir, number, client, route, &routes, &keys), dir, client, route }
        });
        let nodes = nodes.collect();
        let mut cluster = Self { nodes, authority, keys, _dir: dir };
        (0..3).all(|number| cluster.listens(number)).then_some(cluster)
    }

    /// Where clients connect: any of these nodes.
    #[must_use]
    pub fn address(&self, nodes: &[usize]) -> BusAddress {
        let urls: Vec<String> = nodes.iter().map(|node| format!("tls://{}", self.nodes[*node].client)).collect();
        BusAddress { url: urls.join(","), authority: self.authority.certificate().to_owned() }
    }

    /// The node that calls itself so.
    #[must_use]
    pub fn number(name: &str) -> Option<usize> {
        (0..3).find(|number| node_name(*number) == name)
    }

    /// Kills a node without warning.
    pub fn kill(&mut self, node: usize) {
        let _ = self.nodes[node].child.kill();
        let _ = self.nodes[node].child.wait();
    }

    /// Starts it again with what it had stored.
    pub fn restart(&mut self, node: usize) {
        self.kill(node);
        let routes: Vec<String> = self.nodes.iter().map(|node| node.route.to_string()).collect();
        let Node { dir, client, route, .. } = &self.nodes[node];
        self.nodes[node].child = run_node(dir, node, *client, *route, &routes, &self.keys);
        assert!(self.listens(node), "the node does not start again");
    }

    /// Waits until a node listens; false if it has ended instead.
    fn listens(&mut self, node: usize) -> bool {
        let Node { child, client, .. } = &mut self.nodes[node];
        let mut ended = false;
        until("a node listens", || {
            ended = child.try_wait().is_ok_and(|status| status.is_some());
            ended || TcpStream::connect(*client).is_ok()
        });
        !ended
    }
}

impl Drop for NatsCluster {
    fn drop(&mut self) {
        for node in 0..self.nodes.len() {
            self.kill(node);
        }
    }
}

fn node_name(number: usize) -> String {
    format!("bus{}", number + 1)
}

fn run_node(dir: &Path, number: usize, client: SocketAddr, route: SocketAddr, routes: &[String], keys: &BusKeys) -> Child {
    let (listen, name) = (route.to_string(), node_name(number));
    let config = ServerConfig {
        name: &name,
        host: "127.0.0.1",
        port: Some(client.port()),
        data_dir: dir,
        ports_dir: dir,
        certificate: &dir.join("bus.crt"),
        key: &dir.join("bus.key"),
        cluster: Some(ClusterConfig { listen: &listen, nodes: routes, authority: &dir.join("authority.crt") }),
    };
    run(dir, &config, keys)
}

#[expect(clippy::expect_used, reason = "a test that cannot have its server must fail loudly")]
fn certify(dir: &Path, authority: &Authority) {
    let issued = authority.issue(epoch_s()).expect("a certificate");
    std::fs::write(dir.join("bus.crt"), issued.certificate).expect("the certificate's file");
    std::fs::write(dir.join("bus.key"), issued.key).expect("the key's file");
}

/// Reads the port from the file the server writes once it listens.
fn chosen_port(ports: &Path) -> Option<u16> {
    let file = std::fs::read_dir(ports).ok()?.flatten().find(|entry| entry.path().extension().is_some_and(|e| e == "ports"))?;
    let text = std::fs::read_to_string(file.path()).ok()?;
    let ports: serde_json::Value = serde_json::from_str(&text).ok()?;
    ports.pointer("/nats/0")?.as_str()?.rsplit(':').next()?.parse().ok()
}

/// Epoch seconds.
#[must_use]
pub fn now_s() -> i64 {
    i64::try_from(epoch_s()).unwrap_or(i64::MAX)
}

fn epoch_s() -> u64 {
    std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default().as_secs()
}
