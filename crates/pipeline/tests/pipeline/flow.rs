//! The way of the records: order, routing, flush, back-pressure.

use std::time::Duration;

use crate::world::{run, sink, start};

fn all(records: u32) -> Vec<u32> {
    (0..records).collect()
}

#[test]
fn records_keep_their_order() {
    let report = run("[SERVICE]\n Flush 0.01\n[INPUT]\n Name count\n Records 5000\n Batch 7\n\
                      [OUTPUT]\n Name keep\n Sink order\n");
    assert_eq!(sink("order").numbers(), all(5000));
    assert_eq!(report.inputs[0].records, 5000);
    assert_eq!(report.outputs[0].delivered, 5000);
}

#[test]
fn filters_run_in_file_order_and_only_on_matching_tags() {
    let report = run("[INPUT]\n Name count\n Tag a\n Records 10\n[INPUT]\n Name count\n Tag b\n \
                      Records 10\n End quiet\n[FILTER]\n Name even\n Match a\n[OUTPUT]\n \
                      Name keep\n Sink filters\n Match *\n");
    assert_eq!(sink("filters").tagged("a"), [0, 2, 4, 6, 8]);
    assert_eq!(sink("filters").tagged("b"), all(10));
    assert_eq!(report.filters[0].tally.records(), 10);
    assert_eq!(report.filters[0].tally.dropped, 5);
}

#[test]
fn an_inactive_filter_does_nothing() {
    let report = run("[INPUT]\n Name count\n[FILTER]\n Name even\n Active false\n[OUTPUT]\n \
                      Name keep\n Sink inactive\n");
    assert_eq!(sink("inactive").numbers(), all(10));
    assert_eq!(report.filters, []);
}

#[test]
fn every_matching_output_receives_a_chunk() {
    run("[INPUT]\n Name count\n Tag app.one\n[OUTPUT]\n Name keep\n Sink both1\n Match app.*\n\
         [OUTPUT]\n Name keep\n Sink both2\n Match *one\n[OUTPUT]\n Name keep\n Sink neither\n \
         Match other\n[OUTPUT]\n Name keep\n Sink unmatched\n");
    assert_eq!(sink("both1").numbers(), all(10));
    assert_eq!(sink("both2").numbers(), all(10));
    assert_eq!(sink("neither").numbers(), []);
    assert_eq!(sink("unmatched").numbers(), []);
}

#[test]
fn of_a_core_property_given_twice_the_later_one_counts() {
    run("[INPUT]\n Name count\n Tag a\n Tag b\n[OUTPUT]\n Name keep\n Match a\n Match b\n \
         Sink twice\n");
    assert_eq!(sink("twice").tagged("b"), all(10));
}

#[test]
fn what_matches_no_output_is_counted() {
    let report = run("[INPUT]\n Name count\n Tag a\n[OUTPUT]\n Name keep\n Match b\n Sink none\n");
    assert_eq!((report.inputs[0].records, report.inputs[0].unrouted), (10, 10));
    assert_eq!(report.pending(), 0);
}

#[test]
fn an_open_chunk_is_flushed_when_it_is_due() {
    let running = start(
        "[SERVICE]\n Flush 0.02\n[INPUT]\n Name count\n End wait\n[OUTPUT]\n \
                         Name keep\n Sink tick\n",
    );
    sink("tick").wait_for_chunks(1);
    assert!(!running.stop.is_asked());
    running.stop();
    assert_eq!(sink("tick").numbers(), all(10));
}

#[test]
fn a_full_chunk_does_not_wait() {
    let running = start(
        "[SERVICE]\n Flush 3600\n[INPUT]\n Name count\n Records 25\n \
                         Padding 200k\n End wait\n[OUTPUT]\n Name keep\n Sink full\n",
    );
    sink("full").wait_for_chunks(2);
    let report = running.stop();
    let sizes: Vec<usize> =
        sink("full").chunks().iter().map(|(_, numbers)| numbers.len()).collect();
    assert_eq!(sizes, [11, 11, 3]);
    assert_eq!(report.outputs[0].delivered, 25);
}

#[test]
fn a_slow_output_slows_its_input_down_and_loses_nothing() {
    let running = start(
        "[SERVICE]\n Grace 20\n Flush 0.001\n[INPUT]\n Name count\n \
                         Records 60\n Padding 2100k\n[OUTPUT]\n Name keep\n Sink slow\n \
                         Slow 20\n",
    );
    sink("slow").wait_for_chunks(1);
    std::thread::sleep(Duration::from_millis(50));
    // At most: 16 batches in the queue, one in the lane's hand, 16 chunks in the other queue, one being delivered.
    let delivered = sink("slow").numbers().len() as u64;
    let taken = running.meter.read().inputs[0].records;
    assert!(taken <= delivered + 36, "{taken} were taken, {delivered} are delivered");
    running.wait();
    assert_eq!(sink("slow").numbers(), all(60));
}

#[test]
fn many_inputs_go_their_own_ways() {
    let mut text = "[SERVICE]\n Flush 0.005\n".to_owned();
    for input in 0..8 {
        text +=
            &format!("[INPUT]\n Name count\n Tag t{input}\n Records 2000\n Batch 3\n End wait\n");
    }
    text += "[OUTPUT]\n Name keep\n Match *\n Sink many\n";
    let running = start(&text);
    running.wait_until(|report| report.outputs[0].delivered == 16_000);
    let report = running.stop();
    for input in 0..8 {
        assert_eq!(sink("many").tagged(&format!("t{input}")), all(2000), "input {input}");
    }
    let names: Vec<String> =
        report.inputs.iter().map(|row| row.instance.name.to_string()).collect();
    assert_eq!(names[..3], ["count.0", "count.1", "count.2"]);
}
