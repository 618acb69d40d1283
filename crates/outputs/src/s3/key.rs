//! Keys of objects: a text with the tag, the time and what tells objects apart in it.

use flb_event::Tag;
use flb_plugin::BuildError;
use flb_plugin::keys::{Key, Text};

use crate::dates::Format;

/// The longest key that there may be.
const LONGEST: usize = 1024;
/// What stands before the letters that tell apart objects whose keys are the same otherwise.
const BEFORE_LETTERS: &str = "-object";

/// How keys are made.
#[derive(Debug)]
pub(super) struct KeyFormat {
    parts: Vec<Part>,
    /// What tags are split at.
    delimiters: String,
    /// Whether nothing is added to keys that have nothing to tell them apart.
    is_static: bool,
}

#[derive(Debug)]
enum Part {
    /// A text with the time in it.
    Text(Format),
    Tag,
    PieceOfTag(usize),
    Index,
    Letters,
}

/// What a key is made of, beside its format.
#[derive(Debug, Clone, Copy)]
pub(super) struct Made<'a> {
    pub(super) tag: &'a Tag,
    /// Of the object's first record, in seconds.
    pub(super) time: u32,
    pub(super) index: u64,
    /// Eight of them, which no other object has.
    pub(super) letters: &'a str,
}

impl KeyFormat {
    pub(super) fn parse(
        key: Key<Text>,
        text: &str,
        delimiters: &str,
        is_static: bool,
    ) -> Result<Self, BuildError> {
        if !text.starts_with('/') {
            return Err(BuildError::new(format!(
                "{} '{text}' does not begin with '/'",
                key.name()
            ))
            .help("write /logs/$TAG/%Y/%m/%d"));
        }
        let (mut parts, mut literal, mut rest) = (Vec::new(), String::new(), text);
        while let Some(letter) = rest.chars().next() {
            let (part, length) =
                read(rest).map_or((None, letter.len_utf8()), |(part, length)| (Some(part), length));
            match part {
                Some(part) => {
                    parts.push(Part::Text(Format::new(key, &std::mem::take(&mut literal))?));
                    parts.push(part);
                }
                None => literal.push(letter),
            }
            rest = &rest[length..];
        }
        parts.push(Part::Text(Format::new(key, &literal)?));
        Ok(Self { parts, delimiters: delimiters.to_owned(), is_static })
    }

    /// Whether objects are counted.
    pub(super) fn has_index(&self) -> bool {
        self.parts.iter().any(|part| matches!(part, Part::Index))
    }

    /// The key of an object, without the slash that its format begins with.
    pub(super) fn key(&self, made: &Made<'_>) -> String {
        let mut key = String::new();
        let is_delimiter = |letter: char| self.delimiters.contains(letter);
        for part in &self.parts {
            match part {
                Part::Text(format) => key.push_str(format.dates().text(made.time)),
                Part::Tag => key.push_str(made.tag.as_str()),
                Part::PieceOfTag(number) => {
                    let mut parts =
                        made.tag.as_str().split(is_delimiter).filter(|part| !part.is_empty());
                    match parts.nth(*number) {
                        Some(part) => key.push_str(part),
                        // Whoever asked for it sees what there is.
                        None => key.push_str(&format!("{}[{number}]", made.tag.as_str())),
                    }
                }
                Part::Index => key.push_str(&made.index.to_string()),
                Part::Letters => key.push_str(made.letters),
            }
        }
        let mut key = harmless(key.trim_start_matches('/'));
        key.truncate(key.floor_char_boundary(LONGEST));
        key
    }

    /// What is added to the key of an object that is put at once, of which several may come in a second.
    pub(super) fn suffix(&self, key: &str, letters: &str) -> String {
        let tells_apart = |part: &Part| matches!(part, Part::Index | Part::Letters);
        let suffix = format!("{BEFORE_LETTERS}{letters}");
        let is_needed = !(self.is_static || self.parts.iter().any(tells_apart));
        if is_needed && key.len() + suffix.len() <= LONGEST { suffix } else { String::new() }
    }
}

/// What stands at the beginning of a text, if it is more than text, and how long it is.
fn read(text: &str) -> Option<(Part, usize)> {
    if let Some(behind) = text.strip_prefix("$TAG") {
        let number = behind.strip_prefix('[').and_then(|inside| inside.split_once(']'));
        let number = number.and_then(|(digits, _)| Some((digits.parse().ok()?, digits.len())));
        return Some(match number {
            Some((number, digits)) => (Part::PieceOfTag(number), "$TAG[]".len() + digits),
            None => (Part::Tag, "$TAG".len()),
        });
    }
    let words = [("$INDEX", Part::Index), ("$UUID", Part::Letters)];
    words.into_iter().find_map(|(word, part)| text.starts_with(word).then_some((part, word.len())))
}

/// A key without steps that lead up: a tag may come from anywhere.
fn harmless(key: &str) -> String {
    let steps = key.split('/').map(|step| match step {
        "." | ".." => "_".repeat(step.len()),
        step => step.to_owned(),
    });
    steps.collect::<Vec<_>>().join("/")
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEY: Key<Text> = Key::new("s3_key_format", "").default("/");

    fn made(format: &str, delimiters: &str, tag: &str) -> Result<String, BuildError> {
        let format = KeyFormat::parse(KEY, format, delimiters, false)?;
        let made = Made {
            tag: &Tag::new(tag).unwrap(),
            time: 1_700_000_000,
            index: 7,
            letters: "abcdefgh",
        };
        let key = format.key(&made);
        Ok(key.clone() + &format.suffix(&key, "12345678"))
    }

    #[test]
    fn a_key_has_the_tag_the_time_and_what_tells_objects_apart() {
        for (format, expected) in [
            (
                "/fluent-bit-logs/$TAG/%Y/%m/%d/%H/%M/%S",
                "fluent-bit-logs/a.b-c/2023/11/14/22/13/20-object12345678",
            ),
            ("/$TAG[2]/$TAG[0]/$UUID.gz", "c/a/abcdefgh.gz"),
            ("/x/$INDEX", "x/7"),
            ("/$TAG[3]/$TAGGED/$x", "a.b-c[3]/a.b-cGED/$x-object12345678"),
            ("//x", "x-object12345678"),
        ] {
            assert_eq!(made(format, ".-", "a.b-c").unwrap(), expected, "{format}");
        }
        assert_eq!(made("/$TAG[0]/$UUID", ".", "%Y/é").unwrap(), "%Y/é/abcdefgh");
    }

    #[test]
    fn no_tag_leads_out_of_its_place() {
        assert_eq!(made("/logs/$TAG/$UUID", ".", "../../etc").unwrap(), "logs/__/__/etc/abcdefgh");
        assert_eq!(made("/$TAG[0]/./$UUID", "x", "..").unwrap(), "__/_/abcdefgh");
    }

    #[test]
    fn a_key_is_not_longer_than_keys_may_be() {
        assert_eq!(made(&format!("/{}", "é".repeat(600)), ".", "t").unwrap().len(), 1024);
    }

    #[test]
    fn a_format_that_cannot_work_is_refused() {
        let error = made("logs/$TAG", ".", "t").unwrap_err().message;
        assert_eq!(error, "s3_key_format 'logs/$TAG' does not begin with '/'");
        assert!(made("/%!", ".", "t").unwrap_err().message.starts_with("s3_key_format '/%!': "));
    }
}
