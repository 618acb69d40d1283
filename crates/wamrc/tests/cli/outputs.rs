//! Where files are written, and what is left where they cannot be.

use crate::stage::Stage;

#[test]
fn outputs_that_cannot_be_written_leave_nothing_behind() {
    let stage = Stage::new();
    std::fs::create_dir(stage.path("folder")).unwrap();
    for (output, words) in [
        ("missing/x.aot", "open or create aot file failed: missing/x.aot: No such file"),
        ("folder", "it is a directory; help: give a file name"),
        ("ok.wasm", "input file and output file are the same"),
        ("folder/../ok.wasm", "input file and output file are the same"),
    ] {
        stage.run(&format!("-o {output} ok.wasm")).check(1, &[], &["error: ", words]);
    }
    let left: Vec<_> = std::fs::read_dir(stage.path("folder")).unwrap().collect();
    assert!(left.is_empty());
}

#[cfg(target_os = "linux")]
#[test]
fn an_output_that_is_no_regular_file_is_written_through() {
    use std::os::unix::fs::FileTypeExt as _;
    let stage = Stage::new();
    stage.run("-o /dev/null ok.wasm").check(0, &["file /dev/null was generated"], &[]);
    assert!(std::fs::metadata("/dev/null").unwrap().file_type().is_char_device());
    stage.write("real.aot", b"old");
    std::os::unix::fs::symlink("real.aot", stage.path("link.aot")).unwrap();
    stage.run("-o link.aot ok.wasm").check(0, &[], &[]);
    stage.run("verify real.aot").check(0, &["whole"], &[]);
    assert!(std::fs::symlink_metadata(stage.path("link.aot")).unwrap().is_symlink());
}

#[test]
fn an_output_that_cannot_be_written_is_noticed_before_the_module_is_looked_at() {
    let stage = Stage::new();
    stage.write("bad.wasm", b"\0asm\x01\0\0\0\xff");
    stage.run("-o x.aot bad.wasm").check(1, &[], &["WASM module load failed"]);
    let run = stage.run("-o missing/x.aot bad.wasm");
    run.check(1, &[], &["failed: missing/x.aot: No such file", "help: give a path in a folder"]);
    assert_eq!(run.stdout, "");
    assert_eq!(stage.files(), ["bad.wasm", "ok.wasm"]);
}

#[test]
fn a_name_as_long_as_the_system_allows_is_written() {
    let stage = Stage::new();
    let name = format!("{}.aot", "n".repeat(251));
    stage.run(&format!("-o {name} ok.wasm")).check(0, &[], &[]);
    assert_eq!(stage.files(), [name, "ok.wasm".to_owned()]);
}

#[cfg(unix)]
#[test]
fn a_link_is_followed_to_what_is_not_there_yet() {
    let stage = Stage::new();
    let link = |to: &str, name: &str| std::os::unix::fs::symlink(to, stage.path(name)).unwrap();
    std::fs::create_dir(stage.path("releases")).unwrap();
    link("releases/second", "first");
    link("../real.aot", "releases/second");
    stage.run("-o first ok.wasm").check(0, &[], &[]);
    assert!(std::fs::symlink_metadata(stage.path("first")).unwrap().is_symlink());
    stage.run("verify real.aot").check(0, &[], &[]);
    link("round", "round");
    stage.run("-o round ok.wasm").check(1, &[], &["failed: round: too many links"]);
}

#[cfg(target_os = "linux")]
#[test]
fn a_full_disk_is_left_as_it_was() {
    let stage = Stage::new();
    stage.write("x.aot", b"old");
    stage.run_on_a_full_disk("-o x.aot ok.wasm").check(1, &[], &["x.aot: File too large"]);
    stage.run_on_a_full_disk("keygen k").check(1, &[], &["cannot write k: File too large"]);
    assert_eq!(stage.files(), ["ok.wasm", "x.aot"]);
    assert_eq!(std::fs::read(stage.path("x.aot")).unwrap(), b"old");
}

#[test]
fn there_are_both_files_of_a_key_or_none() {
    let stage = Stage::new();
    let name = "k".repeat(253);
    stage.run(&format!("keygen {name}")).check(1, &[], &["cannot write kkk"]);
    assert_eq!(stage.files(), ["ok.wasm"]);
}
