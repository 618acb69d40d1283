//! `expect`: checks that records are as they should be, for who tests a configuration.

use std::sync::Arc;

use flb_event::msgpack::{self, Reader, Value};
use flb_event::{Accessor, Chunk, write_text};
use flb_plugin::keys::{Choice, Key, Many, Text, Word};
use flb_plugin::log::{Label, Mishaps, excerpt};
use flb_plugin::{Build, BuildError, Ending, Filter, Options, Outlet, Spec, Table, keys};

use super::accessors::path_or_name;
use super::each::{Decision, each};

keys! {
    const KEYS;
    KEY_EXISTS: Many<Text> = Key::new("key_exists", "The record has this key").repeated();
    KEY_NOT_EXISTS: Many<Text> =
        Key::new("key_not_exists", "The record has no such key").repeated();
    KEY_VAL_IS_NULL: Many<Text> =
        Key::new("key_val_is_null", "The record has this key, with null").repeated();
    KEY_VAL_IS_NOT_NULL: Many<Text> =
        Key::new("key_val_is_not_null", "The record has this key, with something else").repeated();
    KEY_VAL_EQ: Many<Text> =
        Key::new("key_val_eq", "The record has this key, with this value: key value").repeated();
    ACTION: Choice<Action> = Key::new("action", "What to do otherwise").default("warn");
    RESULT_KEY: Text =
        Key::new("result_key", "Key for whether all is so, with action result_key")
            .default("matched");
}

pub(super) const SPEC: Spec<dyn Filter> = Spec {
    name: "expect",
    about: "Check that records are as they should be",
    options: Table(&[KEYS]),
    build: |options, build| Ok(Box::new(expect(options, build)?)),
};

/// What is done when a record is not as it should be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Action {
    Warn,
    Exit,
    /// Whether it is as it should be is said in the record.
    ResultKey,
}

impl Word for Action {
    const ALL: &'static [(&'static str, Self)] =
        &[("warn", Self::Warn), ("exit", Self::Exit), ("result_key", Self::ResultKey)];
}

/// What the code of the process is where a record ends it.
const FAILED: u8 = 255;

/// What a key is expected to be.
#[derive(Debug, Clone, Copy)]
enum Wanted {
    Exists,
    Absent,
    Null,
    NotNull,
    Equal,
}

#[derive(Debug, Clone)]
struct Rule {
    wanted: Wanted,
    key: Accessor,
    value: Vec<u8>,
    /// As the configuration has it.
    text: String,
}

fn expect(options: &Options, build: &Build<'_>) -> Result<Expect, BuildError> {
    let keys = [
        (KEY_EXISTS, Wanted::Exists),
        (KEY_NOT_EXISTS, Wanted::Absent),
        (KEY_VAL_IS_NULL, Wanted::Null),
        (KEY_VAL_IS_NOT_NULL, Wanted::NotNull),
        (KEY_VAL_EQ, Wanted::Equal),
    ];
    let rules = options.in_order(&keys);
    let rules = rules.into_iter().map(|(name, wanted, text)| rule(name, wanted, text));
    let rules: Vec<Rule> = rules.collect::<Result<_, _>>()?;
    let label = Label::filter("expect", build);
    if rules.is_empty() {
        tracing::warn!("{label} nothing is expected of records");
    }
    Ok(Expect {
        rules,
        action: options.get(ACTION),
        result_key: options.get(RESULT_KEY).to_owned(),
        ending: build.service.shared.get_or_make(|| Ok::<_, BuildError>(Ending::default()))?,
        label,
        failed: Arc::default(),
    })
}

fn rule(name: &str, wanted: Wanted, text: &str) -> Result<Rule, BuildError> {
    let (key, value) = match wanted {
        Wanted::Equal => text.split_once(char::is_whitespace).ok_or_else(|| {
            BuildError::new(format!("{name} '{text}' has no value")).help("write: key value")
        })?,
        _ => (text, ""),
    };
    let accessor = path_or_name(name, key)?;
    let text = format!("{name} {text}");
    Ok(Rule { wanted, key: accessor, value: value.trim().as_bytes().to_vec(), text })
}

#[derive(Clone)]
struct Expect {
    rules: Vec<Rule>,
    action: Action,
    result_key: String,
    ending: Arc<Ending>,
    label: Label,
    failed: Arc<Mishaps>,
}

impl Filter for Expect {
    fn filter(&mut self, batch: Chunk, outlet: &mut Outlet) {
        each(batch, outlet, |event, body| {
            let broken = self.rules.iter().find(|rule| !rule.holds(event.body));
            if let Some(rule) = broken {
                self.tell(rule, event.body);
            }
            match self.action {
                Action::ResultKey => match self.with_result(event.body, broken.is_none(), body) {
                    Ok(()) => Decision::Replace,
                    Err(_) => Decision::Keep,
                },
                Action::Warn | Action::Exit => Decision::Keep,
            }
        });
    }

    fn fork(&self) -> Result<Box<dyn Filter>, BuildError> {
        Ok(Box::new(self.clone()))
    }
}

impl Expect {
    fn tell(&self, rule: &Rule, body: &[u8]) {
        if let Some(total) = self.failed.another() {
            let (label, mut text) = (&self.label, Vec::new());
            write_text(body, &mut text);
            let record = excerpt(&text);
            tracing::error!("{label} not as expected, '{}': {record} ({total} so far)", rule.text);
        }
        if self.action == Action::Exit {
            self.ending.ask(FAILED);
        }
    }

    /// The record with the result before all else.
    fn with_result(
        &self,
        record: &[u8],
        is_good: bool,
        out: &mut Vec<u8>,
    ) -> Result<(), msgpack::MsgpackError> {
        let (count, header) = msgpack::map_header(record)?;
        msgpack::write_map_header(out, count.saturating_add(1));
        msgpack::write_str(out, &self.result_key);
        msgpack::write_bool(out, is_good);
        out.extend_from_slice(&record[header..]);
        Ok(())
    }
}

impl Rule {
    fn holds(&self, body: &[u8]) -> bool {
        let found = self.key.find(body);
        let is_null = found.map(|value| matches!(Reader::new(value).next(), Ok(Value::Nil)));
        match (self.wanted, found) {
            (Wanted::Exists, _) => found.is_some(),
            (Wanted::Absent, _) => found.is_none(),
            (Wanted::Null, _) => is_null == Some(true),
            (Wanted::NotNull, _) => is_null == Some(false),
            (Wanted::Equal, None) => false,
            (Wanted::Equal, Some(value)) => {
                let mut text = Vec::new();
                write_text(value, &mut text);
                text == self.value
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use flb_harness::{build_with, filtered, options};

    /// Which of these records are as they should be.
    fn check(rules: &[(&str, &str)], records: &[&str], expected: &[bool]) {
        let given = [rules, &[("action", "result_key"), ("result_key", "ok")]].concat();
        let expected: Vec<String> = records
            .iter()
            .zip(expected)
            .map(|(record, good)| format!("{{\"ok\":{good},{}", &record[1..]))
            .collect();
        for (record, expected) in records.iter().zip(expected) {
            assert!(filtered(&SPEC, &given, &[record]).contains(&expected), "{record}");
        }
    }

    #[test]
    fn each_rule_has_its_records() {
        let records = [r#"{"a":{"b":null}}"#, r#"{"a":{"b":"x y"}}"#, r#"{"a":1}"#, r#"{"c":1}"#];
        check(&[("key_exists", "a")], &records, &[true, true, true, false]);
        check(&[("key_not_exists", "$c")], &records, &[true, true, true, false]);
        check(&[("key_val_is_null", "$a['b']")], &records, &[true, false, false, false]);
        check(&[("key_val_is_not_null", "$a['b']")], &records, &[false, true, true, false]);
        check(&[("key_val_eq", "$a['b'] x y")], &records, &[false, true, false, false]);
        check(&[("key_val_eq", "c 1")], &records, &[false, false, false, true]);
        let both = [("key_exists", "a"), ("key_val_is_null", "$a['b']")];
        check(&both, &records, &[true, false, false, false]);
    }

    #[test]
    fn a_record_that_is_not_as_expected_can_end_the_agent() {
        for (action, code) in [("warn", None), ("exit", Some(255))] {
            let given = [("action", action), ("key_exists", "a")];
            let mut filter = build_with(&options(SPEC.options, &given), expect).unwrap();
            flb_harness::given(&mut filter, flb_harness::chunk("t", &[(1, 0, r#"{"a":1}"#)]));
            assert_eq!(filter.ending.code(), None);
            let batch = flb_harness::chunk("t", &[(1, 0, "{}"), (1, 0, "{}")]);
            let outlet = flb_harness::given(&mut filter, batch.clone());
            assert_eq!(filter.ending.code(), code);
            assert!(outlet.passed()[0].same(&batch), "records pass as they are");
        }
    }

    #[test]
    fn a_wrong_configuration_is_refused() {
        let refused = |key: &str, text: &str| {
            build_with(&options(SPEC.options, &[(key, text)]), expect).err().unwrap().message
        };
        assert_eq!(refused("key_val_eq", "alone"), "key_val_eq 'alone' has no value");
        assert!(refused("key_exists", "$a['b").contains("a bracket"));
    }
}
