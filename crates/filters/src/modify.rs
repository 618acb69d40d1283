//! `modify`: changes fields by rules, where conditions hold.

use std::sync::Arc;

use flb_event::{Accessor, Chunk, msgpack};
use flb_plugin::keys::{Key, Many, Words};
use flb_plugin::{Build, BuildError, Filter, Options, Outlet, Regex, Spec, Table, keys};

use super::accessors::path_or_name;
use super::each::{Decision, each};
use crate::fields::{Field, Fields};

keys! {
    const KEYS;
    SET: Many<Words> = Key::new("set", "KEY VALUE: set a field").repeated();
    ADD: Many<Words> = Key::new("add", "KEY VALUE: set a field that is not there").repeated();
    REMOVE: Many<Words> = Key::new("remove", "KEY: remove a field").repeated();
    REMOVE_WILDCARD: Many<Words> =
        Key::new("remove_wildcard", "PREFIX: remove fields by it").repeated();
    REMOVE_REGEX: Many<Words> =
        Key::new("remove_regex", "REGEX: remove fields by their keys").repeated();
    RENAME: Many<Words> = Key::new("rename", "KEY NEW: rename, if NEW is not there").repeated();
    HARD_RENAME: Many<Words> = Key::new("hard_rename", "KEY NEW: rename, replacing NEW").repeated();
    COPY: Many<Words> = Key::new("copy", "KEY NEW: copy, if NEW is not there").repeated();
    HARD_COPY: Many<Words> = Key::new("hard_copy", "KEY NEW: copy, replacing NEW").repeated();
    MOVE_TO_START: Many<Words> =
        Key::new("move_to_start", "PREFIX: move fields to the start").repeated();
    MOVE_TO_END: Many<Words> = Key::new("move_to_end", "PREFIX: move fields to the end").repeated();
    CONDITION: Many<Words> = Key::new("condition", "NAME KEY [VALUE]: when rules apply").repeated();
}

pub(super) const SPEC: Spec<dyn Filter> = Spec {
    name: "modify",
    about: "Change fields by rules, where conditions hold",
    options: Table(&[KEYS]),
    build,
};

fn build(options: &Options, _: &Build<'_>) -> Result<Box<dyn Filter>, BuildError> {
    let (mut rules, mut conditions) = (Vec::new(), Vec::new());
    for (option, kind, words) in options.in_order(&KINDS) {
        match kind {
            Kind::Condition => conditions.push(condition(&words)?),
            kind => rules.extend(rule(option, kind, &words)?),
        }
    }
    Ok(Box::new(Modify { rules: rules.into(), conditions: conditions.into() }))
}

/// What a line of the configuration is.
#[derive(Debug, Clone, Copy)]
enum Kind {
    Set { only_new: bool },
    Remove(fn(String) -> Result<Which, BuildError>),
    Name { replaces: bool, copies: bool },
    Move { to_start: bool },
    Condition,
}

const KINDS: [(Key<Many<Words>>, Kind); 12] = [
    (SET, Kind::Set { only_new: false }),
    (ADD, Kind::Set { only_new: true }),
    (REMOVE, Kind::Remove(|key| Ok(Which::Key(key)))),
    (REMOVE_WILDCARD, Kind::Remove(|prefix| Ok(Which::Prefix(prefix)))),
    (REMOVE_REGEX, Kind::Remove(|pattern| regex(&pattern).map(Which::Regex))),
    (RENAME, Kind::Name { replaces: false, copies: false }),
    (HARD_RENAME, Kind::Name { replaces: true, copies: false }),
    (COPY, Kind::Name { replaces: false, copies: true }),
    (HARD_COPY, Kind::Name { replaces: true, copies: true }),
    (MOVE_TO_START, Kind::Move { to_start: true }),
    (MOVE_TO_END, Kind::Move { to_start: false }),
    (CONDITION, Kind::Condition),
];

/// The rule of a line, unless it is a condition.
fn rule(option: &str, kind: Kind, words: &[String]) -> Result<Option<Rule>, BuildError> {
    let one = || match words {
        [word] => Ok(word.clone()),
        _ => Err(wrong(option, words, "one word is expected")),
    };
    let two = || match words {
        [first, second] => Ok((first.clone(), second.clone())),
        _ => Err(wrong(option, words, "two words are expected")),
    };
    Ok(Some(match kind {
        Kind::Set { only_new } => {
            let (key, value) = two()?;
            let field = Field::text(&key, value.as_bytes());
            Rule::Set { key, field, only_new }
        }
        Kind::Remove(which) => Rule::Remove(which(one()?)?),
        Kind::Name { replaces, copies } => {
            let (key, new) = two()?;
            let named = Field::text(&new, b"");
            Rule::Name { key, new, named, replaces, copies }
        }
        Kind::Move { to_start } => Rule::Move { prefix: one()?, to_start },
        Kind::Condition => return Ok(None),
    }))
}

fn wrong(option: &str, words: &[String], expected: &str) -> BuildError {
    BuildError::new(format!("Invalid config for {option} '{}': {expected}", words.join(" ")))
        .help("put a text with blanks in double quotes")
}

fn regex(pattern: &str) -> Result<Regex, BuildError> {
    Regex::new(pattern).map_err(|error| BuildError::new(error.to_string()))
}

fn condition(words: &[String]) -> Result<Condition, BuildError> {
    let name = words.first().map(|name| name.to_ascii_lowercase()).unwrap_or_default();
    let (test, holds) = match (name.as_str(), &words[1.min(words.len())..]) {
        ("key_exists", [key]) => (Test::Exists(accessor(key)?), true),
        ("key_does_not_exist", [key]) => (Test::Exists(accessor(key)?), false),
        ("a_key_matches", [keys]) => (Test::AnyKey(regex(keys)?), true),
        ("no_key_matches", [keys]) => (Test::AnyKey(regex(keys)?), false),
        ("key_value_equals", [key, value]) => {
            (Test::Value(accessor(key)?, Like::Text(value.clone())), true)
        }
        ("key_value_does_not_equal", [key, value]) => {
            (Test::Value(accessor(key)?, Like::Text(value.clone())), false)
        }
        ("key_value_matches", [key, value]) => {
            (Test::Value(accessor(key)?, Like::Regex(regex(value)?)), true)
        }
        ("key_value_does_not_match", [key, value]) => {
            (Test::Value(accessor(key)?, Like::Regex(regex(value)?)), false)
        }
        ("matching_keys_have_matching_values", [keys, values]) => {
            (Test::AllValues(regex(keys)?, regex(values)?), true)
        }
        ("matching_keys_do_not_have_matching_values", [keys, values]) => {
            (Test::AllValues(regex(keys)?, regex(values)?), false)
        }
        _ => {
            return Err(BuildError::new(format!(
                "Invalid config for condition : {}",
                words.join(" ")
            ))
            .help(format!("conditions are: {CONDITIONS}")));
        }
    };
    Ok(Condition { test, holds })
}

const CONDITIONS: &str = "Key_exists KEY, Key_does_not_exist KEY, A_key_matches REGEX, No_key_matches REGEX, \
    Key_value_equals KEY VALUE, Key_value_does_not_equal KEY VALUE, Key_value_matches KEY REGEX, \
    Key_value_does_not_match KEY REGEX, Matching_keys_have_matching_values REGEX REGEX, \
    Matching_keys_do_not_have_matching_values REGEX REGEX";

/// A key as it stands, or an accessor.
fn accessor(key: &str) -> Result<Accessor, BuildError> {
    path_or_name("invalid key of a condition", key)
}

/// A change.
#[derive(Debug)]
enum Rule {
    Set {
        key: String,
        field: Field<'static>,
        only_new: bool,
    },
    Remove(Which),
    /// `named` is a field with the new key.
    Name {
        key: String,
        new: String,
        named: Field<'static>,
        replaces: bool,
        copies: bool,
    },
    Move {
        prefix: String,
        to_start: bool,
    },
}

/// Which fields a rule is about.
#[derive(Debug)]
enum Which {
    Key(String),
    Prefix(String),
    Regex(Regex),
}

impl Which {
    fn is(&self, field: &Field<'_>) -> bool {
        match self {
            Self::Key(key) => field.is(key),
            Self::Prefix(prefix) => begins(field, prefix),
            Self::Regex(regex) => found(regex, field.key()),
        }
    }
}

fn begins(field: &Field<'_>, prefix: &str) -> bool {
    field.key().is_some_and(|key| key.starts_with(prefix.as_bytes()))
}

fn found(regex: &Regex, text: Option<&[u8]>) -> bool {
    text.is_some_and(|text| regex.is_match(text).unwrap_or(false))
}

/// What a regular expression is to find something in: a text, or the word of a switch. Numbers have none.
fn words(value: &[u8]) -> Option<&[u8]> {
    match msgpack::Reader::new(value).next() {
        Ok(msgpack::Value::Str(text)) => Some(text),
        Ok(msgpack::Value::Bool(true)) => Some(b"true"),
        Ok(msgpack::Value::Bool(false)) => Some(b"false"),
        _ => None,
    }
}

impl Rule {
    /// Changes the fields; false if there was nothing to change.
    fn apply<'a>(&'a self, fields: &mut Fields<'a>) -> bool {
        match self {
            Self::Set { key, field, only_new } => {
                if *only_new && fields.count(key) > 0 {
                    return false;
                }
                fields.remove(key);
                fields.0.push(field.lent());
                true
            }
            Self::Remove(which) => {
                let before = fields.0.len();
                fields.0.retain(|field| !which.is(field));
                fields.0.len() < before
            }
            Self::Name { key, new, named, replaces, copies } => {
                let (found, taken) = (fields.count(key), fields.count(new));
                if found == 0 || (taken > 0 && !replaces) {
                    return false;
                }
                match copies {
                    true if found > 1 || taken > 1 => return false,
                    true => copy(fields, key, new, named),
                    false => rename(fields, key, new, named),
                }
                true
            }
            Self::Move { prefix, to_start } => {
                let all = std::mem::take(&mut fields.0);
                let (mut first, mut last): (Vec<_>, Vec<_>) =
                    all.into_iter().partition(|field| begins(field, prefix) == *to_start);
                let moves = if *to_start { !first.is_empty() } else { !last.is_empty() };
                first.append(&mut last);
                fields.0 = first;
                moves
            }
        }
    }
}

/// Gives the value under `key` the key of `named`, which is `new`, in the same place.
fn rename<'a>(fields: &mut Fields<'a>, key: &str, new: &str, named: &'a Field<'_>) {
    fields.0.retain(|field| field.is(key) || !field.is(new));
    for field in fields.0.iter_mut().filter(|field| field.is(key)) {
        *field = field.under(named);
    }
}

/// Puts the value under `key` right behind it once more, with the key of `named`, which is `new`.
fn copy<'a>(fields: &mut Fields<'a>, key: &str, new: &str, named: &'a Field<'_>) {
    fields.0.retain(|field| field.is(key) || !field.is(new));
    if let Some(at) = fields.0.iter().position(|field| field.is(key)) {
        let copied = fields.0[at].under(named);
        fields.0.insert(at + 1, copied);
    }
}

/// When rules apply.
#[derive(Debug)]
struct Condition {
    test: Test,
    /// What the test must say.
    holds: bool,
}

#[derive(Debug)]
enum Test {
    Exists(Accessor),
    AnyKey(Regex),
    /// A value that is not there fails the condition, whatever it asks.
    Value(Accessor, Like),
    AllValues(Regex, Regex),
}

#[derive(Debug)]
enum Like {
    Text(String),
    Regex(Regex),
}

impl Condition {
    fn is_met(&self, body: &[u8], fields: &Fields<'_>) -> bool {
        let result = match &self.test {
            Test::Exists(key) => key.find(body).is_some(),
            Test::AnyKey(keys) => fields.0.iter().any(|field| found(keys, field.key())),
            Test::Value(key, like) => {
                if key.find(body).is_none() {
                    return false;
                }
                match like {
                    Like::Text(text) => key.find_str(body) == Some(text.as_bytes()),
                    Like::Regex(regex) => found(regex, key.find(body).and_then(words)),
                }
            }
            Test::AllValues(keys, values) => fields
                .0
                .iter()
                .filter(|field| found(keys, field.key()))
                .all(|field| found(values, words(field.value()))),
        };
        result == self.holds
    }
}

#[derive(Clone)]
struct Modify {
    rules: Arc<[Rule]>,
    conditions: Arc<[Condition]>,
}

impl Filter for Modify {
    fn filter(&mut self, batch: Chunk, outlet: &mut Outlet) {
        each(batch, outlet, |event, body| {
            let mut fields = Fields::read(event.body);
            if !self.conditions.iter().all(|condition| condition.is_met(event.body, &fields)) {
                return Decision::Keep;
            }
            let mut is_changed = false;
            for rule in self.rules.iter() {
                is_changed |= rule.apply(&mut fields);
            }
            if !is_changed {
                return Decision::Keep;
            }
            fields.write(body);
            Decision::Replace
        })
    }

    fn fork(&self) -> Result<Box<dyn Filter>, BuildError> {
        Ok(Box::new(self.clone()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use flb_harness as testing;

    const RECORD: &str = r#"{"a":1,"b":"two","k_x":3,"k_y":4}"#;

    fn check(rules: &[(&str, &str)], expected: &str) {
        assert_eq!(testing::filtered(&SPEC, rules, &[RECORD]), expected, "{rules:?}");
    }

    #[test]
    fn set_moves_to_the_end_and_add_leaves_what_is_there() {
        check(&[("set", "a x")], r#"{"b":"two","k_x":3,"k_y":4,"a":"x"}"#);
        check(&[("set", "\"n m\" \"x y\"")], r#"{"a":1,"b":"two","k_x":3,"k_y":4,"n m":"x y"}"#);
        check(&[("add", "a x")], RECORD);
        check(&[("add", "c x")], r#"{"a":1,"b":"two","k_x":3,"k_y":4,"c":"x"}"#);
    }

    #[test]
    fn fields_are_removed_by_key_prefix_and_regex() {
        check(&[("remove", "a")], r#"{"b":"two","k_x":3,"k_y":4}"#);
        check(&[("remove", "none")], RECORD);
        check(&[("remove_wildcard", "k_")], r#"{"a":1,"b":"two"}"#);
        check(&[("remove_regex", "^(a|.*y)$")], r#"{"b":"two","k_x":3}"#);
    }

    #[test]
    fn a_rename_stays_in_its_place_and_only_a_hard_one_replaces() {
        check(&[("rename", "a z")], r#"{"z":1,"b":"two","k_x":3,"k_y":4}"#);
        check(&[("rename", "a b")], RECORD);
        check(&[("rename", "none z")], RECORD);
        check(&[("hard_rename", "a b")], r#"{"b":1,"k_x":3,"k_y":4}"#);
        check(&[("hard_rename", "none b")], RECORD);
    }

    #[test]
    fn a_copy_stands_behind_its_original() {
        check(&[("copy", "a z")], r#"{"a":1,"z":1,"b":"two","k_x":3,"k_y":4}"#);
        check(&[("copy", "a b")], RECORD);
        check(&[("hard_copy", "a b")], r#"{"a":1,"b":1,"k_x":3,"k_y":4}"#);
    }

    #[test]
    fn fields_move_by_their_prefix() {
        check(&[("move_to_start", "k_")], r#"{"k_x":3,"k_y":4,"a":1,"b":"two"}"#);
        check(&[("move_to_end", "a")], r#"{"b":"two","k_x":3,"k_y":4,"a":1}"#);
    }

    #[test]
    fn rules_apply_in_the_order_of_the_file() {
        check(&[("rename", "a c"), ("set", "c x")], r#"{"b":"two","k_x":3,"k_y":4,"c":"x"}"#);
        check(&[("set", "c x"), ("rename", "a c")], r#"{"a":1,"b":"two","k_x":3,"k_y":4,"c":"x"}"#);
    }

    #[test]
    fn rules_apply_where_all_conditions_hold() {
        for (condition, holds) in [
            ("Key_exists a", true),
            ("Key_exists none", false),
            ("Key_does_not_exist a", false),
            ("A_key_matches ^k", true),
            ("No_key_matches ^k", false),
            ("Key_value_equals b two", true),
            ("Key_value_equals $b two", true),
            ("Key_value_equals a 1", false),
            ("Key_value_does_not_equal b two", false),
            ("Key_value_does_not_equal a 1", true),
            ("Key_value_does_not_equal none x", false),
            ("Key_value_matches b ^t", true),
            ("Key_value_does_not_match b ^t", false),
            ("Key_value_does_not_match none ^t", false),
            ("Matching_keys_have_matching_values ^b t", true),
            ("Matching_keys_have_matching_values ^(a|b) t", false),
            ("Matching_keys_do_not_have_matching_values ^(a|b) t", true),
        ] {
            let expected = if holds { r#"{"b":"two","k_x":3,"k_y":4}"# } else { RECORD };
            check(&[("condition", condition), ("remove", "a")], expected);
            check(
                &[("condition", "key_exists a"), ("condition", condition), ("remove", "a")],
                expected,
            );
        }
    }

    #[test]
    fn a_pattern_is_found_in_the_word_of_a_switch_but_in_no_number() {
        let record = r#"{"on":true,"off":false,"n":12}"#;
        for (condition, holds) in [
            ("Key_value_matches on ^true$", true),
            ("Key_value_matches off alse", true),
            ("Key_value_does_not_match on true", false),
            ("Key_value_matches n 1", false),
            ("Key_value_does_not_match n 1", true),
            ("Key_value_equals on true", false),
            ("Matching_keys_have_matching_values ^o ^(true|false)$", true),
            ("Matching_keys_have_matching_values . .", false),
        ] {
            let rules = [("condition", condition), ("remove", "n")];
            let expected = if holds { r#"{"on":true,"off":false}"# } else { record };
            assert_eq!(testing::filtered(&SPEC, &rules, &[record]), expected, "{condition}");
        }
    }

    #[test]
    fn what_cannot_be_is_refused() {
        let refused =
            |option: (&'static str, &str)| testing::build(&SPEC, &[option]).err().unwrap().message;
        assert_eq!(
            refused(("set", "a b c")),
            "Invalid config for set 'a b c': two words are expected"
        );
        assert_eq!(
            refused(("remove", "a b")),
            "Invalid config for remove 'a b': one word is expected"
        );
        assert!(refused(("remove_regex", "(")).starts_with("'(' is not a regular expression"));
        assert_eq!(
            refused(("condition", "Key_exist a")),
            "Invalid config for condition : Key_exist a"
        );
    }
}
