//! A plugin counts what it wants to, and it is found in the report.

use flb_pipeline::Report;
use flb_plugin::{Reading, Value};

use crate::world::{build_with, run};

/// Each reading as `name{label}=value`.
fn told(metrics: &[Reading]) -> Vec<String> {
    let text = |Reading { metric, of, value }: &Reading| {
        let label = of.as_ref().map(|of| format!("{{{of}}}")).unwrap_or_default();
        let value = match value {
            Value::Counter(number) | Value::Gauge(number) => number.to_string(),
            Value::Info => "1".to_owned(),
            Value::Observed(values) => format!("{} of {}", values.sum(), values.count()),
            Value::Times(times) => format!("{} in {:?}", times.count(), times.sum()),
        };
        format!("{}{label}={value}", metric.name)
    };
    metrics.iter().map(text).collect()
}

#[test]
fn what_a_plugin_counts_is_in_the_report_and_its_words_are_in_its_line() {
    let text = "[INPUT]\n Name count\n Tag a\n Records 20\n Batch 5\n[FILTER]\n Name weigh\n Match *\n\
                [OUTPUT]\n Name keep\n Match *\n Sink weighed\n Counts on\n";
    let Report { inputs, filters, outputs, .. } = &run(text);
    assert_eq!(told(&inputs[0].metrics), ["batches=4"]);
    let expected = [
        "weighed=20",
        "failures{clumsy}=4",
        // The filter is gone, and what it held.
        "load=0",
        "scales{Roberval}=1",
        "needle=4 in 12\u{b5}s",
    ];
    assert_eq!(told(&filters[0].metrics), expected);
    assert_eq!(
        filters[0].to_string(),
        "[filter:weigh:weigh.0] 20 records: 16 kept, 0 replaced, 0 dropped, 4 dropped by failure, 4 failed (clumsy 4), 20 \
         weighed"
    );
    assert_eq!(
        outputs[0].to_string(),
        "[output:keep:keep.0] 16 records: 16 delivered, 0 dropped, 1 chunks"
    );
}

#[test]
fn the_copies_of_a_filter_count_together() {
    let running = crate::world::start(
        "[INPUT]\n Name count\n Tag a\n Records 40\n Batch 5\n Tags 8\n Workers 4\n End wait\n[FILTER]\n Name \
         weigh\n Match *\n[OUTPUT]\n Name keep\n Match *\n Sink weighed_lanes\n",
    );
    running.wait_until(|report| report.outputs[0].delivered == 32);
    let report = running.stop();
    assert_eq!(told(&report.filters[0].metrics)[..2], ["weighed=40", "failures{clumsy}=8"]);
}

#[test]
fn a_parser_s_metrics_stand_under_its_name() {
    let built = build_with(
        "[SERVICE]\n Parsers_File p.conf\n[INPUT]\n Name count\n[OUTPUT]\n Name keep\n Match *\n",
        &[("p.conf", "[PARSER]\n Name picky\n Format strict\n")],
    );
    let report = built.pipeline.unwrap().meter().read();
    assert_eq!(report.parsers.len(), 1);
    assert_eq!(&*report.parsers[0].name, "picky");
    assert_eq!(told(&report.parsers[0].metrics), ["made=1"]);
}
