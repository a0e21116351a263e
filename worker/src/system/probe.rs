//! Asks a site on this very host for its generation: its web server, or through it the PHP behind.

use std::io::{self, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use serde::Deserialize;
use shared::names::DomainName;

use super::{ProbeAnswer, Question};

/// Where nginx answers the worker for every vhost, and only from this host.
pub const PROBE_PATH: &str = "/.gantry/probe";
/// Where a site's PHP does.
pub const PHP_PROBE_PATH: &str = "/.gantry/probe-php";
/// The whole of a question and its answer, however slowly a tenant's PHP lets it drip. The first answer of an idle pool
/// takes up to a quarter of a second on a busy machine.
const LIMIT: Duration = Duration::from_secs(5);
/// An answer is at most some 300 bytes; an error page of nginx 500.
const ANSWER_LIMIT: usize = 16 * 1024;

#[derive(Deserialize)]
struct Answer {
    /// A vhost that an older worker has written does not say it, nor does PHP.
    #[serde(default)]
    site: Option<DomainName>,
    generation: i64,
    #[serde(default)]
    uid: Option<u32>,
}

pub(super) fn probe(domain: &DomainName, question: Question) -> ProbeAnswer {
    let stream = match TcpStream::connect_timeout(&SocketAddr::from((Ipv4Addr::LOCALHOST, 80)), LIMIT) {
        Ok(stream) => stream,
        Err(error) => return ProbeAnswer::Other(format!("no connection: {error}")),
    };
    match ask(stream, domain, question) {
        Ok(bytes) if bytes.is_empty() => ProbeAnswer::Unknown,
        Ok(bytes) => read(&String::from_utf8_lossy(&bytes)),
        // nginx closes a connection it will not answer (444), sometimes while our request is still under way.
        Err(error) if error.kind() == io::ErrorKind::ConnectionReset => ProbeAnswer::Unknown,
        Err(error) if matches!(error.kind(), io::ErrorKind::TimedOut | io::ErrorKind::WouldBlock) => ProbeAnswer::Silent,
        Err(error) => ProbeAnswer::Other(format!("no answer: {error}")),
    }
}

fn ask(mut stream: TcpStream, domain: &DomainName, question: Question) -> io::Result<Vec<u8>> {
    let deadline = Instant::now() + LIMIT;
    stream.set_write_timeout(Some(LIMIT))?;
    let path = match question {
        Question::Vhost => PROBE_PATH,
        Question::Php => PHP_PROBE_PATH,
    };
    let request = format!("GET {path} HTTP/1.0\r\nHost: {domain}\r\nUser-Agent: gantry-worker\r\nConnection: close\r\n\r\n");
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
    let code = status.split(' ').nth(1);
    if code == Some("504") {
        // nginx waited for PHP in vain.
        return ProbeAnswer::Silent;
    }
    if code == Some("200")
        && let Ok(Answer { site, generation, uid }) = serde_json::from_str(body.trim())
    {
        return ProbeAnswer::Serving { site, generation, uid };
    }
    ProbeAnswer::Other(format!("{status}: {}", body.trim().chars().take(200).collect::<String>()))
}

#[cfg(test)]
mod tests {
    use std::io::{self, Write};
    use std::net::{TcpListener, TcpStream};
    use std::time::{Duration, Instant};

    use super::{read, read_until};
    use crate::system::ProbeAnswer;

    #[test]
    fn a_gateway_that_waited_in_vain_is_silence_and_one_that_failed_is_not() {
        assert_eq!(read("HTTP/1.1 504 Gateway Time-out\r\n\r\n"), ProbeAnswer::Silent);
        assert!(matches!(read("HTTP/1.1 502 Bad Gateway\r\n\r\n"), ProbeAnswer::Other(_)));
    }

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
