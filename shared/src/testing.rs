//! A throw-away nats-server for tests: the real binary, the real configuration, a port of its own.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use crate::bus::authority::{Authority, BusAddress};
use crate::bus::credentials::BusKeys;
use crate::bus::server_config::{ServerConfig, render};

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
    port: u16,
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
    #[expect(clippy::expect_used, reason = "a test that cannot have its server must fail loudly")]
    pub fn start() -> Self {
        let dir = tempfile::tempdir().expect("a scratch directory");
        let keys = BusKeys::generate().expect("keys");
        let authority = Authority::generate(epoch_s()).expect("an authority");
        certify(dir.path(), &authority);
        let (child, port) = launch(dir.path(), &keys, None);
        Self { child, dir, port, authority, keys }
    }

    /// Where clients connect.
    #[must_use]
    pub fn address(&self) -> BusAddress {
        BusAddress { url: format!("tls://127.0.0.1:{}", self.port), authority: self.authority.certificate().to_owned() }
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

    /// Kills the server without warning.
    pub fn kill(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }

    /// Starts it again on its port, with what it had stored.
    pub fn restart(&mut self) {
        self.kill();
        (self.child, _) = launch(self.dir.path(), &self.keys, Some(self.port));
    }

    /// Kills it, throws away all it had stored, and starts it again on its port.
    #[expect(clippy::expect_used, reason = "a test that cannot have its server must fail loudly")]
    pub fn restart_empty(&mut self) {
        self.kill();
        for kept in ["streams", "accounts"] {
            std::fs::remove_dir_all(self.dir.path().join(kept)).expect("what it keeps");
        }
        (self.child, _) = launch(self.dir.path(), &self.keys, Some(self.port));
    }
}

impl Drop for NatsServer {
    fn drop(&mut self) {
        self.kill();
    }
}

#[expect(clippy::expect_used, clippy::zombie_processes, reason = "a test that cannot have its server must fail loudly")]
fn launch(dir: &Path, keys: &BusKeys, port: Option<u16>) -> (Child, u16) {
    let ports = dir.join("ports");
    let _ = std::fs::remove_dir_all(&ports);
    std::fs::create_dir_all(&ports).expect("the ports directory");
    let (certificate, key) = (dir.join("bus.crt"), dir.join("bus.key"));
    let config = ServerConfig { host: "127.0.0.1", port, data_dir: dir, ports_dir: &ports, certificate: &certificate, key: &key };
    let file = dir.join("nats.conf");
    std::fs::write(&file, render(&config, keys, now_s()).expect("a configuration")).expect("the configuration file");
    let child = Command::new(nats_server_binary())
        .arg("-c")
        .arg(&file)
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .expect("nats-server starts; `make tools` puts it into .gantry/bin");
    let deadline = Instant::now() + Duration::from_secs(10);
    loop {
        if let Some(port) = chosen_port(&ports)
            && std::net::TcpStream::connect(("127.0.0.1", port)).is_ok()
        {
            return (child, port);
        }
        assert!(Instant::now() < deadline, "nats-server did not listen within ten seconds");
        std::thread::sleep(Duration::from_millis(10));
    }
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
