//! An HTTP server that stands in for one which cannot be had: it answers by rules, and goes wrong on request.

use std::io::{self, BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::Duration;

/// What a client asks.
#[derive(Debug, Clone)]
pub struct Request {
    /// `GET`, `PUT`, ..
    pub method: String,
    /// The path, with what stands behind a `?`.
    pub path: String,
    /// The body.
    pub body: Vec<u8>,
    headers: Vec<(String, String)>,
}

impl Request {
    /// A header, by its name in lower case.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }
}

/// What it is answered.
#[derive(Debug, Clone)]
pub struct Reply {
    /// The status.
    pub status: u16,
    /// Further header lines.
    pub headers: String,
    /// The body.
    pub body: Vec<u8>,
}

impl Reply {
    /// An answer without further headers.
    pub fn new(status: u16, body: impl Into<Vec<u8>>) -> Self {
        Self { status, headers: String::new(), body: body.into() }
    }

    /// The same with a header line.
    #[must_use]
    pub fn with(mut self, header: &str) -> Self {
        self.headers += header;
        self.headers += "\r\n";
        self
    }
}

/// How a server goes wrong.
#[derive(Debug, Clone)]
pub enum Fault {
    /// Another answer than the right one.
    Instead(Reply),
    /// Bytes that are no HTTP.
    Garbage,
    /// The connection ends in the middle of the body.
    Half,
    /// A byte of the body now and then.
    Trickle(Duration),
    /// Nothing is ever said.
    Silence,
}

type Rules = dyn Fn(&Request) -> Reply + Send + Sync;

/// The server.
pub struct Stub {
    port: u16,
    world: Arc<World>,
    thread: Option<JoinHandle<()>>,
}

struct World {
    rules: Box<Rules>,
    fault: Mutex<Option<Fault>>,
    requests: Mutex<Vec<Request>>,
    is_over: AtomicBool,
}

impl Stub {
    /// A server that answers by these rules.
    pub fn start(rules: impl Fn(&Request) -> Reply + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let world = Arc::new(World {
            rules: Box::new(rules),
            fault: Mutex::new(None),
            requests: Mutex::default(),
            is_over: AtomicBool::new(false),
        });
        let port = listener.local_addr().unwrap().port();
        let thread = Some(serve(listener, Arc::clone(&world)));
        Self { port, world, thread }
    }

    /// Where it is.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// It goes wrong from now on, or no longer.
    pub fn fail(&self, fault: Option<Fault>) {
        *self.world.fault.lock().unwrap() = fault;
    }

    /// What it was asked so far: method and path.
    pub fn asked(&self) -> Vec<String> {
        let requests = self.world.requests.lock().unwrap();
        requests.iter().map(|request| format!("{} {}", request.method, request.path)).collect()
    }

    /// The requests so far.
    pub fn requests(&self) -> Vec<Request> {
        self.world.requests.lock().unwrap().clone()
    }

    /// It goes away: connections are refused.
    pub fn leave(&mut self) {
        if let Some(thread) = self.thread.take() {
            self.world.is_over.store(true, Ordering::SeqCst);
            drop(TcpStream::connect(("127.0.0.1", self.port)));
            thread.join().unwrap();
        }
    }

    /// It comes back where it was.
    pub fn come_back(&mut self) {
        self.world.is_over.store(false, Ordering::SeqCst);
        let listener = TcpListener::bind(("127.0.0.1", self.port)).unwrap();
        self.thread = Some(serve(listener, Arc::clone(&self.world)));
    }
}

impl Drop for Stub {
    fn drop(&mut self) {
        self.leave();
    }
}

fn serve(listener: TcpListener, world: Arc<World>) -> JoinHandle<()> {
    std::thread::spawn(move || {
        for connection in listener.incoming().flatten() {
            if world.is_over.load(Ordering::SeqCst) {
                return;
            }
            let world = Arc::clone(&world);
            std::thread::spawn(move || {
                // A client that goes away has no further questions.
                let _ = converse(&connection, &world);
            });
        }
    })
}

/// Answers all requests of a connection.
fn converse(connection: &TcpStream, world: &World) -> io::Result<()> {
    connection.set_nodelay(true)?;
    let mut reader = BufReader::new(connection);
    while let Some(request) = read(&mut reader)? {
        if world.is_over.load(Ordering::SeqCst) {
            return Ok(());
        }
        let fault = world.fault.lock().unwrap().clone();
        let reply = match &fault {
            Some(Fault::Instead(other)) => other.clone(),
            _ => (world.rules)(&request),
        };
        world.requests.lock().unwrap().push(request);
        if !answer(connection, reply, fault)? {
            return Ok(());
        }
    }
    Ok(())
}

fn read(reader: &mut impl BufRead) -> io::Result<Option<Request>> {
    let mut first = String::new();
    if reader.read_line(&mut first)? == 0 {
        return Ok(None);
    }
    let mut words = first.split_whitespace().map(str::to_owned);
    let (Some(method), Some(path), Some("HTTP/1.1"), None) =
        (words.next(), words.next(), words.next().as_deref(), words.next())
    else {
        panic!("no request: {first}");
    };
    let mut headers = Vec::new();
    loop {
        let mut line = String::new();
        reader.read_line(&mut line)?;
        let Some((name, value)) = line.trim_end().split_once(": ") else { break };
        headers.push((name.to_ascii_lowercase(), value.to_owned()));
    }
    let mut request = Request { method, path, body: Vec::new(), headers };
    let length = request.header("content-length").map_or(0, |length| length.parse().unwrap());
    request.body.resize(length, 0);
    reader.read_exact(&mut request.body)?;
    Ok(Some(request))
}

/// Answers, and tells whether the connection stays.
fn answer(mut connection: &TcpStream, reply: Reply, fault: Option<Fault>) -> io::Result<bool> {
    let Reply { status, headers, body } = reply;
    let length = body.len();
    let head = format!("HTTP/1.1 {status} X\r\nContent-Length: {length}\r\n{headers}\r\n");
    match fault {
        None | Some(Fault::Instead(_)) => {
            connection.write_all(&[head.as_bytes(), &body].concat())?;
            return Ok(true);
        }
        Some(Fault::Garbage) => connection.write_all(b"\x16\x03\x01 what?\0\r\n\r\n")?,
        Some(Fault::Half) => {
            connection.write_all(&[head.as_bytes(), &body[..length / 2]].concat())?;
        }
        Some(Fault::Trickle(pause)) => {
            connection.write_all(head.as_bytes())?;
            for byte in body {
                std::thread::sleep(pause);
                connection.write_all(&[byte])?;
            }
            return Ok(true);
        }
        // Until the client has had enough.
        Some(Fault::Silence) => {
            io::copy(&mut connection, &mut io::sink())?;
        }
    }
    Ok(false)
}
