//! `cargo xtask test`: everything that checks the project, cheapest first. All steps run, even
//! after a failure; the tests come last, so that their counts close the output.

use std::time::Instant;

use anyhow::{Result, bail};

use crate::bench::instructions;
use crate::run::{command, run as run_command, works};
use crate::tidy;

struct Step {
    name: &'static str,
    /// The part of the toolchain that it needs and that may be missing: cargo's word for it, and
    /// rustup's.
    needs: Option<(&'static str, &'static str)>,
    run: fn() -> Result<()>,
}

const FORMAT: Option<(&str, &str)> = Some(("fmt", "rustfmt"));
const CLIPPY: Option<(&str, &str)> = Some(("clippy", "clippy"));

const STEPS: &[Step] = &[
    Step { name: "format", needs: FORMAT, run: || cargo("fmt --all --check") },
    Step { name: "tidy", needs: None, run: tidy::check },
    Step {
        name: "lints",
        needs: CLIPPY,
        run: || cargo(&format!("clippy --workspace --all-targets{} -- -D warnings", kafka())),
    },
    // The loader of .aot files alone, as an agent without a compiler has it.
    Step {
        name: "lints of the bare runtime",
        needs: CLIPPY,
        run: || cargo("clippy -p flb-runtime --no-default-features -- -D warnings"),
    },
    Step {
        name: "instructions",
        needs: None,
        run: || instructions::run(&instructions::Args::default()),
    },
    // Those of the SDK are the examples from which filters are written; there are no others.
    Step {
        name: "examples in documentation",
        needs: None,
        run: || cargo("test --quiet -p flb-filter --doc --features json,std"),
    },
    Step { name: "features of the SDK", needs: None, run: sdk_features },
    Step {
        name: "tests",
        needs: None,
        run: || cargo(&format!("test --workspace --tests --no-fail-fast{}", kafka())),
    },
];

pub(crate) fn run() -> Result<()> {
    let failed: Vec<_> = STEPS.iter().filter(|step| !passes(step)).map(|step| step.name).collect();
    if !failed.is_empty() {
        bail!("failed: {}", failed.join(", "));
    }
    Ok(())
}

fn passes(step: &Step) -> bool {
    let Step { name, needs, run } = step;
    println!("== {name}");
    if let Some((tool, component)) = needs
        && !have(tool, component)
    {
        println!("== {name}: SKIPPED, this toolchain has no {component} and rustup adds none\n");
        return true;
    }
    let start = Instant::now();
    let result = run();
    let took = start.elapsed().as_secs_f64();
    match result {
        // The test runner tells its own duration, and its counts are to be the last lines.
        Ok(()) if *name == "tests" => {}
        Ok(()) => println!("== {name}: ok in {took:.1} s\n"),
        Err(ref error) => println!("== {name}: FAILED in {took:.1} s: {error:#}\n"),
    }
    result.is_ok()
}

/// What adds Kafka to a build, where there is a compiler for a part of librdkafka.
fn kafka() -> &'static str {
    if works("c++ --version") {
        return " --features flb-agent/kafka";
    }
    println!("== Kafka: SKIPPED, there is no C++ compiler");
    ""
}

/// The SDK for Rust as filters have it, with each of its features; natively it has them all.
fn sdk_features() -> Result<()> {
    if !works("rustup target add wasm32-unknown-unknown") {
        println!("== features of the SDK: SKIPPED, rustup has no library for WebAssembly here");
        return Ok(());
    }
    let check = "check --quiet -p flb-filter --target wasm32-unknown-unknown";
    ["", "--features json", "--features std", "--features json,std"]
        .iter()
        .try_for_each(|features| cargo(&format!("{check} {features}")))
}

fn have(tool: &str, component: &str) -> bool {
    let there = || works(&format!("cargo {tool} --version"));
    there() || works(&format!("rustup component add {component}")) && there()
}

fn cargo(words: &str) -> Result<()> {
    run_command(&mut command(&format!("cargo {words}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_tests_come_last() {
        assert_eq!(STEPS.last().unwrap().name, "tests");
    }

    #[test]
    fn a_step_passes_if_what_it_runs_does() {
        assert!(passes(&Step { name: "x", needs: None, run: || Ok(()) }));
        assert!(!passes(&Step { name: "x", needs: None, run: || bail!("wrong") }));
    }
}
