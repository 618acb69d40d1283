//! What this machine is: the other half of the question whether code can run.

use std::fmt;
use std::str::FromStr;

use target_lexicon::{Architecture as Arch, OperatingSystem, Triple};

use crate::Architecture;
use crate::architecture::PORTABLE;
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

    /// What code for the host is, as `--target` names it.
    pub fn architecture(&self) -> &'static str {
        match self.triple.architecture {
            Arch::X86_64 => "x86_64",
            Arch::Aarch64(_) => "aarch64",
            Arch::Riscv64(_) => "riscv64",
            Arch::S390x => "s390x",
            // A machine without a native back end.
            _ => Architecture::Portable.name(),
        }
    }

    /// The features at hand, sorted.
    pub fn features(&self) -> &[&'static str] {
        &self.features
    }

    /// Whether code for this target can run here, CPU features aside: native code of this very kind of machine, or portable
    /// code.
    pub fn runs(&self, target: &str) -> bool {
        match (Architecture::of_target(target), Triple::from_str(target)) {
            (Some(Architecture::Portable), _) => target == PORTABLE,
            (Some(_), Ok(target)) => {
                target.architecture == self.triple.architecture
                    && target.operating_system == self.triple.operating_system
            }
            _ => false,
        }
    }

    /// Those of `features` that are not at hand.
    pub fn missing(&self, features: &[String]) -> Vec<String> {
        features.iter().filter(|name| !self.features.contains(&name.as_str())).cloned().collect()
    }
}

impl fmt::Display for Host {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match Architecture::of(&self.triple) {
            Some(native) if !native.is_portable() => f.write_str(native.name())?,
            _ => write!(f, "{}", self.triple.architecture)?,
        }
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
    fn a_host_runs_its_own_code_and_portable_code() {
        check(
            "x86_64-unknown-linux-gnu",
            &["x86_64-unknown-linux-gnu", "x86_64-unknown-linux-musl", "portable"],
            &["pulley64", "aarch64-unknown-linux-gnu", "x86_64-pc-windows-msvc", "x"],
        );
        check("s390x-unknown-linux-gnu", &["s390x-unknown-linux-gnu", "portable"], &["pulley64be"]);
        check(
            "armv7-unknown-linux-gnueabihf",
            &["portable"],
            &["pulley32", "armv7-unknown-linux-gnueabihf"],
        );
        check("mips-unknown-linux-gnu", &["portable"], &["mips-unknown-linux-gnu"]);
        check("aarch64-apple-darwin", &["aarch64-apple-darwin", "portable"], &[]);
    }

    #[test]
    fn a_host_without_a_back_end_has_its_own_name() {
        let host = Host::new("armv7-unknown-linux-gnueabihf".parse().unwrap(), &[]);
        assert_eq!((host.to_string().as_str(), host.architecture()), ("armv7", "portable"));
    }
}
