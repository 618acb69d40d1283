//! The container's fixed numbers.

use std::ops::Range;

/// The first eight bytes of every artifact.
pub const MAGIC: [u8; 8] = *b"\x89FLBAOT\n";
/// The format version that this crate reads and writes.
pub const FORMAT_VERSION: u32 = 2;

/// Bytes before the metadata.
pub(crate) const HEADER_LEN: usize = 160;
/// The part of the header that the digest covers, beside the metadata.
pub(crate) const HASHED_LEN: usize = 32;
/// Bytes that are zero in this version.
pub(crate) const RESERVED: Range<usize> = 24..32;
/// Where the digest is.
pub(crate) const DIGEST: Range<usize> = 32..64;
/// Where the signer's public key is, or zeros.
pub(crate) const SIGNER: Range<usize> = 64..96;
/// Where the signature over the digest is, or zeros.
pub(crate) const SIGNATURE: Range<usize> = 96..160;
/// Greatest length of the metadata: a million exports and a million imports fit, as many as a module may have.
pub(crate) const MAX_METADATA: usize = 256 << 20;
/// Greatest alignment of a slice.
pub(crate) const MAX_ALIGN: u64 = 1 << 20;
/// Greatest length of anything compressed, once it is unpacked.
pub(crate) const MAX_UNPACKED: u64 = 1 << 30;
