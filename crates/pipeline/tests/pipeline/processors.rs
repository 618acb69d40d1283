//! Processors: filters of one input or one output, and the conditions that say which records they are for.

use flb_config::Role;
use flb_pipeline::FilterReport;

use crate::world::{build, run, sink};

fn all(records: u32) -> Vec<u32> {
    (0..records).collect()
}

#[test]
fn an_inputs_processors_see_its_records_only_and_before_the_filters() {
    let report = run("
pipeline:
  inputs:
    - name: count
      tag: a
      records: 10
      batch: 5
      processors:
        logs:
          - name: even
    - {name: count, tag: b, records: 10, end: quiet}
  filters:
    - {name: even, match: a}
  outputs:
    - {name: keep, match: '*', sink: processed_input}
");
    assert_eq!(sink("processed_input").tagged("a"), [0, 2, 4, 6, 8]);
    assert_eq!(sink("processed_input").tagged("b"), all(10));
    let [filter, processor] = report.filters.as_slice() else { panic!("{report:?}") };
    assert_eq!((filter.tally.records(), filter.tally.dropped), (5, 0));
    assert_eq!((processor.tally.records(), processor.tally.dropped), (10, 5));
    assert_eq!(processor.instance.role, Role::Processor);
    assert_eq!(
        processor.to_string(),
        "[processor:even:count.0/even.0] 10 records: 5 kept, 0 replaced, 5 dropped, 0 failed"
    );
    assert_eq!(report.inputs[0].filtered, 5);
}

#[test]
fn an_outputs_processors_change_its_own_copy_only() {
    let report = run("
pipeline:
  inputs:
    - {name: count, records: 10, batch: 10}
  outputs:
    - name: keep
      match: '*'
      sink: processed_output
      processors:
        logs:
          - name: even
          - name: even
    - {name: keep, match: '*', sink: unprocessed_output}
");
    assert_eq!(sink("processed_output").numbers(), [0, 2, 4, 6, 8]);
    assert_eq!(sink("unprocessed_output").numbers(), all(10));
    let tallies: Vec<_> =
        report.filters.iter().map(|row| (row.tally.records(), row.tally.dropped)).collect();
    assert_eq!(tallies, [(10, 5), (5, 0)]);
    assert_eq!(report.filters[1].instance.name.as_ref(), "keep.0/even.1");
    assert_eq!((report.outputs[0].records, report.outputs[0].delivered), (10, 10));
}

#[test]
fn what_waits_in_an_output_s_processor_goes_with_its_chunk() {
    let report = run("
pipeline:
  inputs:
    - {name: count, records: 10, batch: 10}
  outputs:
    - name: keep
      match: '*'
      sink: late_output
      processors:
        logs:
          - name: late
          - name: even
");
    // All of the batch waits, so nothing is left for those behind before it is released.
    assert_eq!(sink("late_output").numbers(), [0, 2, 4, 6, 8]);
    let tallies: Vec<_> =
        report.filters.iter().map(|row| (row.tally.records(), row.tally.emitted())).collect();
    assert_eq!(tallies, [(10, 10), (10, 5)]);
}

#[test]
fn what_waits_in_a_filter_comes_out_in_its_order_through_the_filters_behind() {
    let report = run("
pipeline:
  inputs:
    - {name: count, records: 10, batch: 3}
  filters:
    - {name: odd, match: none}
    - {name: late, match: '*'}
    - {name: even, match: '*'}
  outputs:
    - {name: keep, match: '*', sink: late_lane}
");
    assert_eq!(sink("late_lane").numbers(), [0, 2, 4, 6, 8]);
    let tallies: Vec<_> =
        report.filters.iter().map(|row| (row.tally.records(), row.tally.emitted())).collect();
    assert_eq!(tallies, [(0, 0), (10, 10), (10, 5)]);
    assert_eq!(report.inputs[0].filtered, 5 + report.inputs[0].added, "{report:?}");
}

#[test]
fn a_chunk_of_which_nothing_is_left_is_delivered() {
    let report = run("
pipeline:
  inputs:
    - {name: count, records: 10, batch: 10}
  filters:
    - {name: even, match: '*'}
  outputs:
    - name: keep
      match: '*'
      sink: nothing_left
      processors:
        logs:
          - name: odd
");
    assert_eq!(sink("nothing_left").chunks(), []);
    assert_eq!((report.outputs[0].delivered, report.pending()), (5, 0));
    assert_eq!(report.filters[1].tally.dropped, 5);
}

#[test]
fn a_processor_that_panics_loses_nothing() {
    let report = run("
pipeline:
  inputs:
    - {name: count, records: 300, batch: 10, tags: 30, processors: {logs: [{name: unlucky}]}}
  outputs:
    - {name: keep, match: '*', sink: unlucky_processors, processors: {logs: [{name: unlucky}]}}
");
    let dropped: u64 = report.filters.iter().map(|row| row.tally.dropped).sum();
    assert!(report.filters.iter().all(|row| row.panics > 0), "{report:?}");
    assert_eq!(sink("unlucky_processors").numbers().len() as u64 + dropped, 300);
}

#[test]
fn every_lane_of_an_input_has_processors_of_its_own() {
    run("
pipeline:
  inputs:
    - {name: count, records: 100, tags: 7, workers: 4, processors: {logs: [{name: even}]}}
  outputs:
    - {name: keep, match: '*', sink: processed_lanes}
");
    let mut numbers = sink("processed_lanes").numbers();
    numbers.sort_unstable();
    assert_eq!(numbers, all(100).into_iter().filter(|n| n % 2 == 0).collect::<Vec<_>>());
}

/// What becomes of twelve records of which a filter is for six, and the filter's report. Each check has a sink of its own.
fn check_condition(filter: &str, name: &str) -> FilterReport {
    let report = run(&format!(
        "
pipeline:
  inputs:
    - name: count
      records: 12
      batch: 12
      processors:
        logs:
          - name: {filter}
            condition:
              op: or
              rules:
                - {{field: $n, op: lt, value: 3}}
                - {{field: $n, op: in, value: [7, 8, 9]}}
  outputs:
    - {{name: keep, match: '*', sink: {name}}}
"
    ));
    assert_eq!(sink(name).numbers(), [0, 2, 3, 4, 5, 6, 8, 10, 11]);
    assert_eq!(report.inputs[0].filtered, 3);
    report.filters[0].clone()
}

#[test]
fn a_condition_says_which_records_are_meant_and_the_others_keep_their_place() {
    let tally = check_condition("even", "conditional").tally;
    assert_eq!((tally.records(), tally.dropped), (6, 3));
}

#[test]
fn a_filter_may_take_the_records_that_are_meant_in_one_go() {
    let runs = check_condition("even", "conditional_runs");
    let at_once = check_condition("at_once", "conditional_at_once");
    assert_eq!(at_once.metrics[0].number(), 1, "one call for two runs");
    let books =
        |report: &FilterReport| (report.tally, report.bytes, report.bytes_dropped, report.added);
    assert_eq!(books(&at_once), books(&runs));
}

#[test]
fn a_filter_may_have_a_condition_too() {
    run("
pipeline:
  inputs:
    - {name: count, records: 6, batch: 3}
  filters:
    - name: even
      match: '*'
      condition: {rules: [{field: $n, op: gte, value: 3}]}
  outputs:
    - {name: keep, match: '*', sink: conditional_filter}
");
    assert_eq!(sink("conditional_filter").numbers(), [0, 1, 2, 4]);
}

#[test]
fn mistakes_in_processors_are_shown_like_others() {
    let built = build(
        "
pipeline:
  inputs:
    - name: count
      processors:
        logs:
          - name: evn
          - name: Prime
          - name: content_modifier
          - {nam: even}
          - {name: even, match: 'a.*'}
          - {name: even, condition: {rules: [{field: n, op: eq, value: 1}]}}
  outputs:
    - {name: keep, match: '*'}
",
    );
    let shown = built.config();
    for expected in [
        "section 'evn' tried to instance a plugin name that doesn't exist",
        "did you mean 'even'?",
        "'prime' is planned, and not built yet; until then use even, or nothing",
        "'content_modifier' is not built here; leave it out",
        "section 'processor' is missing the 'name' property",
        "'match' has no effect on a processor",
        "wrong condition: 'n' does not begin with '$'",
    ] {
        assert!(shown.contains(expected), "{expected}\n{shown}");
    }
    let built = build(
        "
pipeline:
  inputs:
    - {name: count, processors: {logs: [{name: even, sped: 1}, {name: forkless, built: off}]}}
  outputs:
    - {name: keep, match: '*'}
",
    );
    assert!(built.start().contains("unknown configuration property 'sped'"), "{}", built.start());
    let failed: Vec<String> = built.findings.failed.iter().map(ToString::to_string).collect();
    assert_eq!(failed, ["processor:even:count.0/even.0", "processor:forkless:count.0/forkless.1"]);
}

#[test]
fn behind_processors_a_chunk_that_is_settled_in_parts_comes_again_whole() {
    let report = run("
pipeline:
  inputs:
    - {name: count, tag: a, records: 8, batch: 8}
  outputs:
    - name: keep
      match: '*'
      sink: processed_parts
      halves: on
      retry_limit: no_retries
      processors:
        logs:
          - name: even
");
    assert_eq!(sink("processed_parts").numbers(), [0, 4]);
    let output = &report.outputs[0];
    assert_eq!((output.delivered, output.dropped), (0, 8));
}
