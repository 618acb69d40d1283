//! For tests only: what tests of plugins share. A pipeline that remembers what it is given, with a clock that moves only when
//! an input sleeps; [`net`] has one in real time.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

pub mod net;

use std::collections::VecDeque;
use std::future::Future;
use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard};
use std::task::Poll;
use std::time::Duration;

use flb_config::{Diagnostics, Document, Property, Section, SectionKind, Spanned, Variables};
use flb_event::json::{self, JsonOptions};
use flb_event::{Chunk, ChunkBuilder, Event, Tag, Timestamp};
use flb_plugin::keys::{Options, Table};
use flb_plugin::{
    BoxFuture, Build, BuildError, Closed, Context, End, Filter, Generation, Input, InputError,
    LongLines, Metrics, Outlet, Parser, Service, Spec,
};

/// A time to parse lines at.
pub const NOW: Timestamp = Timestamp { sec: 1_700_000_000, nsec: 0 };

/// Options as a configuration would give them.
pub fn options(table: Table, given: &[(&str, &str)]) -> Options {
    let mut document = Document::default();
    let source = document.add_source("test", "");
    let spanned = |text: &str| Spanned {
        text: text.to_owned(),
        span: flb_config::Span { source, start: 0, end: 0 },
    };
    let mut section = Section::new(SectionKind::Other, spanned("test"));
    section.properties = given
        .iter()
        .map(|(key, value)| Property { key: spanned(key), value: spanned(value) })
        .collect();
    let mut diagnostics = Diagnostics::default();
    let options =
        Options::read("test", table, &section, &[], &Variables::default(), &mut diagnostics);
    assert!(diagnostics.is_empty(), "{}", diagnostics.render(document.sources()));
    options
}

/// Builds a plugin, whatever its kind.
pub fn build<T: ?Sized>(spec: &Spec<T>, given: &[(&str, &str)]) -> Result<Box<T>, BuildError> {
    build_as("t", &Service::default(), spec.name, spec.options, given, spec.build)
}

/// Builds with options that are read already.
pub fn build_with<T>(options: &Options, build: impl FnOnce(&Options, &Build<'_>) -> T) -> T {
    build_in(&Service::default(), options, build)
}

/// The same, in an agent that has settled so much.
pub fn build_in<T>(
    service: &Service,
    options: &Options,
    build: impl FnOnce(&Options, &Build<'_>) -> T,
) -> T {
    build_named("t", "test.0", service, options, build)
}

fn build_as<T>(
    tag: &str,
    service: &Service,
    name: &str,
    table: Table,
    given: &[(&str, &str)],
    build: impl FnOnce(&Options, &Build<'_>) -> T,
) -> T {
    build_named(tag, &format!("{name}.0"), service, &options(table, given), build)
}

fn build_named<T>(
    tag: &str,
    instance: &str,
    service: &Service,
    options: &Options,
    build: impl FnOnce(&Options, &Build<'_>) -> T,
) -> T {
    let build_with = Build {
        instance,
        tag: &Tag::new(tag).unwrap(),
        parsers: &flb_parsers::builtin_parsers(),
        multiline: &flb_parsers::multiline::builtin_multiline(),
        service,
        metrics: &Metrics::default(),
    };
    build(options, &build_with)
}

/// A parser and what it makes of lines.
pub struct ParserCheck(Box<dyn Parser>);

impl ParserCheck {
    /// The parser of these options.
    pub fn new(spec: &Spec<dyn Parser>, given: &[(&str, &str)]) -> Self {
        Self(build(spec, given).unwrap())
    }

    fn parse(&self, line: &str) -> Result<(Option<u32>, String), String> {
        let mut body = b"before".to_vec();
        let parsed = self.0.parse(line.as_bytes(), NOW, &mut body);
        if parsed.is_err() {
            assert_eq!(body, b"before", "on an error the body is as it was");
        }
        let parsed = parsed.map_err(|error| error.0)?;
        Ok((parsed.time.map(|time| time.sec), json_text(&body[6..])))
    }

    /// The line has no time of its own.
    pub fn reads(&self, line: &str, body: &str) -> &Self {
        assert_eq!(self.parse(line), Ok((None, body.to_owned())), "{line}");
        self
    }

    /// The line has a time: so many seconds after 1970.
    pub fn reads_at(&self, line: &str, sec: u32, body: &str) -> &Self {
        assert_eq!(self.parse(line), Ok((Some(sec), body.to_owned())), "{line}");
        self
    }

    /// The line is none that the parser takes, for this reason.
    pub fn refuses(&self, line: &str, why: &str) -> &Self {
        assert_eq!(self.parse(line), Err(why.to_owned()), "{line}");
        self
    }
}

/// A chunk of these records: time, and body as JSON.
pub fn chunk(tag: &str, records: &[(u32, u32, &str)]) -> Chunk {
    let mut builder = ChunkBuilder::new(Tag::new(tag).unwrap());
    for (sec, nsec, body) in records {
        let body = msgpack(body);
        let time = Timestamp { sec: *sec, nsec: *nsec };
        builder.push(Event { time, metadata: Event::NO_METADATA, body: &body }).unwrap();
    }
    builder.build()
}

/// What a filter makes of records that are given as JSON, a line each.
pub fn filtered(spec: &Spec<dyn Filter>, options: &[(&str, &str)], records: &[&str]) -> String {
    let mut filter = build(spec, options).unwrap();
    let records: Vec<(u32, u32, &str)> = records.iter().map(|record| (1, 0, *record)).collect();
    let outlet = given(&mut *filter, chunk("t", &records));
    assert_eq!(outlet.tally().records(), records.len() as u64);
    bodies(outlet.passed()).join("\n")
}

/// What a filter does with a batch.
pub fn given(filter: &mut dyn Filter, batch: Chunk) -> Outlet {
    let mut outlet = Outlet::new(NOW);
    filter.filter(batch, &mut outlet);
    outlet
}

/// Bodies as JSON text.
pub fn bodies(chunks: &[Chunk]) -> Vec<String> {
    chunks.iter().flat_map(Chunk::records).map(|event| json_text(event.body)).collect()
}

/// JSON text as msgpack.
pub fn msgpack(text: &str) -> Vec<u8> {
    let mut value = Vec::new();
    json::parse(text.as_bytes(), &mut value).unwrap();
    value
}

/// A msgpack value as JSON text.
pub fn json_text(value: &[u8]) -> String {
    let mut text = Vec::new();
    json::write(value, &mut text, JsonOptions { escape_unicode: false }).unwrap();
    String::from_utf8(text).unwrap()
}

/// Runs a future on a runtime of its own.
pub fn block_on<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(future)
}

#[derive(Default)]
struct State {
    now: u64,
    until: u64,
    stopped: bool,
    closed: bool,
    batches: Vec<Chunk>,
    long_lines: LongLines,
    /// What happens when the clock reaches a time, in order.
    events: VecDeque<(u64, Box<dyn FnOnce() + Send>)>,
}

/// A pipeline that remembers what it is given.
pub struct Scene {
    tag: String,
    service: Service,
    state: Arc<Mutex<State>>,
    log: Log,
}

impl Scene {
    /// It is so many seconds after 1970, and the input may run for a day.
    pub fn new(now: f64) -> Self {
        let state = State { now: nanos(now), until: nanos(now + 86_400.0), ..State::default() };
        Self {
            tag: "t".to_owned(),
            service: Service::default(),
            state: Arc::new(Mutex::new(state)),
            log: Log::default(),
        }
    }

    /// The input is stopped at this time.
    pub fn until(self, time: f64) -> Self {
        self.state().until = nanos(time);
        self
    }

    /// No batch is taken.
    pub fn closed(self) -> Self {
        self.state().closed = true;
        self
    }

    /// The agent is the one of another scene, with another configuration now.
    pub fn reloaded(mut self, before: &Scene) -> Self {
        self.service = Service { generation: Generation::default(), ..before.service.clone() };
        self
    }

    /// The input's tag.
    pub fn tag(mut self, tag: &str) -> Self {
        tag.clone_into(&mut self.tag);
        self
    }

    /// Something happens at this time, after what was to happen before.
    pub fn at(self, time: f64, event: impl FnOnce() + Send + 'static) -> Self {
        self.state().events.push_back((nanos(time), Box::new(event)));
        self
    }

    /// Builds an input and runs it.
    pub fn run(&self, spec: &Spec<dyn Input>, given: &[(&str, &str)]) -> Result<End, InputError> {
        let input = self.build(spec, given, spec.build).unwrap();
        self.block_on(input.run(self))
    }

    /// Builds an input by `build`, with the options of `spec`.
    pub fn build<T>(
        &self,
        spec: &Spec<dyn Input>,
        given: &[(&str, &str)],
        build: impl FnOnce(&Options, &Build<'_>) -> Result<T, BuildError>,
    ) -> Result<T, BuildError> {
        tracing::subscriber::with_default(self.log.clone(), || {
            build_as(&self.tag, &self.service, spec.name, spec.options, given, build)
        })
    }

    /// Calls `function` and keeps what it logs.
    pub fn logged<T>(&self, function: impl FnOnce() -> T) -> T {
        tracing::subscriber::with_default(self.log.clone(), function)
    }

    /// Runs a future and keeps what it logs.
    pub fn block_on<T>(&self, future: impl Future<Output = T>) -> T {
        tracing::subscriber::with_default(self.log.clone(), || block_on(future))
    }

    /// The records so far: tag, time, body.
    pub fn records(&self) -> Vec<String> {
        self.each(|tag, event| {
            let Timestamp { sec, nsec } = event.time;
            format!("{tag} {sec}.{nsec:09} {}", json_text(event.body))
        })
    }

    /// The bodies so far.
    pub fn bodies(&self) -> Vec<String> {
        self.each(|_, event| json_text(event.body))
    }

    /// The metadata of the records so far.
    pub fn metadata(&self) -> Vec<String> {
        self.each(|_, event| json_text(event.metadata))
    }

    fn each(&self, mut show: impl FnMut(&Tag, Event<'_>) -> String) -> Vec<String> {
        let batches = self.state().batches.clone();
        let mut shown = Vec::new();
        for batch in &batches {
            shown.extend(batch.records().map(|event| show(batch.tag(), event)));
        }
        shown
    }

    /// How many records each batch has.
    pub fn batches(&self) -> Vec<usize> {
        self.state().batches.iter().map(Chunk::len).collect()
    }

    /// Lines that were too long, so far.
    pub fn long_lines(&self) -> LongLines {
        self.state().long_lines
    }

    /// The log so far.
    pub fn log(&self) -> String {
        self.log.0.lock().unwrap().clone()
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap()
    }

    fn advance(&self, duration: Duration) {
        let then = self.state().now + u64::try_from(duration.as_nanos()).unwrap();
        loop {
            let mut state = self.state();
            if state.events.front().is_none_or(|(time, _)| *time > then) {
                state.now = then;
                state.stopped |= then >= state.until;
                return;
            }
            let event = state.events.pop_front();
            drop(state);
            if let Some((_, event)) = event {
                event();
            }
        }
    }
}

fn nanos(seconds: f64) -> u64 {
    (seconds * 1e9).round() as u64
}

impl Context for Scene {
    fn now(&self) -> Timestamp {
        let now = self.state().now;
        let (sec, nsec) = (now / 1_000_000_000, now % 1_000_000_000);
        Timestamp { sec: u32::try_from(sec).unwrap(), nsec: nsec as u32 }
    }

    fn sleep(&self, duration: Duration) -> BoxFuture<'_, ()> {
        Box::pin(async move {
            self.advance(duration);
            // Whoever waits for the stop looks again.
            tokio::task::yield_now().await;
        })
    }

    fn emit(&self, batch: Chunk) -> BoxFuture<'_, Result<(), Closed>> {
        let mut state = self.state();
        let taken = if state.closed { Err(Closed) } else { Ok(()) };
        if taken.is_ok() {
            assert!(!batch.is_empty(), "an empty batch is no batch");
            state.batches.push(batch);
        }
        Box::pin(async move { taken })
    }

    fn count_long_lines(&self, lines: LongLines) {
        let counted = &mut self.state().long_lines;
        counted.skipped += lines.skipped;
        counted.truncated += lines.truncated;
    }

    fn stopped(&self) -> BoxFuture<'_, ()> {
        Box::pin(std::future::poll_fn(|_| match self.state().stopped {
            true => Poll::Ready(()),
            false => Poll::Pending,
        }))
    }
}

/// A reader that gives these texts, one a read, then ends or stops the scene.
pub struct Reads {
    texts: VecDeque<String>,
    stops: Option<Arc<Mutex<State>>>,
}

impl Reads {
    /// Texts to give.
    pub fn new(texts: &[&str]) -> Self {
        Self { texts: texts.iter().map(|text| (*text).to_owned()).collect(), stops: None }
    }

    /// Instead of ending, the scene is stopped.
    pub fn then_stop(mut self, scene: &Scene) -> Self {
        self.stops = Some(scene.state.clone());
        self
    }
}

impl tokio::io::AsyncRead for Reads {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut std::task::Context<'_>,
        buffer: &mut tokio::io::ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if let Some(text) = self.texts.pop_front() {
            buffer.put_slice(text.as_bytes());
            return Poll::Ready(Ok(()));
        }
        let Some(state) = &self.stops else { return Poll::Ready(Ok(())) };
        state.lock().unwrap().stopped = true;
        context.waker().wake_by_ref();
        Poll::Pending
    }
}

/// Collects log lines: the level, right-aligned, and the message.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<String>>);

impl tracing::Subscriber for Log {
    fn enabled(&self, _: &tracing::Metadata<'_>) -> bool {
        true
    }

    fn new_span(&self, _: &tracing::span::Attributes<'_>) -> tracing::span::Id {
        tracing::span::Id::from_u64(1)
    }

    fn record(&self, _: &tracing::span::Id, _: &tracing::span::Record<'_>) {}

    fn record_follows_from(&self, _: &tracing::span::Id, _: &tracing::span::Id) {}

    fn event(&self, event: &tracing::Event<'_>) {
        let mut line = format!("{:>5} ", event.metadata().level());
        event.record(&mut Message(&mut line));
        line.push('\n');
        self.0.lock().unwrap().push_str(&line);
    }

    fn enter(&self, _: &tracing::span::Id) {}

    fn exit(&self, _: &tracing::span::Id) {}
}

struct Message<'l>(&'l mut String);

impl tracing::field::Visit for Message<'_> {
    fn record_debug(&mut self, field: &tracing::field::Field, value: &dyn std::fmt::Debug) {
        if field.name() == "message" {
            self.0.push_str(&format!("{value:?}"));
        }
    }
}
