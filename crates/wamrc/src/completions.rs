//! Completions for bash, zsh and fish.

use clap::{Args, Command};
use clap_complete::Shell;

use crate::command_line;
use crate::output::{Outcome, say};
use crate::usage::{UsageError, name, options};
use crate::value::Value;

const SHELLS: &str = "write flb-wamrc completions bash, zsh or fish";

/// Print a shell's completions
#[derive(Debug, Args)]
#[command(override_usage = "flb-wamrc completions bash|zsh|fish")]
pub(crate) struct CompletionsArgs {
    #[arg(hide = true,
        value_parser = Value { read: shell, known: || vec!["bash", "zsh", "fish"] })]
    shell: Option<Shell>,
}

fn shell(name: &str) -> Result<Shell, UsageError> {
    match name {
        "bash" => Ok(Shell::Bash),
        "zsh" => Ok(Shell::Zsh),
        "fish" => Ok(Shell::Fish),
        other => Err(UsageError::new(format!("unknown shell '{other}'"), SHELLS)),
    }
}

/// In bash `--target=x86` is three words. This makes an option and its value of them before the values are looked for.
const BASH: &str = r#"
_flb_wamrc() {
    local word=${COMP_WORDS[COMP_CWORD]} before=${COMP_WORDS[COMP_CWORD-1]}
    if [[ $word == "=" ]]; then word=; fi
    if [[ $before == "=" ]]; then before=${COMP_WORDS[COMP_CWORD-2]}; fi
    _flb__wamrc "${COMP_WORDS[0]}" "$word" "$before"
    [[ ${COMPREPLY-} == *= ]] && compopt -o nospace
}
complete -F _flb_wamrc -o bashdefault -o default flb-wamrc
"#;

/// The command `completions`.
pub(crate) fn run(args: &CompletionsArgs) -> anyhow::Result<Outcome> {
    let shell = args.shell.ok_or_else(|| UsageError::new("no shell was given", SHELLS))?;
    let mut command = command_line::ours();
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut command, "flb-wamrc", &mut script);
    let mut script = String::from_utf8(script)?;
    if shell == Shell::Bash {
        script = for_bash(script, &command);
    }
    say(&script)?;
    Ok(Outcome::Done)
}

/// What bash's generator does not know: that a value stands behind '=' in the same word, and how it wrote a name with '-' before.
fn for_bash(script: String, command: &Command) -> String {
    let mut script = script.replace("flb__subcmd__wamrc", "flb__wamrc");
    for option in options(command).filter(|option| option.is_require_equals_set()) {
        let name = name(option);
        script = script.replace(&format!(" {name} "), &format!(" {name}= "));
    }
    script + BASH
}
