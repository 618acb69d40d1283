//! `nest`: puts fields into a map of their own, or lifts those of a map out of it.

use flb_event::{Chunk, msgpack};
use flb_plugin::{Build, BuildError, Filter, Kind, OptionSpec, Options, Outlet, Spec};

use super::each::{Decision, each};
use crate::fields::{Field, Fields};

pub(super) const SPEC: Spec<dyn Filter> = Spec {
    name: "nest",
    about: "Nest fields under a key, or lift them from one",
    options: &[
        OptionSpec::new("operation", Kind::Choice(&["nest", "lift"]), None, "What to do"),
        OptionSpec::new("wildcard", Kind::Text, None, "A key to nest; ends in * for a prefix")
            .repeated(),
        OptionSpec::new("nest_under", Kind::Text, None, "The key that the fields go under"),
        OptionSpec::new("nested_under", Kind::Text, None, "The key whose fields are lifted"),
        OptionSpec::new("add_prefix", Kind::Text, None, "Put before each key that moves"),
        OptionSpec::new("remove_prefix", Kind::Text, None, "Taken from each key that moves"),
    ],
    build,
};

fn build(options: &Options, _: &Build<'_>) -> Result<Box<dyn Filter>, BuildError> {
    // Either name does for either operation.
    let needed = |name: &str, other: &str, operation: &str| {
        let key = options.text(name).or_else(|| options.text(other));
        key.map(str::to_owned).ok_or_else(|| {
            BuildError::new(format!("missing {name}"))
                .help(format!("operation {operation} needs to know the key"))
        })
    };
    let operation = match options.text("operation") {
        Some("nest") => Operation::Nest {
            under: needed("nest_under", "nested_under", "nest")?,
            keys: options.texts("wildcard").map(str::to_owned).collect(),
        },
        Some(_) => Operation::Lift { from: needed("nested_under", "nest_under", "lift")? },
        None => {
            return Err(BuildError::new("missing operation").help("say Operation nest or lift"));
        }
    };
    let prefix = |name| options.text(name).unwrap_or_default().as_bytes().to_vec();
    Ok(Box::new(Nest {
        operation,
        add_prefix: prefix("add_prefix"),
        remove_prefix: prefix("remove_prefix"),
    }))
}

#[derive(Clone)]
enum Operation {
    Nest {
        under: String,
        /// Keys as they stand, or with a `*` at the end.
        keys: Vec<String>,
    },
    Lift {
        from: String,
    },
}

#[derive(Clone)]
struct Nest {
    operation: Operation,
    add_prefix: Vec<u8>,
    remove_prefix: Vec<u8>,
}

impl Filter for Nest {
    fn filter(&mut self, batch: Chunk, outlet: &mut Outlet) {
        each(batch, outlet, |event, body| {
            let fields = Fields::read(event.body);
            let changed = match &self.operation {
                Operation::Nest { under, keys } => self.nest(fields, under, keys),
                Operation::Lift { from } => self.lift(&fields, from),
            };
            let Some(changed) = changed else { return Decision::Keep };
            changed.write(body);
            Decision::Replace
        })
    }

    fn fork(&self) -> Result<Box<dyn Filter>, BuildError> {
        Ok(Box::new(self.clone()))
    }
}

impl Nest {
    /// The fields with those of `keys` in a map at the end; `None` if there are none of them.
    fn nest<'a>(&self, fields: Fields<'a>, under: &str, keys: &[String]) -> Option<Fields<'a>> {
        let (moved, mut stay): (Vec<_>, Vec<_>) =
            fields.0.into_iter().partition(|field| keys.iter().any(|key| names(key, field)));
        if moved.is_empty() {
            return None;
        }
        let mut map = Vec::new();
        Fields(moved.iter().map(|field| self.renamed(field)).collect()).write(&mut map);
        stay.push(Field::of(under.as_bytes(), map));
        Some(Fields(stay))
    }

    /// The fields with those of the map at `from` at the end; `None` if there is no such map.
    fn lift<'a>(&self, fields: &'a Fields<'a>, from: &str) -> Option<Fields<'a>> {
        let is_lifted =
            |field: &&Field<'_>| field.is(from) && msgpack::map_header(field.value()).is_ok();
        let mut lifted = Vec::new();
        for field in fields.0.iter().filter(is_lifted) {
            lifted.extend(Fields::read(field.value()).0.iter().map(|field| self.renamed(field)));
        }
        if !fields.0.iter().any(|field| is_lifted(&field)) {
            return None;
        }
        let stay = fields.0.iter().filter(|field| !is_lifted(field)).cloned();
        Some(Fields(stay.chain(lifted).collect()))
    }

    /// The field without the one prefix and with the other. A key that is no text stays.
    fn renamed<'a>(&self, field: &Field<'a>) -> Field<'a> {
        let Some(key) = field.key() else { return field.clone() };
        let rest = key.strip_prefix(self.remove_prefix.as_slice()).unwrap_or(key);
        field.renamed(&[self.add_prefix.as_slice(), rest].concat())
    }
}

fn names(key: &str, field: &Field<'_>) -> bool {
    match key.strip_suffix('*') {
        Some(prefix) => field.key().is_some_and(|text| text.starts_with(prefix.as_bytes())),
        None => field.is(key),
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
    fn fields_are_nested_at_the_end() {
        let record = r#"{"Mem.total":1,"x":2,"Mem.free":3}"#;
        let nest = ("operation", "nest");
        check(
            &[nest, ("wildcard", "Mem.*"), ("nest_under", "mem")],
            record,
            r#"{"x":2,"mem":{"Mem.total":1,"Mem.free":3}}"#,
        );
        check(
            &[
                nest,
                ("wildcard", "Mem.*"),
                ("wildcard", "x"),
                ("nest_under", "mem"),
                ("remove_prefix", "Mem."),
            ],
            record,
            r#"{"mem":{"total":1,"x":2,"free":3}}"#,
        );
        check(&[nest, ("wildcard", "y*"), ("nest_under", "mem")], record, record);
    }

    #[test]
    fn the_fields_of_a_map_are_lifted_to_the_end() {
        let record = r#"{"mem":{"total":1,"free":3},"x":2}"#;
        let lift = ("operation", "lift");
        check(&[lift, ("nested_under", "mem")], record, r#"{"x":2,"total":1,"free":3}"#);
        check(
            &[lift, ("nested_under", "mem"), ("add_prefix", "Mem.")],
            record,
            r#"{"x":2,"Mem.total":1,"Mem.free":3}"#,
        );
        check(&[lift, ("nested_under", "x")], record, record);
        check(&[lift, ("nested_under", "mem")], r#"{"mem":{}}"#, "{}");
    }

    #[test]
    fn either_name_of_the_key_does_for_either_operation() {
        check(
            &[("operation", "nest"), ("wildcard", "a*"), ("nested_under", "map")],
            r#"{"ab":1,"x":2}"#,
            r#"{"x":2,"map":{"ab":1}}"#,
        );
        check(
            &[("operation", "lift"), ("nest_under", "map")],
            r#"{"map":{"ab":1},"x":2}"#,
            r#"{"x":2,"ab":1}"#,
        );
    }

    #[test]
    fn what_is_missing_is_said() {
        let refused =
            |options: &[(&str, &str)]| testing::build(&SPEC, options).err().unwrap().message;
        assert_eq!(refused(&[]), "missing operation");
        assert_eq!(refused(&[("operation", "nest")]), "missing nest_under");
        assert_eq!(refused(&[("operation", "lift")]), "missing nested_under");
    }
}
