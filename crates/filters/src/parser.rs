//! `parser`: parses the text of one of a record's fields, and makes the record of what it finds.

use std::sync::Arc;

use flb_event::{Accessor, Chunk, Event, Timestamp, msgpack};
use flb_plugin::keys::{Bool, Key, Many, Required, Text};
use flb_plugin::{Build, BuildError, Filter, Options, Outlet, Parser, Spec, Table, keys};

use super::accessors::path_or_name;
use super::each::{Decision, each};
use flb_event::msgpack::map;
use flb_plugin::log::Label;

keys! {
    const KEYS;
    KEY_NAME: Required<Text> = Key::new("key_name", "Key of the field, or $key['sub']")
        .required("missing key_name", "say which field to parse: Key_Name log");
    PARSER: Many<Text> = Key::new("parser", "Parsers, tried in order").repeated();
    PRESERVE_KEY: Bool = Key::new("preserve_key", "Keep the field itself").default("off");
    RESERVE_DATA: Bool = Key::new("reserve_data", "Keep the other fields").default("off");
    UNESCAPE_KEY: Bool =
        Key::new("unescape_key", "").default("off").idle("a decoder of the parser does it");
}

pub(super) const SPEC: Spec<dyn Filter> =
    Spec { name: "parser", about: "Parse a field of a record", options: Table(&[KEYS]), build };

fn build(options: &Options, build: &Build<'_>) -> Result<Box<dyn Filter>, BuildError> {
    let key = options.get(KEY_NAME)?;
    let field = path_or_name("invalid key_name", key)?;
    let mut parsers: Vec<Arc<dyn Parser>> = Vec::new();
    for name in options.get(PARSER) {
        let Some(parser) = build.parsers.find(name) else {
            let known: Vec<&str> = build.parsers.names().collect();
            let message = format!("Invalid 'parser': '{name}' is not known");
            return Err(
                BuildError::new(message).help(format!("known parsers are: {}", known.join(", ")))
            );
        };
        parsers.push(Arc::clone(parser));
    }
    if parsers.is_empty() {
        return Err(BuildError::new("Invalid 'parser': none was given")
            .help("say how to parse the field: Parser json"));
    }
    if options.get(UNESCAPE_KEY) {
        let label = Label::filter("parser", build);
        tracing::warn!(
            "{label} unescape_key has no effect; use a decoder of the parser: Decode_Field_As escaped log"
        );
    }
    Ok(Box::new(FieldParser {
        whole_key: (!key.starts_with('$') || field == Accessor::of_key(&key[1..]))
            .then(|| key.trim_start_matches('$').as_bytes().into()),
        field,
        parsers: parsers.into(),
        preserve_key: options.get(PRESERVE_KEY),
        reserve_data: options.get(RESERVE_DATA),
        rest: Vec::new(),
    }))
}

/// The filter.
struct FieldParser {
    field: Accessor,
    /// The field's key, if the field is an entry of the record and does not lie within another.
    whole_key: Option<Box<[u8]>>,
    parsers: Arc<[Arc<dyn Parser>]>,
    preserve_key: bool,
    reserve_data: bool,
    /// Entries of the record that are kept.
    rest: Vec<u8>,
}

impl Filter for FieldParser {
    fn filter(&mut self, batch: Chunk, outlet: &mut Outlet) {
        each(batch, outlet, |event, body| {
            self.parse(event, body).map_or(Decision::Keep, Decision::ReplaceAt)
        })
    }

    fn fork(&self) -> Result<Box<dyn Filter>, BuildError> {
        Ok(Box::new(Self {
            field: self.field.clone(),
            whole_key: self.whole_key.clone(),
            parsers: Arc::clone(&self.parsers),
            preserve_key: self.preserve_key,
            reserve_data: self.reserve_data,
            rest: Vec::new(),
        }))
    }
}

impl FieldParser {
    /// Writes the record's new body and tells its time. `None` if nothing can be made of it.
    fn parse(&mut self, event: &Event<'_>, body: &mut Vec<u8>) -> Option<Timestamp> {
        let text = self.field.find_str(event.body)?;
        let mut tried = self.parsers.iter();
        let parsed = tried.find_map(|parser| parser.parse(text, event.time, body).ok())?;
        self.keep_rest(event.body, body);
        Some(parsed.time.unwrap_or(event.time))
    }

    /// Puts what is kept of the record behind what was found.
    fn keep_rest(&mut self, record: &[u8], body: &mut Vec<u8>) {
        if !self.preserve_key && !self.reserve_data {
            return;
        }
        self.rest.clear();
        let mut count = 0;
        let Ok(entries) = msgpack::entries(record) else { return };
        for (key, value) in entries.flatten() {
            // The entry that a field lies within is data like the others.
            let is_field =
                self.whole_key.is_some() && msgpack::as_str(key) == self.whole_key.as_deref();
            if if is_field { self.preserve_key } else { self.reserve_data } {
                self.rest.extend_from_slice(key);
                self.rest.extend_from_slice(value);
                count += 1;
            }
        }
        if count > 0 {
            map::append(body, 0, count, &self.rest);
        }
    }
}

#[cfg(test)]
mod tests {
    use flb_plugin::Tally;

    use super::*;
    use flb_harness as testing;

    fn filter(given: &[(&str, &str)], records: &[&str]) -> (Vec<String>, Tally) {
        let records: Vec<_> = records.iter().map(|body| (7, 8, *body)).collect();
        let mut filter = testing::build(&SPEC, given).unwrap();
        let outlet = testing::given(&mut *filter, testing::chunk("t", &records));
        let show =
            |event: Event<'_>| format!("{} {}", event.time.sec, testing::json_text(event.body));
        let passed = outlet.passed().iter().flat_map(Chunk::records);
        (passed.map(show).collect(), *outlet.tally())
    }

    fn check(given: &[(&str, &str)], record: &str, expected: &str) {
        let given = [&[("key_name", "log"), ("parser", "json")], given].concat();
        assert_eq!(filter(&given, &[record]).0, [format!("7 {expected}")]);
    }

    const RECORD: &str = r#"{"a":1,"log":"{\"b\":2}","c":3}"#;

    #[test]
    fn what_was_found_becomes_the_record() {
        check(&[], RECORD, r#"{"b":2}"#);
    }

    #[test]
    fn the_rest_may_be_kept_behind_it() {
        check(&[("reserve_data", "on")], RECORD, r#"{"b":2,"a":1,"c":3}"#);
        check(&[("preserve_key", "on")], RECORD, r#"{"b":2,"log":"{\"b\":2}"}"#);
        check(
            &[("reserve_data", "on"), ("preserve_key", "on")],
            RECORD,
            r#"{"b":2,"a":1,"log":"{\"b\":2}","c":3}"#,
        );
    }

    #[test]
    fn a_record_that_cannot_be_parsed_stays() {
        for record in [r#"{"log":"text"}"#, r#"{"log":7}"#, r#"{"x":"{}"}"#] {
            check(&[], record, record);
        }
    }

    #[test]
    fn only_some_records_of_a_batch_may_change() {
        let given = [("key_name", "log"), ("parser", "json")];
        let records = [r#"{"log":"a"}"#, r#"{"log":"{}"}"#, r#"{"log":"b"}"#];
        let (bodies, tally) = filter(&given, &records);
        assert_eq!(bodies, [r#"7 {"log":"a"}"#, "7 {}", r#"7 {"log":"b"}"#]);
        assert_eq!((tally.kept, tally.replaced, tally.records()), (2, 1, 3));
    }

    #[test]
    fn a_field_may_lie_within_another() {
        let given = [("key_name", "$k['it''s']"), ("parser", "json"), ("reserve_data", "on")];
        let (bodies, _) = filter(&given, &[r#"{"k":{"it's":"{\"b\":2}"}}"#]);
        assert_eq!(bodies, [r#"7 {"b":2,"k":{"it's":"{\"b\":2}"}}"#]);
    }

    #[test]
    fn unescape_key_is_accepted_with_a_warning() {
        check(&[("unescape_key", "on")], r#"{"log":"{}"}"#, "{}");
    }

    #[test]
    fn a_wrong_configuration_is_refused() {
        let refused = |given: &[(&str, &str)]| testing::build(&SPEC, given).err().unwrap().message;
        assert_eq!(refused(&[("parser", "json")]), "missing key_name");
        assert_eq!(refused(&[("key_name", "x")]), "Invalid 'parser': none was given");
        assert_eq!(
            refused(&[("key_name", "x"), ("parser", "nope")]),
            "Invalid 'parser': 'nope' is not known"
        );
        let given = [("key_name", "$a[b]"), ("parser", "json")];
        assert!(refused(&given).starts_with("invalid key_name: "));
    }
}
