//! Puts an artifact together.

use std::borrow::Cow;

use crate::layout::{DIGEST, FORMAT_VERSION, HASHED_LEN, HEADER_LEN, MAGIC};
use crate::packing::pack;
use crate::{
    Encoding, EngineSettings, Interface, Levels, Metadata, Release, Sha256Hex, Slice, SourceModule,
    Stored, Target,
};

/// Code for one target, before it has a place in a file.
#[derive(Debug, Clone)]
pub struct SliceCode {
    /// What it was compiled for.
    pub target: Target,
    /// How.
    pub options: Levels,
    /// By which engine.
    pub engine: EngineSettings,
    /// Why guests are interrupted otherwise than was asked for.
    pub no_signals: Option<String>,
    /// The engine's image.
    pub code: Vec<u8>,
    /// Whether to store the image compressed.
    pub compress: bool,
}

/// Collects slices and writes the container.
#[derive(Debug, Clone)]
pub struct ArtifactBuilder {
    metadata: Metadata,
    /// What is stored: the slices in order, then the source module.
    blobs: Vec<Vec<u8>>,
}

impl ArtifactBuilder {
    /// An artifact of the module `source`, made by `producer`.
    pub fn new(producer: &str, source: &[u8], interface: Interface) -> Self {
        let source = SourceModule {
            sha256: Sha256Hex::of(&[source]),
            size: source.len() as u64,
            embedded: None,
        };
        let metadata = Metadata {
            producer: producer.to_owned(),
            release: None,
            source,
            interface,
            slices: Vec::new(),
        };
        Self { metadata, blobs: Vec::new() }
    }

    /// The parts of an artifact, to be put together anew as this release. `bytes` are the artifact's.
    pub(crate) fn again(mut metadata: Metadata, bytes: &[u8], release: Option<Release>) -> Self {
        metadata.release = release;
        let blob = |place: &mut Stored| {
            let begin = std::mem::take(&mut place.offset) as usize;
            bytes[begin..begin + place.length as usize].to_vec()
        };
        let blobs = places(&mut metadata).into_iter().map(blob).collect();
        Self { metadata, blobs }
    }

    /// Adds the code for one more target.
    pub fn slice(mut self, slice: SliceCode) -> Self {
        let (encoding, bytes) = if slice.compress {
            pack(&slice.code)
        } else {
            (Encoding::Raw, Cow::from(&slice.code))
        };
        // What is unpacked first can stand anywhere; what may be mapped stands on a page.
        let align = match encoding {
            Encoding::Raw => slice.target.page_size(),
            Encoding::Deflate => 1,
        };
        self.metadata.slices.push(Slice {
            target: slice.target.triple.to_string(),
            cpu: slice.target.cpu_name,
            features: slice.target.features,
            options: slice.options,
            engine: slice.engine,
            no_signals: slice.no_signals,
            code: stored(&bytes, encoding, slice.code.len(), align),
        });
        self.blobs.push(bytes.into_owned());
        self
    }

    /// The whole file, with the source module in it if it is given.
    pub fn build(mut self, embed: Option<&[u8]>) -> Vec<u8> {
        if let Some(wasm) = embed {
            let (encoding, bytes) = pack(wasm);
            self.metadata.source.embedded = Some(stored(&bytes, encoding, wasm.len(), 1));
            self.blobs.push(bytes.into_owned());
        }
        let metadata = self.place();
        let mut file = vec![0; HEADER_LEN];
        file[..8].copy_from_slice(&MAGIC);
        file[8..12].copy_from_slice(&FORMAT_VERSION.to_le_bytes());
        file[12..16].copy_from_slice(&(metadata.len() as u32).to_le_bytes());
        file.extend_from_slice(&metadata);
        for (place, blob) in places(&mut self.metadata).iter().zip(&self.blobs) {
            file.resize(place.offset as usize, 0);
            file.extend_from_slice(blob);
        }
        let length = file.len() as u64;
        file[16..24].copy_from_slice(&length.to_le_bytes());
        let digest = Sha256Hex::of(&[&file[..HASHED_LEN], &metadata]);
        file[DIGEST].copy_from_slice(&digest.0);
        file
    }

    /// Gives every blob its offset and returns the metadata as JSON. Offsets are part of the text whose length they
    /// depend on, so it repeats until they agree; they only ever grow.
    fn place(&mut self) -> Vec<u8> {
        loop {
            let json = serde_json::to_vec(&self.metadata)
                .expect("plain structs with text keys always have a JSON form");
            let mut end = (HEADER_LEN + json.len()) as u64;
            let mut moved = false;
            for place in places(&mut self.metadata) {
                let offset = end.next_multiple_of(place.align).max(place.offset);
                moved |= offset != place.offset;
                place.offset = offset;
                end = offset + place.length;
            }
            if !moved {
                return json;
            }
        }
    }
}

/// Everything stored, in the order of the file.
fn places(metadata: &mut Metadata) -> Vec<&mut Stored> {
    let slices = metadata.slices.iter_mut().map(|slice| &mut slice.code);
    slices.chain(&mut metadata.source.embedded).collect()
}

fn stored(bytes: &[u8], encoding: Encoding, size: usize, align: u64) -> Stored {
    Stored {
        offset: 0,
        length: bytes.len() as u64,
        align,
        encoding,
        size: size as u64,
        sha256: Sha256Hex::of(&[bytes]),
    }
}
