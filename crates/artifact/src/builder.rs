//! Puts an artifact together.

use std::borrow::Cow;

use crate::layout::{DIGEST, FORMAT_VERSION, HASHED_LEN, HEADER_LEN, MAGIC, MAX_METADATA};
use crate::packing::pack;
use crate::{
    ArtifactError, Encoding, EngineSettings, Interface, Levels, Metadata, Part, Release, Sha256Hex,
    Slice, SourceModule, Sources, Stored, Target,
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
            sources: Sources::default(),
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

    /// Says which files the code was made from.
    pub fn sources(mut self, sources: Sources) -> Self {
        self.metadata.sources = sources;
        self
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
            target: slice.target.slice_name(),
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

    /// The whole file, with the source module in it if it is given. What no reader would take is not written.
    pub fn build(self, embed: Option<&[u8]>) -> Result<Vec<u8>, ArtifactError> {
        self.build_below(MAX_METADATA, embed)
    }

    fn build_below(mut self, limit: usize, embed: Option<&[u8]>) -> Result<Vec<u8>, ArtifactError> {
        if let Some(wasm) = embed {
            let (encoding, bytes) = pack(wasm);
            self.metadata.source.embedded = Some(stored(&bytes, encoding, wasm.len(), 1));
            self.blobs.push(bytes.into_owned());
        }
        let metadata = self.place();
        if metadata.len() > limit {
            let (size, limit) = (metadata.len() as u64, limit as u64);
            return Err(ArtifactError::TooLarge { part: Part::Metadata, size, limit });
        }
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
        Ok(file)
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Arguments, Artifact, Export};

    fn builder(exports: usize) -> ArtifactBuilder {
        let export = |n| Export { name: format!("f{n}"), params: Vec::new(), results: Vec::new() };
        let exports = (0..exports).map(export).collect();
        let interface = Interface { exports, imports: Vec::new(), arguments: Arguments::Malloc };
        ArtifactBuilder::new("test", b"", interface)
    }

    #[test]
    fn metadata_that_no_reader_takes_is_not_written() {
        let size = builder(100).place().len();
        assert!(builder(100).build_below(size, None).is_ok());
        let error = builder(100).build_below(size - 1, None).unwrap_err().to_string();
        let expected = format!(
            "its header or metadata would take {size} bytes, and an artifact has room for {}; help",
            size - 1
        );
        assert!(error.starts_with(&expected), "{error}");
    }

    #[test]
    fn a_reader_takes_the_metadata_of_many_thousand_exports() {
        let file = builder(50_000).build(None).unwrap();
        assert!(file.len() > 2 << 20);
        let error = Artifact::parse(file).unwrap_err().to_string();
        assert!(error.starts_with("faulty artifact: it has no code"), "{error}");
    }
}
