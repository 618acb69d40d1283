//! `dummy`: the same records again and again, to try a pipeline out.

use std::time::Duration;

use flb_event::{ChunkBuilder, Event, Tag, Timestamp, json};
use flb_plugin::keys::{Bool, Int, Key, Text};
use flb_plugin::{
    BoxFuture, Build, BuildError, Closed, Context, End, Input, InputError, Options, Spec, Table,
    keys,
};

use super::shared::clock;
use flb_plugin::log::Label;

keys! {
    const KEYS;
    DUMMY: Text =
        Key::new("dummy", "JSON objects, one record each").default(r#"{"message":"dummy"}"#);
    METADATA: Text = Key::new("metadata", "A JSON object: the metadata").default("{}");
    SAMPLES: Int = Key::new("samples", "How often to emit; 0 is for ever").default("0");
    RATE: Int = Key::new("rate", "How often to emit in a second").default("1");
    INTERVAL_SEC: Int = Key::new("interval_sec", "Seconds between; replaces rate").default("0");
    INTERVAL_NSEC: Int = Key::new("interval_nsec", "Nanoseconds added to them").default("0");
    COPIES: Int = Key::new("copies", "How often a batch repeats the records").default("1");
    START_TIME_SEC: Int = Key::new("start_time_sec", "Time of the start, in seconds").default("-1");
    START_TIME_NSEC: Int = Key::new("start_time_nsec", "Nanoseconds added to it").default("-1");
    FIXED_TIMESTAMP: Bool = Key::new("fixed_timestamp", "Time stands still").default("off");
    FLUSH_ON_STARTUP: Bool = Key::new("flush_on_startup", "Emit at once, then wait").default("off");
}

pub(super) const SPEC: Spec<dyn Input> = Spec {
    name: "dummy",
    about: "Make records of a text, at a fixed rate",
    options: Table(&[KEYS]),
    build,
};

/// How far emission may fall behind its schedule and still catch up.
const LAG: Duration = Duration::from_secs(1);

fn build(options: &Options, build: &Build<'_>) -> Result<Box<dyn Input>, BuildError> {
    let label = Label::input("dummy", build);
    let bodies = objects_or(options.get(DUMMY), DUMMY.default_value(), &label);
    if bodies.is_empty() {
        tracing::error!("{label} log chunk size == 0: 'dummy' holds no JSON object");
    }
    let metadata = objects_or(options.get(METADATA), METADATA.default_value(), &label);
    Ok(Box::new(Dummy {
        tag: build.tag.clone(),
        bodies,
        metadata: metadata.into_iter().next().unwrap_or(Event::NO_METADATA.to_vec()),
        samples: natural(options.get(SAMPLES)),
        interval: interval(options),
        copies: natural(options.get(COPIES)),
        start: start(options),
        fixed: options.get(FIXED_TIMESTAMP),
        at_once: options.get(FLUSH_ON_STARTUP),
        label,
    }))
}

/// A number that means nothing below zero.
fn natural(number: i64) -> u64 {
    u64::try_from(number).unwrap_or(0)
}

fn interval(options: &Options) -> Duration {
    let wanted = Duration::from_secs(natural(options.get(INTERVAL_SEC)))
        .saturating_add(Duration::from_nanos(natural(options.get(INTERVAL_NSEC))));
    if wanted.is_zero() {
        Duration::from_nanos(1_000_000_000 / natural(options.get(RATE)).clamp(1, 1_000_000_000))
    } else {
        wanted
    }
}

fn start(options: &Options) -> Option<Timestamp> {
    let part = |key| Some(options.get(key)).filter(|number| *number >= 0);
    let (sec, nsec) = (part(START_TIME_SEC), part(START_TIME_NSEC));
    sec.or(nsec)?;
    let nanos =
        |whole: Option<i64>, unit: u64| whole.unwrap_or(0).unsigned_abs().saturating_mul(unit);
    Some(clock::timestamp(nanos(sec, 1_000_000_000).saturating_add(nanos(nsec, 1))))
}

/// The objects in `text`, or those in `default` if `text` is not JSON at all.
fn objects_or(text: &str, default: &str, label: &Label) -> Vec<Vec<u8>> {
    objects(text).unwrap_or_else(|| {
        tracing::warn!("{label} data is incomplete. Use default string.");
        objects(default).unwrap_or_default()
    })
}

/// The objects in `text` as msgpack. Values of other kinds, and what follows the last whole value, are passed over.
/// `None` if there is no whole value.
fn objects(text: &str) -> Option<Vec<Vec<u8>>> {
    let mut rest = text.as_bytes();
    let mut found = None;
    loop {
        let mut object = Vec::new();
        let Ok(parsed) = json::parse(rest, &mut object) else { return found };
        let objects = found.get_or_insert_with(Vec::new);
        if parsed.kind == json::Kind::Object {
            objects.push(object);
        }
        rest = &rest[parsed.consumed..];
    }
}

struct Dummy {
    label: Label,
    tag: Tag,
    bodies: Vec<Vec<u8>>,
    metadata: Vec<u8>,
    /// Zero is for ever.
    samples: u64,
    interval: Duration,
    copies: u64,
    start: Option<Timestamp>,
    fixed: bool,
    at_once: bool,
}

impl Input for Dummy {
    fn run<'a>(self: Box<Self>, context: &'a dyn Context) -> BoxFuture<'a, Result<End, InputError>>
    where
        Self: 'a,
    {
        Box::pin(async move {
            // A closed pipeline is a stop like another.
            let _ = self.emit_samples(context).await;
            Ok(End::Quiet)
        })
    }
}

impl Dummy {
    async fn emit_samples(&self, context: &dyn Context) -> Result<(), Closed> {
        let begun = context.now();
        let interval = u64::try_from(self.interval.as_nanos()).unwrap_or(u64::MAX);
        let mut due = clock::nanos(begun).saturating_add(if self.at_once { 0 } else { interval });
        let mut emitted = 0;
        while self.samples == 0 || emitted < self.samples {
            let now = clock::nanos(context.now());
            let wait = Duration::from_nanos(due.saturating_sub(now).min(interval));
            if clock::stopped_within(context, wait).await {
                return Ok(());
            }
            self.emit_batch(begun, context).await?;
            emitted += 1;
            due = due.saturating_add(interval).max(now.saturating_sub(LAG.as_nanos() as u64));
        }
        tracing::debug!("{} all {} samples are emitted", self.label, self.samples);
        Ok(())
    }

    async fn emit_batch(&self, begun: Timestamp, context: &dyn Context) -> Result<(), Closed> {
        let time = self.time(begun, context.now());
        let mut batch = ChunkBuilder::new(self.tag.clone());
        for body in (0..self.copies).flat_map(|_| &self.bodies) {
            if let Err(error) = batch.push(Event { time, metadata: &self.metadata, body }) {
                tracing::error!("{} the batch is cut short: {error}", self.label);
                break;
            }
        }
        if batch.is_empty() { Ok(()) } else { context.emit(batch.build()).await }
    }

    fn time(&self, begun: Timestamp, now: Timestamp) -> Timestamp {
        match (self.start, self.fixed) {
            (start, true) => start.unwrap_or(begun),
            (None, false) => now,
            (Some(start), false) => {
                let elapsed = clock::nanos(now).saturating_sub(clock::nanos(begun));
                clock::timestamp(clock::nanos(start).saturating_add(elapsed))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use flb_harness::Scene;

    /// What comes out within five seconds that begin at 1000.0.
    fn check(options: &[(&str, &str)], expected: &[&str]) {
        let scene = Scene::new(1000.0).until(1005.0);
        let ended = scene.run(&SPEC, options);
        assert_eq!(ended.unwrap(), End::Quiet);
        assert_eq!(scene.records(), expected);
    }

    #[test]
    fn a_record_comes_out_each_second() {
        check(
            &[],
            &[
                r#"t 1001.000000000 {"message":"dummy"}"#,
                r#"t 1002.000000000 {"message":"dummy"}"#,
                r#"t 1003.000000000 {"message":"dummy"}"#,
                r#"t 1004.000000000 {"message":"dummy"}"#,
            ],
        );
    }

    #[test]
    fn samples_limit_the_ticks_and_copies_multiply_a_batch() {
        let scene = Scene::new(1000.0).until(1005.0);
        scene
            .run(
                &SPEC,
                &[("dummy", r#"{"a":1}"#), ("samples", "2"), ("copies", "3"), ("rate", "4")],
            )
            .unwrap();
        assert_eq!(scene.batches(), [3, 3]);
        assert_eq!(scene.records()[5], r#"t 1000.500000000 {"a":1}"#);
        assert!(scene.log().contains("all 2 samples are emitted"));
    }

    #[test]
    fn an_interval_replaces_the_rate() {
        check(
            &[("interval_sec", "1"), ("interval_nsec", "500000000"), ("rate", "100")],
            &[
                r#"t 1001.500000000 {"message":"dummy"}"#,
                r#"t 1003.000000000 {"message":"dummy"}"#,
                r#"t 1004.500000000 {"message":"dummy"}"#,
            ],
        );
    }

    #[test]
    fn time_runs_from_the_start_time() {
        check(
            &[("start_time_sec", "5"), ("start_time_nsec", "7"), ("samples", "2")],
            &[r#"t 6.000000007 {"message":"dummy"}"#, r#"t 7.000000007 {"message":"dummy"}"#],
        );
    }

    #[test]
    fn a_fixed_time_stands_still() {
        check(
            &[("start_time_sec", "5"), ("fixed_timestamp", "on"), ("samples", "2")],
            &[r#"t 5.000000000 {"message":"dummy"}"#, r#"t 5.000000000 {"message":"dummy"}"#],
        );
        check(
            &[("fixed_timestamp", "on"), ("samples", "1")],
            &[r#"t 1000.000000000 {"message":"dummy"}"#],
        );
    }

    #[test]
    fn flush_on_startup_emits_at_once() {
        check(
            &[("flush_on_startup", "on"), ("samples", "2")],
            &[r#"t 1000.000000000 {"message":"dummy"}"#, r#"t 1001.000000000 {"message":"dummy"}"#],
        );
    }

    #[test]
    fn several_objects_are_several_records_and_other_values_are_passed_over() {
        check(
            &[("dummy", r#"{"a":1} [2] {"b":3} # end"#), ("samples", "1")],
            &[r#"t 1001.000000000 {"a":1}"#, r#"t 1001.000000000 {"b":3}"#],
        );
    }

    #[test]
    fn text_that_is_not_json_becomes_the_default() {
        let scene = Scene::new(1000.0).until(1005.0);
        scene.run(&SPEC, &[("dummy", "hello"), ("samples", "1")]).unwrap();
        assert_eq!(scene.records(), [r#"t 1001.000000000 {"message":"dummy"}"#]);
        assert_eq!(
            scene.log(),
            " WARN [input:dummy:dummy.0] data is incomplete. Use default string.\n\
             DEBUG [input:dummy:dummy.0] all 1 samples are emitted\n"
        );
    }

    #[test]
    fn a_text_without_objects_is_an_error_line_and_silence() {
        let scene = Scene::new(1000.0).until(1005.0);
        scene.run(&SPEC, &[("dummy", "[1,2]")]).unwrap();
        assert_eq!(scene.batches(), [0; 0]);
        assert!(scene.log().contains("log chunk size == 0"));
    }

    #[test]
    fn metadata_goes_with_every_record() {
        let scene = Scene::new(1000.0).until(1002.0);
        scene.run(&SPEC, &[("metadata", r#"{"m":1}"#)]).unwrap();
        assert_eq!(scene.metadata(), [r#"{"m":1}"#]);
    }

    #[test]
    fn a_closed_pipeline_ends_the_input() {
        let scene = Scene::new(1000.0).until(1005.0).closed();
        assert_eq!(scene.run(&SPEC, &[]).unwrap(), End::Quiet);
    }
}
