//! Makes the folder of a new filter: source, SDK, cases, what builds it, a configuration of the agent, a file for CI.

mod language;

use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use clap::Args;
use flb_cli::offer;

use crate::output::{Outcome, say};
use crate::usage::UsageError;
use language::{Language, Word};

/// The longest name, in letters.
const LONGEST: usize = 64;

/// Files that are the same in every language, but for what stands in braces.
const ALL: &[(&str, &str)] = &[
    ("README.md", include_str!("../../templates/all/README.md")),
    ("agent.conf", include_str!("../../templates/all/agent.conf")),
    ("cases.yaml", include_str!("../../templates/all/cases.yaml")),
    ("records.jsonl", include_str!("../../templates/all/records.jsonl")),
    (".gitignore", include_str!("../../templates/all/gitignore")),
    (".github/workflows/filter.yml", include_str!("../../templates/all/filter.yml")),
];

/// Make the folder of a new filter, ready to be built, tested and measured
#[derive(Debug, Args)]
#[command(override_usage = "flb-wamrc new NAME --lang rust|c|go|zig|assemblyscript")]
pub(crate) struct NewArgs {
    /// What the filter is written in
    #[arg(long, value_name = "LANGUAGE", hide_possible_values = true,
        value_parser = offer(Word::read, Word::ALL.map(|(name, _)| name)))]
    lang: Option<Word>,
    #[arg(hide = true)]
    names: Vec<String>,
}

/// The command `new`.
pub(crate) fn run(args: &NewArgs) -> anyhow::Result<Outcome> {
    let name = match &*args.names {
        [name] => name,
        [] => {
            return Err(UsageError::new("no name was given", "write it behind the command").into());
        }
        [_, extra, ..] => {
            return Err(
                UsageError::new(format!("'{extra}' is one word too many"), "leave it out").into()
            );
        }
    };
    check_name(name)?;
    let language = args.lang.ok_or_else(|| UsageError::new("no language was given", Word::HELP))?;
    let language = Language::of(language);
    check_free(name, &language)?;
    write(name, &language)?;
    say(&format!("{name}: a filter in {}; it needs {}\n", language.name, language.needs))?;
    say(&format!("cd {name} && make && flb-wamrc test && flb-wamrc bench\n"))?;
    Ok(Outcome::Done)
}

/// The name is that of a folder, of a module and, in some languages, of a package.
fn check_name(name: &str) -> Result<(), UsageError> {
    let is_part = |sign: char| sign.is_ascii_alphanumeric() || matches!(sign, '-' | '_');
    let begins = name.starts_with(|sign: char| sign.is_ascii_alphabetic());
    if begins && name.len() <= LONGEST && name.chars().all(is_part) {
        return Ok(());
    }
    let help = format!("use up to {LONGEST} letters, digits, '-' and '_', a letter first");
    Err(UsageError::new(format!("'{name}' is no name of a filter"), help))
}

/// A filter beside a package of the same name would not be built.
fn check_free(name: &str, language: &Language) -> Result<(), UsageError> {
    if !language.taken.contains(&name) {
        return Ok(());
    }
    let message = format!("'{name}' is a package of the SDK for {}", language.name);
    Err(UsageError::new(message, "choose another name"))
}

fn write(name: &str, language: &Language) -> anyhow::Result<()> {
    let folder = Path::new(name);
    fs::create_dir(folder).map_err(|error| match error.kind() {
        ErrorKind::AlreadyExists => {
            anyhow::anyhow!("{name} is there already; help: choose another name")
        }
        _ => anyhow::anyhow!(
            "cannot make {name}: {error}; help: go to a folder that you may write to"
        ),
    })?;
    let filled = |text: &str| {
        text.replace("{{name}}", name)
            .replace("{{language}}", language.name)
            .replace("{{source}}", language.source)
            .replace("{{tools}}", language.tools)
            .replace("{{needs}}", language.needs)
            .replace("{{get}}", language.get)
    };
    let templates = ALL.iter().chain(language.files);
    let templates = templates.map(|(path, text)| (PathBuf::from(path), filled(text)));
    let sdk =
        language.sdk.iter().map(|(path, text)| (Path::new("sdk").join(path), (*text).to_owned()));
    for (path, text) in templates.chain(sdk) {
        let path = folder.join(path);
        let written = path.parent().map_or(Ok(()), fs::create_dir_all);
        let written = written.and_then(|()| fs::write(&path, text));
        written.with_context(|| format!("cannot write {}", path.display()))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_one_of_a_folder_and_of_a_package() {
        for name in ["hide", "A-1_b", &"x".repeat(64)] {
            check_name(name).unwrap();
        }
        for name in ["", "1a", "-x", "a/b", "..", "a b", "grün", &"x".repeat(65)] {
            assert!(check_name(name).is_err(), "{name}");
        }
    }

    #[test]
    fn a_filter_is_not_called_as_a_package_of_its_sdk() {
        let rust = Language::of(Word::Rust);
        for (path, text) in rust.sdk.iter().filter(|(path, _)| path.ends_with("Cargo.toml")) {
            let name = text.lines().find_map(|line| line.strip_prefix("name = \""));
            let name = name.and_then(|rest| rest.strip_suffix('"')).unwrap();
            assert!(check_free(name, &rust).is_err(), "{path}: {name}");
        }
        check_free("hide", &rust).unwrap();
        check_free("flb-filter", &Language::of(Word::C)).unwrap();
    }
}
