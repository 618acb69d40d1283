//! Every option, one row each: the row drives the parser and the help text.

use std::fmt::Write as _;

use flb_artifact::{CpuTable, FORMAT_VERSION};

use crate::options::{Given, UsageError, target};

/// One option.
pub(crate) struct Row {
    /// As it is written, without its value.
    pub(crate) name: &'static str,
    /// Other spellings.
    pub(crate) aliases: &'static [&'static str],
    /// What the value stands for; `None`: there is no value.
    pub(crate) value: Option<&'static str>,
    /// Whether the value is the next word instead of following `=`.
    pub(crate) separate: bool,
    /// What it does, in one sentence.
    pub(crate) about: &'static str,
    /// What is done about it.
    pub(crate) act: Act,
}

/// What is done about an option.
#[derive(Clone, Copy)]
pub(crate) enum Act {
    /// Takes the value.
    Set(fn(&mut Given, &str) -> Result<(), UsageError>),
    /// An option of the original compiler that cannot be: why, and what to do instead.
    Refuse(&'static str, &'static str),
    /// An option of the original compiler that is not needed: why. Said once.
    Note(&'static str),
}

impl Row {
    /// How the option is written.
    pub(crate) fn usage(&self) -> String {
        format!("write {}", self.spelling())
    }

    fn spelling(&self) -> String {
        match (self.value, self.separate) {
            (None, _) => self.name.to_owned(),
            (Some(value), true) => format!("{} {value}", self.name),
            (Some(value), false) => format!("{}={value}", self.name),
        }
    }
}

const fn row(
    name: &'static str,
    value: Option<&'static str>,
    about: &'static str,
    act: Act,
) -> Row {
    Row { name, aliases: &[], value, separate: false, about, act }
}

/// The names that `--target=help` lists.
pub(crate) const TARGETS: [&str; 13] = [
    "x86_64",
    "aarch64",
    "aarch64v8",
    "aarch64v8.1",
    "aarch64v8.2",
    "aarch64v8.3",
    "aarch64v8.4",
    "aarch64v8.5",
    "aarch64v8.6",
    "aarch64v8.7",
    "aarch64v8.8",
    "riscv64",
    "s390x",
];

/// All options, in the order of the help text.
pub(crate) static OPTIONS: &[Row] = &[
    Row {
        name: "-o",
        aliases: &[],
        value: Some("FILE"),
        separate: true,
        about: "Write the artifact to FILE",
        act: Act::Set(|given, value| {
            given.output = Some(value.into());
            Ok(())
        }),
    },
    row(
        "--target",
        Some("TARGET"),
        "Compile for this architecture or target triple (default: this host); 'help' lists them",
        Act::Set(|given, value| {
            if value == "help" {
                given.show = Some(|_| Ok(TARGETS.join("\n") + "\n"));
            } else {
                given.target = Some(value.to_owned());
            }
            Ok(())
        }),
    ),
    row(
        "--cpu",
        Some("CPU"),
        "Compile for this CPU (default: this host's, or the target's baseline); 'help' lists them",
        Act::Set(|given, value| {
            if value == "help" {
                given.show = Some(|given| list(given, |table| table.cpu_names().collect()));
            } else {
                given.cpu = Some(value.to_owned());
            }
            Ok(())
        }),
    ),
    row(
        "--cpu-features",
        Some("+A,-B"),
        "Switch single CPU features on and off; '+help' lists them",
        Act::Set(|given, value| {
            if value == "+help" || value == "help" {
                given.show = Some(|given| {
                    list(given, |table| table.features.iter().map(|one| one.name).collect())
                });
            } else {
                given.cpu_features = Some(value.to_owned());
            }
            Ok(())
        }),
    ),
    row(
        "--opt-level",
        Some("0..3"),
        "How hard to work for fast code (default 3); 0 compiles fastest",
        Act::Set(|given, value| {
            given.levels.opt_level = level(value)?;
            Ok(())
        }),
    ),
    row(
        "--size-level",
        Some("0..3"),
        "How hard to work for a small file (default 3); recorded, one layout so far",
        Act::Set(|given, value| {
            given.levels.size_level = level(value)?;
            Ok(())
        }),
    ),
    row(
        "--format",
        Some("aot"),
        "The output format; there is one",
        Act::Set(|_, value| {
            if value == "aot" {
                return Ok(());
            }
            Err(UsageError::new(
                format!("'{value}' is not a format that can be loaded"),
                "leave it out, or give --format=aot",
            ))
        }),
    ),
    row(
        "-v",
        Some("0..5"),
        "Verbosity (default 2); 0 says nothing but errors",
        Act::Set(|given, value| {
            given.verbosity = value.parse().ok().filter(|level| *level <= 5).ok_or_else(|| {
                UsageError::new(format!("'{value}' is not a verbosity"), "give 0 to 5")
            })?;
            Ok(())
        }),
    ),
    row(
        "--version",
        None,
        "Print the versions of this program, its engine and the artifact format",
        Act::Set(|given, _| {
            given.show = Some(|_| Ok(version()));
            Ok(())
        }),
    ),
    Row {
        name: "--help",
        aliases: &["-h"],
        value: None,
        separate: false,
        about: "Print this text",
        act: Act::Set(|given, _| {
            given.show = Some(|_| Ok(help()));
            Ok(())
        }),
    },
    row(
        "-sgx",
        None,
        "",
        Act::Refuse("is for enclaves, which the engine does not run in", "leave it out"),
    ),
    row("--xip", None, "", Act::Refuse("is for code that runs from flash memory", "leave it out")),
    row(
        "--mllvm",
        Some("OPTION"),
        "",
        Act::Refuse("is for LLVM, which this compiler does without", "use --opt-level"),
    ),
    row("--disable-llvm-lto", None, "", Act::Note("is for LLVM, which this compiler does without")),
    row("--enable-tail-call", None, "", Act::Note("is not needed: tail calls are always on")),
    row(
        "--enable-extended-const",
        None,
        "",
        Act::Note("is not needed: extended constant expressions are always on"),
    ),
];

fn level(value: &str) -> Result<u8, UsageError> {
    value
        .parse()
        .ok()
        .filter(|level| *level <= 3)
        .ok_or_else(|| UsageError::new(format!("'{value}' is not a level"), "give 0, 1, 2 or 3"))
}

fn list(
    given: &Given,
    names: fn(&'static CpuTable) -> Vec<&'static str>,
) -> Result<String, UsageError> {
    let architecture = target(given)?.architecture;
    Ok(names(CpuTable::of(architecture)).join("\n") + "\n")
}

fn version() -> String {
    format!(
        "flb-wamrc {}\nengine {} {}\nartifact format {FORMAT_VERSION}\n",
        env!("CARGO_PKG_VERSION"),
        flb_compiler::ENGINE.0,
        flb_compiler::ENGINE.1,
    )
}

fn help() -> String {
    let mut text = String::from(
        "Usage: flb-wamrc [options] -o output.aot input.wasm\n\n\
         Compiles a WebAssembly filter to native code, ahead of time.\n\nOptions:\n",
    );
    for row in OPTIONS.iter().filter(|row| !row.about.is_empty()) {
        // Writing to a String cannot fail.
        let _ = writeln!(text, "  {:<22} {}", row.spelling(), row.about);
    }
    text.push_str(
        "\nExit codes: 0 done, 1 anything else.\n\
         Example: flb-wamrc --size-level=3 --target=aarch64v8 --cpu=cortex-a57 -o x.aot x.wasm\n",
    );
    text
}
