//! Wasm-to-wasm passes, one file each.

pub(crate) mod host_pages;
