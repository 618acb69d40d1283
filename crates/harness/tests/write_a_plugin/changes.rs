//! `changes`: lets a record pass only if it says another thing than the one before.

use flb_event::{Chunk, ChunkBuilder, msgpack};
use flb_plugin::keys::{Key, Required, Text};
use flb_plugin::{
    Build, BuildError, Counter, Filter, Metric, Options, Outlet, Spec, Table, Tally, keys,
};

keys! {
    const KEYS;
    KEY: Required<Text> =
        Key::new("key", "The key that is looked at").required("no 'key' was given", "add Key state");
}

/// Exported as `flb_filter_repeated_bytes_total`.
static REPEATED: Metric =
    Metric::new("repeated", "Bytes of records that said nothing new.").in_units_of("bytes");

pub(super) const SPEC: Spec<dyn Filter> = Spec {
    name: "changes",
    about: "Let a record pass only if its value is another than the last one's",
    options: Table(&[KEYS]),
    build,
};

fn build(options: &Options, build: &Build<'_>) -> Result<Box<dyn Filter>, BuildError> {
    let key = options.get(KEY)?.to_owned();
    let repeated = build.metrics.counter(&REPEATED);
    Ok(Box::new(Changes { key, last: None, repeated }))
}

struct Changes {
    key: String,
    /// The value of the last record that passed, as msgpack.
    last: Option<Vec<u8>>,
    repeated: Counter,
}

impl Filter for Changes {
    fn filter(&mut self, batch: Chunk, outlet: &mut Outlet) {
        let mut passed = ChunkBuilder::new(batch.tag().clone());
        let mut tally = Tally::default();
        for event in batch.records() {
            if self.is_new(event.body) {
                tally.kept += 1;
                // What comes of a chunk fits into one.
                let _ = passed.push(event);
            } else {
                tally.dropped += 1;
                self.repeated.add(event.body.len() as u64);
            }
        }
        outlet.count(&tally);
        outlet.pass(if tally.dropped == 0 { batch } else { passed.build() });
    }

    fn fork(&self) -> Result<Box<dyn Filter>, BuildError> {
        let (key, repeated) = (self.key.clone(), self.repeated.clone());
        Ok(Box::new(Self { key, last: None, repeated }))
    }
}

impl Changes {
    /// Records without the key are none that could repeat anything.
    fn is_new(&mut self, body: &[u8]) -> bool {
        let entries = msgpack::entries(body).into_iter().flatten().map_while(Result::ok);
        let is_it = |(key, _): &(&[u8], &[u8])| msgpack::as_str(key) == Some(self.key.as_bytes());
        let Some((_, value)) = entries.into_iter().find(is_it) else { return true };
        if self.last.as_deref() == Some(value) {
            return false;
        }
        self.last = Some(value.to_owned());
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use flb_harness::{NOW, build_with, chunk, filtered, options};

    #[test]
    fn what_says_the_same_again_goes() {
        let records = [
            r#"{"state":"up","n":1}"#,
            r#"{"state":"up","n":2}"#,
            r#"{"n":3}"#,
            r#"{"state":"down"}"#,
            r#"{"state":"up","n":4}"#,
        ];
        let passed = [records[0], records[2], records[3], records[4]].join("\n");
        assert_eq!(filtered(&SPEC, &[("key", "state")], &records), passed);
    }

    #[test]
    fn what_goes_is_counted_on_all_lanes() {
        let given = options(SPEC.options, &[("key", "a")]);
        let (built, metrics) =
            build_with(&given, |options, it| (build(options, it), it.metrics.clone()));
        let mut filter = built.unwrap();
        let mut fork = filter.fork().unwrap();
        let batch = chunk("t", &[(1, 0, r#"{"a":1}"#), (2, 0, r#"{"a":1}"#)]);
        let mut outlet = Outlet::new(NOW);
        filter.filter(batch.clone(), &mut outlet);
        fork.filter(batch, &mut outlet);
        assert_eq!((outlet.tally().kept, outlet.tally().dropped), (2, 2));
        assert_eq!(metrics.counter(&REPEATED).get(), 2 * b"\x81\xa1a\x01".len() as u64);
    }

    #[test]
    fn a_key_must_be_given() {
        let none = options(SPEC.options, &[]);
        assert_eq!(build_with(&none, build).err().unwrap().message, "no 'key' was given");
    }
}
