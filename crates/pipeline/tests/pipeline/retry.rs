//! Chunks that are put off, given up or refused.

use crate::world::{run, sink, start};

#[test]
fn a_chunk_is_retried_until_it_is_delivered() {
    let running = start(
        "[SERVICE]\n Flush 0.01\n[INPUT]\n Name count\n Batch 10\n End wait\n\
                         [OUTPUT]\n Name keep\n Sink retried\n Retry_Limit 2\n Retries 2\n \
                         After 0\n",
    );
    sink("retried").wait_for_chunks(1);
    let output = &running.stop().outputs[0];
    assert_eq!((output.delivered, output.retries, output.retries_failed), (10, 2, 0));
}

#[test]
fn a_chunk_that_ran_out_of_retries_is_dropped_and_counted() {
    let running = start(
        "[SERVICE]\n Flush 0.01\n[INPUT]\n Name count\n Batch 10\n End wait\n\
                         [OUTPUT]\n Name keep\n Sink given_up\n Retry_Limit 2\n Retries 3\n \
                         After 0\n",
    );
    running.wait_until(|report| report.outputs[0].dropped == 10);
    let output = &running.stop().outputs[0];
    assert_eq!((output.delivered, output.retries, output.retries_failed), (0, 2, 1));
    assert_eq!(output.pending, 0);
}

#[test]
fn of_a_chunk_that_is_settled_in_parts_only_the_rest_comes_again() {
    let running = start(
        "[SERVICE]\n Flush 0.01\n[INPUT]\n Name count\n Batch 10\n End wait\n\
                         [OUTPUT]\n Name keep\n Sink halves\n Halves on\n Retry_Limit 3\n After 0\n",
    );
    sink("halves").wait_for_chunks(4);
    let output = &running.stop().outputs[0];
    assert_eq!((output.delivered, output.dropped, output.retries), (10, 0, 3));
    let parts: Vec<Vec<u32>> =
        sink("halves").chunks().into_iter().map(|(_, numbers)| numbers).collect();
    assert_eq!(parts, [vec![0, 2, 4, 6, 8], vec![1, 5, 9], vec![3], vec![7]]);
}

#[test]
fn of_a_chunk_that_is_given_up_in_part_the_rest_is_dropped() {
    let running = start(
        "[SERVICE]\n Flush 0.01\n[INPUT]\n Name count\n Batch 10\n End wait\n\
                         [OUTPUT]\n Name keep\n Sink given_up_parts\n Halves on\n Left_Out 1\n Retry_Limit 1\n \
         After 0\n",
    );
    running.wait_until(|report| report.outputs[0].retries_failed == 1);
    let output = &running.stop().outputs[0];
    // Of five and three records one was refused; two ran out of tries.
    assert_eq!((output.delivered, output.dropped, output.pending), (6, 4, 0));
    assert_eq!(sink("given_up_parts").numbers(), [0, 2, 4, 6, 8, 1, 5, 9]);
}

#[test]
fn no_retries_means_none() {
    let report = run("[INPUT]\n Name count\n Batch 10\n[OUTPUT]\n Name keep\n Sink at_once\n \
                      Retry_Limit no_retries\n Retries 1\n");
    let output = &report.outputs[0];
    assert_eq!((output.dropped, output.retries, output.retries_failed), (10, 0, 0));
}

#[test]
fn want_of_descriptors_or_memory_uses_up_no_retry() {
    let running = start(
        "[SERVICE]\n Flush 0.01\n[INPUT]\n Name count\n Batch 10\n End wait\n\
                         [OUTPUT]\n Name keep\n Sink no_room\n Retry_Limit no_retries\n \
                         No_Room 2\n",
    );
    sink("no_room").wait_for_chunks(1);
    let output = &running.stop().outputs[0];
    assert_eq!((output.delivered, output.retries, output.dropped), (10, 0, 0));
}

#[test]
fn a_waiting_chunk_holds_up_its_own_tag_only() {
    // The first chunk waits for an hour; that of another tag is delivered all the same, the next of its own is not.
    let running = start(
        "[SERVICE]\n Flush 3600\n Grace 10\n[INPUT]\n Name count\n Tag t\n Tags 2\n \
         Records 4\n Padding 2100k\n End wait\n[OUTPUT]\n Name keep\n Sink overtaken\n \
         Match *\n Down 1\n After 1h\n",
    );
    sink("overtaken").wait_for_chunks(2);
    assert_eq!(sink("overtaken").numbers(), [1, 3]);
    // While the pipeline drains, nobody waits for an hour.
    let report = running.stop();
    assert_eq!(report.outputs[0].pending, 0);
    assert_eq!(sink("overtaken").tagged("t.0"), [0, 2]);
}

#[test]
fn the_order_of_a_tag_is_kept_while_the_receiver_is_down() {
    let running = start(
        "[SERVICE]\n Flush 0.001\n[INPUT]\n Name count\n Tag t\n Tags 3\n Records 300\n \
         Batch 5\n End wait\n[OUTPUT]\n Name keep\n Sink outage\n Match *\n Down 40\n \
         After 0\n Retry_Limit no_limits\n Workers 2\n",
    );
    running.wait_until(|report| report.outputs[0].delivered == 300);
    let report = running.stop();
    for tag in 0..3 {
        let numbers = sink("outage").tagged(&format!("t.{tag}"));
        assert!(numbers.is_sorted() && numbers.len() == 100, "{numbers:?}");
    }
    assert_eq!((report.outputs[0].retries, report.outputs[0].dropped), (40, 0));
}

#[test]
fn a_dead_output_gives_up_each_chunk_after_its_own_tries_and_soon() {
    // The input waits until all chunks are in line.
    let running = start(
        "[SERVICE]\n Flush 3600\n Scheduler.Base 1\n Scheduler.Cap 1\n[INPUT]\n Name count\n \
         Records 3\n Padding 2100k\n End wait\n[OUTPUT]\n Name keep\n Sink hopeless\n \
         Down 1000\n Retry_Limit 1\n",
    );
    running.wait_until(|report| report.outputs[0].dropped == 3);
    let output = &running.stop().outputs[0];
    // Each is tried twice, but only the first one has its wait from then on.
    assert_eq!((output.retries, output.retries_failed, output.delivered), (3, 3, 0));
}

#[test]
fn a_chunk_that_the_receiver_cannot_take_costs_those_behind_it_nothing() {
    // Two tries fail, so the first chunk is given up; the others go at once.
    let running = start(
        "[SERVICE]\n Flush 3600\n[INPUT]\n Name count\n Records 3\n Padding 2100k\n End wait\n\
         [OUTPUT]\n Name keep\n Sink poisoned\n Down 2\n After 0\n Retry_Limit 1\n",
    );
    sink("poisoned").wait_for_chunks(1);
    let output = &running.stop().outputs[0];
    assert_eq!(sink("poisoned").numbers(), [1, 2]);
    assert_eq!((output.retries, output.retries_failed, output.dropped), (1, 1, 1));
}

#[test]
fn a_refused_chunk_is_dropped_and_counted() {
    let report = run("[INPUT]\n Name count\n Records 3\n Padding 2100k\n[OUTPUT]\n Name keep\n \
                      Sink refused\n Refuse 1\n");
    assert_eq!(sink("refused").numbers(), [1, 2]);
    let output = &report.outputs[0];
    assert_eq!((output.delivered, output.dropped, output.errors), (2, 1, 1));
}

#[test]
fn an_output_that_panics_loses_one_chunk_and_lives_on() {
    let report = run("[INPUT]\n Name count\n Records 3\n Padding 2100k\n[OUTPUT]\n Name keep\n \
                      Sink panicked\n Panic 1\n");
    assert_eq!(sink("panicked").numbers(), [1, 2]);
    let output = &report.outputs[0];
    assert_eq!((output.delivered, output.dropped, output.errors), (2, 1, 1));
}
