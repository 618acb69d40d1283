//! `stdout`: prints records on the agent's standard output.

use std::io::{self, Write};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use flb_event::msgpack::MsgpackError;
use flb_event::{Chunk, Event, text};
use flb_plugin::keys::{Choice, Key, Word};
use flb_plugin::{
    BoxFuture, Build, BuildError, Flush, Options, Output, OutputError, Spec, Table, keys, write_all,
};

use super::date;
use super::json::{self, RecordJson};
use super::opentelemetry::json as otlp;
use flb_plugin::log::{Label, Mishaps};

keys! {
    const KEYS;
    FORMAT: Choice<Format> = Key::new("format", "How records look").default("msgpack");
}

pub(super) const SPEC: Spec<dyn Output> = Spec {
    name: "stdout",
    about: "Print records on standard output",
    options: Table(&[KEYS, json::KEYS]),
    build,
};

fn build(options: &Options, build: &Build<'_>) -> Result<Box<dyn Output>, BuildError> {
    Ok(Box::new(Stdout(Arc::new(Printer::new(options, build, Box::new(io::stdout()))))))
}

/// How records look.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Format {
    /// `[0] tag: [[1.000000000, {}], {"k"=>"v"}]`
    Text,
    /// `[0] tag: [1.000000000, {"k"=>"v"}]`, as before Fluent Bit 2.1.
    TextV1,
    /// An array a chunk.
    Json,
    /// An object a line.
    JsonLines,
    /// Objects one behind the other, a line a chunk.
    JsonStream,
    /// A document of OpenTelemetry's a chunk.
    Otlp { is_pretty: bool },
}

impl Word for Format {
    const ALL: &'static [(&'static str, Self)] = &[
        ("msgpack", Self::Text),
        ("msgpack_v1", Self::TextV1),
        ("json", Self::Json),
        ("json_lines", Self::JsonLines),
        ("json_stream", Self::JsonStream),
        ("otlp_json", Self::Otlp { is_pretty: false }),
        ("otlp_json_pretty", Self::Otlp { is_pretty: true }),
    ];
}

struct Stdout(Arc<Printer>);

impl Output for Stdout {
    fn flush<'a>(&'a self, chunk: &'a Chunk) -> BoxFuture<'a, Flush> {
        let (printer, chunk) = (self.0.clone(), chunk.clone());
        Box::pin(async move {
            // Whoever reads standard output may be slow, and printing waits for it.
            match tokio::task::spawn_blocking(move || printer.print(&chunk)).await {
                Ok(flush) => flush,
                Err(error) => Flush::Fail(OutputError(error.to_string())),
            }
        })
    }
}

/// Prints chunks, one at a time.
struct Printer {
    label: Label,
    format: Format,
    json: RecordJson,
    sink: Mutex<Box<dyn Write + Send>>,
    /// Nobody reads any more, and that was logged.
    is_closed: AtomicBool,
    unprintable: Mishaps,
}

impl Printer {
    fn new(options: &Options, build: &Build<'_>, sink: Box<dyn Write + Send>) -> Self {
        Self {
            label: Label::output("stdout", build),
            format: options.get(FORMAT),
            json: RecordJson::new(options, build),
            sink: Mutex::new(sink),
            is_closed: AtomicBool::new(false),
            unprintable: Mishaps::default(),
        }
    }

    fn print(&self, chunk: &Chunk) -> Flush {
        let (text, left_out) = match self.format {
            Format::Otlp { is_pretty } => match self.document(chunk, is_pretty) {
                Ok(document) => document,
                Err(error) => return Flush::Fail(OutputError(error.to_string())),
            },
            _ => self.text(chunk),
        };
        let written = {
            // A poisoned lock means that another chunk was printed in part; this one still has its turn.
            let mut sink = self.sink.lock().unwrap_or_else(PoisonError::into_inner);
            write_all(&mut **sink, &text)
        };
        match written {
            Ok(()) => Flush::but(left_out),
            Err(error) if error.kind() == io::ErrorKind::BrokenPipe => {
                if !self.is_closed.swap(true, Ordering::Relaxed) {
                    tracing::error!("{} nobody reads standard output any more", self.label);
                }
                Flush::Fail(OutputError(format!("cannot write to standard output: {error}")))
            }
            Err(error) => Flush::Retry {
                reason: format!("cannot write to standard output: {error}"),
                after: None,
            },
        }
    }

    fn document(&self, chunk: &Chunk, is_pretty: bool) -> serde_json::Result<(Vec<u8>, usize)> {
        let mut left_out = 0;
        let mut text = otlp::document(chunk, is_pretty, |error| {
            left_out += 1;
            self.unprintable.left_out(&self.label, &error);
        })?;
        text.push(b'\n');
        Ok((text, left_out))
    }

    /// The whole chunk's text, and how many records are not in it.
    fn text(&self, chunk: &Chunk) -> (Vec<u8>, usize) {
        let mut left_out = 0;
        let mut out = Vec::with_capacity(chunk.bytes().len() * 2);
        if self.format == Format::Json {
            out.push(b'[');
        }
        let mut printer = self.json.printer();
        for (index, event) in chunk.records().enumerate() {
            let start = out.len();
            if let Err(error) = self.write(index, chunk, event, &mut printer, &mut out) {
                out.truncate(start);
                left_out += 1;
                self.unprintable.left_out(&self.label, &error);
            }
        }
        match self.format {
            Format::Json => {
                if out.ends_with(b",") {
                    out.pop();
                }
                out.extend_from_slice(b"]\n");
            }
            Format::JsonStream => out.push(b'\n'),
            Format::Text | Format::TextV1 | Format::JsonLines | Format::Otlp { .. } => {}
        }
        (out, left_out)
    }

    fn write(
        &self,
        index: usize,
        chunk: &Chunk,
        event: Event<'_>,
        printer: &mut flb_event::json::Printer,
        out: &mut Vec<u8>,
    ) -> Result<(), MsgpackError> {
        match self.format {
            Format::Text => {
                date::print(out, format_args!("[{index}] {}: [[", chunk.tag()));
                text::write_time(event.time, out);
                out.extend_from_slice(b", ");
                text::write(event.metadata, out)?;
                out.extend_from_slice(b"], ");
                text::write(event.body, out)?;
                out.extend_from_slice(b"]\n");
            }
            Format::TextV1 => {
                date::print(out, format_args!("[{index}] {}: [", chunk.tag()));
                text::write_time(event.time, out);
                out.extend_from_slice(b", ");
                text::write(event.body, out)?;
                out.extend_from_slice(b"]\n");
            }
            Format::Json => {
                self.json.write(event, printer, out)?;
                out.push(b',');
            }
            Format::JsonLines => {
                self.json.write(event, printer, out)?;
                out.push(b'\n');
            }
            Format::JsonStream => self.json.write(event, printer, out)?,
            Format::Otlp { .. } => {}
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use flb_event::{ChunkBuilder, Tag, Timestamp};
    use flb_harness as testing;

    /// Remembers writes, and fails as it is told.
    #[derive(Clone, Default)]
    struct Sink {
        writes: Arc<Mutex<Vec<Vec<u8>>>>,
        fails: Arc<Mutex<Vec<io::ErrorKind>>>,
    }

    impl Write for Sink {
        fn write(&mut self, data: &[u8]) -> io::Result<usize> {
            if let Some(kind) = self.fails.lock().unwrap().pop() {
                return Err(kind.into());
            }
            self.writes.lock().unwrap().push(data.to_vec());
            Ok(data.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    fn printer(given: &[(&str, &str)], sink: &Sink) -> Stdout {
        let build = Build {
            instance: "stdout.0",
            tag: &Tag::new("").unwrap(),
            parsers: &flb_plugin::Parsers::default(),
            multiline: &Default::default(),
            service: &flb_plugin::Service::default(),
            metrics: &flb_plugin::Metrics::default(),
        };
        let options = testing::options(SPEC.options, given);
        Stdout(Arc::new(Printer::new(&options, &build, Box::new(sink.clone()))))
    }

    fn check(given: &[(&str, &str)], records: &[(u32, u32, &str)], expected: &str) {
        let sink = Sink::default();
        let chunk = testing::chunk("t.a", records);
        let flush = testing::block_on(printer(given, &sink).flush(&chunk));
        assert!(matches!(flush, Flush::Done));
        let writes = sink.writes.lock().unwrap();
        assert_eq!(writes.len(), 1, "a chunk is one write");
        assert_eq!(String::from_utf8_lossy(&writes[0]), expected);
    }

    const RECORDS: &[(u32, u32, &str)] =
        &[(1_700_000_000, 123_456_789, r#"{"a":"é\"","n":null,"f":1.5}"#), (7, 5, "{}")];

    #[test]
    fn the_default_is_arrow_text_with_metadata() {
        let expected = "[0] t.a: [[1700000000.123456789, {}], {\"a\"=>\"é\"\", \"n\"=>nil, \"f\"=>1.500000}]\n\
                        [1] t.a: [[7.000000005, {}], {}]\n";
        check(&[], RECORDS, expected);
        check(&[("format", "MsgPack")], RECORDS, expected);
    }

    #[test]
    fn msgpack_v1_is_arrow_text_as_it_was() {
        check(
            &[("format", "msgpack_v1")],
            RECORDS,
            "[0] t.a: [1700000000.123456789, {\"a\"=>\"é\"\", \"n\"=>nil, \"f\"=>1.500000}]\n\
             [1] t.a: [7.000000005, {}]\n",
        );
    }

    #[test]
    fn json_is_an_array_a_chunk() {
        check(
            &[("format", "json")],
            RECORDS,
            "[{\"date\":1700000000.123457,\"a\":\"\\u00e9\\\"\",\"n\":null,\"f\":1.5},\
             {\"date\":7.000000005}]\n",
        );
        check(&[("format", "json")], &[], "[]\n");
    }

    #[test]
    fn json_lines_is_an_object_a_line() {
        check(
            &[("format", "json_lines"), ("json_date_format", "epoch"), ("json_date_key", "ts")],
            RECORDS,
            "{\"ts\":1700000000,\"a\":\"\\u00e9\\\"\",\"n\":null,\"f\":1.5}\n{\"ts\":7}\n",
        );
    }

    #[test]
    fn json_stream_has_nothing_between_objects() {
        check(
            &[("format", "json_stream"), ("json_date_key", "false")],
            RECORDS,
            "{\"a\":\"\\u00e9\\\"\",\"n\":null,\"f\":1.5}{}\n",
        );
    }

    #[test]
    fn otlp_json_is_a_document_of_opentelemetry() {
        let chunk = [
            (7, 5, r#"{"log":"x","n":-1,"f":1.5,"b":true,"z":null,"a":[1,"y"],"o":{"k":""}}"#),
            (8, 0, r#"{"m":"é","severityNumber":9,"TraceId":"000102030405060708090a0b0c0d0e0f"}"#),
        ];
        let expected = r#"{"resourceLogs":[{"resource":{},"scopeLogs":[{"scope":{},"logRecords":[
            {"timeUnixNano":"7000000005","body":{"stringValue":"x"},"attributes":[
            {"key":"n","value":{"intValue":"-1"}},{"key":"f","value":{"doubleValue":1.5}},
            {"key":"b","value":{"boolValue":true}},{"key":"z","value":{}},
            {"key":"a","value":{"arrayValue":{"values":[{"intValue":"1"},{"stringValue":"y"}]}}},
            {"key":"o","value":{"kvlistValue":{"values":[{"key":"k","value":{"stringValue":""}}]}}}]},
            {"timeUnixNano":"8000000000","severityNumber":9,"body":{"kvlistValue":{"values":[
            {"key":"m","value":{"stringValue":"é"}},{"key":"severityNumber","value":{"intValue":"9"}},
            {"key":"TraceId","value":{"stringValue":"000102030405060708090a0b0c0d0e0f"}}]}},
            "traceId":"000102030405060708090a0b0c0d0e0f"}]}]}]}"#;
        let expected: String = expected.lines().map(str::trim_start).collect();
        check(&[("format", "otlp_json")], &chunk, &format!("{expected}\n"));
        let pretty: serde_json::Value = serde_json::from_str(&expected).unwrap();
        let sink = Sink::default();
        let output = printer(&[("format", "otlp_json_pretty")], &sink);
        testing::block_on(output.flush(&testing::chunk("t", &chunk)));
        let text = String::from_utf8(sink.writes.lock().unwrap().concat()).unwrap();
        assert!(text.starts_with("{\n  \"resourceLogs\": [\n"), "{text}");
        assert_eq!(serde_json::from_str::<serde_json::Value>(&text).unwrap(), pretty);
    }

    #[test]
    fn a_record_that_is_no_msgpack_is_left_out() {
        let mut builder = ChunkBuilder::new(Tag::new("t").unwrap());
        for body in [&[0x80][..], &[0x81, 0xc1, 0xc0], &[0x80]] {
            let time = Timestamp { sec: 1, nsec: 0 };
            builder.push(Event { time, metadata: Event::NO_METADATA, body }).unwrap();
        }
        let chunk = builder.build();
        for (format, expected) in [
            ("msgpack", "[0] t: [[1.000000000, {}], {}]\n[2] t: [[1.000000000, {}], {}]\n"),
            ("json", "[{\"date\":1.0},{\"date\":1.0}]\n"),
        ] {
            let printer = printer(&[("format", format)], &Sink::default());
            assert_eq!(String::from_utf8(printer.0.text(&chunk).0).unwrap(), expected);
        }
    }

    #[test]
    fn a_broken_pipe_fails_and_other_errors_are_tried_again() {
        let chunk = testing::chunk("t", RECORDS);
        let flush_with = |fails: &[io::ErrorKind]| {
            let sink = Sink::default();
            sink.fails.lock().unwrap().extend(fails);
            testing::block_on(printer(&[], &sink).flush(&chunk))
        };
        assert!(matches!(flush_with(&[io::ErrorKind::BrokenPipe]), Flush::Fail(_)));
        assert!(matches!(flush_with(&[io::ErrorKind::StorageFull]), Flush::Retry { .. }));
        let passing = [io::ErrorKind::WouldBlock, io::ErrorKind::Interrupted];
        assert!(matches!(flush_with(&passing), Flush::Done));
    }
}
