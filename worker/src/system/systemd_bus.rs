//! Asks systemd which units run, over its own socket: as much of D-Bus as that takes.
//!
//! `systemctl` asks the same question in the same way, but is a program that has to be started. The message format is that of the
//! D-Bus Specification, "Message Format"; the method is `ListUnits` of org.freedesktop.systemd1(5).

use std::collections::BTreeSet;
use std::io::{self, Read, Write};
use std::os::unix::net::UnixStream;
use std::time::{Duration, Instant};

/// Where systemd listens for root; the bus's own daemon need not run.
const SOCKET: &str = "/run/systemd/private";
/// For all of it: the engine waits meanwhile, and `systemctl` can still be asked.
const LIMIT: Duration = Duration::from_secs(3);
/// What the specification allows.
const LONGEST: usize = 128 * 1024 * 1024;

/// Every unit that runs.
pub(super) fn active_units() -> io::Result<BTreeSet<String>> {
    ask(UnixStream::connect(SOCKET)?, LIMIT)
}

fn ask(stream: UnixStream, limit: Duration) -> io::Result<BTreeSet<String>> {
    stream.set_write_timeout(Some(limit))?;
    let mut stream = Until { stream, end: Instant::now() + limit };
    authenticate(&mut stream)?;
    stream.stream.write_all(&list_units())?;
    loop {
        let message = Message::read(&mut stream)?;
        match message.kind {
            RETURN if message.replies_to == Some(SERIAL) => return active_in(&message.body),
            ERROR if message.replies_to == Some(SERIAL) => return Err(strange("systemd refuses to list its units")),
            // Signals may come in between.
            _ => {}
        }
    }
}

/// Reads until a moment, however often something arrives: systemd sends its signals to whoever is connected.
struct Until {
    stream: UnixStream,
    end: Instant,
}

impl Read for Until {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let left = self.end.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Err(io::ErrorKind::TimedOut.into());
        }
        self.stream.set_read_timeout(Some(left))?;
        self.stream.read(buffer)
    }
}

const SERIAL: u32 = 1;
const RETURN: u8 = 2;
const ERROR: u8 = 3;

fn strange(what: &'static str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, what)
}

/// SASL's EXTERNAL: the socket itself says who calls. `30` is the number of root in hexadecimal ASCII. `BEGIN` goes along at once, as
/// sd-bus does it: what comes in together with a later `BEGIN` stays in systemd's buffer until something else arrives.
fn authenticate(stream: &mut Until) -> io::Result<()> {
    stream.stream.write_all(b"\0AUTH EXTERNAL 30\r\nBEGIN\r\n")?;
    let mut line = Vec::new();
    while !line.ends_with(b"\r\n") {
        let mut byte = [0];
        stream.read_exact(&mut byte)?;
        line.push(byte[0]);
        if line.len() > 512 {
            return Err(strange("systemd's greeting is too long"));
        }
    }
    if line.starts_with(b"OK ") { Ok(()) } else { Err(strange("systemd does not let us in")) }
}

/// A call of `ListUnits`, little-endian.
fn list_units() -> Vec<u8> {
    let mut fields = Vec::new();
    for (code, signature, value) in [
        (1, "o", "/org/freedesktop/systemd1"),
        (6, "s", "org.freedesktop.systemd1"),
        (2, "s", "org.freedesktop.systemd1.Manager"),
        (3, "s", "ListUnits"),
    ] {
        pad(&mut fields, 8);
        fields.extend([code, 1, signature.as_bytes()[0], 0]);
        text(&mut fields, value);
    }
    // Little-endian, a call, no flags, version 1, no body.
    let mut message = vec![b'l', 1, 0, 1];
    message.extend(0_u32.to_le_bytes());
    message.extend(SERIAL.to_le_bytes());
    message.extend(u32::try_from(fields.len()).unwrap_or(0).to_le_bytes());
    message.extend(fields);
    pad(&mut message, 8);
    message
}

fn pad(bytes: &mut Vec<u8>, to: usize) {
    bytes.resize(bytes.len().next_multiple_of(to), 0);
}

fn text(bytes: &mut Vec<u8>, value: &str) {
    pad(bytes, 4);
    bytes.extend(u32::try_from(value.len()).unwrap_or(0).to_le_bytes());
    bytes.extend(value.as_bytes());
    bytes.push(0);
}

struct Message {
    kind: u8,
    replies_to: Option<u32>,
    body: Vec<u8>,
}

impl Message {
    fn read(stream: &mut impl Read) -> io::Result<Self> {
        let mut head = [0; 16];
        stream.read_exact(&mut head)?;
        if head[0] != b'l' {
            return Err(strange("systemd speaks big-endian"));
        }
        let (body, fields) = (Cursor::of(&head, 4).number()?, Cursor::of(&head, 12).number()?);
        let (body, fields) = (body as usize, fields as usize);
        if body > LONGEST || fields > LONGEST {
            return Err(strange("systemd's message is too long"));
        }
        let mut rest = vec![0; fields.next_multiple_of(8) + body];
        stream.read_exact(&mut rest)?;
        let replies_to = replies_to(&rest[..fields])?;
        Ok(Self { kind: head[1], replies_to, body: rest.split_off(fields.next_multiple_of(8)) })
    }
}

/// The header field REPLY_SERIAL.
fn replies_to(fields: &[u8]) -> io::Result<Option<u32>> {
    let mut at = Cursor::of(fields, 0);
    while at.position < fields.len() {
        at.align(8);
        let code = at.byte()?;
        let length = at.byte()?;
        let signature = at.byte()?;
        if length != 1 || at.byte()? != 0 {
            return Err(strange("systemd's message has a strange header"));
        }
        match signature {
            b'u' => {
                let number = at.number()?;
                if code == 5 {
                    return Ok(Some(number));
                }
            }
            b's' | b'o' => drop(at.text()?),
            b'g' => {
                let length = usize::from(at.byte()?);
                at.position += length + 1;
            }
            _ => return Err(strange("systemd's message has a strange header")),
        }
    }
    Ok(None)
}

/// The names of those in `a(ssssssouso)` whose fourth word is that of a unit that runs.
fn active_in(body: &[u8]) -> io::Result<BTreeSet<String>> {
    let mut at = Cursor::of(body, 0);
    let length = at.number()? as usize;
    at.align(8);
    let end = at.position.checked_add(length).filter(|end| *end <= body.len()).ok_or_else(|| strange("systemd's list is cut"))?;
    let mut active = BTreeSet::new();
    while at.position < end {
        at.align(8);
        let name = at.text()?;
        let (_description, _load) = (at.text()?, at.text()?);
        let state = at.text()?;
        let (_sub, _followed, _path) = (at.text()?, at.text()?, at.text()?);
        let _job = at.number()?;
        let (_job_type, _job_path) = (at.text()?, at.text()?);
        if matches!(state, "active" | "reloading" | "activating") {
            active.insert(name.to_owned());
        }
    }
    Ok(active)
}

/// Reads values where the specification aligns them.
struct Cursor<'a> {
    bytes: &'a [u8],
    position: usize,
}

impl<'a> Cursor<'a> {
    const fn of(bytes: &'a [u8], position: usize) -> Self {
        Self { bytes, position }
    }

    const fn align(&mut self, to: usize) {
        self.position = self.position.next_multiple_of(to);
    }

    fn take(&mut self, length: usize) -> io::Result<&'a [u8]> {
        let end = self.position.checked_add(length);
        let taken = end.and_then(|end| self.bytes.get(self.position..end)).ok_or_else(|| strange("systemd's message is cut"))?;
        self.position += length;
        Ok(taken)
    }

    fn byte(&mut self) -> io::Result<u8> {
        Ok(self.take(1)?[0])
    }

    fn number(&mut self) -> io::Result<u32> {
        self.align(4);
        let bytes = self.take(4)?;
        Ok(u32::from_le_bytes([bytes[0], bytes[1], bytes[2], bytes[3]]))
    }

    fn text(&mut self) -> io::Result<&'a str> {
        let length = self.number()? as usize;
        let bytes = self.take(length)?;
        self.take(1)?;
        std::str::from_utf8(bytes).map_err(|_| strange("systemd's message holds no text"))
    }
}

#[cfg(test)]
mod tests {
    use std::io::{Read, Write};
    use std::os::unix::net::UnixStream;
    use std::time::{Duration, Instant};

    use super::{Message, RETURN, active_in, ask, list_units, pad, text};

    fn unit(body: &mut Vec<u8>, name: &str, state: &str) {
        pad(body, 8);
        for word in [name, "A unit", "loaded", state, "listening", "", "/org/freedesktop/systemd1/unit/x"] {
            text(body, word);
        }
        pad(body, 4);
        body.extend(0_u32.to_le_bytes());
        text(body, "");
        text(body, "/");
    }

    /// The list as systemd sends it: its length does not count the gap before the first unit.
    fn list() -> Vec<u8> {
        let mut units = vec![0; 8];
        for (name, state) in
            [("a.socket", "active"), ("b.service", "failed"), ("long-name-c.service", "activating"), ("d.service", "inactive")]
        {
            unit(&mut units, name, state);
        }
        let mut body = u32::try_from(units.len() - 8).unwrap().to_le_bytes().to_vec();
        body.extend([0; 4]);
        body.extend(&units[8..]);
        body
    }

    #[test]
    fn units_that_run_are_read_from_systemds_list() {
        let active: Vec<String> = active_in(&list()).unwrap().into_iter().collect();
        assert_eq!(active, ["a.socket", "long-name-c.service"]);
    }

    #[test]
    fn a_cut_or_strange_message_is_an_error_and_no_panic() {
        let list = list();
        for end in 0..list.len() {
            assert!(active_in(&list[..end]).is_err(), "{end}");
        }
        assert!(active_in(&[0xff; 64]).is_err());
        assert!(Message::read(&mut [b'B'; 32].as_slice()).is_err());
    }

    fn message(kind: u8, replies_to: u32, body: &[u8]) -> Vec<u8> {
        let mut fields = vec![5, 1, b'u', 0];
        fields.extend(replies_to.to_le_bytes());
        fields.extend([8, 1, b'g', 0, 1, b's', 0]);
        let length = u32::try_from(fields.len()).unwrap();
        pad(&mut fields, 8);
        let mut bytes = vec![b'l', kind, 0, 1];
        bytes.extend(u32::try_from(body.len()).unwrap().to_le_bytes());
        bytes.extend(7_u32.to_le_bytes());
        bytes.extend(length.to_le_bytes());
        [bytes, fields, body.to_vec()].concat()
    }

    #[test]
    fn a_reply_is_known_by_the_serial_it_answers() {
        let message = Message::read(&mut message(RETURN, 1, &list()).as_slice()).unwrap();
        assert_eq!((message.kind, message.replies_to, message.body), (RETURN, Some(1), list()));
    }

    /// Answers a caller as systemd does, then sends what is given.
    fn systemd(mut stream: UnixStream, answers: impl IntoIterator<Item = Vec<u8>> + Send + 'static) {
        std::thread::spawn(move || {
            let mut said = [0; 256];
            let greeting = stream.read(&mut said).unwrap();
            assert_eq!(&said[..greeting], b"\0AUTH EXTERNAL 30\r\nBEGIN\r\n", "in one piece");
            stream.write_all(b"OK 0123456789abcdef\r\n").unwrap();
            stream.read_exact(&mut vec![0; list_units().len()]).unwrap();
            answers.into_iter().try_for_each(|answer| stream.write_all(&answer))
        });
    }

    #[test]
    fn signals_in_between_are_passed_over() {
        let (ours, theirs) = UnixStream::pair().unwrap();
        systemd(theirs, [message(4, 0, b"signal"), message(RETURN, 9, b"another's"), message(RETURN, 1, &list())]);
        assert_eq!(ask(ours, Duration::from_secs(5)).unwrap().len(), 2);
    }

    #[test]
    fn signals_without_end_and_no_reply_end_in_time() {
        let (ours, theirs) = UnixStream::pair().unwrap();
        systemd(
            theirs,
            std::iter::repeat_with(|| {
                std::thread::sleep(Duration::from_millis(20));
                message(4, 0, b"signal")
            }),
        );
        let began = Instant::now();
        assert!(ask(ours, Duration::from_millis(200)).is_err());
        assert!(began.elapsed() < Duration::from_secs(5), "{:?}", began.elapsed());
    }

    #[test]
    fn our_call_is_aligned_as_the_specification_says() {
        let call = list_units();
        assert_eq!((&call[..4], call.len() % 8), ([b'l', 1, 0, 1].as_slice(), 0));
        let message = Message::read(&mut call.as_slice()).unwrap();
        assert_eq!((message.kind, message.replies_to, message.body.len()), (1, None, 0));
    }
}
