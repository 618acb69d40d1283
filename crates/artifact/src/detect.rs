//! Which of the table's CPU features this machine has.

#[cfg(any(
    target_arch = "x86_64",
    target_arch = "aarch64",
    target_arch = "riscv64",
    target_arch = "s390x"
))]
/// The names whose standard library probe says yes, in the order given.
macro_rules! detected {
    ($probe:ident: $($name:literal = $($std:tt)&&+),* $(,)?) => {{
        let mut found = Vec::new();
        $(if $(std::arch::$probe!($std))&&+ { found.push($name); })*
        found
    }};
}

/// Names of the features of this machine's CPU, sorted. Empty where nothing can tell.
pub(crate) fn features() -> Vec<&'static str> {
    #[cfg(target_arch = "x86_64")]
    return detected!(is_x86_feature_detected:
        "avx" = "avx", "avx2" = "avx2", "avx512bitalg" = "avx512bitalg",
        "avx512dq" = "avx512dq", "avx512f" = "avx512f", "avx512vbmi" = "avx512vbmi",
        "avx512vl" = "avx512vl", "avx512vnni" = "avx512vnni", "avx_vnni" = "avxvnni",
        "bmi1" = "bmi1", "bmi2" = "bmi2", "cmpxchg16b" = "cmpxchg16b", "fma" = "fma",
        "lzcnt" = "lzcnt", "popcnt" = "popcnt", "sse3" = "sse3", "sse41" = "sse4.1",
        "sse42" = "sse4.2", "ssse3" = "ssse3",
    );
    #[cfg(target_arch = "aarch64")]
    return detected!(is_aarch64_feature_detected:
        "dotprod" = "dotprod", "fp16" = "fp16", "i8mm" = "i8mm", "lse" = "lse",
        "pauth" = "paca" && "pacg",
    );
    #[cfg(target_arch = "riscv64")]
    return {
        let found = detected!(is_riscv_feature_detected:
            "zba" = "zba", "zbb" = "zbb", "zbc" = "zbc", "zbs" = "zbs",
        );
        with_vectors(found, rustix::param::linux_hwcap().0)
    };
    #[cfg(target_arch = "s390x")]
    return detected!(is_s390x_feature_detected:
        "mie3" = "miscellaneous-extensions-3", "mie4" = "miscellaneous-extensions-4",
        "vxrs_ext2" = "vector-enhancements-2", "vxrs_ext3" = "vector-enhancements-3",
    );
    #[cfg(not(any(
        target_arch = "x86_64",
        target_arch = "aarch64",
        target_arch = "riscv64",
        target_arch = "s390x"
    )))]
    return Vec::new();
}

/// Adds what the standard library does not tell yet of a RISC-V: whether the system says, in a bit for each letter, that there
/// are vectors, whose registers then have 128 bits at least.
#[cfg(any(target_arch = "riscv64", test))]
fn with_vectors(mut found: Vec<&'static str>, letters: usize) -> Vec<&'static str> {
    if letters & (1 << (b'v' - b'a')) != 0 {
        found.extend(["v", "zvl128b"]);
        found.sort_unstable();
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Architecture, CpuTable};

    #[test]
    fn what_is_detected_is_in_the_table_and_sorted() {
        let detected = features();
        assert!(detected.is_sorted(), "{detected:?}");
        if let Some(host) = Architecture::host() {
            for name in detected {
                assert!(CpuTable::of(host).feature(name).is_some(), "{name}");
            }
        }
    }

    #[test]
    fn the_vectors_of_a_risc_v_are_told_by_their_letter() {
        let letters = |word: &str| word.bytes().map(|letter| 1 << (letter - b'a')).sum();
        let with = |found: &[&'static str], word| with_vectors(found.to_vec(), letters(word));
        assert_eq!(with(&["zba", "zbb"], "acdfim"), ["zba", "zbb"]);
        assert_eq!(with(&["zba", "zbb"], "acdfimv"), ["v", "zba", "zbb", "zvl128b"]);
        assert_eq!(with(&[], "v"), ["v", "zvl128b"]);
        assert_eq!(with(&[], ""), [""; 0]);
    }
}
