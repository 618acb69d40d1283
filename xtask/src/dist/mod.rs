//! `cargo xtask dist`: what users install. A .tar.gz and a .deb of the two programs with manual pages, completions, an example
//! configuration and a systemd unit, and the checksums of both. Two runs on one commit give the same bytes.

mod check;
mod licences;
mod needs;
mod plugin;
mod tree;

use std::ffi::OsStr;
use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};
use sha2::{Digest, Sha256};

use crate::run::{command, output, root, run as run_command, target_dir, works};
use crate::toolchains::hex;

/// The programs that are handed out.
const PROGRAMS: [&str; 2] = ["flb-agent", "flb-wamrc"];

#[derive(Debug, Clone, clap::Args)]
pub(crate) struct Args {
    /// Install the .deb into a folder, run the agent as its user, and remove it
    #[arg(long)]
    check: bool,
    /// How to build; dev builds soon instead of small and fast
    #[arg(long, value_name = "NAME", default_value = "packaged")]
    profile: String,
    /// Build for this target, such as another C library
    #[arg(long, value_name = "TRIPLE")]
    target: Option<String>,
    /// Take programs that are built already
    #[arg(long, value_name = "FOLDER")]
    programs: Option<PathBuf>,
    /// Make the plugin for Fluent Bit instead, for x86_64 and aarch64; installs compilers
    #[arg(long, conflicts_with_all = ["check", "target", "programs"])]
    plugin: bool,
    /// Where packages go (default: target/dist)
    #[arg(long, value_name = "FOLDER")]
    out: Option<PathBuf>,
}

impl Args {
    /// Whether this is only a trial, which need not be small but soon.
    fn is_trial(&self) -> bool {
        self.programs.is_some() || self.profile == "dev"
    }
}

/// One distribution in the making.
struct Dist {
    version: &'static str,
    /// The machine, by its Rust and by its Debian name.
    machine: (&'static str, &'static str),
    /// The C library: `gnu` or `musl`.
    libc: &'static str,
    /// When the commit was made; all files are of that time.
    epoch: String,
    programs: PathBuf,
    out: PathBuf,
    is_trial: bool,
}

pub(crate) fn run(args: &Args) -> Result<()> {
    if args.plugin {
        return plugin::run(args);
    }
    let dist = Dist::new(args)?;
    fs::create_dir_all(&dist.out)
        .with_context(|| format!("cannot create {}", dist.out.display()))?;
    let tree = dist.out.join("tree");
    tree::plant(&dist, &tree)?;
    let mut made = vec![dist.tarball(&tree)?];
    let deb = match works("dpkg-deb --version") {
        true => Some(dist.deb(&tree)?),
        false => None,
    };
    match &deb {
        Some(deb) => made.push(deb.clone()),
        None => println!("== .deb: SKIPPED, there is no dpkg-deb"),
    }
    fs::remove_dir_all(&tree).context("cannot tidy up")?;
    write_sums(&dist.out.join("SHA256SUMS"), &made)?;
    for file in &made {
        let size = fs::metadata(file)?.len();
        println!("made {} ({:.1} MB)", file.display(), size as f64 / 1e6);
    }
    match deb.filter(|_| args.check) {
        Some(deb) => check::run(&deb, &dist.out.join("root")),
        None => Ok(()),
    }
}

impl Dist {
    fn new(args: &Args) -> Result<Self> {
        let target = args.target.as_deref();
        let machine = target.map_or(std::env::consts::ARCH, |target| {
            target.split_once('-').map_or(target, |(machine, _)| machine)
        });
        let target_dir = target_dir()?;
        let programs = match &args.programs {
            Some(folder) => folder.clone(),
            None => build(args, &target_dir)?,
        };
        Ok(Self {
            version: env!("CARGO_PKG_VERSION"),
            machine: debian(machine)?,
            libc: if target.is_some_and(|target| target.ends_with("musl")) {
                "musl"
            } else {
                "gnu"
            },
            epoch: epoch()?,
            programs,
            out: args.out.clone().unwrap_or_else(|| target_dir.join("dist")),
            is_trial: args.is_trial(),
        })
    }

    /// The tree under one folder, without `usr`, to be unpacked anywhere.
    fn tarball(&self, tree: &Path) -> Result<PathBuf> {
        let name = format!("flb-agent-{}-{}-linux-{}", self.version, self.machine.0, self.libc);
        let tar = self.out.join(format!("{name}.tar"));
        let mut pack = command("tar --sort=name --format=gnu --owner=0 --group=0 --numeric-owner");
        pack.arg(format!("--mtime=@{}", self.epoch));
        pack.arg(format!("--transform=s,^usr/,{name}/,;s,^usr$,{name},;s,^etc,{name}/etc,"));
        output(pack.arg("-C").arg(tree).arg("-cf").arg(&tar).args(["usr", "etc"]))?;
        let level = if self.is_trial { "-1" } else { "-9" };
        output(command("gzip").args([level, "-n", "-f"]).arg(&tar))?;
        Ok(self.out.join(format!("{name}.tar.gz")))
    }

    fn deb(&self, tree: &Path) -> Result<PathBuf> {
        tree::describe(self, tree)?;
        let (_, machine) = self.machine;
        let deb = self.out.join(format!("flb-agent_{}_{machine}.deb", self.debian_version()));
        let packing = if self.is_trial { ["-Zgzip", "-z1"] } else { ["-Zxz", "-z6"] };
        let mut command = command("dpkg-deb");
        // With several threads the bytes would depend on how many there are.
        command.env("SOURCE_DATE_EPOCH", &self.epoch).env("DPKG_DEB_THREADS_MAX", "1");
        output(command.arg("--root-owner-group").args(packing).arg("--build").arg(tree).arg(&deb))?;
        Ok(deb)
    }

    /// `1.0.0-rc.1` comes before `1.0.0`, which Debian writes with a tilde.
    fn debian_version(&self) -> String {
        self.version.replace('-', "~")
    }
}

/// Builds the programs; the folder that they are in.
fn build(args: &Args, target_dir: &Path) -> Result<PathBuf> {
    let mut command = command("cargo build --locked");
    for program in PROGRAMS {
        command.args(["-p", program]);
    }
    let mut folder = target_dir.to_owned();
    if let Some(target) = &args.target {
        command.args(["--target", target]);
        folder.push(target);
    }
    run_command(command.args(["--profile", &args.profile]))?;
    Ok(folder.join(if args.profile == "dev" { "debug" } else { &args.profile }))
}

/// A machine by its Rust and by its Debian name.
fn debian(machine: &str) -> Result<(&'static str, &'static str)> {
    const MACHINES: [(&str, &str); 4] =
        [("x86_64", "amd64"), ("aarch64", "arm64"), ("riscv64gc", "riscv64"), ("s390x", "s390x")];
    let machine = if machine == "riscv64" { "riscv64gc" } else { machine };
    let known = MACHINES.into_iter().find(|(name, _)| *name == machine);
    known.with_context(|| format!("no package is made for {machine}"))
}

/// The time of the commit, or what `SOURCE_DATE_EPOCH` says.
fn epoch() -> Result<String> {
    if let Some(epoch) = std::env::var_os("SOURCE_DATE_EPOCH") {
        let epoch = epoch.to_string_lossy().into_owned();
        ensure!(epoch.parse::<u64>().is_ok(), "SOURCE_DATE_EPOCH is not a number of seconds");
        return Ok(epoch);
    }
    let epoch = output(&mut command("git log -1 --format=%ct"));
    let epoch = epoch.context("no commit says when it was made; set SOURCE_DATE_EPOCH")?;
    Ok(epoch.trim().to_owned())
}

/// Writes the checksums, for `sha256sum --check`.
fn write_sums(path: &Path, files: &[PathBuf]) -> Result<()> {
    let mut sums = String::new();
    for file in files {
        let bytes = fs::read(file).with_context(|| format!("cannot read {}", file.display()))?;
        let name = file.file_name().and_then(OsStr::to_str).context("a file has a name")?;
        // Writing to a text cannot fail.
        let _ = writeln!(sums, "{}  {name}", hex(&Sha256::digest(&bytes)));
    }
    fs::write(path, sums).with_context(|| format!("cannot write {}", path.display()))
}

/// A file of `packaging/`.
fn packaging(name: &str) -> PathBuf {
    root().join("packaging").join(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_build_of_the_moment_is_a_trial_and_so_are_programs_of_others() {
        let args = Args {
            check: false,
            plugin: false,
            profile: "packaged".to_owned(),
            target: None,
            programs: None,
            out: None,
        };
        assert!(!args.is_trial());
        assert!(Args { profile: "dev".to_owned(), ..args.clone() }.is_trial());
        assert!(Args { programs: Some("a".into()), ..args }.is_trial());
    }

    #[test]
    fn machines_have_debian_names() {
        assert_eq!(debian("x86_64").unwrap().1, "amd64");
        assert_eq!(debian("riscv64").unwrap().1, "riscv64");
        assert!(debian("m68k").is_err());
    }
}
