//! No record vanishes: what goes in comes out or is counted as dropped.

use flb_pipeline::Report;

use crate::world::{run, sink};

fn check_identity(report: &Report) {
    let taken: u64 = report.inputs.iter().map(|row| row.records).sum();
    let filtered: u64 = report.inputs.iter().map(|row| row.filtered).sum();
    let unrouted: u64 = report.inputs.iter().map(|row| row.unrouted).sum();
    let added: u64 = report.inputs.iter().map(|row| row.added).sum();
    assert_eq!(filtered, report.filters.iter().map(|row| row.tally.removed()).sum());
    assert_eq!(added, report.filters.iter().map(|row| row.tally.emitted_extra).sum());
    for output in &report.outputs {
        assert_eq!(output.records, taken + added - filtered - unrouted);
        assert_eq!(output.records, output.delivered + output.dropped + output.pending);
    }
    assert_eq!(report.pending(), 0);
}

#[test]
fn what_an_output_leaves_out_of_a_chunk_is_dropped_and_counted() {
    let report = run(
        "[INPUT]\n Name count\n Records 10\n Batch 10\n[OUTPUT]\n Name keep\n Sink left_out\n \
                      Left_Out 3\n",
    );
    let output = &report.outputs[0];
    assert_eq!((output.records, output.delivered, output.dropped), (10, 7, 3));
}

#[test]
fn a_filter_that_panics_now_and_then_loses_nothing() {
    for seed in 1..20 {
        let workers = 1 + seed % 3;
        let report = run(&format!(
            "[SERVICE]\n Flush 0.002\n[INPUT]\n Name count\n Tag a\n Records 3000\n Batch 17\n\
             \x20Workers {workers}\n Workers_By turn\n[FILTER]\n Name unlucky\n Match *\n Seed {seed}\n[FILTER]\n Name even\n Match a\n\
             [OUTPUT]\n Name keep\n Match *\n Sink unlucky{seed}\n"
        ));
        check_identity(&report);
        assert_eq!(report.inputs[0].records, 3000);
        assert_eq!(report.filters[0].tally.records(), 3000);
        assert!(report.filters[0].panics > 0, "seed {seed}");
        let numbers = sink(&format!("unlucky{seed}")).numbers();
        assert_eq!(numbers.len() as u64, report.outputs[0].delivered);
        assert!(numbers.is_sorted(), "seed {seed}");
    }
}

#[test]
fn the_report_is_one_line_an_instance() {
    let report =
        run("[INPUT]\n Name count\n Batch 10\n[FILTER]\n Name even\n Match *\n Alias halve\n\
                      [OUTPUT]\n Name keep\n Sink lines\n");
    assert_eq!(
        report.lines(),
        [
            "[input:count:count.0] 10 records, 210 bytes",
            "[filter:even:halve] 10 records: 5 kept, 0 replaced, 5 dropped, 0 failed",
            "[output:keep:keep.0] 5 records: 5 delivered, 0 dropped",
        ]
    );
}
