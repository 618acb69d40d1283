//! Small plugins: inputs that count, filters that drop or panic, outputs that keep, fail or dawdle.

use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Condvar, Mutex};
use std::time::Duration;

use flb_event::{Chunk, ChunkBuilder, Event, Tag, Timestamp};
use flb_plugin::keys::{Bool, Int, Key, Natural, Size, Text, Time};
use flb_plugin::{
    Absent, BoxFuture, Build, BuildError, Context, Counter, End, FAILURES, Fate, Filter, Flush,
    Gauge, Input, InputError, Metric, Metrics, MultilineParser, Options, Outlet, Output,
    OutputError, ParseError, Parsed, Parser, Registry, Role, Spec, Table, Tally, Timer, Whole,
    keys,
};

use crate::world::{PATIENCE, Sink, body, sink};

keys! {
    const COUNT_KEYS;
    RECORDS: Natural = Key::new("records", "How many.").default("10");
    BATCH: Natural = Key::new("batch", "How many at once.").default("1");
    TAGS: Natural = Key::new("tags", "Tags that take turns, if several.").default("1");
    PADDING: Size = Key::new("padding", "Metadata bytes of each record.").default("0");
    END: Text = Key::new("end", "What it does then.").default("stop");
}

keys! {
    const UNLUCKY_KEYS;
    SEED: Natural = Key::new("seed", "Which batches.").default("1");
}

keys! {
    const RELABEL_KEYS;
    TO: Option<Text> = Key::new("to", "The tag.");
}

keys! {
    const FORKLESS_KEYS;
    BUILT: Bool = Key::new("built", "Whether it is built.").default("on");
}

keys! {
    const HELD_KEYS;
    OPENER: Option<Text> = Key::new("opener", "The sink.");
}

keys! {
    const COPYING_KEYS;
    PANICS: Bool = Key::new("panics", "Whether it panics.").default("off");
}

keys! {
    const KEEP_KEYS;
    SINK_NAME: Option<Text> = Key::new("sink", "Where.");
    SLOW: Natural = Key::new("slow", "Milliseconds a chunk takes.").default("0");
    RETRIES: Natural = Key::new("retries", "How often each chunk is put off.").default("0");
    LEFT_OUT: Natural = Key::new("left_out", "How many records it says it left out.").default("0");
    HALVES: Bool = Key::new("halves", "Whether it takes every other record a try.").default("off");
    FINISH: Option<Time> = Key::new("finish", "How long it takes to finish.");
    DOWN: Natural = Key::new("down", "How many tries fail at first.").default("0");
    AFTER: Option<Time> = Key::new("after", "For how long it is put off.");
    NO_ROOM: Natural = Key::new("no_room", "How many tries find no room.").default("0");
    REFUSE: Natural = Key::new("refuse", "How many chunks it refuses.").default("0");
    COUNTS: Bool = Key::new("counts", "Whether it counts chunks itself.").default("off");
    PANIC: Natural = Key::new("panic", "How many chunks it panics on.").default("0");
}

keys! {
    const STRICT_KEYS;
    LEVEL: Option<Int> = Key::new("level", "How strict.");
}

keys! {
    const PAIRS_KEYS;
    PARSER: Option<Text> = Key::new("parser", "Of lines.");
}

pub(crate) static REGISTRY: Registry = Registry {
    inputs: &[Spec {
        name: "count",
        about: "Emits 0, 1, 2 and so on.",
        options: Table(&[COUNT_KEYS]),
        build: build_count,
    }],
    filters: &[
        Spec {
            name: "even",
            about: "Drops odd numbers.",
            options: Table(&[]),
            build: |_, _| Ok(Box::new(Even)),
        },
        Spec {
            name: "at_once",
            about: "Drops odd numbers, of those that are meant in one go.",
            options: Table(&[]),
            build: |_, build| Ok(Box::new(AtOnce { calls: build.metrics.counter(&CALLS) })),
        },
        Spec {
            name: "late",
            about: "Holds each batch back until the next one.",
            options: Table(&[]),
            build: |_, _| Ok(Box::new(Late(None))),
        },
        Spec {
            name: "odd",
            about: "Drops even numbers.",
            options: Table(&[]),
            build: |_, _| Ok(Box::new(Odd)),
        },
        Spec {
            name: "awaiting",
            about: "Waits for a moment, as only the runtime that it is in can tell; drops all if it is in none.",
            options: Table(&[]),
            build: |_, _| Ok(Box::new(Awaiting)),
        },
        Spec {
            name: "dawdling",
            about: "Takes a while, some batches longer than others.",
            options: Table(&[]),
            build: |_, _| Ok(Box::new(Dawdling)),
        },
        Spec {
            name: "meeting",
            about: "Drops a batch unless another copy has one meanwhile, once.",
            options: Table(&[]),
            build: |_, _| Ok(Box::new(Meeting::default())),
        },
        Spec {
            name: "held",
            about: "Holds up the record 0 until something is in a sink.",
            options: Table(&[HELD_KEYS]),
            build: |options, _| Ok(Box::new(Held(sink(options.get(OPENER).unwrap_or_default())))),
        },
        Spec {
            name: "unlucky",
            about: "Panics on some batches, drops every third record of others.",
            options: Table(&[UNLUCKY_KEYS]),
            build: |options, _| Ok(Box::new(Unlucky { state: options.get(SEED) })),
        },
        Spec {
            name: "relabel",
            about: "Gives all records another tag.",
            options: Table(&[RELABEL_KEYS]),
            build: |options, _| {
                let tag = Tag::new(options.get(TO).unwrap_or_default());
                let tag = tag.map_err(|error| BuildError::new(error.to_string()))?;
                Ok(Box::new(Relabel { tag }))
            },
        },
        Spec {
            name: "copying",
            about: "Passes each record alone, and a copy of all under another tag.",
            options: Table(&[COPYING_KEYS]),
            build: |options, _| Ok(Box::new(Copying { panics: options.get(PANICS) })),
        },
        Spec {
            name: "weigh",
            about: "Counts all that can be counted, and drops the first record of each batch as if it had failed.",
            options: Table(&[]),
            build: |_, build| Ok(Box::new(Weigh::new(build.metrics))),
        },
        Spec {
            name: "forkless",
            about: "Cannot be forked, or built.",
            options: Table(&[FORKLESS_KEYS]),
            build: |options, _| match options.get(BUILT) {
                true => Ok(Box::new(Forkless)),
                false => Err(BuildError::new("it was not to be built").help("let it be")),
            },
        },
    ],
    outputs: &[Spec {
        name: "keep",
        about: "Keeps what it receives.",
        options: Table(&[KEEP_KEYS]),
        build: build_keep,
    }],
    parsers: &[Spec {
        name: "strict",
        about: "Parses nothing.",
        options: Table(&[STRICT_KEYS]),
        build: |_, build| {
            build.metrics.counter(&MADE).add(1);
            Ok(Box::new(Strict))
        },
    }],
    multiline: &[Spec {
        name: "pairs",
        about: "Joins lines by the parser that it is told.",
        options: Table(&[PAIRS_KEYS]),
        build: build_pairs,
    }],
    absent: &[
        Absent {
            kind: Role::Filter,
            name: "prime",
            is_planned: true,
            instead: "use even, or nothing",
        },
        Absent {
            kind: Role::Processor,
            name: "content_modifier",
            is_planned: false,
            instead: "leave it out",
        },
    ],
};

fn build_pairs(options: &Options, build: &Build<'_>) -> Result<Box<MultilineParser>, BuildError> {
    let name = options.get(PARSER).unwrap_or_default();
    let Some(parser) = build.parsers.find(name) else {
        return Err(BuildError::new(format!("parser '{name}' is not known")));
    };
    Ok(Box::new(MultilineParser {
        whole: Whole::Rules(Vec::new()),
        parser: Some(Arc::clone(parser)),
        key_content: None,
        key_pattern: None,
        key_group: None,
        flush_timeout: Duration::ZERO,
    }))
}

struct Count {
    tag: Tag,
    records: u32,
    batch: u32,
    tags: u32,
    padding: usize,
    end: String,
    batches: Counter,
}

fn build_count(options: &Options, build: &Build<'_>) -> Result<Box<dyn Input>, BuildError> {
    let number = |key| u32::try_from(options.get::<Natural>(key)).unwrap_or(u32::MAX);
    Ok(Box::new(Count {
        tag: build.tag.clone(),
        records: number(RECORDS),
        batch: number(BATCH).max(1),
        tags: number(TAGS).max(1),
        padding: usize::try_from(options.get(PADDING)).unwrap_or_default(),
        end: options.get(END).to_owned(),
        batches: build.metrics.counter(&BATCHES),
    }))
}

impl Count {
    /// The tag of a batch: one of several that take turns.
    fn tag(&self, batch: u32) -> Tag {
        match self.tags {
            1 => self.tag.clone(),
            tags => Tag::new(&format!("{}.{}", self.tag, batch % tags)).unwrap(),
        }
    }

    fn batch(&self, from: u32, context: &dyn Context) -> Chunk {
        let mut builder = ChunkBuilder::new(self.tag(from / self.batch));
        // A map with one pair: a key of one byte, and a string of the padding's length.
        let mut metadata = vec![0x80];
        if self.padding > 0 {
            let length = u32::try_from(self.padding).unwrap().to_be_bytes();
            metadata = [&[0x81, 0xa1, b'p', 0xdb], length.as_slice()].concat();
            metadata.resize(metadata.len() + self.padding, b'.');
        }
        for number in from..(from + self.batch).min(self.records) {
            let event = Event { time: context.now(), metadata: &metadata, body: &body(number) };
            builder.push(event).unwrap();
        }
        builder.build()
    }

    async fn count(self, context: &dyn Context) -> Result<End, InputError> {
        let mut next = 0;
        while next < self.records {
            let batch = self.batch(next, context);
            self.batches.add(1);
            context.emit(batch).await.map_err(|closed| InputError(closed.to_string()))?;
            next += self.batch;
        }
        match self.end.as_str() {
            "stop" => Ok(End::StopAgent { code: 0 }),
            "fail" => Err(InputError("the source is gone".to_owned())),
            "panic" => panic!("the input is lost"),
            "hang" => std::future::pending().await,
            "wait" => {
                context.stopped().await;
                Ok(End::Quiet)
            }
            _ => Ok(End::Quiet),
        }
    }
}

impl Input for Count {
    fn ends_agent(&self) -> bool {
        self.end == "stop"
    }

    fn run<'a>(self: Box<Self>, context: &'a dyn Context) -> BoxFuture<'a, Result<End, InputError>>
    where
        Self: 'a,
    {
        Box::pin(self.count(context))
    }
}

/// Keeps the records at the places that `keep` says.
fn select(batch: &Chunk, outlet: &mut Outlet, keep: impl Fn(usize, &Event<'_>) -> bool) {
    let mut builder = ChunkBuilder::new(batch.tag().clone());
    let mut tally = Tally::default();
    for (at, event) in batch.records().enumerate() {
        if keep(at, &event) {
            builder.push(event).unwrap();
            tally.kept += 1;
        } else {
            tally.dropped += 1;
        }
    }
    outlet.count(&tally);
    outlet.pass(builder.build());
}

struct Relabel {
    tag: Tag,
}

impl Filter for Relabel {
    fn filter(&mut self, batch: Chunk, outlet: &mut Outlet) {
        let mut builder = ChunkBuilder::new(self.tag.clone());
        builder.append(&batch).unwrap();
        outlet.emit(builder.build());
        outlet.count(&Tally { dropped: batch.len() as u64, ..Tally::default() });
    }

    fn fork(&self) -> Result<Box<dyn Filter>, BuildError> {
        Ok(Box::new(Self { tag: self.tag.clone() }))
    }
}

#[derive(Clone)]
struct Copying {
    panics: bool,
}

impl Filter for Copying {
    fn filter(&mut self, batch: Chunk, outlet: &mut Outlet) {
        let mut copies = ChunkBuilder::new(Tag::new("copy").unwrap());
        copies.append(&batch).unwrap();
        outlet.emit(copies.build());
        outlet.count(&Tally::untouched(batch.len()));
        for at in 0..batch.len() {
            let mut alone = ChunkBuilder::new(batch.tag().clone());
            alone.append_run(&batch, at..at + 1).unwrap();
            outlet.pass(alone.build());
        }
        assert!(!self.panics, "afterwards");
    }

    fn fork(&self) -> Result<Box<dyn Filter>, BuildError> {
        Ok(Box::new(self.clone()))
    }
}

const WEIGHED: Metric = Metric::new("weighed", "Records on the scales.").worded("weighed");
const LOAD: Metric = Metric::new("load", "What the scales hold.").in_units_of("bytes");
const SCALES: Metric = Metric::new("scales", "Which scales they are.").by("maker");
const NEEDLE: Metric = Metric::new("needle", "How long the needle swings.");
const SWING: &[Duration] = &[Duration::from_millis(1)];
const BATCHES: Metric = Metric::new("batches", "Batches that were made.");
const CALLS: Metric = Metric::new("calls", "Times that it was called.");
const TAKEN: Metric = Metric::new("taken", "Chunks that came.").worded("chunks");
const MADE: Metric = Metric::new("made", "Times that it was made.");

/// Each copy holds the last batch that it weighed.
#[derive(Clone)]
struct Weigh {
    weighed: Counter,
    load: Gauge,
    needle: Timer,
    clumsy: Counter,
}

impl Weigh {
    fn new(metrics: &Metrics) -> Self {
        metrics.info(&SCALES).set("Roberval");
        Self {
            weighed: metrics.counter(&WEIGHED),
            load: metrics.gauge(&LOAD),
            needle: metrics.timer(&NEEDLE, SWING),
            clumsy: metrics.counter_of(&FAILURES, "clumsy"),
        }
    }
}

impl Filter for Weigh {
    fn filter(&mut self, batch: Chunk, outlet: &mut Outlet) {
        self.weighed.add(batch.len() as u64);
        self.load.set(batch.bytes().len() as u64);
        self.needle.took(Duration::from_micros(3));
        self.clumsy.add(1);
        let mut tally = Tally::untouched(batch.len() - 1);
        tally.fail(Fate::Dropped);
        outlet.count(&tally);
        let mut rest = ChunkBuilder::new(batch.tag().clone());
        rest.append_run(&batch, 1..batch.len()).unwrap();
        outlet.pass(rest.build());
    }

    fn fork(&self) -> Result<Box<dyn Filter>, BuildError> {
        Ok(Box::new(self.clone()))
    }
}

struct Even;

impl Filter for Even {
    fn filter(&mut self, batch: Chunk, outlet: &mut Outlet) {
        select(&batch, outlet, |_, event| event.body[7].is_multiple_of(2))
    }

    fn fork(&self) -> Result<Box<dyn Filter>, BuildError> {
        Ok(Box::new(Self))
    }
}

#[derive(Clone)]
struct AtOnce {
    calls: Counter,
}

impl Filter for AtOnce {
    fn filter(&mut self, batch: Chunk, outlet: &mut Outlet) {
        self.filter_meant(&batch, &vec![true; batch.len()], outlet);
    }

    fn filter_meant(&mut self, batch: &Chunk, meant: &[bool], outlet: &mut Outlet) -> bool {
        self.calls.add(1);
        let mut left = ChunkBuilder::new(batch.tag().clone());
        let mut tally = Tally::default();
        for (event, meant) in batch.records().zip(meant) {
            let stays = !meant || event.body[7].is_multiple_of(2);
            tally.kept += u64::from(*meant && stays);
            tally.dropped += u64::from(!stays);
            if stays {
                left.push(event).unwrap();
            }
        }
        outlet.count(&tally);
        outlet.pass(left.build());
        true
    }

    fn fork(&self) -> Result<Box<dyn Filter>, BuildError> {
        Ok(Box::new(self.clone()))
    }
}

struct Late(Option<Chunk>);

impl Late {
    fn out(late: Option<Chunk>, records: usize, outlet: &mut Outlet) {
        let emitted_extra = late.as_ref().map_or(0, Chunk::len) as u64;
        outlet.count(&Tally { dropped: records as u64, emitted_extra, ..Tally::default() });
        late.into_iter().for_each(|chunk| outlet.pass(chunk));
    }
}

impl Filter for Late {
    fn filter(&mut self, batch: Chunk, outlet: &mut Outlet) {
        let records = batch.len();
        Self::out(self.0.replace(batch), records, outlet);
    }

    fn release(&mut self, outlet: &mut Outlet, _: bool) {
        Self::out(self.0.take(), 0, outlet);
    }

    fn joins_batches(&self) -> bool {
        true
    }

    fn fork(&self) -> Result<Box<dyn Filter>, BuildError> {
        Ok(Box::new(Self(None)))
    }
}

struct Odd;

impl Filter for Odd {
    fn filter(&mut self, batch: Chunk, outlet: &mut Outlet) {
        select(&batch, outlet, |_, event| !event.body[7].is_multiple_of(2))
    }

    fn fork(&self) -> Result<Box<dyn Filter>, BuildError> {
        Ok(Box::new(Self))
    }
}

struct Awaiting;

impl Filter for Awaiting {
    fn filter(&mut self, batch: Chunk, outlet: &mut Outlet) {
        let runtime = tokio::runtime::Handle::try_current();
        if let Ok(runtime) = &runtime {
            runtime.block_on(tokio::time::sleep(Duration::from_millis(1)));
        }
        select(&batch, outlet, |_, _| runtime.is_ok())
    }

    fn fork(&self) -> Result<Box<dyn Filter>, BuildError> {
        Ok(Box::new(Self))
    }
}

struct Dawdling;

impl Filter for Dawdling {
    fn filter(&mut self, batch: Chunk, outlet: &mut Outlet) {
        let first = batch.records().next().map_or(0, |event| event.body[7]);
        std::thread::sleep(Duration::from_micros(u64::from(first) * 7919 % 4 * 200));
        outlet.keep(batch);
    }

    fn fork(&self) -> Result<Box<dyn Filter>, BuildError> {
        Ok(Box::new(Self))
    }
}

#[derive(Clone, Default)]
struct Meeting(Arc<(Mutex<u32>, Condvar)>);

impl Filter for Meeting {
    fn filter(&mut self, batch: Chunk, outlet: &mut Outlet) {
        let (came, changed) = &*self.0;
        let mut here = came.lock().unwrap();
        *here += 1;
        changed.notify_all();
        let (here, _) = changed.wait_timeout_while(here, PATIENCE, |here| *here < 2).unwrap();
        select(&batch, outlet, |_, _| *here >= 2);
    }

    fn fork(&self) -> Result<Box<dyn Filter>, BuildError> {
        Ok(Box::new(self.clone()))
    }
}

#[derive(Clone)]
struct Held(Arc<Sink>);

impl Filter for Held {
    fn filter(&mut self, batch: Chunk, outlet: &mut Outlet) {
        if batch.records().any(|event| event.body == body(0)) {
            self.0.wait_for_chunks(1);
        }
        outlet.keep(batch);
    }

    fn fork(&self) -> Result<Box<dyn Filter>, BuildError> {
        Ok(Box::new(self.clone()))
    }
}

struct Unlucky {
    state: u64,
}

impl Filter for Unlucky {
    fn filter(&mut self, batch: Chunk, outlet: &mut Outlet) {
        self.state = self.state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        assert!(!(self.state >> 33).is_multiple_of(4), "out of luck");
        select(&batch, outlet, |at, _| at % 3 != 2)
    }

    fn fork(&self) -> Result<Box<dyn Filter>, BuildError> {
        Ok(Box::new(Self { state: self.state }))
    }
}

struct Forkless;

impl Filter for Forkless {
    fn filter(&mut self, batch: Chunk, outlet: &mut Outlet) {
        outlet.keep(batch);
    }

    fn fork(&self) -> Result<Box<dyn Filter>, BuildError> {
        Err(BuildError::new("there is only one"))
    }
}

struct Keep {
    left_out: usize,
    halves: bool,
    finish: Option<Duration>,
    sink: Arc<Sink>,
    slow: Duration,
    retries: u32,
    down: AtomicU32,
    no_room: AtomicU32,
    after: Option<Duration>,
    refuse: AtomicU32,
    panic: AtomicU32,
    /// Tries since the last delivery; tests that retry use one chunk at a time.
    tries: AtomicU32,
    taken: Option<Counter>,
}

fn build_keep(options: &Options, build: &Build<'_>) -> Result<Box<dyn Output>, BuildError> {
    let number = |key| u32::try_from(options.get::<Natural>(key)).unwrap_or(u32::MAX);
    Ok(Box::new(Keep {
        left_out: number(LEFT_OUT) as usize,
        halves: options.get(HALVES),
        finish: options.get(FINISH),
        sink: sink(options.get(SINK_NAME).unwrap_or(build.instance)),
        slow: Duration::from_millis(number(SLOW).into()),
        retries: number(RETRIES),
        down: AtomicU32::new(number(DOWN)),
        no_room: AtomicU32::new(number(NO_ROOM)),
        after: options.get(AFTER),
        refuse: AtomicU32::new(number(REFUSE)),
        panic: AtomicU32::new(number(PANIC)),
        tries: AtomicU32::new(0),
        taken: options.get(COUNTS).then(|| build.metrics.counter(&TAKEN)),
    }))
}

/// Whether there was one left to take.
fn take(counter: &AtomicU32) -> bool {
    counter.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| left.checked_sub(1)).is_ok()
}

impl Keep {
    async fn keep(&self, chunk: &Chunk) -> Flush {
        self.taken.iter().for_each(|taken| taken.add(1));
        tokio::time::sleep(self.slow).await;
        assert!(!take(&self.panic), "the output is lost");
        if take(&self.refuse) {
            return Flush::Fail(OutputError("not this one".to_owned()));
        }
        if take(&self.no_room) {
            return Flush::NoRoom { reason: "too many open files".to_owned() };
        }
        if take(&self.down) {
            return Flush::Retry { reason: "down".to_owned(), after: self.after };
        }
        if self.retries > 0 && self.tries.fetch_add(1, Ordering::Relaxed) < self.retries {
            return Flush::Retry { reason: "not now".to_owned(), after: self.after };
        }
        self.tries.store(0, Ordering::Relaxed);
        if self.halves && chunk.len() > 1 {
            return self.keep_half(chunk);
        }
        self.sink.receive(chunk);
        Flush::but(self.left_out)
    }
}

impl Keep {
    /// Takes every other record.
    fn keep_half(&self, chunk: &Chunk) -> Flush {
        let taken: Vec<bool> = (0..chunk.len()).map(|at| at % 2 == 0).collect();
        self.sink.receive(&chunk.only(&taken));
        let (reason, after) = ("half of it".to_owned(), self.after);
        let first: Vec<bool> = (0..chunk.len()).map(|at| at < self.left_out).collect();
        let refused = (self.left_out > 0).then(|| chunk.only(&first));
        let again = taken.into_iter().map(|taken| !taken).collect();
        Flush::Rest { again, left_out: self.left_out, refused, reason, after }
    }
}

impl Output for Keep {
    fn flush<'a>(&'a self, chunk: &'a Chunk) -> BoxFuture<'a, Flush> {
        Box::pin(self.keep(chunk))
    }

    fn finish(&self) -> BoxFuture<'_, ()> {
        Box::pin(async move {
            if let Some(time) = self.finish {
                tokio::time::sleep(time).await;
                let tag = Tag::new("finished").unwrap();
                self.sink.receive(&ChunkBuilder::new(tag).build());
            }
        })
    }
}

struct Strict;

impl Parser for Strict {
    fn parse(&self, _: &[u8], _: Timestamp, _: &mut Vec<u8>) -> Result<Parsed, ParseError> {
        Err(ParseError("nothing is good enough".to_owned()))
    }
}
