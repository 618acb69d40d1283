//! Listening sockets. They are bound when a plugin is built, so that a port in use is told at the start; and a plugin that
//! is built while another agent's worth of plugins still runs takes over the socket of the same address, so that a reload
//! turns nobody away.

use std::io;
use std::net::{TcpListener, ToSocketAddrs};
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::Duration;

use flb_plugin::keys::{Key, Options, Text};
use flb_plugin::{BuildError, Generation, InputError, Service, keys};
use socket2::{SockRef, TcpKeepalive};

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
    /// The socket of this address: that of a plugin which is about to be replaced, or a new one.
    fn take(
        service: &Service,
        address: &str,
        bind: impl FnOnce() -> io::Result<(Socket, Option<PathBuf>)>,
    ) -> io::Result<Arc<Shared>> {
        let sockets = service.shared.get_or_make(|| Ok::<_, io::Error>(Self::default()))?;
        let mut sockets = sockets.0.lock().unwrap_or_else(PoisonError::into_inner);
        sockets.retain(|socket| socket.strong_count() > 0);
        let found = sockets.iter().filter_map(Weak::upgrade).find(|one| one.address == address);
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
        let host = options.get(LISTEN);
        let port = port(options.get(port_key), 0)?;
        let address = if host.contains(':') && !host.starts_with('[') {
            format!("[{host}]:{port}")
        } else {
            format!("{host}:{port}")
        };
        if service.dry_run {
            return Ok(Self::nowhere(&address));
        }
        let bound = Sockets::take(service, &address, || {
            let addresses: Vec<_> = address.to_socket_addrs()?.collect();
            let socket = TcpListener::bind(&addresses[..])?;
            socket.set_nonblocking(true)?;
            Ok((Socket::Tcp(socket), None))
        });
        bound.map(Self).map_err(|error| cannot_listen(&address, &error))
    }

    /// Binds a Unix socket. A file that an agent left behind is replaced.
    pub fn unix(
        path: &str,
        permissions: Option<&str>,
        service: &Service,
    ) -> Result<Self, BuildError> {
        let mode =
            permissions.map(|text| u32::from_str_radix(text, 8)).transpose().map_err(|_| {
                let found = permissions.unwrap_or_default();
                BuildError::new(format!("unix_perm '{found}' is no octal number"))
                    .help("write it as for chmod: 0660")
            })?;
        if service.dry_run {
            return Ok(Self::nowhere(path));
        }
        let bound = Sockets::take(service, path, || {
            let socket = bind_unix(Path::new(path))?;
            socket.set_nonblocking(true)?;
            if let Some(mode) = mode {
                use std::os::unix::fs::PermissionsExt;
                std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode))?;
            }
            Ok((Socket::Unix(socket), Some(PathBuf::from(path))))
        });
        bound.map(Self).map_err(|error| cannot_listen(path, &error))
    }

    /// Where it listens, for log lines and tests: with the port that the system chose for 0.
    pub fn address(&self) -> String {
        match &self.0.socket {
            Socket::Tcp(socket) => match socket.local_addr() {
                Ok(address) => address.to_string(),
                Err(_) => self.0.address.clone(),
            },
            Socket::Unix(_) | Socket::Nowhere => self.0.address.clone(),
        }
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

    /// Begins to serve. Must be called on a tokio runtime.
    pub fn open(&self) -> Result<Acceptor, InputError> {
        let open = || {
            Ok(match &self.0.socket {
                Socket::Tcp(socket) => {
                    Acceptor::Tcp(tokio::net::TcpListener::from_std(socket.try_clone()?)?)
                }
                Socket::Unix(socket) => {
                    Acceptor::Unix(tokio::net::UnixListener::from_std(socket.try_clone()?)?)
                }
                Socket::Nowhere => return Err(io::Error::other("there is none in a dry run")),
            })
        };
        open().map_err(|error: io::Error| {
            InputError(format!("cannot listen on {}: {error}", self.address()))
        })
    }
}

/// Binds; a socket file that nobody serves is replaced.
fn bind_unix(path: &Path) -> io::Result<UnixListener> {
    match UnixListener::bind(path) {
        Err(error) if error.kind() == io::ErrorKind::AddrInUse => {
            if std::os::unix::net::UnixStream::connect(path).is_ok() {
                return Err(error);
            }
            std::fs::remove_file(path)?;
            UnixListener::bind(path)
        }
        other => other,
    }
}

fn cannot_listen(address: &str, error: &io::Error) -> BuildError {
    let refused = BuildError::new(format!("cannot listen on {address}: {error}"));
    match error.kind() {
        io::ErrorKind::AddrInUse => refused.help(format!(
            "another program or another input has it; find it with: ss -lptn, or choose another port than that of {address}"
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
}
