//! `nest`: puts fields into a map of their own, or lifts those of a map out of it.

use flb_event::{Chunk, msgpack};
use flb_plugin::keys::{Choice, Key, Many, Text, Word};
use flb_plugin::{Build, BuildError, Filter, Options, Outlet, Spec, Table, keys};

use super::each::{Decision, each};
use crate::fields::{Field, Fields};

keys! {
    const KEYS;
    OPERATION: Option<Choice<What>> = Key::new("operation", "What to do");
    WILDCARD: Many<Text> = Key::new("wildcard", "A key to nest; ends in * for a prefix").repeated();
    NEST_UNDER: Option<Text> = Key::new("nest_under", "The key that the fields go under");
    NESTED_UNDER: Option<Text> = Key::new("nested_under", "The key whose fields are lifted");
    ADD_PREFIX: Option<Text> = Key::new("add_prefix", "Put before each key that moves");
    REMOVE_PREFIX: Option<Text> = Key::new("remove_prefix", "Taken from each key that moves");
}

pub(super) const SPEC: Spec<dyn Filter> = Spec {
    name: "nest",
    about: "Nest fields under a key, or lift them from one",
    options: Table(&[KEYS]),
    build,
};

fn build(options: &Options, _: &Build<'_>) -> Result<Box<dyn Filter>, BuildError> {
    // Either name does for either operation.
    let needed = |one: Key<Option<Text>>, other, operation: &str| {
        let key = options.get(one).or_else(|| options.get(other));
        key.map(str::to_owned).ok_or_else(|| {
            BuildError::new(format!("missing {}", one.name()))
                .help(format!("operation {operation} needs to know the key"))
        })
    };
    let operation = match options.get(OPERATION) {
        Some(What::Nest) => Operation::Nest {
            under: needed(NEST_UNDER, NESTED_UNDER, "nest")?,
            keys: options.get(WILDCARD).into_iter().map(str::to_owned).collect(),
        },
        Some(What::Lift) => Operation::Lift { from: needed(NESTED_UNDER, NEST_UNDER, "lift")? },
        None => {
            return Err(BuildError::new("missing operation").help("say Operation nest or lift"));
        }
    };
    let prefix = |key| options.get::<Option<Text>>(key).unwrap_or_default().as_bytes().to_vec();
    Ok(Box::new(Nest {
        operation,
        add_prefix: prefix(ADD_PREFIX),
        remove_prefix: prefix(REMOVE_PREFIX),
    }))
}

/// The operations' names.
#[derive(Debug, Clone, Copy)]
enum What {
    Nest,
    Lift,
}

impl Word for What {
    const ALL: &'static [(&'static str, Self)] = &[("nest", Self::Nest), ("lift", Self::Lift)];
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
        let lifted = || fields.0.iter().filter(is_lifted);
        lifted().next()?;
        let stay = fields.0.iter().filter(|field| !is_lifted(field));
        let mut changed = Vec::with_capacity(2 * fields.0.len());
        changed.extend(stay.map(Field::lent));
        for field in lifted() {
            let inner = Fields::read(field.value());
            changed.extend(inner.0.iter().map(|field| self.renamed(field)));
        }
        Some(Fields(changed))
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
