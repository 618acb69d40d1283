//! `stdin`: JSON values or lines from the agent's standard input. The agent stops at the input's end. Standard input cannot be
//! begun again, so what an input has read of it and not used yet is left to the one that takes its place.

use std::convert::Infallible;
use std::sync::{Arc, Mutex, PoisonError};
use std::{fmt, io};

use flb_event::msgpack::{Reader, Value};
use flb_event::{ChunkBuilder, Event, RecordTooLarge, Tag, Timestamp, msgpack};
use flb_plugin::keys::{Key, Size, Text};
use flb_plugin::{
    BoxFuture, Build, BuildError, Context, End, Input, InputError, Options, Spec, Table, keys,
};
use tokio::io::{AsyncRead, AsyncReadExt};

use super::shared::lines::{Line, Lines};
use super::shared::records::{self, Entries, LineRecords};
use super::shared::values::{Piece, Values};
use crate::shared::complaints::{Complaint, Complaints};
use flb_plugin::log::{Label, excerpt};

keys! {
    const KEYS;
    PARSER: Option<Text> = Key::new("parser", "Parser of lines; without, JSON is expected");
    BUFFER_SIZE: Size =
        Key::new("buffer_size", "Bytes to read at once, at least 16000").default("262144");
}

pub(super) const SPEC: Spec<dyn Input> = Spec {
    name: "stdin",
    about: "Read JSON values, or lines for a parser, from standard input",
    options: Table(&[KEYS]),
    build,
};

/// Least number of bytes to read at once.
const LEAST_READ: u64 = 16_000;
/// Longest value or line.
const LIMIT: usize = 64 * 1024 * 1024;
/// Key of a line that its parser refuses.
const KEY: &str = "log";

fn build(options: &Options, build: &Build<'_>) -> Result<Box<dyn Input>, BuildError> {
    Ok(Box::new(stdin(options, build)?))
}

fn stdin(options: &Options, build: &Build<'_>) -> Result<Stdin, BuildError> {
    let label = Label::input("stdin", build);
    let parser = records::parser(options.get(PARSER), build)?;
    let wanted = options.get(BUFFER_SIZE);
    if wanted < LEAST_READ {
        tracing::warn!("{label} buffer_size {wanted} is raised to {LEAST_READ}");
    }
    let stream = match parser {
        Some(parser) => Stream::Lines {
            lines: Lines::new(0, LIMIT),
            records: LineRecords::new(KEY, Some(parser)),
        },
        None => Stream::Values(Values::new(LIMIT)),
    };
    let read = usize::try_from(wanted.max(LEAST_READ)).unwrap_or(LIMIT).min(LIMIT);
    let left: Result<_, Infallible> = build.service.shared.get_or_make(|| Ok(Left::default()));
    let Ok(left) = left;
    Ok(Stdin {
        tag: build.tag.clone(),
        left,
        read,
        decoder: Decoder { stream, complaints: Complaints::new(label) },
    })
}

/// Standard input, between two inputs: a read that has begun is its own, and the text behind the last record.
#[derive(Default)]
struct Left(Mutex<Option<(tokio::io::Stdin, Vec<u8>)>>);

impl Left {
    fn lock(&self) -> std::sync::MutexGuard<'_, Option<(tokio::io::Stdin, Vec<u8>)>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

struct Stdin {
    tag: Tag,
    left: Arc<Left>,
    /// Bytes to read at once.
    read: usize,
    decoder: Decoder,
}

impl Input for Stdin {
    fn ends_agent(&self) -> bool {
        true
    }

    fn run<'a>(self: Box<Self>, context: &'a dyn Context) -> BoxFuture<'a, Result<End, InputError>>
    where
        Self: 'a,
    {
        Box::pin(async move {
            let left = self.left.lock().take();
            let (mut stdin, text) = left.unwrap_or_else(|| (tokio::io::stdin(), Vec::new()));
            let slot = Arc::clone(&self.left);
            let (end, rest) = self.follow(&mut stdin, &text, context).await;
            if let Some(rest) = rest {
                *slot.lock() = Some((stdin, rest));
            }
            end
        })
    }
}

/// Why reading ended.
enum Last {
    Stopped,
    EndOfFile,
    Failed(io::Error),
}

impl Stdin {
    /// Reads on behind `text`, which was read before. The text that is left to another input, if one takes over.
    async fn follow(
        mut self: Box<Self>,
        mut reader: impl AsyncRead + Unpin,
        text: &[u8],
        context: &dyn Context,
    ) -> (Result<End, InputError>, Option<Vec<u8>>) {
        let mut data = vec![0; self.read];
        // It is no whole record, so no batch comes of it.
        self.batch(context, |decoder, now, batch| decoder.feed(text, now, batch));
        let last = loop {
            // Tokio reads standard input on a thread of its own. After a stop that thread may still wait for input; it
            // ends with the process.
            let read = tokio::select! {
                biased;
                () = context.stopped() => break Last::Stopped,
                read = reader.read(&mut data) => read,
            };
            match read {
                Ok(0) => break Last::EndOfFile,
                Ok(length) => {
                    let batch = self.batch(context, |decoder, now, batch| {
                        decoder.feed(&data[..length], now, batch);
                    });
                    if !batch.is_empty() && context.emit(batch.build()).await.is_err() {
                        return (Ok(End::Quiet), None);
                    }
                }
                Err(error) => break Last::Failed(error),
            }
        };
        if matches!(last, Last::Stopped) && context.is_replaced() {
            return (self.end(last), Some(self.decoder.rest().to_vec()));
        }
        let batch = self.batch(context, Decoder::finish);
        if !batch.is_empty() && context.emit(batch.build()).await.is_err() {
            return (Ok(End::Quiet), None);
        }
        (self.end(last), None)
    }

    /// The records that `decode` finds.
    fn batch(
        &mut self,
        context: &dyn Context,
        decode: impl FnOnce(&mut Decoder, Timestamp, &mut ChunkBuilder),
    ) -> ChunkBuilder {
        let mut batch = ChunkBuilder::new(self.tag.clone());
        decode(&mut self.decoder, context.now(), &mut batch);
        batch
    }

    fn end(&self, last: Last) -> Result<End, InputError> {
        let label = self.decoder.complaints.label();
        self.decoder.complaints.sum_up();
        match last {
            Last::Stopped => Ok(End::Quiet),
            Last::EndOfFile => {
                tracing::warn!("{label} end of file (stdin closed by remote end)");
                Ok(End::StopAgent { code: 0 })
            }
            Last::Failed(error) => {
                Err(InputError(format!("{label} cannot read standard input: {error}")))
            }
        }
    }
}

/// What the text on standard input is.
enum Stream {
    Values(Values),
    Lines { lines: Lines, records: LineRecords },
}

/// Makes records of the text.
struct Decoder {
    stream: Stream,
    complaints: Complaints<Wrong>,
}

impl Decoder {
    /// Adds the records that `data` completes to `batch`.
    fn feed(&mut self, data: &[u8], now: Timestamp, batch: &mut ChunkBuilder) {
        let Self { stream, complaints } = self;
        match stream {
            Stream::Values(values) => {
                values.feed(data);
                take_values(values, false, now, batch, complaints);
            }
            Stream::Lines { lines, records } => {
                lines.feed(data, |line| take_line(line, records, now, batch, complaints))
            }
        }
    }

    /// What belongs to no record yet.
    fn rest(&self) -> &[u8] {
        match &self.stream {
            Stream::Values(values) => values.rest(),
            Stream::Lines { lines, .. } => lines.rest(),
        }
    }

    /// Adds what is left to `batch`, when no more text will come.
    fn finish(&mut self, now: Timestamp, batch: &mut ChunkBuilder) {
        let Self { stream, complaints } = self;
        match stream {
            Stream::Values(values) => take_values(values, true, now, batch, complaints),
            Stream::Lines { lines, records } => {
                lines.finish(|line| take_line(line, records, now, batch, complaints))
            }
        }
    }
}

fn take_values(
    values: &mut Values,
    ended: bool,
    now: Timestamp,
    batch: &mut ChunkBuilder,
    complaints: &Complaints<Wrong>,
) {
    let mut value = Vec::new();
    while let Some(piece) = values.next(ended, &mut value) {
        let (wrong, text, why) = match piece {
            Piece::Value(text) => match event(&value, now) {
                None => (Wrong::Unexpected, text, None),
                Some(event) => {
                    check(complaints, batch.push(event));
                    continue;
                }
            },
            Piece::Broken(text, why) => (Wrong::Invalid, text, why),
            Piece::TooLong(text) => (Wrong::TooLong, text, None),
        };
        complain(complaints, wrong, &values.bytes()[text], why);
    }
}

fn take_line(
    line: Line<'_>,
    records: &mut LineRecords,
    now: Timestamp,
    batch: &mut ChunkBuilder,
    complaints: &Complaints<Wrong>,
) {
    match line {
        Line::Text { text: b"", .. } => {}
        Line::Text { text, .. } => {
            let pushed = records.push(batch, now, text, Entries::NONE);
            if let Some(Some(error)) = check(complaints, pushed) {
                complain(complaints, Wrong::Unparsed, text, Some(error));
            }
        }
        Line::TooLong { .. } => complain(complaints, Wrong::TooLong, b"", None::<&str>),
    }
}

/// Why text became no record, or not the one it should have become.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Wrong {
    Invalid,
    Unexpected,
    TooLong,
    Unparsed,
}

impl Complaint for Wrong {
    const ALL: &'static [Self] = &[Self::Invalid, Self::Unexpected, Self::TooLong, Self::Unparsed];

    fn index(self) -> usize {
        self as usize
    }

    fn text(self) -> &'static str {
        match self {
            Self::Invalid => "invalid JSON is skipped to the end of its line",
            Self::Unexpected => "invalid record found, it's not a JSON map or array",
            Self::TooLong => "a value or line above 64 MiB is skipped",
            Self::Unparsed => "a line is kept unparsed",
        }
    }
}

/// Counts what became of a text, and logs it unless there were many.
fn complain(
    complaints: &Complaints<Wrong>,
    wrong: Wrong,
    text: &[u8],
    why: Option<impl fmt::Display>,
) {
    let Some(total) = complaints.another(wrong) else { return };
    let (label, what, text) = (complaints.label(), wrong.text(), excerpt(text));
    let why = why.map(|why| format!(" ({why})")).unwrap_or_default();
    tracing::error!("{label} {what}: '{text}'{why} [{total} so far]");
}

/// Passes on what could be added to the batch.
fn check<T>(complaints: &Complaints<Wrong>, pushed: Result<T, RecordTooLarge>) -> Option<T> {
    let label = complaints.label();
    pushed.inspect_err(|error| tracing::error!("{label} a record is lost: {error}")).ok()
}

/// `{..}`, `[time, {..}]` or `[[time, {metadata}], {..}]`.
fn event(value: &[u8], now: Timestamp) -> Option<Event<'_>> {
    let mut reader = Reader::new(value);
    match reader.next().ok()? {
        Value::Map(_) => Some(Event { time: now, metadata: Event::NO_METADATA, body: value }),
        Value::Array(2) => {
            let (time, metadata) = head(&mut reader)?;
            Some(Event { time, metadata, body: map(&mut reader)? })
        }
        _ => None,
    }
}

fn head<'a>(reader: &mut Reader<'a>) -> Option<(Timestamp, &'a [u8])> {
    match reader.next().ok()? {
        Value::Array(2) => {
            let time = time(reader.next().ok()?)?;
            Some((time, map(reader)?))
        }
        number => Some((time(number)?, Event::NO_METADATA)),
    }
}

fn time(number: Value<'_>) -> Option<Timestamp> {
    match number {
        Value::Uint(sec) => Some(Timestamp { sec: u32::try_from(sec).ok()?, nsec: 0 }),
        Value::Float(seconds) if (0.0..f64::from(u32::MAX)).contains(&seconds) => {
            let nsec = (seconds.fract() * 1e9) as u32;
            Some(Timestamp { sec: seconds as u32, nsec: nsec.min(999_999_999) })
        }
        _ => None,
    }
}

fn map<'a>(reader: &mut Reader<'a>) -> Option<&'a [u8]> {
    let value = reader.skip().ok()?;
    msgpack::map_header(value).ok()?;
    Some(value)
}

#[cfg(test)]
mod tests {
    use super::*;
    use flb_harness::{Reads, Scene};

    /// What comes of these reads at the time 7.0.
    fn run(options: &[(&str, &str)], reads: &[&str]) -> (Scene, Result<End, InputError>) {
        let scene = Scene::new(7.0);
        let input = scene.build(&SPEC, options, stdin).unwrap();
        let ended = scene.block_on(Box::new(input).follow(Reads::new(reads), b"", &scene));
        (scene, ended.0)
    }

    fn check(options: &[(&str, &str)], reads: &[&str], expected: &[&str]) -> String {
        let (scene, ended) = run(options, reads);
        assert_eq!(scene.records(), expected);
        assert_eq!(ended.unwrap(), End::StopAgent { code: 0 });
        scene.log()
    }

    #[test]
    fn objects_need_no_newline_and_all_of_one_read_are_one_batch() {
        let (scene, _) = run(&[], &["{\"a\":1}{\"b\":2}\n{\"c\"", ":3} ", "{}"]);
        assert_eq!(
            scene.records(),
            [
                r#"t 7.000000000 {"a":1}"#,
                r#"t 7.000000000 {"b":2}"#,
                r#"t 7.000000000 {"c":3}"#,
                r#"t 7.000000000 {}"#
            ]
        );
        assert_eq!(scene.batches(), [2, 1, 1]);
    }

    #[test]
    fn the_end_of_input_stops_the_agent() {
        let log = check(&[], &["{}"], &["t 7.000000000 {}"]);
        assert_eq!(log, " WARN [input:stdin:stdin.0] end of file (stdin closed by remote end)\n");
    }

    #[test]
    fn an_array_may_give_the_time() {
        let reads = [r#"[5,{"a":1}] [6.5,{"a":2}]"#];
        check(&[], &reads, &[r#"t 5.000000000 {"a":1}"#, r#"t 6.500000000 {"a":2}"#]);
    }

    #[test]
    fn an_array_may_give_time_and_metadata() {
        let (scene, _) = run(&[], &[r#"[[5,{"m":1}],{"a":1}]"#]);
        assert_eq!(scene.records(), [r#"t 5.000000000 {"a":1}"#]);
        assert_eq!(scene.metadata(), [r#"{"m":1}"#]);
    }

    #[test]
    fn other_values_are_an_error_line_and_the_next_value_is_found() {
        for text in ["1", "\"x\"", "[1,2,3]", "[-1,{}]", "[1,2]", "[[1,2],{}]", "[5000000000,{}]"] {
            let log = check(&[], &[text, " {}"], &["t 7.000000000 {}"]);
            let expected = format!(
                "ERROR [input:stdin:stdin.0] invalid record found, it's not a JSON map or array: \
                 '{text}' [1 so far]\n"
            );
            assert!(log.starts_with(&expected), "{log}");
        }
    }

    #[test]
    fn invalid_json_loses_its_own_line_only_and_is_counted() {
        let log = check(
            &[],
            &["{\"a\":1}\nhello\n{\"b\":tru}\n{\"c\":\n{\"d\":1}\n{\"e\":2}\n"],
            &[r#"t 7.000000000 {"a":1}"#, r#"t 7.000000000 {"d":1}"#, r#"t 7.000000000 {"e":2}"#],
        );
        let line = "ERROR [input:stdin:stdin.0] invalid JSON is skipped to the end of its line: ";
        let why = "(expected a JSON value at byte 0)";
        assert!(log.starts_with(&format!("{line}'hello' {why} [1 so far]\n{line}")), "{log}");
        assert!(log.contains("in all, 3 times: invalid JSON is skipped"), "{log}");
    }

    #[test]
    fn a_value_longer_than_a_read_is_put_together() {
        let text = format!("{{\"a\":\"{}\"}}", "x".repeat(100_000));
        let reads: Vec<&str> =
            text.as_bytes().chunks(16_000).map(|read| str::from_utf8(read).unwrap()).collect();
        check(&[("buffer_size", "16k")], &reads, &[&format!("t 7.000000000 {text}")]);
    }

    #[test]
    fn an_unfinished_value_at_the_end_is_told() {
        let log = check(&[], &["{}{\"a\":"], &["t 7.000000000 {}"]);
        assert!(log.contains("invalid JSON"), "{log}");
    }

    #[test]
    fn with_a_parser_lines_are_parsed_and_others_are_kept() {
        let log = check(
            &[("parser", "json")],
            &["{\"a\":1}\r\n\nhel", "lo\n{\"b\":2}"],
            &[
                r#"t 7.000000000 {"a":1}"#,
                r#"t 7.000000000 {"log":"hello"}"#,
                r#"t 7.000000000 {"b":2}"#,
            ],
        );
        assert!(log.contains("a line is kept unparsed: 'hello' ("), "{log}");
    }

    #[test]
    fn an_unknown_parser_is_refused() {
        let scene = Scene::new(7.0);
        let error = scene.build(&SPEC, &[("parser", "nope")], stdin).err().unwrap();
        assert_eq!(error.message, "parser 'nope' is not known");
    }

    #[test]
    fn a_stop_hands_over_what_was_read() {
        let scene = Scene::new(7.0);
        let input = scene.build(&SPEC, &[("parser", "json")], stdin).unwrap();
        let reads = Reads::new(&["{\"a\":1}\nlast"]).then_stop(&scene);
        let (ended, left) = scene.block_on(Box::new(input).follow(reads, b"", &scene));
        assert_eq!((ended.unwrap(), left), (End::Quiet, None));
        assert_eq!(
            scene.records(),
            [r#"t 7.000000000 {"a":1}"#, r#"t 7.000000000 {"log":"last"}"#]
        );
    }
}
