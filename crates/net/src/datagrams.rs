//! Sockets that datagrams come to. Each is a message of its own, and there are no connections.

use std::fs::File;
use std::io;
use std::os::fd::AsFd as _;
use std::os::unix::fs::MetadataExt as _;

use super::stream::Peer;

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
