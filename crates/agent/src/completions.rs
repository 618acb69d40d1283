//! Completions for bash, zsh and fish, from the tables of options, commands and plugins.

use std::fmt::Write as _;

use flb_plugin::{Registry, Spec};

use crate::commands::{COMMANDS, Shell};
use crate::options::{Handle, OPTIONS, Row};

/// The script for one shell.
pub(crate) fn script(shell: Shell, registry: &Registry) -> String {
    match shell {
        Shell::Bash => bash(registry),
        Shell::Zsh => zsh(registry),
        Shell::Fish => fish(registry),
    }
}

/// Options worth offering: those that do something.
fn offered() -> impl Iterator<Item = &'static Row> {
    OPTIONS.iter().filter(|row| !matches!(row.handle, Handle::NotYet(_)))
}

/// The plugins that an option's value may name.
fn plugins(row: &Row, registry: &Registry) -> Option<String> {
    fn names<T: ?Sized>(specs: &[Spec<T>]) -> Option<String> {
        Some(specs.iter().map(|spec| spec.name).collect::<Vec<_>>().join(" "))
    }
    match row.longs.first().copied() {
        Some("input") => names(registry.inputs),
        Some("filter" | "processor") => names(registry.filters),
        Some("output") => names(registry.outputs),
        _ => None,
    }
}

/// `-i`, `--input`
fn spellings(row: &Row) -> Vec<String> {
    let short = row.short.map(|short| format!("-{short}"));
    short.into_iter().chain(row.longs.iter().map(|long| format!("--{long}"))).collect()
}

const BASH: &str = r#"_flb_agent() {
    local cur=${COMP_WORDS[COMP_CWORD]} prev=${COMP_WORDS[COMP_CWORD-1]} words=""
    case $prev in
@PLUGINS@
        completions) words="@SHELLS@" ;;
        *)
            [[ $cur == -* ]] && words="@OPTIONS@"
            [[ $COMP_CWORD == 1 ]] && words="$words @COMMANDS@" ;;
    esac
    COMPREPLY=($(compgen -W "$words" -- "$cur"))
}
complete -o default -F _flb_agent flb-agent
"#;

fn bash(registry: &Registry) -> String {
    let case = |row: &Row| {
        let names = plugins(row, registry)?;
        Some(format!("        {}) words=\"{names}\" ;;", spellings(row).join("|")))
    };
    let plugins: Vec<String> = offered().filter_map(case).collect();
    let options: Vec<String> = offered().flat_map(spellings).collect();
    BASH.replace("@PLUGINS@", &plugins.join("\n"))
        .replace("@OPTIONS@", &options.join(" "))
        .replace("@COMMANDS@", &commands())
        .replace("@SHELLS@", &shells())
}

fn commands() -> String {
    COMMANDS.iter().map(|command| command.name).collect::<Vec<_>>().join(" ")
}

fn shells() -> String {
    Shell::ALL.map(|(name, _)| name).join(" ")
}

fn zsh(registry: &Registry) -> String {
    let mut script = String::from("#compdef flb-agent\n_flb_agent() {\n    local -a commands=(\n");
    for command in COMMANDS {
        // Writing to a String cannot fail, here and below.
        let _ = writeln!(script, "        '{}:{}'", command.name, quote(command.about));
    }
    script.push_str("    )\n    (( CURRENT == 2 )) && _describe command commands\n");
    let _ = writeln!(
        script,
        "    [[ $words[2] == completions ]] && {{ compadd {}; return }}",
        shells()
    );
    script.push_str("    _arguments");
    for row in offered() {
        let about = quote(row.about).replace(['[', ']'], "");
        let value = match (row.argument(), plugins(row, registry)) {
            (None, _) => String::new(),
            (Some(argument), Some(names)) => format!(":{argument}:({names})"),
            (Some(argument), None) => format!(":{argument}:_files"),
        };
        for spelling in spellings(row) {
            let _ = write!(script, " \\\n        '*{spelling}[{about}]{value}'");
        }
    }
    script + " \\\n        '*:file:_files'\n}\n_flb_agent \"$@\"\n"
}

fn fish(registry: &Registry) -> String {
    let mut script = String::new();
    for command in COMMANDS {
        let _ = writeln!(
            script,
            "complete -c flb-agent -n __fish_use_subcommand -a {} -d '{}'",
            command.name,
            quote(command.about)
        );
    }
    let _ = writeln!(
        script,
        "complete -c flb-agent -n '__fish_seen_subcommand_from completions' -f -a '{}'",
        shells()
    );
    for row in offered() {
        script.push_str("complete -c flb-agent");
        if let Some(short) = row.short {
            let _ = write!(script, " -s {short}");
        }
        for long in row.longs {
            let _ = write!(script, " -l {long}");
        }
        match (row.argument(), plugins(row, registry)) {
            (None, _) => {}
            (Some(_), Some(names)) => {
                let _ = write!(script, " -x -a '{names}'");
            }
            (Some(_), None) => script.push_str(" -r"),
        }
        let _ = writeln!(script, " -d '{}'", quote(row.about));
    }
    script
}

/// Text within single quotes.
fn quote(text: &str) -> String {
    text.replace('\'', "\"").replace(':', ",")
}
