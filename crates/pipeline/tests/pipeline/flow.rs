//! The way of the records: order, routing, flush, back-pressure.

use std::time::Duration;

use crate::world::{build, run, sink, start};

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
fn a_filter_that_waits_does_so_in_the_runtime_of_the_pipeline() {
    run("[INPUT]\n Name count\n[FILTER]\n Name awaiting\n Match *\n[OUTPUT]\n Name keep\n \
         Sink awaiting\n");
    assert_eq!(sink("awaiting").numbers(), all(10));
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
fn a_regex_says_which_tags_a_filter_and_an_output_are_for() {
    run("[INPUT]\n Name count\n Tag app\n Tags 2\n Records 10\n[FILTER]\n Name even\n \
         Match_Regex app\\.[^0]\n[OUTPUT]\n Name keep\n Sink regex0\n \
         Match_Regex /APP.0/i\n[OUTPUT]\n Name keep\n Sink regex1\n Match_Regex ^app\\.1\n\
         [OUTPUT]\n Name keep\n Sink regex2\n Match_Regex 0$\n Match none\n");
    assert_eq!(sink("regex0").numbers(), [0, 2, 4, 6, 8]);
    assert_eq!(sink("regex1").numbers(), []);
    assert_eq!(sink("regex2").numbers(), []);
}

#[test]
fn a_slow_output_slows_its_input_down_and_loses_nothing() {
    let running = start(
        "[SERVICE]\n Grace 20\n Flush 0.001\n[INPUT]\n Name count\n Mem_Buf_Limit 10M\n \
                         Records 60\n Padding 2100k\n[OUTPUT]\n Name keep\n Sink slow\n \
                         Slow 20\n",
    );
    sink("slow").wait_for_chunks(1);
    std::thread::sleep(Duration::from_millis(50));
    // Five batches reach the limit. One may have been delivered between the two readings.
    let delivered = sink("slow").numbers().len() as u64;
    let taken = running.meter.read().inputs[0].records;
    assert!(taken <= delivered + 6, "{taken} were taken, {delivered} are delivered");
    running.wait();
    assert_eq!(sink("slow").numbers(), all(60));
}

#[test]
fn the_agent_stops_with_the_last_input_that_ends_it() {
    let report = run(
        "[SERVICE]\n Flush 0.001\n[INPUT]\n Name count\n Records 1\n[INPUT]\n Name count\n Records 300\n\
         [INPUT]\n Name count\n Records 1\n End wait\n[INPUT]\n Name count\n Records 1\n End panic\n\
         [OUTPUT]\n Name keep\n Match count.1\n Sink to_the_end\n",
    );
    assert_eq!(report.inputs[1].records, 300);
    assert_eq!(sink("to_the_end").numbers(), all(300));
}

#[test]
fn at_the_limit_of_a_ring_the_oldest_chunks_give_way_and_are_counted() {
    // The first chunk waits for a second, and everything of its tag behind it.
    let running = start(
        "[SERVICE]\n Flush 0.001\n[INPUT]\n Name count\n Storage.Type memrb\n Mem_Buf_Limit 5M\n \
         Records 40\n Padding 1m\n End wait\n[OUTPUT]\n Name keep\n Sink ring\n Down 1\n After 1\n",
    );
    running.wait_until(|report| report.outputs[0].delivered + report.outputs[0].dropped == 40);
    let report = running.stop();
    let (input, output) = (&report.inputs[0], &report.outputs[0]);
    assert!(input.overwritten_chunks > 0 && input.overwritten_bytes > 1_000_000, "{input:?}");
    assert_eq!((input.records, input.paused, input.memory), (40, false, 0));
    assert!(output.dropped >= input.overwritten_chunks, "{output:?}");
    let numbers = sink("ring").numbers();
    assert_eq!(numbers.len() as u64, output.delivered);
    assert!(numbers.is_sorted() && numbers.last() == Some(&39), "{numbers:?}");
    assert!(input.to_string().contains("chunks gave way to newer ones"), "{input}");
}

#[test]
fn an_input_is_paused_at_its_limit_and_resumes() {
    let running = start(
        "[SERVICE]\n Flush 0.001\n[INPUT]\n Name count\n Mem_Buf_Limit 5M\n Records 10\n \
         Padding 1m\n End wait\n[OUTPUT]\n Name keep\n Sink paused\n Down 1\n After 1\n",
    );
    running.wait_until(|report| report.inputs[0].paused && report.inputs[0].records == 5);
    let input = &running.meter.read().inputs[0];
    assert_eq!(input.memory_limit, Some(5_000_000));
    assert!(input.memory >= 5_000_000 && input.chunks >= 1, "{input:?}");
    running.wait_until(|report| report.outputs[0].delivered == 10);
    let report = running.stop();
    assert_eq!(sink("paused").numbers(), all(10));
    let input = &report.inputs[0];
    assert_eq!((input.memory, input.chunks, input.chunks_busy, input.busy_bytes), (0, 0, 0, 0));
}

#[test]
fn a_dead_output_does_not_stop_the_others() {
    let running = start(
        "[SERVICE]\n Grace 1\n Flush 0.001\n[INPUT]\n Name count\n Records 500\n Batch 10\n \
         Padding 1k\n End wait\n[OUTPUT]\n Name keep\n Match *\n Sink dead\n \
         Down 1000000\n Retry_Limit no_limits\n[OUTPUT]\n Name keep\n Match *\n Sink alive\n",
    );
    running.wait_until(|report| report.outputs[1].delivered == 500);
    assert_eq!(sink("alive").numbers(), all(500));
    let report = running.stop();
    assert_eq!((report.outputs[0].pending, report.pending()), (500, 500));
}

#[test]
fn workers_of_an_output_deliver_several_tags_at_a_time() {
    // The two chunks end after the same second, and not one after the other.
    let running = start(
        "[SERVICE]\n Flush 3600\n[INPUT]\n Name count\n Tags 2\n[OUTPUT]\n Name keep\n \
         Sink workers\n Workers 2\n Slow 3600000\n Match *\n",
    );
    running.wait_until(|report| report.outputs[0].under_way == 2);
    drop(running);
}

#[test]
fn workers_of_an_input_keep_the_order_of_each_tag() {
    let report =
        run("[SERVICE]\n Flush 0.01\n[INPUT]\n Name count\n Tag t\n Tags 7\n Records 7000\n \
         Workers 3\n[FILTER]\n Name even\n Match *\n[OUTPUT]\n Name keep\n Match *\n \
         Sink lanes\n");
    for tag in 0..7 {
        let expected: Vec<u32> =
            all(7000).into_iter().filter(|n| n % 7 == tag && n % 2 == 0).collect();
        assert_eq!(sink("lanes").tagged(&format!("t.{tag}")), expected, "tag {tag}");
    }
    assert_eq!((report.inputs[0].records, report.filters[0].tally.records()), (7000, 7000));
    assert_eq!(report.pending(), 0);
}

#[test]
fn workers_in_turn_keep_the_order_of_a_tag_however_long_each_takes() {
    for workers in [1, 2, 5] {
        let report = run(&format!(
            "[SERVICE]\n Flush 0.01\n[INPUT]\n Name count\n Tag t\n Records 3000\n Batch 4\n \
             Workers {workers}\n Workers_By turn\n[FILTER]\n Name dawdling\n Match *\n[FILTER]\n \
             Name copying\n Match t\n[OUTPUT]\n Name keep\n Match *\n Sink turn{workers}\n"
        ));
        let sink = sink(&format!("turn{workers}"));
        assert!(sink.tagged("t") == all(3000) && sink.tagged("copy") == all(3000), "{workers}");
        assert_eq!((report.inputs[0].records, report.pending()), (3000, 0));
        assert_eq!(report.inputs[0].memory, 0);
    }
}

#[test]
fn workers_in_turn_filter_batches_of_one_tag_at_the_same_time() {
    let report =
        run("[INPUT]\n Name count\n Records 10\n Workers 2\n Workers_By turn\n[FILTER]\n Name \
         meeting\n Match *\n[OUTPUT]\n Name keep\n Sink met\n");
    assert_eq!((sink("met").numbers(), report.pending()), (all(10), 0));
}

#[test]
fn a_worker_that_hangs_holds_up_one_batch_of_each_other_and_then_the_input() {
    const IN_QUEUE: u64 = 4;
    let running = start(
        "[SERVICE]\n Flush 0.001\n[INPUT]\n Name count\n Records 100\n Workers 3\n Workers_By turn\n \
         End wait\n[FILTER]\n Name held\n Match *\n Opener opener\n[OUTPUT]\n Name keep\n Sink behind\n",
    );
    running.wait_until(|report| report.inputs[0].records == 3 + IN_QUEUE);
    std::thread::sleep(Duration::from_millis(50));
    let report = running.meter.read();
    assert_eq!((report.inputs[0].records, report.outputs[0].records), (3 + IN_QUEUE, 0));
    sink("opener").receive_anything();
    running.wait_until(|report| report.outputs[0].delivered == 100);
    assert_eq!((running.stop().pending(), sink("behind").numbers()), (0, all(100)));
}

#[test]
fn workers_in_turn_have_what_they_hold_gathered_before_the_end() {
    let running = start(
        "[SERVICE]\n Flush 3600\n[INPUT]\n Name count\n Records 50\n Workers 4\n Workers_By turn\n \
         End wait\n[FILTER]\n Name dawdling\n Match *\n[OUTPUT]\n Name keep\n Sink at_the_end\n",
    );
    running.wait_until(|report| report.inputs[0].records == 50);
    assert_eq!(running.stop().pending(), 0);
    assert_eq!(sink("at_the_end").chunks(), [("count.0".to_owned(), all(50))]);
}

#[test]
fn a_filter_that_joins_batches_refuses_workers_in_turn() {
    let text = |by: &str, workers: u32| {
        format!(
            "[INPUT]\n Name count\n Workers {workers}\n Workers_By {by}\n[FILTER]\n Name late\n Match \
             *\n[OUTPUT]\n Name keep\n Match *\n"
        )
    };
    let refused = build(&text("turn", 2));
    assert!(refused.pipeline.is_none());
    let said = refused.start();
    assert!(
        said.contains("needs all batches of a tag") && said.contains("Workers_By tag"),
        "{said}"
    );
    assert!(
        build(&text("tag", 2)).pipeline.is_some() && build(&text("turn", 1)).pipeline.is_some()
    );
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

#[test]
fn what_a_filter_emits_passes_the_others_again_and_never_itself() {
    let report = run(
        "[INPUT]\n Name count\n Tag a\n[FILTER]\n Name relabel\n Match a\n To b\n[FILTER]\n Name \
         even\n Match b\n[FILTER]\n Name relabel\n Match b\n To a\n[OUTPUT]\n Name keep\n Match *\n \
         Sink emitted\n",
    );
    assert_eq!(sink("emitted").tagged("a"), [0, 2, 4, 6, 8]);
    let passed: Vec<u64> = report.filters.iter().map(|row| row.tally.records()).collect();
    assert_eq!(passed, [10, 10, 5]);
    assert_eq!(report.pending(), 0);
}

#[test]
fn what_a_filter_passes_in_parts_goes_on_in_its_order() {
    let report = run(
        "[INPUT]\n Name count\n Tag a\n[FILTER]\n Name copying\n Match *\n[FILTER]\n Name even\n \
         Match a\n[OUTPUT]\n Name keep\n Match *\n Sink parts\n",
    );
    assert_eq!(sink("parts").tagged("a"), [0, 2, 4, 6, 8]);
    assert_eq!(sink("parts").tagged("copy"), all(10));
    let passed: Vec<u64> = report.filters.iter().map(|row| row.tally.records()).collect();
    assert_eq!(passed, [10, 10]);
    assert_eq!(report.pending(), 0);
}

#[test]
fn what_a_filter_gave_before_it_panicked_is_taken_back() {
    let report = run(
        "[INPUT]\n Name count\n Tag a\n[FILTER]\n Name copying\n Match *\n Panics on\n[OUTPUT]\n \
         Name keep\n Match *\n Sink taken_back\n",
    );
    assert_eq!(sink("taken_back").tagged("a"), all(10));
    assert!(sink("taken_back").tagged("copy").is_empty());
    assert_eq!((report.filters[0].tally.kept, report.filters[0].added), (10, 0));
    assert_eq!((report.filters[0].panics > 0, report.pending()), (true, 0));
}
