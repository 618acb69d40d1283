//! Sockets that datagrams come to, or go from. Each is a message of its own, and there are no connections.

use std::fmt;
use std::fs::File;
use std::io;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::os::fd::AsFd as _;
use std::os::unix::fs::MetadataExt as _;

use tokio::net::UdpSocket;
use tokio::sync::Mutex;

use super::http_parts::bracketed;
use super::stream::Peer;

/// The most bytes that a datagram on the network holds.
pub const LONGEST: usize = 65_507;

/// A socket that is read.
#[derive(Debug)]
pub enum Receiver {
    /// On the network.
    Udp(tokio::net::UdpSocket),
    /// On this machine.
    Unix(tokio::net::UnixDatagram),
}

impl Receiver {
    /// Completes when there may be a datagram.
    pub async fn ready(&self) -> io::Result<()> {
        match self {
            Self::Udp(socket) => socket.readable().await,
            Self::Unix(socket) => socket.readable().await,
        }
    }

    /// The next datagram's length, and who sent it; what is longer than `buffer` is cut. `WouldBlock` if there is none.
    pub fn take(&self, buffer: &mut [u8]) -> io::Result<(usize, Peer)> {
        match self {
            Self::Udp(socket) => {
                let (length, mut address) = socket.try_recv_from(buffer)?;
                // A socket for both kinds of addresses shows those of the older kind in the newer one's form.
                address.set_ip(address.ip().to_canonical());
                Ok((length, Peer::Udp(address)))
            }
            Self::Unix(socket) => Ok((socket.try_recv(buffer)?, Peer::Unix)),
        }
    }

    /// How many datagrams the system has dropped because nobody had read those before, as far as it tells. On this machine
    /// it drops none: senders wait.
    pub fn dropped(&self) -> Option<u64> {
        let Self::Udp(socket) = self else { return None };
        let is_v6 = socket.local_addr().ok()?.is_ipv6();
        let inode = File::from(socket.as_fd().try_clone_to_owned().ok()?).metadata().ok()?.ino();
        let table = if is_v6 { "/proc/self/net/udp6" } else { "/proc/self/net/udp" };
        drops(&std::fs::read_to_string(table).ok()?, inode)
    }
}

/// Sends datagrams to a host.
#[derive(Debug)]
pub struct Sender {
    host: String,
    port: u16,
    /// None before the first one, and after an error: the host's name is looked up anew then.
    socket: Mutex<Option<UdpSocket>>,
}

impl fmt::Display for Sender {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", bracketed(&self.host), self.port)
    }
}

impl Sender {
    /// To this host and port.
    pub fn new(host: &str, port: u16) -> Self {
        Self { host: host.to_owned(), port, socket: Mutex::default() }
    }

    /// Sends one. An error may be of the one before, which nobody took.
    pub async fn send(&self, datagram: &[u8]) -> io::Result<()> {
        let mut place = self.socket.lock().await;
        let socket = match place.take() {
            Some(socket) => socket,
            None => self.connect().await?,
        };
        socket.send(datagram).await?;
        *place = Some(socket);
        Ok(())
    }

    async fn connect(&self) -> io::Result<UdpSocket> {
        let mut last = io::Error::new(io::ErrorKind::NotFound, "the host has no address");
        for address in tokio::net::lookup_host((self.host.as_str(), self.port)).await? {
            match connect_to(address).await {
                Ok(socket) => return Ok(socket),
                Err(error) => last = error,
            }
        }
        Err(last)
    }
}

async fn connect_to(address: SocketAddr) -> io::Result<UdpSocket> {
    let own = match address {
        SocketAddr::V4(_) => SocketAddr::from((Ipv4Addr::UNSPECIFIED, 0)),
        SocketAddr::V6(_) => SocketAddr::from((Ipv6Addr::UNSPECIFIED, 0)),
    };
    let socket = UdpSocket::bind(own).await?;
    socket.connect(address).await?;
    Ok(socket)
}

/// What the system's table of sockets has in its last column for this one.
fn drops(table: &str, inode: u64) -> Option<u64> {
    let inode = inode.to_string();
    let mut rows = table.lines().map(|line| line.split_ascii_whitespace());
    let mut row = rows.find(|row| row.clone().nth(9) == Some(&inode))?;
    row.nth(12)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_system_tells_what_it_dropped() {
        let table = "\
  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode ref pointer drops
 1234: 00000000:1414 00000000:0000 07 00000000:00000000 00:00000000 00000000     0        0 4711 2 0000000000000000 17
 1235: 00000000:1415 00000000:0000 07 00000000:00000000 00:00000000 00000000     0        0 4712 2 0000000000000000 3
";
        assert_eq!(drops(table, 4711), Some(17));
        assert_eq!(drops(table, 1), None);
        assert_eq!(drops("", 1), None);
    }

    #[test]
    fn a_socket_finds_itself_in_the_table() {
        flb_harness::net::block_on(async {
            let socket = tokio::net::UdpSocket::bind("127.0.0.1:0").await.unwrap();
            let sender = tokio::net::UdpSocket::bind("127.0.0.1:0").await.unwrap();
            sender.connect(socket.local_addr().unwrap()).await.unwrap();
            let receiver = Receiver::Udp(socket);
            assert_eq!(receiver.dropped(), Some(0));
            // Much more than the system keeps for anybody.
            for _ in 0..2000 {
                sender.send(&[0; 8000]).await.unwrap();
            }
            assert!(receiver.dropped().unwrap() > 0);
        });
    }
}
