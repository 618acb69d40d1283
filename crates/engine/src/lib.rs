//! The one place that turns an artifact's settings into an engine configuration, so that the compiler and the loader
//! cannot disagree.
//!
//! Wasmtime compares nearly every setting when it loads code and refuses on a difference, and some of its defaults depend on
//! the cargo features that happen to be on. So every setting that matters is set here, none is left to a default.

#[cfg(feature = "image")]
pub mod image;
#[cfg(feature = "compile")]
pub mod lines;
pub mod names;

use flb_artifact::{Architecture, Collector, EngineSettings, Interruption, Traps};
#[cfg(feature = "native")]
use wasmtime::{Config, Inlining, WasmBacktraceDetails, WasmFeatures};

/// Name of the engine for native code, as artifacts record it.
pub const NAME: &str = "wasmtime";
/// Its exact version, as artifacts record it. A test holds it against Cargo.lock.
pub const VERSION: &str = "48.0.8";
/// The interpreter that portable code is for, and its exact version.
pub const INTERPRETER: (&str, &str) = ("wasmi", "2.0.0");

/// All engines that code is for.
pub const ENGINES: [(&str, &str); 2] = [(NAME, VERSION), INTERPRETER];

/// The settings that code for `architecture`, interrupted and trapping like this, is compiled with: the same ones wherever the
/// compiler runs.
///
/// Where traps are signals: with 4 GiB reserved and a guard behind it, no load or store of a 32-bit memory needs a bounds check.
/// Other code checks every access itself, so guards would be of no use. The interpreter has no such settings.
pub fn settings(
    architecture: Architecture,
    interruption: Interruption,
    traps: Traps,
) -> EngineSettings {
    let is_native = !architecture.is_portable();
    let has_guards = is_native && traps == Traps::Signal;
    let (name, version) = if is_native { (NAME, VERSION) } else { INTERPRETER };
    EngineSettings {
        name: name.to_owned(),
        version: version.to_owned(),
        interruption,
        memory_reservation: if is_native { 4 << 30 } else { 0 },
        memory_guard_size: if has_guards { 32 << 20 } else { 0 },
        guard_before_linear_memory: has_guards,
        memory_may_move: true,
        memory_reservation_for_growth: if is_native { 2 << 30 } else { 0 },
        memory_init_cow: is_native,
        table_lazy_init: is_native,
        signals_based_traps: has_guards,
        inlining: false,
        debug_symbols: false,
        debug_info: false,
        concurrency: false,
        collector: Collector::Drc,
    }
}

/// An engine configuration of just these settings, for loading native code on this host. For compiling, the target follows.
#[cfg(feature = "native")]
pub fn config(settings: &EngineSettings) -> Config {
    let mut config = Config::new();
    config
        .epoch_interruption(settings.interruption == Interruption::Epoch)
        .memory_reservation(settings.memory_reservation)
        .memory_guard_size(settings.memory_guard_size)
        .guard_before_linear_memory(settings.guard_before_linear_memory)
        .memory_may_move(settings.memory_may_move)
        .memory_reservation_for_growth(settings.memory_reservation_for_growth)
        .memory_init_cow(settings.memory_init_cow)
        .table_lazy_init(settings.table_lazy_init)
        .signals_based_traps(settings.signals_based_traps)
        .compiler_inlining(if settings.inlining { Inlining::Yes } else { Inlining::No })
        .concurrency_support(settings.concurrency)
        .debug_symbols(settings.debug_symbols)
        .wasm_backtrace_details(if settings.debug_info {
            WasmBacktraceDetails::Enable
        } else {
            WasmBacktraceDetails::Disable
        })
        .collector(match settings.collector {
            Collector::Drc => wasmtime::Collector::DeferredReferenceCounting,
        })
        .gc_heap_reservation(settings.memory_reservation)
        .gc_heap_guard_size(settings.memory_guard_size)
        .gc_heap_reservation_for_growth(settings.memory_reservation_for_growth)
        .gc_heap_may_move(settings.memory_may_move);
    config.wasm_features(WasmFeatures::all(), false);
    let features = match settings.interruption {
        Interruption::Signal => features_with_signals(),
        _ => features(),
    };
    config.wasm_features(features, true);
    config
}

/// What guests may use: everything that toolchains emit today and the engine calls stable, and nothing else.
#[cfg(feature = "native")]
pub fn features() -> WasmFeatures {
    WasmFeatures::WASM2
        | WasmFeatures::EXTENDED_CONST
        | WasmFeatures::TAIL_CALL
        | WasmFeatures::MULTI_MEMORY
        | WasmFeatures::MEMORY64
        | WasmFeatures::RELAXED_SIMD
        | WasmFeatures::THREADS
        | WasmFeatures::FUNCTION_REFERENCES
        | WasmFeatures::EXCEPTIONS
        | WasmFeatures::GC_TYPES
}

/// What of it code can use that signals interrupt: nothing of what the engine's collector holds (references to objects of
/// the host, exceptions), because such code does in several steps what must not be left half done.
#[cfg(feature = "native")]
pub fn features_with_signals() -> WasmFeatures {
    features().difference(WasmFeatures::EXCEPTIONS | WasmFeatures::GC_TYPES)
}

/// What of it portable code can use: the interpreter has no atomic instructions, no exceptions and no references to functions by
/// their types.
#[cfg(feature = "native")]
pub fn portable_features() -> WasmFeatures {
    features().difference(
        WasmFeatures::THREADS | WasmFeatures::EXCEPTIONS | WasmFeatures::FUNCTION_REFERENCES,
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_versions_are_the_locked_ones() {
        let lock = include_str!("../../../Cargo.lock");
        for (name, version) in ENGINES {
            let entry = format!("name = \"{name}\"\nversion = \"{version}\"\n");
            assert!(lock.contains(&entry), "Cargo.lock has another {name} than {version}");
        }
    }

    #[cfg(feature = "native")]
    #[test]
    fn the_settings_make_an_engine() {
        for architecture in Architecture::ALL {
            for traps in Traps::ALL {
                let settings = settings(architecture, Interruption::Epoch, traps);
                let is_explicit = architecture.is_portable() || traps == Traps::Explicit;
                assert_eq!(settings.needs_signals(), !is_explicit);
                config(&settings);
            }
        }
    }
}
