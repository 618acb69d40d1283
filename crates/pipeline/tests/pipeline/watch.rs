//! What a pipeline tells whoever watches it: the trouble of outputs, the ways of tags, one record on its way through a node.

use std::time::Duration;

use flb_pipeline::{Sample, Taken};
use flb_plugin::Role;

use crate::world::{Running, start};

#[test]
fn an_output_in_trouble_says_since_when_why_and_when_it_tries_again() {
    let running = start(
        "[SERVICE]\n Flush 0.01\n Grace 1\n[INPUT]\n Name count\n End wait\n[OUTPUT]\n Name keep\n \
         Sink trouble\n Down 1000\n After 1h\n Retry_Limit no_limits\n",
    );
    running.wait_until(|report| report.outputs[0].retries == 1);
    let trouble = running.meter.read().outputs[0].trouble.clone().unwrap();
    assert_eq!((trouble.failed, trouble.is_down, trouble.reason.as_str()), (1, true, "down"));
    let hour = Duration::from_secs(3600);
    running.wait_until(|report| {
        let trouble = report.outputs[0].trouble.as_ref().unwrap();
        trouble.next.is_some_and(|next| next <= hour && next > hour / 4)
    });
    running.stop();
}

#[test]
fn an_output_that_takes_all_again_is_in_no_trouble() {
    let running = start(
        "[SERVICE]\n Flush 0.01\n[INPUT]\n Name count\n Batch 10\n End wait\n[OUTPUT]\n \
         Name keep\n Sink no_trouble\n Down 2\n After 0\n Retry_Limit 5\n",
    );
    running.wait_until(|report| report.outputs[0].delivered == 10);
    let output = &running.stop().outputs[0];
    assert_eq!((output.retries, &output.trouble), (2, &None));
}

/// All steps that records have made, as text.
fn hops(running: Running) -> Vec<String> {
    let report = running.wait();
    let mut hops: Vec<String> = report
        .inputs
        .iter()
        .flat_map(|row| &row.hops)
        .map(|hop| format!("{} > {}", hop.from.1, hop.to.1))
        .collect();
    hops.sort();
    hops
}

#[test]
fn the_way_of_a_tag_leads_through_what_matches_it() {
    let ways = hops(start(
        "[INPUT]\n Name count\n Alias a\n Tag a\n[INPUT]\n Name count\n Alias b\n Tag b\n \
         End quiet\n[FILTER]\n Name even\n Alias evens\n Match a\n[OUTPUT]\n Name keep\n Alias all\n \
         Sink ways1\n Match *\n[OUTPUT]\n Name keep\n Alias none\n Sink ways2\n Match c\n",
    ));
    assert_eq!(ways, ["a > evens", "b > all", "evens > all"]);
}

#[test]
fn the_way_of_a_tag_that_a_filter_makes_begins_at_the_filter() {
    let ways = hops(start(
        "[INPUT]\n Name count\n Alias in\n Tag old\n[FILTER]\n Name relabel\n Alias to_new\n Match old\n \
         To new\n[FILTER]\n Name even\n Alias evens\n Match new\n[OUTPUT]\n Name keep\n Alias new\n \
         Sink ways3\n Match new\n[OUTPUT]\n Name keep\n Alias old\n Sink ways4\n Match old\n",
    ));
    assert_eq!(ways, ["evens > new", "in > to_new", "to_new > evens", "to_new > old"]);
}

/// What a tap at a node gives of these records.
fn sample(text: &str, role: Role, name: &str) -> Sample {
    let running = start(text);
    let tap = running.meter.tap(role, name).unwrap();
    tap.ask();
    let sample = loop {
        if let Some(sample) = tap.take() {
            break sample;
        }
        running.wait_until(|_| true);
        std::thread::sleep(Duration::from_millis(1));
    };
    running.stop();
    sample
}

fn shown(records: &[Taken]) -> Vec<String> {
    records.iter().map(|taken| format!("{} {}", taken.tag, taken.body)).collect()
}

const MANY: &str = "[SERVICE]\n Flush 0.01\n[INPUT]\n Name count\n Alias in\n Tag t\n Batch 7\n \
                       Records 70000\n End wait\n";
const KEEP: &str = "[OUTPUT]\n Name keep\n Alias out\n Sink tapped\n Match *\n";

#[test]
fn a_tapped_filter_tells_a_record_and_what_became_of_it() {
    let filter = "[FILTER]\n Name copying\n Alias f\n Match t\n";
    let Sample { before, after, tally, .. } =
        sample(&format!("{MANY}{filter}{KEEP}"), Role::Filter, "f");
    let body = before.unwrap().body;
    assert!(body.starts_with("{\"n\":"), "{body}");
    assert_eq!(shown(&after), [format!("t {body}"), format!("copy {body}")]);
    assert_eq!(tally.unwrap().records(), 1);
}

#[test]
fn a_tapped_input_tells_what_it_made_and_an_output_what_it_got() {
    let text = format!("{MANY}{KEEP}");
    let made = sample(&text, Role::Input, "in");
    assert!(made.before.is_none() && made.after.len() == 1);
    let got = sample(&text, Role::Output, "out");
    assert!(got.before.is_some() && got.after.is_empty());
}

#[test]
fn a_tap_changes_neither_records_nor_books() {
    let text = "[SERVICE]\n Flush 0.01\n[INPUT]\n Name count\n Alias in\n Tag t\n Batch 7\n Records 20000\n\
                [FILTER]\n Name even\n Alias f\n Match t\n[OUTPUT]\n Name keep\n Sink undisturbed\n Match *\n";
    let running = start(text);
    let tap = running.meter.tap(Role::Filter, "f").unwrap();
    running.wait_until(|_| {
        tap.ask();
        running.meter.read().inputs[0].records == 20000
    });
    let report = running.wait();
    let evens: Vec<u32> = (0..20000).step_by(2).collect();
    assert_eq!(crate::world::sink("undisturbed").numbers(), evens);
    assert_eq!(
        (report.filters[0].tally.records(), report.filters[0].tally.dropped),
        (20000, 10000)
    );
}
