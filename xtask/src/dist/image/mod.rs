//! `cargo xtask image`: a container image of the static programs and nothing else but certificates and time zones, for several machines,
//! as a layout of the Open Container Initiative. No container engine is needed; two runs on one commit and machine give the same bytes.

mod check;
mod layout;

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};
use clap::builder::PossibleValuesParser;

use self::layout::{Layout, Platform};
use super::flavour::{self, Flavour};
use super::{PROGRAMS, epoch, licences, packaging, tree};
use crate::run::{command, output, root, target_dir};

/// The machines that it is for: what others call them, what `dist --target` calls their programs, and what images call them.
const MACHINES: [(&str, &str, Platform); 3] = [
    ("x86_64", "x86_64-musl", Platform { architecture: "amd64", variant: None }),
    ("aarch64", "aarch64-musl", Platform { architecture: "arm64", variant: None }),
    ("armv7", "armv7-musl", Platform { architecture: "arm", variant: Some("v7") }),
];

/// The word for all of them.
const ALL: &str = "all";

/// Who the agent is: by number, so that Kubernetes sees that it is not root.
const USER: &str = "65532";

/// Files that are taken as they are: from `packaging/`, to the image. The paths below `fluent-bit` are those of Fluent Bit's image.
const FILES: &[(&str, &str)] = &[
    ("flb-agent.conf", "etc/flb-agent/flb-agent.conf"),
    ("parsers.conf", "etc/flb-agent/parsers.conf"),
    ("flb-agent.conf", "fluent-bit/etc/fluent-bit.conf"),
    ("parsers.conf", "fluent-bit/etc/parsers.conf"),
    ("debian/copyright", "usr/share/doc/flb-agent/copyright"),
    ("../LICENSE", "usr/share/doc/flb-agent/LICENSE"),
];

/// What this machine has of the world, and the image is to have, too.
const CERTIFICATES: &str = "etc/ssl/certs/ca-certificates.crt";
const ZONES: &str = "usr/share/zoneinfo";

/// Folders that the agent may write, where the root may be written.
const OWN: [&str; 2] = ["var/cache/flb-agent", "var/lib/flb-agent"];

#[derive(Debug, Clone, clap::Args)]
pub(crate) struct Args {
    /// The machine
    #[arg(default_value = ALL, value_parser = PossibleValuesParser::new(
        MACHINES.iter().map(|(name, ..)| *name).chain([ALL])))]
    machine: String,
    /// Unpack each image and run it as a container that may write nothing; needs Debian and root
    #[arg(long)]
    check: bool,
    /// How to build; dev builds soon instead of small and fast
    #[arg(long, value_name = "NAME", default_value = "packaged")]
    profile: String,
    /// Take programs that are built already; for one machine
    #[arg(long, value_name = "FOLDER")]
    programs: Option<PathBuf>,
    /// Where the layout goes (default: target/dist/image)
    #[arg(long, value_name = "FOLDER")]
    out: Option<PathBuf>,
}

pub(crate) fn run(args: &Args) -> Result<()> {
    let chosen = MACHINES.iter().filter(|(name, ..)| args.machine == ALL || args.machine == *name);
    ensure!(
        args.machine != ALL || args.programs.is_none(),
        "--programs are of one machine; name it"
    );
    let out = match &args.out {
        Some(out) => out.clone(),
        None => target_dir()?.join("dist/image"),
    };
    let layout = Layout::create(&out, &epoch()?)?;
    let mut images = Vec::new();
    for (name, flavour, platform) in chosen {
        let flavour = flavour::chosen(Some(flavour))?[0];
        flavour.set_up()?;
        let programs = match &args.programs {
            Some(folder) => folder.clone(),
            None => flavour.build(&args.profile)?,
        };
        let layer = layer(&out, flavour, &programs).with_context(|| name.to_string())?;
        images.push(layout.image(platform, &layer)?);
        if args.check {
            layout.finish(&images)?;
            check::run(&out, platform, flavour).with_context(|| name.to_string())?;
        }
    }
    layout.finish(&images)?;
    let size = output(command("du --summarize --bytes").arg(&out))?;
    let size: u64 = size.split_whitespace().next().context("du says no size")?.parse()?;
    println!("made {} for {} machines ({:.1} MB)", out.display(), images.len(), size as f64 / 1e6);
    Ok(())
}

/// Packs the one layer that an image has; where it is.
fn layer(out: &Path, flavour: Flavour, programs: &Path) -> Result<PathBuf> {
    let (root, tar) = (out.join("root"), out.join("layer.tar"));
    plant(&root, flavour, programs)?;
    let epoch = epoch()?;
    let pack = |what: &[&str], user: &str| {
        let mut pack = command("tar --sort=name --format=gnu --numeric-owner");
        pack.arg(format!("--mtime=@{epoch}")).arg("-C").arg(&root);
        pack.arg(format!("--owner={user}")).arg(format!("--group={user}"));
        let exclude = |name: &&str| format!("--exclude={name}");
        let others = OWN.iter().filter(|name| !what.contains(name));
        pack.args(others.map(exclude));
        output(pack.arg("-rf").arg(&tar).args(what)).map(drop)
    };
    pack(&["etc", "fluent-bit", "tmp", "usr", "var"], "0")?;
    pack(&OWN, USER)?;
    fs::remove_dir_all(&root).context("cannot tidy up")?;
    Ok(tar)
}

/// Lays the image's files out.
fn plant(root: &Path, flavour: Flavour, programs: &Path) -> Result<()> {
    if root.exists() {
        fs::remove_dir_all(root).with_context(|| format!("cannot remove {}", root.display()))?;
    }
    for program in PROGRAMS {
        let built = programs.join(program);
        let bytes = fs::read(&built).with_context(|| format!("cannot read {}", built.display()))?;
        tree::write(root, &format!("usr/bin/{program}"), &bytes, 0o755)?;
        flavour.strip(&root.join("usr/bin").join(program))?;
    }
    for (from, to) in FILES {
        let text = fs::read(packaging(from)).with_context(|| format!("packaging/{from}"))?;
        tree::write(root, to, &text, 0o644)?;
    }
    let licences = licences::list(&PROGRAMS, Some(flavour.triple), flavour.features(false))?;
    tree::write(root, "usr/share/doc/flb-agent/third-party.txt", licences.as_bytes(), 0o644)?;
    let passwd =
        format!("flb-agent:x:{USER}:{USER}::/var/lib/flb-agent:/usr/sbin/nologin\n").into_bytes();
    tree::write(root, "etc/passwd", &passwd, 0o644)?;
    tree::write(root, "etc/group", format!("flb-agent:x:{USER}:\n").as_bytes(), 0o644)?;
    tree::folder(root, "fluent-bit/bin", 0o755)?;
    std::os::unix::fs::symlink("/usr/bin/flb-agent", root.join("fluent-bit/bin/fluent-bit"))?;
    OWN.iter().try_for_each(|name| tree::folder(root, name, 0o755))?;
    tree::folder(root, "tmp", 0o1777)?;
    plant_world(root)
}

/// Whom to trust, and what time it is where.
fn plant_world(root: &Path) -> Result<()> {
    let here = Path::new("/");
    let certificates = fs::read(here.join(CERTIFICATES))
        .with_context(|| format!("/{CERTIFICATES}: install ca-certificates"))?;
    tree::write(root, CERTIFICATES, &certificates, 0o644)?;
    let zones = output(command("find -L . -type f").current_dir(here.join(ZONES)))
        .context("install tzdata")?;
    // Those with leap seconds, and those that are there twice.
    let is_wanted = |name: &&str| !name.starts_with("right/") && !name.starts_with("posix/");
    for name in zones.lines().filter_map(|name| name.strip_prefix("./")).filter(is_wanted) {
        let name = format!("{ZONES}/{name}");
        tree::write(root, &name, &fs::read(here.join(&name))?, 0o644)?;
    }
    Ok(())
}

/// Where the example of a filter is.
fn example() -> PathBuf {
    root().join("examples/filters/c-enrich.wasm")
}
