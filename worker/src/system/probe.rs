//! Asks a site on this very host, through its own web server, for its generation.

use std::io::{self, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::time::Duration;

use serde::Deserialize;
use shared::names::DomainName;

use super::ProbeAnswer;

/// Where every vhost answers the worker, and only from this host.
pub const PROBE_PATH: &str = "/.gantry/probe";
/// The first answer of an idle pool takes up to a quarter of a second on a busy machine.
const LIMIT: Duration = Duration::from_secs(10);
/// An answer is some 40 bytes; an error page of nginx 500.
const ANSWER_LIMIT: u64 = 16 * 1024;

#[derive(Deserialize)]
struct Answer {
    generation: i64,
    #[serde(default)]
    uid: Option<u32>,
}

pub(super) fn probe(domain: &DomainName) -> ProbeAnswer {
    match ask(domain) {
        Ok(bytes) if bytes.is_empty() => ProbeAnswer::Unknown,
        Ok(bytes) => read(&String::from_utf8_lossy(&bytes)),
        // nginx closes a connection it will not answer (444), sometimes while our request is still under way.
        Err(error) if error.kind() == io::ErrorKind::ConnectionReset => ProbeAnswer::Unknown,
        Err(error) => ProbeAnswer::Other(format!("no answer: {error}")),
    }
}

fn ask(domain: &DomainName) -> io::Result<Vec<u8>> {
    let mut stream = TcpStream::connect_timeout(&SocketAddr::from((Ipv4Addr::LOCALHOST, 80)), LIMIT)?;
    stream.set_read_timeout(Some(LIMIT))?;
    stream.set_write_timeout(Some(LIMIT))?;
    let request = format!("GET {PROBE_PATH} HTTP/1.0\r\nHost: {domain}\r\nUser-Agent: gantry-worker\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes())?;
    let mut bytes = Vec::new();
    stream.take(ANSWER_LIMIT).read_to_end(&mut bytes)?;
    Ok(bytes)
}

fn read(response: &str) -> ProbeAnswer {
    let status = response.lines().next().unwrap_or_default();
    let body = response.split_once("\r\n\r\n").map_or("", |(_, body)| body);
    if status.split(' ').nth(1) == Some("200")
        && let Ok(Answer { generation, uid }) = serde_json::from_str(body.trim())
    {
        return ProbeAnswer::Serving { generation, uid };
    }
    ProbeAnswer::Other(format!("{status}: {}", body.trim().chars().take(200).collect::<String>()))
}
