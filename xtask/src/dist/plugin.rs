//! `cargo xtask dist --plugin`: the plugin for Fluent Bit, for each machine that it is made for, with and without a compiler. Built
//! against a C library as old as any that Fluent Bit itself is made for, by Zig, which has the symbols of all of them.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, ensure};

use super::{Args, epoch, licences, needs, write_sums};
use crate::run::{command, output, root, run as run_command, target_dir, works};
use crate::toolchains;

const MACHINES: [&str; 2] = ["x86_64", "aarch64"];

/// The C library that it must work with: Rust's library asks for no older one.
const GLIBC: [u32; 2] = [2, 17];

/// Where each file goes, and cargo's words for what is in it.
const VARIANTS: [(&str, &str); 2] = [("", ""), ("small", "--no-default-features")];

/// The name that Fluent Bit looks for, and the name of what it looks for in it.
const FILE: &str = "flb-filter_aot.so";
const SYMBOL: &str = "filter_aot_plugin";

pub(super) fn run(args: &Args) -> Result<()> {
    let out =
        args.out.clone().map_or_else(|| Ok::<_, anyhow::Error>(target_dir()?.join("dist")), Ok)?;
    fs::create_dir_all(&out).with_context(|| format!("cannot create {}", out.display()))?;
    let licences = licences::list(&["flb-fluent-bit"], None, "")?;
    let epoch = epoch()?;
    let mut made = Vec::new();
    for machine in MACHINES {
        let name = format!("flb-filter_aot-{}-{machine}-linux-gnu", env!("CARGO_PKG_VERSION"));
        let tree = out.join(&name);
        for (folder, features) in VARIANTS {
            let built = build(machine, &args.profile, features)?;
            check(&built).with_context(|| format!("{machine}: {}", built.display()))?;
            let folder = tree.join(folder);
            fs::create_dir_all(&folder)?;
            fs::copy(&built, folder.join(FILE)).context("cannot copy what was built")?;
        }
        fs::write(tree.join("third-party.txt"), &licences)?;
        fs::copy(root().join("LICENSE"), tree.join("LICENSE"))?;
        fs::copy(root().join("docs/fluent-bit-plugin.md"), tree.join("README.md"))?;
        made.push(pack(&out, &name, &epoch)?);
        fs::remove_dir_all(tree).context("cannot tidy up")?;
    }
    write_sums(&out.join("SHA256SUMS-plugin"), &made)?;
    for file in &made {
        let size = fs::metadata(file)?.len();
        println!("made {} ({:.1} MB)", file.display(), size as f64 / 1e6);
    }
    Ok(())
}

/// Builds it for a machine; where it is.
fn build(machine: &str, profile: &str, features: &str) -> Result<PathBuf> {
    let target = format!("{machine}-unknown-linux-gnu");
    ensure!(works(&format!("rustup target add {target}")), "rustup brings no library for {target}");
    let [major, minor] = GLIBC;
    let mut command = toolchains::zigbuild()?;
    command.args(["--locked", "-p", "flb-fluent-bit", "--lib", "--profile", profile]);
    command.arg("--target").arg(format!("{target}.{major}.{minor}"));
    run_command(command.args(features.split_whitespace()))?;
    let folder = if profile == "dev" { "debug" } else { profile };
    Ok(target_dir()?.join(target).join(folder).join("libfilter_aot.so"))
}

/// An error unless it is what Fluent Bit can load, and keep.
fn check(file: &Path) -> Result<()> {
    let needed = needs::glibc(file)?;
    ensure!(needed <= GLIBC.to_vec(), "it needs glibc {needed:?}");
    let said = output(command("readelf --dynamic --dyn-syms --wide").arg(file))?;
    ensure!(said.contains("NODELETE"), "it may be unmapped");
    let mut words = said.lines().map(|line| line.split_whitespace().last());
    ensure!(words.any(|word| word == Some(SYMBOL)), "it has no {SYMBOL}");
    Ok(())
}

/// Packs a folder, the same bytes for the same commit.
fn pack(out: &Path, name: &str, epoch: &str) -> Result<PathBuf> {
    let tar = out.join(format!("{name}.tar"));
    let mut pack = command("tar --sort=name --format=gnu --owner=0 --group=0 --numeric-owner");
    pack.arg(format!("--mtime=@{epoch}")).arg("-C").arg(out).arg("-cf").arg(&tar).arg(name);
    output(&mut pack)?;
    output(command("gzip -9 -n -f").arg(&tar))?;
    Ok(out.join(format!("{name}.tar.gz")))
}
