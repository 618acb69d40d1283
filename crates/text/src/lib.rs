//! Text from outside on its way to a terminal or a log: what could steer the terminal, forge a line, or show other text than
//! is there, is escaped. The one place that says which characters those are, and which known word a wrong one is near to.

mod near;

use std::borrow::Cow;
use std::fmt::Write;

pub use near::did_you_mean;

/// Text of several lines: every wild character is written as `\u{..}`, but tabs and line ends stay.
pub fn tame(text: &str) -> Cow<'_, str> {
    escape(text, |char| is_wild(char) && !matches!(char, '\n' | '\t'))
}

/// Text that is a part of one line, such as a name: every wild character is written as `\u{..}`, line ends as `\n`, tabs as `\t`.
pub fn tame_line(text: &str) -> Cow<'_, str> {
    escape(text, is_wild)
}

/// JSON text: every wild character within its strings is written as `\u0000`, which says the same to who parses it.
pub fn tame_json(json: &str) -> Cow<'_, str> {
    let is_escaped = |char: char| is_wild(char) && !matches!(char, '\n' | '\t' | '\r');
    if !json.contains(is_escaped) {
        return Cow::Borrowed(json);
    }
    let mut tamed = String::with_capacity(json.len() + 16);
    for char in json.chars() {
        if is_escaped(char) {
            for unit in char.encode_utf16(&mut [0; 2]) {
                // Writing to a string cannot fail, here and below.
                let _ = write!(tamed, "\\u{unit:04x}");
            }
        } else {
            tamed.push(char);
        }
    }
    Cow::Owned(tamed)
}

/// The beginning of bytes from outside as a part of one line: at most `length` of them, and `...` where more follow.
pub fn excerpt(bytes: &[u8], length: usize) -> String {
    let beginning = String::from_utf8_lossy(&bytes[..bytes.len().min(length)]);
    let more = if bytes.len() > length { "..." } else { "" };
    format!("{}{more}", tame_line(&beginning))
}

/// Whether a character could steer a terminal, end a line, change the direction of writing, or stand there unseen. The
/// joiners U+200C and U+200D stay: scripts and emoji need them.
pub fn is_wild(char: char) -> bool {
    match char {
        // Marks, embeddings, overrides and isolates of direction.
        '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' => {
            true
        }
        // Ends of line and paragraph that are no control characters.
        '\u{2028}' | '\u{2029}' => true,
        // What has no width: spaces, operators, annotations, tags.
        '\u{200b}' | '\u{2060}'..='\u{2064}' | '\u{206a}'..='\u{206f}' | '\u{feff}' => true,
        '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e007f}' => true,
        _ => char.is_control(),
    }
}

fn escape(text: &str, is_escaped: impl Fn(char) -> bool) -> Cow<'_, str> {
    if !text.contains(&is_escaped) {
        return Cow::Borrowed(text);
    }
    let mut tamed = String::with_capacity(text.len() + 16);
    let mut chars = text.chars().peekable();
    while let Some(char) = chars.next() {
        match char {
            '\r' if chars.peek() == Some(&'\n') => {}
            '\n' if is_escaped(char) => tamed.push_str("\\n"),
            '\t' if is_escaped(char) => tamed.push_str("\\t"),
            _ if is_escaped(char) => {
                let _ = write!(tamed, "{}", char.escape_unicode());
            }
            _ => tamed.push(char),
        }
    }
    Cow::Owned(tamed)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_steers_a_terminal_is_escaped() {
        assert_eq!(tame("a\u{1b}[0m\u{9b}1m\r\u{7f}"), r"a\u{1b}[0m\u{9b}1m\u{d}\u{7f}");
        assert_eq!(tame("a\u{202e}b\u{2069}\u{200b}"), r"a\u{202e}b\u{2069}\u{200b}");
        assert_eq!(tame("a\r\nb\r"), "a\nb\\u{d}");
    }

    #[test]
    fn a_part_of_a_line_ends_no_line() {
        assert_eq!(tame_line("f\nno problems\r\n\tx\u{2028}y"), r"f\nno problems\n\tx\u{2028}y");
    }

    #[test]
    fn json_says_the_same_as_before() {
        let json = "{\"a\u{9b}\":\"\u{202e}\u{e0041}\\n\"}\n";
        assert_eq!(tame_json(json), "{\"a\\u009b\":\"\\u202e\\udb40\\udc41\\n\"}\n");
    }

    #[test]
    fn all_else_stays() {
        let text = "größe\t😀\n\u{a0}👩\u{200d}🔬";
        assert!(matches!(tame(text), Cow::Borrowed(same) if same == text));
        assert!(matches!(tame_json(text), Cow::Borrowed(same) if same == text));
        assert!(matches!(tame_line("größe 😀"), Cow::Borrowed("größe 😀")));
    }

    #[test]
    fn no_character_gets_through_that_is_wild_and_none_twice() {
        let all: String = ('\0'..=char::MAX).collect();
        let (several, line, json) = (tame(&all), tame_line(&all), tame_json(&all));
        assert!(!several.contains(|char| is_wild(char) && !matches!(char, '\n' | '\t')));
        assert!(!line.contains(is_wild));
        assert!(!json.contains(|char| is_wild(char) && !matches!(char, '\n' | '\t' | '\r')));
        assert_eq!((tame(&several), tame_line(&line)), (several.clone(), line.clone()));
    }

    #[test]
    fn an_excerpt_is_short_and_on_one_line() {
        assert_eq!(excerpt(b"\"a\"\tb\xff\n", 80), "\"a\"\\tb\u{fffd}\\n");
        assert_eq!(excerpt(b"xyz", 3), "xyz");
        assert_eq!(excerpt(b"xyz", 2), "xy...");
    }
}
