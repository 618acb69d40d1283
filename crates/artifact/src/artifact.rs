//! Reading an artifact: first whole, then believed, then fit for this host.

use std::ops::Range;

use crate::layout::{FORMAT_VERSION, HASHED_LEN, HEADER_LEN, MAGIC, MAX_ALIGN, MAX_METADATA};
use crate::{ArtifactError, Foreign, Host, Metadata, Part, Sha256Hex, Slice};

/// A whole artifact: every checksum held when it was parsed. Not yet known to fit this host.
#[derive(Debug, Clone)]
pub struct Artifact {
    bytes: Vec<u8>,
    metadata: Metadata,
    digest: Sha256Hex,
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
        if bytes[HASHED_LEN..HEADER_LEN] != digest.0 {
            return Err(ArtifactError::Corrupt { part: Part::Metadata });
        }
        let metadata: Metadata = serde_json::from_slice(json)
            .map_err(|error| ArtifactError::Metadata { reason: error.to_string() })?;
        check_slices(&bytes, metadata_range.end, &metadata.slices)?;
        Ok(Self { bytes, metadata, digest })
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

    /// The code of one of the slices.
    pub fn code(&self, slice: &Slice) -> &[u8] {
        // Cannot be out of bounds for a slice of this artifact: `parse` checked it. For a stranger's slice: no code.
        usize::try_from(slice.offset)
            .ok()
            .zip(usize::try_from(slice.length).ok())
            .and_then(|(offset, length)| self.bytes.get(offset..offset.checked_add(length)?))
            .unwrap_or_default()
    }

    /// Picks the slice that this host can run with most CPU features in use. `engine` is the name and version here.
    pub fn verify(self, host: &Host, engine: (&str, &str)) -> Result<Verified, ArtifactError> {
        let slice = pick(&self.metadata.slices, host, engine)?;
        Ok(Verified { artifact: self, slice })
    }
}

impl Verified {
    /// The slice to run.
    pub fn slice(&self) -> &Slice {
        &self.artifact.metadata.slices[self.slice]
    }

    /// The engine's image.
    pub fn code(&self) -> &[u8] {
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

/// Slices stand in order, aligned, within the file to its last byte, zeros between them, each as its digest says.
fn check_slices(bytes: &[u8], first: usize, slices: &[Slice]) -> Result<(), ArtifactError> {
    let faulty = |reason: &str| ArtifactError::Metadata { reason: reason.to_owned() };
    if slices.is_empty() {
        return Err(faulty("it has no code"));
    }
    let mut end = first;
    for slice in slices {
        let place = place(slice).ok_or_else(|| faulty("a slice has an impossible place"))?;
        if place.start < end || place.end > bytes.len() {
            return Err(faulty("a slice lies outside its file or on another"));
        }
        if bytes[end..place.start].iter().any(|byte| *byte != 0) {
            return Err(ArtifactError::Corrupt { part: Part::Padding });
        }
        if Sha256Hex::of(&[&bytes[place.clone()]]) != slice.sha256 {
            return Err(ArtifactError::Corrupt { part: Part::Slice(slice.target.clone()) });
        }
        end = place.end;
    }
    if end != bytes.len() {
        return Err(faulty("bytes follow the last slice"));
    }
    Ok(())
}

fn place(slice: &Slice) -> Option<Range<usize>> {
    let aligned = slice.align.is_power_of_two()
        && slice.align <= MAX_ALIGN
        && slice.offset.is_multiple_of(slice.align);
    let start = usize::try_from(slice.offset).ok()?;
    let end = start.checked_add(usize::try_from(slice.length).ok()?)?;
    aligned.then_some(start..end)
}

/// The best slice for the host, or the most helpful reason why there is none.
fn pick(
    slices: &[Slice],
    host: &Host,
    (name, version): (&str, &str),
) -> Result<usize, ArtifactError> {
    let mut best: Option<usize> = None;
    let mut nearest = None;
    for (index, slice) in slices.iter().enumerate().filter(|(_, slice)| host.runs(&slice.target)) {
        let missing = host.missing(&slice.features);
        let reason = if slice.engine.name != name || minor(&slice.engine.version) != minor(version)
        {
            ArtifactError::Engine {
                built_by: format!("{} {}", slice.engine.name, slice.engine.version),
                engine: format!("{name} {version}"),
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
