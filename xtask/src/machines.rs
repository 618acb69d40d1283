//! Machines that qemu can be: what others call them and their tools, how programs are built for them, and how they are run here.
//! Cross compilers, qemu and Rust's library are installed first, by apt and rustup.

use std::fmt;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, ensure};

use crate::run::{command, works};
use crate::toolchains;

/// A machine that qemu can be.
pub(crate) struct Machine {
    /// What `--target` of flb-wamrc calls it.
    pub(crate) name: &'static str,
    /// What Rust calls it.
    pub(crate) triple: &'static str,
    /// What Debian calls its compiler and the folder of its libraries.
    pub(crate) gnu: &'static str,
    /// What qemu calls it.
    pub(crate) qemu: &'static str,
    /// What Debian's packages call it.
    pub(crate) debian: &'static str,
    /// The package with its C library.
    pub(crate) library: &'static str,
    /// A CPU that can do more than every one of its kind, if the emulator can be one.
    pub(crate) able: Option<Able>,
    /// The cases that no code can be made of for it, as the compiler says.
    pub(crate) refused: &'static [&'static str],
}

/// A CPU that can do more than others.
pub(crate) struct Able {
    /// The option of flb-wamrc that makes code for it.
    pub(crate) option: &'static str,
    /// What qemu calls one.
    pub(crate) qemu: &'static str,
}

pub(crate) const MACHINES: &[Machine] = &[
    Machine {
        name: "aarch64",
        triple: "aarch64-unknown-linux-gnu",
        gnu: "aarch64-linux-gnu",
        debian: "arm64",
        qemu: "qemu-aarch64-static",
        library: "libc6-dev-arm64-cross",
        able: Some(Able { option: "--cpu=neoverse-n1", qemu: "max" }),
        refused: &[],
    },
    Machine {
        name: "riscv64",
        triple: "riscv64gc-unknown-linux-gnu",
        gnu: "riscv64-linux-gnu",
        debian: "riscv64",
        qemu: "qemu-riscv64-static",
        library: "libc6-dev-riscv64-cross",
        able: Some(Able { option: "--cpu-features=+v", qemu: "rv64,v=true,vext_spec=v1.0" }),
        refused: &["tests/filter/feat_simd"],
    },
    // The one with its bytes the other way round.
    Machine {
        name: "s390x",
        triple: "s390x-unknown-linux-gnu",
        gnu: "s390x-linux-gnu",
        debian: "s390x",
        qemu: "qemu-s390x-static",
        library: "libc6-dev-s390x-cross",
        able: Some(Able { option: "--cpu=z15", qemu: "max" }),
        refused: &[],
    },
    // The one with 32 bits, and without native code: its filters are interpreted.
    Machine {
        name: "armv7",
        triple: "armv7-unknown-linux-gnueabihf",
        gnu: "arm-linux-gnueabihf",
        debian: "armhf",
        qemu: "qemu-arm-static",
        library: "libc6-dev-armhf-cross",
        able: None,
        refused: &["tests/filter/feat_eh", "tests/filter/feat_threads"],
    },
];

impl fmt::Display for Machine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name)
    }
}

impl Machine {
    /// A linker with a C library, and an emulator.
    pub(crate) fn set_up(&self) -> Result<()> {
        let Self { gnu, qemu, library, .. } = self;
        let there = works(&format!("{gnu}-gcc --version"))
            && works(&format!("{qemu} --version"))
            && self.root().join("lib/crt1.o").exists();
        if there {
            return Ok(());
        }
        toolchains::install(&format!("qemu-user-static gcc-{gnu} {library}"))
            .with_context(|| format!("{self} cannot be set up"))
    }

    /// Rust's library, as rustup brings it.
    pub(crate) fn library(&self) -> Result<()> {
        ensure!(
            works(&format!("rustup target add {}", self.triple)),
            "rustup brings no library for {}",
            self.triple
        );
        Ok(())
    }

    /// The folder that is the machine's `/` as far as libraries go.
    fn root(&self) -> PathBuf {
        Path::new("/usr").join(self.gnu)
    }

    /// The command that runs one of the machine's programs, without the program.
    pub(crate) fn runner(&self) -> String {
        format!("{} -L {}", self.qemu, self.root().display())
    }

    /// Cargo, told how to link for the machine and to run what it has linked, with Rust's library built first where rustup has none.
    pub(crate) fn cargo(&self, words: &str) -> Result<Command> {
        let variable = self.triple.to_uppercase().replace('-', "_");
        let mut cargo = command(&format!("cargo {words} --target {}", self.triple));
        cargo.env(format!("CARGO_TARGET_{variable}_LINKER"), format!("{}-gcc", self.gnu));
        cargo.env(format!("CARGO_TARGET_{variable}_RUNNER"), self.runner());
        if self.library().is_err() {
            println!("== rustup has no library for {}: building it", self.triple);
            let source = toolchains::library_source()?;
            cargo.arg("-Zbuild-std=std").env("RUSTC_BOOTSTRAP", "1");
            cargo.env("__CARGO_TESTS_ONLY_SRC_ROOT", source);
        }
        Ok(cargo)
    }
}
