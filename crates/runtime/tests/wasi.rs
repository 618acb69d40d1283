//! What guests can do with WASI: calls end with the deadline and take so much at once, files and links stay in bounds.

#![expect(clippy::unwrap_used, reason = "helpers of a test panic as the test does")]

use std::fs;
use std::path::Path;
use std::time::Duration;

use flb_artifact::{Interruption, Levels, Target};
use flb_compiler::{CompileOptions, Compiler};
use flb_event::{Event, Tag, Timestamp, json};
use flb_runtime::{
    Directory, EngineOptions, FilterEngine, FilterError, FilterInstance, FilterModule,
    FilterOptions, Sandbox,
};

/// The modules that WASI's functions come from, the older one second.
const WASI: [&str; 2] = ["wasi_snapshot_preview1", "wasi_unstable"];

/// Types of WASI's functions.
const IMPORTS: [(&str, &str); 11] = [
    ("fd_write", "(param i32 i32 i32 i32) (result i32)"),
    ("fd_read", "(param i32 i32 i32 i32) (result i32)"),
    ("fd_close", "(param i32) (result i32)"),
    ("fd_prestat_get", "(param i32 i32) (result i32)"),
    ("fd_readdir", "(param i32 i32 i32 i64 i32) (result i32)"),
    ("random_get", "(param i32 i32) (result i32)"),
    ("path_open", "(param i32 i32 i32 i32 i32 i64 i64 i32 i32) (result i32)"),
    ("path_symlink", "(param i32 i32 i32 i32 i32) (result i32)"),
    ("path_link", "(param i32 i32 i32 i32 i32 i32 i32) (result i32)"),
    ("path_rename", "(param i32 i32 i32 i32 i32 i32) (result i32)"),
    ("path_unlink_file", "(param i32 i32 i32) (result i32)"),
];

/// A filter with these texts from address 4096 on, 64 bytes each, whose answer is `{"n":`, what its body returns, `}`.
fn module(texts: &[&str], body: &str) -> Vec<u8> {
    module_from(WASI[0], texts, body)
}

fn module_from(from: &str, texts: &[&str], body: &str) -> Vec<u8> {
    let used = IMPORTS.iter().filter(|(name, _)| body.contains(&format!("(call ${name} ")));
    let imports: String = used
        .map(|(name, ty)| format!(r#"(import "{from}" "{name}" (func ${name} {ty}))"#))
        .collect();
    let data: String = texts
        .iter()
        .enumerate()
        .map(|(index, text)| format!(r#"(data (i32.const {}) "{text}")"#, 4096 + 64 * index))
        .collect();
    wat::parse_str(format!(
        r#"(module {imports} (memory (export "memory") 1200) {data} (data (i32.const 1024) "{{\"n\":    }}")
            (func $number (param i32)
                (i32.store8 (i32.const 1029) (i32.add (i32.const 48) (i32.div_u (local.get 0) (i32.const 100))))
                (if (i32.lt_u (local.get 0) (i32.const 100)) (then (i32.store8 (i32.const 1029) (i32.const 32))))
                (i32.store8 (i32.const 1030)
                    (i32.add (i32.const 48) (i32.rem_u (i32.div_u (local.get 0) (i32.const 10)) (i32.const 10))))
                (if (i32.lt_u (local.get 0) (i32.const 10)) (then (i32.store8 (i32.const 1030) (i32.const 32))))
                (i32.store8 (i32.const 1031) (i32.add (i32.const 48) (i32.rem_u (local.get 0) (i32.const 10)))))
            (func $body (result i32) (local $i i32) (local $n i32) {body})
            (func (export "f") (param i32 i32 i32 i32 i32 i32) (result i32)
                (call $number (call $body)) (i32.const 1024)))"#
    ))
    .unwrap()
}

fn compile(wasm: &[u8], target: Target) -> Vec<u8> {
    let compiler = Compiler::new(CompileOptions {
        targets: vec![target],
        levels: Levels { opt_level: 2, size_level: 2 },
        embed_wasm: true,
        producer: "test".to_owned(),
        jobs: 1,
    });
    compiler.interrupted_by(Interruption::Signal).compile(wasm).unwrap()
}

fn start(bytes: Vec<u8>, milliseconds: u64, folders: &[&Path]) -> FilterInstance {
    let directory = |path: &&Path| Directory { path: path.to_path_buf(), read_only: false };
    let sandbox =
        Sandbox { directories: folders.iter().map(directory).collect(), ..Sandbox::default() };
    let deadline = Duration::from_millis(milliseconds);
    let options = FilterOptions { deadline, sandbox, ..FilterOptions::new("f") };
    let engine = FilterEngine::new(EngineOptions::default()).unwrap();
    FilterModule::load(&engine, bytes, options).unwrap().instantiate().unwrap()
}

fn call(instance: &mut FilterInstance) -> Result<String, FilterError> {
    let time = Timestamp { sec: 1, nsec: 2 };
    let event = Event { time, metadata: Event::NO_METADATA, body: &[0x80] };
    let body = instance.ask(&Tag::new("t").unwrap(), event)?.concat();
    let mut text = Vec::new();
    json::write(&body, &mut text, json::JsonOptions::default()).unwrap();
    Ok(String::from_utf8(text).unwrap())
}

/// Calls the filter, as .wasm, as .aot and as portable code, with functions of either module and an hour of time; the folders are made anew by `prepare`.
fn check(texts: &[&str], body: &str, prepare: impl Fn(&Path), number: u32) {
    for bytes in forms(texts, body) {
        let folder = tempfile::tempdir().unwrap();
        let grant = folder.path().join("grant");
        fs::create_dir(&grant).unwrap();
        prepare(&grant);
        let answer = call(&mut start(bytes, 3_600_000, &[&grant])).unwrap();
        assert_eq!(answer, format!("{{\"n\":{number}}}"), "{body}");
    }
}

/// The filter as .wasm, as .aot and as portable code, with functions of either module.
fn forms(texts: &[&str], body: &str) -> Vec<Vec<u8>> {
    let modules = WASI.map(|from| module_from(from, texts, body));
    let (host, portable) =
        (|| Target::host().unwrap(), || Target::parse("portable", None, None).unwrap());
    let forms = |wasm: Vec<u8>| [compile(&wasm, host()), compile(&wasm, portable()), wasm];
    modules.into_iter().flat_map(forms).collect()
}

/// Calls the filter with a short deadline; it must not answer.
fn check_ended(texts: &[&str], body: &str, folder: &Path) {
    for bytes in forms(texts, body) {
        let error = call(&mut start(bytes, 50, &[folder])).unwrap_err();
        assert!(matches!(error, FilterError::Deadline { .. }), "{body}: {error}");
    }
}

/// `path_open` in the first directory of the text of this number, to read or, with oflags 1, to make and write.
fn open(text: usize, length: usize, oflags: u32) -> String {
    format!(
        "(call $path_open (i32.const 3) (i32.const 0) (i32.const {}) (i32.const {length}) (i32.const {oflags})
            (i64.const 66) (i64.const 66) (i32.const 0) (i32.const 64))",
        4096 + 64 * text
    )
}

/// A call with the address and length of two texts, a descriptor of the first directory before each where it says so.
fn two(name: &str, from: (usize, &str), to: (usize, &str)) -> String {
    let text = |(index, text): (usize, &str)| {
        format!("(i32.const {}) (i32.const {})", 4096 + 64 * index, text.len())
    };
    let (before, between) = match name {
        "path_symlink" => ("", "(i32.const 3)"),
        "path_link" => ("(i32.const 3) (i32.const 0)", "(i32.const 3)"),
        _ => ("(i32.const 3)", "(i32.const 3)"),
    };
    format!("(call ${name} {before} {} {between} {})", text(from), text(to))
}

const SUCCESS: u32 = 0;
const NOT_PERMITTED: u32 = 63;

#[test]
fn long_output_ends_with_the_deadline() {
    let folder = tempfile::tempdir().unwrap();
    // All of the memory, again and again.
    let print = "(i32.store (i32.const 0) (i32.const 0)) (i32.store (i32.const 4) (i32.const 0x4000000))
        (loop (drop (call $fd_write (i32.const 1) (i32.const 0) (i32.const 1) (i32.const 16))) (br 0)) unreachable";
    check_ended(&[], print, folder.path());
    check_ended(
        &[],
        &print.replace("(i32.const 1) (i32.const 0)", "(i32.const 2) (i32.const 0)"),
        folder.path(),
    );
}

#[test]
fn random_numbers_end_with_the_deadline() {
    let folder = tempfile::tempdir().unwrap();
    let random =
        "(loop (drop (call $random_get (i32.const 0) (i32.const 0x4000000))) (br 0)) unreachable";
    check_ended(&[], random, folder.path());
}

#[test]
fn listing_a_large_folder_ends_with_the_deadline() {
    let folder = tempfile::tempdir().unwrap();
    for number in 0..3000 {
        fs::write(folder.path().join(number.to_string()), "").unwrap();
    }
    let list = "(loop (drop (call $fd_readdir (i32.const 3) (i32.const 8192) (i32.const 65536) (i64.const 0) (i32.const 16)))
        (br 0)) unreachable";
    check_ended(&[], list, folder.path());
}

#[test]
fn files_are_read_and_written_in_parts() {
    let list = "(i32.store (i32.const 0) (i32.const 65536)) (i32.store (i32.const 4) (i32.const 0x4000000))";
    let write = format!(
        "{list} (drop {}) (drop (call $fd_write (i32.load (i32.const 64)) (i32.const 0) (i32.const 1) (i32.const 16)))
        ;; The list of buffers is as it was.
        (if (i32.ne (i32.load (i32.const 4)) (i32.const 0x4000000)) (then unreachable))
        (i32.shr_u (i32.load (i32.const 16)) (i32.const 20))",
        open(0, 1, 1)
    );
    check(&["a"], &write, |_| {}, 1);
    let read = format!(
        "{list} (drop {}) (drop (call $fd_read (i32.load (i32.const 64)) (i32.const 0) (i32.const 1) (i32.const 16)))
        (i32.shr_u (i32.load (i32.const 16)) (i32.const 20))",
        open(0, 1, 0)
    );
    let three = |folder: &Path| fs::write(folder.join("a"), vec![b'x'; 3 << 20]).unwrap();
    check(&["a"], &read, three, 1);
    // More buffers than anybody has: EINVAL.
    let many = "(call $fd_write (i32.const 1) (i32.const 0) (i32.const 0x1000000) (i32.const 16))";
    check(&[], many, |_| {}, 28);
}

#[test]
fn a_long_path_is_refused() {
    let long = "(call $path_unlink_file (i32.const 3) (i32.const 65536) (i32.const 0x4000000))";
    check(&[], long, |_| {}, 37);
}

#[test]
fn a_guest_makes_no_symbolic_links() {
    for target in ["../victim.txt", "b", "/etc/passwd"] {
        let link = two("path_symlink", (0, target), (1, "a.log"));
        check(&[target, "a.log"], &link, |_| {}, NOT_PERMITTED);
    }
}

#[test]
fn a_guest_gives_symbolic_links_no_other_place() {
    let prepare = |folder: &Path| {
        fs::create_dir_all(folder.join("deep/er")).unwrap();
        fs::write(folder.join("deep/file"), "x").unwrap();
        std::os::unix::fs::symlink("../../inside", folder.join("deep/er/link")).unwrap();
    };
    let texts = ["deep/er/link", "link", "deep/er", "er", "deep/file", "file", "deep/other"];
    let check = |name: &str, from: usize, to: usize, number: u32| {
        let call = two(name, (from, texts[from]), (to, texts[to]));
        check(&texts, &call, prepare, number);
    };
    check("path_rename", 0, 1, NOT_PERMITTED);
    check("path_link", 0, 1, NOT_PERMITTED);
    // A folder takes along what is in it.
    check("path_rename", 2, 3, NOT_PERMITTED);
    check("path_rename", 2, 6, SUCCESS);
    check("path_rename", 4, 5, SUCCESS);
    check("path_link", 4, 5, SUCCESS);
}

#[test]
fn a_guest_has_so_many_files_open_at_most() {
    // Opens until it is refused; the answer is why.
    let open = open(0, 1, 1);
    let all = format!("(loop $l (br_if $l (i32.eqz (local.tee $n {open})))) (local.get $n)");
    check(&["a"], &all, |_| {}, 33);
    // What is closed does not count.
    let one = format!(
        "(loop $l (if (local.tee $n {open}) (then (return (local.get $n))))
            (drop (call $fd_close (i32.load (i32.const 64))))
            (br_if $l (i32.lt_u (local.tee $i (i32.add (local.get $i) (i32.const 1))) (i32.const 1000)))) (i32.const 0)"
    );
    check(&["a"], &one, |_| {}, 0);
    // With two directories and the standard streams, all but five of 256.
    let count = format!(
        "(loop $l (if (i32.eqz {open}) (then (local.set $i (i32.add (local.get $i) (i32.const 1))) (br $l)))) (local.get $i)"
    );
    check(&["a"], &count, |_| {}, 252);
}

#[test]
fn a_file_that_is_not_granted_is_told_once() {
    let folder = tempfile::tempdir().unwrap();
    let denied = |body: &str, folders: &[&Path]| {
        let mut instance = start(module(&["/etc/passwd"], body), 3_600_000, folders);
        call(&mut instance).unwrap();
        let first = instance.denied();
        (first, instance.denied())
    };
    // Libraries look for directories first, and ask no further when there are none.
    let look = "(call $fd_prestat_get (i32.const 3) (i32.const 64))";
    assert_eq!(denied(look, &[]), (Some(String::new()), None));
    assert_eq!(denied(look, &[folder.path()]), (None, None));
    let open = open(0, 11, 0);
    assert_eq!(denied(&open, &[]), (Some("/etc/passwd".to_owned()), None));
    assert_eq!(denied(&open, &[folder.path()]), (Some("/etc/passwd".to_owned()), None));
    assert_eq!(denied("(i32.const 7)", &[]), (None, None));
}

#[test]
fn an_older_module_learns_of_files_in_the_older_form() {
    let text = r#"(module
        (import "wasi_unstable" "path_open" (func $open (param i32 i32 i32 i32 i32 i64 i64 i32 i32) (result i32)))
        (import "wasi_unstable" "fd_filestat_get" (func $file (param i32 i32) (result i32)))
        (import "wasi_unstable" "path_filestat_get" (func $path (param i32 i32 i32 i32 i32) (result i32)))
        (import "wasi_unstable" "fd_seek" (func $seek (param i32 i64 i32 i32) (result i32)))
        (memory (export "memory") 1) (data (i32.const 16) "five") (data (i32.const 32) "{}\00")
        (func $is (param i32) (if (i32.eqz (local.get 0)) (then unreachable)))
        (func (export "f") (param i32 i32 i32 i32 i32 i32) (result i32)
            (call $is (i32.eqz (call $open (i32.const 3) (i32.const 0) (i32.const 16) (i32.const 4) (i32.const 0)
                (i64.const 0x200026) (i64.const 0) (i32.const 0) (i32.const 0))))
            ;; What follows the 56 bytes stays as it is.
            (i32.store (i32.const 156) (i32.const 7))
            (call $is (i32.eqz (call $file (i32.load (i32.const 0)) (i32.const 100))))
            (call $is (i64.eq (i64.load (i32.const 124)) (i64.const 5)))
            (call $is (i32.eq (i32.load (i32.const 156)) (i32.const 7)))
            (call $is (i32.eqz (call $path (i32.const 3) (i32.const 0) (i32.const 16) (i32.const 4) (i32.const 200))))
            (call $is (i32.eq (i32.load8_u (i32.const 216)) (i32.const 4)))
            (call $is (i32.eq (i32.load (i32.const 220)) (i32.const 1)))
            (call $is (i64.eq (i64.load (i32.const 224)) (i64.const 5)))
            ;; From the end, which is 1 here, two back; then from the beginning, which is 2.
            (call $is (i32.eqz (call $seek (i32.load (i32.const 0)) (i64.const -2) (i32.const 1) (i32.const 304))))
            (call $is (i64.eq (i64.load (i32.const 304)) (i64.const 3)))
            (call $is (i32.eqz (call $seek (i32.load (i32.const 0)) (i64.const 1) (i32.const 2) (i32.const 304))))
            (call $is (i64.eq (i64.load (i32.const 304)) (i64.const 1)))
            (i32.const 32)))"#;
    let wasm = wat::parse_str(text).unwrap();
    for bytes in [compile(&wasm, Target::host().unwrap()), wasm] {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("five"), "12345").unwrap();
        assert_eq!(call(&mut start(bytes, 3_600_000, &[folder.path()])).unwrap(), "{}");
    }
}
