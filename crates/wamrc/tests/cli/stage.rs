//! A folder with modules, and the program run in it.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::Command;

/// A filter's parameters and result.
const TYPE: &str = "(param i32 i32 i32 i32 i32 i32) (result i32)";

/// A fresh folder.
pub(crate) struct Stage {
    folder: tempfile::TempDir,
}

/// What a run came to.
#[derive(Debug)]
pub(crate) struct Run {
    line: String,
    pub(crate) code: i32,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl Run {
    fn of(line: &str, command: &mut Command) -> Self {
        let output = command.output().unwrap();
        Self {
            line: line.to_owned(),
            code: output.status.code().unwrap(),
            stdout: String::from_utf8(output.stdout).unwrap(),
            stderr: String::from_utf8(output.stderr).unwrap(),
        }
    }

    /// The exit code, and words that stdout and stderr have.
    #[track_caller]
    pub(crate) fn check(&self, code: i32, stdout: &[&str], stderr: &[&str]) {
        assert_eq!(self.code, code, "{self:#?}");
        for (words, text) in [(stdout, &self.stdout), (stderr, &self.stderr)] {
            for word in words {
                assert!(text.contains(word), "{}: no '{word}' in\n{text}", self.line);
            }
        }
    }
}

impl Stage {
    /// A folder with `ok.wasm`, whose filter `f` answers `{"a":1}`.
    pub(crate) fn new() -> Self {
        let stage = Self { folder: tempfile::tempdir().unwrap() };
        stage.module("ok.wasm", &answer(r#"{\"a\":1}\00"#));
        stage
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub(crate) fn write(&self, name: &str, bytes: &[u8]) {
        std::fs::write(self.path(name), bytes).unwrap();
    }

    /// Writes a module given as text.
    pub(crate) fn module(&self, name: &str, text: &str) {
        self.write(name, &wat::parse_str(text).unwrap());
    }

    /// Runs the program with the words of a line.
    pub(crate) fn run(&self, line: &str) -> Run {
        self.run_in("", line)
    }

    pub(crate) fn run_in(&self, folder: &str, line: &str) -> Run {
        self.run_words(folder, &line.split_whitespace().collect::<Vec<_>>())
    }

    /// Runs the program with the words of a line, and with this on its stdin.
    pub(crate) fn run_fed(&self, line: &str, stdin: &[u8]) -> Run {
        self.write("stdin", stdin);
        let mut command = self.command("", &line.split_whitespace().collect::<Vec<_>>());
        Run::of(line, command.stdin(std::fs::File::open(self.path("stdin")).unwrap()))
    }

    /// Runs the program with the words of a line, on a disk without room for another byte.
    #[cfg(target_os = "linux")]
    pub(crate) fn run_on_a_full_disk(&self, line: &str) -> Run {
        let mut shell = Command::new("sh");
        let program = env!("CARGO_BIN_EXE_flb-wamrc");
        let script = format!("trap '' XFSZ; ulimit -f 0; exec '{program}' {line}");
        Run::of(line, shell.arg("-c").arg(script).current_dir(self.folder.path()))
    }

    /// The names of all files.
    pub(crate) fn files(&self) -> Vec<String> {
        let entries = std::fs::read_dir(self.folder.path()).unwrap();
        let mut names: Vec<String> =
            entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }

    pub(crate) fn run_words<W: AsRef<OsStr>>(&self, folder: impl AsRef<Path>, words: &[W]) -> Run {
        let line: Vec<_> = words.iter().map(|word| word.as_ref().to_string_lossy()).collect();
        Run::of(&line.join(" "), &mut self.command(folder, words))
    }

    fn command<W: AsRef<OsStr>>(&self, folder: impl AsRef<Path>, words: &[W]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_flb-wamrc"));
        command.args(words).current_dir(self.folder.path().join(folder));
        command
    }
}

/// A filter `f` that answers with these bytes.
pub(crate) fn answer(data: &str) -> String {
    format!(
        "(module (memory (export \"memory\") 1) (data (i32.const 16) \"{data}\") {})",
        filter("i32.const 16")
    )
}

/// A filter `f` with this body.
pub(crate) fn filter(body: &str) -> String {
    format!("(func (export \"f\") {TYPE} {body})")
}
