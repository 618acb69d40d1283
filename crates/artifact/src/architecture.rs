//! Architectures: those that have native code, and the portable code of the engine's interpreter.

use std::str::FromStr;

use target_lexicon::{Aarch64Architecture, Architecture as Arch, Endianness, PointerWidth, Triple};

/// What kinds of code there are: native code of an architecture, and the portable code of Pulley, the engine's own
/// interpreter, for machines without a native back end. Portable code only depends on the width of an address and on
/// the order of bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Architecture {
    /// 64-bit x86.
    X86_64,
    /// 64-bit Arm.
    Aarch64,
    /// 64-bit RISC-V with the G and C extensions.
    Riscv64,
    /// IBM Z.
    S390x,
    /// Portable code for 32-bit machines.
    Pulley32,
    /// Portable code for 32-bit machines with the most significant byte first.
    Pulley32be,
    /// Portable code for 64-bit machines.
    Pulley64,
    /// Portable code for 64-bit machines with the most significant byte first.
    Pulley64be,
}

impl Architecture {
    /// Every architecture.
    pub const ALL: [Architecture; 8] = [
        Self::X86_64,
        Self::Aarch64,
        Self::Riscv64,
        Self::S390x,
        Self::Pulley32,
        Self::Pulley32be,
        Self::Pulley64,
        Self::Pulley64be,
    ];

    /// The name that `--target` takes.
    pub fn name(self) -> &'static str {
        match self {
            Self::X86_64 => "x86_64",
            Self::Aarch64 => "aarch64",
            Self::Riscv64 => "riscv64",
            Self::S390x => "s390x",
            Self::Pulley32 => "pulley32",
            Self::Pulley32be => "pulley32be",
            Self::Pulley64 => "pulley64",
            Self::Pulley64be => "pulley64be",
        }
    }

    /// Whether code is portable: interpreted, about 26 times slower than native code.
    pub fn is_portable(self) -> bool {
        match self {
            Self::X86_64 | Self::Aarch64 | Self::Riscv64 | Self::S390x => false,
            Self::Pulley32 | Self::Pulley32be | Self::Pulley64 | Self::Pulley64be => true,
        }
    }

    /// Whether addresses have 32 bits.
    pub fn is_32_bit(self) -> bool {
        matches!(self, Self::Pulley32 | Self::Pulley32be)
    }

    /// What code for this machine is: native, or portable where there is no native back end.
    pub fn host() -> Option<Self> {
        Self::of(&Triple::host())
    }

    /// The portable code that runs on this machine.
    pub fn portable_host() -> Option<Self> {
        Self::portable(&Triple::host())
    }

    /// What code for a target triple is. `None`: no code can be made for it.
    pub fn of_triple(triple: &str) -> Option<Self> {
        Self::of(&Triple::from_str(triple).ok()?)
    }

    pub(crate) fn of(triple: &Triple) -> Option<Self> {
        match triple.architecture {
            Arch::X86_64 => Some(Self::X86_64),
            Arch::Aarch64(Aarch64Architecture::Aarch64) => Some(Self::Aarch64),
            Arch::Riscv64(_) => Some(Self::Riscv64),
            Arch::S390x => Some(Self::S390x),
            Arch::Aarch64(_)
            | Arch::Arm(_)
            | Arch::LoongArch64
            | Arch::Mips32(_)
            | Arch::Mips64(_)
            | Arch::Powerpc
            | Arch::Powerpc64
            | Arch::Powerpc64le
            | Arch::Pulley32
            | Arch::Pulley32be
            | Arch::Pulley64
            | Arch::Pulley64be
            | Arch::Riscv32(_)
            | Arch::Sparc
            | Arch::Sparc64
            | Arch::X86_32(_)
            | Arch::XTensa => Self::portable(triple),
            _ => None,
        }
    }

    /// The portable code that runs on machines of this kind.
    pub(crate) fn portable(triple: &Triple) -> Option<Self> {
        match (triple.pointer_width().ok()?, triple.endianness().ok()?) {
            (PointerWidth::U32, Endianness::Little) => Some(Self::Pulley32),
            (PointerWidth::U32, Endianness::Big) => Some(Self::Pulley32be),
            (PointerWidth::U64, Endianness::Little) => Some(Self::Pulley64),
            (PointerWidth::U64, Endianness::Big) => Some(Self::Pulley64be),
            (PointerWidth::U16, _) => None,
        }
    }

    /// The triple that the bare name stands for: Linux, or no system at all.
    pub(crate) fn triple(self) -> Triple {
        let text = match self {
            Self::X86_64 => "x86_64-unknown-linux-gnu",
            Self::Aarch64 => "aarch64-unknown-linux-gnu",
            Self::Riscv64 => "riscv64gc-unknown-linux-gnu",
            Self::S390x => "s390x-unknown-linux-gnu",
            portable => portable.name(),
        };
        Triple::from_str(text).expect("a constant, tested below")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_architecture_has_a_triple() {
        for architecture in Architecture::ALL {
            let triple = architecture.triple();
            assert_eq!(Architecture::of(&triple), Some(architecture));
            assert_eq!(Architecture::of_triple(&triple.to_string()), Some(architecture));
        }
    }
}
