//! Completions for bash, zsh and fish, from the tables.

use std::ffi::OsString;
use std::fmt::Write as _;

use crate::commands::{COMMANDS, Command};
use crate::compile_options::OPTIONS;
use crate::options::{Given, UsageError};
use crate::output::{Outcome, say};
use crate::table::{Act, Form, Row};

/// The command `completions`.
pub(crate) fn run(_: &Given, operands: &[OsString]) -> anyhow::Result<Outcome> {
    let shells = "write flb-wamrc completions bash, zsh or fish";
    let script = match operands.first().and_then(|word| word.to_str()) {
        Some("bash") => bash(),
        Some("zsh") => zsh(),
        Some("fish") => fish(),
        Some(other) => {
            return Err(UsageError::new(format!("unknown shell '{other}'"), shells).into());
        }
        None => return Err(UsageError::new("no shell was given", shells).into()),
    };
    say(&script)?;
    Ok(Outcome::Done)
}

/// Options worth offering: those that do something.
fn offered(rows: &'static [Row]) -> impl Iterator<Item = &'static Row> {
    rows.iter().filter(|row| matches!(row.act, Act::Set(_)))
}

/// The word up to where the value begins.
fn word(row: &Row) -> String {
    match row.form {
        Form::Equals(_) => format!("{}=", row.name),
        _ => row.name.to_owned(),
    }
}

fn words(rows: &'static [Row]) -> String {
    offered(rows).map(word).collect::<Vec<_>>().join(" ")
}

const BASH: &str = r#"_flb_wamrc() {
    local cur=${COMP_WORDS[COMP_CWORD]} words
    case ${COMP_WORDS[1]} in
@COMMANDS@
        *) words="@OPTIONS@" ;;
    esac
    if [[ $COMP_CWORD == 1 ]]; then words="$words @NAMES@"; fi
    if [[ $cur == -* || $COMP_CWORD == 1 ]]; then
        COMPREPLY=($(compgen -W "$words" -- "$cur"))
    fi
    [[ ${COMPREPLY-} == *= ]] && compopt -o nospace
}
complete -o default -F _flb_wamrc flb-wamrc
"#;

const ZSH: &str = r#"#compdef flb-wamrc
_flb_wamrc() {
    if (( CURRENT > 2 )); then
        case $words[2] in
@COMMANDS@
        esac
    fi
    local -a commands=(
@NAMES@
    )
    (( CURRENT == 2 )) && _describe command commands
    _arguments@OPTIONS@ '*:file:_files'
}
_flb_wamrc "$@"
"#;

fn bash() -> String {
    let case = |command: &Command| {
        format!("        {}) words=\"{}\" ;;", command.name, words(command.options))
    };
    BASH.replace("@COMMANDS@", &each(case, "\n"))
        .replace("@NAMES@", &each(|command| command.name.to_owned(), " "))
        .replace("@OPTIONS@", &words(OPTIONS))
}

fn zsh() -> String {
    let case = |command: &Command| {
        let options = specs(command.options);
        format!("        {}) _arguments{options} '*:file:_files'; return ;;", command.name)
    };
    let name = |command: &Command| format!("        '{}:{}'", command.name, quote(command.about));
    ZSH.replace("@COMMANDS@", &each(case, "\n"))
        .replace("@NAMES@", &each(name, "\n"))
        .replace("@OPTIONS@", &specs(OPTIONS))
}

fn each(text: impl Fn(&Command) -> String, between: &str) -> String {
    COMMANDS.iter().map(text).collect::<Vec<_>>().join(between)
}

/// The options as zsh's `_arguments` wants them.
fn specs(rows: &'static [Row]) -> String {
    let mut specs = String::new();
    for row in offered(rows) {
        let about = quote(row.about).replace(['[', ']'], "");
        let (sign, value) = match row.form {
            Form::Flag => ("", ""),
            Form::Equals(_) => ("=-", ":value:_files"),
            _ => ("", ":value:_files"),
        };
        // Writing to a String cannot fail, here and below.
        let _ = write!(specs, " \\\n            '*{}{sign}[{about}]{value}'", row.name);
    }
    specs
}

fn fish() -> String {
    let names = each(|command| command.name.to_owned(), " ");
    let mut script = String::new();
    for command in COMMANDS {
        let _ = writeln!(
            script,
            "complete -c flb-wamrc -n __fish_use_subcommand -a {} -d '{}'",
            command.name,
            quote(command.about)
        );
        let seen = format!("__fish_seen_subcommand_from {}", command.name);
        offered(command.options).for_each(|row| fish_option(&mut script, &seen, row));
    }
    let none = format!("not __fish_seen_subcommand_from {names}");
    offered(OPTIONS).for_each(|row| fish_option(&mut script, &none, row));
    script
}

fn fish_option(script: &mut String, when: &str, row: &Row) {
    let about = quote(row.about);
    let flag = match row.name.strip_prefix("--") {
        Some(long) => format!("-l {long}"),
        None => format!("-o {}", row.name.trim_start_matches('-')),
    };
    let value = if row.form == Form::Flag { "" } else { " -r" };
    let _ = writeln!(script, "complete -c flb-wamrc -n '{when}' {flag}{value} -d '{about}'");
}

/// Text within single quotes.
fn quote(text: &str) -> String {
    text.replace('\'', "\"").replace(':', ",")
}
