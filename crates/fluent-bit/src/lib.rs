//! The filter runtime as a dynamic filter plugin, `flb-filter_aot.so`, of an unmodified Fluent Bit: `Name aot`.
//!
//! A chunk's way: [`foreign`] gets it from the agent and hands it to the [`filter`]'s [`worker`], on whose stack guests run;
//! [`work`] takes it apart ([`parts`]), asks the guest about each record, and makes the answer. What is said on the way waits
//! in the [`journal`] until the agent's thread prints it. `docs/fluent-bit-plugin.md` is for those who use it.

mod filter;
mod foreign;
mod help;
mod journal;
mod memory;
mod metrics;
mod parts;
mod patience;
mod properties;
mod signals;
mod version;
mod work;
mod worker;

#[global_allocator]
static MEMORY: memory::AgentMemory = memory::AgentMemory;

/// The name that configurations use.
pub(crate) const NAME: &str = "aot";
