//! Lines that are sent to an agent's syslog input, as fast as it takes them, and until it has taken all.

use std::fs;
use std::io::{Read as _, Write as _};
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

/// How an agent is sent lines.
#[derive(Debug, Clone, Copy)]
pub(super) struct Sent {
    /// The input's mode.
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
}
