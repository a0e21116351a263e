//! A stranger who keeps looking at other sites while something happens, and counts what was lost.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// Looks at sites on fresh connections until it is stopped.
pub(crate) struct Prober {
    stop: Arc<AtomicBool>,
    thread: JoinHandle<Seen>,
}

/// What it saw.
#[derive(Debug, Default)]
pub(crate) struct Seen {
    pub(crate) answered: u32,
    pub(crate) lost: Vec<String>,
}

impl Prober {
    /// Starts looking at the sites, each in turn, 50 times a second in all.
    pub(crate) fn start(address: &str, domains: &[&str]) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let (address, domains) = (address.to_owned(), domains.iter().map(|domain| (*domain).to_owned()).collect::<Vec<_>>());
        let flag = Arc::clone(&stop);
        let thread = std::thread::spawn(move || {
            let mut seen = Seen::default();
            while !flag.load(Ordering::Relaxed) {
                for domain in &domains {
                    let started = Instant::now();
                    match look(&address, domain) {
                        Ok(()) => seen.answered += 1,
                        Err(error) => seen.lost.push(format!("{domain}: {error}")),
                    }
                    std::thread::sleep(Duration::from_millis(20).saturating_sub(started.elapsed()));
                }
            }
            seen
        });
        Self { stop, thread }
    }

    /// Stops, and asserts that nothing was lost.
    pub(crate) fn assert_nothing_lost(self) {
        self.stop.store(true, Ordering::Relaxed);
        let seen = self.thread.join().expect("the prober ends");
        assert!(seen.answered > 0, "the prober saw nothing at all");
        assert!(seen.lost.is_empty(), "{} requests lost of {}: {:?}", seen.lost.len(), seen.answered, seen.lost);
    }
}

fn look(address: &str, domain: &str) -> Result<(), String> {
    let mut stream = TcpStream::connect((address, 80)).map_err(|error| error.to_string())?;
    stream.set_read_timeout(Some(Duration::from_secs(10))).map_err(|error| error.to_string())?;
    write!(stream, "GET / HTTP/1.1\r\nHost: {domain}\r\nConnection: close\r\n\r\n").map_err(|error| error.to_string())?;
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).map_err(|error| error.to_string())?;
    let head = String::from_utf8_lossy(&answer[..answer.len().min(40)]).into_owned();
    if head.starts_with("HTTP/1.1 200") { Ok(()) } else { Err(format!("answered {head:?}")) }
}
