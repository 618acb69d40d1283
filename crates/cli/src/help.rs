//! `help` as the first word, which asks for what `--help` shows.

use std::ffi::OsString;

/// The words of a command line that begins with `help`, written with `--help`: what stands behind it is the command that help is
/// wanted for. Others stay as they are.
pub fn with_help_option(words: &[OsString]) -> Vec<OsString> {
    match words {
        [first, command @ ..] if first == "help" => {
            command.iter().cloned().chain(["--help".into()]).collect()
        }
        words => words.to_vec(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn help_is_for_the_program_or_for_a_command() {
        let check = |words: &str, expected: &str| {
            let words: Vec<OsString> = words.split_whitespace().map(OsString::from).collect();
            let expected: Vec<OsString> = expected.split_whitespace().map(OsString::from).collect();
            assert_eq!(with_help_option(&words), expected);
        };
        check("help", "--help");
        check("help bench", "bench --help");
        check("bench help", "bench help");
        check("", "");
    }
}
