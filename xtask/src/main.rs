//! Every chore of the project, one subcommand each: `cargo xtask --help` is the index.
#![expect(clippy::print_stdout, reason = "a command line speaks on standard output")]

mod allocators;
mod bench;
mod book;
mod configurations;
mod cross;
mod demo;
mod dist;
mod filters;
mod fluent_bit;
mod machines;
mod pictures;
mod record;
mod run;
mod servers;
mod soak;
mod test;
mod tidy;
mod toolchains;

use std::process::ExitCode;

use clap::{CommandFactory as _, FromArgMatches as _, Parser, Subcommand};

#[derive(Debug, Parser)]
#[command(name = "cargo xtask", bin_name = "cargo xtask", about = "Every chore of the project")]
#[command(subcommand_help_heading = "Chores", subcommand_value_name = "CHORE")]
struct Xtask {
    #[command(subcommand)]
    chore: Chore,
}

/// The chores, in the order of the index.
#[derive(Debug, Subcommand)]
enum Chore {
    /// Check the project: format, lints, tidy, then all tests
    Test,
    /// Check what no compiler checks: edges between crates, homes of unsafe, documents
    Tidy(tidy::Args),
    /// Rebuild the modules of examples and SDKs; installs compilers
    Filters(filters::Args),
    /// Rebuild tests/allocators/*.wasm in the languages named; installs compilers
    Allocators(allocators::Args),
    /// Build the release programs and show them at work on the examples
    Demo,
    /// Make the pictures of the live page and of the terminal; needs Chromium
    Pictures(pictures::Args),
    /// Run the agent and the filters as other machines, and compare; installs compilers
    Cross(cross::Args),
    /// Bring the servers of others that tests talk to
    Servers(servers::Args),
    /// Make packages for users, .tar.gz and .deb, for this machine or others
    Dist(dist::Args),
    /// Make a container image for several machines, without a container engine
    Image(dist::image::Args),
    /// Try every configuration below a folder, and count what the agent refuses
    Configurations(configurations::Args),
    /// Make a book of the pages, in target/book
    Book,
    /// Run a session from a new filter to filtered records, and draw it as docs/session.svg
    Record(record::Args),
    /// Run the plugin inside the real Fluent Bit that FLUENT_BIT names
    FluentBit(fluent_bit::Args),
    /// Lose nothing, whatever happens to the agent for a long time
    #[command(subcommand)]
    Soak(soak::Soaks),
    /// Measure
    #[command(subcommand)]
    Bench(bench::Benches),
}

impl Chore {
    fn run(&self) -> anyhow::Result<()> {
        match self {
            Self::Test => test::run(),
            Self::Tidy(args) => tidy::run(args),
            Self::Filters(args) => filters::run(args),
            Self::Allocators(args) => allocators::run(args),
            Self::Demo => demo::run(),
            Self::Pictures(args) => pictures::run(args),
            Self::Cross(args) => cross::run(args),
            Self::Servers(args) => servers::run(args),
            Self::Dist(args) => dist::run(args),
            Self::Image(args) => dist::image::run(args),
            Self::Configurations(args) => configurations::run(args),
            Self::Book => book::run(),
            Self::Record(args) => record::run(args),
            Self::FluentBit(args) => fluent_bit::run(args),
            Self::Soak(soak) => soak.run(),
            Self::Bench(bench) => bench.run(),
        }
    }
}

fn main() -> ExitCode {
    let matches = Xtask::command().get_matches();
    let name = matches.subcommand_name().unwrap_or_default();
    let Xtask { chore } = Xtask::from_arg_matches(&matches).unwrap_or_else(|error| error.exit());
    match chore.run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("xtask {name}: {error:#}");
            ExitCode::FAILURE
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(line: &str) -> Result<Chore, clap::Error> {
        let words = std::iter::once("cargo xtask").chain(line.split_whitespace());
        Xtask::try_parse_from(words).map(|xtask| xtask.chore)
    }

    #[test]
    fn what_the_documents_and_ci_write_is_understood() {
        for line in [
            "test",
            "tidy",
            "tidy --draw",
            "book",
            "record --programs target/release",
            "filters",
            "filters --check",
            "filters --check --if-possible c",
            "allocators c rust zig as go",
            "demo",
            "cross",
            "cross all",
            "cross aarch64 --if-possible",
            "cross armv7 --small",
            "dist --check --profile dev --target x86_64-musl --programs a --out b",
            "dist --target all",
            "image",
            "image x86_64 --check --profile dev",
            "dist --plugin --profile release",
            "configurations tests/agent",
            "configurations --agent target/debug/flb-agent --warnings examples -- -R parsers.conf -b storage",
            "servers",
            "servers --if-possible kafka s3",
            "fluent-bit",
            "fluent-bit refused starts",
            "soak kill 3 600 target/debug/flb-agent",
            "soak kafka 3 600 target/debug/flb-agent",
            "soak down 60",
            "soak reload 30000",
            "bench call",
            "bench compile",
            "bench instructions --renew",
            "bench load 1000",
            "bench pipeline",
            "bench pipeline 1000000 wide lines",
        ] {
            assert!(read(line).is_ok(), "{line}: {}", read(line).unwrap_err());
        }
    }

    #[test]
    fn what_nobody_can_mean_is_refused() {
        for (line, told) in [
            ("tests", "'test'"),
            ("test now", "'now'"),
            ("filters --chek", "'--check'"),
            ("allocators", "<LANGUAGE>..."),
            ("allocators perl", "c, rust, zig, as, go"),
            ("cross vax", "aarch64, riscv64, s390x, armv7, all"),
            ("dist --profile", "--profile <NAME>"),
            ("dist --target vax", "x86_64, aarch64, armv7, riscv64, x86_64-musl"),
            ("configurations", "<FOLDER>"),
            ("soak kill many", "'many'"),
        ] {
            let error = read(line).unwrap_err();
            assert!(error.to_string().contains(told), "{line}: {error}");
            assert_eq!(error.exit_code(), 2, "{line}");
        }
    }

    #[test]
    fn the_index_has_every_chore() {
        Xtask::command().debug_assert();
        let index = Xtask::command().render_help().to_string();
        for chore in Xtask::command().get_subcommands() {
            assert!(chore.get_about().is_some() && index.contains(chore.get_name()), "{index}");
        }
    }
}
