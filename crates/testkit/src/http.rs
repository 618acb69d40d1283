//! The simplest client of an HTTP server on this machine.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;

/// What a GET is answered with.
#[derive(Debug)]
pub struct Answer {
    /// The status.
    pub status: u16,
    /// The header lines.
    pub head: String,
    /// What comes behind them.
    pub body: String,
}

/// Asks the server at `port` for `path`, with these further header lines.
pub fn get(port: u16, path: &str, headers: &str) -> Answer {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    write!(
        stream,
        "GET {path} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nConnection: close\r\n{headers}\r\n"
    )
    .unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    let status = head.split(' ').nth(1).unwrap().parse().unwrap();
    Answer { status, head: head.to_owned(), body: body.to_owned() }
}
