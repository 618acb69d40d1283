//! How a filter is called. What the module exports decides: the function's type says which ABI it speaks.

mod record;

use flb_artifact::{Export, Interface, ValueType};

use crate::{LoadError, Signature};

pub(crate) use record::{Function, Returned};

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
        Signature { params: vec![ValueType::I32; 6], results: vec![result] }
    }

    /// The ABI that an exported function speaks, if any.
    pub fn of(export: &Export) -> Option<Self> {
        let found = signature(export);
        Self::ALL.into_iter().find(|abi| abi.signature() == found)
    }
}

fn signature(export: &Export) -> Signature {
    Signature { params: export.params.clone(), results: export.results.clone() }
}

/// The function must be there and speak an ABI, the one that was asked for if one was.
pub(crate) fn check(
    interface: &Interface,
    name: &str,
    wanted: Option<Abi>,
) -> Result<(), LoadError> {
    let Some(export) = interface.exports.iter().find(|export| export.name == name) else {
        return Err(LoadError::FunctionMissing {
            name: name.to_owned(),
            exports: interface.exports.iter().map(|export| export.name.clone()).collect(),
            near: nearest(interface, name),
        });
    };
    let name = name.to_owned();
    match (Abi::of(export), wanted) {
        (None, _) => Err(LoadError::FunctionType { name, found: signature(export) }),
        (Some(found), Some(wanted)) if found != wanted => {
            Err(LoadError::AbiVersion { name, found, wanted })
        }
        (Some(_), _) => Ok(()),
    }
}

/// The export that was probably meant: the same but for case and `_` or `-`, or the only one with a filter's type.
fn nearest(interface: &Interface, name: &str) -> Option<String> {
    let plain = |name: &str| -> String {
        name.chars().filter(char::is_ascii_alphanumeric).map(|c| c.to_ascii_lowercase()).collect()
    };
    let same = interface.exports.iter().find(|export| plain(&export.name) == plain(name));
    let mut filters = interface.exports.iter().filter(|export| Abi::of(export).is_some());
    let only = filters.next().filter(|_| filters.next().is_none());
    same.or(only).map(|export| export.name.clone())
}
