//! `fluentbit_metrics`: the agent's own metrics, each family a record, for the output `prometheus_exporter` or any other.

use std::sync::Arc;
use std::time::Duration;

use flb_event::{Chunk, ChunkBuilder, Event, RecordTooLarge, Tag, Timestamp, msgpack};
use flb_plugin::families::{Families, Family, Number, Overview};
use flb_plugin::keys::{Bool, Key, Time};
use flb_plugin::{
    BoxFuture, Build, BuildError, Context, Counter, End, Input, InputError, Metric, Options, Spec,
    Table, keys,
};

pub(super) const SPEC: Spec<dyn Input> = Spec {
    name: "fluentbit_metrics",
    about: "Take the agent's own metrics",
    options: Table(&[KEYS]),
    build,
};

keys! {
    const KEYS;
    SCRAPE_INTERVAL: Time =
        Key::new("scrape_interval", "Time between two looks at the metrics").default("2");
    SCRAPE_ON_START: Bool =
        Key::new("scrape_on_start", "Look at once, and not first after that time").default("off");
}

/// How often it has looked.
static SCRAPES: Metric = Metric::new("scrapes", "Looks at the agent's metrics.")
    .known_as("fluentbit_input_metrics_scrapes_total");

fn build(options: &Options, build: &Build<'_>) -> Result<Box<dyn Input>, BuildError> {
    let every = options.get(SCRAPE_INTERVAL);
    if every.is_zero() {
        return Err(BuildError::new("scrape_interval is 0").help("give a time, as 2s"));
    }
    Ok(Box::new(Own {
        tag: build.tag.clone(),
        every,
        at_once: options.get(SCRAPE_ON_START),
        scrapes: build.metrics.counter(&SCRAPES),
        overview: build.service.shared.get_or_make(|| Ok::<_, BuildError>(Overview::default()))?,
    }))
}

struct Own {
    tag: Tag,
    every: Duration,
    at_once: bool,
    scrapes: Counter,
    overview: Arc<Overview>,
}

impl Input for Own {
    fn run<'a>(self: Box<Self>, context: &'a dyn Context) -> BoxFuture<'a, Result<End, InputError>>
    where
        Self: 'a,
    {
        Box::pin(async move {
            let mut wait = if self.at_once { Duration::ZERO } else { self.every };
            loop {
                tokio::select! {
                    biased;
                    () = context.stopped() => return Ok(End::Quiet),
                    () = context.sleep(wait) => {}
                }
                wait = self.every;
                self.scrapes.add(1);
                let batch = records(&self.tag, &self.overview.now(), context.now());
                let batch = batch.map_err(|error| InputError(error.to_string()))?;
                if !batch.is_empty() && context.emit(batch).await.is_err() {
                    return Ok(End::Quiet);
                }
            }
        })
    }
}

/// A record a family: `{"name":..,"type":..,"help":..,"samples":[{"name":..,"labels":{..},"value":..}]}`.
fn records(tag: &Tag, families: &Families, now: Timestamp) -> Result<Chunk, RecordTooLarge> {
    let mut batch = ChunkBuilder::new(tag.clone());
    for (name, family) in &families.0 {
        batch.push_with(now, Event::NO_METADATA, |out| {
            write(name, family, out);
            Ok::<_, RecordTooLarge>(())
        })?;
    }
    Ok(batch.build())
}

fn write(name: &str, family: &Family, out: &mut Vec<u8>) {
    let length = |count: usize| u32::try_from(count).unwrap_or(u32::MAX);
    msgpack::write_map_header(out, 4);
    for (key, value) in [("name", name), ("type", &family.kind), ("help", &family.help)] {
        msgpack::write_str(out, key);
        msgpack::write_str(out, value);
    }
    msgpack::write_str(out, "samples");
    msgpack::write_array_header(out, length(family.samples.len()));
    for sample in &family.samples {
        msgpack::write_map_header(out, 3);
        msgpack::write_str(out, "name");
        msgpack::write_str(out, format!("{name}{}", sample.suffix));
        msgpack::write_str(out, "labels");
        msgpack::write_map_header(out, length(sample.labels.len()));
        for (label, value) in &sample.labels {
            msgpack::write_str(out, label);
            msgpack::write_str(out, value);
        }
        msgpack::write_str(out, "value");
        match sample.value {
            Number::Whole(number) => msgpack::write_uint(out, number),
            Number::Real(number) => msgpack::write_float(out, number),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use flb_harness::{Scene, build, json_text};

    #[test]
    fn a_family_is_a_record() {
        let mut families = Families::default();
        families.counter("b_total", "B.", &[("name", "x")], 2);
        families.measure("a", "A.", &[], 0.5);
        let now = Timestamp { sec: 5, nsec: 0 };
        let batch = records(&Tag::new("t").unwrap(), &families, now).unwrap();
        let shown: Vec<String> = batch.records().map(|event| json_text(event.body)).collect();
        assert_eq!(
            shown,
            [
                r#"{"name":"a","type":"gauge","help":"A.","samples":[{"name":"a","labels":{},"value":0.5}]}"#,
                r#"{"name":"b_total","type":"counter","help":"B.","samples":[{"name":"b_total","labels":{"name":"x"},"value":2}]}"#,
            ]
        );
    }

    #[test]
    fn nothing_is_taken_before_the_agent_is_at_work() {
        let scene = Scene::new(1000.0).until(1010.0);
        scene.run(&SPEC, &[("scrape_on_start", "on")]).unwrap();
        assert!(scene.records().is_empty());
    }

    #[test]
    fn no_time_at_all_is_refused() {
        let error = build(&SPEC, &[("scrape_interval", "0")]).err().unwrap();
        assert_eq!(error.message, "scrape_interval is 0");
    }
}
