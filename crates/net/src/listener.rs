//! Listening sockets. They are bound when a plugin is built, so that a port in use is told at the start; and a plugin that
//! is built while another agent's worth of plugins still runs takes over the socket of the same address, so that a reload
//! turns nobody away.

use std::io;
use std::net::{TcpListener, ToSocketAddrs, UdpSocket};
use std::os::unix::fs::{FileTypeExt as _, PermissionsExt as _};
use std::os::unix::net::{UnixDatagram, UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::Duration;

use flb_plugin::keys::{Key, Options, Text};
use flb_plugin::{BuildError, Generation, InputError, Service, keys};
use socket2::{SockRef, TcpKeepalive};

use super::datagrams::Receiver;
use super::options::port;
use super::stream::{Left, Peer, Stream};

/// After so much silence the system asks the other end's whether it is there.
const ALIVE: Duration = Duration::from_secs(60);

keys! {
    /// The option that says where to listen, beside the port.
    pub const KEYS;
    LISTEN: Text = Key::new("listen", "Address to listen on").default("0.0.0.0");
}

/// The option for the port to listen on.
pub const fn port_key(default: &'static str) -> Key<Text> {
    Key::new("port", "Port to listen on").default(default)
}

#[derive(Debug)]
enum Socket {
    Tcp(TcpListener),
    Unix(UnixListener),
    Udp(UdpSocket),
    UnixDatagram(UnixDatagram),
    /// None, in a dry run, which may be one beside the agent that has the socket.
    Nowhere,
}

/// A socket, and who has it.
struct Shared {
    address: String,
    socket: Socket,
    /// The configuration that took it last: no other plugin of the same one may have it.
    taken: Mutex<Generation>,
    /// Connections that the input before left, and the terms on which it served them.
    left: Mutex<Vec<(String, Left)>>,
    /// The file of a Unix socket, removed at the end.
    file: Option<PathBuf>,
}

impl Drop for Shared {
    fn drop(&mut self) {
        if let Some(file) = &self.file {
            // Gone already is as good.
            let _ = std::fs::remove_file(file);
        }
    }
}

impl std::fmt::Debug for Shared {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Shared").field("address", &self.address).finish_non_exhaustive()
    }
}

/// The sockets of all plugins, as long as they live.
#[derive(Debug, Default)]
struct Sockets(Mutex<Vec<Weak<Shared>>>);

impl Sockets {
    /// The socket of this address and kind: that of a plugin which is about to be replaced, or a new one.
    fn take(
        service: &Service,
        address: &str,
        is_kind: fn(&Socket) -> bool,
        bind: impl FnOnce() -> io::Result<(Socket, Option<PathBuf>)>,
    ) -> io::Result<Arc<Shared>> {
        let sockets = service.shared.get_or_make(|| Ok::<_, io::Error>(Self::default()))?;
        let mut sockets = sockets.0.lock().unwrap_or_else(PoisonError::into_inner);
        sockets.retain(|socket| socket.strong_count() > 0);
        let is_it = |one: &Arc<Shared>| one.address == address && is_kind(&one.socket);
        let found = sockets.iter().filter_map(Weak::upgrade).find(is_it);
        if let Some(found) = found {
            // The first to ask takes it over; a second one of the same configuration finds the port in use.
            let mut taken = found.taken.lock().unwrap_or_else(PoisonError::into_inner);
            if *taken == service.generation {
                return Err(io::ErrorKind::AddrInUse.into());
            }
            *taken = service.generation.clone();
            drop(taken);
            return Ok(found);
        }
        let (socket, file) = bind()?;
        let taken = Mutex::new(service.generation.clone());
        let left = Mutex::default();
        let shared = Arc::new(Shared { address: address.to_owned(), socket, taken, left, file });
        // Whoever asks for any free port wants one of its own.
        if !address.ends_with(":0") {
            sockets.push(Arc::downgrade(&shared));
        }
        Ok(shared)
    }
}

/// A bound socket.
#[derive(Debug)]
pub struct Listener(Arc<Shared>);

impl Listener {
    /// For a dry run.
    fn nowhere(address: &str) -> Self {
        let (address, taken) = (format!("{address} (not in a dry run)"), Mutex::default());
        let (socket, left) = (Socket::Nowhere, Mutex::default());
        Self(Arc::new(Shared { address, socket, taken, left, file: None }))
    }

    /// Binds the address that `listen` and the port's key say.
    pub fn tcp(
        options: &Options,
        port_key: Key<Text>,
        service: &Service,
    ) -> Result<Self, BuildError> {
        Self::at(options.get(LISTEN), options.get(port_key), service)
    }

    /// Binds the address of this host and port.
    pub fn at(host: &str, port: &str, service: &Service) -> Result<Self, BuildError> {
        let address = address(host, port)?;
        if service.dry_run {
            return Ok(Self::nowhere(&address));
        }
        let is_kind = |socket: &Socket| matches!(socket, Socket::Tcp(_));
        let bound = Sockets::take(service, &address, is_kind, || {
            let addresses: Vec<_> = address.to_socket_addrs()?.collect();
            let socket = TcpListener::bind(&addresses[..])?;
            socket.set_nonblocking(true)?;
            Ok((Socket::Tcp(socket), None))
        });
        bound.map(Self).map_err(|error| cannot_listen(&address, &error))
    }

    /// Binds the same for datagrams.
    pub fn udp(
        options: &Options,
        port_key: Key<Text>,
        service: &Service,
    ) -> Result<Self, BuildError> {
        let address = address(options.get(LISTEN), options.get(port_key))?;
        if service.dry_run {
            return Ok(Self::nowhere(&address));
        }
        let is_kind = |socket: &Socket| matches!(socket, Socket::Udp(_));
        let bound = Sockets::take(service, &address, is_kind, || {
            let addresses: Vec<_> = address.to_socket_addrs()?.collect();
            let socket = UdpSocket::bind(&addresses[..])?;
            socket.set_nonblocking(true)?;
            Ok((Socket::Udp(socket), None))
        });
        bound.map(Self).map_err(|error| cannot_listen(&address, &error))
    }

    /// Binds a Unix socket. A file that an agent left behind is replaced.
    pub fn unix(
        path: &str,
        permissions: Option<&str>,
        service: &Service,
    ) -> Result<Self, BuildError> {
        let is_kind = |socket: &Socket| matches!(socket, Socket::Unix(_));
        Self::file(path, permissions, service, is_kind, |path| {
            let socket = UnixListener::bind(path)?;
            socket.set_nonblocking(true)?;
            Ok(Socket::Unix(socket))
        })
    }

    /// Binds the same for datagrams.
    pub fn unix_datagram(
        path: &str,
        permissions: Option<&str>,
        service: &Service,
    ) -> Result<Self, BuildError> {
        let is_kind = |socket: &Socket| matches!(socket, Socket::UnixDatagram(_));
        Self::file(path, permissions, service, is_kind, |path| {
            let socket = UnixDatagram::bind(path)?;
            socket.set_nonblocking(true)?;
            Ok(Socket::UnixDatagram(socket))
        })
    }

    /// A socket that has a file.
    fn file(
        path: &str,
        permissions: Option<&str>,
        service: &Service,
        is_kind: fn(&Socket) -> bool,
        bind: impl Fn(&Path) -> io::Result<Socket>,
    ) -> Result<Self, BuildError> {
        let mode = permissions.map(octal).transpose()?;
        if service.dry_run {
            return Ok(Self::nowhere(path));
        }
        let bound = Sockets::take(service, path, is_kind, || {
            let socket = replace_left(Path::new(path), bind)?;
            if let Some(mode) = mode {
                std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode))?;
            }
            Ok((socket, Some(PathBuf::from(path))))
        });
        bound.map(Self).map_err(|error| cannot_listen(path, &error))
    }

    /// Asks the system for so much memory for what nobody has read yet; what it gives.
    pub fn set_receive_buffer(&self, size: usize) -> io::Result<usize> {
        let socket = match &self.0.socket {
            Socket::Tcp(socket) => SockRef::from(socket),
            Socket::Udp(socket) => SockRef::from(socket),
            Socket::Unix(_) | Socket::UnixDatagram(_) | Socket::Nowhere => return Ok(size),
        };
        socket.set_recv_buffer_size(size)?;
        // Half of what it tells is for its own books.
        Ok(socket.recv_buffer_size()? / 2)
    }

    /// Where it listens, for log lines and tests: with the port that the system chose for 0.
    pub fn address(&self) -> String {
        let bound = match &self.0.socket {
            Socket::Tcp(socket) => socket.local_addr().ok(),
            Socket::Udp(socket) => socket.local_addr().ok(),
            Socket::Unix(_) | Socket::UnixDatagram(_) | Socket::Nowhere => None,
        };
        bound.map_or_else(|| self.0.address.clone(), |address| address.to_string())
    }

    /// Leaves a connection to the next input with this socket.
    pub fn leave(&self, terms: &str, client: Left) {
        let mut left = self.0.left.lock().unwrap_or_else(PoisonError::into_inner);
        left.push((terms.to_owned(), client));
    }

    /// The connections that the input before left, if it served on the same terms. Others are closed.
    pub fn left(&self, terms: &str) -> Vec<Left> {
        let mut left = self.0.left.lock().unwrap_or_else(PoisonError::into_inner);
        let left = std::mem::take(&mut *left).into_iter();
        left.filter(|(other, _)| other == terms).map(|(_, client)| client).collect()
    }

    /// Begins to serve connections. Must be called on a tokio runtime.
    pub fn open(&self) -> Result<Acceptor, InputError> {
        let open = || {
            Ok(match &self.0.socket {
                Socket::Tcp(socket) => {
                    Acceptor::Tcp(tokio::net::TcpListener::from_std(socket.try_clone()?)?)
                }
                Socket::Unix(socket) => {
                    Acceptor::Unix(tokio::net::UnixListener::from_std(socket.try_clone()?)?)
                }
                _ => return Err(io::Error::other("it takes no connections")),
            })
        };
        open().map_err(|error| self.not_opened(&error))
    }

    /// Begins to receive datagrams. Must be called on a tokio runtime.
    pub fn receive(&self) -> Result<Receiver, InputError> {
        let open = || {
            Ok(match &self.0.socket {
                Socket::Udp(socket) => {
                    Receiver::Udp(tokio::net::UdpSocket::from_std(socket.try_clone()?)?)
                }
                Socket::UnixDatagram(socket) => {
                    Receiver::Unix(tokio::net::UnixDatagram::from_std(socket.try_clone()?)?)
                }
                _ => return Err(io::Error::other("it takes no datagrams")),
            })
        };
        open().map_err(|error| self.not_opened(&error))
    }

    fn not_opened(&self, error: &io::Error) -> InputError {
        InputError(format!("cannot listen on {}: {error}", self.address()))
    }
}

/// The address of this host and port.
fn address(host: &str, port_text: &str) -> Result<String, BuildError> {
    let port = port(port_text, 0)?;
    Ok(match host.contains(':') && !host.starts_with('[') {
        true => format!("[{host}]:{port}"),
        false => format!("{host}:{port}"),
    })
}

/// Permissions of a file.
fn octal(text: &str) -> Result<u32, BuildError> {
    u32::from_str_radix(text, 8).map_err(|_| {
        BuildError::new(format!("permissions '{text}' are no octal number"))
            .help("write it as for chmod: 0660")
    })
}

/// Binds; a socket file that nobody serves is replaced.
fn replace_left(path: &Path, bind: impl Fn(&Path) -> io::Result<Socket>) -> io::Result<Socket> {
    match bind(path) {
        Err(error) if error.kind() == io::ErrorKind::AddrInUse => {
            if is_served(path) || !std::fs::symlink_metadata(path)?.file_type().is_socket() {
                return Err(error);
            }
            std::fs::remove_file(path)?;
            bind(path)
        }
        other => other,
    }
}

/// Whether somebody takes connections or datagrams there.
fn is_served(path: &Path) -> bool {
    let takes_datagrams = || UnixDatagram::unbound().and_then(|socket| socket.connect(path));
    UnixStream::connect(path).is_ok() || takes_datagrams().is_ok()
}

fn cannot_listen(address: &str, error: &io::Error) -> BuildError {
    let refused = BuildError::new(format!("cannot listen on {address}: {error}"));
    match error.kind() {
        io::ErrorKind::AddrInUse => refused.help(format!(
            "another program or another input has it; find it with: ss -lptun, or choose another port than that of {address}"
        )),
        io::ErrorKind::AddrNotAvailable => {
            refused.help("this machine has no such address; 0.0.0.0 stands for all that it has")
        }
        io::ErrorKind::PermissionDenied => {
            refused.help("ports below 1024 need a privilege; choose a higher one")
        }
        _ => refused,
    }
}

/// A socket that is served.
#[derive(Debug)]
pub enum Acceptor {
    /// On the network.
    Tcp(tokio::net::TcpListener),
    /// On this machine.
    Unix(tokio::net::UnixListener),
}

impl Acceptor {
    /// The next connection. May be dropped without losing one.
    pub async fn accept(&self) -> io::Result<(Stream, Peer)> {
        match self {
            Self::Tcp(listener) => {
                let (stream, address) = listener.accept().await?;
                // Small answers, such as acknowledgements, shall not wait.
                stream.set_nodelay(true)?;
                // A client whose machine is gone says nothing for ever, as an idle one does.
                let probes = TcpKeepalive::new().with_time(ALIVE).with_interval(ALIVE);
                SockRef::from(&stream).set_tcp_keepalive(&probes)?;
                Ok((Box::new(stream), Peer::Tcp(address)))
            }
            Self::Unix(listener) => {
                let (stream, _) = listener.accept().await?;
                Ok((Box::new(stream), Peer::Unix))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use flb_harness as testing;
    use flb_harness::net::block_on;
    use flb_plugin::keys::Table;

    fn tcp(service: &Service, port: &str) -> Result<Listener, BuildError> {
        keys! {
            const OWN;
            PORT: Text = port_key("0");
        }
        let given = [("listen", "127.0.0.1"), ("port", port)];
        Listener::tcp(&testing::options(Table(&[KEYS, OWN]), &given), PORT, service)
    }

    fn free_port() -> String {
        let socket = TcpListener::bind("127.0.0.1:0").unwrap();
        socket.local_addr().unwrap().port().to_string()
    }

    #[test]
    fn a_port_in_use_is_told_with_the_address() {
        let taken = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = taken.local_addr().unwrap().port();
        let error = tcp(&Service::default(), &port.to_string()).unwrap_err();
        assert!(error.message.contains(&format!("cannot listen on 127.0.0.1:{port}")), "{error}");
        assert!(error.help.unwrap().contains("another program"));
        assert!(tcp(&Service::default(), "70000").is_err());
    }

    #[test]
    fn a_dry_run_is_in_nobody_s_way() {
        let taken = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = taken.local_addr().unwrap().port().to_string();
        let service = Service { dry_run: true, ..Service::default() };
        let listener = tcp(&service, &port).unwrap();
        assert_eq!(listener.address(), format!("127.0.0.1:{port} (not in a dry run)"));
        assert!(tcp(&service, "70000").is_err());
    }

    #[test]
    fn two_inputs_of_one_configuration_cannot_have_one_port() {
        let (service, port) = (Service::default(), free_port());
        let _first = tcp(&service, &port).unwrap();
        assert!(tcp(&service, &port).is_err());
    }

    #[test]
    fn a_reload_takes_the_socket_over() {
        block_on(async {
            let (service, port) = (Service::default(), free_port());
            let first = tcp(&service, &port).unwrap();
            let serving = first.open().unwrap();
            let next = || Service { generation: Generation::default(), ..service.clone() };
            let (service, another) = (next(), next());
            let second = tcp(&service, &port).unwrap();
            assert!(tcp(&service, &port).is_err());
            drop(second);
            let second = tcp(&another, &port).unwrap();
            drop((first, serving));
            let serving = second.open().unwrap();
            let client = tokio::net::TcpStream::connect(second.address());
            let (client, accepted) = tokio::join!(client, serving.accept());
            assert!(client.is_ok() && accepted.is_ok());
        });
    }

    #[test]
    fn a_unix_socket_left_behind_is_replaced_and_one_in_use_is_not() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("s");
        let path = path.to_str().unwrap();
        drop(UnixListener::bind(path).unwrap());
        let listener = Listener::unix(path, Some("0600"), &Service::default()).unwrap();
        assert!(Listener::unix(path, None, &Service::default()).is_err());
        assert!(Listener::unix(path, Some("rw"), &Service::default()).is_err());
        drop(listener);
        assert!(!Path::new(path).exists());
    }

    #[test]
    fn a_file_that_is_no_socket_is_left_alone() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("notes");
        std::fs::write(&path, "mine").unwrap();
        let name = path.to_str().unwrap();
        for bound in [Listener::unix, Listener::unix_datagram] {
            assert!(bound(name, None, &Service::default()).is_err());
            assert_eq!(std::fs::read_to_string(&path).unwrap(), "mine");
        }
    }

    #[test]
    fn one_socket_s_file_serves_connections_or_datagrams() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("s");
        let (path, service) = (path.to_str().unwrap(), Service::default());
        let _first = Listener::unix_datagram(path, None, &service).unwrap();
        let next = Service { generation: Generation::default(), ..service };
        assert!(Listener::unix(path, None, &next).is_err());
        assert!(Listener::unix_datagram(path, None, &next).is_ok());
    }
}
