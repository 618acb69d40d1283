//! Puts an artifact together.

use crate::layout::{FORMAT_VERSION, HASHED_LEN, HEADER_LEN, MAGIC};
use crate::{EngineSettings, Interface, Levels, Metadata, Sha256Hex, Slice, SourceModule, Target};

/// Code for one target, before it has a place in a file.
#[derive(Debug, Clone)]
pub struct SliceCode {
    /// What it was compiled for.
    pub target: Target,
    /// How.
    pub options: Levels,
    /// By which engine.
    pub engine: EngineSettings,
    /// The engine's image.
    pub code: Vec<u8>,
}

/// Collects slices and writes the container.
#[derive(Debug, Clone)]
pub struct ArtifactBuilder {
    metadata: Metadata,
    codes: Vec<Vec<u8>>,
}

impl ArtifactBuilder {
    /// An artifact of the module `source`, made by `producer`.
    pub fn new(producer: &str, source: &[u8], interface: Interface) -> Self {
        let source = SourceModule { sha256: Sha256Hex::of(&[source]), size: source.len() as u64 };
        let metadata =
            Metadata { producer: producer.to_owned(), source, interface, slices: Vec::new() };
        Self { metadata, codes: Vec::new() }
    }

    /// Adds the code for one more target.
    pub fn slice(mut self, slice: SliceCode) -> Self {
        let target = slice.target;
        self.metadata.slices.push(Slice {
            align: target.page_size(),
            target: target.triple.to_string(),
            cpu: target.cpu_name,
            features: target.features,
            options: slice.options,
            engine: slice.engine,
            offset: 0,
            length: slice.code.len() as u64,
            sha256: Sha256Hex::of(&[&slice.code]),
        });
        self.codes.push(slice.code);
        self
    }

    /// The whole file.
    pub fn build(mut self) -> Vec<u8> {
        let metadata = self.place_slices();
        let mut file = Vec::new();
        file.extend_from_slice(&MAGIC);
        file.extend_from_slice(&FORMAT_VERSION.to_le_bytes());
        file.extend_from_slice(&(metadata.len() as u32).to_le_bytes());
        let length =
            self.metadata.slices.last().map_or(HEADER_LEN + metadata.len(), |slice| {
                (slice.offset + slice.length) as usize
            });
        file.extend_from_slice(&(length as u64).to_le_bytes());
        file.extend_from_slice(&[0; 8]);
        let digest = Sha256Hex::of(&[&file[..HASHED_LEN], &metadata]);
        file.extend_from_slice(&digest.0);
        file.extend_from_slice(&metadata);
        for (slice, code) in self.metadata.slices.iter().zip(&self.codes) {
            file.resize(slice.offset as usize, 0);
            file.extend_from_slice(code);
        }
        file
    }

    /// Gives every slice its offset and returns the metadata as JSON. Offsets are part of the text whose length they
    /// depend on, so it repeats until they agree; they only ever grow.
    fn place_slices(&mut self) -> Vec<u8> {
        loop {
            let json = serde_json::to_vec(&self.metadata)
                .expect("plain structs with text keys always have a JSON form");
            let mut end = (HEADER_LEN + json.len()) as u64;
            let mut moved = false;
            for slice in &mut self.metadata.slices {
                let offset = end.next_multiple_of(slice.align).max(slice.offset);
                moved |= offset != slice.offset;
                slice.offset = offset;
                end = offset + slice.length;
            }
            if !moved {
                return json;
            }
        }
    }
}
