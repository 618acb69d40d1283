//! Completions for bash, zsh and fish.

use clap::{Arg, Command};
use clap_complete::Shell;

/// The shells that there are completions for.
pub const SHELLS: [(&str, Shell); 3] =
    [("bash", Shell::Bash), ("zsh", Shell::Zsh), ("fish", Shell::Fish)];

/// In bash `--name=value` is three words. This makes an option and its value of them before the values are looked for.
const BASH: &str = r#"
_@() {
    local word=${COMP_WORDS[COMP_CWORD]} before=${COMP_WORDS[COMP_CWORD-1]}
    if [[ $word == "=" ]]; then word=; fi
    if [[ $before == "=" ]]; then before=${COMP_WORDS[COMP_CWORD-2]}; fi
    _@GENERATED "${COMP_WORDS[0]}" "$word" "$before"
    [[ ${COMPREPLY-} == *= ]] && compopt -o nospace
}
complete -F _@ -o bashdefault -o default @PROGRAM
"#;

/// The script for one shell, with all that the command's help shows.
pub fn script(shell: Shell, mut command: Command) -> String {
    let program = command.get_name().to_owned();
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut command, &program, &mut script);
    let script = String::from_utf8_lossy(&script).into_owned();
    if shell == Shell::Bash { for_bash(script, &command, &program) } else { script }
}

/// What bash's generator does not know: that a value stands behind '=' in the same word, and how it wrote a name with '-' before.
fn for_bash(script: String, command: &Command, program: &str) -> String {
    let generated = program.replace('-', "__");
    let mut script = script.replace(&program.replace('-', "__subcmd__"), &generated);
    for name in command
        .get_arguments()
        .filter(|option| option.is_require_equals_set())
        .filter_map(Arg::get_long)
    {
        script = script.replace(&format!(" --{name} "), &format!(" --{name}= "));
    }
    let own = BASH.replace("@GENERATED", &generated).replace("@PROGRAM", program);
    script + &own.replace('@', &program.replace('-', "_"))
}
