//! `record_modifier`: adds fields to records, and takes some away.

use flb_event::Chunk;
use flb_plugin::keys::{Fields as Parts, Key, Many, Text};
use flb_plugin::{Build, BuildError, Filter, Options, Outlet, Spec, Table, keys};

use super::each::{Decision, each};
use crate::fields::{Field, Fields};
use crate::uuid::uuid;
use flb_plugin::log::Label;

keys! {
    const KEYS;
    RECORD: Many<Parts<2>> = Key::new("record", "KEY VALUE: a field to add").repeated();
    REMOVE_KEY: Many<Text> =
        Key::new("remove_key", "A key to remove; ends in * for a prefix").repeated();
    ALLOWLIST_KEY: Many<Text> =
        Key::new("allowlist_key", "A key to keep; all others go").repeated();
    WHITELIST_KEY: Many<Text> = Key::new("whitelist_key", "The same as allowlist_key").repeated();
    UUID_KEY: Option<Text> = Key::new("uuid_key", "A key to add with a random UUID");
}

pub(super) const SPEC: Spec<dyn Filter> = Spec {
    name: "record_modifier",
    about: "Add fields to records, or take some away",
    options: Table(&[KEYS]),
    build,
};

fn build(options: &Options, build: &Build<'_>) -> Result<Box<dyn Filter>, BuildError> {
    let names = |key: Key<Many<Text>>| options.get(key).into_iter().map(KeyName::new);
    let removed: Vec<KeyName> = names(REMOVE_KEY).collect();
    let allowed: Vec<KeyName> = names(ALLOWLIST_KEY).chain(names(WHITELIST_KEY)).collect();
    if !removed.is_empty() && !allowed.is_empty() {
        return Err(BuildError::new(
            "remove_keys and allowlist_keys are exclusive with each other.",
        )
        .help("give either keys to remove or keys to keep"));
    }
    let label = Label::filter("record_modifier", build);
    let records = options.get(RECORD);
    let fields = records.iter().filter_map(|words| added(words, &label).transpose());
    let added = fields.collect::<Result<_, _>>()?;
    Ok(Box::new(RecordModifier {
        added,
        removed,
        allowed,
        uuid_key: options.get(UUID_KEY).map(str::to_owned),
    }))
}

/// None for a key whose value is an unset variable: nobody means an empty field.
fn added(words: &[String], label: &Label) -> Result<Option<Field<'static>>, BuildError> {
    match words {
        [key, value] => Ok(Some(Field::text(key, value.as_bytes()))),
        [key] => {
            tracing::warn!("{label} record '{key}' has no value, and is not added");
            Ok(None)
        }
        _ => Err(BuildError::new(format!(
            "invalid record parameters '{}', expects 'KEY VALUE'",
            words.join(" ")
        ))
        .help("put a text with blanks in double quotes: Record key \"two words\"")),
    }
}

/// A key in any case, or with a `*` at the end the beginning of one.
#[derive(Debug, Clone)]
struct KeyName {
    text: Box<[u8]>,
    is_prefix: bool,
}

impl KeyName {
    fn new(text: &str) -> Self {
        match text.strip_suffix('*') {
            Some(prefix) => Self { text: prefix.as_bytes().into(), is_prefix: true },
            None => Self { text: text.as_bytes().into(), is_prefix: false },
        }
    }

    fn names(&self, field: &Field<'_>) -> bool {
        let Some(key) = field.key() else { return false };
        match self.is_prefix {
            true => {
                key.get(..self.text.len()).is_some_and(|part| part.eq_ignore_ascii_case(&self.text))
            }
            false => key.eq_ignore_ascii_case(&self.text),
        }
    }
}

#[derive(Clone)]
struct RecordModifier {
    added: Vec<Field<'static>>,
    removed: Vec<KeyName>,
    allowed: Vec<KeyName>,
    uuid_key: Option<String>,
}

impl Filter for RecordModifier {
    fn filter(&mut self, batch: Chunk, outlet: &mut Outlet) {
        each(batch, outlet, |event, body| {
            let mut fields = Fields::read(event.body);
            let before = fields.0.len();
            fields.0.retain(|field| self.stays(field));
            let is_unchanged = fields.0.len() == before && self.adds_nothing();
            fields.0.extend(self.added.iter().map(Field::lent));
            if let Some(key) = &self.uuid_key {
                fields.0.push(Field::text(key, uuid().as_bytes()));
            }
            match () {
                () if fields.0.is_empty() => Decision::Drop,
                () if is_unchanged => Decision::Keep,
                () => {
                    fields.write(body);
                    Decision::Replace
                }
            }
        })
    }

    fn fork(&self) -> Result<Box<dyn Filter>, BuildError> {
        Ok(Box::new(self.clone()))
    }
}

impl RecordModifier {
    fn adds_nothing(&self) -> bool {
        self.added.is_empty() && self.uuid_key.is_none()
    }

    fn stays(&self, field: &Field<'_>) -> bool {
        let is_in = |names: &[KeyName]| names.iter().any(|name| name.names(field));
        !is_in(&self.removed) && (self.allowed.is_empty() || is_in(&self.allowed))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use flb_harness as testing;

    fn check(options: &[(&str, &str)], record: &str, expected: &str) {
        assert_eq!(testing::filtered(&SPEC, options, &[record]), expected, "{options:?}");
    }

    #[test]
    fn fields_are_added_behind_the_others() {
        check(
            &[("record", "host a"), ("record", "b \"c d\"")],
            r#"{"x":1}"#,
            r#"{"x":1,"host":"a","b":"c d"}"#,
        );
        check(&[("record", "x 2")], r#"{"x":1}"#, r#"{"x":"2"}"#);
    }

    #[test]
    fn a_field_without_a_value_is_not_added() {
        // So reads `Record k ${UNSET}`.
        check(&[("record", "k "), ("record", "a b")], r#"{"x":1}"#, r#"{"x":1,"a":"b"}"#);
        check(&[("record", "k")], r#"{"x":1}"#, r#"{"x":1}"#);
    }

    #[test]
    fn keys_are_removed_in_any_case_and_by_their_beginning() {
        check(
            &[("remove_key", "LOG"), ("remove_key", "k8s_*")],
            r#"{"log":1,"K8S_pod":2,"k":3}"#,
            r#"{"k":3}"#,
        );
    }

    #[test]
    fn only_allowed_keys_stay() {
        check(
            &[("allowlist_key", "a"), ("whitelist_key", "B*")],
            r#"{"a":1,"bc":2,"c":3}"#,
            r#"{"a":1,"bc":2}"#,
        );
    }

    #[test]
    fn a_record_without_any_field_is_dropped() {
        check(&[("remove_key", "*")], r#"{"a":1}"#, "");
        check(&[("remove_key", "*"), ("record", "a b")], r#"{"c":1}"#, r#"{"a":"b"}"#);
    }

    #[test]
    fn each_record_gets_a_uuid_of_its_own() {
        let text = testing::filtered(&SPEC, &[("uuid_key", "id")], &["{}", "{}"]);
        let (first, second) = text.split_once('\n').unwrap();
        assert_ne!(first, second);
        assert_eq!(first.len(), r#"{"id":"00000000-0000-4000-8000-000000000000"}"#.len());
        assert_eq!(&first[21..22], "4");
    }

    #[test]
    fn what_cannot_be_is_refused() {
        let refused =
            |options: &[(&str, &str)]| testing::build(&SPEC, options).err().unwrap().message;
        assert_eq!(
            refused(&[("record", "a b c")]),
            "invalid record parameters 'a b c', expects 'KEY VALUE'"
        );
        assert!(refused(&[("remove_key", "a"), ("allowlist_key", "b")]).contains("exclusive"));
    }
}
