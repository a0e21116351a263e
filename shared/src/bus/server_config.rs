//! The configuration of the nats-server that Gantry starts itself, or of each node of a cluster of them.

use std::fmt::Write;
use std::path::{Path, PathBuf};

use super::BusError;
use super::credentials::BusKeys;
use super::jwt::Claims;
use super::topology::STREAM_MAX_BYTES;

/// The oldest nats-server that is safe: before it, forged acknowledgements delete other servers' jobs (2.9), and
/// `sync_interval: always` misses the compaction of work queues (2.15.0).
pub const OLDEST_SERVER: &str = "2.15.1";

/// Whether a version, such as `2.15.1` or `2.16.0-preview.1`, is at least [`OLDEST_SERVER`].
#[must_use]
pub fn is_new_enough(version: &str) -> bool {
    let numbers = |text: &str| -> Vec<u32> {
        let release = text.split(['-', '+']).next().unwrap_or_default();
        release.trim_start_matches('v').split('.').map(|part| part.parse().unwrap_or(0)).collect()
    };
    numbers(version) >= numbers(OLDEST_SERVER)
}

/// Where and how the server runs.
#[derive(Debug, Clone)]
pub struct ServerConfig<'a> {
    /// Its name, which no other node of the cluster has.
    pub name: &'a str,
    /// Addresses to listen on, such as `127.0.0.1`. nats-server takes one; `0.0.0.0` means all.
    pub host: &'a str,
    /// The port; `None` lets the system choose and writes it into `ports_dir`.
    pub port: Option<u16>,
    /// Where streams and account JWTs are kept.
    pub data_dir: &'a Path,
    /// Where the chosen port is written.
    pub ports_dir: &'a Path,
    /// The server's certificate, PEM. The server reads it again when it is told to reload.
    pub certificate: &'a Path,
    /// The certificate's key, PEM.
    pub key: &'a Path,
    /// The cluster it is a node of.
    pub cluster: Option<ClusterConfig<'a>>,
}

/// How a node finds and trusts the others.
#[derive(Debug, Clone)]
pub struct ClusterConfig<'a> {
    /// Where the other nodes connect, such as `[::]:6222`.
    pub listen: &'a str,
    /// All nodes as the others reach them, `host:port`; its own may be among them.
    pub nodes: &'a [String],
    /// The certificate of the authority that vouches for all nodes, PEM.
    pub authority: &'a Path,
}

impl ClusterConfig<'_> {
    /// Both sides of a connection between nodes prove with a certificate of the authority who they are. Clients are told of no
    /// other node: they are given all addresses, and what the nodes know each other by may be of no use to them.
    fn render(&self, certificate: &str, key: &str) -> String {
        let routes: Vec<String> = self.nodes.iter().map(|node| format!("\"nats-route://{node}\"")).collect();
        let tls =
            format!("cert_file: {certificate}, key_file: {key}, ca_file: {}, min_version: \"1.3\", timeout: 15", quoted(self.authority));
        format!(
            "cluster {{\n  name: gantry\n  listen: \"{}\"\n  no_advertise: true\n  tls {{ {tls} }}\n  routes: [{}]\n}}",
            self.listen,
            routes.join(", ")
        )
    }
}

/// What all streams together may grow to, in bytes: more than the sum of their own limits.
const MAX_STORE_BYTES: i64 = 4 * STREAM_MAX_BYTES;

/// The configuration file's text.
///
/// # Errors
/// A stored key is damaged.
pub fn render(config: &ServerConfig<'_>, keys: &BusKeys, now_s: i64) -> Result<String, BusError> {
    let port = config.port.map_or(-1, i32::from);
    let mut text = String::new();
    let mut line = |text_line: String| {
        let _ = writeln!(text, "{text_line}");
    };
    line("# Written by gantry at each start; changes here are lost.".to_owned());
    line(format!("server_name: \"{}\"", config.name));
    line(format!("listen: \"{}:{port}\"", config.host));
    line(format!("ports_file_dir: {}", quoted(config.ports_dir)));
    // Two pings of 10 s without an answer: a connection that was cut silently is let go within 30 s, and its worker, which may
    // have one connection, gets in again.
    line("ping_interval: \"10s\"\nping_max: 2".to_owned());
    line("max_payload: 1MB".to_owned());
    let (certificate, key) = (quoted(config.certificate), quoted(config.key));
    // A host far away, or a server that starts with a thousand workers at once, takes longer than the default of two seconds.
    line(format!("tls {{ cert_file: {certificate}, key_file: {key}, min_version: \"1.3\", timeout: 15 }}"));
    if let Some(cluster) = &config.cluster {
        line(cluster.render(&certificate, &key));
    }
    // Without a limit of our own the server takes three quarters of what is free when it starts, and with less than the streams may
    // grow to it does not read them.
    let streams = quoted(&streams_dir(config.data_dir));
    line(format!("jetstream {{ store_dir: {streams}, max_file_store: {MAX_STORE_BYTES}, sync_interval: always }}"));
    line(format!("operator: \"{}\"", keys.operator_jwt(now_s)?));
    line(format!("system_account: {}", keys.system_account()?));
    line(format!("resolver {{ type: full, dir: {}, allow_delete: false, interval: \"2m\" }}", quoted(&accounts_dir(config.data_dir))));
    line("resolver_preload {".to_owned());
    line(format!("  {}: \"{}\"", keys.system_account()?, keys.system_account_jwt(now_s)?));
    line(format!("  {}: \"{}\"", keys.panel_account()?, keys.panel_account_jwt(now_s)?));
    line("}".to_owned());
    Ok(text)
}

/// When the JWTs of a configuration were issued, if they say what these keys would have them say today.
///
/// A server that runs takes up another configuration only if its operator's JWT has not changed by a letter.
///
/// # Errors
/// A stored key is damaged.
pub fn issued_s(config: &str, keys: &BusKeys) -> Result<Option<i64>, BusError> {
    let operator = config.lines().find_map(|line| line.strip_prefix("operator: \"")?.strip_suffix('"'));
    let Some(issued_s) = operator.and_then(Claims::of).map(|claims| claims.issued_s) else { return Ok(None) };
    let today = [keys.operator_jwt(issued_s)?, keys.system_account_jwt(issued_s)?, keys.panel_account_jwt(issued_s)?];
    Ok(today.iter().all(|jwt| config.contains(jwt.as_str())).then_some(issued_s))
}

/// Where a server keeps its streams, beneath its [`ServerConfig::data_dir`].
#[must_use]
pub fn streams_dir(data_dir: &Path) -> PathBuf {
    data_dir.join("streams")
}

/// Where a server keeps the JWTs of accounts, beneath its [`ServerConfig::data_dir`].
#[must_use]
pub fn accounts_dir(data_dir: &Path) -> PathBuf {
    data_dir.join("accounts")
}

fn quoted(path: &Path) -> String {
    format!("\"{}\"", path.display().to_string().replace('\\', "\\\\").replace('"', "\\\""))
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::{ServerConfig, is_new_enough, issued_s, render};
    use crate::bus::credentials::BusKeys;

    #[test]
    fn a_configuration_keeps_its_jwts_until_they_say_something_else() {
        let (keys, other) = (BusKeys::generate().unwrap(), BusKeys::generate().unwrap());
        let path = Path::new("/x");
        let config = ServerConfig {
            name: "bus1",
            host: "127.0.0.1",
            port: None,
            data_dir: path,
            ports_dir: path,
            certificate: path,
            key: path,
            cluster: None,
        };
        let text = render(&config, &keys, 1_000).unwrap();
        assert_eq!(issued_s(&text, &keys).unwrap(), Some(1_000));
        assert_eq!(render(&config, &keys, 1_000).unwrap(), text);
        assert_eq!(issued_s(&text, &other).unwrap(), None);
        let panel = keys.panel_account_jwt(1_000).unwrap();
        assert_eq!(issued_s(&text.replace(&panel, "of another release"), &keys).unwrap(), None);
        assert_eq!(issued_s("", &keys).unwrap(), None);
    }

    #[test]
    fn servers_older_than_2_15_1_are_refused() {
        for (version, expected) in [
            ("2.9.10", false),
            ("2.14.6", false),
            ("2.15.0", false),
            ("2.15.1", true),
            ("2.15.10", true),
            ("2.16.0-preview.1", true),
            ("3.0.0", true),
            ("junk", false),
        ] {
            assert_eq!(is_new_enough(version), expected, "{version}");
        }
    }
}
