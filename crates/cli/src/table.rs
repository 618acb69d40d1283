//! Names and what they mean in two columns, as wide as the terminal.

use terminal_size::{Width, terminal_size};

/// Columns of a line where there is no terminal: clap's own number.
const WIDTH: usize = 100;

/// A name, and from the given column on what it means, in as many lines as the terminal needs; with a line's end.
pub fn entry(name: &str, column: usize, meaning: &str) -> String {
    laid_out(name, column, meaning, width())
}

/// A text in lines that are not longer than the terminal's; with a line's end.
pub fn wrapped(text: &str) -> String {
    entry("", 0, text)
}

fn width() -> usize {
    terminal_size().map_or(WIDTH, |(Width(width), _)| width.into())
}

fn laid_out(name: &str, column: usize, meaning: &str, width: usize) -> String {
    let length = |text: &str| text.chars().count();
    let mut text = String::new();
    let mut line = format!("{name:column$}");
    if !name.is_empty() && length(name) >= column {
        text = line + "\n";
        line = " ".repeat(column);
    }
    for word in meaning.split(' ') {
        if length(&line) > column && length(&line) + 1 + length(word) > width {
            text += &format!("{line}\n");
            line = " ".repeat(column);
        }
        if length(&line) > column {
            line.push(' ');
        }
        line.push_str(word);
    }
    text + &line + "\n"
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_meaning_goes_on_below_itself() {
        assert_eq!(laid_out("ab", 4, "one two three", 11), "ab  one two\n    three\n");
        assert_eq!(laid_out("ab", 4, "one", 80), "ab  one\n");
        assert_eq!(laid_out("", 2, "one two", 5), "  one\n  two\n");
    }

    #[test]
    fn what_is_too_long_has_a_line_of_its_own() {
        assert_eq!(laid_out("abcd", 4, "one", 80), "abcd\n    one\n");
        assert_eq!(laid_out("ab", 4, "wonderful x", 6), "ab  wonderful\n    x\n");
    }
}
