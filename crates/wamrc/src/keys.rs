//! Makes keys and signs artifacts.

use std::ffi::OsString;
use std::fs::OpenOptions;
use std::io::Write as _;
use std::path::Path;

use anyhow::Context as _;
use flb_artifact::{PublicKey, SecretKey};

use crate::input;
use crate::options::{Given, UsageError};
use crate::output::{Outcome, say, write_whole};

/// The command `keygen`: never overwrites, and nobody else may read the secret.
pub(crate) fn keygen(_: &Given, operands: &[OsString]) -> anyhow::Result<Outcome> {
    let secret_path = input::only_file(operands)?;
    let mut public_path = secret_path.clone().into_os_string();
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
    create(&secret_path, &key.to_text(), 0o600)?;
    create(public_path, &format!("{}\n", key.public()), 0o644)?;
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
    let written = options
        .open(path)
        .and_then(|mut file| file.write_all(text.as_bytes()).and_then(|()| file.sync_all()));
    match written {
        Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => anyhow::bail!(
            "{} is there already; help: choose another name, or move it away",
            path.display()
        ),
        written => written.with_context(|| format!("cannot write {}", path.display())),
    }
}

/// The command `sign`.
pub(crate) fn sign(given: &Given, operands: &[OsString]) -> anyhow::Result<Outcome> {
    let file = input::only_file(operands)?;
    let [key] = given.keys.as_slice() else {
        let help = "write flb-wamrc sign --key FILE x.aot; flb-wamrc keygen makes a key";
        return Err(UsageError::new("one --key is needed", help).into());
    };
    let text = std::fs::read_to_string(key)
        .with_context(|| format!("cannot read the key {}", key.display()))?;
    let secret: SecretKey = text.parse().with_context(|| key.display().to_string())?;
    let mut artifact = input::artifact(&file)?;
    artifact.sign(&secret);
    write_whole(&file, artifact.bytes())?;
    say(&format!("{}: signed by {}\n", file.display(), secret.public()))?;
    Ok(Outcome::Done)
}

/// Reads a public key.
pub(crate) fn public(path: &Path) -> anyhow::Result<PublicKey> {
    let text = std::fs::read_to_string(path)
        .with_context(|| format!("cannot read the key {}", path.display()))?;
    text.parse().with_context(|| path.display().to_string())
}
