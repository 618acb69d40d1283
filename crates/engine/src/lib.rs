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
use wasmtime::{Config, Inlining, WasmBacktraceDetails, WasmFeatures};

/// Name of the engine, as artifacts record it.
pub const NAME: &str = "wasmtime";
/// Exact version of the engine, as artifacts record it. A test holds it against Cargo.lock.
pub const VERSION: &str = "48.0.8";

/// The settings that code for `architecture`, interrupted and trapping like this, is compiled with: the same ones wherever the
/// compiler runs, so that a file made on a 64-bit machine loads on a 32-bit one.
///
/// Where traps are signals: with 4 GiB reserved and a guard behind it, no load or store of a 32-bit memory needs a bounds check.
/// Other code, and all portable code, checks every access itself, so guards would be of no use; and on 32-bit machines
/// address space is scarce.
pub fn settings(
    architecture: Architecture,
    interruption: Interruption,
    traps: Traps,
) -> EngineSettings {
    let has_guards = !architecture.is_portable() && traps == Traps::Signal;
    let (reservation, growth) =
        if architecture.is_32_bit() { (10 << 20, 1 << 20) } else { (4 << 30, 2 << 30) };
    EngineSettings {
        name: NAME.to_owned(),
        version: VERSION.to_owned(),
        interruption,
        memory_reservation: reservation,
        memory_guard_size: if has_guards { 32 << 20 } else { 0 },
        guard_before_linear_memory: has_guards,
        memory_may_move: true,
        memory_reservation_for_growth: growth,
        memory_init_cow: true,
        table_lazy_init: true,
        signals_based_traps: has_guards,
        inlining: false,
        debug_symbols: false,
        debug_info: false,
        concurrency: false,
        collector: Collector::Drc,
    }
}

/// An engine configuration of just these settings, for loading code for `architecture` on this host. For compiling, the target
/// follows.
pub fn config(settings: &EngineSettings, architecture: Architecture) -> Config {
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
    if let Some(host) = Architecture::portable_host().filter(|_| architecture.is_portable()) {
        config.target(host.name()).expect("the engine knows its own interpreter's targets");
    }
    config.wasm_features(WasmFeatures::all(), false);
    config.wasm_features(features_with(settings, architecture), true);
    config
}

/// What guests may use: everything that toolchains emit today and the engine calls stable, and nothing else.
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
pub fn features_with_signals() -> WasmFeatures {
    features().difference(WasmFeatures::EXCEPTIONS | WasmFeatures::GC_TYPES)
}

/// What of it code with these settings can use: the interpreter has no atomic instructions.
fn features_with(settings: &EngineSettings, architecture: Architecture) -> WasmFeatures {
    match settings.interruption {
        Interruption::Signal => features_with_signals(),
        _ if architecture.is_portable() => features().difference(WasmFeatures::THREADS),
        _ => features(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_version_is_the_locked_one() {
        let lock = include_str!("../../../Cargo.lock");
        let entry = format!("name = \"{NAME}\"\nversion = \"{VERSION}\"\n");
        assert!(lock.contains(&entry), "Cargo.lock has another wasmtime than {VERSION}");
    }

    #[test]
    fn the_settings_make_an_engine() {
        for architecture in Architecture::ALL {
            for traps in Traps::ALL {
                let settings = settings(architecture, Interruption::Epoch, traps);
                let is_explicit = architecture.is_portable() || traps == Traps::Explicit;
                assert_eq!(settings.needs_signals(), !is_explicit);
                config(&settings, architecture);
            }
        }
    }
}
