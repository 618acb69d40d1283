//! Reading an artifact: first whole, then believed, then fit for this host.

use std::borrow::Cow;
use std::ops::Range;
use std::sync::Arc;

use crate::layout::{
    DIGEST, FORMAT_VERSION, HASHED_LEN, HEADER_LEN, MAGIC, MAX_ALIGN, MAX_METADATA, RESERVED,
    SIGNATURE, SIGNER,
};
use crate::packing::unpack;
use crate::{
    ArtifactBuilder, ArtifactError, Foreign, Host, Metadata, Part, PublicKey, Release, Required,
    SecretKey, Sha256Hex, Slice, Stored, Trust,
};

/// A whole artifact: every checksum held when it was parsed. Not yet known to fit this host. Clones share the file's bytes.
#[derive(Debug, Clone)]
pub struct Artifact {
    bytes: Arc<Vec<u8>>,
    metadata: Metadata,
    digest: Sha256Hex,
    signer: Option<PublicKey>,
}

/// An artifact with a slice that this host can run. The only thing that the runtime takes for code.
#[derive(Debug, Clone)]
pub struct Verified {
    artifact: Artifact,
    slice: usize,
}

impl Artifact {
    /// Whether `bytes` begin like an artifact.
    pub fn is_artifact(bytes: &[u8]) -> bool {
        bytes.starts_with(&MAGIC)
    }

    /// Reads a file's bytes and checks every one of them.
    pub fn parse(bytes: Vec<u8>) -> Result<Self, ArtifactError> {
        let metadata_range = check_header(&bytes)?;
        let json = &bytes[metadata_range.clone()];
        let digest = Sha256Hex::of(&[&bytes[..HASHED_LEN], json]);
        if bytes[DIGEST] != digest.0 {
            return Err(ArtifactError::Corrupt { part: Part::Metadata });
        }
        let signer = check_signature(&bytes, &digest)?;
        let metadata: Metadata =
            serde_json::from_slice(json).map_err(|error| faulty(&error.to_string()))?;
        if metadata.slices.iter().any(has_odd_names) {
            return Err(faulty("a name in it has control characters"));
        }
        check_places(&bytes, metadata_range.end, &metadata)?;
        Ok(Self { bytes: Arc::new(bytes), metadata, digest, signer })
    }

    /// What the artifact says about itself.
    pub fn metadata(&self) -> &Metadata {
        &self.metadata
    }

    /// The digest that everything else hangs from.
    pub fn digest(&self) -> Sha256Hex {
        self.digest
    }

    /// The file's bytes.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// Who signed the artifact, if anybody did. The signature held when it was parsed.
    pub fn signer(&self) -> Option<PublicKey> {
        self.signer
    }

    /// The same code and module as this release, or as none, for somebody to sign: a signature of another is gone.
    pub fn released(self, release: Option<Release>) -> Result<Self, ArtifactError> {
        if self.metadata.release == release {
            return Ok(self);
        }
        let builder = ArtifactBuilder::again(self.metadata, &self.bytes, release);
        Self::parse(builder.build(None)?)
    }

    /// Whether it is the filter that is required. Who says so is for [`Self::verify`] to ask.
    pub fn require(&self, required: &Required) -> Result<(), ArtifactError> {
        let found = self.metadata.release.as_ref();
        if required.admits(found) {
            return Ok(());
        }
        Err(ArtifactError::Release { required: required.clone(), found: found.cloned() })
    }

    /// Signs the artifact, in place of any signature it had.
    pub fn sign(&mut self, key: &SecretKey) {
        let signature = key.sign(&self.digest);
        let bytes = Arc::make_mut(&mut self.bytes);
        bytes[SIGNER].copy_from_slice(&key.public().to_bytes());
        bytes[SIGNATURE].copy_from_slice(&signature);
        self.signer = Some(key.public());
    }

    /// The engine's image of one of the slices, unpacked.
    pub fn code(&self, slice: &Slice) -> Result<Cow<'_, [u8]>, ArtifactError> {
        let part = || Part::Slice(slice.target.clone());
        self.unpack(&slice.code).ok_or_else(|| ArtifactError::Corrupt { part: part() })
    }

    /// The WebAssembly module that the artifact was compiled from, if it holds it.
    pub fn wasm(&self) -> Result<Option<Cow<'_, [u8]>>, ArtifactError> {
        let source = &self.metadata.source;
        let Some(place) = &source.embedded else { return Ok(None) };
        self.unpack(place)
            .filter(|wasm| Sha256Hex::of(&[wasm]) == source.sha256)
            .map(Some)
            .ok_or(ArtifactError::Corrupt { part: Part::Source })
    }

    fn unpack(&self, place: &Stored) -> Option<Cow<'_, [u8]>> {
        unpack(place.encoding, self.bytes.get(range(place)?)?, place.size)
    }

    /// Picks the slice that this host can run with most CPU features in use. `engines` are names and versions here.
    pub fn verify(
        self,
        host: &Host,
        engines: &[(&str, &str)],
        trust: &Trust,
    ) -> Result<Verified, ArtifactError> {
        if !trust.accepts(self.signer) {
            return Err(ArtifactError::Untrusted { signer: self.signer });
        }
        let slice = pick(&self.metadata.slices, host, engines)?;
        Ok(Verified { artifact: self, slice })
    }
}

impl Verified {
    /// The slice to run.
    pub fn slice(&self) -> &Slice {
        &self.artifact.metadata.slices[self.slice]
    }

    /// The engine's image, unpacked.
    pub fn code(&self) -> Result<Cow<'_, [u8]>, ArtifactError> {
        self.artifact.code(self.slice())
    }

    /// The artifact that the slice is part of.
    pub fn artifact(&self) -> &Artifact {
        &self.artifact
    }
}

/// Checks the fixed part; returns where the metadata is.
fn check_header(bytes: &[u8]) -> Result<Range<usize>, ArtifactError> {
    if !Artifact::is_artifact(bytes) {
        return Err(ArtifactError::Foreign { found: Foreign::of(bytes) });
    }
    let found = bytes.len() as u64;
    let header = bytes
        .first_chunk::<HEADER_LEN>()
        .ok_or(ArtifactError::Length { expected: HEADER_LEN as u64, found })?;
    let version = le_u32(header, 8);
    if version != FORMAT_VERSION {
        return Err(ArtifactError::Version { found: version });
    }
    if header[RESERVED].iter().any(|byte| *byte != 0) {
        return Err(ArtifactError::Corrupt { part: Part::Metadata });
    }
    let expected = u64::from(le_u32(header, 16)) | u64::from(le_u32(header, 20)) << 32;
    if expected != found {
        return Err(ArtifactError::Length { expected, found });
    }
    let metadata_len = le_u32(header, 12) as usize;
    if metadata_len > MAX_METADATA || HEADER_LEN + metadata_len > bytes.len() {
        return Err(ArtifactError::Corrupt { part: Part::Metadata });
    }
    Ok(HEADER_LEN..HEADER_LEN + metadata_len)
}

fn le_u32(header: &[u8; HEADER_LEN], at: usize) -> u32 {
    u32::from_le_bytes([header[at], header[at + 1], header[at + 2], header[at + 3]])
}

/// A faulty writer's doing. The reason may hold the writer's own words, and those go to terminals and logs.
fn faulty(reason: &str) -> ArtifactError {
    ArtifactError::Metadata { reason: flb_text::tame_line(reason).into_owned() }
}

/// Whether a name that messages show could write to a terminal what it should not.
fn has_odd_names(slice: &Slice) -> bool {
    let engine = [&slice.engine.name, &slice.engine.version];
    let names = [&slice.target, &slice.cpu].into_iter().chain(engine);
    let names = names.chain(&slice.features).chain(&slice.no_signals);
    names.flat_map(|name| name.chars()).any(flb_text::is_wild)
}

/// No signature is all zeros; any other bytes are one that must hold.
fn check_signature(bytes: &[u8], digest: &Sha256Hex) -> Result<Option<PublicKey>, ArtifactError> {
    let area = &bytes[SIGNER.start..SIGNATURE.end];
    if area.iter().all(|byte| *byte == 0) {
        return Ok(None);
    }
    let (key, signature) = area.split_at(SIGNER.len());
    key.first_chunk()
        .and_then(PublicKey::from_bytes)
        .filter(|key| signature.first_chunk().is_some_and(|bytes| key.verifies(digest, bytes)))
        .map(Some)
        .ok_or(ArtifactError::Corrupt { part: Part::Signature })
}

/// What is stored stands in order, aligned, within the file to its last byte, zeros between, each as its digest says.
fn check_places(bytes: &[u8], first: usize, metadata: &Metadata) -> Result<(), ArtifactError> {
    if metadata.slices.is_empty() {
        return Err(faulty("it has no code"));
    }
    let slices = metadata.slices.iter();
    let slices = slices.map(|slice| (&slice.code, Part::Slice(slice.target.clone())));
    let source = metadata.source.embedded.iter().map(|place| (place, Part::Source));
    let mut end = first;
    for (place, part) in slices.chain(source) {
        let range = range(place).ok_or_else(|| faulty("a part has an impossible place"))?;
        if range.start < end || range.end > bytes.len() {
            return Err(faulty("a part lies outside its file or on another"));
        }
        if bytes[end..range.start].iter().any(|byte| *byte != 0) {
            return Err(ArtifactError::Corrupt { part: Part::Padding });
        }
        if Sha256Hex::of(&[&bytes[range.clone()]]) != place.sha256 {
            return Err(ArtifactError::Corrupt { part });
        }
        end = range.end;
    }
    if end != bytes.len() {
        return Err(faulty("bytes follow the last part"));
    }
    Ok(())
}

fn range(place: &Stored) -> Option<Range<usize>> {
    let aligned = place.align.is_power_of_two()
        && place.align <= MAX_ALIGN
        && place.offset.is_multiple_of(place.align);
    let start = usize::try_from(place.offset).ok()?;
    let end = start.checked_add(usize::try_from(place.length).ok()?)?;
    aligned.then_some(start..end)
}

/// The best slice for the host, or the most helpful reason why there is none.
fn pick(slices: &[Slice], host: &Host, engines: &[(&str, &str)]) -> Result<usize, ArtifactError> {
    let mut best: Option<usize> = None;
    let mut nearest = None;
    for (index, slice) in slices.iter().enumerate().filter(|(_, slice)| host.runs(&slice.target)) {
        let missing = host.missing(&slice.features);
        let built_by = &slice.engine;
        let fits = |(name, version): &(&str, &str)| {
            built_by.name == *name && minor(&built_by.version) == minor(version)
        };
        let reason = if !engines.iter().any(fits) {
            let engines = engines.iter().map(|(name, version)| format!("{name} {version}"));
            ArtifactError::Engine {
                built_by: format!("{} {}", built_by.name, built_by.version),
                engine: engines.collect::<Vec<_>>().join(" and "),
            }
        } else if !missing.is_empty() {
            ArtifactError::Cpu { cpu: slice.cpu.clone(), missing }
        } else {
            if best.is_none_or(|best| slices[best].features.len() < slice.features.len()) {
                best = Some(index);
            }
            continue;
        };
        nearest.get_or_insert(reason);
    }
    best.ok_or_else(|| {
        nearest.unwrap_or_else(|| ArtifactError::Target {
            built_for: slices.iter().map(|slice| slice.target.clone()).collect(),
            host: host.to_string(),
            host_name: host.architecture().to_owned(),
        })
    })
}

/// `48.0` of `48.0.8`.
fn minor(version: &str) -> &str {
    version.rsplit_once('.').map_or(version, |(minor, _)| minor)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn metadata_has_a_greatest_length() {
        let header = |metadata_len: usize| {
            let mut bytes = vec![0; HEADER_LEN + metadata_len];
            let length = bytes.len() as u64;
            bytes[..8].copy_from_slice(&MAGIC);
            bytes[8..12].copy_from_slice(&FORMAT_VERSION.to_le_bytes());
            bytes[12..16].copy_from_slice(&(metadata_len as u32).to_le_bytes());
            bytes[16..24].copy_from_slice(&length.to_le_bytes());
            check_header(&bytes)
        };
        assert_eq!(header(MAX_METADATA), Ok(HEADER_LEN..HEADER_LEN + MAX_METADATA));
        let refused = ArtifactError::Corrupt { part: Part::Metadata };
        assert_eq!(header(MAX_METADATA + 1), Err(refused));
    }
}
