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
    match shell {
        Shell::Bash => for_bash(script, &command, &program),
        Shell::Zsh => for_zsh(script, &program),
        Shell::Fish => for_fish(script, &command, &program),
        _ => script,
    }
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

/// What zsh's generator does not know: that a command or a file is the first word that is no option, not one behind the other.
fn for_zsh(script: String, program: &str) -> String {
    let commands = format!("\":: :_{program}_commands\"");
    let parts = script.split_once(&commands).and_then(|(before, behind)| {
        let (before, file) = before.trim_end().rsplit_once('\n')?;
        file.starts_with("'::").then_some((before, behind))
    });
    let Some((before, behind)) = parts else { return script };
    let behind = behind.replace("$line[2]", "$line[1]");
    format!("{before}\n\":: :{{_{program}_commands; _files}}\"{behind}")
}

/// What fish's generator does not know: that an option whose value is to be completed has none yet, and the values of a
/// command's words.
fn for_fish(script: String, command: &Command, program: &str) -> String {
    let mut script = script.replacen("    or return\n", "    or return 0\n", 1);
    let name = program.replace('-', "_");
    for command in command.get_subcommands() {
        let values = command.get_positionals().flat_map(Arg::get_possible_values);
        let values: Vec<_> = values.map(|value| value.get_name().to_owned()).collect();
        if !values.is_empty() {
            let (command, values) = (command.get_name(), values.join(" "));
            script += &format!(
                "complete -c {program} -n \"__fish_{name}_using_subcommand {command}\" -f -a \"{values}\"\n"
            );
        }
    }
    script
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::builder::PossibleValuesParser;

    fn scripts() -> [String; 3] {
        let colours = PossibleValuesParser::new(["red", "green"]);
        let program = Command::new("a-b")
            .arg(Arg::new("size").long("size").require_equals(true))
            .arg(Arg::new("file"))
            .subcommand(Command::new("paint").arg(Arg::new("colour").value_parser(colours)));
        SHELLS.map(|(_, shell)| script(shell, program.clone()))
    }

    /// That every change is made: the generator's own text may change.
    #[test]
    fn the_generated_scripts_are_put_right() {
        let [bash, zsh, fish] = scripts();
        assert!(
            bash.contains("\n_a_b() {")
                && bash.contains("    _a__b \"")
                && bash.contains("_a__b() {")
        );
        assert!(bash.contains(" --size= ") && !bash.contains("a__subcmd__b"), "{bash}");
        assert!(zsh.contains("\n\":: :{_a-b_commands; _files}\" \\\n\"*::: :->a-b\""), "{zsh}");
        assert!(zsh.contains("case $line[1] in") && !zsh.contains("$line[2]"), "{zsh}");
        assert!(fish.contains("    or return 0\n"), "{fish}");
        let values = "-n \"__fish_a_b_using_subcommand paint\" -f -a \"red green\"\n";
        assert!(
            fish.ends_with(values) && fish.contains("function __fish_a_b_using_subcommand"),
            "{fish}"
        );
    }
}
