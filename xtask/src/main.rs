//! Every chore of the project, one subcommand each: `cargo xtask --help` is the index.
#![expect(clippy::print_stdout, reason = "a command line speaks on standard output")]

mod allocators;
mod bench;
mod cross;
mod demo;
mod dist;
mod filters;
mod fluent_bit;
mod run;
mod soak;
mod test;
mod tidy;
mod toolchains;

use std::env;
use std::process::ExitCode;

/// One subcommand: what it is called, what it does, and how.
struct Chore {
    name: &'static str,
    about: &'static str,
    run: fn(&[String]) -> anyhow::Result<()>,
}

const CHORES: &[Chore] = &[
    Chore {
        name: "test",
        about: "Check the project: format, lints, tidy, then all tests",
        run: test::run,
    },
    Chore {
        name: "tidy",
        about: "Check what no compiler checks: edges between crates, homes of unsafe, documents",
        run: tidy::run,
    },
    Chore {
        name: "filters",
        about: "Rebuild examples/filters/*.wasm (--check: only compare); installs compilers",
        run: filters::run,
    },
    Chore {
        name: "allocators",
        about: "Rebuild tests/allocators/*.wasm in the languages named; installs compilers",
        run: allocators::run,
    },
    Chore {
        name: "demo",
        about: "Build the release programs and show them at work on the examples",
        run: demo::run,
    },
    Chore {
        name: "cross",
        about: "Run the agent and the filters as other machines, and compare; installs compilers",
        run: cross::run,
    },
    Chore {
        name: "dist",
        about: "Make packages for users, .tar.gz and .deb (--check: install and run the .deb)",
        run: dist::run,
    },
    Chore {
        name: "fluent-bit",
        about: "Run the plugin inside the real Fluent Bit that FLUENT_BIT names",
        run: fluent_bit::run,
    },
    Chore {
        name: "soak",
        about: "Lose nothing: kill [kills] [lines] [program], down [seconds] [program], reload [reloads] [program]",
        run: soak::run,
    },
    Chore {
        name: "bench",
        about: "Measure: call, compile, instructions, load, pipeline",
        run: bench::run,
    },
];

fn main() -> ExitCode {
    let args: Vec<String> = env::args().skip(1).collect();
    let Some(name) = args.first() else {
        eprint!("{}", help());
        return ExitCode::from(2);
    };
    if matches!(name.as_str(), "help" | "-h" | "--help") {
        print!("{}", help());
        return ExitCode::SUCCESS;
    }
    let Some(chore) = CHORES.iter().find(|chore| chore.name == name) else {
        eprint!("xtask: there is no chore '{name}'\n\n{}", help());
        return ExitCode::from(2);
    };
    match (chore.run)(&args[1..]) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("xtask {name}: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn help() -> String {
    let mut text = "Usage: cargo xtask <chore>\n\nChores:\n".to_owned();
    for Chore { name, about, .. } in CHORES {
        text += &format!("  {name:<12}{about}\n");
    }
    text
}
