//! `content_modifier`: one action on one key of each record's body, its metadata, or the attributes that OpenTelemetry gave it.

use std::sync::Arc;

use flb_artifact::Sha256Hex;
use flb_event::msgpack::{self, Reader, Value};
use flb_event::{Chunk, Event};
use flb_plugin::keys::{Choice, Key, Required, Text, Word};
use flb_plugin::{Build, BuildError, Filter, Options, Outlet, Regex, Spec, Table, keys};

use super::each::{Decision, each};
use crate::fields::{Field, Fields};

keys! {
    const KEYS;
    CONTEXT: Choice<Context> =
        Key::new("context", "The part of a record that the key is in").default("body");
    ACTION: Required<Choice<ActionName>> = Key::new("action", "What is done with the key")
        .required("no 'action' defined", "add action: insert");
    KEY: Option<Text> = Key::new("key", "The key");
    VALUE: Option<Text> = Key::new("value", "The text to set, or the key's new name");
    PATTERN: Option<Text> =
        Key::new("pattern", "A regular expression: its named groups become keys");
    CONVERTED_TYPE: Option<Choice<Type>> =
        Key::new("converted_type", "The type that the value is converted to");
}

pub(super) const SPEC: Spec<dyn Filter> = Spec {
    name: "content_modifier",
    about: "Set, delete, rename, hash, convert or take apart a key of records",
    options: Table(&[KEYS]),
    build,
};

fn build(options: &Options, _: &Build<'_>) -> Result<Box<dyn Filter>, BuildError> {
    let context = options.get(CONTEXT);
    let (key, action) = (key(options.get(KEY), context.only)?.to_owned(), action(options)?);
    if let (Some(only), Action::Rename(_) | Action::Extract(_) | Action::Convert(_)) =
        (context.only, &action)
    {
        return Err(BuildError::new(format!(
            "action '{}' is not allowed for context 'otel_scope_{only}'",
            word(options.get(ACTION)?)
        ))
        .help("insert, upsert, delete or hash it"));
    }
    Ok(Box::new(ContentModifier { place: context.place, rule: Arc::new(Rule { key, action }) }))
}

/// The key that is given, or the only one that there is in the context.
fn key<'k>(given: Option<&'k str>, only: Option<&'static str>) -> Result<&'k str, BuildError> {
    match (given, only) {
        (Some(key), Some(only)) if !key.eq_ignore_ascii_case(only) => Err(BuildError::new(format!(
            "context 'otel_scope_{only}' requires the name of the key to be '{only}', not '{key}'"
        ))
        .help("leave key out")),
        (_, Some(only)) => Ok(only),
        (Some(key), None) => Ok(key),
        (None, None) => Err(BuildError::new("no 'key' was given").help("add key: name")),
    }
}

/// What the configuration calls an action.
fn word(name: ActionName) -> &'static str {
    ActionName::ALL.iter().find(|(_, known)| *known == name).map_or("", |(word, _)| *word)
}

fn action(options: &Options) -> Result<Action, BuildError> {
    let name = options.get(ACTION)?;
    let missing = |what: &str| {
        BuildError::new(format!("{what} is required for action '{}'", word(name)))
            .help(format!("add {what}"))
    };
    let value = || options.get(VALUE).map(str::to_owned).ok_or_else(|| missing("value"));
    Ok(match name {
        ActionName::Insert => Action::Set { value: value()?, only_new: true },
        ActionName::Upsert => Action::Set { value: value()?, only_new: false },
        ActionName::Delete => Action::Delete,
        ActionName::Rename => Action::Rename(value()?),
        ActionName::Hash => Action::Hash,
        ActionName::Extract => {
            let pattern = options.get(PATTERN).ok_or_else(|| missing("pattern"))?;
            Action::Extract(
                Regex::new(pattern).map_err(|error| BuildError::new(error.to_string()))?,
            )
        }
        ActionName::Convert => {
            Action::Convert(options.get(CONVERTED_TYPE).ok_or_else(|| missing("converted_type"))?)
        }
    })
}

/// Where the key is, and which it must be if only one will do.
#[derive(Debug, Clone, Copy)]
struct Context {
    place: Place,
    only: Option<&'static str>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Place {
    Body,
    /// The metadata, or a map within it.
    Metadata(&'static [&'static str]),
    /// A map of what records of one resource and scope have in common. Records that have nothing in common are left alone.
    Group(&'static [&'static str]),
}

/// What records of one resource and scope have in common is under this key of their metadata.
const GROUP: &str = "group_attributes";

impl Context {
    const fn of(place: Place) -> Self {
        Self { place, only: None }
    }

    const fn scope(only: &'static str) -> Self {
        Self { place: Place::Group(&[GROUP, "scope"]), only: Some(only) }
    }
}

impl Word for Context {
    const ALL: &'static [(&'static str, Self)] = &[
        ("body", Self::of(Place::Body)),
        ("message", Self::of(Place::Body)),
        ("record", Self::of(Place::Body)),
        ("metadata", Self::of(Place::Metadata(&[]))),
        ("attributes", Self::of(Place::Metadata(&[]))),
        ("otel_log_attributes", Self::of(Place::Metadata(&["otlp", "attributes"]))),
        ("otel_resource_attributes", Self::of(Place::Group(&[GROUP, "resource", "attributes"]))),
        ("otel_scope_attributes", Self::of(Place::Group(&[GROUP, "scope", "attributes"]))),
        ("otel_scope_name", Self::scope("name")),
        ("otel_scope_version", Self::scope("version")),
    ];
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum ActionName {
    Insert,
    Upsert,
    Delete,
    Rename,
    Hash,
    Extract,
    Convert,
}

impl Word for ActionName {
    const ALL: &'static [(&'static str, Self)] = &[
        ("insert", Self::Insert),
        ("upsert", Self::Upsert),
        ("delete", Self::Delete),
        ("rename", Self::Rename),
        ("hash", Self::Hash),
        ("extract", Self::Extract),
        ("convert", Self::Convert),
    ];
}

/// What a value is converted to.
#[derive(Debug, Clone, Copy)]
enum Type {
    Text,
    Bool,
    Int,
    Double,
}

impl Word for Type {
    const ALL: &'static [(&'static str, Self)] = &[
        ("string", Self::Text),
        ("boolean", Self::Bool),
        ("int", Self::Int),
        ("double", Self::Double),
    ];
}

#[derive(Clone)]
struct ContentModifier {
    place: Place,
    rule: Arc<Rule>,
}

impl Filter for ContentModifier {
    fn filter(&mut self, batch: Chunk, outlet: &mut Outlet) {
        each(batch, outlet, |event, out| self.decide(event, out));
    }

    fn fork(&self) -> Result<Box<dyn Filter>, BuildError> {
        Ok(Box::new(self.clone()))
    }
}

impl ContentModifier {
    fn decide(&self, event: &Event<'_>, out: &mut Vec<u8>) -> Decision {
        let (map, path, changed) = match self.place {
            Place::Body => (event.body, &[][..], Decision::Replace),
            Place::Group(_) if Fields::read(event.metadata).get(GROUP).is_none() => {
                return Decision::Keep;
            }
            Place::Metadata(path) | Place::Group(path) => {
                (event.metadata, path, Decision::ReplaceMetadata)
            }
        };
        match edited(map, path, &self.rule) {
            Some(map) => {
                out.extend_from_slice(&map);
                changed
            }
            None => Decision::Keep,
        }
    }
}

/// The map with the rule applied to what lies at the path, where a map that is missing is made; nothing if it stays as it is.
fn edited(map: &[u8], path: &[&str], rule: &Rule) -> Option<Vec<u8>> {
    let mut fields = Fields::read(map);
    match path {
        [] if !rule.apply(&mut fields) => return None,
        [] => {}
        [step, rest @ ..] => {
            let value = fields.get(step).map_or(&[0x80][..], Field::value);
            msgpack::map_header(value).ok()?;
            let value = edited(value, rest, rule)?;
            put(&mut fields, step.as_bytes(), value);
        }
    }
    let mut out = Vec::with_capacity(map.len() + 64);
    fields.write(&mut out);
    Some(out)
}

/// Gives the key this value, encoded as msgpack: in its place, or else behind all others.
fn put(fields: &mut Fields<'_>, key: &[u8], value: Vec<u8>) {
    let field = Field::of(key, value);
    match fields.0.iter_mut().find(|known| known.key() == Some(key)) {
        Some(known) => *known = field,
        None => fields.0.push(field),
    }
}

#[derive(Debug)]
struct Rule {
    key: String,
    action: Action,
}

#[derive(Debug)]
enum Action {
    Set { value: String, only_new: bool },
    Delete,
    Rename(String),
    Hash,
    Extract(Regex),
    Convert(Type),
}

impl Rule {
    /// Changes the fields; false if there was nothing to change.
    fn apply(&self, fields: &mut Fields<'_>) -> bool {
        let found = fields.get(&self.key).cloned();
        match (&self.action, found) {
            (Action::Set { only_new: true, .. }, Some(_)) => false,
            (Action::Set { value, .. }, _) => {
                fields.remove(&self.key);
                fields.0.push(Field::text(&self.key, value.as_bytes()));
                true
            }
            (_, None) => false,
            (Action::Delete, Some(_)) => {
                fields.remove(&self.key);
                true
            }
            (Action::Rename(new), Some(field)) => {
                rename(fields, &self.key, &field.renamed(new.as_bytes()));
                true
            }
            (Action::Hash, Some(field)) => hashed(field.value()).is_some_and(|digest| {
                put(fields, self.key.as_bytes(), digest);
                true
            }),
            (Action::Extract(regex), Some(field)) => extract(fields, regex, field.value()),
            (Action::Convert(to), Some(field)) => {
                converted(field.value(), *to).is_some_and(|new| {
                    fields.remove(&self.key);
                    fields.0.push(Field::of(self.key.as_bytes(), new));
                    true
                })
            }
        }
    }
}

/// Puts the field in the place of `old`. What had its key before gives way.
fn rename<'a>(fields: &mut Fields<'a>, old: &str, field: &Field<'a>) {
    fields.0.retain(|known| known.is(old) || known.key() != field.key());
    if let Some(place) = fields.0.iter_mut().find(|known| known.is(old)) {
        *place = field.clone();
    }
}

/// The value's SHA-256 in hexadecimal; nothing of an empty text or of what has no text.
fn hashed(value: &[u8]) -> Option<Vec<u8>> {
    let text = text(value).filter(|text| !text.is_empty())?;
    Some(text_value(Sha256Hex::of(&[&text]).to_string().as_bytes()))
}

/// Sets what the named groups find in a text, behind the others; false if the pattern is not found.
fn extract(fields: &mut Fields<'_>, regex: &Regex, value: &[u8]) -> bool {
    let Some(text) = msgpack::as_str(value) else { return false };
    let Ok(Some(groups)) = regex.find(text) else { return false };
    for (group, name) in regex.names() {
        let new = Field::text(name, groups.get(group).unwrap_or_default());
        fields.remove(name);
        fields.0.push(new);
    }
    regex.names().len() > 0
}

/// The value as another type; nothing if it cannot be one.
fn converted(value: &[u8], to: Type) -> Option<Vec<u8>> {
    let mut out = Vec::new();
    match to {
        Type::Text => return Some(text_value(&text(value)?)),
        Type::Bool => msgpack::write_bool(&mut out, is_true(value)?),
        Type::Int => write_int(value, &mut out)?,
        Type::Double => msgpack::write_float(&mut out, double(value)?),
    }
    Some(out)
}

fn text_value(text: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(text.len() + 5);
    msgpack::write_str(&mut out, text);
    out
}

/// A value as text. Containers and extensions have none.
fn text(value: &[u8]) -> Option<Vec<u8>> {
    Some(match Reader::new(value).next().ok()? {
        Value::Nil => b"null".to_vec(),
        Value::Bool(value) => value.to_string().into_bytes(),
        Value::Uint(value) => value.to_string().into_bytes(),
        Value::Int(value) => value.to_string().into_bytes(),
        Value::Float(value) => float_text(value).into_bytes(),
        Value::Str(text) | Value::Bin(text) => text.to_vec(),
        Value::Array(_) | Value::Map(_) | Value::Ext(..) => return None,
    })
}

/// The shortest text that reads as the same number.
fn float_text(value: f64) -> String {
    match value.abs() {
        0.0 | 1e-5..1e17 => value.to_string(),
        _ => format!("{value:e}"),
    }
}

fn is_true(value: &[u8]) -> Option<bool> {
    Some(match Reader::new(value).next().ok()? {
        Value::Nil => false,
        Value::Bool(value) => value,
        Value::Uint(value) => value != 0,
        Value::Int(_) => true,
        Value::Float(value) => value != 0.0,
        Value::Str(text) | Value::Bin(text) => text.eq_ignore_ascii_case(b"true"),
        Value::Array(_) | Value::Map(_) | Value::Ext(..) => return None,
    })
}

fn write_int(value: &[u8], out: &mut Vec<u8>) -> Option<()> {
    match Reader::new(value).next().ok()? {
        Value::Nil => msgpack::write_uint(out, 0),
        Value::Bool(value) => msgpack::write_uint(out, value.into()),
        Value::Uint(value) => msgpack::write_uint(out, value),
        Value::Int(value) => msgpack::write_int(out, value),
        Value::Float(value) => msgpack::write_int(out, value.round() as i64),
        Value::Str(text) | Value::Bin(text) => {
            let text = std::str::from_utf8(text).ok()?.trim_start();
            match text.parse::<u64>() {
                Ok(number) => msgpack::write_uint(out, number),
                Err(_) => msgpack::write_int(out, text.parse().ok()?),
            }
        }
        Value::Array(_) | Value::Map(_) | Value::Ext(..) => return None,
    }
    Some(())
}

fn double(value: &[u8]) -> Option<f64> {
    Some(match Reader::new(value).next().ok()? {
        Value::Nil => 0.0,
        Value::Bool(value) => f64::from(u8::from(value)),
        Value::Uint(value) => value as f64,
        Value::Int(value) => value as f64,
        Value::Float(value) => value,
        Value::Str(text) | Value::Bin(text) => {
            std::str::from_utf8(text).ok()?.trim_start().parse().ok()?
        }
        Value::Array(_) | Value::Map(_) | Value::Ext(..) => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use flb_event::{ChunkBuilder, Tag, Timestamp};
    use flb_harness as testing;

    #[track_caller]
    fn check(options: &[(&str, &str)], record: &str, expected: &str) {
        assert_eq!(testing::filtered(&SPEC, options, &[record]), expected, "{options:?}");
    }

    #[test]
    fn insert_leaves_what_is_there_and_upsert_moves_it_to_the_end() {
        let insert = [("action", "insert"), ("key", "a"), ("value", "x y")];
        check(&insert, r#"{"b":1}"#, r#"{"b":1,"a":"x y"}"#);
        check(&insert, r#"{"a":1,"b":2}"#, r#"{"a":1,"b":2}"#);
        let upsert = [("action", "Upsert"), ("key", "a"), ("value", "1")];
        check(&upsert, r#"{"b":1}"#, r#"{"b":1,"a":"1"}"#);
        check(&upsert, r#"{"a":1,"b":2}"#, r#"{"b":2,"a":"1"}"#);
    }

    #[test]
    fn a_key_is_deleted_or_renamed_in_its_place() {
        let delete = [("action", "delete"), ("key", "a")];
        check(&delete, r#"{"a":1,"b":2}"#, r#"{"b":2}"#);
        check(&delete, r#"{"b":2}"#, r#"{"b":2}"#);
        check(&delete, r#"{"a":1}"#, "{}");
        let rename = [("action", "rename"), ("key", "a"), ("value", "c")];
        check(&rename, r#"{"a":1,"b":2}"#, r#"{"c":1,"b":2}"#);
        check(&rename, r#"{"c":0,"a":1,"b":2}"#, r#"{"c":1,"b":2}"#);
        check(&rename, r#"{"b":2}"#, r#"{"b":2}"#);
        let same = [("action", "rename"), ("key", "a"), ("value", "a")];
        check(&same, r#"{"a":1}"#, r#"{"a":1}"#);
    }

    #[test]
    fn a_hash_is_the_sha_256_of_the_value_s_text() {
        let hash = [("action", "hash"), ("key", "a")];
        let digest = |text: &str| format!(r#"{{"a":"{}"}}"#, Sha256Hex::of(&[text.as_bytes()]));
        check(&hash, r#"{"a":"secret"}"#, &digest("secret"));
        check(&hash, r#"{"a":-12}"#, &digest("-12"));
        check(&hash, r#"{"a":null}"#, &digest("null"));
        check(&hash, r#"{"a":true}"#, &digest("true"));
        for stays in [r#"{"a":""}"#, r#"{"a":[1]}"#, r#"{"a":{}}"#, r#"{"b":1}"#] {
            check(&hash, stays, stays);
        }
    }

    #[test]
    fn named_groups_become_keys() {
        let pattern = "^(?<verb>[A-Z]+) (?<path>/[^?]*)(?:\\?(?<query>.*))?$";
        let extract = [("action", "extract"), ("key", "r"), ("pattern", pattern)];
        check(
            &extract,
            r#"{"path":1,"r":"GET /a?b=c"}"#,
            r#"{"r":"GET /a?b=c","verb":"GET","path":"/a","query":"b=c"}"#,
        );
        check(&extract, r#"{"r":"GET /"}"#, r#"{"r":"GET /","verb":"GET","path":"/","query":""}"#);
        for stays in [r#"{"r":"?"}"#, r#"{"r":7}"#, r#"{"x":"GET /"}"#] {
            check(&extract, stays, stays);
        }
        let itself = [("action", "extract"), ("key", "r"), ("pattern", "(?<r>b)")];
        check(&itself, r#"{"r":"abc"}"#, r#"{"r":"b"}"#);
    }

    #[test]
    fn a_value_is_converted_and_moves_to_the_end() {
        let to =
            |kind: &'static str| [("action", "convert"), ("key", "a"), ("converted_type", kind)];
        for (kind, value, expected) in [
            ("int", r#""-12""#, "-12"),
            ("int", r#"" 18446744073709551615""#, "18446744073709551615"),
            ("int", "2.5", "3"),
            ("int", "-2.5", "-3"),
            ("int", "1e300", "9223372036854775807"),
            ("int", "true", "1"),
            ("int", "null", "0"),
            ("double", r#""1.5""#, "1.5"),
            ("double", "7", "7.0"),
            ("string", "7", r#""7""#),
            ("string", "0.1", r#""0.1""#),
            ("string", "2.0", r#""2""#),
            ("string", "1e300", r#""1e300""#),
            ("string", "false", r#""false""#),
            ("boolean", r#""True""#, "true"),
            ("boolean", r#""yes""#, "false"),
            ("boolean", "-1", "true"),
            ("boolean", "0.0", "false"),
        ] {
            let record = format!(r#"{{"a":{value},"b":1}}"#);
            check(&to(kind), &record, &format!(r#"{{"b":1,"a":{expected}}}"#));
        }
    }

    #[test]
    fn what_cannot_be_converted_stays_where_it_is() {
        for (kind, value) in
            [("int", r#""1x""#), ("int", r#""""#), ("double", r#""x""#), ("string", "[1]")]
        {
            let record = format!(r#"{{"a":{value},"b":1}}"#);
            let options = [("action", "convert"), ("key", "a"), ("converted_type", kind)];
            check(&options, &record, &record);
        }
    }

    /// What becomes of a record's metadata; its time and body stay.
    #[track_caller]
    fn check_metadata(context: &str, key: &str, metadata: &str, expected: &str) {
        let given = [("context", context), ("action", "upsert"), ("key", key), ("value", "v")];
        let mut filter = testing::build(&SPEC, &given).unwrap();
        let mut batch = ChunkBuilder::new(Tag::new("t").unwrap());
        let (metadata, body) = (testing::msgpack(metadata), testing::msgpack(r#"{"k":1}"#));
        let time = Timestamp { sec: 1, nsec: 2 };
        batch.push(Event { time, metadata: &metadata, body: &body }).unwrap();
        let outlet = testing::given(&mut *filter, batch.build());
        let record = outlet.passed()[0].records().next().unwrap();
        assert_eq!((record.time, record.body), (time, &*body));
        assert_eq!(testing::json_text(record.metadata), expected);
    }

    #[test]
    fn metadata_and_otel_attributes_are_places_too() {
        check_metadata("metadata", "k", r#"{"m":1}"#, r#"{"m":1,"k":"v"}"#);
        check_metadata("attributes", "k", "{}", r#"{"k":"v"}"#);
        let log = "otel_log_attributes";
        check_metadata(log, "k", "{}", r#"{"otlp":{"attributes":{"k":"v"}}}"#);
        check_metadata(
            log,
            "k",
            r#"{"otlp":{"severity_number":9,"attributes":{"k":1}},"m":1}"#,
            r#"{"otlp":{"severity_number":9,"attributes":{"k":"v"}},"m":1}"#,
        );
        check_metadata(log, "k", r#"{"otlp":7}"#, r#"{"otlp":7}"#);
    }

    #[test]
    fn so_are_the_resource_and_the_scope_of_records_that_have_them() {
        let group = r#"{"group_attributes":{"resource":{"attributes":{"k":1}},"scope":{}}}"#;
        check_metadata(
            "otel_resource_attributes",
            "k",
            group,
            r#"{"group_attributes":{"resource":{"attributes":{"k":"v"}},"scope":{}}}"#,
        );
        check_metadata(
            "otel_scope_attributes",
            "k",
            group,
            r#"{"group_attributes":{"resource":{"attributes":{"k":1}},"scope":{"attributes":{"k":"v"}}}}"#,
        );
        for part in ["name", "version"] {
            let expected = format!(
                r#"{{"group_attributes":{{"resource":{{"attributes":{{"k":1}}}},"scope":{{"{part}":"v"}}}}}}"#
            );
            check_metadata(&format!("otel_scope_{part}"), part, group, &expected);
        }
        check_metadata("otel_resource_attributes", "k", r#"{"m":1}"#, r#"{"m":1}"#);
    }

    #[test]
    fn what_is_missing_or_cannot_be_is_refused() {
        let refused = |given: &[(&str, &str)]| testing::build(&SPEC, given).err().unwrap().message;
        for (given, message) in [
            (&[("key", "a")][..], "no 'action' defined"),
            (&[("action", "delete")], "no 'key' was given"),
            (&[("action", "insert"), ("key", "a")], "value is required for action 'insert'"),
            (&[("action", "extract"), ("key", "a")], "pattern is required for action 'extract'"),
            (
                &[("action", "convert"), ("key", "a")],
                "converted_type is required for action 'convert'",
            ),
            (
                &[("action", "delete"), ("key", "a"), ("context", "otel_scope_name")],
                "context 'otel_scope_name' requires the name of the key to be 'name', not 'a'",
            ),
            (
                &[("action", "rename"), ("value", "b"), ("context", "otel_scope_version")],
                "action 'rename' is not allowed for context 'otel_scope_version'",
            ),
        ] {
            assert_eq!(refused(given), message);
        }
        let pattern = refused(&[("action", "extract"), ("key", "a"), ("pattern", "(")]);
        assert!(pattern.starts_with("'(' is not a regular expression"), "{pattern}");
    }
}
