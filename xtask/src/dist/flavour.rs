//! What packages are made for: a machine with a C library. How programs are built for it, and how they are run here.

use std::fmt;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, ensure};

use super::PROGRAMS;
use crate::machines::{MACHINES, Machine};
use crate::run::{command, run as run_command, target_dir, works};
use crate::toolchains;

/// A machine with a C library.
#[derive(Debug, Clone, Copy)]
pub(super) struct Flavour {
    /// What `--target` calls it.
    pub(super) name: &'static str,
    /// What Rust calls it.
    pub(super) triple: &'static str,
    /// What Debian calls the machine, if there is to be a .deb.
    pub(super) debian: Option<&'static str>,
}

/// Those that `--target all` means. With musl the programs load nothing, so they run on any Linux.
pub(super) const FLAVOURS: [Flavour; 7] = [
    Flavour { name: "x86_64", triple: "x86_64-unknown-linux-gnu", debian: Some("amd64") },
    Flavour { name: "aarch64", triple: "aarch64-unknown-linux-gnu", debian: Some("arm64") },
    Flavour { name: "armv7", triple: "armv7-unknown-linux-gnueabihf", debian: Some("armhf") },
    Flavour { name: "riscv64", triple: "riscv64gc-unknown-linux-gnu", debian: Some("riscv64") },
    Flavour { name: "x86_64-musl", triple: "x86_64-unknown-linux-musl", debian: None },
    Flavour { name: "aarch64-musl", triple: "aarch64-unknown-linux-musl", debian: None },
    Flavour { name: "armv7-musl", triple: "armv7-unknown-linux-musleabihf", debian: None },
];

/// The word for all of them.
pub(super) const ALL: &str = "all";

/// The words for `--target`.
pub(super) fn names() -> impl Iterator<Item = &'static str> {
    FLAVOURS.iter().map(|flavour| flavour.name).chain([ALL])
}

/// Those that a word means; without one, this machine's.
pub(super) fn chosen(word: Option<&str>) -> Result<Vec<Flavour>> {
    let word = word.unwrap_or(std::env::consts::ARCH);
    let chosen = FLAVOURS.iter().filter(|flavour| word == ALL || word == flavour.name);
    let chosen: Vec<Flavour> = chosen.copied().collect();
    ensure!(!chosen.is_empty(), "no package is made for {word}; name a target");
    Ok(chosen)
}

impl From<&Machine> for Flavour {
    /// The machine with the C library that most have.
    fn from(machine: &Machine) -> Self {
        Self { name: machine.name, triple: machine.triple, debian: Some(machine.debian) }
    }
}

impl fmt::Display for Flavour {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name)
    }
}

impl Flavour {
    /// What the machine is called where its C library is told apart.
    pub(super) fn machine_name(&self) -> &'static str {
        self.name.split('-').next().unwrap_or(self.name)
    }

    /// `gnu` or `musl`.
    pub(super) fn libc(&self) -> &'static str {
        if self.triple.contains("musl") { "musl" } else { "gnu" }
    }

    /// The machine that an emulator has to be; none if it is this one.
    fn foreign(&self) -> Option<&'static Machine> {
        let name = self.machine_name();
        MACHINES.iter().find(|machine| machine.name == name && name != std::env::consts::ARCH)
    }

    /// Installs what it takes to build and to run programs.
    pub(super) fn set_up(&self) -> Result<()> {
        self.foreign().map_or(Ok(()), Machine::set_up)
    }

    /// What the programs have beside the default, in cargo's words: Kafka, whose C is built for this machine and C library alone, and
    /// takes minutes, which a trial has not.
    pub(super) fn features(&self, is_trial: bool) -> &'static str {
        match is_trial || self.libc() == "musl" || self.foreign().is_some() {
            true => "",
            false => " --features flb-agent/kafka-tls",
        }
    }

    /// Builds the programs; the folder that they are in.
    pub(super) fn build(&self, profile: &str) -> Result<PathBuf> {
        let features = self.features(profile == "dev");
        let mut words = format!("--locked --profile {profile}{features}");
        for program in PROGRAMS {
            words += &format!(" -p {program}");
        }
        let target_dir = target_dir()?;
        let (mut cargo, folder) = match (self.libc(), self.foreign()) {
            ("musl", _) => (self.static_cargo(&words)?, target_dir.join(self.triple)),
            (_, Some(machine)) => {
                (machine.cargo(&format!("build {words}"))?, target_dir.join(self.triple))
            }
            (_, None) => (command(&format!("cargo build {words}")), target_dir),
        };
        run_command(&mut cargo)?;
        Ok(folder.join(if profile == "dev" { "debug" } else { profile }))
    }

    /// Zig has musl for every machine, and a compiler for what is written in C.
    fn static_cargo(&self, words: &str) -> Result<Command> {
        let triple = self.triple;
        let has_library = works(&format!("rustup target add {triple}"));
        ensure!(has_library, "rustup brings no library for {triple}");
        let mut cargo = toolchains::zigbuild()?;
        cargo.args(words.split(' ')).args(["--target", triple]);
        Ok(cargo)
    }

    /// The words before a program's path that run it here: those of an emulator, or none.
    pub(super) fn runner(&self) -> String {
        self.foreign().map(Machine::runner).unwrap_or_default()
    }

    /// Takes names and lines of sources out of a program.
    pub(super) fn strip(&self, program: &Path) -> Result<()> {
        let strip =
            self.foreign().map_or("strip".to_owned(), |machine| format!("{}-strip", machine.gnu));
        if !works(&format!("{strip} --version")) {
            println!("== {strip}: SKIPPED, it is not here; the program stays as it was built");
            return Ok(());
        }
        let stripped = crate::run::output(command(&strip).arg("--strip-all").arg(program));
        stripped.map(drop).with_context(|| format!("{self}: cannot strip"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_word_means_a_target_or_all() {
        let names = |word| chosen(word).unwrap().iter().map(Flavour::to_string).collect::<Vec<_>>();
        assert_eq!(names(Some("aarch64-musl")), ["aarch64-musl"]);
        assert_eq!(names(Some(ALL)).len(), FLAVOURS.len());
        assert_eq!(names(None), [std::env::consts::ARCH]);
        assert!(chosen(Some("m68k")).is_err());
    }

    #[test]
    fn a_package_is_named_by_its_machine_and_its_c_library() {
        let shown: Vec<String> = FLAVOURS
            .iter()
            .map(|flavour| format!("{}-{}", flavour.machine_name(), flavour.libc()))
            .collect();
        assert_eq!(
            shown.join(" "),
            "x86_64-gnu aarch64-gnu armv7-gnu riscv64-gnu x86_64-musl aarch64-musl armv7-musl"
        );
    }

    #[test]
    fn machines_that_an_emulator_can_be_have_the_same_names() {
        for machine in MACHINES.iter().filter(|machine| machine.name != "s390x") {
            let flavour = FLAVOURS.iter().find(|flavour| flavour.name == machine.name).unwrap();
            assert_eq!((flavour.triple, flavour.debian), (machine.triple, Some(machine.debian)));
        }
    }
}
