//! Record accessors: `$key['sub'][0]` finds a value in a record, and a template such as `app.$TAG[1].$key` makes a text of
//! a record, its tag and what a regular expression captured.

use std::io::Write as _;

use crate::msgpack::{self, Reader, Value};
use crate::{Tag, json};

/// The way to one value of a record: `$key`, `$key['sub']`, `$list[0]['x']`. A key that a map has twice means its last.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Accessor {
    key: Box<str>,
    steps: Box<[Step]>,
}

/// One pair of brackets.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Step {
    Key(Box<str>),
    Index(u32),
}

/// Why a text is neither an accessor nor a template. `at` is the byte where it goes wrong.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum AccessorError {
    /// An accessor begins with `$` and a name.
    #[error("'{text}' does not begin with '$' and the name of a key")]
    NoKey {
        /// The text.
        text: String,
    },
    /// A bracket is open at the end, or holds neither a quoted key nor a number.
    #[error(
        "a bracket at byte {at} of '{text}' holds neither 'a key' in single quotes nor a number"
    )]
    BadBracket {
        /// The text.
        text: String,
        /// Where the bracket opens.
        at: usize,
    },
    /// Something stands behind the accessor.
    #[error("'{rest}' behind '{accessor}' belongs to no accessor")]
    Behind {
        /// What is read as an accessor.
        accessor: String,
        /// What stands behind.
        rest: String,
    },
}

impl AccessorError {
    /// What to write instead.
    pub fn hint(&self) -> String {
        match self {
            Self::Behind { accessor, rest } => match rest.strip_prefix('.') {
                Some(key) if !key.is_empty() => {
                    format!("a key within a map is {accessor}['{key}']")
                }
                _ => HINT.to_owned(),
            },
            _ => HINT.to_owned(),
        }
    }
}

const HINT: &str = "write $key, $map['key'] or $list[0]";

impl Accessor {
    /// Reads an accessor. The whole text must be one.
    pub fn parse(text: &str) -> Result<Self, AccessorError> {
        let no_key = || AccessorError::NoKey { text: text.to_owned() };
        let rest = text.strip_prefix('$').ok_or_else(no_key)?;
        let (accessor, len) = Self::read(text, rest)?.ok_or_else(no_key)?;
        if len < rest.len() {
            let (read, behind) = text.split_at(1 + len);
            return Err(AccessorError::Behind {
                accessor: read.to_owned(),
                rest: behind.to_owned(),
            });
        }
        Ok(accessor)
    }

    /// The way to a key of the record itself, whatever characters it has.
    pub fn of_key(key: &str) -> Self {
        Self { key: key.into(), steps: Box::default() }
    }

    /// Reads as much of `rest`, which begins behind the `$`, as belongs to an accessor, and says how many bytes that is.
    /// `None` if no name stands there.
    fn read(whole: &str, rest: &str) -> Result<Option<(Self, usize)>, AccessorError> {
        if !rest.starts_with(|first: char| first.is_alphabetic() || first == '_') {
            return Ok(None);
        }
        let end = rest.find(|char| !is_name(char)).unwrap_or(rest.len());
        let key = rest[..end].into();
        let (steps, len) = read_steps(whole, &rest[end..])?;
        Ok(Some((Self { key, steps: steps.into() }, end + len)))
    }

    /// The value in a record's body, as msgpack. `None` if it is not there. Where the record's own key has neither a map nor
    /// a list, its value is meant, whatever the brackets say: Fluent Bit does so.
    pub fn find<'a>(&self, body: &'a [u8]) -> Option<&'a [u8]> {
        let value = find_key(body, &self.key)?;
        if !matches!(Reader::new(value).next(), Ok(Value::Map(_) | Value::Array(_))) {
            return Some(value);
        }
        self.steps.iter().try_fold(value, |value, step| match step {
            Step::Key(key) => find_key(value, key),
            Step::Index(index) => find_index(value, *index),
        })
    }

    /// The value, if it is there and is a text.
    pub fn find_str<'a>(&self, body: &'a [u8]) -> Option<&'a [u8]> {
        match Reader::new(self.find(body)?).next() {
            Ok(Value::Str(text)) => Some(text),
            _ => None,
        }
    }
}

impl std::fmt::Display for Accessor {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "${}", self.key)?;
        self.steps.iter().try_for_each(|step| match step {
            Step::Key(key) => write!(f, "['{}']", key.replace('\'', "''")),
            Step::Index(index) => write!(f, "[{index}]"),
        })
    }
}

/// Dots, blanks, commas and quotes end a name.
fn is_name(char: char) -> bool {
    char.is_alphanumeric() || matches!(char, '_' | '-' | '/')
}

/// Reads all brackets that `rest` begins with, and says how many bytes they take.
fn read_steps(whole: &str, rest: &str) -> Result<(Vec<Step>, usize), AccessorError> {
    let mut steps = Vec::new();
    let mut len = 0;
    while let Some(inside) = rest[len..].strip_prefix('[') {
        let (step, inner) = read_step(inside).ok_or_else(|| AccessorError::BadBracket {
            text: whole.to_owned(),
            at: whole.len() - rest.len() + len,
        })?;
        steps.push(step);
        len += 1 + inner;
    }
    Ok((steps, len))
}

/// Reads what stands behind a `[`, up to its `]`.
fn read_step(inside: &str) -> Option<(Step, usize)> {
    let Some(quoted) = inside.strip_prefix('\'') else {
        let end = inside.find(']')?;
        let digits = &inside[..end];
        let is_number = !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
        let index = digits.parse().ok().filter(|_| is_number)?;
        return Some((Step::Index(index), end + 1));
    };
    let mut key = String::new();
    let mut at = 0;
    loop {
        let quote = at + quoted[at..].find('\'')?;
        key.push_str(&quoted[at..quote]);
        match quoted[quote + 1..].chars().next()? {
            '\'' => key.push('\''),
            // Counts the opening quote, too.
            ']' => return Some((Step::Key(key.into()), 1 + quote + 2)),
            _ => return None,
        }
        at = quote + 2;
    }
}

/// The last value of `key` in a map.
fn find_key<'a>(map: &'a [u8], key: &str) -> Option<&'a [u8]> {
    let mut found = None;
    for entry in msgpack::entries(map).ok()? {
        let (name, value) = entry.ok()?;
        if msgpack::as_str(name) == Some(key.as_bytes()) {
            found = Some(value);
        }
    }
    found
}

fn find_index(array: &[u8], index: u32) -> Option<&[u8]> {
    let mut reader = Reader::new(array);
    let Ok(Value::Array(len)) = reader.next() else { return None };
    if index >= len {
        return None;
    }
    for _ in 0..index {
        reader.skip().ok()?;
    }
    reader.skip().ok()
}

/// What a template is filled with.
#[derive(Debug, Clone, Copy)]
pub struct Scene<'a> {
    /// For `$TAG` and `$TAG[n]`.
    pub tag: &'a Tag,
    /// The record, for `$key`.
    pub body: &'a [u8],
    /// What a regular expression captured, for `$0` to `$9`.
    pub captures: &'a [Option<&'a [u8]>],
}

/// A text with accessors in it: `$TAG`, `$TAG[n]` (a part of the tag between dots), `$0` to `$9`, `$key['sub']`. A `$` that
/// begins none of them is text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Template(Box<[Part]>);

#[derive(Debug, Clone, PartialEq, Eq)]
enum Part {
    Text(Box<str>),
    Tag,
    TagLabel(u32),
    Capture(u8),
    Field(Accessor),
}

impl Template {
    /// Reads a template. Every text is one, unless a bracket in it is wrong.
    pub fn parse(text: &str) -> Result<Self, AccessorError> {
        let mut parts = Vec::new();
        let mut literal = String::new();
        let mut at = 0;
        while let Some(dollar) = text[at..].find('$').map(|found| at + found) {
            literal.push_str(&text[at..dollar]);
            let rest = &text[dollar + 1..];
            let (part, len) = match read_part(text, rest)? {
                Some(read) => read,
                None => {
                    literal.push('$');
                    at = dollar + 1;
                    continue;
                }
            };
            if !literal.is_empty() {
                parts.push(Part::Text(std::mem::take(&mut literal).into()));
            }
            parts.push(part);
            at = dollar + 1 + len;
        }
        literal.push_str(&text[at..]);
        if !literal.is_empty() {
            parts.push(Part::Text(literal.into()));
        }
        Ok(Self(parts.into()))
    }

    /// The text, if nothing in it depends on a record.
    pub fn as_text(&self) -> Option<&str> {
        match &*self.0 {
            [] => Some(""),
            [Part::Text(text)] => Some(text),
            _ => None,
        }
    }

    /// The accessors of fields in it.
    pub fn fields(&self) -> impl Iterator<Item = &Accessor> {
        self.0.iter().filter_map(|part| match part {
            Part::Field(accessor) => Some(accessor),
            _ => None,
        })
    }

    /// Appends the text for one record. What is not there is empty text; maps and lists are JSON.
    pub fn write(&self, scene: &Scene<'_>, out: &mut Vec<u8>) {
        for part in &self.0 {
            match part {
                Part::Text(text) => out.extend_from_slice(text.as_bytes()),
                Part::Tag => out.extend_from_slice(scene.tag.as_str().as_bytes()),
                Part::TagLabel(index) => {
                    let part = scene.tag.as_str().split('.').nth(*index as usize);
                    out.extend_from_slice(part.unwrap_or_default().as_bytes());
                }
                Part::Capture(number) => {
                    let capture = scene.captures.get(usize::from(*number)).copied().flatten();
                    out.extend_from_slice(capture.unwrap_or_default());
                }
                Part::Field(accessor) => {
                    if let Some(value) = accessor.find(scene.body) {
                        write_text(value, out);
                    }
                }
            }
        }
    }
}

/// Reads what stands behind a `$`, if it is more than text.
fn read_part(whole: &str, rest: &str) -> Result<Option<(Part, usize)>, AccessorError> {
    if let Some(digit) = rest.bytes().next().filter(u8::is_ascii_digit) {
        return Ok(Some((Part::Capture(digit - b'0'), 1)));
    }
    let Some((accessor, len)) = Accessor::read(whole, rest)? else { return Ok(None) };
    let part = match (&*accessor.key, &*accessor.steps) {
        ("TAG", []) => Part::Tag,
        ("TAG", [Step::Index(index)]) => Part::TagLabel(*index),
        _ => Part::Field(accessor),
    };
    Ok(Some((part, len)))
}

/// Appends a value as text: a string as it is, numbers as C prints them, maps and lists as JSON.
pub fn write_text(value: &[u8], out: &mut Vec<u8>) {
    let start = out.len();
    match Reader::new(value).next() {
        Ok(Value::Str(text) | Value::Bin(text)) => out.extend_from_slice(text),
        Ok(Value::Float(float)) => {
            write!(out, "{float:.6}").expect("a Vec takes all bytes");
        }
        Ok(_) => {
            let options = json::JsonOptions { escape_unicode: false };
            if json::write(value, out, options).is_err() {
                out.truncate(start);
            }
        }
        Err(_) => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BODY: &str = r#"{"log":"hi","n":5,"neg":-7,"f":1.5,"yes":true,"no":null,"a-b":1,"x/y":2,
        "kubernetes":{"labels":{"app.name":"web","it's":"q"},"pods":[{"ip":"1.2.3.4"},["deep"]]},"log":"last"}"#;

    fn body() -> Vec<u8> {
        let mut body = Vec::new();
        json::parse(BODY.as_bytes(), &mut body).unwrap();
        body
    }

    /// The value as JSON, or a dash.
    fn check(accessor: &str, expected: &str) {
        let accessor = Accessor::parse(accessor).unwrap();
        let body = body();
        let shown = accessor.find(&body).map_or("-".to_owned(), |value| {
            let mut out = Vec::new();
            json::write(value, &mut out, json::JsonOptions { escape_unicode: false }).unwrap();
            String::from_utf8(out).unwrap()
        });
        assert_eq!(shown, expected, "{accessor}");
        assert_eq!(Accessor::parse(&accessor.to_string()), Ok(accessor));
    }

    fn check_mistake(accessor: &str, expected: &str) {
        let error = Accessor::parse(accessor).unwrap_err();
        assert_eq!(format!("{error}; {}", error.hint()), expected);
    }

    fn check_template(template: &str, expected: &str) {
        let tag = Tag::new("kube.var.log").unwrap();
        let body = body();
        let captures = [Some(&b"whole"[..]), None, Some(b"two")];
        let mut out = b"> ".to_vec();
        let scene = Scene { tag: &tag, body: &body, captures: &captures };
        Template::parse(template).unwrap().write(&scene, &mut out);
        assert_eq!(String::from_utf8(out).unwrap(), format!("> {expected}"));
    }

    #[test]
    fn a_value_is_found_by_key_and_index() {
        check("$n", "5");
        check("$a-b", "1");
        check("$x/y", "2");
        check("$kubernetes['labels']['app.name']", r#""web""#);
        check("$kubernetes['labels']['it''s']", r#""q""#);
        check("$kubernetes['pods'][0]['ip']", r#""1.2.3.4""#);
        check("$kubernetes['pods'][1]", r#"["deep"]"#);
        check("$kubernetes['pods'][1][0]", r#""deep""#);
    }

    #[test]
    fn of_equal_keys_the_last_counts() {
        check("$log", r#""last""#);
    }

    #[test]
    fn what_is_not_there_is_not_found() {
        for accessor in ["$none", "$none['a']", "$kubernetes[0]", "$kubernetes['pods'][2]"] {
            check(accessor, "-");
        }
        check("$kubernetes['labels']['app.name']['x']", "-");
        check("$kubernetes['pods']['0']", "-");
        assert_eq!(Accessor::of_key("log").find(b"\x91\x01"), None);
        assert_eq!(Accessor::of_key("log").find(b"\x82\xa3log"), None);
        assert_eq!(Accessor::of_key("log").find(b""), None);
    }

    #[test]
    fn brackets_behind_a_key_without_a_map_mean_nothing() {
        check("$log['x']", r#""last""#);
        check("$n['a'][0]", "5");
        check("$no[0]", "null");
    }

    #[test]
    fn a_plain_key_may_have_any_character() {
        let mut body = Vec::new();
        json::parse(br#"{"a.b $c":1}"#, &mut body).unwrap();
        assert_eq!(Accessor::of_key("a.b $c").find(&body), Some(&[1][..]));
    }

    #[test]
    fn only_a_text_is_a_text() {
        let body = body();
        let find = |key| Accessor::of_key(key).find_str(&body);
        assert_eq!(find("log"), Some(&b"last"[..]));
        assert_eq!(find("n"), None);
    }

    #[test]
    fn mistakes_say_where_and_what_to_do() {
        for text in ["", "log", "$", "$1", "$ a", "$.a"] {
            let message = format!("'{text}' does not begin with '$' and the name of a key; {HINT}");
            check_mistake(text, &message);
        }
        for bad in [
            "$a[",
            "$a[]",
            "$a[b]",
            "$a['b]",
            "$a['b'",
            "$a['b'c]",
            "$a[-1]",
            "$a[+1]",
            "$a[4294967296]",
        ] {
            check_mistake(
                bad,
                &format!(
                    "a bracket at byte 2 of '{bad}' holds neither 'a key' in single quotes nor a number; {HINT}"
                ),
            );
        }
        check_mistake(
            "$a.b",
            "'.b' behind '$a' belongs to no accessor; a key within a map is $a['b']",
        );
        check_mistake("$a[0] b", &format!("' b' behind '$a[0]' belongs to no accessor; {HINT}"));
    }

    #[test]
    fn a_template_is_filled() {
        check_template("", "");
        check_template("plain 5$ $ $$", "plain 5$ $ $$");
        check_template("$TAG", "kube.var.log");
        check_template("$TAG[0].$TAG[2].$TAG[3]", "kube.log.");
        check_template("$0-$1-$2-$9-$22", "whole--two--two2");
        check_template("new.$log.$n", "new.last.5");
        check_template("$kubernetes['labels']['app.name'],$log\"x", "web,last\"x");
        check_template("<$none>", "<>");
    }

    #[test]
    fn values_become_text() {
        check_template("$neg $f $yes $no", "-7 1.500000 true null");
        check_template("$kubernetes['pods']", r#"[{"ip":"1.2.3.4"},["deep"]]"#);
        let mut out = b"> ".to_vec();
        write_text(b"\x92\x01", &mut out);
        assert_eq!(out, b"> ");
    }

    #[test]
    fn a_template_without_accessors_is_a_text() {
        let text = |text| Template::parse(text).unwrap().as_text().map(str::to_owned);
        assert_eq!(text("a$ b"), Some("a$ b".to_owned()));
        assert_eq!(text(""), Some(String::new()));
        assert_eq!(text("a$b"), None);
        assert!(Template::parse("x $a['b").is_err());
    }
}
