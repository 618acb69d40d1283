//! `cargo xtask configurations FOLDER`: asks the agent what it says of every configuration below a folder, and counts what it
//! refuses, so that what most people miss is seen first. Nothing runs.

mod finding;
mod variables;

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context as _, Result, ensure};

use self::finding::{Finding, Severity, findings};
use self::variables::variables;
use crate::run::{command, run as run_command, target_dir};

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Where the configurations are, in any depth
    folder: PathBuf,
    /// The agent that is asked (default: it is built)
    #[arg(long, value_name = "PROGRAM")]
    agent: Option<PathBuf>,
    /// Count also what has no effect or is doubtful
    #[arg(long)]
    warnings: bool,
    /// Options of the agent that all configurations are meant for
    #[arg(last = true, value_name = "OPTIONS")]
    options: Vec<String>,
}

/// What the agent says of all configurations.
#[derive(Debug, Default)]
struct Answers {
    starting: Vec<PathBuf>,
    refused: usize,
    /// In how many configurations each thing is found.
    counts: BTreeMap<Finding, usize>,
}

pub(crate) fn run(args: &Args) -> Result<()> {
    let folder = fs::canonicalize(&args.folder)
        .with_context(|| format!("cannot look into {}", args.folder.display()))?;
    let mut files = Vec::new();
    collect(&folder, &mut files)?;
    let variables = variables(files.iter().map(|(_, text)| text.as_str()));
    let asked = files.iter().filter(|(path, text)| is_configuration(path, text));
    let asked: Vec<&Path> = asked.map(|(path, _)| path.as_path()).collect();
    ensure!(!asked.is_empty(), "no configuration below {}", folder.display());
    let agent = match &args.agent {
        Some(agent) => fs::canonicalize(agent).with_context(|| agent.display().to_string())?,
        None => {
            run_command(&mut command("cargo build -p flb-agent"))?;
            target_dir()?.join("debug/flb-agent")
        }
    };
    let room = target_dir()?.join("configurations");
    let mut answers = Answers::default();
    for path in asked {
        answers.add(path, ask(&agent, &args.options, path, &room, &variables)?);
    }
    answers.print(&folder, &variables, args.warnings);
    Ok(())
}

/// All files below the folder that may be, or be part of, a configuration, with their text; in order.
fn collect(folder: &Path, files: &mut Vec<(PathBuf, String)>) -> Result<()> {
    let entries = fs::read_dir(folder).with_context(|| folder.display().to_string())?;
    let mut paths = entries.map(|entry| Ok(entry?.path())).collect::<Result<Vec<_>>>()?;
    paths.sort();
    for path in paths {
        let extension = path.extension().and_then(|extension| extension.to_str());
        if path.is_dir() {
            collect(&path, files)?;
        } else if matches!(extension, Some("conf" | "yaml" | "yml"))
            && let Ok(text) = fs::read_to_string(&path)
        {
            files.push((path, text));
        }
    }
    Ok(())
}

/// Whether a file says what an agent is to do, and not only what parsers there are, or something else altogether.
fn is_configuration(path: &Path, text: &str) -> bool {
    if path.extension().is_some_and(|extension| extension != "conf") {
        return text.lines().any(|line| line.trim_end() == "pipeline:");
    }
    let sections = ["[input]", "[filter]", "[output]"];
    text.lines()
        .map(str::to_lowercase)
        .any(|line| sections.iter().any(|section| line.starts_with(section)))
}

/// Tries one configuration, in an empty folder. The agent's word, if it refuses, and all else that it says.
fn ask(
    agent: &Path,
    options: &[String],
    path: &Path,
    room: &Path,
    variables: &BTreeMap<String, String>,
) -> Result<(bool, Vec<Finding>)> {
    if room.exists() {
        fs::remove_dir_all(room)?;
    }
    fs::create_dir_all(room)?;
    let mut command = Command::new(agent);
    command
        .args(["--dry-run", "-c"])
        .arg(path)
        .args(options)
        .current_dir(room)
        .stdin(Stdio::null());
    command.env_clear().envs(variables);
    let output = command.output().with_context(|| agent.display().to_string())?;
    let source = |name: &str| fs::read_to_string(name).ok();
    let found = findings(&String::from_utf8_lossy(&output.stderr), &source);
    Ok((output.status.success(), found))
}

impl Answers {
    fn add(&mut self, path: &Path, (starts, found): (bool, Vec<Finding>)) {
        if starts {
            self.starting.push(path.to_owned());
        } else {
            self.refused += 1;
        }
        for finding in BTreeSet::from_iter(found) {
            *self.counts.entry(finding).or_default() += 1;
        }
    }

    fn print(&self, folder: &Path, variables: &BTreeMap<String, String>, warnings: bool) {
        for (severity, title) in [(Severity::Error, "refused"), (Severity::Warning, "warned about")]
        {
            if severity == Severity::Error || warnings {
                println!(
                    "{}",
                    table(title, self.counts.iter().filter(|(one, _)| one.severity == severity))
                );
            }
        }
        let set = variables.iter().map(|(name, value)| format!("{name}={value}"));
        println!("variables: {}\n", set.collect::<Vec<_>>().join(" "));
        for path in &self.starting {
            println!("starts: {}", path.strip_prefix(folder).unwrap_or(path).display());
        }
        let (starting, refused) = (self.starting.len(), self.refused);
        println!("{} configurations: {starting} start, {refused} do not", starting + refused);
    }
}

/// What was found, the most frequent first.
fn table<'a>(title: &str, rows: impl Iterator<Item = (&'a Finding, &'a usize)>) -> String {
    let mut rows: Vec<_> = rows.collect();
    rows.sort_by_key(|&(finding, count)| (std::cmp::Reverse(count), finding));
    let head = format!("| configurations | kind | {title} |\n|---|---|---|\n");
    let rows = rows.iter().map(|(finding, count)| {
        format!("| {count} | {} | {} |\n", finding.kind.name(), finding.text.replace('|', "\\|"))
    });
    head + &rows.collect::<String>()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_has_a_plugin_is_a_configuration() {
        for (path, text, expected) in [
            ("a.conf", "# one\n[Input]\n    Name cpu\n", true),
            ("a.conf", "[OUTPUT]\n Name null\n", true),
            ("parsers.conf", "[PARSER]\n    Name x\n", false),
            ("nginx.conf", "server { }\n", false),
            ("a.yaml", "service:\n  flush: 1\npipeline:\n  inputs: []\n", true),
            ("a.yml", "kind: DaemonSet\nspec:\n  pipeline: x\n", false),
        ] {
            assert_eq!(is_configuration(Path::new(path), text), expected, "{path}: {text}");
        }
    }

    #[test]
    fn a_thing_counts_once_a_configuration_and_the_most_frequent_comes_first() {
        let said = |texts: &[&str]| {
            let text: String = texts.iter().map(|text| format!("error: {text}\n")).collect();
            findings(&text, &|_| None)
        };
        let mut answers = Answers::default();
        answers.add(Path::new("a"), (false, said(&["once", "often", "often"])));
        answers.add(Path::new("b"), (false, said(&["often"])));
        answers.add(Path::new("c"), (true, said(&[])));
        let text = table("refused", answers.counts.iter());
        let rows: Vec<&str> = text.lines().skip(2).collect();
        assert_eq!(rows, ["| 2 | other | often |", "| 1 | other | once |"]);
        assert_eq!((answers.starting.len(), answers.refused), (1, 2));
    }
}
