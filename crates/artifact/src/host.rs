//! What this machine is: the other half of the question whether code can run.

use std::fmt;
use std::str::FromStr;

use target_lexicon::{Architecture as Arch, OperatingSystem, Triple};

use crate::cpu::Feature;

/// An architecture, an operating system and the CPU features at hand.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Host {
    triple: Triple,
    features: Vec<&'static str>,
}

impl Host {
    /// This machine, asked of the CPU itself.
    pub fn detect() -> Self {
        Self { triple: Triple::host(), features: Feature::detect() }
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
            _ => "an unknown architecture",
        }
    }

    /// The features at hand, sorted.
    pub fn features(&self) -> &[&'static str] {
        &self.features
    }

    /// Whether code for this target triple can run here, CPU features aside.
    pub fn runs(&self, target: &str) -> bool {
        let Ok(target) = Triple::from_str(target) else { return false };
        target.architecture == self.triple.architecture
            && target.operating_system == self.triple.operating_system
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
