//! What code is compiled for: from the words of a command line to a triple, a CPU and its features.

use std::fmt;
use std::str::FromStr;

use target_lexicon::{Architecture as Arch, OperatingSystem, Triple};

use crate::cpu::{CpuTable, Feature};

/// An architecture with a native back end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Architecture {
    /// 64-bit x86.
    X86_64,
    /// 64-bit Arm.
    Aarch64,
    /// 64-bit RISC-V with the G and C extensions.
    Riscv64,
    /// IBM Z.
    S390x,
}

impl Architecture {
    /// Every architecture.
    pub const ALL: [Architecture; 4] = [Self::X86_64, Self::Aarch64, Self::Riscv64, Self::S390x];

    /// The name that `--target` takes.
    pub fn name(self) -> &'static str {
        match self {
            Self::X86_64 => "x86_64",
            Self::Aarch64 => "aarch64",
            Self::Riscv64 => "riscv64",
            Self::S390x => "s390x",
        }
    }

    /// This machine's, if code can be compiled for it.
    pub fn host() -> Option<Self> {
        Self::of(&Triple::host())
    }

    fn of(triple: &Triple) -> Option<Self> {
        match triple.architecture {
            Arch::X86_64 => Some(Self::X86_64),
            Arch::Aarch64(_) => Some(Self::Aarch64),
            Arch::Riscv64(_) => Some(Self::Riscv64),
            Arch::S390x => Some(Self::S390x),
            _ => None,
        }
    }

    fn linux_triple(self) -> Triple {
        let text = match self {
            Self::X86_64 => "x86_64-unknown-linux-gnu",
            Self::Aarch64 => "aarch64-unknown-linux-gnu",
            Self::Riscv64 => "riscv64gc-unknown-linux-gnu",
            Self::S390x => "s390x-unknown-linux-gnu",
        };
        Triple::from_str(text).expect("a constant, tested below")
    }
}

/// What code is compiled for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Target {
    /// As the user named it, or the host's architecture.
    pub name: String,
    /// The triple it stands for.
    pub triple: Triple,
    /// The architecture with its tables.
    pub architecture: Architecture,
    /// The CPU's name, or `native`.
    pub cpu_name: String,
    /// CPU features beyond the baseline, sorted.
    pub features: Vec<String>,
}

/// Why the words of a command line name no target.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum TargetError {
    /// No such target.
    #[error("unknown target '{name}'")]
    Unknown {
        /// What was given.
        name: String,
    },
    /// A real target, without a native back end.
    #[error("target '{name}' has no native back end")]
    NoBackEnd {
        /// What was given.
        name: String,
    },
    /// No such CPU on that architecture.
    #[error("unknown CPU '{name}' for {architecture}")]
    Cpu {
        /// What was given.
        name: String,
        /// Whose table was asked.
        architecture: &'static str,
    },
    /// No such CPU feature on that architecture.
    #[error("unknown CPU feature '{name}' for {architecture}")]
    Feature {
        /// What was given.
        name: String,
        /// Whose table was asked.
        architecture: &'static str,
    },
    /// A feature without `+` or `-`.
    #[error("CPU feature '{name}' needs a '+' or a '-' before it")]
    Sign {
        /// What was given.
        name: String,
    },
    /// `native` for an architecture that is not this host's.
    #[error("CPU 'native' is this host's, and the target is {architecture}")]
    NotNative {
        /// The target's architecture.
        architecture: &'static str,
    },
}

/// Names of 32-bit and other targets that users of the original compiler know.
const NO_BACK_END: [&str; 8] =
    ["arm", "thumb", "i386", "i686", "riscv32", "mips", "xtensa", "powerpc"];

impl Target {
    /// This machine, with all features of its CPU. `None` where there is no native back end.
    pub fn host() -> Option<Self> {
        let architecture = Architecture::host()?;
        Some(Self {
            name: architecture.name().to_owned(),
            triple: Triple::host(),
            architecture,
            cpu_name: "native".to_owned(),
            features: owned(&Feature::detect()),
        })
    }

    /// The target that `--target`, `--cpu` and `--cpu-features` name together.
    pub fn parse(
        name: &str,
        cpu: Option<&str>,
        features: Option<&str>,
    ) -> Result<Self, TargetError> {
        let (architecture, triple, mut set) = parse_name(name)?;
        let table = CpuTable::of(architecture);
        let cpu_name = match cpu {
            None => table.cpus[0].name,
            Some("native") if Architecture::host() == Some(architecture) => {
                set.extend(Feature::detect());
                "native"
            }
            Some("native") => {
                return Err(TargetError::NotNative { architecture: architecture.name() });
            }
            Some(cpu) => {
                let row = table.cpu(cpu).ok_or_else(|| TargetError::Cpu {
                    name: cpu.to_owned(),
                    architecture: architecture.name(),
                })?;
                set.extend(row.features);
                cpu
            }
        };
        toggle(&mut set, features.unwrap_or_default(), architecture)?;
        set.sort_unstable();
        set.dedup();
        Ok(Self {
            name: name.to_owned(),
            triple,
            architecture,
            cpu_name: cpu_name.to_owned(),
            features: owned(&set),
        })
    }

    /// The code generator's flags for the features.
    pub fn flags(&self) -> impl Iterator<Item = &'static str> {
        let table = CpuTable::of(self.architecture);
        self.features.iter().filter_map(|name| table.feature(name)).map(|feature| feature.flag)
    }

    /// The greatest page size that systems of this kind use, in bytes.
    pub fn page_size(&self) -> u64 {
        match (self.architecture, self.triple.operating_system) {
            (Architecture::Aarch64, OperatingSystem::Linux) => 64 << 10,
            (Architecture::Aarch64, _) => 16 << 10,
            _ => 4 << 10,
        }
    }
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.name)
    }
}

fn owned(names: &[&str]) -> Vec<String> {
    names.iter().map(|name| (*name).to_owned()).collect()
}

type Parsed = (Architecture, Triple, Vec<&'static str>);

/// `x86_64`, `aarch64v8.2`, or a full triple.
fn parse_name(name: &str) -> Result<Parsed, TargetError> {
    if name.contains('-') {
        return parse_triple(name);
    }
    if let Some(architecture) = Architecture::ALL.into_iter().find(|known| known.name() == name) {
        return Ok((architecture, architecture.linux_triple(), Vec::new()));
    }
    if name == "amd64" || name == "arm64" {
        let architecture =
            if name == "amd64" { Architecture::X86_64 } else { Architecture::Aarch64 };
        return Ok((architecture, architecture.linux_triple(), Vec::new()));
    }
    if let Some(version) = name.strip_prefix("aarch64v8") {
        let features: &[&str] = match version.strip_prefix('.').unwrap_or(version) {
            "" | "0" => &[],
            "1" | "2" => &["lse"],
            "3" => &["lse", "pauth"],
            "4" | "5" => &["dotprod", "lse", "pauth"],
            "6" | "7" | "8" => &["dotprod", "i8mm", "lse", "pauth"],
            _ => return Err(TargetError::Unknown { name: name.to_owned() }),
        };
        return Ok((
            Architecture::Aarch64,
            Architecture::Aarch64.linux_triple(),
            features.to_vec(),
        ));
    }
    Err(refusal(name))
}

fn parse_triple(name: &str) -> Result<Parsed, TargetError> {
    let triple = Triple::from_str(name).map_err(|_| refusal(name))?;
    let architecture = Architecture::of(&triple).ok_or_else(|| refusal(name))?;
    match triple.operating_system {
        OperatingSystem::Linux
        | OperatingSystem::Windows
        | OperatingSystem::Darwin(_)
        | OperatingSystem::MacOSX(_) => Ok((architecture, triple, Vec::new())),
        _ => Err(refusal(name)),
    }
}

fn refusal(name: &str) -> TargetError {
    let known = NO_BACK_END.iter().any(|prefix| name.starts_with(prefix));
    let name = name.to_owned();
    if known { TargetError::NoBackEnd { name } } else { TargetError::Unknown { name } }
}

/// Applies `+lse,-avx2`.
fn toggle(
    set: &mut Vec<&'static str>,
    features: &str,
    architecture: Architecture,
) -> Result<(), TargetError> {
    for word in features.split(',').filter(|word| !word.is_empty()) {
        let (on, name) = match word.split_at_checked(1) {
            Some(("+", name)) => (true, name),
            Some(("-", name)) => (false, name),
            _ => return Err(TargetError::Sign { name: word.to_owned() }),
        };
        let feature = CpuTable::of(architecture).feature(name).ok_or_else(|| {
            TargetError::Feature { name: name.to_owned(), architecture: architecture.name() }
        })?;
        set.retain(|known| *known != feature.name);
        if on {
            set.push(feature.name);
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(name: &str, cpu: Option<&str>, features: Option<&str>, expected: &str) {
        let shown = match Target::parse(name, cpu, features) {
            Ok(target) => {
                format!("{} {} {}", target.triple, target.cpu_name, target.features.join(","))
            }
            Err(error) => error.to_string(),
        };
        assert_eq!(shown, expected);
    }

    #[test]
    fn words_name_targets() {
        check("x86_64", None, None, "x86_64-unknown-linux-gnu x86-64 ");
        check("aarch64v8", Some("cortex-a57"), None, "aarch64-unknown-linux-gnu cortex-a57 ");
        check(
            "aarch64",
            Some("cortex-a76"),
            Some("-fp16,+i8mm"),
            "aarch64-unknown-linux-gnu cortex-a76 dotprod,i8mm,lse",
        );
        check("aarch64v8.1", None, None, "aarch64-unknown-linux-gnu generic lse");
        check(
            "x86_64-pc-windows-msvc",
            Some("x86-64-v2"),
            Some("-sse42"),
            "x86_64-pc-windows-msvc x86-64-v2 cmpxchg16b,popcnt,sse3,sse41,ssse3",
        );
        check("riscv64", None, None, "riscv64gc-unknown-linux-gnu generic-rv64 ");
        check("s390x", Some("z15"), None, "s390x-unknown-linux-gnu z15 mie3,vxrs_ext2");
    }

    #[test]
    fn wrong_words_are_refused() {
        check("foo", None, None, "unknown target 'foo'");
        check("armv7a", None, None, "target 'armv7a' has no native back end");
        check("aarch64v9x", None, None, "unknown target 'aarch64v9x'");
        check("x86_64-unknown-none", None, None, "unknown target 'x86_64-unknown-none'");
        check("x86_64", Some("cortex-a57"), None, "unknown CPU 'cortex-a57' for x86_64");
        check("x86_64", None, Some("+lse"), "unknown CPU feature 'lse' for x86_64");
        check("x86_64", None, Some("avx"), "CPU feature 'avx' needs a '+' or a '-' before it");
        check(
            "s390x",
            Some("native"),
            None,
            "CPU 'native' is this host's, and the target is s390x",
        );
    }

    #[test]
    fn every_architecture_has_a_linux_triple() {
        for architecture in Architecture::ALL {
            assert_eq!(Architecture::of(&architecture.linux_triple()), Some(architecture));
        }
    }
}
