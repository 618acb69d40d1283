//! Chunks in files: what is stored survives the pipeline, and is delivered by the next one.

use std::fs;
use std::path::{Path, PathBuf};

use flb_pipeline::{RunError, StorageError, storage_format};
use tempfile::TempDir;

use crate::world::{build, run, sink, start};

fn all(records: u32) -> Vec<u32> {
    (0..records).collect()
}

fn folder() -> TempDir {
    tempfile::tempdir().unwrap()
}

fn service(folder: &TempDir, more: &str) -> String {
    format!("[SERVICE]\n Grace 1\n Storage.Path {}\n {more}\n", folder.path().display())
}

/// The files of all chunks below a folder.
fn files(folder: &Path) -> Vec<PathBuf> {
    let entries = |folder: &Path| fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let mut files: Vec<PathBuf> =
        entries(folder).filter(|path| path.is_dir()).flat_map(|path| entries(&path)).collect();
    files.sort();
    files
}

const STORED: &str = "[INPUT]\n Name count\n Storage.Type filesystem\n Tag t\n";

#[test]
fn what_an_output_refuses_is_kept_and_delivered_by_who_moves_it_back() {
    let folder = folder();
    let service = service(&folder, "Flush 0.01\n storage.keep.rejected on");
    let output = |sink: &str, more: &str| {
        format!("[OUTPUT]\n Name keep\n Alias {sink}\n Match *\n Sink {sink}\n {more}\n")
    };
    let outputs = [
        output("takes", ""),
        output("refuses", "Refuse 1"),
        output("tires", "Retries 9\n After 0\n Retry_Limit 1"),
    ];
    // Kept is what was in memory, too.
    let input = "[INPUT]\n Name count\n Tag t\n Batch 10\n End wait\n";
    let running = start(&format!("{service}{input}{}", outputs.concat()));
    running.wait_until(|report| report.outputs[1].dropped + report.outputs[2].dropped == 20);
    assert_eq!(running.stop().lost(), 0);
    let rejected = folder.path().join("rejected");
    let kept = files(&rejected);
    assert_eq!(kept.len(), 2, "{kept:?}");
    assert!(
        kept[0].starts_with(rejected.join("refuses"))
            && kept[1].starts_with(rejected.join("tires"))
    );
    for path in &kept {
        let contents = storage_format::read(&fs::read(path).unwrap()).unwrap();
        assert_eq!((contents.chunk.tag().as_str(), contents.chunk.len()), ("t", 10));
    }
    run(&format!("{service}[INPUT]\n Name count\n Records 1\n{}", output("its_own", "")));
    assert_eq!(sink("its_own").numbers(), [0]);
    fs::create_dir(folder.path().join("again")).unwrap();
    fs::rename(&kept[0], folder.path().join("again").join(kept[0].file_name().unwrap())).unwrap();
    let running = start(&format!("{service}{}", output("again", "")));
    running.wait_until(|report| report.outputs[0].delivered == 10);
    running.stop();
    assert_eq!(sink("again").numbers(), all(10));
}

#[test]
fn of_a_chunk_that_is_settled_in_parts_what_is_refused_and_what_is_given_up_is_kept() {
    let folder = folder();
    let service = service(&folder, "Flush 0.01\n storage.keep.rejected on");
    let output = "[OUTPUT]\n Name keep\n Match *\n Sink kept_parts\n Halves on\n Left_Out 1\n \
                  After 0\n Retry_Limit 1\n";
    let running = start(&format!("{service}{STORED} Batch 10\n End wait\n{output}"));
    running.wait_until(|report| report.outputs[0].retries_failed == 1);
    let report = running.stop();
    assert_eq!((report.outputs[0].delivered, report.outputs[0].dropped), (6, 4));
    let kept = files(&folder.path().join("rejected"));
    let contents = kept.iter().map(|path| storage_format::read(&fs::read(path).unwrap()).unwrap());
    let mut lengths: Vec<usize> = contents.map(|contents| contents.chunk.len()).collect();
    lengths.sort_unstable();
    // One of each try, and those that nobody took.
    assert_eq!(lengths, [1, 1, 2]);
}

#[test]
fn what_an_output_did_not_take_it_gets_after_the_next_start() {
    let folder = folder();
    let outputs = |down: u32| {
        format!(
            "[OUTPUT]\n Name keep\n Match *\n Sink alive\n[OUTPUT]\n Name keep\n Match *\n \
             Alias dead\n Sink back\n Down {down}\n Retry_Limit no_limits\n"
        )
    };
    let service = service(&folder, "Flush 0.001");
    let input = "Records 300\n Batch 10\n Tags 3\n End wait\n";
    let running = start(&format!("{service}{STORED} {input}{}", outputs(1_000_000)));
    running.wait_until(|report| report.outputs[0].delivered == 300);
    let report = running.stop();
    assert_eq!((report.pending(), report.stored(), report.lost()), (300, 300, 0));
    let line = &report.lines()[2];
    assert!(line.contains("300 records: 0 delivered, 0 dropped, 300 in storage, "), "{line}");
    assert!(!files(folder.path()).is_empty());

    sink("alive").clear();
    let running = start(&format!("{service}{}", outputs(0)));
    running.wait_until(|report| report.outputs[1].delivered == 300);
    let report = running.stop();
    for tag in 0..3 {
        let numbers = sink("back").tagged(&format!("t.{tag}"));
        assert!(numbers.is_sorted() && numbers.len() == 100, "{numbers:?}");
    }
    // The other output had them all.
    assert_eq!(sink("alive").numbers(), []);
    assert_eq!(report.inputs[0].instance.to_string(), "input:storage_backlog:storage_backlog.0");
    assert_eq!((report.inputs[0].records, report.pending()), (300, 0));
    assert!(files(folder.path()).is_empty());
}

#[test]
fn a_batch_is_in_its_file_before_the_input_goes_on() {
    let folder = folder();
    let service = service(&folder, "Flush 3600");
    let running = start(&format!(
        "{service}{STORED} Batch 3\n End wait\n[FILTER]\n Name even\n Match *\n[OUTPUT]\n \
         Name keep\n Sink filed\n"
    ));
    running.wait_until(|report| report.inputs[0].records == 10);
    let [file] = files(folder.path()).try_into().unwrap();
    let contents = storage_format::read(&fs::read(&file).unwrap()).unwrap();
    assert_eq!((contents.input.as_str(), contents.chunk.tag().as_str()), ("count.0", "t"));
    let numbers: Vec<u8> = contents.chunk.records().map(|event| event.body[7]).collect();
    assert_eq!(numbers, [0, 2, 4, 6, 8]);
    assert_eq!(sink("filed").numbers(), []);
    running.stop();
    assert_eq!(sink("filed").numbers(), [0, 2, 4, 6, 8]);
    assert!(files(folder.path()).is_empty());
}

#[test]
fn memory_is_bounded_while_an_output_is_down_and_nothing_is_lost() {
    let folder = folder();
    let service = service(&folder, "Flush 0.001\n Storage.Max_Chunks_Up 2");
    let running = start(&format!(
        "{service}{STORED} Records 30\n Padding 2100k\n End wait\n[OUTPUT]\n Name keep\n \
         Sink bounded\n Down 3\n After 1\n Retry_Limit 3\n"
    ));
    running.wait_until(|report| report.inputs[0].records == 30);
    let report = running.meter.read();
    // One that is tried is in memory, too.
    assert!(report.inputs[0].memory <= 3 * 2_200_000, "{}", report.inputs[0].memory);
    assert_eq!((report.outputs[0].delivered, report.inputs[0].chunks), (0, 30));
    assert!(report.inputs[0].chunks_down >= 27, "{}", report.inputs[0].chunks_down);
    running.wait_until(|report| report.outputs[0].delivered == 30);
    let report = running.stop();
    assert_eq!(sink("bounded").numbers(), all(30));
    let input = &report.inputs[0];
    assert_eq!((input.memory, input.chunks, input.chunks_down), (0, 0, 0));
}

#[test]
fn an_input_may_be_paused_while_too_many_chunks_are_in_memory() {
    let folder = folder();
    let service = service(&folder, "Flush 0.001\n Storage.Max_Chunks_Up 2");
    let running = start(&format!(
        "{service}{STORED} Tags 9\n Storage.Pause_On_Chunks_Overlimit on\n Records 9\n \
         Padding 2100k\n End wait\n[OUTPUT]\n Name keep\n Sink overlimit\n Match *\n Slow 300\n"
    ));
    running.wait_until(|report| report.inputs[0].paused);
    assert!(running.meter.read().inputs[0].records < 9);
    running.wait_until(|report| report.outputs[0].delivered == 9);
    assert!(!running.stop().inputs[0].paused);
}

#[test]
fn over_the_total_limit_the_oldest_chunks_are_dropped_and_counted() {
    let folder = folder();
    let service = service(&folder, "Flush 0.001");
    let running = start(&format!(
        "{service}{STORED} Records 10\n Padding 2100k\n End wait\n[OUTPUT]\n Name keep\n \
         Sink limited\n Down 1\n After 1\n Storage.Total_Limit_Size 7M\n"
    ));
    running.wait_until(|report| report.outputs[0].delivered + report.outputs[0].dropped == 10);
    running.stop();
    let numbers = sink("limited").numbers();
    assert!((3..=4).contains(&numbers.len()) && numbers.ends_with(&[7, 8, 9]), "{numbers:?}");
    assert!(files(folder.path()).is_empty());
}

#[test]
fn an_input_waits_while_nothing_can_be_stored() {
    let folder = folder();
    let in_the_way = folder.path().join("count.0");
    fs::write(&in_the_way, "not a folder").unwrap();
    let service = service(&folder, "Flush 0.001");
    let running = start(&format!(
        "{service}{STORED} End wait\n[INPUT]\n Name count\n Tag other\n End wait\n[OUTPUT]\n \
         Name keep\n Match *\n Sink waits\n"
    ));
    running.wait_until(|report| report.outputs[0].delivered == 10);
    assert_eq!((sink("waits").tagged("t"), sink("waits").tagged("other")), (vec![], all(10)));
    assert_eq!(running.meter.read().inputs[0].records, 0);
    fs::remove_file(&in_the_way).unwrap();
    running.wait_until(|report| report.outputs[0].delivered == 20);
    running.stop();
    assert_eq!(sink("waits").tagged("t"), all(10));
}

#[test]
fn an_input_that_waits_for_storage_does_not_hold_up_the_end() {
    let folder = folder();
    fs::write(folder.path().join("count.0"), "not a folder").unwrap();
    let service = service(&folder, "Flush 0.001");
    let text = format!("{service}{STORED}[OUTPUT]\n Name keep\n Sink never\n");
    let running = start(&text);
    let report = running.stop();
    // The input was never told that anything is stored.
    assert_eq!((report.inputs[0].records, report.pending()), (0, 0));
}

#[test]
fn a_chunk_that_matches_no_output_stays_until_one_does() {
    let folder = folder();
    let service = service(&folder, "Flush 0.001");
    let dead = "[OUTPUT]\n Name keep\n Match *\n Sink gone\n Down 1000000\n";
    let running = start(&format!("{service}{STORED} End wait\n Batch 10\n{dead}"));
    running.wait_until(|report| report.outputs[0].retries == 1);
    running.stop();
    let keep = |tag| format!("{service}[OUTPUT]\n Name keep\n Match {tag}\n Sink later\n");
    let report = start(&keep("other")).stop();
    assert_eq!((report.inputs.len(), files(folder.path()).len()), (0, 1));
    let running = start(&keep("t"));
    running.wait_until(|report| report.outputs[0].delivered == 10);
    running.stop();
    assert_eq!(sink("later").numbers(), all(10));
}

#[test]
fn a_stored_chunk_is_not_given_up_by_the_hurried_retries_of_a_drain() {
    let folder = folder();
    let service =
        format!("[SERVICE]\n Grace 5\n Flush 0.001\n Storage.Path {}\n", folder.path().display());
    let dead = "[OUTPUT]\n Name keep\n Match *\n Sink hurried\n Down 1000000\n";
    let running = start(&format!("{service}{STORED} End wait\n Batch 10\n{dead}"));
    running.wait_until(|report| report.outputs[0].retries == 1);
    let report = running.stop();
    assert!(report.outputs[0].retries > 1);
    assert_eq!((report.stored(), report.lost(), files(folder.path()).len()), (10, 0, 1));
}

#[test]
fn filesystem_storage_needs_a_path() {
    let built = build("[INPUT]\n Name count\n Storage.Type filesystem\n[OUTPUT]\n Name keep\n");
    let said = built.start();
    assert!(
        said.contains(
            "[storage] instance 'count.0' requested filesystem storage but no filesystem path was \
             defined."
        ),
        "{said}"
    );
    assert_eq!(built.findings.failed.len(), 1);
    assert!(
        build("[SERVICE]\n Storage.Type filesystem\n[INPUT]\n Name count\n").start().is_empty()
    );
    let inherited =
        "[SERVICE]\n Storage.Type filesystem\n Storage.Inherit on\n[INPUT]\n Name count\n";
    assert!(build(inherited).start().contains("'count.0'"));
    let own = format!("{inherited} Storage.Type memory\n");
    assert!(build(&own).start().is_empty());
}

#[test]
fn a_storage_path_is_one_pipelines_at_a_time() {
    let folder = folder();
    let text =
        format!("{}{STORED} End wait\n[OUTPUT]\n Name keep\n Sink mine\n", service(&folder, ""));
    let running = start(&text);
    running.wait_until(|report| report.inputs[0].records == 10);
    let refused = start(&text).result().unwrap_err();
    assert!(matches!(refused, RunError::Storage(StorageError::InUse(_))), "{refused}");
    running.stop();
    start(&text).stop();
}

#[test]
fn stored_records_that_match_nothing_are_dropped_and_counted() {
    let folder = folder();
    let service = service(&folder, "Flush 0.001");
    let report = run(&format!("{service}{STORED}[OUTPUT]\n Name keep\n Match other\n Sink no\n"));
    assert_eq!((report.inputs[0].unrouted, report.pending()), (10, 0));
    assert!(files(folder.path()).is_empty());
}

#[test]
fn what_is_there_at_the_start_is_not_all_kept_in_memory() {
    let folder = folder();
    let service = service(&folder, "Flush 0.001\n Storage.Backlog.Mem_Limit 5M");
    let running = start(&format!(
        "{service}{STORED} Records 9\n Padding 2m\n End wait\n[OUTPUT]\n Name keep\n Sink none\n \
         Down 1000000\n"
    ));
    running.wait_until(|report| report.inputs[0].records == 9 && report.outputs[0].retries > 0);
    running.stop();
    let running = start(&format!(
        "{service}[OUTPUT]\n Name keep\n Match *\n Sink backlog\n Down 1\n After 1\n"
    ));
    running.wait_until(|report| report.inputs.first().is_some_and(|input| input.records == 9));
    let input = &running.meter.read().inputs[0];
    assert!(input.memory <= 5_000_000 && input.chunks_up <= 2, "{input:?}");
    running.wait_until(|report| report.outputs[0].delivered == 9);
    running.stop();
    assert_eq!(sink("backlog").numbers(), all(9));
}
