//! Log filters in Rust, which run as WebAssembly in `flb-agent`: a function that is given a record, and says what becomes of it.
//!
//! ```
//! use flb_filter::{Context, Record, Verdict};
//!
//! #[flb_filter::filter]
//! fn hide(record: &mut Record, ctx: &Context) -> Verdict {
//!     if record.get("level") == "debug" {
//!         return Verdict::Drop;
//!     }
//!     record.set("tag", ctx.tag());
//!     Verdict::Keep
//! }
//! ```
//!
//! The function is exported under its name, which is the filter's `Function_Name`; a module may have several. The crate type is
//! `cdylib`, the target `wasm32-unknown-unknown`, and `#![no_std]` keeps the module small. Nothing here allocates: records are read
//! where the host put them, answers are written into memory that it lends.
//!
//! Natively the same functions run under `cargo test`, see [`testing`]. A filter that panics costs the record in hand; the message,
//! with file and line, is the failure's. Filters that need the standard library turn on the feature `std`, and those that stock
//! Fluent Bit shall run as well the feature `json`: then each filter `f` has a second function `f_json`.
//!
//! Programs, which the input `exec_wasi` runs, print records with an [`Emitter`].

#![no_std]

#[cfg(any(feature = "std", not(target_arch = "wasm32")))]
extern crate std;

pub mod abi;
#[cfg(any(feature = "json", not(target_arch = "wasm32")))]
mod apply;
#[cfg(any(feature = "json", not(target_arch = "wasm32")))]
pub mod classic;
mod context;
mod emit;
mod host;
#[cfg(any(feature = "json", not(target_arch = "wasm32")))]
mod json;
mod panics;
mod record;
#[cfg(any(feature = "json", not(target_arch = "wasm32")))]
mod sha256;
#[cfg(not(target_arch = "wasm32"))]
pub mod testing;
mod time;
mod value;
mod write;

pub use context::{Context, Start};
pub use emit::{EmitError, Emitter};
pub use flb_filter_macros::{filter, start};
pub use host::{Counter, Histogram, Level, log, sha256};
pub use record::{Metadata, Part, Parts, Record, Verdict, Walk};
pub use time::{Rfc3339, Time};
pub use value::{Entries, Items, Kind, Text, Value};
pub use write::{
    ArrayOf, ArrayWriter, Binary, Encode, Json, MapOf, MapWriter, TextOf, TextWriter, Writer,
    array, binary, map, text,
};
