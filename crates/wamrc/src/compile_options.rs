//! Every option of the compiler, one row each: first those that work, then those of the original compiler that need no
//! work, then those that cannot be.

use flb_artifact::Interruption;

use crate::features::Proposal;
use crate::help;
use crate::options::{Given, UsageError};
use crate::table::{Form, Row};
use crate::targets;

/// All options, in the order of the help text.
pub(crate) static OPTIONS: &[Row] = &[
    Row::new("-o", Form::Next("FILE"), "Write the artifact to FILE", |given, value| {
        given.output = Some(value.into());
        Ok(())
    }),
    Row::new(
        "--target",
        Form::Equals("TARGET[:CPU],.."),
        "Compile for this architecture or target triple (default: this host), or for several; \
         'help' lists them",
        |given, value| {
            if value == "help" {
                given.show = Some(targets::list_targets);
            } else {
                given.target = Some(value.to_owned());
            }
            Ok(())
        },
    ),
    Row::new(
        "--target-abi",
        Form::Equals("ABI"),
        "The target's ABI: gnu (default), or msvc for Windows; 'help' lists them",
        targets::set_abi,
    ),
    Row::new(
        "--cpu",
        Form::Equals("CPU"),
        "Compile for this CPU (default: this host's, or the target's baseline); 'help' lists them",
        |given, value| {
            if value == "help" {
                given.show = Some(targets::list_cpus);
            } else {
                given.cpu = Some(value.to_owned());
            }
            Ok(())
        },
    ),
    Row::new(
        "--cpu-features",
        Form::Equals("+A,-B"),
        "Switch single CPU features on and off; '+help' lists them",
        |given, value| {
            if value == "+help" || value == "help" {
                given.show = Some(targets::list_features);
            } else {
                given.cpu_features = Some(value.to_owned());
            }
            Ok(())
        },
    ),
    Row::new(
        "--opt-level",
        Form::Equals("0..3"),
        "How hard to work for fast code (default 3): 0 compiles fastest, 1 optimises, 2 and 3 \
         rewrite branches and loops first",
        |given, value| level(value).map(|level| given.levels.opt_level = level),
    ),
    Row::new(
        "--size-level",
        Form::Equals("0..3"),
        "How hard to work for a small file (default 3): 0 keeps everything, 1 drops unwind tables, \
         2 address maps and dead code too, 3 compresses",
        |given, value| level(value).map(|level| given.levels.size_level = level),
    ),
    Row::new(
        "--interruption",
        Form::Equals("KIND"),
        "How calls end that run past their deadline: signal (default; free, on Linux x86_64 and \
         aarch64, else epoch), epoch (the code looks at a counter), none",
        interruption,
    ),
    Row::new("--format", Form::Equals("aot"), "The output format; there is one", format),
    Row::new(
        "--no-embed-wasm",
        Form::Flag,
        "Leave the module out of the artifact: smaller, but it can't be rebuilt for another host \
         or checked",
        |given, _| {
            given.no_embed_wasm = true;
            Ok(())
        },
    ),
    Row::new(
        "-j",
        Form::Number("N"),
        "Compile on N threads (default: one per core); the output is the same for every N",
        |given, value| {
            let jobs = value.parse().ok().filter(|jobs| (1..=1024).contains(jobs));
            given.jobs = Some(jobs.ok_or_else(|| {
                UsageError::new(format!("'{value}' is not a number of threads"), "give 1 or more")
            })?);
            Ok(())
        },
    ),
    Row::new(
        "--json",
        Form::Flag,
        "Print one JSON object about what was made instead of the lines",
        set_json,
    ),
    Row::new(
        "-v",
        Form::Equals("0..5"),
        "Verbosity: 0 only errors, 1 notes too, 2 what is done (default), 3 to 5 times and sizes \
         too",
        |given, value| {
            let level = value.parse().ok().filter(|level| *level <= 5);
            given.verbosity = level.ok_or_else(|| {
                UsageError::new(format!("'{value}' is not a verbosity"), "give 0 to 5")
            })?;
            Ok(())
        },
    ),
    Row::new("--disable-simd", Form::Flag, "Refuse a module that uses SIMD", |given, _| {
        without(given, Proposal::Simd)
    }),
    Row::new(
        "--disable-bulk-memory",
        Form::Flag,
        "Refuse a module that uses bulk memory operations",
        |given, _| without(given, Proposal::BulkMemory),
    ),
    Row::new(
        "--disable-ref-types",
        Form::Flag,
        "Refuse a module that uses reference types",
        |given, _| without(given, Proposal::ReferenceTypes),
    ),
    Row::new(
        "--emit-custom-sections",
        Form::Equals("A,B"),
        "Keep custom sections: always done, as the artifact holds the whole module (not with \
         --no-embed-wasm)",
        |given, _| {
            given.keep_sections = true;
            Ok(())
        },
    ),
    Row::new(
        "--bounds-checks",
        Form::Equals("0/1"),
        "Accepted: memory accesses are always checked, by guard pages where the target has them, \
         else by code",
        |given, value| {
            switch(
                given,
                "--bounds-checks",
                value,
                "changes nothing: every memory access is checked, by guard pages where the \
                 target has them, else by code; there is no artifact without",
            )
        },
    ),
    Row::new(
        "--stack-bounds-checks",
        Form::Equals("0/1"),
        "Accepted: the stack is always checked, at every function's entry",
        |given, value| {
            switch(
                given,
                "--stack-bounds-checks",
                value,
                "changes nothing: the stack is checked at every function's entry, \
                 there is no artifact without",
            )
        },
    ),
    Row::new(
        "--version",
        Form::Flag,
        "Print the versions of this program, its engine and the artifact format",
        |given, _| {
            given.show = Some(|_| Ok(help::version()));
            Ok(())
        },
    ),
    Row::new(
        "--llvm-version",
        Form::Flag,
        "Print which code generator there is instead of LLVM",
        |given, _| {
            given.show = Some(|_| Ok(help::code_generator()));
            Ok(())
        },
    ),
    Row::new("--help", Form::Flag, "Print this text", |given, _| {
        given.show = Some(|_| Ok(help::compiler()));
        Ok(())
    })
    .alias(&["-h"]),
    Row::note("--enable-simd", Form::Flag, "is not needed: SIMD is on for every target"),
    Row::note(
        "--enable-bulk-memory-opt",
        Form::Flag,
        "is not needed: bulk memory operations are on",
    ),
    Row::note(
        "--enable-extended-const",
        Form::Flag,
        "is not needed: extended constant expressions are on",
    ),
    Row::note("--enable-tail-call", Form::Flag, "is not needed: tail calls are on"),
    Row::note(
        "--enable-call-indirect-overlong",
        Form::Flag,
        "is not needed: overlong table indices of call_indirect are understood",
    ),
    Row::note("--enable-lime1", Form::Flag, "is not needed: all features of lime1 are on"),
    Row::note(
        "--enable-multi-thread",
        Form::Flag,
        "changes nothing: atomics and shared memories compile for native targets, but a filter \
         cannot start threads: the agent \
         runs one instance in each of its own",
    ),
    Row::note(
        "--disable-aux-stack-check",
        Form::Flag,
        "changes nothing: the guest's own stack lies in its memory, where every access is checked",
    ),
    Row::note(
        "--enable-dump-call-stack",
        Form::Flag,
        "is not needed: an error names the guest's function it happened in",
    ),
    Row::note(
        "--call-stack-features",
        Form::Equals("LIST"),
        "changes nothing: an error names the guest's function it happened in, and no more",
    ),
    Row::note(
        "--enable-perf-profiling",
        Form::Flag,
        "changes nothing: code has no counters; look at it with flb-wamrc disasm",
    ),
    Row::note(
        "--enable-memory-profiling",
        Form::Flag,
        "changes nothing: flb-wamrc check runs the filter and says what memory it takes",
    ),
    Row::note(
        "--enable-linux-perf",
        Form::Flag,
        "changes nothing: whether code is shown to perf is decided where it is loaded",
    ),
    Row::note(
        "--invoke-c-api-import",
        Form::Flag,
        "is not needed: unknown imports compile, and trap when they are called",
    ),
    Row::note(
        "--enable-segue",
        Form::Optional("i32.load,.."),
        "changes nothing: memory accesses need no segment register, their base is kept in a \
         general one",
    ),
    Row::note(
        "--disable-llvm-intrinsics",
        Form::Flag,
        "is for LLVM, which this compiler does without",
    ),
    Row::note(
        "--enable-builtin-intrinsics",
        Form::Equals("FLAGS"),
        "is for LLVM, which this compiler does without",
    ),
    Row::note(
        "--disable-llvm-jump-tables",
        Form::Flag,
        "is for LLVM, which this compiler does without",
    ),
    Row::note("--disable-llvm-lto", Form::Flag, "is for LLVM, which this compiler does without"),
    Row::refuse(
        "-sgx",
        Form::Flag,
        "is for enclaves, in which the engine does not run",
        "leave it out",
    ),
    Row::refuse(
        "--xip",
        Form::Flag,
        "is for code that runs from flash memory in place; artifacts are loaded into memory",
        "leave it out",
    ),
    Row::refuse(
        "--enable-indirect-mode",
        Form::Flag,
        "is for code that runs from flash memory in place; artifacts are loaded into memory",
        "leave it out",
    ),
    Row::refuse(
        "--enable-gc",
        Form::Flag,
        "is for WasmGC, which filters cannot use: the engine has it switched off",
        "build the filter in a language that brings its own memory management, such as Rust, C or \
         TinyGo",
    ),
    Row::refuse(
        "--stack-usage",
        Form::Equals("FILE"),
        "is not known to the code generator",
        "leave it out: a guest that needs more than the agent's stack limit traps, it does no \
         harm; flb-wamrc disasm \
         shows each function's frame",
    ),
    Row::refuse(
        "--mllvm",
        Form::Equals("OPTION"),
        "is for LLVM, which this compiler does without",
        "use --opt-level and --cpu-features",
    ),
    Row::refuse(
        "--enable-llvm-passes",
        Form::Equals("A,B"),
        "is for LLVM, which this compiler does without",
        "use --opt-level",
    ),
    Row::refuse(
        "--enable-llvm-pgo",
        Form::Flag,
        "would instrument the code with LLVM, which this compiler does without",
        "leave it out, or optimise the .wasm itself with your toolchain's profile-guided build",
    ),
    Row::refuse(
        "--use-prof-file",
        Form::Equals("FILE"),
        "is a profile of LLVM, which this compiler does without",
        "leave it out, or optimise the .wasm itself with your toolchain's profile-guided build",
    ),
    Row::refuse(
        "--native-lib",
        Form::Equals("SO"),
        "would let the filter call native code outside its sandbox",
        "link what it needs into the .wasm; WASI is there",
    ),
    Row::refuse(
        "--enable-shared-heap",
        Form::Flag,
        "is for memory that host and guest share; the agent hands records over in the guest's own \
         memory",
        "leave it out",
    ),
    Row::refuse(
        "--enable-shared-chain",
        Form::Flag,
        "is for memory that host and guest share; the agent hands records over in the guest's own \
         memory",
        "leave it out",
    ),
];

/// Takes `--json`.
pub(crate) fn set_json(given: &mut Given, _: &str) -> Result<(), UsageError> {
    given.json = true;
    Ok(())
}

fn level(value: &str) -> Result<u8, UsageError> {
    let level = value.parse().ok().filter(|level| *level <= 3);
    level.ok_or_else(|| UsageError::new(format!("'{value}' is not a level"), "give 0, 1, 2 or 3"))
}

fn interruption(given: &mut Given, value: &str) -> Result<(), UsageError> {
    let kind = Interruption::parse(value).ok_or_else(|| {
        UsageError::new(format!("'{value}' is no way to end calls"), "give signal, epoch or none")
    })?;
    if kind == Interruption::None {
        given.note(
            "option '--interruption=none' leaves calls without end: an agent that runs the filter \
             hangs where the filter hangs"
                .to_owned(),
        );
    }
    given.interruption = Some(kind);
    Ok(())
}

fn format(_: &mut Given, value: &str) -> Result<(), UsageError> {
    match value {
        "aot" => Ok(()),
        "object" | "llvmir-unopt" | "llvmir-opt" => Err(UsageError::new(
            format!("'{value}' is not a format that can be loaded"),
            "leave it out, or give --format=aot; flb-wamrc disasm shows an artifact's machine code",
        )),
        _ => Err(UsageError::new(
            format!("'{value}' is not a format"),
            "leave it out, or give --format=aot",
        )),
    }
}

fn without(given: &mut Given, proposal: Proposal) -> Result<(), UsageError> {
    if !given.without.contains(&proposal) {
        given.without.push(proposal);
    }
    Ok(())
}

fn switch(given: &mut Given, name: &str, value: &str, reason: &str) -> Result<(), UsageError> {
    if value != "0" && value != "1" {
        return Err(UsageError::new(format!("'{value}' is not a switch"), "give 0 or 1"));
    }
    given.note(format!("option '{name}={value}' {reason}"));
    Ok(())
}
