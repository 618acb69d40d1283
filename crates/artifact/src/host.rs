//! What this machine is: the other half of the question whether code can run.

use std::fmt;
use std::str::FromStr;

use target_lexicon::{Architecture as Arch, OperatingSystem, Triple};

use crate::Architecture;
use crate::detect;

/// An architecture, an operating system and the CPU features at hand.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Host {
    triple: Triple,
    features: Vec<&'static str>,
}

impl Host {
    /// This machine, asked of the CPU itself.
    pub fn detect() -> Self {
        Self { triple: Triple::host(), features: detect::features() }
    }

    /// A machine of this kind, with these CPU features.
    pub fn new(triple: Triple, features: &[&'static str]) -> Self {
        Self { triple, features: features.to_vec() }
    }

    /// The host's architecture as `--target` names it.
    pub fn architecture(&self) -> &'static str {
        match self.triple.architecture {
            Arch::X86_64 => "x86_64",
            Arch::Aarch64(_) => "aarch64",
            Arch::Riscv64(_) => "riscv64",
            Arch::S390x => "s390x",
            // A machine without a native back end: what it runs is what helps to know.
            _ => Architecture::portable(&self.triple)
                .map_or("an unknown architecture", Architecture::name),
        }
    }

    /// The features at hand, sorted.
    pub fn features(&self) -> &[&'static str] {
        &self.features
    }

    /// Whether code for this target triple can run here, CPU features aside: native code of this very kind of machine,
    /// or portable code of its address width and byte order.
    pub fn runs(&self, target: &str) -> bool {
        let Ok(target) = Triple::from_str(target) else { return false };
        match Architecture::of(&target) {
            None => false,
            Some(portable) if portable.is_portable() => {
                target.architecture == portable.triple().architecture
                    && Architecture::portable(&self.triple) == Some(portable)
            }
            Some(_) => {
                target.architecture == self.triple.architecture
                    && target.operating_system == self.triple.operating_system
            }
        }
    }

    /// Those of `features` that are not at hand.
    pub fn missing(&self, features: &[String]) -> Vec<String> {
        features.iter().filter(|name| !self.features.contains(&name.as_str())).cloned().collect()
    }
}

impl fmt::Display for Host {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.architecture())?;
        match self.triple.operating_system {
            OperatingSystem::Linux => Ok(()),
            other => write!(f, " {other}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(host: &str, runs: &[&str], refuses: &[&str]) {
        let host = Host::new(host.parse().unwrap(), &[]);
        for target in runs {
            assert!(host.runs(target), "{host} should run {target}");
        }
        for target in refuses {
            assert!(!host.runs(target), "{host} should refuse {target}");
        }
    }

    #[test]
    fn a_host_runs_its_own_code_and_portable_code_of_its_width_and_byte_order() {
        check(
            "x86_64-unknown-linux-gnu",
            &["x86_64-unknown-linux-gnu", "x86_64-unknown-linux-musl", "pulley64"],
            &["pulley32", "pulley64be", "aarch64-unknown-linux-gnu", "x86_64-pc-windows-msvc", "x"],
        );
        check(
            "s390x-unknown-linux-gnu",
            &["s390x-unknown-linux-gnu", "pulley64be"],
            &["pulley64", "pulley32be"],
        );
        check(
            "armv7-unknown-linux-gnueabihf",
            &["pulley32"],
            &["pulley32be", "pulley64", "armv7-unknown-linux-gnueabihf"],
        );
        check("mips-unknown-linux-gnu", &["pulley32be"], &["pulley32"]);
        check("aarch64-apple-darwin", &["aarch64-apple-darwin", "pulley64"], &[]);
    }
}
