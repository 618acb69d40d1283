//! What stands around the runtime where guests run: their options, their module's file, and for a filter what becomes of
//! the records that it fails on. No pipeline and no plugin.

pub mod filter;
pub mod host;
pub mod service;
