//! Lines that are sent to an agent, as messages of syslog or as logs of OpenTelemetry, as fast as it takes them, and until it has taken all.

use std::fs;
use std::io::{BufRead, BufReader, Read as _, Write as _};
use std::net::{Ipv4Addr, Shutdown, TcpStream, UdpSocket};
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail, ensure};

use crate::run::free_port;

/// Longer than any agent takes for a row.
const PATIENCE: Duration = Duration::from_secs(120);
/// How often to look whether it is so far.
const LOOK: Duration = Duration::from_micros(200);
/// So many datagrams are sent at once, when the system holds at most so many bytes of those before.
const AT_ONCE: usize = 32;
const UNREAD: u64 = 64 * 1024;

/// So many logs are in a request.
const LOGS: usize = 1000;

/// How an agent is sent lines.
#[derive(Debug, Clone, Copy)]
pub(super) struct Sent {
    /// The mode of the input `syslog`, or `otlp` for the other one.
    pub(super) mode: &'static str,
    pub(super) port: u16,
}

/// What the system has in its table of sockets.
struct Unread {
    bytes: u64,
    dropped: u64,
}

impl Sent {
    /// To a port that is free now.
    pub(super) fn by(mode: &'static str) -> Result<Self> {
        Ok(Self { mode, port: free_port()? })
    }

    /// Sends the lines of a file.
    pub(super) fn send(self, file: &Path) -> Result<()> {
        let lines = fs::read(file).with_context(|| format!("cannot read {}", file.display()))?;
        match self.mode {
            "tcp" => self.write(&lines),
            "otlp" => self.post(&lines),
            _ => self.send_each(&lines),
        }
    }

    fn write(self, lines: &[u8]) -> Result<()> {
        let connect = || TcpStream::connect((Ipv4Addr::LOCALHOST, self.port)).ok();
        let mut stream = wait("the agent does not listen", connect)?;
        stream.write_all(lines)?;
        stream.shutdown(Shutdown::Write)?;
        // It closes its side when it is through.
        while stream.read(&mut [0])? > 0 {}
        Ok(())
    }

    fn post(self, lines: &[u8]) -> Result<()> {
        let connect = || TcpStream::connect((Ipv4Addr::LOCALHOST, self.port)).ok();
        let mut stream = wait("the agent does not listen", connect)?;
        stream.set_nodelay(true)?;
        let lines: Vec<&[u8]> = lines.split(|byte| *byte == b'\n').collect();
        for some in lines.chunks(LOGS) {
            let body = logs(some);
            let length = body.len();
            let head = format!(
                "POST /v1/logs HTTP/1.1\r\nHost: x\r\nContent-Type: application/x-protobuf\r\nContent-Length: {length}\r\n\r\n"
            );
            stream.write_all(&[head.as_bytes(), &body].concat())?;
            taken(&mut BufReader::new(&stream))?;
        }
        Ok(())
    }

    fn send_each(self, lines: &[u8]) -> Result<()> {
        let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0))?;
        wait("the agent does not listen", || self.unread())?;
        socket.connect((Ipv4Addr::LOCALHOST, self.port))?;
        let lines: Vec<&[u8]> = lines.split(|byte| *byte == b'\n').collect();
        for some in lines.chunks(AT_ONCE) {
            self.wait_for_room(UNREAD)?;
            for line in some.iter().filter(|line| !line.is_empty()) {
                socket.send(line)?;
            }
        }
        self.wait_for_room(0)?;
        let dropped = self.unread().map_or(0, |unread| unread.dropped);
        ensure!(dropped == 0, "the system has dropped {dropped} datagrams");
        Ok(())
    }

    fn wait_for_room(self, most: u64) -> Result<()> {
        wait("the agent takes nothing", || self.unread().filter(|unread| unread.bytes <= most))?;
        Ok(())
    }

    fn unread(self) -> Option<Unread> {
        unread(&fs::read_to_string("/proc/net/udp").ok()?, self.port)
    }
}

/// Lines as a request of OpenTelemetry, in protocol buffers.
fn logs(lines: &[&[u8]]) -> Vec<u8> {
    // Fields of messages: a log's time, its body, the body's text, what holds the next message, and the first of all.
    let [time, body, text, next, first] = [0x09, 0x2a, 0x0a, 0x12, 0x0a];
    let mut records = Vec::new();
    for line in lines.iter().filter(|line| !line.is_empty()) {
        let mut record = vec![time];
        record.extend_from_slice(&1_700_000_000_000_000_000_u64.to_le_bytes());
        field(body, &bytes(text, line), &mut record);
        field(next, &record, &mut records);
    }
    bytes(first, &bytes(next, &records))
}

/// A field with its length.
fn field(tag: u8, content: &[u8], out: &mut Vec<u8>) {
    out.push(tag);
    let mut length = content.len();
    while length > 0x7f {
        out.push(0x80 | (length & 0x7f) as u8);
        length >>= 7;
    }
    out.push(length as u8);
    out.extend_from_slice(content);
}

fn bytes(tag: u8, content: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(content.len() + 6);
    field(tag, content, &mut out);
    out
}

/// Reads an answer, which has to be a good one.
fn taken(reader: &mut impl BufRead) -> Result<()> {
    let (mut status, mut length) = (String::new(), 0);
    reader.read_line(&mut status)?;
    ensure!(status.starts_with("HTTP/1.1 2"), "the agent answers {}", status.trim_end());
    loop {
        let mut line = String::new();
        reader.read_line(&mut line)?;
        let line = line.trim_end().to_ascii_lowercase();
        if line.is_empty() {
            reader.read_exact(&mut vec![0; length])?;
            return Ok(());
        }
        if let Some(text) = line.strip_prefix("content-length:") {
            length = text.trim().parse()?;
        }
    }
}

/// The row of the socket that listens on this port.
fn unread(table: &str, port: u16) -> Option<Unread> {
    let port = format!(":{port:04X}");
    let mut rows = table.lines().map(|line| line.split_ascii_whitespace().collect::<Vec<_>>());
    let row = rows.find(|row| row.get(1).is_some_and(|address| address.ends_with(&port)))?;
    let (_, bytes) = row.get(4)?.split_once(':')?;
    Some(Unread {
        bytes: u64::from_str_radix(bytes, 16).ok()?,
        dropped: row.get(12)?.parse().ok()?,
    })
}

/// Asks again and again.
fn wait<T>(trouble: &str, ask: impl Fn() -> Option<T>) -> Result<T> {
    let deadline = Instant::now() + PATIENCE;
    while Instant::now() < deadline {
        if let Some(answer) = ask() {
            return Ok(answer);
        }
        thread::sleep(LOOK);
    }
    bail!("{trouble}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_of_sockets_is_understood() {
        let table = "\
  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode ref pointer drops
 1234: 0100007F:1414 00000000:0000 07 00000000:00000A00 00:00000000 00000000     0        0 4711 2 0000000000000000 17
";
        let Unread { bytes, dropped } = unread(table, 5140).unwrap();
        assert_eq!((bytes, dropped), (2560, 17));
        assert!(unread(table, 5141).is_none());
    }

    #[test]
    fn lines_are_logs_of_opentelemetry() {
        let time = b"\x09\0\0\x2a\x36\xfe\x9c\x97\x17";
        let record = [&time[..], b"\x2a\x04\x0a\x02ab"].concat();
        let expected = [b"\x0a\x13\x12\x11\x12\x0f", &record[..]].concat();
        assert_eq!(logs(&[b"ab", b""]), expected);
        assert_eq!(bytes(1, &[7; 300])[..3], [1, 0xac, 0x02]);
    }
}
