//! Makes keys and signs artifacts.

use std::fs::OpenOptions;
use std::io::Write as _;
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use clap::Args;
use flb_artifact::{Name, PublicKey, Release, SecretKey, Version};

use crate::input;
use crate::output::{Outcome, say, write_whole};
use crate::usage::UsageError;

/// Make a key: FILE for signing, FILE.pub for verifying
#[derive(Debug, Args)]
#[command(override_usage = "flb-wamrc keygen FILE")]
pub(crate) struct KeygenArgs {
    #[arg(hide = true)]
    files: Vec<PathBuf>,
}

/// Sign an artifact, in place
#[derive(Debug, Args)]
#[command(override_usage = "flb-wamrc sign [options] FILE.aot")]
pub(crate) struct SignArgs {
    /// Sign with this key, made by keygen
    #[arg(long = "key", value_name = "FILE", allow_hyphen_values = true)]
    keys: Vec<PathBuf>,
    /// Say in the signed part which filter it is, for agents that require a name
    #[arg(long, value_name = "NAME", allow_hyphen_values = true, value_parser = name)]
    name: Option<Name>,
    /// Say which version of the filter it is: 1.4.0
    #[arg(long, value_name = "VERSION", allow_hyphen_values = true, value_parser = version)]
    version: Option<Version>,
    #[arg(hide = true)]
    files: Vec<PathBuf>,
}

fn name(text: &str) -> Result<Name, UsageError> {
    Ok(text.parse()?)
}

fn version(text: &str) -> Result<Version, UsageError> {
    Ok(text.parse()?)
}

/// The command `keygen`: never overwrites, nobody else may read the secret, and there are both files or none.
pub(crate) fn keygen(args: &KeygenArgs) -> anyhow::Result<Outcome> {
    let secret_path = input::only_file(&args.files)?;
    let mut public_path = secret_path.as_os_str().to_owned();
    public_path.push(".pub");
    let public_path = Path::new(&public_path);
    anyhow::ensure!(
        !public_path.exists(),
        "{} is there already; help: choose another name, or move it away",
        public_path.display()
    );
    let mut random = [0; 32];
    getrandom::fill(&mut random)
        .map_err(|error| anyhow::anyhow!("the system gives no random numbers: {error}"))?;
    let key = SecretKey::from_random(random);
    create(secret_path, &key.to_text(), 0o600)?;
    create(public_path, &format!("{}\n", key.public()), 0o644).inspect_err(|_| {
        // Half a pair is of no use; and of the failure its reason is worth more than that of the clean-up.
        let _ = std::fs::remove_file(secret_path);
    })?;
    say(&format!("{}\n", key.public()))?;
    Ok(Outcome::Done)
}

/// Writes a new file with these permissions from the start.
fn create(path: &Path, text: &str, mode: u32) -> anyhow::Result<()> {
    let mut options = OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, mode);
    #[cfg(not(unix))]
    let _ = mode;
    let written = options.open(path).and_then(|mut file| {
        let written = file.write_all(text.as_bytes()).and_then(|()| file.sync_all());
        // Begun here, so it is nobody else's.
        written.inspect_err(|_| drop(std::fs::remove_file(path)))
    });
    match written {
        Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => anyhow::bail!(
            "{} is there already; help: choose another name, or move it away",
            path.display()
        ),
        written => written.with_context(|| format!("cannot write {}", path.display())),
    }
}

/// The command `sign`.
pub(crate) fn sign(args: &SignArgs) -> anyhow::Result<Outcome> {
    let file = input::only_file(&args.files)?;
    let [key] = args.keys.as_slice() else {
        let help = "write flb-wamrc sign --key FILE x.aot; flb-wamrc keygen makes a key";
        return Err(UsageError::new("one --key is needed", help).into());
    };
    let text = std::fs::read_to_string(key)
        .with_context(|| format!("cannot read the key {}", key.display()))?;
    let secret: SecretKey = text.parse().with_context(|| key.display().to_string())?;
    let release = release(args)?;
    let named = release.as_ref().map(|release| format!(" as {release}")).unwrap_or_default();
    let mut artifact = input::artifact(file)?.released(release)?;
    artifact.sign(&secret);
    write_whole(file, artifact.bytes())?;
    say(&format!("{}: signed{named} by {}\n", file.display(), secret.public()))?;
    Ok(Outcome::Done)
}

/// What the signature shall say of the filter, beside who signed it.
fn release(args: &SignArgs) -> Result<Option<Release>, UsageError> {
    match (args.name.clone(), args.version.clone()) {
        (Some(name), Some(version)) => Ok(Some(Release { name, version })),
        (None, None) => Ok(None),
        _ => Err(UsageError::new(
            "a name and a version belong together",
            "write --name redact --version 1.4.0",
        )),
    }
}

/// Reads a public key.
pub(crate) fn public(path: &Path) -> anyhow::Result<PublicKey> {
    let text = std::fs::read_to_string(path)
        .with_context(|| format!("cannot read the key {}", path.display()))?;
    text.parse().with_context(|| path.display().to_string())
}
