//! Asks a site on this very host, through its own web server, for its generation.

use std::io::{self, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use serde::Deserialize;
use shared::names::DomainName;

use super::ProbeAnswer;

/// Where every vhost answers the worker, and only from this host.
pub const PROBE_PATH: &str = "/.gantry/probe";
/// The whole of a question and its answer, however slowly a tenant's PHP lets it drip. The first answer of an idle pool
/// takes up to a quarter of a second on a busy machine.
const LIMIT: Duration = Duration::from_secs(10);
/// An answer is some 40 bytes; an error page of nginx 500.
const ANSWER_LIMIT: usize = 16 * 1024;

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
    let deadline = Instant::now() + LIMIT;
    let mut stream = TcpStream::connect_timeout(&SocketAddr::from((Ipv4Addr::LOCALHOST, 80)), LIMIT)?;
    stream.set_write_timeout(Some(LIMIT))?;
    let request = format!("GET {PROBE_PATH} HTTP/1.0\r\nHost: {domain}\r\nUser-Agent: gantry-worker\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes())?;
    read_until(&mut stream, deadline)
}

/// Reads to the end, or to the limit. A time limit of the socket alone would begin anew with each byte.
fn read_until(stream: &mut TcpStream, deadline: Instant) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    let mut chunk = [0_u8; 4096];
    while bytes.len() < ANSWER_LIMIT {
        let left = deadline.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Err(io::ErrorKind::TimedOut.into());
        }
        stream.set_read_timeout(Some(left))?;
        match stream.read(&mut chunk) {
            Ok(0) => break,
            Ok(length) => bytes.extend_from_slice(&chunk[..length]),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
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

#[cfg(test)]
mod tests {
    use std::io::{self, Write};
    use std::net::{TcpListener, TcpStream};
    use std::time::{Duration, Instant};

    use super::read_until;

    #[test]
    fn an_answer_that_drips_does_not_hold_the_worker_longer_than_the_limit() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let mut stream = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let (mut slow, _) = listener.accept().unwrap();
        std::thread::spawn(move || {
            while slow.write_all(b"x").is_ok() {
                std::thread::sleep(Duration::from_millis(20));
            }
        });
        let began = Instant::now();
        let answer = read_until(&mut stream, began + Duration::from_millis(200));
        assert!(matches!(answer.map_err(|error| error.kind()), Err(io::ErrorKind::TimedOut | io::ErrorKind::WouldBlock)));
        assert!(began.elapsed() < Duration::from_secs(5));
    }
}
