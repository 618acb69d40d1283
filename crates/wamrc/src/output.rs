//! What goes out: text on stdout, and files whole or not at all.

use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use anyhow::Context as _;

/// What a command came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// All is well.
    Done,
    /// It looked, and found problems, and said so.
    #[cfg_attr(
        not(feature = "run"),
        allow(dead_code, reason = "check and replay look for problems")
    )]
    Problems,
}

/// Prints text. A reader that has gone away wants no more, which is no error.
pub(crate) fn say(text: &str) -> anyhow::Result<()> {
    let mut stdout = io::stdout().lock();
    match stdout.write_all(text.as_bytes()).and_then(|()| stdout.flush()) {
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        written => written.context("cannot write to stdout"),
    }
}

/// Writes beside the file and renames, so that nobody ever sees half of it.
pub(crate) fn write_whole(path: &Path, bytes: &[u8]) -> anyhow::Result<()> {
    let failed = || format!("open or create aot file failed: {}", path.display());
    // A link stays, what it points to is replaced.
    let real = path.canonicalize();
    let real = real.as_deref().unwrap_or(path);
    let written = match std::fs::metadata(real) {
        Ok(old) if old.is_dir() => {
            anyhow::bail!("{}: it is a directory; help: give a file name", failed())
        }
        // Such as /dev/null: never to be replaced.
        Ok(old) if !old.is_file() => std::fs::write(real, bytes),
        _ => replace(real, bytes),
    };
    let help = "give a path in a folder that you may write to";
    written.with_context(|| format!("{}; help: {help}", failed()))
}

fn replace(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let temporary = temporary(path);
    let written = std::fs::File::create(&temporary)
        .and_then(|mut file| file.write_all(bytes).and_then(|()| file.sync_all()))
        .and_then(|()| keep_mode(path, &temporary))
        .and_then(|()| std::fs::rename(&temporary, path));
    if written.is_err() {
        // The reason for the failure is worth more than that of the clean-up.
        let _ = std::fs::remove_file(&temporary);
    }
    written
}

/// A file that is replaced keeps its permissions.
fn keep_mode(path: &Path, temporary: &Path) -> io::Result<()> {
    match std::fs::metadata(path) {
        Ok(old) => std::fs::set_permissions(temporary, old.permissions()),
        Err(_) => Ok(()),
    }
}

/// A name in the same directory that no other run uses.
fn temporary(path: &Path) -> PathBuf {
    let mut name = std::ffi::OsString::from(".");
    name.push(path.file_name().unwrap_or_default());
    name.push(format!(".{}", std::process::id()));
    path.with_file_name(name)
}
