//! `tcp`: JSON values, or text between separators, from clients on the network.

use std::time::Duration;

use flb_event::{ChunkBuilder, Event, RecordTooLarge, Tag, Timestamp, msgpack};
use flb_plugin::keys::{Choice, Int, Key, Options, Table, Text, Word};
use flb_plugin::{Build, BuildError, Context, Input, Spec, keys};
use tokio::io::AsyncReadExt;

use super::shared::records::{self, Entries, LineRecords};
use super::shared::served::{self, Served};
use super::shared::values::{Piece, Values};
use crate::shared::complaints::{Complaint, Complaints};
use flb_event::msgpack::map;
use flb_net::listener::{self, Listener};
use flb_net::server::{self, Server};
use flb_net::stream::{Client, Left, Peer, stalled};
use flb_net::tls;
use flb_plugin::log::{Label, excerpt};

pub(super) const SPEC: Spec<dyn Input> =
    Spec { name: "tcp", about: "Take JSON or text from clients over TCP", options: OPTIONS, build };

keys! {
    const OWN;
    FORMAT: Choice<Sent> = Key::new("format", "What clients send").default("json");
    SEPARATOR: Text = Key::new("separator", "What ends a text of format none").default("\\n");
    PARSER: Option<Text> = Key::new("parser", "Parser of each text of format none");
    CHUNK_SIZE: Text = Key::new("chunk_size", "Kilobytes to read at once, or 1m").default("32");
    BUFFER_SIZE: Option<Text> =
        Key::new("buffer_size", "Kilobytes a value or text may have, or 1m");
    SOURCE_ADDRESS_KEY: Option<Text> =
        Key::new("source_address_key", "Key for the client's address");
    PORT: Text = listener::port_key("5170");
    WORKERS: Option<Int> = Key::new("workers", "").idle("one task serves all");
}

const OPTIONS: Table = Table(&[OWN, listener::KEYS, server::KEYS, tls::KEYS, tls::SERVER]);

/// What clients are said to send.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Sent {
    Json,
    Text,
}

impl Word for Sent {
    const ALL: &'static [(&'static str, Self)] = &[("json", Self::Json), ("none", Self::Text)];
}

/// Key of a text.
const KEY: &str = "log";
/// Key of an array.
const ARRAY_KEY: &str = "msg";

fn build(options: &Options, build: &Build<'_>) -> Result<Box<dyn Input>, BuildError> {
    Ok(Box::new(tcp(options, build)?))
}

fn tcp(options: &Options, build: &Build<'_>) -> Result<Served<Clients>, BuildError> {
    let label = Label::input("tcp", build);
    let read = kilobytes(CHUNK_SIZE.name(), options.get(CHUNK_SIZE))?;
    let limit = options.get(BUFFER_SIZE).map(|text| kilobytes(BUFFER_SIZE.name(), text));
    let limit = limit.transpose()?.unwrap_or(read);
    let parser = records::parser(options.get(PARSER), build)?;
    let wants_json = options.get(FORMAT) == Sent::Json;
    if parser.is_some() && wants_json {
        tracing::warn!("{label} 'parser' is for format none, which is used now");
    }
    let format = if wants_json && parser.is_none() {
        Format::Json
    } else {
        Format::Text {
            separator: separator(options.get(SEPARATOR)),
            records: LineRecords::new(KEY, parser),
        }
    };
    let listener = Listener::tcp(options, PORT, build.service)?;
    let server = Server::new(listener, &label, options, build)?;
    Ok(Served {
        clients: Clients {
            tag: build.tag.clone(),
            format,
            read: read.min(limit),
            limit,
            address_key: options.get(SOURCE_ADDRESS_KEY).map(str::to_owned),
            patience: server.patience,
            complaints: Complaints::new(label),
        },
        server,
    })
}

/// A number of kilobytes, or a size with its unit, as bytes. A kilobyte has 1024 of them here.
fn kilobytes(name: &str, text: &str) -> Result<usize, BuildError> {
    let unit = text.trim_start_matches(|letter: char| letter.is_ascii_digit());
    let kilobytes = match unit.trim().to_ascii_lowercase().as_str() {
        "" | "k" | "kb" => Some(1),
        "m" | "mb" => Some(1024),
        "g" | "gb" => Some(1024 * 1024),
        _ => None,
    };
    let number: Option<usize> = text[..text.len() - unit.len()].parse().ok();
    let bytes = number.zip(kilobytes).and_then(|(number, unit)| number.checked_mul(unit * 1024));
    let bytes = bytes.filter(|bytes| (1..=1 << 30).contains(bytes));
    let refused = || {
        BuildError::new(format!("{name} '{text}' is not a number of kilobytes up to 1 GB"))
            .help("use a plain number, such as 32, or one with k, m or g: 512k, 1m")
    };
    bytes.ok_or_else(refused)
}

/// The separator, with its escapes resolved.
fn separator(text: &str) -> Vec<u8> {
    let text = text.replace("\\n", "\n").replace("\\r", "\r").replace("\\t", "\t");
    text.replace("\\0", "\0").into_bytes()
}

/// What clients send.
enum Format {
    Json,
    /// Texts, each with the separator behind it.
    Text {
        separator: Vec<u8>,
        records: LineRecords,
    },
}

/// What all connections have in common.
struct Clients {
    tag: Tag,
    format: Format,
    read: usize,
    limit: usize,
    address_key: Option<String>,
    /// How long a value or text that has begun may stand still.
    patience: Duration,
    complaints: Complaints<Wrong>,
}

impl served::Clients for Clients {
    type Wrong = Wrong;

    async fn serve(&self, client: Client, context: &dyn Context) -> Option<Left> {
        let Client { mut stream, peer, read: before, place } = client;
        let mut decoder = self.decoder(&peer);
        let mut data = vec![0; self.read];
        let mut ended = false;
        if let Some(before) = before {
            // It is no whole record, so no batch comes of it.
            decoder.feed(&before, context.now(), &mut ChunkBuilder::new(self.tag.clone()));
        }
        while !ended {
            let read = tokio::select! {
                biased;
                () = context.stopped() => {
                    if context.is_replaced() {
                        let read = decoder.rest().to_vec();
                        return Some(Left { stream, peer, read });
                    }
                    Ok(0)
                }
                read = stream.read(&mut data) => read,
                () = context.sleep(self.patience), if decoder.has_begun() => {
                    Err(stalled(self.patience))
                }
            };
            let mut batch = ChunkBuilder::new(self.tag.clone());
            match read {
                Ok(length) => {
                    ended = length == 0;
                    decoder.feed(&data[..length], context.now(), &mut batch);
                }
                Err(error) => {
                    self.complaints.add(Wrong::BrokenOff, &peer, error);
                    ended = true;
                }
            }
            if ended {
                decoder.finish(context.now(), &mut batch);
            }
            if batch.is_empty() {
                continue;
            }
            place.begin();
            if context.emit(batch.build()).await.is_err() {
                return None;
            }
            place.done(context.now().sec);
        }
        None
    }

    fn complaints(&self) -> &Complaints<Wrong> {
        &self.complaints
    }
}

impl Clients {
    fn decoder<'a>(&'a self, peer: &'a Peer) -> Decoder<'a> {
        let mut entries = Vec::new();
        if let Some(key) = &self.address_key {
            msgpack::write_str(&mut entries, key);
            msgpack::write_str(&mut entries, peer.to_string());
        }
        Decoder {
            stream: match &self.format {
                Format::Json => Incoming::Json(Values::new(self.limit)),
                Format::Text { separator, records } => {
                    Incoming::Text { pieces: Pieces::new(separator, self.limit), records }
                }
            },
            entries,
            peer,
            complaints: &self.complaints,
        }
    }
}

/// What a client can do wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Wrong {
    Invalid,
    Unexpected,
    TooLong,
    Unparsed,
    TooLarge,
    BrokenOff,
}

impl Complaint for Wrong {
    const ALL: &'static [Self] = &[
        Self::Invalid,
        Self::Unexpected,
        Self::TooLong,
        Self::Unparsed,
        Self::TooLarge,
        Self::BrokenOff,
    ];

    fn index(self) -> usize {
        self as usize
    }

    fn text(self) -> &'static str {
        match self {
            Self::Invalid => "invalid JSON is skipped to the end of its line",
            Self::Unexpected => "a value that is no JSON map or array is skipped",
            Self::TooLong => "what is longer than buffer_size is skipped",
            Self::Unparsed => "a text is kept unparsed",
            Self::TooLarge => "a record is lost",
            Self::BrokenOff => "the connection broke off",
        }
    }
}

/// What a connection's bytes are.
enum Incoming<'a> {
    Json(Values),
    Text { pieces: Pieces<'a>, records: &'a LineRecords },
}

/// Makes records of what one client sends.
struct Decoder<'a> {
    stream: Incoming<'a>,
    /// The client's address under its key, encoded; or nothing.
    entries: Vec<u8>,
    peer: &'a Peer,
    complaints: &'a Complaints<Wrong>,
}

impl Decoder<'_> {
    /// Adds the records that `data` completes to `batch`.
    fn feed(&mut self, data: &[u8], now: Timestamp, batch: &mut ChunkBuilder) {
        if let Incoming::Json(values) = &mut self.stream {
            values.feed(data);
        }
        self.take(data, false, now, batch);
    }

    /// What belongs to no record yet.
    fn rest(&self) -> &[u8] {
        match &self.stream {
            Incoming::Json(values) => values.rest(),
            Incoming::Text { pieces, .. } => &pieces.partial,
        }
    }

    /// Whether a value or text has begun and not ended.
    fn has_begun(&self) -> bool {
        match &self.stream {
            Incoming::Json(values) => !values.rest().trim_ascii().is_empty(),
            Incoming::Text { pieces, .. } => !pieces.partial.is_empty(),
        }
    }

    /// Adds what is left to `batch`, when no more will come.
    fn finish(&mut self, now: Timestamp, batch: &mut ChunkBuilder) {
        self.take(&[], true, now, batch);
    }

    fn take(&mut self, data: &[u8], ended: bool, now: Timestamp, batch: &mut ChunkBuilder) {
        let Self { stream, entries, peer, complaints } = self;
        let add = |wrong, text: &[u8], why: &str| {
            complaints.add(wrong, peer, format_args!("'{}'{why}", excerpt(text)));
        };
        let entries = Entries { count: u32::from(!entries.is_empty()), bytes: entries };
        match stream {
            Incoming::Json(values) => {
                let mut value = Vec::new();
                while let Some(piece) = values.next(ended, &mut value) {
                    let text = |range| &values.bytes()[range];
                    match piece {
                        Piece::Value(range) => match push_value(&value, now, entries, batch) {
                            Some(Ok(())) => {}
                            Some(Err(error)) => {
                                add(Wrong::TooLarge, text(range), &format!(" ({error})"));
                            }
                            None => add(Wrong::Unexpected, text(range), ""),
                        },
                        Piece::Broken(range, why) => {
                            let why = why.map(|why| format!(" ({why})")).unwrap_or_default();
                            add(Wrong::Invalid, text(range), &why);
                        }
                        Piece::TooLong(range) => add(Wrong::TooLong, text(range), ""),
                    }
                }
            }
            Incoming::Text { pieces, records } => {
                let mut each = |piece: Result<&[u8], usize>| match piece {
                    Ok(b"") => {}
                    Ok(text) => match records.push(batch, now, text, entries) {
                        Ok(None) => {}
                        Ok(Some(error)) => add(Wrong::Unparsed, text, &format!(" ({error})")),
                        Err(error) => add(Wrong::TooLarge, text, &format!(" ({error})")),
                    },
                    Err(limit) => add(Wrong::TooLong, &[], &format!(" over {limit} bytes")),
                };
                pieces.feed(data, &mut each);
                if ended {
                    pieces.finish(&mut each);
                }
            }
        }
    }
}

/// Adds a map's record, or that of an array under a key; `None` for other values.
fn push_value(
    value: &[u8],
    now: Timestamp,
    entries: Entries<'_>,
    batch: &mut ChunkBuilder,
) -> Option<Result<(), RecordTooLarge>> {
    let kind = msgpack::Reader::new(value).next().ok()?;
    let is_array = match kind {
        msgpack::Value::Map(_) => false,
        msgpack::Value::Array(_) => true,
        _ => return None,
    };
    Some(batch.push_with(now, Event::NO_METADATA, |out| {
        let start = out.len();
        if is_array {
            msgpack::write_map_header(out, 1);
            msgpack::write_str(out, ARRAY_KEY);
        }
        out.extend_from_slice(value);
        if entries.count > 0 {
            map::append(out, start, entries.count, entries.bytes);
        }
        Ok(())
    }))
}

/// Cuts a stream of bytes at a separator.
struct Pieces<'a> {
    separator: &'a [u8],
    limit: usize,
    partial: Vec<u8>,
    /// The rest of a piece is being skipped.
    skipping: bool,
}

impl<'a> Pieces<'a> {
    fn new(separator: &'a [u8], limit: usize) -> Self {
        Self { separator, limit, partial: Vec::new(), skipping: false }
    }

    /// Gives each piece that `data` completes, or the limit that it is above.
    fn feed(&mut self, data: &[u8], each: &mut impl FnMut(Result<&[u8], usize>)) {
        // A separator may lie across two reads, so what is left is looked at again as far as its beginning can reach.
        let from = self.partial.len().saturating_sub(self.separator.len() - 1);
        self.partial.extend_from_slice(data);
        let (mut start, mut search) = (0, from);
        while let Some(found) = memchr::memmem::find(&self.partial[search..], self.separator) {
            let end = search + found;
            if !std::mem::take(&mut self.skipping) {
                each(Ok(&self.partial[start..end]));
            }
            start = end + self.separator.len();
            search = start;
        }
        self.partial.drain(..start);
        if self.partial.len() > self.limit && !std::mem::replace(&mut self.skipping, true) {
            each(Err(self.limit));
        }
        if self.skipping {
            let keep = self.partial.len().min(self.separator.len() - 1);
            self.partial.drain(..self.partial.len() - keep);
        }
    }

    /// The stream has ended: gives what it ended with as a last piece.
    fn finish(&mut self, each: &mut impl FnMut(Result<&[u8], usize>)) {
        if !self.skipping {
            each(Ok(&self.partial));
        }
        self.partial.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use flb_harness::net::{Desk, Identity};
    use flb_harness::{build_with, options};
    use tokio::io::AsyncWriteExt;
    use tokio::net::TcpStream;

    /// Sends each text to an input; the records that come out once all connections have ended.
    fn check(given: &[(&str, &str)], texts: &[&str], expected: &[&str]) {
        let records = serve(given, async |address, _| {
            for text in texts {
                let mut client = TcpStream::connect(&address).await.unwrap();
                client.write_all(text.as_bytes()).await.unwrap();
                client.shutdown().await.unwrap();
                // The input closes its side when it has taken everything.
                assert_eq!(client.read(&mut [0]).await.unwrap(), 0);
            }
        });
        assert_eq!(records, expected);
    }

    fn input(given: &[(&str, &str)]) -> Result<Served<Clients>, BuildError> {
        let given = [&[("listen", "127.0.0.1"), ("port", "0")], given].concat();
        build_with(&options(OPTIONS, &given), tcp)
    }

    /// Runs `client` against an input, then stops it; the records that came out.
    fn serve<F: Future<Output = ()>>(
        given: &[(&str, &str)],
        client: impl FnOnce(String, Desk) -> F,
    ) -> Vec<String> {
        served::serve(|| input(given).unwrap(), client)
    }

    #[test]
    fn json_maps_are_records_and_arrays_stand_under_msg() {
        check(
            &[],
            &["{\"a\":1} {\"b\":2}\n[1,2]{\"c\":3}", "{\"d\":4}"],
            &[
                r#"t 5.000000000 {"a":1}"#,
                r#"t 5.000000000 {"b":2}"#,
                r#"t 5.000000000 {"msg":[1,2]}"#,
                r#"t 5.000000000 {"c":3}"#,
                r#"t 5.000000000 {"d":4}"#,
            ],
        );
    }

    #[test]
    fn invalid_json_loses_its_own_line_only() {
        check(
            &[],
            &["{\"a\":1}\n{nonsense\n\"text\" {\"b\":2}\n"],
            &[r#"t 5.000000000 {"a":1}"#, r#"t 5.000000000 {"b":2}"#],
        );
    }

    #[test]
    fn a_value_above_buffer_size_is_skipped() {
        let long = format!("{{\"a\":\"{}\"}}\n{{\"b\":2}}\n", "x".repeat(3000));
        check(&[("buffer_size", "1")], &[&long], &[r#"t 5.000000000 {"b":2}"#]);
        let long = format!("{};b;", "x".repeat(3000));
        let given = [("buffer_size", "1"), ("format", "none"), ("separator", ";")];
        check(&given, &[&long], &[r#"t 5.000000000 {"log":"b"}"#]);
    }

    #[test]
    fn sizes_are_kilobytes_or_have_a_unit() {
        for (text, bytes) in [
            ("1", 1024),
            ("512k", 512 << 10),
            ("512KB", 512 << 10),
            ("64 k", 64 << 10),
            ("1M", 1 << 20),
            ("1g", 1 << 30),
        ] {
            assert_eq!(input(&[("chunk_size", text)]).unwrap().clients.limit, bytes, "{text}");
            assert_eq!(input(&[("buffer_size", text)]).unwrap().clients.limit, bytes, "{text}");
        }
    }

    #[test]
    fn a_text_that_stands_still_ends_its_connection() {
        serve(&[("net.io_timeout", "1"), ("format", "none")], async |address, desk| {
            let mut idle = TcpStream::connect(&address).await.unwrap();
            let mut client = TcpStream::connect(&address).await.unwrap();
            client.write_all(b"whole\nhalf").await.unwrap();
            assert_eq!(client.read(&mut [0]).await.unwrap(), 0, "it is closed");
            idle.write_all(b"after a silence\n").await.unwrap();
            let records = desk.records(3).await;
            let texts = ["whole", "half", "after a silence"];
            assert_eq!(records, texts.map(|text| format!("t 5.000000000 {{\"log\":\"{text}\"}}")));
        });
    }

    #[test]
    fn texts_are_cut_at_the_separator() {
        let line = |text: &str| format!("t 5.000000000 {{\"log\":\"{text}\"}}");
        let expected = ["a", "b", "c"].map(line);
        let expected = expected.each_ref().map(String::as_str);
        check(&[("format", "none")], &["a\nb\n\nc"], &expected);
        check(&[("format", "none"), ("separator", "\\r\\n")], &["a\r\nb\r\nc\r\n"], &expected);
    }

    #[test]
    fn a_separator_may_come_in_two_reads() {
        let mut found = Vec::new();
        let mut pieces = Pieces::new(b"<>", 100);
        for read in ["a<", ">b", "<>", "<<>c"] {
            pieces.feed(read.as_bytes(), &mut |piece| found.push(piece.unwrap().to_vec()));
        }
        pieces.finish(&mut |piece| found.push(piece.unwrap().to_vec()));
        assert_eq!(found, [b"a".as_slice(), b"b", b"<", b"c"]);
    }

    #[test]
    fn a_parser_makes_records_of_texts() {
        check(
            &[("parser", "json")],
            &["{\"a\":1}\nno\n"],
            &[r#"t 5.000000000 {"a":1}"#, r#"t 5.000000000 {"log":"no"}"#],
        );
    }

    #[test]
    fn the_client_s_address_stands_under_its_key() {
        serve(&[("source_address_key", "from")], async |address, desk| {
            let mut client = TcpStream::connect(&address).await.unwrap();
            client.write_all(b"{}").await.unwrap();
            let from = client.local_addr().unwrap();
            let records = desk.records(1).await;
            assert_eq!(records, [format!("t 5.000000000 {{\"from\":\"tcp://{from}\"}}")]);
        });
    }

    #[test]
    fn connections_speak_tls() {
        let identity = Identity::new();
        serve(
            &[
                ("tls", "on"),
                ("tls.crt_file", identity.certificate()),
                ("tls.key_file", identity.key()),
            ],
            async |address, desk| {
                // Whoever does not speak TLS is turned away, and the others are served.
                let mut plain = TcpStream::connect(&address).await.unwrap();
                plain.write_all(b"{\"a\":1}\n").await.unwrap();
                let mut client = identity.connect(&address).await;
                client.write_all(b"{\"b\":2}").await.unwrap();
                let records = desk.records(1).await;
                assert_eq!(records, [r#"t 5.000000000 {"b":2}"#]);
            },
        );
    }

    #[test]
    fn connections_beyond_the_limit_are_closed() {
        serve(&[("net.max_connections", "1")], async |address, desk| {
            let mut first = TcpStream::connect(&address).await.unwrap();
            first.write_all(b"{\"a\":1}").await.unwrap();
            desk.records(1).await;
            let mut second = TcpStream::connect(&address).await.unwrap();
            assert_eq!(second.read(&mut [0]).await.unwrap(), 0);
            first.write_all(b"{\"b\":2}").await.unwrap();
            desk.records(2).await;
        });
    }

    #[test]
    fn a_wrong_configuration_is_refused() {
        let refused = |given: &[(&str, &str)]| input(given).err().unwrap().to_string();
        for wrong in ["0", "k", "-1", "1.5m", "2g", "32x", "99999999999999999999"] {
            assert!(
                refused(&[("chunk_size", wrong)]).contains("not a number of kilobytes"),
                "{wrong}"
            );
        }
        assert!(refused(&[("parser", "nobody")]).contains("not known"));
        assert!(refused(&[("tls", "on")]).contains("no certificate to show"));
    }
}
