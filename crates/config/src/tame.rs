//! Text from outside on its way to a terminal: what could steer the terminal, or show other text than is there, is escaped.

use std::borrow::Cow;
use std::fmt::Write;

/// `text` with every control character but tab and line ends written as `\u{..}`, those from U+0080 on included, and so the
/// characters that reverse the direction of writing.
pub fn tame(text: &str) -> Cow<'_, str> {
    if !text.contains(is_wild) {
        return Cow::Borrowed(text);
    }
    let mut tamed = String::with_capacity(text.len() + 16);
    let mut chars = text.chars().peekable();
    while let Some(char) = chars.next() {
        if char == '\r' && chars.peek() == Some(&'\n') {
            continue;
        }
        if is_wild(char) {
            // Writing to a string cannot fail.
            let _ = write!(tamed, "{}", char.escape_unicode());
        } else {
            tamed.push(char);
        }
    }
    Cow::Owned(tamed)
}

/// Whether a character could steer a terminal, or reverse the direction of writing.
pub fn is_wild(char: char) -> bool {
    match char {
        '\n' | '\t' => false,
        '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' => true,
        _ => char.is_control(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_steers_a_terminal_is_escaped() {
        assert_eq!(tame("a\u{1b}[0m\u{9b}1m\r\u{7f}"), r"a\u{1b}[0m\u{9b}1m\u{d}\u{7f}");
        assert_eq!(tame("a\u{202e}b\u{2069}"), r"a\u{202e}b\u{2069}");
        assert_eq!(tame("a\r\nb\r"), "a\nb\\u{d}");
    }

    #[test]
    fn all_else_stays() {
        let text = "größe\t😀\n\u{a0}";
        assert!(matches!(tame(text), Cow::Borrowed(same) if same == text));
    }
}
