//! Servers on this machine that take whatever an agent posts, and say that it is well.

use std::io::{self, BufRead, BufReader, Read as _, Write as _};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::path::Path;
use std::thread;

use anyhow::Result;

/// The stores that records are sent to: what the output is called, its properties, with what stands for the port and for a folder, and
/// what the store answers.
const STORES: [(&str, &[&str], &str); 4] = [
    (
        "es",
        &["host=127.0.0.1", "port=<port>", "suppress_type_name=on"],
        r#"{"took":1,"errors":false,"items":[]}"#,
    ),
    ("loki", &["host=127.0.0.1", "port=<port>", "labels=job=bench"], ""),
    ("opentelemetry", &["host=127.0.0.1", "port=<port>"], ""),
    (
        "s3",
        &[
            "endpoint=http://127.0.0.1:<port>",
            "bucket=bench",
            "total_file_size=9M",
            "store_dir=<folder>",
        ],
        "",
    ),
];

/// A store, and how an agent is told to send to it.
pub(super) struct Sink {
    pub(super) name: &'static str,
    /// The output's words.
    pub(super) output: Vec<String>,
}

/// Starts all of them. They run as long as this program; what waits to be sent may wait in this folder.
pub(super) fn start(folder: &Path) -> Result<Vec<Sink>> {
    let folder = folder.display().to_string();
    let sink = |(name, properties, answer): &(&'static str, &[&str], &'static str)| {
        let port = serve(answer)?;
        let filled = |property: &&str| {
            property.replace("<port>", &port.to_string()).replace("<folder>", &folder)
        };
        let mut output = vec![(*name).to_owned()];
        output.extend(properties.iter().map(filled));
        Ok(Sink { name, output })
    };
    STORES.iter().map(sink).collect()
}

fn serve(answer: &'static str) -> Result<u16> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
    let port = listener.local_addr()?.port();
    thread::spawn(move || {
        for connection in listener.incoming().flatten() {
            // An agent that goes away has no further requests.
            thread::spawn(move || converse(&connection, answer));
        }
    });
    Ok(port)
}

/// Answers all requests of a connection.
fn converse(mut connection: &TcpStream, answer: &str) -> io::Result<()> {
    connection.set_nodelay(true)?;
    let length = answer.len();
    let answer = format!(
        "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {length}\r\n\r\n{answer}"
    );
    let mut reader = BufReader::with_capacity(256 * 1024, connection);
    while let Some(length) = head(&mut reader)? {
        io::copy(&mut (&mut reader).take(length), &mut io::sink())?;
        connection.write_all(answer.as_bytes())?;
    }
    Ok(())
}

/// Reads a request's head; the length of its body. `None` at the end of the connection.
fn head(reader: &mut impl BufRead) -> io::Result<Option<u64>> {
    let mut length = 0;
    loop {
        let mut line = String::new();
        if reader.read_line(&mut line)? == 0 {
            return Ok(None);
        }
        let line = line.trim_end().to_ascii_lowercase();
        if line.is_empty() {
            return Ok(Some(length));
        }
        if let Some(text) = line.strip_prefix("content-length:") {
            length = text.trim().parse().map_err(io::Error::other)?;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_store_takes_one_request_after_the_other() {
        for sink in start(Path::new("x")).unwrap() {
            let mut numbers = sink.output.iter().filter_map(|word| word.rsplit(['=', ':']).next());
            let port = numbers.find_map(|number| number.parse::<u16>().ok()).unwrap();
            let mut stream = TcpStream::connect((Ipv4Addr::LOCALHOST, port)).unwrap();
            for _ in 0..2 {
                stream.write_all(b"POST /x HTTP/1.1\r\nContent-Length: 3\r\n\r\nabc").unwrap();
                let mut reader = BufReader::new(&stream);
                let length = head(&mut reader).unwrap().unwrap();
                let mut body = vec![0; usize::try_from(length).unwrap()];
                reader.read_exact(&mut body).unwrap();
            }
        }
    }
}
