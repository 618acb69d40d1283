//! What goes out: text on stdout and stderr, harmless to a terminal, and files whole or not at all.

use std::fmt::Display;
use std::fs;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use anstyle::Style;
use anyhow::Context as _;
use flb_cli::{ERROR, NOTE};
use flb_files::Unfinished;
use flb_text::{tame, tame_json, tame_line};
use serde_json::json;

/// What a command came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// All is well.
    Done,
    /// It looked, and found problems, and said so.
    #[cfg_attr(
        not(feature = "run"),
        allow(dead_code, reason = "check, test and replay look for problems")
    )]
    Problems,
    /// It measured, and it was more than the budget.
    #[cfg_attr(not(feature = "run"), allow(dead_code, reason = "bench has a budget"))]
    OverBudget,
}

/// Prints text of whole lines. What comes from outside into one of them goes through [`tame_line`] before.
pub(crate) fn say(text: &str) -> anyhow::Result<()> {
    print(&tame(text))
}

/// Prints JSON, and a line end.
pub(crate) fn say_json(json: impl Display) -> anyhow::Result<()> {
    print(&tame_json(&format!("{json}\n")))
}

/// A line in pieces, each as it shall look.
#[cfg(feature = "run")]
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Line(Vec<(Style, String)>);

#[cfg(feature = "run")]
impl Line {
    /// A line that looks so throughout.
    pub(crate) fn of(style: Style, text: impl Into<String>) -> Self {
        Self(vec![(style, text.into())])
    }

    /// The same, and behind it this.
    pub(crate) fn and(mut self, style: Style, text: impl Into<String>) -> Self {
        self.0.push((style, text.into()));
        self
    }

    /// Without its looks.
    pub(crate) fn plain(&self) -> String {
        self.0.iter().map(|(_, text)| text.as_str()).collect()
    }
}

/// Prints lines in colours, where the terminal has them. What comes from outside needs no care.
#[cfg(feature = "run")]
pub(crate) fn show_lines(lines: &[Line]) -> anyhow::Result<()> {
    let mut stdout = anstream::stdout().lock();
    let mut print = || {
        for Line(pieces) in lines {
            for (style, text) in pieces {
                write!(stdout, "{style}{}{style:#}", tame_line(text))?;
            }
            writeln!(stdout)?;
        }
        stdout.flush()
    };
    written(print())
}

/// Prints a help text, which is this program's own, in colours where the terminal has them.
pub(crate) fn show(help: &clap::Error) -> anyhow::Result<Outcome> {
    written(help.print())?;
    Ok(Outcome::Done)
}

fn print(text: &str) -> anyhow::Result<()> {
    let mut stdout = io::stdout().lock();
    written(stdout.write_all(text.as_bytes()).and_then(|()| stdout.flush()))
}

/// A reader that has gone away wants no more, which is no error.
fn written(written: io::Result<()>) -> anyhow::Result<()> {
    match written {
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        written => written.context("cannot write to stdout"),
    }
}

/// Says on stderr what is worth knowing and no error.
pub(crate) fn note(text: impl Display) {
    labelled(NOTE, "note", text);
}

/// A line on stderr that begins with a word in colours, where the terminal has them.
fn labelled(style: Style, label: &str, text: impl Display) {
    let text = text.to_string();
    let text = tame_line(&text);
    let _ = writeln!(anstream::stderr().lock(), "{style}{label}:{style:#} {text}");
}

/// A line on stderr. When that cannot be written there is nowhere left to say so.
pub(crate) fn aside(line: impl Display) {
    let _ = writeln!(io::stderr().lock(), "{}", tame_line(&line.to_string()));
}

/// Says why the program fails: a line on stderr, or an object on stdout where a program reads.
pub(crate) fn complain(error: &anyhow::Error, as_json: bool) {
    let text = format!("{error:#}");
    if !as_json {
        return labelled(ERROR, "error", text);
    }
    let (message, help) = match text.split_once("; help: ") {
        Some((message, help)) => (message, Some(help)),
        None => (text.as_str(), None),
    };
    // It fails anyway, and nobody reads.
    let _ = say_json(json!({ "error": message, "help": help }));
}

/// Most links from an output to its file, as the system has it.
const LINKS: usize = 40;

/// Proves that a file can be written there, before it is known what will be in it.
pub(crate) fn prove_writable(path: &Path) -> anyhow::Result<()> {
    let proven = Place::of(path).and_then(|place| match place {
        Place::Device(_) => Ok(()),
        Place::File(path) => Unfinished::beside(&path).map(drop),
    });
    proven.map_err(|error| unwritable(path, &error))
}

/// Writes beside the file and renames, so that nobody ever sees half of it.
pub(crate) fn write_whole(path: &Path, bytes: &[u8]) -> anyhow::Result<()> {
    let written = Place::of(path).and_then(|place| match place {
        Place::Device(path) => fs::write(path, bytes),
        Place::File(path) => replace(&path, bytes),
    });
    written.map_err(|error| unwritable(path, &error))
}

fn unwritable(path: &Path, error: &io::Error) -> anyhow::Error {
    let help = match error.kind() {
        io::ErrorKind::IsADirectory => "give a file name",
        io::ErrorKind::StorageFull | io::ErrorKind::FileTooLarge => "make room there",
        _ => "give a path in a folder that you may write to",
    };
    anyhow::anyhow!("open or create aot file failed: {}: {error}; help: {help}", path.display())
}

/// Where an output leads. A link stays, what it points to is written, be it there yet or not.
enum Place {
    File(PathBuf),
    /// Such as /dev/null: never to be replaced.
    Device(PathBuf),
}

impl Place {
    fn of(path: &Path) -> io::Result<Self> {
        let mut path = path.to_owned();
        for _ in 0..LINKS {
            let Ok(next) = fs::read_link(&path) else { return Self::without_link(path) };
            path = path.parent().map_or_else(|| next.clone(), |folder| folder.join(&next));
        }
        Err(io::Error::other("too many links lead on from there"))
    }

    fn without_link(path: PathBuf) -> io::Result<Self> {
        Ok(match fs::metadata(&path) {
            Ok(old) if old.is_dir() => {
                return Err(io::Error::new(io::ErrorKind::IsADirectory, "it is a directory"));
            }
            Ok(old) if !old.is_file() => Self::Device(path),
            _ => Self::File(path),
        })
    }
}

fn replace(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let mut unfinished = Unfinished::beside(path)?;
    let file = unfinished.file();
    file.write_all(bytes)?;
    file.sync_all()?;
    // A file that is replaced keeps its permissions.
    if let Ok(old) = fs::metadata(path) {
        file.set_permissions(old.permissions())?;
    }
    unfinished.take(path)
}
