//! What several inputs share: time and waiting, taking text apart, making records, serving clients.

pub(super) mod clock;
pub(super) mod complaints;
pub(super) mod database;
pub(super) mod datagrams;
pub(super) mod encodings;
pub(super) mod interval;
pub(super) mod lines;
pub(super) mod payloads;
pub(super) mod pieces;
pub(super) mod printed;
pub(super) mod records;
pub(super) mod requests;
pub(super) mod sampler;
pub(super) mod served;
pub(super) mod values;
