//! What a `[MULTILINE_PARSER]` section says.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use flb_plugin::keys::{Bool, Int, Key, Many, Text};
use flb_plugin::{
    Build, BuildError, MultilineParser, Options, Parser, Regex, Rule, Spec, Table, Whole, keys,
};

/// The types of multiline parsers, alphabetic.
pub static ALL: &[Spec<MultilineParser>] = &[
    spec("endswith", "A record ends with a line that ends with a text", build_ends_with),
    spec("eq", "The same as equal", build_equals),
    spec("equal", "A record ends with a line that is a text", build_equals),
    spec("regex", "Rules say which lines go on", build_rules),
];

type BuildOne = fn(&Options, &Build<'_>) -> Result<Box<MultilineParser>, BuildError>;

const fn spec(name: &'static str, about: &'static str, build: BuildOne) -> Spec<MultilineParser> {
    Spec { name, about, options: Table(&[KEYS]), build }
}

keys! {
    const KEYS;
    MATCH_STRING: Option<Text> = Key::new("match_string", "For endswith and equal: the text");
    NEGATE: Bool = Key::new("negate", "For endswith and equal: the other lines").default("off");
    RULE: Many<Text> = Key::new("rule", "For regex: \"state\" \"/pattern/\" \"next\"").repeated();
    PARSER: Option<Text> = Key::new("parser", "Parser of each line");
    KEY_CONTENT: Option<Text> = Key::new("key_content", "Key of the text that is joined");
    KEY_PATTERN: Option<Text> =
        Key::new("key_pattern", "Key that is looked at instead of the text");
    KEY_GROUP: Option<Text> = Key::new("key_group", "Key whose values keep lines apart");
    FLUSH_TIMEOUT: Int = Key::new("flush_timeout", "Milliseconds to wait for more").default("4000");
}

fn build_ends_with(
    options: &Options,
    build: &Build<'_>,
) -> Result<Box<MultilineParser>, BuildError> {
    let (text, negate) = match_string(options)?;
    parser(options, build, Whole::EndsWith { text, negate })
}

fn build_equals(options: &Options, build: &Build<'_>) -> Result<Box<MultilineParser>, BuildError> {
    let (text, negate) = match_string(options)?;
    parser(options, build, Whole::Equals { text, negate })
}

fn build_rules(options: &Options, build: &Build<'_>) -> Result<Box<MultilineParser>, BuildError> {
    let rules: Vec<Rule> = options.get(RULE).into_iter().map(rule).collect::<Result<_, _>>()?;
    check(&rules)?;
    parser(options, build, Whole::Rules(rules))
}

fn match_string(options: &Options) -> Result<(Vec<u8>, bool), BuildError> {
    let Some(text) = options.get(MATCH_STRING) else {
        return Err(BuildError::new("a multiline parser of this type needs a 'match_string'"));
    };
    let text = text.replace("\\n", "\n");
    Ok((text.into_bytes(), options.get(NEGATE)))
}

fn parser(
    options: &Options,
    build: &Build<'_>,
    whole: Whole,
) -> Result<Box<MultilineParser>, BuildError> {
    let timeout = options.get(FLUSH_TIMEOUT);
    let Ok(timeout) = u64::try_from(timeout) else {
        return Err(BuildError::new(format!("flush_timeout {timeout} is below 0")));
    };
    let key = |key: Key<Option<Text>>| options.get(key).map(str::to_owned);
    Ok(Box::new(MultilineParser {
        whole,
        parser: line_parser(options, build)?,
        key_content: key(KEY_CONTENT),
        key_pattern: key(KEY_PATTERN),
        key_group: key(KEY_GROUP),
        flush_timeout: Duration::from_millis(timeout),
    }))
}

fn line_parser(
    options: &Options,
    build: &Build<'_>,
) -> Result<Option<Arc<dyn Parser>>, BuildError> {
    let Some(name) = options.get(PARSER) else { return Ok(None) };
    if options.get(KEY_CONTENT).is_none() {
        return Err(BuildError::new("a multiline parser with a 'parser' needs a 'key_content'")
            .help("say under which key the text is that shall be joined: Key_Content log"));
    }
    match build.parsers.find(name) {
        Some(parser) => Ok(Some(Arc::clone(parser))),
        None => Err(BuildError::new(format!("parser '{name}' is not known"))),
    }
}

/// Reads `"state, state" "/pattern/" "next"`.
fn rule(text: &str) -> Result<Rule, BuildError> {
    let refuse = |why: &str| {
        BuildError::new(format!("rule {text}: {why}"))
            .help(r#"write three texts in double quotes: Rule "start_state" "/^Error/" "cont""#)
    };
    let texts = quoted(text).ok_or_else(|| refuse("a quotation is missing or not closed"))?;
    let [from, pattern, to] = texts.as_slice() else {
        return Err(refuse("it needs a state, a pattern and the next state"));
    };
    let pattern = Regex::new(pattern).map_err(|error| refuse(&error.to_string()))?;
    let from = from.split(',').map(|state| state.trim().to_owned()).collect();
    Ok(Rule { from, pattern, to: to.trim().to_owned() })
}

/// The texts in double quotes, with `\"` inside; `None` if there is something else.
fn quoted(text: &str) -> Option<Vec<String>> {
    let mut texts = Vec::new();
    let mut rest = text.trim();
    while !rest.is_empty() {
        let mut inside = String::new();
        let mut letters = rest.strip_prefix('"')?.char_indices();
        let end = loop {
            match letters.next()? {
                (at, '"') => break at,
                (_, '\\') => match letters.next()? {
                    (_, '"') => inside.push('"'),
                    (_, other) => inside.extend(['\\', other]),
                },
                (_, letter) => inside.push(letter),
            }
        };
        texts.push(inside);
        rest = rest[end + 2..].trim_start();
    }
    Some(texts)
}

fn check(rules: &[Rule]) -> Result<(), BuildError> {
    let states: BTreeSet<&str> =
        rules.iter().flat_map(|rule| &rule.from).map(String::as_str).collect();
    if !states.contains(Rule::START) {
        return Err(
            BuildError::new("no rule begins a record").help("add one for the state start_state")
        );
    }
    match rules.iter().find(|rule| !states.contains(rule.to.as_str())) {
        Some(rule) => Err(BuildError::new(format!("no rule is for the state '{}'", rule.to))
            .help("a record that is whole goes to start_state")),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use flb_harness as testing;

    fn refused(kind: &str, given: &[(&str, &str)]) -> String {
        let spec = ALL.iter().find(|spec| spec.name == kind).unwrap();
        testing::build(spec, given).err().unwrap().message
    }

    #[test]
    fn rules_are_texts_in_quotes() {
        let rule = rule(r#" "start_state, a" "/^\"x\s/"  "b" "#).unwrap();
        assert_eq!((rule.from.join(" "), rule.to.as_str()), ("start_state a".to_owned(), "b"));
        assert!(rule.pattern.is_match(b"\"x y").unwrap());
    }

    #[test]
    fn wrong_sections_are_refused() {
        assert!(refused("regex", &[]).contains("no rule begins a record"));
        let start = ("rule", r#""start_state" "/x/" "cont""#);
        assert_eq!(refused("regex", &[start]), "no rule is for the state 'cont'");
        assert!(refused("regex", &[("rule", r#""a" "/x/""#)]).ends_with("the next state"));
        assert!(refused("regex", &[("rule", r#"a "/x/" b"#)]).ends_with("not closed"));
        assert!(refused("regex", &[("rule", r#""a" "/(/" "b""#)]).contains("regular expression"));
        assert!(refused("equal", &[]).ends_with("needs a 'match_string'"));
        let text = ("match_string", "x");
        assert!(refused("equal", &[text, ("parser", "json")]).ends_with("needs a 'key_content'"));
        let given = [text, ("parser", "nope"), ("key_content", "log")];
        assert_eq!(refused("equal", &given), "parser 'nope' is not known");
        assert_eq!(
            refused("equal", &[text, ("flush_timeout", "-1")]),
            "flush_timeout -1 is below 0"
        );
    }
}
