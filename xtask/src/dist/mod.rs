//! `cargo xtask dist`: what users install. A .tar.gz and a .deb of the two programs with manual pages, completions, an example
//! configuration and a systemd unit, and the checksums of both, for this machine and for others. Two runs on one commit give the
//! same bytes.

mod check;
mod flavour;
pub(crate) mod image;
mod licences;
mod needs;
mod plugin;
mod tree;

use std::ffi::OsStr;
use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};
use clap::builder::PossibleValuesParser;
use sha2::{Digest, Sha256};

use self::flavour::Flavour;
use crate::machines::Machine;
use crate::run::{command, output, root, target_dir, works};
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
    /// Build for this machine and C library, or for all (default: this machine); installs compilers
    #[arg(long, value_name = "NAME", value_parser = PossibleValuesParser::new(flavour::names()))]
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
    flavour: Flavour,
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
    let flavours = flavour::chosen(args.target.as_deref())?;
    ensure!(
        flavours.len() == 1 || args.programs.is_none(),
        "--programs are of one target; name it"
    );
    let out = match &args.out {
        Some(out) => out.clone(),
        None => target_dir()?.join("dist"),
    };
    fs::create_dir_all(&out).with_context(|| format!("cannot create {}", out.display()))?;
    let mut made = Vec::new();
    for flavour in flavours {
        let dist = Dist::new(args, flavour, &out).with_context(|| flavour.to_string())?;
        made.extend(dist.make(args.check).with_context(|| flavour.to_string())?);
    }
    write_sums(&out.join("SHA256SUMS"), &made)
}

/// Makes the machine's .deb as soon as can be, and unpacks it: the folder that is its `/`.
pub(crate) fn unpacked(machine: &Machine, dir: &Path) -> Result<PathBuf> {
    let args = Args {
        check: false,
        profile: "dev".to_owned(),
        target: None,
        programs: None,
        plugin: false,
        out: None,
    };
    fs::create_dir_all(dir).with_context(|| format!("cannot create {}", dir.display()))?;
    let dist = Dist::new(&args, Flavour::from(machine), dir)?;
    let tree = dist.plant()?;
    let deb = dist.deb(&tree, machine.debian)?;
    fs::remove_dir_all(&tree).context("cannot tidy up")?;
    let system = dir.join("root");
    if system.exists() {
        fs::remove_dir_all(&system).context("cannot remove what an earlier run left")?;
    }
    output(command("dpkg-deb --extract").arg(&deb).arg(&system))?;
    println!("unpacked {}", deb.display());
    Ok(system)
}

impl Dist {
    fn new(args: &Args, flavour: Flavour, out: &Path) -> Result<Self> {
        flavour.set_up()?;
        let programs = match &args.programs {
            Some(folder) => folder.clone(),
            None => flavour.build(&args.profile)?,
        };
        Ok(Self {
            version: env!("CARGO_PKG_VERSION"),
            flavour,
            epoch: epoch()?,
            programs,
            out: out.to_owned(),
            is_trial: args.is_trial(),
        })
    }

    /// Makes the packages, and tries the .deb if that is asked for.
    fn make(&self, check: bool) -> Result<Vec<PathBuf>> {
        let tree = self.plant()?;
        let mut made = vec![self.tarball(&tree)?];
        if let Some(machine) = self.flavour.debian {
            match works("dpkg-deb --version") {
                true => made.push(self.deb(&tree, machine)?),
                false => println!("== .deb: SKIPPED, there is no dpkg-deb"),
            }
        }
        fs::remove_dir_all(&tree).context("cannot tidy up")?;
        for file in &made {
            let size = fs::metadata(file)?.len();
            println!("made {} ({:.1} MB)", file.display(), size as f64 / 1e6);
        }
        if let Some(deb) = made.get(1).filter(|_| check) {
            check::run(deb, &self.out.join("root"), self.flavour)?;
        }
        Ok(made)
    }

    /// Lays all files out as they are when they are installed; the folder.
    fn plant(&self) -> Result<PathBuf> {
        let tree = self.out.join("tree");
        tree::plant(self, &tree)?;
        Ok(tree)
    }

    /// The tree under one folder, without `usr`, to be unpacked anywhere.
    fn tarball(&self, tree: &Path) -> Result<PathBuf> {
        let (machine, libc) = (self.flavour.machine_name(), self.flavour.libc());
        let name = format!("flb-agent-{}-{machine}-linux-{libc}", self.version);
        let tar = self.out.join(format!("{name}.tar"));
        let mut pack = command("tar --sort=name --format=gnu --owner=0 --group=0 --numeric-owner");
        pack.arg(format!("--mtime=@{}", self.epoch));
        pack.arg(format!("--transform=s,^usr/,{name}/,;s,^usr$,{name},;s,^etc,{name}/etc,"));
        output(pack.arg("-C").arg(tree).arg("-cf").arg(&tar).args(["usr", "etc"]))?;
        let level = if self.is_trial { "-1" } else { "-9" };
        output(command("gzip").args([level, "-n", "-f"]).arg(&tar))?;
        Ok(self.out.join(format!("{name}.tar.gz")))
    }

    fn deb(&self, tree: &Path, machine: &str) -> Result<PathBuf> {
        tree::describe(self, tree, machine)?;
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
}
