//! Whole pipelines of small plugins: on real threads and a real runtime, from a configuration's text to what arrives.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod build;
mod counts;
mod flow;
mod metrics;
mod plugins;
mod processors;
mod retry;
mod stop;
mod storage;
mod watch;
mod world;
