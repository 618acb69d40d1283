//! The container's fixed numbers.

/// The first eight bytes of every artifact.
pub const MAGIC: [u8; 8] = *b"\x89FLBAOT\n";
/// The format version that this crate reads and writes.
pub const FORMAT_VERSION: u32 = 1;

/// Bytes before the metadata.
pub(crate) const HEADER_LEN: usize = 64;
/// The part of the header that the digest covers, beside the metadata.
pub(crate) const HASHED_LEN: usize = 32;
/// Greatest length of the metadata.
pub(crate) const MAX_METADATA: usize = 1 << 20;
/// Greatest alignment of a slice.
pub(crate) const MAX_ALIGN: u64 = 1 << 20;
