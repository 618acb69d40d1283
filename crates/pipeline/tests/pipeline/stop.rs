//! How a pipeline ends: asked to, by an input's word, or at the end of its grace.

use std::time::{Duration, Instant};

use crate::world::{run, sink, start};

#[test]
fn stopping_drains_what_was_taken() {
    let running = start(
        "[SERVICE]\n Flush 3600\n[INPUT]\n Name count\n Records 1000\n End wait\n\
                         [OUTPUT]\n Name keep\n Sink drained\n Slow 5\n",
    );
    running.wait_until(|report| report.inputs[0].records == 1000);
    assert_eq!(sink("drained").numbers(), []);
    let report = running.stop();
    assert_eq!(sink("drained").numbers().len(), 1000);
    assert_eq!(report.pending(), 0);
}

#[test]
fn an_input_may_end_and_leave_the_agent_running() {
    let running = start(
        "[SERVICE]\n Flush 3600\n[INPUT]\n Name count\n End quiet\n[OUTPUT]\n \
                         Name keep\n Sink quiet\n",
    );
    // The end of an input flushes its lane.
    sink("quiet").wait_for_chunks(1);
    std::thread::sleep(Duration::from_millis(20));
    assert!(!running.stop.is_asked());
    running.stop();
}

#[test]
fn an_input_that_fails_or_panics_leaves_the_others_alone() {
    for end in ["fail", "panic"] {
        let running = start(&format!(
            "[SERVICE]\n Flush 0.01\n[INPUT]\n Name count\n Tag bad\n End {end}\n[INPUT]\n \
             Name count\n Tag good\n Records 100\n End wait\n[OUTPUT]\n Name keep\n \
             Sink {end}s\n Match *\n"
        ));
        running.wait_until(|report| {
            report.outputs[0].delivered == 110 && report.inputs[0].failures == 1
        });
        let report = running.stop();
        assert_eq!(report.inputs[1].failures, 0);
        assert_eq!(report.pending(), 0);
    }
}

#[test]
fn an_input_that_does_not_stop_is_cut_off_and_its_records_are_delivered() {
    let running = start(
        "[SERVICE]\n Grace 1\n Flush 3600\n[INPUT]\n Name count\n End hang\n\
                         [OUTPUT]\n Name keep\n Sink hung\n",
    );
    running.wait_until(|report| report.inputs[0].records == 10);
    let report = running.stop();
    assert_eq!(sink("hung").numbers().len(), 10);
    assert_eq!(report.pending(), 0);
}

#[test]
fn the_grace_period_bounds_the_drain_and_what_is_lost_is_counted() {
    let running = start(
        "[SERVICE]\n Grace 1\n Flush 0.001\n[INPUT]\n Name count\n Records 5\n \
                         Padding 2100k\n End wait\n[OUTPUT]\n Name keep\n Sink stuck\n \
                         Slow 3600000\n",
    );
    running.wait_until(|report| report.outputs[0].records == 5);
    let begin = Instant::now();
    let report = running.stop();
    let took = begin.elapsed();
    assert!((Duration::from_secs(1)..Duration::from_secs(5)).contains(&took), "{took:?}");
    assert_eq!((report.pending(), report.pending_tasks()), (5, 5));
}

#[test]
fn an_output_finishes_when_all_is_delivered_and_within_the_grace_period() {
    let finished = |sink_name: &str, time: &str| {
        let running = start(&format!(
            "[SERVICE]\n Grace 1\n Flush 3600\n[INPUT]\n Name count\n End wait\n\
             [OUTPUT]\n Name keep\n Sink {sink_name}\n Finish {time}\n"
        ));
        running.wait_until(|report| report.inputs[0].records == 10);
        let begin = Instant::now();
        running.stop();
        assert!(begin.elapsed() < Duration::from_secs(5));
        sink(sink_name).chunks().pop().unwrap().0
    };
    assert_eq!(finished("finishes", "0"), "finished");
    assert_ne!(finished("never_finishes", "3600"), "finished");
}

#[test]
fn a_drain_that_gets_on_may_take_longer_than_the_grace_period() {
    let running = start(
        "[SERVICE]\n Grace 1\n Flush 0.001\n[INPUT]\n Name count\n Records 5\n \
                         Padding 2100k\n End wait\n[OUTPUT]\n Name keep\n Sink steady\n \
                         Slow 600\n",
    );
    running.wait_until(|report| report.outputs[0].records == 5);
    let report = running.stop();
    assert_eq!(sink("steady").numbers().len(), 5);
    assert_eq!(report.pending(), 0);
}

#[test]
fn a_retry_is_due_at_once_when_the_pipeline_drains() {
    let running = start(
        "[SERVICE]\n Flush 0.001\n[INPUT]\n Name count\n Batch 10\n End wait\n\
                         [OUTPUT]\n Name keep\n Sink hurried\n Retries 1\n",
    );
    running.wait_until(|report| report.outputs[0].retries == 1);
    let begin = Instant::now();
    let report = running.stop();
    assert!(begin.elapsed() < Duration::from_secs(4), "{:?}", begin.elapsed());
    assert_eq!(sink("hurried").numbers().len(), 10);
    assert_eq!(report.pending(), 0);
}

#[test]
fn without_inputs_a_pipeline_waits_for_the_stop() {
    let running = start("[OUTPUT]\n Name keep\n Match *\n");
    std::thread::sleep(Duration::from_millis(20));
    let report = running.stop();
    assert_eq!(report.inputs, []);
}

#[test]
fn without_outputs_nothing_hangs() {
    let report = run("[INPUT]\n Name count\n Records 100\n");
    assert_eq!(report.inputs[0].unrouted, 100);
}
