//! Running other programs, always from the project's root and never with our standard input.

use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail, ensure};
use serde_json::Value;

/// The project's root.
pub(crate) fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("xtask lies in the project's root")
}

/// A command from a line of words that are parted by blanks.
pub(crate) fn command(line: &str) -> Command {
    let mut words = line.split_whitespace();
    let mut command = Command::new(words.next().expect("a command has a first word"));
    command.args(words).current_dir(root()).stdin(Stdio::null());
    command
}

/// The command as one would type it.
pub(crate) fn line(command: &Command) -> String {
    let words = std::iter::once(command.get_program()).chain(command.get_args());
    words.map(|word| quote(&shown(&word.to_string_lossy()))).collect::<Vec<_>>().join(" ")
}

/// A path as the reader knows it: relative to the project's root, if it lies there.
fn shown(word: &str) -> String {
    word.replace(&format!("{}/", root().display()), "")
}

fn quote(word: &str) -> String {
    let plain = |c: char| c.is_alphanumeric() || "-_=.,/:+@%".contains(c);
    if !word.is_empty() && word.chars().all(plain) {
        return word.to_owned();
    }
    format!("'{}'", word.replace('\'', r"'\''"))
}

/// Runs the command before the reader's eyes; an error unless it succeeds.
pub(crate) fn run(command: &mut Command) -> Result<()> {
    println!("$ {}", line(command));
    let status = command.status().with_context(|| format!("cannot run {}", line(command)))?;
    ensure!(status.success(), "{} failed ({status})", line(command));
    Ok(())
}

/// Runs the command unseen, for what it prints; an error, with its own words, unless it succeeds.
pub(crate) fn output(command: &mut Command) -> Result<String> {
    let output = command.output().with_context(|| format!("cannot run {}", line(command)))?;
    if !output.status.success() {
        let said = String::from_utf8_lossy(&output.stderr);
        bail!("{} failed ({}): {}", line(command), output.status, said.trim_end());
    }
    String::from_utf8(output.stdout).with_context(|| format!("what {} prints", line(command)))
}

/// The first line of what the command prints.
pub(crate) fn first_line(command: &mut Command) -> Result<String> {
    Ok(output(command)?.lines().next().unwrap_or_default().to_owned())
}

/// Whether the command can be run and succeeds; what it says is of no interest.
pub(crate) fn works(line: &str) -> bool {
    command(line)
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status()
        .is_ok_and(|status| status.success())
}

/// What `cargo metadata` says, asked with these further words.
pub(crate) fn metadata(words: &str) -> Result<Value> {
    let said = output(&mut command(&format!("cargo metadata --format-version 1 {words}")))?;
    serde_json::from_str(&said).context("cargo metadata")
}

/// Where cargo puts what it builds.
pub(crate) fn target_dir() -> Result<PathBuf> {
    let metadata = metadata("--no-deps")?;
    let dir = metadata["target_directory"].as_str().context("cargo names no target directory")?;
    Ok(dir.into())
}

/// A port that was free a moment ago.
pub(crate) fn free_port() -> Result<u16> {
    Ok(TcpListener::bind("127.0.0.1:0")?.local_addr()?.port())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_command_is_shown_as_one_would_type_it() {
        let path = root().join("target/demo/x.aot");
        let mut command = command("flb-agent -m dummy.* -o");
        command.arg(path).arg("it's");
        assert_eq!(line(&command), r"flb-agent -m 'dummy.*' -o target/demo/x.aot 'it'\''s'");
    }

    #[test]
    fn a_failure_tells_the_programs_own_words() {
        let error = output(command("sh -c").arg("echo no way >&2; exit 3")).unwrap_err();
        let told = error.to_string();
        assert!(told.contains("no way") && told.contains('3'), "{told}");
        assert!(!works("no-such-program-anywhere --version"));
    }
}
