//! An HTTP server that takes everything and writes down what it was sent, in a form that people can read.

use std::fmt::Write as _;
use std::fs;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::thread::JoinHandle;

use crate::protobuf;

/// Headers that a case is about.
const TOLD: [&str; 3] = ["content-type", "authorization", "x-"];

/// A server at work.
pub(crate) struct Receiver {
    pub(crate) port: u16,
    thread: JoinHandle<()>,
}

impl Receiver {
    /// What comes is written to `NAME.requests` in the folder.
    pub(crate) fn start(name: &str, folder: &Path) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let path = folder.join(format!("{name}.requests"));
        let thread = std::thread::spawn(move || {
            let mut told = String::new();
            for connection in listener.incoming() {
                // A connection without a request is the sign to end.
                let before = told.len();
                if serve(connection.unwrap(), &mut told).is_err() || told.len() == before {
                    break;
                }
                fs::write(&path, &told).unwrap();
            }
        });
        Self { port, thread }
    }

    /// Waits until all is written down.
    pub(crate) fn end(self) {
        drop(TcpStream::connect(("127.0.0.1", self.port)).unwrap());
        self.thread.join().unwrap();
    }
}

/// Answers all requests of a connection.
fn serve(connection: TcpStream, told: &mut String) -> io::Result<()> {
    let mut reader = BufReader::new(connection.try_clone()?);
    let mut writer = connection;
    loop {
        let mut first = String::new();
        if reader.read_line(&mut first)? == 0 {
            return Ok(());
        }
        let (mut length, mut kind, mut headers) = (0, String::new(), Vec::new());
        loop {
            let mut line = String::new();
            reader.read_line(&mut line)?;
            let Some((name, value)) = line.trim_end().split_once(": ") else { break };
            let name = name.to_ascii_lowercase();
            match name.as_str() {
                "content-length" => length = value.parse().unwrap(),
                "content-type" => value.clone_into(&mut kind),
                _ => {}
            }
            if TOLD.iter().any(|told| name.starts_with(told)) {
                headers.push(format!("{name}: {value}\n"));
            }
        }
        headers.sort();
        let mut body = vec![0; length];
        reader.read_exact(&mut body)?;
        let first = first.trim_end();
        write!(told, "{first}\n{}\n{}\n", headers.concat(), readable(&kind, &body)).unwrap();
        writer.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")?;
    }
}

fn readable(kind: &str, body: &[u8]) -> String {
    match kind {
        "application/msgpack" => {
            let mut rest = body;
            let mut text = String::new();
            while !rest.is_empty() {
                writeln!(text, "{}", rmpv::decode::read_value(&mut rest).unwrap()).unwrap();
            }
            text
        }
        "application/x-protobuf" => protobuf::readable(body),
        _ => String::from_utf8(body.to_vec()).unwrap(),
    }
}
