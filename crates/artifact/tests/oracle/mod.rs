//! What must hold for every file, artifact or not, and how to give a file a header that fits.
//! Panics where it does not hold. Knows the layout from `docs/artifact-format.md` alone, not from
//! the crate.

use flb_artifact::{
    Artifact, ArtifactError, Host, Metadata, SecretKey, Sha256Hex, Slice, Stored, Trust,
};

pub(crate) const HEADER_LEN: usize = 160;
/// In an input of [`check_metadata`], what stands behind the metadata begins at a multiple of this.
pub(crate) const ROOM: usize = 4096;

/// A file with this metadata and a header that fits it; `behind` follows at once. Not signed.
pub(crate) fn seal(metadata: &[u8], behind: &[u8]) -> Vec<u8> {
    let length = |length: usize| (length as u64).to_le_bytes();
    let whole = HEADER_LEN + metadata.len() + behind.len();
    let mut file = b"\x89FLBAOT\n\x02\0\0\0".to_vec();
    file.extend_from_slice(&length(metadata.len())[..4]);
    file.extend_from_slice(&length(whole));
    file.extend_from_slice(&[0; 8]);
    file.extend_from_slice(&Sha256Hex::of(&[&file, metadata]).0);
    file.resize(HEADER_LEN, 0);
    file.extend_from_slice(metadata);
    file.extend_from_slice(behind);
    file
}

/// Any bytes taken as a file: refused with a word of help, or whole in every respect.
pub(crate) fn check_file(file: &[u8]) -> Result<Artifact, ArtifactError> {
    let parsed = Artifact::parse(file.to_vec());
    match &parsed {
        Ok(artifact) => check_accepted(artifact, file),
        Err(error) => assert!(error.to_string().contains("; help: "), "{error}"),
    }
    parsed
}

fn check_accepted(artifact: &Artifact, file: &[u8]) {
    assert_eq!(artifact.bytes(), file);
    check_layout(artifact.metadata(), file);
    for slice in &artifact.metadata().slices {
        check_code(artifact, slice);
    }
    if let Ok(Some(wasm)) = artifact.wasm() {
        assert_eq!(Sha256Hex::of(&[&wasm]), artifact.metadata().source.sha256);
    }
    check_choice(artifact);
    check_damaged(artifact);
    check_signed(artifact.clone());
}

/// The file is its header, its metadata and its parts, with zeros between them and nothing else.
fn check_layout(metadata: &Metadata, file: &[u8]) {
    let metadata_len = u32::from_le_bytes([file[12], file[13], file[14], file[15]]);
    let (head, _) = file.split_at(HEADER_LEN + metadata_len as usize);
    let digest = Sha256Hex::of(&[&head[..32], &head[HEADER_LEN..]]);
    assert_eq!(head[32..64], digest.0);
    assert_eq!(
        serde_json::from_slice::<Metadata>(&head[HEADER_LEN..]).ok().as_ref(),
        Some(metadata)
    );
    let mut expected = head.to_vec();
    assert!(!metadata.slices.is_empty());
    let slices = metadata.slices.iter().map(|slice| &slice.code);
    for place in slices.chain(&metadata.source.embedded) {
        assert!(place.offset >= expected.len() as u64 && place.offset % place.align == 0);
        let part = part(place, file).expect("a part is within its file");
        assert_eq!(Sha256Hex::of(&[part]), place.sha256);
        expected.resize(place.offset as usize, 0);
        expected.extend_from_slice(part);
    }
    assert!(expected == file, "the file has more than its parts");
}

fn part<'a>(place: &Stored, file: &'a [u8]) -> Option<&'a [u8]> {
    let start = usize::try_from(place.offset).ok()?;
    let length = usize::try_from(place.length).ok()?;
    file.get(start..)?.get(..length)
}

fn check_code(artifact: &Artifact, slice: &Slice) {
    match artifact.code(slice) {
        Ok(code) => assert_eq!(code.len() as u64, slice.code.size),
        Err(error) => assert!(matches!(error, ArtifactError::Corrupt { .. }), "{error}"),
    }
}

/// What is chosen for this host can run here.
fn check_choice(artifact: &Artifact) {
    let host = Host::detect();
    let chosen = artifact.clone().verify(
        &host,
        &[("wasmtime", "48.0.8"), ("wasmi", "2.0.0")],
        &Trust::anyone(),
    );
    match chosen {
        Ok(chosen) => {
            let slice = chosen.slice();
            assert!(host.runs(&slice.target) && host.missing(&slice.features).is_empty());
            assert!(slice.engine.version.starts_with("48.0."));
        }
        Err(error) => assert!(error.to_string().contains("; help: "), "{error}"),
    }
}

/// A bit flipped somewhere, a byte too few, a byte too many: refused.
fn check_damaged(artifact: &Artifact) {
    let file = artifact.bytes();
    let digest = artifact.digest().0;
    let at = u16::from_le_bytes([digest[0], digest[1]]) as usize % file.len();
    let mut flipped = file.to_vec();
    flipped[at] ^= 1 << (digest[2] % 8);
    let shorter = &file[..file.len() - 1];
    let longer = [file, &[0]].concat();
    for damaged in [&flipped, shorter, &longer] {
        assert!(Artifact::parse(damaged.to_vec()).is_err(), "byte {at} or the length");
    }
}

/// A signature adds a signer and changes nothing else.
fn check_signed(mut artifact: Artifact) {
    let before = artifact.digest();
    let key = SecretKey::from_random([7; 32]);
    artifact.sign(&key);
    let again = Artifact::parse(artifact.bytes().to_vec()).expect("a signature is as good as none");
    assert_eq!((again.signer(), again.digest()), (Some(key.public()), before));
    assert_eq!(again.metadata(), artifact.metadata());
}

/// Any bytes taken as metadata, a zero byte, and what stands behind the metadata: first with the
/// header made right, then, if the metadata means anything, with the digests of its parts as well.
/// The metadata is filled up with blanks, so that offsets stay what they are when it grows.
pub(crate) fn check_metadata(input: &[u8]) -> Result<Artifact, ArtifactError> {
    let end = input.iter().position(|byte| *byte == 0).unwrap_or(input.len());
    let (json, behind) = (&input[..end], input.get(end + 1..).unwrap_or_default());
    let refused = match check_file(&seal(&filled_up(json.to_vec()), behind)) {
        Err(error) => error,
        accepted => return accepted,
    };
    let Ok(mut metadata) = serde_json::from_slice::<Metadata>(json) else {
        return Err(refused);
    };
    let blank = seal(&filled_up(to_json(&metadata)), behind);
    let slices = metadata.slices.iter_mut().map(|slice| &mut slice.code);
    for place in slices.chain(&mut metadata.source.embedded) {
        if let Some(part) = part(place, &blank) {
            place.sha256 = Sha256Hex::of(&[part]);
        }
    }
    check_file(&seal(&filled_up(to_json(&metadata)), behind))
}

fn to_json(metadata: &Metadata) -> Vec<u8> {
    serde_json::to_vec(metadata).expect("what was read from JSON can be written")
}

fn filled_up(mut json: Vec<u8>) -> Vec<u8> {
    let length = (HEADER_LEN + json.len()).next_multiple_of(ROOM) - HEADER_LEN;
    json.resize(length, b' ');
    json
}
