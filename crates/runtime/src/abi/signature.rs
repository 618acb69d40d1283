//! The types of functions, and which of them filters have.

use std::fmt;

use flb_artifact::{Export, Interface, ValueType, is_batch_function};

/// What a filter's function is given, each a number of 32 bits: the tag's address and length, seconds, nanoseconds, the
/// record's address and length.
pub(crate) const PARAMETERS: [&str; 6] = ["tag", "tag_len", "sec", "nsec", "record", "record_len"];

/// As many numbers.
pub(super) type Arguments = (u32, u32, u32, u32, u32, u32);

/// A function's type.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Signature {
    /// Types of the parameters.
    pub params: Vec<ValueType>,
    /// Types of the results.
    pub results: Vec<ValueType>,
}

impl Signature {
    /// The type of an exported function.
    pub(crate) fn of(export: &Export) -> Self {
        Self { params: export.params.clone(), results: export.results.clone() }
    }
}

impl fmt::Display for Signature {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let write = |f: &mut fmt::Formatter<'_>, types: &[ValueType]| {
            f.write_str("(")?;
            for (index, ty) in types.iter().enumerate() {
                let comma = if index == 0 { "" } else { ", " };
                write!(f, "{comma}{ty}")?;
            }
            f.write_str(")")
        };
        write(f, &self.params)?;
        f.write_str(" -> ")?;
        write(f, &self.results)
    }
}

/// The ways to call a filter. The first two get the same six arguments, and `ABI_Version` numbers them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Abi {
    /// The function returns its answer's address; the answer itself says where it ends.
    One,
    /// The function returns `length << 32 | address`.
    Two,
    /// The function is called with the address of many records at once; see `docs/batch-abi.md`.
    Batch,
}

impl Abi {
    const ALL: [Self; 3] = [Self::One, Self::Two, Self::Batch];

    /// The ABI of this number.
    pub fn numbered(number: u8) -> Option<Self> {
        Self::ALL.into_iter().find(|abi| abi.number() == Some(number))
    }

    /// Its number, if it is one of those with six arguments.
    pub fn number(self) -> Option<u8> {
        match self {
            Self::One => Some(1),
            Self::Two => Some(2),
            Self::Batch => None,
        }
    }

    /// The type of a function that speaks it.
    pub fn signature(self) -> Signature {
        let (params, result) = match self {
            Self::One => (PARAMETERS.len(), ValueType::I32),
            Self::Two => (PARAMETERS.len(), ValueType::I64),
            Self::Batch => (1, ValueType::I32),
        };
        Signature { params: vec![ValueType::I32; params], results: vec![result] }
    }

    /// The ABI that an exported function speaks, if any. That of batches is spoken only by modules that say so.
    pub fn of(export: &Export, interface: &Interface) -> Option<Self> {
        let found = Signature::of(export);
        let speaks = |abi: &Self| {
            *abi != Self::Batch || is_batch_function(export) && interface.speaks_batch() == Ok(true)
        };
        Self::ALL.into_iter().find(|abi| abi.signature() == found && speaks(abi))
    }
}

impl fmt::Display for Abi {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.number() {
            Some(number) => write!(f, "ABI version {number}"),
            None => f.write_str("the batch ABI"),
        }
    }
}
