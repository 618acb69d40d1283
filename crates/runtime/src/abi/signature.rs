//! The types of functions, and which of them filters have.

use std::fmt;

use flb_artifact::{Export, ValueType};

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

/// The ways to call a filter, as `ABI_Version` numbers them. All get the same six arguments.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Abi {
    /// The function returns its answer's address; the answer itself says where it ends.
    One,
    /// The function returns `length << 32 | address`.
    Two,
}

impl Abi {
    const ALL: [Self; 2] = [Self::One, Self::Two];

    /// The ABI of this number.
    pub fn numbered(number: u8) -> Option<Self> {
        Self::ALL.into_iter().find(|abi| abi.number() == number)
    }

    /// Its number.
    pub fn number(self) -> u8 {
        match self {
            Self::One => 1,
            Self::Two => 2,
        }
    }

    /// The type of a function that speaks it.
    pub fn signature(self) -> Signature {
        let result = match self {
            Self::One => ValueType::I32,
            Self::Two => ValueType::I64,
        };
        Signature { params: vec![ValueType::I32; PARAMETERS.len()], results: vec![result] }
    }

    /// The ABI that an exported function speaks, if any.
    pub fn of(export: &Export) -> Option<Self> {
        let found = Signature::of(export);
        Self::ALL.into_iter().find(|abi| abi.signature() == found)
    }
}
