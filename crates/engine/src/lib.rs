//! The one place that turns an artifact's settings into an engine configuration, so that the compiler and the loader
//! cannot disagree.
//!
//! Wasmtime compares nearly every setting when it loads code and refuses on a difference, and some of its defaults depend on
//! the cargo features that happen to be on. So every setting that matters is set here, none is left to a default.

use flb_artifact::{Architecture, EngineSettings, Interruption};
use wasmtime::{Collector, Config, Inlining, WasmFeatures};

/// Name of the engine, as artifacts record it.
pub const NAME: &str = "wasmtime";
/// Exact version of the engine, as artifacts record it. A test holds it against Cargo.lock.
pub const VERSION: &str = "48.0.8";

/// The settings that code for `architecture` is compiled with.
///
/// With 4 GiB reserved and a guard behind it, no load or store of a 32-bit memory needs a bounds check.
pub fn settings(_architecture: Architecture) -> EngineSettings {
    EngineSettings {
        name: NAME.to_owned(),
        version: VERSION.to_owned(),
        interruption: Interruption::Epoch,
        memory_reservation: 4 << 30,
        memory_guard_size: 32 << 20,
        guard_before_linear_memory: true,
        memory_may_move: true,
        memory_reservation_for_growth: 2 << 30,
        memory_init_cow: true,
        table_lazy_init: true,
        signals_based_traps: true,
        inlining: false,
    }
}

/// An engine configuration of just these settings, for compiling as for loading.
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
        .concurrency_support(false)
        .collector(Collector::DeferredReferenceCounting)
        .gc_heap_reservation(settings.memory_reservation)
        .gc_heap_guard_size(settings.memory_guard_size)
        .gc_heap_reservation_for_growth(settings.memory_reservation_for_growth)
        .gc_heap_may_move(settings.memory_may_move);
    set_features(&mut config);
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

fn set_features(config: &mut Config) {
    config.wasm_features(WasmFeatures::all(), false);
    config.wasm_features(features(), true);
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
            config(&settings(architecture));
        }
    }
}
