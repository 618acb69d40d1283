//! Batches for a guest that does what its records say, however wrong that is.

use std::path::Path;
use std::time::Duration;

use flb_event::{ChunkBuilder, Event, Tag, Timestamp};
use flb_runtime::{EngineOptions, FilterEngine, FilterModule, FilterOptions, Recycle};

use super::Checked;

/// `tests/filter/modules/batch_pokes.wat`, loaded.
pub(crate) struct Batches(FilterModule);

/// Most records of a batch.
const MOST: usize = 100;

impl Batches {
    pub(crate) fn new() -> Self {
        let file = "../../tests/filter/modules/batch_pokes.wat";
        let wasm = wat::parse_file(Path::new(env!("CARGO_MANIFEST_DIR")).join(file));
        let engine =
            FilterEngine::new(EngineOptions { no_signals: true, ..EngineOptions::default() });
        let options = FilterOptions {
            deadline: Duration::from_millis(20),
            memory_limit: 1 << 20,
            recycle: Recycle { calls: Some(50), ..Recycle::default() },
            ..FilterOptions::new("filter")
        };
        Self(FilterModule::load(&engine.unwrap(), wasm.unwrap(), options).unwrap())
    }

    /// Records, each with its length in orders before it, in a byte; the batch is asked about twice.
    pub(crate) fn check(&self, mut data: &[u8]) {
        let mut batch = ChunkBuilder::new(Tag::new("fuzz").unwrap());
        while let Some((orders, rest)) = data.split_first() {
            let (orders, rest) = rest.split_at(rest.len().min(8 * usize::from(*orders)));
            data = rest;
            let mut body = b"\x81\xa1s\xc6".to_vec();
            body.extend_from_slice(&(orders.len() as u32).to_be_bytes());
            body.extend_from_slice(orders);
            let time = Timestamp { sec: batch.len() as u32, nsec: 1 };
            batch.push(Event { time, metadata: &[0x81, 0xa1, b'm', 7], body: &body }).unwrap();
            if batch.len() == MOST {
                break;
            }
        }
        let batch = batch.build();
        let mut filter = self.0.instantiate().unwrap();
        for _ in 0..2 {
            let mut checked = Checked(0);
            filter.filter(&batch, &mut checked);
            assert_eq!(checked.0, batch.len(), "each record has one answer");
        }
    }
}
