//! Filters: what decides about records.

use flb_plugin::{Filter, Spec};

mod accessors;
mod aws;
mod checklist;
mod content_modifier;
mod each;
mod entries;
mod expect;
mod fields;
mod geoip2;
mod grep;
mod kubernetes;
#[cfg(all(feature = "lua", any(target_arch = "x86_64", target_arch = "aarch64")))]
mod lua;
mod modify;
mod multiline;
mod nest;
mod parser;
mod record_modifier;
mod rewrite_tag;
mod stdout;
mod throttle;
mod uuid;
mod wasm;

/// Every filter, alphabetic.
pub static ALL: &[Spec<dyn Filter>] = &[
    aws::SPEC,
    checklist::SPEC,
    content_modifier::SPEC,
    expect::SPEC,
    geoip2::SPEC,
    grep::SPEC,
    kubernetes::SPEC,
    #[cfg(all(feature = "lua", any(target_arch = "x86_64", target_arch = "aarch64")))]
    lua::SPEC,
    modify::SPEC,
    multiline::SPEC,
    nest::SPEC,
    parser::SPEC,
    record_modifier::SPEC,
    rewrite_tag::SPEC,
    stdout::SPEC,
    throttle::SPEC,
    wasm::SPEC,
];
