//! The closed tables of CPUs and CPU features.
//!
//! A CPU's name only selects features: the code generator has no scheduling models. Feature sets are those of the
//! psABI's x86-64 levels, of the vendors' published ISA lists (x86) and of Arm's technical reference manuals (AArch64).

use crate::Architecture;

/// A CPU feature that generated code can use.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Feature {
    /// The name that users and artifacts use.
    pub name: &'static str,
    /// The code generator's flag.
    pub flag: &'static str,
}

/// A CPU, or a level that many CPUs share.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Cpu {
    /// The name, as LLVM users write it.
    pub name: &'static str,
    /// Other names for the same.
    pub aliases: &'static [&'static str],
    /// Names of its features beyond the architecture's baseline.
    pub features: &'static [&'static str],
}

/// All CPUs and features of one architecture.
#[derive(Debug, Clone, Copy)]
pub struct CpuTable {
    /// The CPUs; the first is the baseline.
    pub cpus: &'static [Cpu],
    /// The features, sorted by name.
    pub features: &'static [Feature],
}

impl CpuTable {
    /// The table of an architecture.
    pub fn of(architecture: Architecture) -> &'static CpuTable {
        match architecture {
            Architecture::X86_64 => &X86_64,
            Architecture::Aarch64 => &AARCH64,
            Architecture::Riscv64 => &RISCV64,
            Architecture::S390x => &S390X,
            Architecture::Portable => &PORTABLE,
        }
    }

    /// The CPU with this name or alias.
    pub fn cpu(&self, name: &str) -> Option<&'static Cpu> {
        self.cpus.iter().find(|cpu| cpu.name == name || cpu.aliases.contains(&name))
    }

    /// The feature with this name.
    pub fn feature(&self, name: &str) -> Option<&'static Feature> {
        self.features.iter().find(|feature| feature.name == name)
    }

    /// Every name and alias, in table order.
    pub fn cpu_names(&self) -> impl Iterator<Item = &'static str> {
        self.cpus
            .iter()
            .flat_map(|cpu| std::iter::once(cpu.name).chain(cpu.aliases.iter().copied()))
    }
}

const fn cpu(
    name: &'static str,
    aliases: &'static [&'static str],
    features: &'static [&'static str],
) -> Cpu {
    Cpu { name, aliases, features }
}

const fn feature(name: &'static str, flag: &'static str) -> Feature {
    Feature { name, flag }
}

/// The features of a lesser CPU and more, sorted by name.
macro_rules! extended {
    ($base:ident: $($more:literal),+) => {
        &sorted::<{ $base.len() + [$($more),+].len() }>($base, &[$($more),+])
    };
}

const fn sorted<const N: usize>(base: &[&'static str], more: &[&'static str]) -> [&'static str; N] {
    let mut names = [""; N];
    let mut count = 0;
    while count < N {
        let name = if count < base.len() { base[count] } else { more[count - base.len()] };
        let mut at = count;
        while at > 0 && is_before(name.as_bytes(), names[at - 1].as_bytes()) {
            names[at] = names[at - 1];
            at -= 1;
        }
        names[at] = name;
        count += 1;
    }
    names
}

const fn is_before(name: &[u8], other: &[u8]) -> bool {
    match (name, other) {
        ([first, name @ ..], [second, other @ ..]) if *first == *second => is_before(name, other),
        ([first, ..], [second, ..]) => *first < *second,
        (_, other) => !other.is_empty(),
    }
}

const NONE: &[&str] = &[];
const SSE3: &[&str] = &["sse3"];
const SSSE3: &[&str] = extended!(SSE3: "cmpxchg16b", "ssse3");
const PENRYN: &[&str] = extended!(SSSE3: "sse41");
const BARCELONA: &[&str] = extended!(SSE3: "cmpxchg16b", "lzcnt", "popcnt");
const BTVER1: &[&str] = extended!(BARCELONA: "ssse3");
const V2: &[&str] = extended!(PENRYN: "popcnt", "sse42");
const V2_AVX: &[&str] = extended!(V2: "avx");
const BDVER1: &[&str] = extended!(V2_AVX: "lzcnt");
const BTVER2: &[&str] = extended!(BDVER1: "bmi1");
const BDVER2: &[&str] = extended!(BTVER2: "fma");
const V3: &[&str] = extended!(BDVER2: "avx2", "bmi2");
const ALDERLAKE: &[&str] = extended!(V3: "avx_vnni");
const KNL: &[&str] = extended!(V3: "avx512f");
const V4: &[&str] = extended!(KNL: "avx512dq", "avx512vl");
const CASCADELAKE: &[&str] = extended!(V4: "avx512vnni");
const CANNONLAKE: &[&str] = extended!(V4: "avx512vbmi");
const ICELAKE: &[&str] = extended!(CANNONLAKE: "avx512bitalg", "avx512vnni");
const SAPPHIRERAPIDS: &[&str] = extended!(ICELAKE: "avx_vnni");

static X86_64: CpuTable = CpuTable {
    cpus: &[
        // The levels of the System V psABI for x86-64.
        cpu("x86-64", &["generic", "x86-64-v1", "k8", "opteron", "athlon64", "athlon-fx"], NONE),
        cpu("x86-64-v2", &[], V2),
        cpu("x86-64-v3", &[], V3),
        cpu("x86-64-v4", &[], V4),
        // Intel 64 and IA-32 software developer's manual, and the ISA extensions reference, by core.
        cpu("nocona", &["k8-sse3", "opteron-sse3", "athlon64-sse3"], SSE3),
        cpu("core2", &["atom", "bonnell"], SSSE3),
        cpu("penryn", &[], PENRYN),
        cpu("nehalem", &["corei7", "westmere", "silvermont", "slm", "goldmont"], V2),
        cpu("goldmont-plus", &["tremont"], V2),
        cpu("sandybridge", &["corei7-avx", "ivybridge", "core-avx-i"], V2_AVX),
        cpu("haswell", &["core-avx2", "broadwell", "skylake"], V3),
        cpu("alderlake", &["raptorlake", "meteorlake", "arrowlake", "lunarlake"], ALDERLAKE),
        cpu("gracemont", &["sierraforest", "grandridge", "clearwaterforest"], ALDERLAKE),
        cpu("knl", &["knm"], KNL),
        cpu("skylake-avx512", &["skx"], V4),
        cpu("cascadelake", &["cooperlake"], CASCADELAKE),
        cpu("cannonlake", &[], CANNONLAKE),
        cpu("icelake-client", &["icelake-server", "tigerlake", "rocketlake"], ICELAKE),
        cpu("sapphirerapids", &["emeraldrapids", "graniterapids"], SAPPHIRERAPIDS),
        // AMD64 programmer's manual and the software optimization guides, by family.
        cpu("amdfam10", &["barcelona"], BARCELONA),
        cpu("btver1", &[], BTVER1),
        cpu("btver2", &[], BTVER2),
        cpu("bdver1", &[], BDVER1),
        cpu("bdver2", &["bdver3"], BDVER2),
        cpu("bdver4", &["znver1", "znver2", "znver3"], V3),
        cpu("znver4", &[], ICELAKE),
        cpu("znver5", &[], SAPPHIRERAPIDS),
    ],
    features: &[
        feature("avx", "has_avx"),
        feature("avx2", "has_avx2"),
        feature("avx512bitalg", "has_avx512bitalg"),
        feature("avx512dq", "has_avx512dq"),
        feature("avx512f", "has_avx512f"),
        feature("avx512vbmi", "has_avx512vbmi"),
        feature("avx512vl", "has_avx512vl"),
        feature("avx512vnni", "has_avx512vnni"),
        feature("avx_vnni", "has_avx_vnni"),
        feature("bmi1", "has_bmi1"),
        feature("bmi2", "has_bmi2"),
        feature("cmpxchg16b", "has_cmpxchg16b"),
        feature("fma", "has_fma"),
        feature("lzcnt", "has_lzcnt"),
        feature("popcnt", "has_popcnt"),
        feature("sse3", "has_sse3"),
        feature("sse41", "has_sse41"),
        feature("sse42", "has_sse42"),
        feature("ssse3", "has_ssse3"),
    ],
};

const LSE: &[&str] = &["lse"];
const CARMEL: &[&str] = extended!(LSE: "fp16");
const A55: &[&str] = extended!(LSE: "dotprod", "fp16");
const A78C: &[&str] = extended!(A55: "pauth");
const V1: &[&str] = extended!(A78C: "i8mm");

static AARCH64: CpuTable = CpuTable {
    cpus: &[
        // Arm's architecture reference manual, and the technical reference manual of each core.
        cpu("generic", &["armv8-a"], NONE),
        cpu("cortex-a35", &[], NONE),
        cpu("cortex-a53", &[], NONE),
        cpu("cortex-a57", &[], NONE),
        cpu("cortex-a72", &[], NONE),
        cpu("cortex-a73", &[], NONE),
        cpu("armv8.1-a", &["thunderx2t99"], LSE),
        cpu("carmel", &[], CARMEL),
        cpu("cortex-a55", &[], A55),
        cpu("cortex-a75", &[], A55),
        cpu("cortex-a76", &[], A55),
        cpu("cortex-a77", &[], A55),
        cpu("cortex-a78", &["cortex-a78ae"], A55),
        cpu("neoverse-n1", &["ampere1"], A55),
        cpu("neoverse-v1", &["neoverse-512tvb"], V1),
        cpu("neoverse-n2", &["cortex-a710"], V1),
        cpu("neoverse-v2", &["neoverse-v3", "grace"], V1),
        // What the operating system reports as hw.optional.arm on these machines.
        cpu("apple-m1", &["apple-a14"], A78C),
        cpu("apple-m2", &["apple-m3", "apple-m4"], V1),
    ],
    features: &[
        feature("dotprod", "has_dotprod"),
        feature("fp16", "has_fp16"),
        feature("i8mm", "has_i8mm"),
        feature("lse", "has_lse"),
        feature("pauth", "has_pauth"),
    ],
};

static RISCV64: CpuTable = CpuTable {
    cpus: &[
        cpu("generic-rv64", &["generic", "sifive-u54", "sifive-u74"], NONE),
        cpu("spacemit-x60", &["rva22"], &["zba", "zbb", "zbs"]),
    ],
    features: &[
        // Vector registers of 128 bits are what vectors mean here.
        feature("v", "has_v"),
        feature("zba", "has_zba"),
        feature("zbb", "has_zbb"),
        feature("zbc", "has_zbc"),
        feature("zbs", "has_zbs"),
        feature("zvl128b", "has_zvl128b"),
    ],
};

static S390X: CpuTable = CpuTable {
    cpus: &[
        cpu("z14", &["generic", "arch12"], NONE),
        cpu("z15", &["arch13"], &["mie3", "vxrs_ext2"]),
        cpu("z16", &["arch14"], &["mie3", "vxrs_ext2"]),
        cpu("z17", &["arch15"], &["mie3", "mie4", "vxrs_ext2", "vxrs_ext3"]),
    ],
    features: &[
        feature("mie3", "has_mie3"),
        feature("mie4", "has_mie4"),
        feature("vxrs_ext2", "has_vxrs_ext2"),
        feature("vxrs_ext3", "has_vxrs_ext3"),
    ],
};

/// Portable code is the same for every CPU.
static PORTABLE: CpuTable = CpuTable { cpus: &[cpu("generic", &[], NONE)], features: &[] };

/// What a name of LLVM's for a CPU feature means here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Meaning {
    /// These features, which have other names here.
    Features(&'static [&'static str]),
    /// Part of what every CPU of the architecture has.
    Baseline,
    /// No code that is generated here has a use for it.
    Unused,
}

use Meaning::{Baseline, Features, Unused};

type Names = &'static [(&'static [&'static str], Meaning)];

const X86_64_NAMES: Names = &[
    (&["sse4.1"], Features(&["sse41"])),
    (&["sse4.2"], Features(&["sse42"])),
    (&["cx16"], Features(&["cmpxchg16b"])),
    (&["bmi"], Features(&["bmi1"])),
    (&["avxvnni"], Features(&["avx_vnni"])),
    (&["64bit", "cmov", "cx8", "fxsr", "mmx", "sse", "sse2", "x87"], Baseline),
    (
        &[
            "adx",
            "aes",
            "avx512bw",
            "avx512cd",
            "avx512ifma",
            "avx512vbmi2",
            "avx512vpopcntdq",
            "clflushopt",
            "clwb",
            "f16c",
            "fsgsbase",
            "fma4",
            "gfni",
            "movbe",
            "pclmul",
            "pku",
            "prfchw",
            "rdrnd",
            "rdseed",
            "sahf",
            "sha",
            "sse4a",
            "tbm",
            "vaes",
            "vpclmulqdq",
            "xop",
            "xsave",
            "xsavec",
            "xsaveopt",
            "xsaves",
        ],
        Unused,
    ),
];

const AARCH64_NAMES: Names = &[
    (&["fullfp16"], Features(&["fp16"])),
    (&["fp-armv8", "neon"], Baseline),
    (
        &[
            "aes", "bf16", "bti", "crc", "crypto", "fp16fml", "jsconv", "rand", "ras", "rcpc",
            "rdm", "sb", "sha2", "sha3", "sm4", "sme", "ssbs", "sve", "sve2",
        ],
        Unused,
    ),
];

const RISCV64_NAMES: Names = &[
    (&["64bit", "a", "d", "f", "i", "m", "zicsr", "zifencei"], Baseline),
    (
        &[
            "c",
            "relax",
            "zca",
            "zcb",
            "zcd",
            "zfa",
            "zfh",
            "zfhmin",
            "zicond",
            "zihintpause",
            "zve32f",
            "zve32x",
            "zve64d",
            "zve64f",
            "zve64x",
            "zvl32b",
            "zvl64b",
        ],
        Unused,
    ),
];

const S390X_NAMES: Names = &[
    (&["vector-enhancements-2"], Features(&["vxrs_ext2"])),
    (&["vector-enhancements-3"], Features(&["vxrs_ext3"])),
    (&["miscellaneous-extensions-3"], Features(&["mie3"])),
    (&["miscellaneous-extensions-4"], Features(&["mie4"])),
    (&["high-word", "miscellaneous-extensions-2", "vector", "vector-enhancements-1"], Baseline),
];

impl Meaning {
    /// What a name that is in no table of features means.
    pub fn of(architecture: Architecture, name: &str) -> Option<Self> {
        let names = match architecture {
            Architecture::X86_64 => X86_64_NAMES,
            Architecture::Aarch64 => AARCH64_NAMES,
            Architecture::Riscv64 => RISCV64_NAMES,
            Architecture::S390x => S390X_NAMES,
            _ => &[],
        };
        names.iter().find(|(names, _)| names.contains(&name)).map(|(_, meaning)| *meaning)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_llvms_mean_features_of_the_tables_or_none() {
        for architecture in Architecture::ALL {
            let table = CpuTable::of(architecture);
            for feature in table.features {
                assert_eq!(Meaning::of(architecture, feature.name), None, "{}", feature.name);
            }
        }
        for (architecture, name, meaning) in [
            (Architecture::X86_64, "sse4.2", Features(&["sse42"])),
            (Architecture::X86_64, "aes", Unused),
            (Architecture::Aarch64, "neon", Baseline),
            (Architecture::Aarch64, "crc", Unused),
            (Architecture::Riscv64, "m", Baseline),
            (Architecture::S390x, "vector", Baseline),
        ] {
            assert_eq!(Meaning::of(architecture, name), Some(meaning), "{name}");
        }
        for names in [X86_64_NAMES, AARCH64_NAMES, RISCV64_NAMES, S390X_NAMES] {
            for (_, meaning) in names {
                let Features(features) = meaning else { continue };
                let known =
                    |table: &&CpuTable| features.iter().all(|name| table.feature(name).is_some());
                assert!(TABLES.iter().any(known), "{features:?}");
            }
        }
    }

    const TABLES: [&CpuTable; 5] = [&X86_64, &AARCH64, &RISCV64, &S390X, &PORTABLE];

    #[test]
    fn every_cpu_has_known_sorted_features_and_a_name_of_its_own() {
        for table in TABLES {
            let mut names: Vec<&str> = table.cpu_names().collect();
            names.sort_unstable();
            let all = names.len();
            names.dedup();
            assert_eq!(names.len(), all, "a name stands twice");
            for cpu in table.cpus {
                assert!(cpu.features.is_sorted(), "{}", cpu.name);
                for name in cpu.features {
                    assert!(table.feature(name).is_some(), "{}: {name}", cpu.name);
                }
            }
        }
    }

    #[test]
    fn features_are_sorted() {
        for table in TABLES {
            assert!(table.features.is_sorted_by_key(|feature| feature.name));
        }
    }
}
