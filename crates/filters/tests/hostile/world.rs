//! A filter built as a configuration would, and the check of its books.

use std::cell::RefCell;
use std::path::Path;

use flb_config::{Diagnostics, Document, FileKind, Memory, Variables, read_classic};
use flb_event::{Chunk, ChunkBuilder, Event, Tag, Timestamp, msgpack};
use flb_plugin::{Build, BuildError, Filter, Metrics, Options, Outlet, Service, Tally, Value};
use flb_runtime::Failure;
use tempfile::TempDir;

/// When all records are.
const TIME: u32 = 1_700_000_000;

/// A folder, and what all filters in it share.
pub(crate) struct World {
    folder: TempDir,
    service: Service,
    tag: Tag,
    /// What the last filter counts of its own.
    metrics: RefCell<Metrics>,
}

impl World {
    pub(crate) fn new() -> Self {
        let (folder, tag) = (tempfile::tempdir().unwrap(), Tag::new("chaos").unwrap());
        Self { folder, service: Service::default(), tag, metrics: RefCell::default() }
    }

    pub(crate) fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// The function `f` of a module, with further properties, one a line.
    pub(crate) fn filter(
        &self,
        wasm: &[u8],
        properties: &str,
    ) -> Result<Box<dyn Filter>, BuildError> {
        let module = self.folder().join("filter.wasm");
        std::fs::write(&module, wasm).unwrap();
        let module = module.display();
        let quarantine = self.folder().join("quarantine");
        let text = format!(
            "[FILTER]\n    Name wasm\n    Wasm_Path {module}\n    Function_Name f\n    Quarantine_Path {}\n    \
             Guest_Output discard\n{properties}",
            quarantine.display()
        );
        let files = Memory([("main.conf".into(), text)].into_iter().collect());
        let mut document = Document::default();
        let read = read_classic(&mut document, Path::new("main.conf"), FileKind::Main, &files);
        assert!(read.is_empty(), "{}", read.render(document.sources()));
        let spec = flb_filters::ALL.iter().find(|spec| spec.name == "wasm").unwrap();
        let mut wrong = Diagnostics::default();
        let (section, variables) = (&document.sections[0], Variables::default());
        let options =
            Options::read("wasm", spec.options, section, &["name"], &variables, &mut wrong);
        assert!(wrong.is_empty(), "{}", wrong.render(document.sources()));
        self.metrics.replace(Metrics::default());
        let parsers = flb_parsers::builtin_parsers();
        let multiline = flb_parsers::multiline::builtin_multiline();
        let build = Build {
            instance: "wasm.0",
            tag: &self.tag,
            parsers: &parsers,
            multiline: &multiline,
            service: &self.service,
            metrics: &self.metrics.borrow(),
        };
        (spec.build)(&options, &build)
    }

    /// What the last filter has counted: a metric, and one of its label's values if it has several.
    pub(crate) fn counted(&self, metric: &str, of: Option<&str>) -> u64 {
        let readings = self.metrics.borrow().read();
        let mut same =
            readings.iter().filter(|one| (one.metric.name, one.of.as_deref()) == (metric, of));
        match same.next().map(|reading| &reading.value) {
            Some(Value::Counter(number) | Value::Gauge(number)) => *number,
            other => panic!("{metric} is {other:?}"),
        }
    }

    /// How many of its label's values a metric of the last filter has.
    pub(crate) fn named(&self, metric: &str) -> usize {
        let readings = self.metrics.borrow().read();
        readings.iter().filter(|one| one.metric.name == metric).count()
    }

    /// How often the last filter has failed so.
    pub(crate) fn failed(&self, class: Failure) -> u64 {
        self.counted("failures", Some(class.name()))
    }

    /// Gives records to a filter and checks what comes out.
    pub(crate) fn run<'a>(
        &self,
        filter: &mut dyn Filter,
        bodies: impl IntoIterator<Item = &'a [u8]>,
    ) -> Tally {
        let (passed, tally) = self.give(filter, bodies);
        assert!(passed.iter().flat_map(Chunk::records).all(|event| event.time.sec == TIME));
        tally
    }

    /// The same for a filter that may change the time, or send records away under other tags.
    pub(crate) fn run_at_any_time<'a>(
        &self,
        filter: &mut dyn Filter,
        bodies: impl IntoIterator<Item = &'a [u8]>,
    ) -> Tally {
        self.give(filter, bodies).1
    }

    fn give<'a>(
        &self,
        filter: &mut dyn Filter,
        bodies: impl IntoIterator<Item = &'a [u8]>,
    ) -> (Vec<Chunk>, Tally) {
        let mut batch = ChunkBuilder::new(self.tag.clone());
        for (number, body) in bodies.into_iter().enumerate() {
            let time = Timestamp { sec: TIME, nsec: number as u32 };
            batch.push(Event { time, metadata: Event::NO_METADATA, body }).unwrap();
        }
        let batch = batch.build();
        let mut outlet = Outlet::default();
        filter.filter(batch.clone(), &mut outlet);
        check(&batch, outlet.passed(), outlet.tally());
        for chunk in outlet.take_emitted() {
            check_sound(&chunk);
        }
        (outlet.passed().to_vec(), *outlet.tally())
    }
}

/// Every record that went in is in one place, and every record that came out is sound.
fn check(batch: &Chunk, passed: &[Chunk], tally: &Tally) {
    assert_eq!(tally.records(), batch.len() as u64, "{tally:?}");
    let left: usize = passed.iter().map(Chunk::len).sum();
    assert_eq!(tally.emitted(), left as u64, "{tally:?}");
    assert_eq!(
        tally.records(),
        tally.kept
            + tally.replaced
            + tally.dropped
            + tally.dropped_by_failure()
            + tally.quarantined()
    );
    passed.iter().for_each(check_sound);
}

fn check_sound(chunk: &Chunk) {
    for event in chunk.records() {
        assert_eq!(msgpack::map_len(event.body), Ok(event.body.len()));
        assert_eq!(msgpack::map_len(event.metadata), Ok(event.metadata.len()));
    }
}

/// Numbers that look random and are the same in every run.
pub(crate) struct Dice(u64);

impl Dice {
    pub(crate) fn new(seed: u64) -> Self {
        Self(seed)
    }

    pub(crate) fn next(&mut self) -> u64 {
        // splitmix64
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let a = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let b = (a ^ (a >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        b ^ (b >> 31)
    }

    pub(crate) fn below(&mut self, end: u64) -> u64 {
        self.next() % end
    }
}
