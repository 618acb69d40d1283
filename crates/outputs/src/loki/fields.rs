//! What a stream or an entry is called by: labels and structured metadata, of fixed texts and of records.

use std::collections::HashSet;

use flb_event::json;
use flb_event::msgpack::{self, MsgpackError};
use flb_event::{Accessor, AccessorError, Scene, Template, write_text};
use flb_plugin::BuildError;

/// Names and their values.
pub(super) type Pairs = Vec<(String, Vec<u8>)>;

/// A name, and where its value comes from.
#[derive(Debug)]
pub(super) struct Field {
    name: String,
    source: Source,
}

#[derive(Debug)]
enum Source {
    Text(String),
    Record(Template),
}

impl Field {
    /// Reads `name=text`, `name=$key` or `$key` of a list that `option` gives.
    pub(super) fn parse(option: &str, text: &str) -> Result<Self, BuildError> {
        if text.starts_with('$') {
            return Self::of_record(option, &name_of(text), text);
        }
        match text.split_once('=').map(|(name, value)| (name.trim(), value.trim())) {
            Some((name, value)) if value.starts_with('$') => Self::of_record(option, name, value),
            Some((name, value)) if !name.is_empty() && !value.is_empty() => {
                Ok(Self { name: allowed(name), source: Source::Text(value.to_owned()) })
            }
            _ => Err(BuildError::new(format!("{option}: '{text}' has no name or no value"))
                .help("write name=text, name=$key or $key")),
        }
    }

    fn of_record(option: &str, name: &str, value: &str) -> Result<Self, BuildError> {
        let template = Template::parse(value)
            .map_err(|error| BuildError::new(format!("{option}: {error}")).help(error.hint()))?;
        Ok(Self { name: allowed(name), source: Source::Record(template) })
    }

    /// The keys of the record that it shows.
    pub(super) fn keys(&self) -> impl Iterator<Item = &Accessor> {
        let template = match &self.source {
            Source::Text(_) => None,
            Source::Record(template) => Some(template),
        };
        template.into_iter().flat_map(Template::fields)
    }

    /// Adds the pair of one record, if it has a value.
    pub(super) fn write(&self, scene: &Scene<'_>, pairs: &mut Pairs) {
        let mut value = Vec::new();
        match &self.source {
            Source::Text(text) => value.extend_from_slice(text.as_bytes()),
            Source::Record(template) => template.write(scene, &mut value),
        }
        if !value.is_empty() {
            pairs.push((self.name.clone(), value));
        }
    }
}

/// Adds the entries of a map that `of` finds in the record.
pub(super) fn write_map(of: &Accessor, body: &[u8], values: Values, pairs: &mut Pairs) {
    let entries = of.find(body).and_then(|map| msgpack::entries(map).ok());
    for (key, value) in entries.into_iter().flatten().map_while(Result::ok) {
        let Some(name) = msgpack::as_str(key) else { continue };
        if values == Values::Texts && msgpack::as_str(value).is_none() {
            continue;
        }
        let mut text = Vec::new();
        write_text(value, &mut text);
        if !text.is_empty() {
            pairs.push((allowed(&String::from_utf8_lossy(name)), text));
        }
    }
}

/// Which entries of a map are meant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Values {
    All,
    Texts,
}

/// Leaves the last pair of each name.
pub(super) fn keep_last(pairs: &mut Pairs) {
    let mut known = HashSet::new();
    pairs.reverse();
    pairs.retain(|(name, _)| known.insert(name.clone()));
    pairs.reverse();
}

/// Reads a file that gives keys of records the names of labels: an object with the records' keys, and names in their places.
pub(super) fn read_map(option: &str, text: &[u8]) -> Result<Vec<Field>, BuildError> {
    let refused = |why: &dyn std::fmt::Display| {
        BuildError::new(format!("{option}: {why}"))
            .help(r#"write an object: {"level": "level", "kubernetes": {"pod_name": "pod"}}"#)
    };
    let mut map = Vec::new();
    json::parse(text, &mut map).map_err(|error| refused(&error))?;
    let mut fields = Vec::new();
    walk(&map, "", &mut fields).map_err(|error| refused(&error))?;
    Ok(fields)
}

/// Why an entry of the map is none.
#[derive(Debug, thiserror::Error)]
enum MapError {
    #[error("it is no object")]
    Object(#[from] MsgpackError),
    #[error("what stands for '{0}' is neither a name nor an object")]
    Name(String),
    #[error(transparent)]
    Key(#[from] AccessorError),
}

/// Adds the fields of a map that stands at `path`.
fn walk(map: &[u8], path: &str, fields: &mut Vec<Field>) -> Result<(), MapError> {
    for entry in msgpack::entries(map)? {
        let (key, value) = entry?;
        let key = String::from_utf8_lossy(msgpack::as_str(key).unwrap_or_default());
        let path = match path {
            "" => format!("${key}"),
            _ => format!("{path}['{}']", key.replace('\'', "''")),
        };
        match msgpack::as_str(value) {
            Some(name) => {
                // A template would take what stands behind the key for text.
                Accessor::parse(&path)?;
                let source = Source::Record(Template::parse(&path)?);
                fields.push(Field { name: allowed(&String::from_utf8_lossy(name)), source });
            }
            None if msgpack::map_header(value).is_ok() => walk(value, &path, fields)?,
            None => return Err(MapError::Name(path)),
        }
    }
    Ok(())
}

/// What `$map['key']` is called: `map_key`.
fn name_of(accessor: &str) -> String {
    let parts = accessor.trim_start_matches('$').split('[');
    let names = parts.map(|part| part.trim_end_matches(']').trim_matches('\''));
    names.collect::<Vec<_>>().join("_")
}

/// The name as Loki allows it: letters, digits and `_`, and no digit first.
fn allowed(name: &str) -> String {
    let is_allowed = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
    let first = if name.as_bytes().first().is_none_or(u8::is_ascii_digit) { "_" } else { "" };
    let rest = name.bytes().map(|byte| if is_allowed(byte) { char::from(byte) } else { '_' });
    first.chars().chain(rest).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use flb_event::Tag;
    use flb_harness::msgpack;

    fn shown(pairs: &Pairs) -> String {
        let show = |(name, value): &(String, Vec<u8>)| {
            format!("{name}={}", String::from_utf8_lossy(value))
        };
        pairs.iter().map(show).collect::<Vec<_>>().join(" ")
    }

    fn check(fields: &[Field], body: &str, expected: &str) {
        let (tag, body, mut pairs) = (Tag::new("a.b").unwrap(), msgpack(body), Pairs::new());
        let scene = Scene { tag: &tag, body: &body, captures: &[] };
        fields.iter().for_each(|field| field.write(&scene, &mut pairs));
        keep_last(&mut pairs);
        assert_eq!(shown(&pairs), expected);
    }

    #[test]
    fn names_are_as_loki_allows_them() {
        for (name, expected) in [
            ("app.kubernetes.io/name", "app_kubernetes_io_name"),
            ("1x", "_1x"),
            ("", "_"),
            ("é", "__"),
            ("a_B9", "a_B9"),
        ] {
            assert_eq!(allowed(name), expected);
        }
    }

    #[test]
    fn a_field_is_a_text_or_of_the_record() {
        let fields = ["job=x y", "pod=$k['pod']", "$k['a.b'][0]", "$none", "t=$TAG", "bad-name=1"];
        let fields: Vec<Field> =
            fields.iter().map(|text| Field::parse("labels", text).unwrap()).collect();
        let body = r#"{"k":{"pod":"p","a.b":[7]}}"#;
        check(&fields, body, "job=x y pod=p k_a_b_0=7 t=a.b bad_name=1");
        check(&fields, "{}", "job=x y t=a.b bad_name=1");
    }

    #[test]
    fn of_two_fields_of_one_name_the_last_counts() {
        let fields = ["a=1", "b=2", "$a"].map(|text| Field::parse("labels", text).unwrap());
        check(&fields, r#"{"a":3}"#, "b=2 a=3");
        check(&fields, "{}", "a=1 b=2");
    }

    #[test]
    fn a_file_gives_keys_their_names() {
        let map = br#"{"level":"lvl","k":{"pod-name":"pod","it's":{"x":"y"}}}"#;
        let fields = read_map("label_map_path", map).unwrap();
        let body = r#"{"k":{"pod-name":"p","it's":{"x":true}},"level":"info"}"#;
        check(&fields, body, "lvl=info pod=p y=true");
        for (text, why) in [
            ("[1]", "it is no object"),
            ("{", "label_map_path: "),
            (r#"{"a":1}"#, "what stands for '$a' is neither"),
            (r#"{"a.b":"c"}"#, "belongs to no accessor"),
        ] {
            let error = read_map("label_map_path", text.as_bytes()).unwrap_err();
            assert!(error.message.contains(why), "{}", error.message);
        }
    }

    #[test]
    fn maps_are_spread() {
        let body = msgpack(r#"{"m":{"a-b":"1","n":2,"l":{"z":1}}}"#);
        let of = Accessor::parse("$m").unwrap();
        for (values, expected) in
            [(Values::All, r#"a_b=1 n=2 l={"z":1}"#), (Values::Texts, "a_b=1")]
        {
            let mut pairs = Pairs::new();
            write_map(&of, &body, values, &mut pairs);
            assert_eq!(shown(&pairs), expected);
        }
    }

    #[test]
    fn what_is_no_field_is_refused() {
        for text in ["alone", "=x", "x=", "$a['b", "x=$a["] {
            Field::parse("labels", text).unwrap_err();
        }
    }
}
