//! What compiler and runtime agree on beside the file itself: names in the modules that become code, sizes in a guest's memory, and
//! what a guest is granted where nobody says otherwise.

use std::time::Duration;

/// Exports and functions with names that begin like this are the compiler's.
pub const RESERVED: &str = "flb:";

/// Export that every module with a memory gets: memory 0, whatever else it is exported as.
pub const MEMORY: &str = "flb:memory";
/// Export of a module that shares its memory with the host: the table whose size is the size in pages that the guest sees. No
/// other table of the module has its maximum.
pub const PAGES: &str = "flb:pages";
/// Export of a module whose start function the host calls: that function.
pub const START: &str = "flb:start";
/// Export of code that signals interrupt: a function without parameters that does nothing but trap, where a guest is taken that is
/// to end. It is the last function but one.
pub const STOP: &str = "flb:stop";
/// Export of such code: a function that takes a number and counts it down, for a loader to try whether it can be ended. It is the
/// last function.
pub const SPIN: &str = "flb:spin";
/// Export of such code: a memory of one page whose first four bytes are not zero when the guest shall end.
pub const FLAG: &str = "flb:flag";

/// Export of portable code: a memory of one page in which functions note their numbers, four bytes each, those that are called
/// behind those that call them. The first four bytes are nobody's.
pub const FRAMES: &str = "flb:frames";
/// Export of such code: a global that says where the last note is.
pub const DEPTH: &str = "flb:depth";
/// Import of such code, the name of module and function, if it has the table of pages: grows that.
pub const GROW: &str = "flb:grow";
/// Section of such code: the functions' names, one behind the other by their numbers, with a NUL behind each.
pub const NAMES: &str = "flb:names";

/// A module's own way to say that its answers are to be freed, and how; see `docs/abi.md`.
pub const FREE_RESULT: &str = "flb_free_result";

/// How the markers of the batch ABI begin, by which a module says what version of it it speaks; see `docs/batch-abi.md`.
pub const BATCH_MARKER: &str = "flb_batch_";
/// The marker of the version that is known.
pub const BATCH: &str = "flb_batch_1";
/// What a module of the batch ABI may export to be called before its first batch.
pub const BATCH_START: &str = "flb_start";
/// The module name of what a guest may import beside WASI and a C library.
pub const LEAVES: &str = "flb";

/// Bytes in a page of WebAssembly memory.
pub const PAGE: u64 = 64 << 10;
/// Pages of the host in a guest's memory (64 MiB): the longest tag and a 16 MiB record in its longest JSON form fit.
pub const HOST_PAGES: u64 = 1024;
/// Most bytes that a guest's memory may grow to where no limit is given (256 MiB).
pub const MEMORY_LIMIT: u64 = 256 << 20;
/// Longest time for one call where no deadline is given.
pub const DEADLINE: Duration = Duration::from_secs(1);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_name_of_the_compiler_s_is_reserved() {
        for name in [MEMORY, PAGES, START, STOP, SPIN, FLAG, FRAMES, DEPTH, GROW, NAMES] {
            assert!(name.starts_with(RESERVED), "{name}");
        }
        for name in [FREE_RESULT, BATCH_MARKER, BATCH, BATCH_START] {
            assert!(!name.starts_with(RESERVED), "{name}");
        }
    }
}
