//! Architectures: those that have native code, and the portable code of the interpreter.

use std::str::FromStr;

use target_lexicon::{Aarch64Architecture, Architecture as Arch, Triple};

/// The name of portable code, as `--target` and artifacts have it.
pub(crate) const PORTABLE: &str = "portable";

/// What kinds of code there are: native code of an architecture, and portable code, which an interpreter runs on every
/// machine.
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
    /// No machine's: WebAssembly.
    Portable,
}

impl Architecture {
    /// Every architecture.
    pub const ALL: [Architecture; 5] =
        [Self::X86_64, Self::Aarch64, Self::Riscv64, Self::S390x, Self::Portable];

    /// The name that `--target` takes.
    pub fn name(self) -> &'static str {
        match self {
            Self::X86_64 => "x86_64",
            Self::Aarch64 => "aarch64",
            Self::Riscv64 => "riscv64",
            Self::S390x => "s390x",
            Self::Portable => PORTABLE,
        }
    }

    /// Whether code is portable: interpreted, and several times slower than native code.
    pub fn is_portable(self) -> bool {
        self == Self::Portable
    }

    /// What code for this machine is: native, or portable where there is no native back end.
    pub fn host() -> Option<Self> {
        Self::of(&Triple::host())
    }

    /// What code for a target is that an artifact names. `None`: no code can be made for it.
    pub fn of_target(target: &str) -> Option<Self> {
        if target == PORTABLE {
            return Some(Self::Portable);
        }
        Self::of(&Triple::from_str(target).ok()?)
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
            | Arch::Riscv32(_)
            | Arch::Sparc
            | Arch::Sparc64
            | Arch::X86_32(_)
            | Arch::XTensa => Some(Self::Portable),
            _ => None,
        }
    }

    /// The triple that the bare name stands for: Linux, or of portable code nothing at all.
    pub(crate) fn triple(self) -> Triple {
        let text = match self {
            Self::X86_64 => "x86_64-unknown-linux-gnu",
            Self::Aarch64 => "aarch64-unknown-linux-gnu",
            Self::Riscv64 => "riscv64gc-unknown-linux-gnu",
            Self::S390x => "s390x-unknown-linux-gnu",
            Self::Portable => return Triple::unknown(),
        };
        Triple::from_str(text).expect("a constant, tested below")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_architecture_has_a_triple() {
        for architecture in Architecture::ALL.into_iter().filter(|known| !known.is_portable()) {
            let triple = architecture.triple();
            assert_eq!(Architecture::of(&triple), Some(architecture));
            assert_eq!(Architecture::of_target(&triple.to_string()), Some(architecture));
        }
        assert_eq!(Architecture::of_target("portable"), Some(Architecture::Portable));
    }

    #[test]
    fn the_portable_code_of_former_releases_is_none() {
        for target in ["pulley32", "pulley64be"] {
            assert_eq!(Architecture::of_target(target), None);
        }
    }
}
