//! `checklist`: changes records whose value stands in a list that a file has.

use std::collections::HashSet;
use std::sync::Arc;

use flb_event::{Accessor, Chunk, msgpack};
use flb_guest::host;
use flb_plugin::keys::{Bool, Choice, Fields as Split, Key, Many, Required, Text, Word};
use flb_plugin::log::Label;
use flb_plugin::{Build, BuildError, Filter, Options, Outlet, Spec, Table, keys};

use super::accessors::path_or_name;
use super::each::{Decision, each};
use crate::fields::{Field, Fields};

keys! {
    const KEYS;
    FILE: Required<Text> = Key::new("file", "File with an entry a line")
        .required("option 'file' is not set", "add File list.txt");
    MODE: Choice<Mode> =
        Key::new("mode", "Whether a value is an entry, or begins with one").default("exact");
    LOOKUP_KEY: Text = Key::new("lookup_key", "Key whose value is looked up").default("log");
    IGNORE_CASE: Bool =
        Key::new("ignore_case", "Let ASCII letters stand for each other's case").default("off");
    RECORD: Many<Split<1>> =
        Key::new("record", "KEY VALUE: what a record gets whose value is found").repeated();
    PRINT_QUERY_TIME: Option<Bool> =
        Key::new("print_query_time", "").idle("the metrics say how long filters take");
}

pub(super) const SPEC: Spec<dyn Filter> = Spec {
    name: "checklist",
    about: "Change records whose value stands in a list",
    options: Table(&[KEYS]),
    build,
};

/// How a value is compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Mode {
    Exact,
    Partial,
}

impl Word for Mode {
    const ALL: &'static [(&'static str, Self)] =
        &[("exact", Self::Exact), ("partial", Self::Partial)];
}

fn build(options: &Options, build: &Build<'_>) -> Result<Box<dyn Filter>, BuildError> {
    let label = Label::filter("checklist", build);
    let (text, path) = host::read(options.get(FILE)?, build.service);
    let text = text.map_err(|error| {
        BuildError::new(format!("could not open file: {}: {error}", path.display()))
            .help("give the path of a file with an entry a line")
    })?;
    let key = path_or_name(LOOKUP_KEY.name(), options.get(LOOKUP_KEY))?;
    let records = options.get(RECORD);
    let records: Vec<_> = records.iter().map(|words| record(words)).collect::<Result<_, _>>()?;
    if records.is_empty() {
        tracing::warn!("{label} no record is given, so nothing is changed");
    }
    let list = List::read(&text, options.get(MODE), options.get(IGNORE_CASE));
    Ok(Box::new(Checklist(Arc::new(Shared { key, list, records }))))
}

/// A key to set, and its value as msgpack: a truth, nothing or a text.
fn record(words: &[String]) -> Result<(String, Vec<u8>), BuildError> {
    let [key, value] = words else {
        return Err(BuildError::new(format!("record '{}' has no value", words.join(" ")))
            .help("write Record KEY VALUE"));
    };
    let mut out = Vec::new();
    match value.trim() {
        word if word.eq_ignore_ascii_case("true") => msgpack::write_bool(&mut out, true),
        word if word.eq_ignore_ascii_case("false") => msgpack::write_bool(&mut out, false),
        word if word.eq_ignore_ascii_case("null") => msgpack::write_nil(&mut out),
        text => msgpack::write_str(&mut out, text),
    }
    Ok((key.clone(), out))
}

#[derive(Clone)]
struct Checklist(Arc<Shared>);

struct Shared {
    key: Accessor,
    list: List,
    records: Vec<(String, Vec<u8>)>,
}

/// The entries of a file.
#[derive(Debug)]
struct List {
    entries: HashSet<Vec<u8>>,
    mode: Mode,
    ignores_case: bool,
}

impl List {
    /// Empty lines, and those that begin with `#`, are no entries.
    fn read(text: &[u8], mode: Mode, ignores_case: bool) -> Self {
        let lines = text.split(|byte| *byte == b'\n');
        let lines = lines.map(|line| line.strip_suffix(b"\r").unwrap_or(line));
        let entries = lines.filter(|line| !line.is_empty() && !line.starts_with(b"#"));
        let folded = |entry: &[u8]| match ignores_case {
            true => entry.to_ascii_lowercase(),
            false => entry.to_vec(),
        };
        Self { entries: entries.map(folded).collect(), mode, ignores_case }
    }

    fn has(&self, value: &[u8]) -> bool {
        let folded = self.ignores_case.then(|| value.to_ascii_lowercase());
        let value = folded.as_deref().unwrap_or(value);
        match self.mode {
            Mode::Exact => self.entries.contains(value),
            Mode::Partial => self.entries.iter().any(|entry| value.starts_with(entry)),
        }
    }
}

impl Filter for Checklist {
    fn filter(&mut self, batch: Chunk, outlet: &mut Outlet) {
        let Shared { key, list, records } = &*self.0;
        each(batch, outlet, |event, body| {
            let is_found = key.find_str(event.body).is_some_and(|value| list.has(value));
            if !is_found || records.is_empty() {
                return Decision::Keep;
            }
            let mut fields = Fields::read(event.body);
            records.iter().for_each(|(key, _)| fields.remove(key));
            fields.0.extend(
                records.iter().map(|(key, value)| Field::of(key.as_bytes(), value.clone())),
            );
            fields.write(body);
            Decision::Replace
        });
    }

    fn fork(&self) -> Result<Box<dyn Filter>, BuildError> {
        Ok(Box::new(self.clone()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use flb_harness::filtered;

    const LIST: &str = "# blocked\nmalware.example\r\n\nBad.example\n";

    /// What becomes of records by the list.
    fn check(given: &[(&str, &str)], record: &str, expected: &str) {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), LIST).unwrap();
        let own = [("file", file.path().to_str().unwrap()), ("record", "hit true")];
        assert_eq!(filtered(&SPEC, &[&own, given].concat(), &[record]).trim(), expected);
    }

    #[test]
    fn a_record_whose_value_is_an_entry_is_changed() {
        let hit = r#"{"log":"malware.example","hit":true}"#;
        check(&[("print_query_time", "on")], r#"{"hit":7,"log":"malware.example"}"#, hit);
        for other in [
            r#"{"log":"x malware.example"}"#,
            r##"{"log":"# blocked"}"##,
            r#"{"log":""}"#,
            r#"{"log":1}"#,
            r#"{"log":"bad.example"}"#,
            "{}",
        ] {
            check(&[], other, other);
        }
    }

    #[test]
    fn the_beginning_may_do_and_case_may_not_count() {
        let found = [("mode", "partial"), ("ignore_case", "on"), ("lookup_key", "$q['name']")];
        let record = r#"{"q":{"name":"BAD.example.org"}}"#;
        check(&found, record, r#"{"q":{"name":"BAD.example.org"},"hit":true}"#);
        check(&found[..1], record, record);
        let more = [("record", "why null"), ("record", "list my list")];
        let text = r#"{"log":"Bad.example","hit":true,"why":null,"list":"my list"}"#;
        check(&more, r#"{"log":"Bad.example"}"#, text);
    }

    #[test]
    fn a_wrong_configuration_is_refused() {
        let refused =
            |given: &[(&str, &str)]| flb_harness::build(&SPEC, given).err().unwrap().message;
        assert_eq!(refused(&[]), "option 'file' is not set");
        assert!(refused(&[("file", "/no/such")]).contains("could not open file: /no/such"));
        let file = ("file", "/dev/null");
        assert!(refused(&[file, ("lookup_key", "$a['b")]).contains("lookup_key: "));
        assert!(refused(&[file, ("record", "alone")]).contains("'alone' has no value"));
    }
}
