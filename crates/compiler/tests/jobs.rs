//! Threads make no difference but in time.

#![expect(clippy::unwrap_used, reason = "helpers of a test panic as the test does")]

use flb_artifact::{Artifact, Host, Levels, Target, Trust};
use flb_compiler::{CompileOptions, Compiler, ENGINES};

const RUST_ENRICH: &[u8] = include_bytes!("../../../examples/filters/rust-enrich.wasm");

fn compile(jobs: usize, targets: &[&str]) -> Vec<u8> {
    let compiler = Compiler::new(CompileOptions {
        targets: targets.iter().map(|name| Target::parse(name, None, None).unwrap()).collect(),
        levels: Levels { opt_level: 3, size_level: 1 },
        embed_wasm: false,
        producer: "test".to_owned(),
        jobs,
    });
    compiler.compile(RUST_ENRICH).unwrap()
}

#[test]
fn any_number_of_jobs_gives_the_same_bytes() {
    let targets = ["x86_64", "portable", "aarch64", "riscv64", "s390x", "x86_64-pc-windows-msvc"];
    let one = compile(1, &targets);
    for jobs in [2, 8] {
        assert!(compile(jobs, &targets) == one, "{jobs} jobs");
    }
}

#[test]
fn portable_slices_come_last_and_are_the_second_choice() {
    let artifact = Artifact::parse(compile(2, &["armv7", "x86_64"])).unwrap();
    let slices = artifact.metadata().slices.iter();
    let targets: Vec<&str> = slices.map(|slice| slice.target.as_str()).collect();
    let [native, portable] = ["x86_64-unknown-linux-gnu", "portable"];
    assert_eq!(targets, [native, portable]);
    for (host, expected) in [
        (native, native),
        ("aarch64-unknown-linux-gnu", portable),
        ("x86_64-pc-windows-msvc", portable),
        ("armv7-unknown-linux-gnueabihf", portable),
    ] {
        let host = Host::new(host.parse().unwrap(), &[]);
        let verified = artifact.clone().verify(&host, &ENGINES, &Trust::anyone()).unwrap();
        assert_eq!(verified.slice().target, expected, "{host}");
    }
}
