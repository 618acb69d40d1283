//! What code is compiled for: from the words of a command line to a triple, a CPU and its features.

use std::fmt;
use std::str::FromStr;

use target_lexicon::{OperatingSystem, Triple};

use crate::architecture::{Architecture, PORTABLE};
use crate::cpu::{CpuTable, Meaning};
use crate::detect;

/// The names that `--target=help` lists: those with native code, then those with portable code. Every triple of a
/// known architecture is a name as well.
pub const TARGET_NAMES: [&str; 80] = [
    "x86_64",
    "aarch64",
    "aarch64v8",
    "aarch64v8.1",
    "aarch64v8.2",
    "aarch64v8.3",
    "aarch64v8.4",
    "aarch64v8.5",
    "aarch64v8.6",
    "aarch64v8.7",
    "aarch64v8.8",
    "riscv64",
    "s390x",
    "x86_64-pc-windows-msvc",
    "aarch64-pc-windows-msvc",
    "x86_64-apple-darwin",
    "aarch64-apple-darwin",
    "amd64",
    "arm64",
    "arm64v8",
    "linux/amd64",
    "linux/arm64",
    "arm",
    "armv4",
    "armv4t",
    "armv5t",
    "armv5te",
    "armv5tej",
    "armv6",
    "armv6k",
    "armv6kz",
    "armv6m",
    "armv6sm",
    "armv6t2",
    "armv7",
    "armv7a",
    "armv7em",
    "armv7m",
    "armv7r",
    "armv8",
    "armv8m.base",
    "armv8m.main",
    "armv8r",
    "armv8.1m.main",
    "armeb",
    "armel",
    "armhf",
    "linux/arm/v7",
    "thumb",
    "thumbv4",
    "thumbv4t",
    "thumbv5t",
    "thumbv5te",
    "thumbv5tej",
    "thumbv6",
    "thumbv6k",
    "thumbv6kz",
    "thumbv6m",
    "thumbv6sm",
    "thumbv6t2",
    "thumbv7",
    "thumbv7em",
    "thumbv8",
    "thumbv8m.base",
    "thumbv8m.main",
    "thumbv8.1m.main",
    "aarch64_be",
    "i386",
    "i686",
    "loongarch64",
    "mips",
    "mipsel",
    "mips64",
    "mips64el",
    "powerpc",
    "powerpc64",
    "powerpc64le",
    "riscv32",
    "xtensa",
    "portable",
];

/// What may follow `arm` and `thumb`.
const ARM_VERSIONS: [&str; 30] = [
    "",
    "v4",
    "v4t",
    "v5",
    "v5t",
    "v5te",
    "v5tej",
    "v6",
    "v6k",
    "v6kz",
    "v6l",
    "v6m",
    "v6sm",
    "v6t2",
    "v7",
    "v7a",
    "v7em",
    "v7hl",
    "v7k",
    "v7l",
    "v7m",
    "v7neon",
    "v7r",
    "v7s",
    "v7ve",
    "v8",
    "v8m.base",
    "v8m.main",
    "v8r",
    "v8.1m.main",
];

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
    /// A real target that nothing here can run on.
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
    /// A feature that cannot be switched off.
    #[error("CPU feature '{name}' is part of every {architecture}")]
    Baseline {
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

impl Target {
    /// This machine, with all features of its CPU; portable code where there is no native back end.
    pub fn host() -> Option<Self> {
        let architecture = Architecture::host()?;
        if architecture.is_portable() {
            return Some(Self::portable(architecture.name(), architecture));
        }
        Some(Self {
            name: architecture.name().to_owned(),
            triple: Triple::host(),
            architecture,
            cpu_name: "native".to_owned(),
            features: owned(&detect::features()),
        })
    }

    fn portable(name: &str, architecture: Architecture) -> Self {
        Self {
            name: name.to_owned(),
            triple: architecture.triple(),
            architecture,
            cpu_name: CpuTable::of(architecture).cpus[0].name.to_owned(),
            features: Vec::new(),
        }
    }

    /// The target that `--target`, `--cpu` and `--cpu-features` name together. Portable code is the same for every
    /// CPU, so CPUs and features of portable targets are not looked at.
    pub fn parse(
        name: &str,
        cpu: Option<&str>,
        features: Option<&str>,
    ) -> Result<Self, TargetError> {
        let (architecture, triple, mut set) = parse_name(name)?;
        if architecture.is_portable() {
            return Ok(Self::portable(name, architecture));
        }
        let table = CpuTable::of(architecture);
        let cpu_name = match cpu {
            None => table.cpus[0].name,
            Some("native") if Architecture::host() == Some(architecture) => {
                set.extend(detect::features());
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

    /// What artifacts call it: its triple, or that it is portable.
    pub fn slice_name(&self) -> String {
        if self.is_portable() { PORTABLE.to_owned() } else { self.triple.to_string() }
    }

    /// Whether code is portable: interpreted, and several times slower than native code.
    pub fn is_portable(&self) -> bool {
        self.architecture.is_portable()
    }

    /// The code generator's flags for the features.
    pub fn flags(&self) -> impl Iterator<Item = &'static str> {
        let table = CpuTable::of(self.architecture);
        self.features.iter().filter_map(|name| table.feature(name)).map(|feature| feature.flag)
    }

    /// The greatest page size that systems of this kind use, in bytes. Nobody maps portable code.
    pub fn page_size(&self) -> u64 {
        match (self.architecture, self.triple.operating_system) {
            (Architecture::Aarch64, OperatingSystem::Linux) => 64 << 10,
            (Architecture::Portable, _) => 1,
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

/// `x86_64`, `aarch64v8.2`, `armv7`, `linux/arm64`, or a full triple.
fn parse_name(name: &str) -> Result<Parsed, TargetError> {
    if name.contains('/') {
        return parse_platform(name).ok_or_else(|| refusal(name));
    }
    if let Some(architecture) = parse_word(name) {
        return Ok((architecture, architecture.triple(), Vec::new()));
    }
    if name.contains('-') {
        return parse_triple(name);
    }
    let version = ["aarch64v8", "arm64v8"].iter().find_map(|family| name.strip_prefix(family));
    let features: &[&str] = match version.map(|text| text.strip_prefix('.').unwrap_or(text)) {
        Some("" | "0") => &[],
        Some("1" | "2") => &["lse"],
        Some("3") => &["lse", "pauth"],
        Some("4" | "5") => &["dotprod", "lse", "pauth"],
        Some("6" | "7" | "8") => &["dotprod", "i8mm", "lse", "pauth"],
        _ => return Err(refusal(name)),
    };
    Ok((Architecture::Aarch64, Architecture::Aarch64.triple(), features.to_vec()))
}

/// A platform as container images and Go name it: `linux/amd64/v3`, `linux/arm/v7`, `arm/v7`, `darwin/arm64`.
fn parse_platform(name: &str) -> Option<Parsed> {
    let words: Vec<&str> = name.split('/').collect();
    let (system, machine, version) = match words[..] {
        [machine, version] if version.starts_with('v') => ("linux", machine, version),
        [system, machine] => (system, machine, ""),
        [system, machine, version] => (system, machine, version),
        _ => return None,
    };
    let (architecture, triple, features) = match parse_word(machine)? {
        Architecture::X86_64 if !version.is_empty() => {
            let cpu = CpuTable::of(Architecture::X86_64).cpu(&format!("x86-64-{version}"))?;
            (Architecture::X86_64, Architecture::X86_64.triple(), cpu.features.to_vec())
        }
        _ => parse_name(&format!("{machine}{version}")).ok()?,
    };
    let vendor_and_system = match system {
        "linux" => return Some((architecture, triple, features)),
        "windows" => "pc-windows-msvc",
        "darwin" => "apple-darwin",
        _ => return None,
    };
    let (architecture, triple, _) =
        parse_triple(&format!("{}-{vendor_and_system}", architecture.name())).ok()?;
    Some((architecture, triple, features))
}

/// An architecture by one of the names that people have for it: the kernel, Debian, Fedora, Go, images, other compilers.
fn parse_word(name: &str) -> Option<Architecture> {
    if let Some(known) = Architecture::ALL.into_iter().find(|known| known.name() == name) {
        return Some(known);
    }
    let is_arm = |families: &[&str]| {
        let mut versions = families.iter().filter_map(|family| name.strip_prefix(family));
        versions.any(|version| ARM_VERSIONS.contains(&version))
    };
    if is_arm(&["arm", "arm32", "thumb", "armeb", "thumbeb"]) {
        return Some(Architecture::Portable);
    }
    match name {
        "amd64" | "x64" | "x86-64" => Some(Architecture::X86_64),
        "arm64" => Some(Architecture::Aarch64),
        "riscv64gc" => Some(Architecture::Riscv64),
        "386" | "aarch64_be" | "armel" | "armhf" | "armhfp" | "armv6hf" | "armv7hf" | "armv8l"
        | "i386" | "i486" | "i586" | "i686" | "ia32" | "loong64" | "loongarch64" | "mips"
        | "mips64" | "mips64el" | "mips64le" | "mipsel" | "mipsle" | "powerpc" | "powerpc64"
        | "powerpc64le" | "ppc" | "ppc64" | "ppc64el" | "ppc64le" | "riscv32" | "sparc"
        | "sparc64" | "x86" | "xtensa" => Some(Architecture::Portable),
        _ if name.starts_with("aarch64_bev8") => Some(Architecture::Portable),
        _ => None,
    }
}

fn parse_triple(name: &str) -> Result<Parsed, TargetError> {
    let portable = |architecture: Architecture| (architecture, architecture.triple(), Vec::new());
    let Ok(mut triple) = Triple::from_str(name) else {
        // Names such as armv7em-none-eabi, whose first word is all that matters.
        let word = name.split('-').next().and_then(parse_word);
        let known = word.filter(|architecture| architecture.is_portable());
        return known.map(portable).ok_or_else(|| refusal(name));
    };
    let architecture = Architecture::of(&triple).ok_or_else(|| refusal(name))?;
    if architecture.is_portable() {
        return Ok(portable(architecture));
    }
    let personal = matches!(architecture, Architecture::X86_64 | Architecture::Aarch64);
    triple.operating_system = match triple.operating_system {
        OperatingSystem::Linux => OperatingSystem::Linux,
        OperatingSystem::Windows if personal => OperatingSystem::Windows,
        // One system, and its version is no matter: a loader compares the name that Rust has for it.
        OperatingSystem::Darwin(_) | OperatingSystem::MacOSX(_) if personal => {
            OperatingSystem::Darwin(None)
        }
        _ => return Err(refusal(name)),
    };
    if architecture == Architecture::Riscv64 {
        // Debian leaves the letters out, and a loader compares them.
        triple.architecture = architecture.triple().architecture;
    }
    Ok((architecture, triple, Vec::new()))
}

/// Machines that exist, but on which no code of ours can run.
const NO_BACK_END: [&str; 5] = ["avr", "bpf", "msp430", "nvptx", "wasm"];

fn refusal(name: &str) -> TargetError {
    let known = NO_BACK_END.iter().any(|prefix| name.starts_with(prefix));
    let name = name.to_owned();
    if known { TargetError::NoBackEnd { name } } else { TargetError::Unknown { name } }
}

/// What vectors of RISC-V are.
const VECTORS: &[&str] = &["v", "zvl128b"];

/// Applies `+lse,-avx2`. Names of LLVM's that have another name here, or need none, are understood.
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
        let own;
        let meant =
            match (CpuTable::of(architecture).feature(name), Meaning::of(architecture, name)) {
                (Some(feature), _) => {
                    own = [feature.name];
                    // With vectors comes their least width.
                    if (architecture, name) == (Architecture::Riscv64, "v") {
                        VECTORS
                    } else {
                        &own
                    }
                }
                (None, Some(Meaning::Features(names))) => names,
                (None, Some(Meaning::Baseline)) if !on => {
                    let (name, architecture) = (name.to_owned(), architecture.name());
                    return Err(TargetError::Baseline { name, architecture });
                }
                (None, Some(_)) => continue,
                (None, None) => {
                    let (name, architecture) = (name.to_owned(), architecture.name());
                    return Err(TargetError::Feature { name, architecture });
                }
            };
        set.retain(|known| !meant.contains(known));
        if on {
            set.extend(meant);
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
        check("armv9z", None, None, "unknown target 'armv9z'");
        check("msp430", None, None, "target 'msp430' has no native back end");
        check("wasm32-wasip1", None, None, "target 'wasm32-wasip1' has no native back end");
        check("riscv64-pc-windows-msvc", None, None, "unknown target 'riscv64-pc-windows-msvc'");
        check("aarch64v9x", None, None, "unknown target 'aarch64v9x'");
        check("x86_64-unknown-none", None, None, "unknown target 'x86_64-unknown-none'");
        check("x86_64", Some("cortex-a57"), None, "unknown CPU 'cortex-a57' for x86_64");
        check("x86_64", None, Some("+lse"), "unknown CPU feature 'lse' for x86_64");
        check("x86_64", None, Some("avx"), "CPU feature 'avx' needs a '+' or a '-' before it");
        let is_here = Architecture::host() == Some(Architecture::S390x);
        let other = if is_here { "riscv64" } else { "s390x" };
        let refusal = format!("CPU 'native' is this host's, and the target is {other}");
        check(other, Some("native"), None, &refusal);
    }

    #[test]
    fn names_of_other_tools_mean_what_people_mean() {
        let (x86_64, aarch64) = ("x86_64-unknown-linux-gnu", "aarch64-unknown-linux-gnu");
        let riscv64 = "riscv64gc-unknown-linux-gnu";
        for (names, triple) in [
            ("amd64 x64 x86-64 linux/amd64 linux/amd64/v1 linux/x86_64 x86_64-linux-gnu", x86_64),
            ("arm64 arm64v8 aarch64v8 linux/arm64 linux/arm64/v8 arm64/v8 linux/aarch64", aarch64),
            ("aarch64-linux-gnu", aarch64),
            ("riscv64gc linux/riscv64 riscv64-linux-gnu riscv64-unknown-linux-gnu", riscv64),
            ("s390x linux/s390x s390x-linux-gnu", "s390x-unknown-linux-gnu"),
            (
                "armhf armel armhfp armv6l armv7l armv7hl armv8l arm32v7 linux/arm linux/arm/v7",
                "portable",
            ),
            ("linux/arm/v6 arm/v7 arm-linux-gnueabihf arm-linux-gnueabi 386 linux/386", "portable"),
            ("i386-linux-gnu mipsle linux/mipsle", "portable"),
            (
                "ppc64el linux/ppc64le powerpc64le-linux-gnu loong64 linux/loong64 mips64le",
                "portable",
            ),
            ("windows/amd64", "x86_64-pc-windows-msvc"),
            ("windows/arm64", "aarch64-pc-windows-msvc"),
            ("darwin/arm64", "aarch64-apple-darwin"),
            ("darwin/amd64", "x86_64-apple-darwin"),
        ] {
            for name in names.split(' ') {
                let found = Target::parse(name, None, None).map(|target| target.slice_name());
                assert_eq!(found.as_deref(), Ok(triple), "{name}");
            }
        }
    }

    #[test]
    fn a_level_in_a_platform_is_a_cpu() {
        let features = |name| Target::parse(name, None, None).unwrap().features.join(",");
        assert_eq!(features("linux/amd64/v2"), "cmpxchg16b,popcnt,sse3,sse41,sse42,ssse3");
        assert_eq!(features("linux/arm64/v8.2"), features("aarch64v8.2"));
        for name in
            ["linux/amd64/v9", "linux/", "/", "linux/arm/v7/x", "plan9/amd64", "a/b", "js/wasm"]
        {
            check(name, None, None, &format!("unknown target '{name}'"));
        }
    }

    #[test]
    fn names_of_llvms_for_features_are_understood() {
        let features = |name: &str, features: &str| {
            let target = Target::parse(name, None, Some(features));
            target.map_or_else(|error| error.to_string(), |target| target.features.join(","))
        };
        for (name, given, expected) in [
            ("riscv64", "+m,+a,+f,+d,+c", ""),
            ("riscv64", "+v,+zba", "v,zba,zvl128b"),
            ("riscv64", "+v,-v", ""),
            ("aarch64", "+neon,+crc,+aes,+fullfp16", "fp16"),
            ("aarch64", "-neon", "CPU feature 'neon' is part of every aarch64"),
            ("x86_64", "+sse4.2,+aes,+cx16,-sse2", "CPU feature 'sse2' is part of every x86_64"),
            ("x86_64", "+sse4.1,+sse4.2,+aes,+cx16,+bmi", "bmi1,cmpxchg16b,sse41,sse42"),
            ("x86_64", "+sse4.2,-sse42,-aes", ""),
            ("x86_64", "+neon", "unknown CPU feature 'neon' for x86_64"),
        ] {
            assert_eq!(features(name, given), expected, "{name} {given}");
        }
    }

    #[test]
    fn machines_without_a_back_end_get_portable_code() {
        for name in [
            "portable",
            "arm",
            "armv7a",
            "thumbv8.1m.main",
            "armeb",
            "i386",
            "riscv32",
            "mips",
            "mipsel",
            "powerpc64le",
            "aarch64_bev8.2",
            "armv7-unknown-linux-gnueabihf",
            "thumbv7-none-eabi",
            "mips-unknown-linux-musl",
            "loongarch64-unknown-linux-gnu",
        ] {
            let target = Target::parse(name, Some("any"), Some("+thing")).unwrap();
            assert_eq!(target.architecture, Architecture::Portable, "{name}");
            assert_eq!(target.slice_name(), "portable");
            assert!(target.features.is_empty());
        }
    }

    #[test]
    fn versions_of_apples_systems_are_one_target() {
        for name in ["aarch64-apple-darwin", "aarch64-apple-darwin20.6", "arm64-apple-macosx11.0"] {
            check(name, None, None, "aarch64-apple-darwin generic ");
        }
    }

    #[test]
    fn every_listed_name_is_a_target() {
        for name in TARGET_NAMES {
            assert!(Target::parse(name, None, None).is_ok(), "{name}");
        }
        let portable = |name: &&str| Target::parse(name, None, None).unwrap().is_portable();
        assert!(TARGET_NAMES.is_sorted_by_key(portable), "native ones come first");
    }
}
