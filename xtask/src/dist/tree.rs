//! The files of a package, as they lie when it is installed, and what Debian wants to know about them.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use anyhow::{Context, Result};

use super::{Dist, PROGRAMS, licences, needs, packaging};
use crate::run::{command, output};

/// Files that are taken as they are: from `packaging/`, to the package.
const FILES: &[(&str, &str)] = &[
    ("flb-agent.conf", "etc/flb-agent/flb-agent.conf"),
    ("parsers.conf", "etc/flb-agent/parsers.conf"),
    ("flb-agent.default", "etc/default/flb-agent"),
    ("flb-agent.service", "usr/lib/systemd/system/flb-agent.service"),
    ("debian/copyright", "usr/share/doc/flb-agent/copyright"),
    ("../LICENSE", "usr/share/doc/flb-agent/LICENSE"),
    ("../CHANGELOG.md", "usr/share/doc/flb-agent/CHANGELOG.md"),
];

/// A shell, and where it looks for completions.
const SHELLS: [(&str, &str); 3] = [
    ("bash", "usr/share/bash-completion/completions/@"),
    ("zsh", "usr/share/zsh/vendor-completions/_@"),
    ("fish", "usr/share/fish/vendor_completions.d/@.fish"),
];

/// What Debian's tools run; the others are only read.
const SCRIPTS: [&str; 3] = ["postinst", "prerm", "postrm"];

/// How long a program gets to say something of itself, in seconds.
const PATIENCE: &str = "60";

/// Puts all files into the folder, which is made anew.
pub(super) fn plant(dist: &Dist, tree: &Path) -> Result<()> {
    if tree.exists() {
        fs::remove_dir_all(tree).with_context(|| format!("cannot remove {}", tree.display()))?;
    }
    for (from, to) in FILES {
        let text = fs::read(packaging(from)).with_context(|| format!("packaging/{from}"))?;
        write(tree, to, &text, 0o644)?;
    }
    for program in PROGRAMS {
        plant_program(dist, tree, program)?;
    }
    let licences =
        licences::list(&PROGRAMS, Some(dist.flavour.triple), dist.flavour.features(dist.is_trial))?;
    write(tree, "usr/share/doc/flb-agent/third-party.txt", licences.as_bytes(), 0o644)?;
    pack(&tree.join("usr/share/doc/flb-agent/CHANGELOG.md"))
}

/// A program, and what it says of itself: its manual page and completions.
fn plant_program(dist: &Dist, tree: &Path, program: &str) -> Result<()> {
    let built = dist.programs.join(program);
    let help =
        || format!("cannot read {}; build it first, or leave --programs out", built.display());
    let to = tree.join("usr/bin").join(program);
    write(tree, &format!("usr/bin/{program}"), &fs::read(&built).with_context(help)?, 0o755)?;
    dist.flavour.strip(&to)?;
    let runner = dist.flavour.runner();
    let said = |words: &[&str]| said(&runner, &to, words, PATIENCE);
    let man = format!("usr/share/man/man1/{program}.1");
    write(tree, &man, said(&["man"])?.as_bytes(), 0o644)?;
    pack(&tree.join(man))?;
    for (shell, place) in SHELLS {
        let script = said(&["completions", shell])?;
        write(tree, &place.replace('@', program), script.as_bytes(), 0o644)?;
    }
    Ok(())
}

/// What the program says to these words. One of another release may not know them, and go to work.
fn said(runner: &str, program: &Path, words: &[&str], seconds: &str) -> Result<String> {
    let mut command = command("timeout --kill-after=1");
    command.arg(seconds).args(runner.split_whitespace());
    let said = output(command.arg(program).args(words));
    said.with_context(|| {
        let (program, words) = (program.display(), words.join(" "));
        format!("{program} does not answer to '{words}' within {seconds} seconds; is it of this release?")
    })
}

/// Adds the folder `DEBIAN`.
pub(super) fn describe(dist: &Dist, tree: &Path, machine: &str) -> Result<()> {
    let files = files(tree)?;
    let programs = PROGRAMS.map(|program| tree.join("usr/bin").join(program));
    let control = fs::read_to_string(packaging("debian/control")).context("debian/control")?;
    let kilobytes: u64 = files.iter().map(|(_, size)| size.div_ceil(1024)).sum();
    let control = control
        .replace("@VERSION@", &dist.debian_version())
        .replace("@ARCHITECTURE@", machine)
        .replace("@INSTALLED_SIZE@", &kilobytes.to_string())
        .replace("@DEPENDS@", &needs::packages(&programs)?.join(", "));
    write(tree, "DEBIAN/control", control.as_bytes(), 0o644)?;
    let conffiles = fs::read(packaging("debian/conffiles")).context("debian/conffiles")?;
    write(tree, "DEBIAN/conffiles", &conffiles, 0o644)?;
    for script in SCRIPTS {
        let text = fs::read(packaging("debian").join(script)).context(script)?;
        write(tree, &format!("DEBIAN/{script}"), &text, 0o755)?;
    }
    let mut sums = command("md5sum");
    sums.args(files.iter().map(|(name, _)| name)).current_dir(tree);
    write(tree, "DEBIAN/md5sums", output(&mut sums)?.as_bytes(), 0o644)
}

/// The paths of all files below, in order, with their sizes.
fn files(tree: &Path) -> Result<Vec<(String, u64)>> {
    let found = output(command("find usr etc -type f").current_dir(tree))?;
    let mut names: Vec<&str> = found.lines().collect();
    names.sort_unstable();
    names
        .into_iter()
        .map(|name| Ok((name.to_owned(), fs::metadata(tree.join(name))?.len())))
        .collect()
}

/// Packs a file as Debian wants its documents, without the time.
fn pack(path: &Path) -> Result<()> {
    output(command("gzip -9 -n -f").arg(path)).map(drop)
}

/// Makes a folder of the tree. Its permissions and those of the ones around it do not depend on who builds.
pub(super) fn folder(tree: &Path, name: &str, mode: u32) -> Result<()> {
    let cannot = || format!("cannot create {name}");
    for folder in Path::new(name).ancestors() {
        let folder = tree.join(folder);
        fs::create_dir_all(&folder).with_context(cannot)?;
        fs::set_permissions(&folder, Permissions::from_mode(0o755)).with_context(cannot)?;
    }
    fs::set_permissions(tree.join(name), Permissions::from_mode(mode)).with_context(cannot)
}

/// Writes a file of the tree, with permissions that do not depend on who builds either.
pub(super) fn write(tree: &Path, name: &str, bytes: &[u8], mode: u32) -> Result<()> {
    let cannot = || format!("cannot write {name}");
    let path = tree.join(name);
    let around = Path::new(name).parent().and_then(Path::to_str).unwrap_or_default();
    folder(tree, around, 0o755)?;
    fs::write(&path, bytes).with_context(cannot)?;
    fs::set_permissions(&path, Permissions::from_mode(mode)).with_context(cannot)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_program_that_goes_to_work_is_not_waited_for() {
        let error = said("", Path::new("sleep"), &["infinity"], "0.01").unwrap_err();
        assert!(error.to_string().contains("is it of this release?"), "{error}");
        assert_eq!(said("", Path::new("echo"), &["man"], PATIENCE).unwrap(), "man\n");
    }
}
