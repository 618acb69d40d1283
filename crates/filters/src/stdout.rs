//! `stdout`: prints records on the agent's standard output and passes them on.

use std::io::{self, Write};

use flb_event::msgpack::MsgpackError;
use flb_event::{Chunk, Event, text};
use flb_plugin::log::{Label, Mishaps};
use flb_plugin::{Build, BuildError, Filter, Options, Outlet, Spec, Table, write_all};

pub(super) const SPEC: Spec<dyn Filter> = Spec {
    name: "stdout",
    about: "Print records on standard output and pass them on",
    options: Table(&[]),
    build,
};

fn build(_: &Options, build: &Build<'_>) -> Result<Box<dyn Filter>, BuildError> {
    Ok(Box::new(Stdout::new(Label::filter("stdout", build), io::stdout)))
}

/// Prints to what `sink` makes, which is standard output but in tests.
struct Stdout<S> {
    label: Label,
    sink: S,
    mishaps: Mishaps,
}

impl<S> Stdout<S> {
    fn new(label: Label, sink: S) -> Self {
        Self { label, sink, mishaps: Mishaps::default() }
    }
}

impl<S: Fn() -> W + Clone + Send + 'static, W: Write + 'static> Filter for Stdout<S> {
    fn filter(&mut self, batch: Chunk, outlet: &mut Outlet) {
        if let Err(error) = write_all(&mut (self.sink)(), &self.text(&batch))
            && let Some(total) = self.mishaps.another()
        {
            let label = &self.label;
            tracing::error!("{label} cannot write to standard output: {error} ({total} so far)");
        }
        outlet.keep(batch);
    }

    fn fork(&self) -> Result<Box<dyn Filter>, BuildError> {
        Ok(Box::new(Self::new(self.label.clone(), self.sink.clone())))
    }
}

impl<S> Stdout<S> {
    /// The batch's text, a line a record.
    fn text(&self, batch: &Chunk) -> Vec<u8> {
        let mut out = Vec::with_capacity(batch.bytes().len() * 2);
        for (index, event) in batch.records().enumerate() {
            let start = out.len();
            if let Err(error) = write(index, batch, event, &mut out) {
                out.truncate(start);
                self.mishaps.left_out(&self.label, &error);
            }
        }
        out
    }
}

/// `[0] tag: [1.000000000, {}, {"k"=>"v"}]`
fn write(
    index: usize,
    batch: &Chunk,
    event: Event<'_>,
    out: &mut Vec<u8>,
) -> Result<(), MsgpackError> {
    out.extend_from_slice(format!("[{index}] {}: [", batch.tag()).as_bytes());
    text::write_time(event.time, out);
    out.extend_from_slice(b", ");
    text::write(event.metadata, out)?;
    out.extend_from_slice(b", ");
    text::write(event.body, out)?;
    out.extend_from_slice(b"]\n");
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use flb_event::{ChunkBuilder, Tag, Timestamp};
    use flb_harness::{chunk, given};
    use std::sync::{Arc, Mutex};

    #[derive(Clone, Default)]
    struct Sink(Arc<Mutex<Vec<u8>>>);

    impl Write for Sink {
        fn write(&mut self, data: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().write(data)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    /// What is printed of a batch, which passes whole.
    fn printed(batch: &Chunk) -> String {
        let sink = Sink::default();
        let maker = sink.clone();
        let mut filter = Stdout::new(Label::named("t".to_owned()), move || maker.clone());
        let outlet = given(&mut filter, batch.clone());
        assert!(outlet.passed().iter().all(|passed| passed.same(batch)));
        assert_eq!(outlet.tally().kept, batch.len() as u64);
        String::from_utf8(sink.0.lock().unwrap().clone()).unwrap()
    }

    #[test]
    fn records_are_printed_and_pass() {
        let records = [
            (1_700_000_000, 123_456_789, r#"{"a":"é\"","n":null,"f":1.5}"#),
            (7, 5, r#"{"l":[1,{}]}"#),
        ];
        assert_eq!(
            printed(&chunk("t.a", &records)),
            "[0] t.a: [1700000000.123456789, {}, {\"a\"=>\"é\"\", \"n\"=>nil, \"f\"=>1.500000}]\n\
             [1] t.a: [7.000000005, {}, {\"l\"=>[1, {}]}]\n"
        );
        assert_eq!(printed(&chunk("t", &[])), "");
    }

    #[test]
    fn a_record_that_is_no_msgpack_passes_unprinted() {
        let mut builder = ChunkBuilder::new(Tag::new("t").unwrap());
        for body in [&[0x80][..], &[0x81, 0xc1, 0xc0], &[0x80]] {
            let time = Timestamp { sec: 1, nsec: 0 };
            builder.push(Event { time, metadata: &[0x81, 0xa1, b'm', 1], body }).unwrap();
        }
        assert_eq!(
            printed(&builder.build()),
            "[0] t: [1.000000000, {\"m\"=>1}, {}]\n[2] t: [1.000000000, {\"m\"=>1}, {}]\n"
        );
    }
}
