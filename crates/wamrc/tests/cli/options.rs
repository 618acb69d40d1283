//! Every option of the compiler, one case at least: words, exit code, what stdout and stderr hold.

use crate::stage::{Stage, answer, filter};

/// One command line; `-o x.aot ok.wasm` follows where it ends with a blank.
struct Case(&'static str, i32, &'static str, &'static str);

const MADE: &str = "Compile success, file x.aot was generated.";

const CASES: &[Case] = &[
    Case(
        "-o x.aot",
        1,
        "",
        "no input file was given; help: flb-wamrc [options] -o output.aot input.wasm",
    ),
    Case("", 1, "", "no output file was given; help: flb-wamrc [options] -o output.aot input.wasm"),
    Case("ok.wasm", 1, "", "no output file was given"),
    Case("-o x.aot ok.wasm", 0, MADE, ""),
    Case("-o", 1, "", "option '-o' needs a value; help: write -o FILE"),
    Case("-o=x.aot ok.wasm", 1, "", "option '-o' is written another way; help: write -o FILE"),
    Case("--target=x86_64 ", 0, "target cpu:    x86-64\n", ""),
    Case("--target=aarch64v8.2 ", 0, "cpu features:  +lse\n", ""),
    Case("--target=aarch64-apple-darwin --cpu=apple-m1 ", 0, "+pauth", ""),
    Case("--target=linux/arm64/v8:cortex-a53 ", 0, "target cpu:    cortex-a53\n", ""),
    Case("--target=amd64,arm64,armhf ", 0, MADE, "target 'armhf' has no native back end"),
    Case("--target=armfh ", 1, "", "did you mean 'armhf'? See --target=help"),
    Case("--target=foo ", 1, "", "unknown target 'foo'; help: see --target=help"),
    Case("--target=aarch46 ", 1, "", "did you mean 'aarch64'? See --target=help"),
    Case("--target=help", 0, "aarch64v8.5\n", ""),
    Case("--target=msp430 ", 1, "", "has no native back end; help: see --target=help"),
    Case("--target=thumbv7 ", 0, MADE, "no native back end: the code is portable"),
    Case("--target=armv7 --cpu=cortex-a9 ", 0, MADE, "portable code is the same for every CPU"),
    Case("--target=x86_64,x86_64 ", 1, "", "gives the same code as 'x86_64'"),
    Case("--target=x86_64:x86-64-v3 --cpu=x86-64-v2 ", 1, "", "two CPUs for one target"),
    Case("--target-abi=gnu ", 0, MADE, ""),
    Case("--target-abi=msvc --target=x86_64 ", 0, "x86_64-pc-windows-msvc", ""),
    Case("--target-abi=msvc --target=s390x ", 1, "", "there is no Windows for target 's390x'"),
    Case(
        "--target-abi=gnueabihf --target=armv7 ",
        0,
        MADE,
        "'--target-abi=gnueabihf' has no effect",
    ),
    Case("--target-abi=gnueabhf ", 1, "", "did you mean 'gnueabihf'? See --target-abi=help"),
    Case("--target-abi=help", 0, "gnueabihf\n", ""),
    Case("--target=aarch64 --cpu=cortex-a57 ", 0, "cortex-a57", ""),
    Case("--target=aarch64 --cpu=cortex-a75x ", 1, "", "did you mean 'cortex-a75'? Or see"),
    Case("--target=s390x --cpu=native ", 1, "", "CPU 'native' is this host's"),
    Case("--target=x86_64,aarch64 --cpu=x86-64-v3 ", 1, "", "--target=x86_64:x86-64-v3,aarch64"),
    Case("--target=aarch64 --cpu=help", 0, "neoverse-n1\n", ""),
    Case("--cpu=help", 0, "\n", ""),
    Case("--target=x86_64 --cpu-features=+avx2,-sse3 ", 0, "cpu features:  +avx2\n", ""),
    Case(
        "--target=x86_64 --cpu-features=avx2 ",
        1,
        "",
        "needs a '+' or a '-' before it; help: write +avx2",
    ),
    Case("--target=x86_64 --cpu-features=+avx22 ", 1, "", "did you mean 'avx2'?"),
    Case("--target=x86_64 --cpu-features=+help", 0, "avx512vl\n", ""),
    Case("--target=x86_64,aarch64 --cpu-features=+avx2 ", 1, "", "is for one target"),
    Case("--opt-level=0 ", 0, "opt level:     0\n", ""),
    Case("--opt-level=9 ", 1, "", "'9' is not a level; help: give 0, 1, 2 or 3"),
    Case("--opt-level= ", 1, "", "'' is not a level"),
    Case("--opt-level ", 1, "", "needs a value; help: write --opt-level=0..3"),
    Case("--opt-levl=3 ", 1, "", "did you mean '--opt-level'?"),
    Case("--size-level=1 ", 0, "size level:    1\n", ""),
    Case("--size-level=abc ", 1, "", "'abc' is not a level"),
    Case("--interruption=signal --target=x86_64 ", 0, MADE, ""),
    Case(
        "--interruption=signal --target=x86_64,riscv64 ",
        0,
        MADE,
        "note: riscv64gc-unknown-linux-gnu: calls are ended by epochs, because signals",
    ),
    Case("--interruption=epoch ", 0, MADE, ""),
    Case("--interruption=none ", 0, MADE, "hangs where the filter hangs"),
    Case("--interruption=fuel ", 1, "", "no way to end calls; help: give signal, epoch or none"),
    Case("--traps=explicit ", 0, MADE, ""),
    Case(
        "--traps=explicit --interruption=signal ",
        1,
        "",
        "leave --interruption out: then it is epoch",
    ),
    Case("--traps=fuel ", 1, "", "no way to raise traps; help: give signal or explicit"),
    Case("--format=aot ", 0, "output format: AoT file\n", ""),
    Case("--format=object ", 1, "", "flb-wamrc disasm shows an artifact's machine code"),
    Case("--format=foo ", 1, "", "'foo' is not a format"),
    Case("--no-embed-wasm ", 0, MADE, ""),
    Case("-j1 ", 0, MADE, ""),
    Case("-j 2 ", 0, MADE, ""),
    Case("-j 0 ", 1, "", "'0' is not a number of threads"),
    Case("--json ", 0, "\"digest\":", ""),
    Case("--json=1 ", 1, "", "is written another way; help: write --json"),
    Case("-v=3 ", 0, MADE, "bytes of code image"),
    Case("-v=6 ", 1, "", "'6' is not a verbosity; help: give 0 to 5"),
    Case("--disable-simd ", 0, MADE, ""),
    Case("--disable-simd -o x.aot simd.wasm", 1, "", "the module uses SIMD, which --disable-simd"),
    Case("--disable-bulk-memory -o x.aot bulk.wasm", 1, "", "uses bulk memory operations"),
    Case("--disable-ref-types -o x.aot refs.wasm", 1, "", "uses reference types"),
    Case("--disable-bulk-memory --disable-ref-types ", 0, MADE, ""),
    Case("--emit-custom-sections=name ", 0, MADE, ""),
    Case("--emit-custom-sections=name --no-embed-wasm ", 1, "", "leave one of them out"),
    Case("--bounds-checks=0 ", 0, MADE, "every memory access is checked"),
    Case("--bounds-checks=2 ", 1, "", "'2' is not a switch; help: give 0 or 1"),
    Case("--stack-bounds-checks=1 ", 0, MADE, "checked at every function's entry"),
    Case("--version", 0, "engine wasmtime 48.", ""),
    Case("-V", 0, "engine wasmtime 48.", ""),
    Case("--llvm-version", 0, "has no LLVM; code generator: Cranelift", ""),
    Case("--help", 0, "Usage: flb-wamrc [options] -o output.aot input.wasm", ""),
    Case("-h", 0, "Usage: flb-wamrc", ""),
    Case("--help --frobnicate", 0, "Usage: flb-wamrc", ""),
    Case("--help-all", 0, "Usage: flb-wamrc", ""),
    Case("help", 0, "Usage: flb-wamrc [options] -o output.aot input.wasm", ""),
    Case("help bench", 0, "Usage: flb-wamrc bench [options]", ""),
    Case("help bnech", 1, "", "'bnech' is no command; help: did you mean 'bench'?"),
    Case("--enable-simd ", 0, MADE, "note: option '--enable-simd' is not needed"),
    Case("--enable-bulk-memory-opt ", 0, MADE, "is not needed"),
    Case("--enable-extended-const ", 0, MADE, "is not needed"),
    Case("--enable-tail-call ", 0, MADE, "is not needed"),
    Case("--enable-call-indirect-overlong ", 0, MADE, "is not needed"),
    Case("--enable-lime1 ", 0, MADE, "is not needed"),
    Case("--enable-multi-thread ", 0, MADE, "a filter cannot start threads"),
    Case("--disable-aux-stack-check ", 0, MADE, "every access is checked"),
    Case("--enable-dump-call-stack ", 0, MADE, "is not needed"),
    Case("--call-stack-features=ip,values ", 0, MADE, "changes nothing"),
    Case("--enable-perf-profiling ", 0, MADE, "changes nothing"),
    Case("--enable-memory-profiling ", 0, MADE, "flb-wamrc check"),
    Case("--enable-linux-perf ", 0, MADE, "changes nothing"),
    Case("--invoke-c-api-import ", 0, MADE, "unknown imports compile"),
    Case("--enable-segue ", 0, MADE, "changes nothing"),
    Case("--enable-segue=i32.load,i32.store ", 0, MADE, "changes nothing"),
    Case("--disable-llvm-intrinsics ", 0, MADE, "is for LLVM"),
    Case("--enable-builtin-intrinsics=all ", 0, MADE, "is for LLVM"),
    Case("--disable-llvm-jump-tables ", 0, MADE, "is for LLVM"),
    Case("--disable-llvm-lto ", 0, MADE, "is for LLVM"),
    Case("-sgx ", 1, "", "option '-sgx' is for enclaves"),
    Case("--sgx ", 1, "", "option '-sgx' is for enclaves"),
    Case("--xip ", 1, "", "flash memory in place"),
    Case("--enable-indirect-mode ", 1, "", "flash memory in place"),
    Case("--enable-gc ", 1, "", "is for WasmGC"),
    Case("--stack-usage=x.su ", 1, "", "is not known to the code generator"),
    Case("--mllvm=-debug ", 1, "", "help: use --opt-level"),
    Case("--enable-llvm-passes=a,b ", 1, "", "is for LLVM"),
    Case("--enable-llvm-pgo ", 1, "", "would instrument the code with LLVM"),
    Case("--use-prof-file=x ", 1, "", "is a profile of LLVM"),
    Case("--native-lib=x.so ", 1, "", "outside its sandbox"),
    Case("--enable-shared-heap ", 1, "", "memory that host and guest share"),
    Case("--enable-shared-chain ", 1, "", "memory that host and guest share"),
    Case("--frobnicate ", 1, "", "unknown option '--frobnicate'; help: see flb-wamrc --help"),
    Case(
        "run --frobnicate",
        1,
        "",
        "unknown option '--frobnicate'; help: see flb-wamrc run --help",
    ),
    Case(
        "-o x.aot ok.wasm --opt-level=3",
        1,
        "",
        "stands after the input file; help: put all options before it",
    ),
    Case("-o x.aot ok.wasm other.wasm", 1, "", "a second input file 'other.wasm'"),
    Case("inspct x.aot", 1, "", "unknown command 'inspct'; help: did you mean 'inspect'?"),
    Case("bake", 1, "", "unknown command 'bake'; help: the commands are inspect, new, test"),
    Case("bake ok.wasm", 1, "", "unknown command 'bake'; help: the commands are"),
    Case(
        "--cpu=native inspect ok.wasm",
        1,
        "",
        "command 'inspect' stands behind options; help: put",
    ),
    Case("bake.wasm", 1, "", "no output file was given"),
    Case("-o x.aot bench", 1, "", "open file bench failed"),
];

fn stage() -> Stage {
    let stage = Stage::new();
    let simd = filter("(i32x4.extract_lane 0 (i32x4.splat (i32.const 0)))");
    stage.module("simd.wasm", &format!("(module (memory 1) {simd})"));
    let bulk = filter("(memory.fill (i32.const 0) (i32.const 0) (i32.const 9)) (i32.const 0)");
    stage.module("bulk.wasm", &format!("(module (memory 1) {bulk})"));
    let refs = filter("(ref.is_null (ref.null func))");
    stage.module("refs.wasm", &format!("(module (memory 1) {refs})"));
    stage
}

#[test]
fn every_option_works_or_says_why_not() {
    let stage = stage();
    for Case(line, code, stdout, stderr) in CASES {
        let rest = if line.ends_with(' ') { "-o x.aot ok.wasm" } else { "" };
        // The value that is missing in '--opt-level= ' stays missing.
        let run = stage.run(&format!("{line}{rest}"));
        run.check(*code, &[stdout], &[stderr]);
        if *code == 0 && stderr.is_empty() {
            assert_eq!(run.stderr, "", "{line}");
        }
    }
}

#[test]
fn every_option_has_a_case() {
    let help = Stage::new().run("--help-all");
    let name = |line: &'static str| line.strip_prefix("  -").or(line.strip_prefix("      -"));
    let names = help.stdout.leak().lines().filter_map(name);
    let mut count = 0;
    for line in names {
        let name = format!("-{}", line.split([' ', '=', '[', ',']).next().unwrap());
        let is_tested = |Case(words, ..): &Case| {
            words.split_whitespace().any(|word| {
                word == name || word.strip_prefix(&name).is_some_and(|rest| rest.starts_with('='))
            })
        };
        assert!(CASES.iter().any(is_tested), "{name} has no case");
        count += 1;
    }
    assert!(count > 50, "only {count} options in the help text");
}

#[test]
fn help_shows_what_does_something_on_one_screen() {
    let help = Stage::new().run("--help").stdout;
    for heading in ["\nCommands (", "\nOptions:\n", "--size-level=", "-o <FILE>"] {
        assert!(help.contains(heading), "no '{heading}' in\n{help}");
    }
    assert!(!help.contains('\u{1b}'), "there are colours in a pipe");
    assert!(!help.contains("Options of the original compiler"), "{help}");
    assert!(help.lines().count() <= 60, "{help}");
    let all = Stage::new().run("--help-all").stdout;
    assert!(all.contains("--mllvm=<OPTION>") && all.contains("--enable-segue[=<i32.load,..>]"));
}

#[test]
fn notes_are_said_once_and_silence_is_silent() {
    let stage = stage();
    let run = stage.run("--disable-llvm-lto --disable-llvm-lto -o x.aot ok.wasm");
    assert_eq!(run.stderr.lines().count(), 1);
    let run = stage.run("-v=0 --disable-llvm-lto -o x.aot ok.wasm");
    assert_eq!((run.code, run.stdout.as_str(), run.stderr.as_str()), (0, "", ""));
    let run = stage.run("-v=1 --disable-llvm-lto -o x.aot ok.wasm");
    assert_eq!((run.code, run.stdout.as_str()), (0, ""));
    assert!(run.stderr.starts_with("note: "));
}

#[test]
fn a_module_may_be_left_out_of_its_artifact() {
    let stage = stage();
    stage.module("big.wasm", &answer(&"x".repeat(5000)));
    stage.run("-o with.aot ok.wasm").check(0, &[], &[]);
    stage.run("--no-embed-wasm -o without.aot ok.wasm").check(0, &[], &[]);
    let size = |name: &str| std::fs::metadata(stage.path(name)).unwrap().len();
    assert!(size("without.aot") < size("with.aot"));
    stage.run("verify without.aot").check(0, &["without the module inside"], &[]);
    stage.run("verify without.aot --rebuild").check(1, &[], &["give it with --wasm FILE.wasm"]);
    stage.run("verify without.aot --wasm ok.wasm").check(0, &["the whole file is the same"], &[]);
    stage.run("verify without.aot --wasm big.wasm").check(
        1,
        &[],
        &["compiled from another module"],
    );
}

#[cfg(unix)]
#[test]
fn a_path_need_not_be_utf8_and_other_values_do() {
    use std::ffi::OsStr;
    use std::os::unix::ffi::OsStrExt as _;
    let stage = stage();
    let name = OsStr::from_bytes(b"\xff.aot");
    let run = |words: &[&OsStr]| stage.run_words("", words);
    run(&["-o".as_ref(), name, "ok.wasm".as_ref()]).check(0, &[], &[]);
    run(&["verify".as_ref(), name]).check(0, &["whole"], &[]);
    let tag = run(&["run".as_ref(), "--tag".as_ref(), name, "ok.wasm".as_ref()]);
    tag.check(1, &[], &["the value of option '--tag' is not UTF-8; help: give it another name"]);
    let cpu = run(&["-o".as_ref(), name, OsStr::from_bytes(b"--cpu=\xff"), "ok.wasm".as_ref()]);
    cpu.check(1, &[], &["the value of option '--cpu' is not UTF-8"]);
}
