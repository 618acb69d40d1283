//! `heartbeat`: a numbered record now and then, so that a gap shows what was lost on the way.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use flb_event::{Chunk, ChunkBuilder, Event, RecordTooLarge, Tag, Timestamp, msgpack};
use flb_plugin::keys::{Key, Time};
use flb_plugin::{
    BoxFuture, Build, BuildError, Context, End, Input, InputError, Options, Spec, Table, keys,
};

keys! {
    const KEYS;
    EVERY: Time = Key::new("every", "Time between two records").default("10s");
}

pub(super) const SPEC: Spec<dyn Input> = Spec {
    name: "heartbeat",
    about: "Make a numbered record now and then",
    options: Table(&[KEYS]),
    build,
};

fn build(options: &Options, build: &Build<'_>) -> Result<Box<dyn Input>, BuildError> {
    let every = options.get(EVERY);
    if every.is_zero() {
        return Err(BuildError::new("every is 0").help("give a time, as 10s"));
    }
    let last = build.service.shared.get_or_make(|| Ok::<_, BuildError>(Last::default()))?;
    let instance = build.instance.to_owned();
    Ok(Box::new(Heartbeat { tag: build.tag.clone(), every, instance, last }))
}

/// The number of each instance's last record: what an input leaves to the one that takes its place.
#[derive(Default)]
struct Last(Mutex<BTreeMap<String, u64>>);

impl Last {
    fn lock(&self) -> MutexGuard<'_, BTreeMap<String, u64>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

struct Heartbeat {
    tag: Tag,
    every: Duration,
    instance: String,
    last: Arc<Last>,
}

impl Input for Heartbeat {
    fn run<'a>(self: Box<Self>, context: &'a dyn Context) -> BoxFuture<'a, Result<End, InputError>>
    where
        Self: 'a,
    {
        Box::pin(async move {
            // Not in `build`: while a reload builds this input, the one before it still counts.
            let before = self.last.lock().get(&self.instance).copied();
            for number in before.unwrap_or(0) + 1.. {
                tokio::select! {
                    biased;
                    () = context.stopped() => break,
                    () = context.sleep(self.every) => {}
                }
                let batch = self.beat(number, context.now())?;
                if context.emit(batch).await.is_err() {
                    break;
                }
                // The record is the pipeline's now, so whoever comes next goes on behind it.
                self.last.lock().insert(self.instance.clone(), number);
            }
            Ok(End::Quiet)
        })
    }
}

impl Heartbeat {
    fn beat(&self, number: u64, time: Timestamp) -> Result<Chunk, InputError> {
        let mut batch = ChunkBuilder::new(self.tag.clone());
        let pushed = batch.push_with(time, Event::NO_METADATA, |body| {
            msgpack::write_map_header(body, 1);
            msgpack::write_str(body, "beat");
            msgpack::write_uint(body, number);
            Ok(())
        });
        pushed.map_err(|error: RecordTooLarge| InputError(error.to_string()))?;
        Ok(batch.build())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use flb_harness::{Scene, build};

    #[test]
    fn records_are_numbered_on_through_a_reload() {
        let before = Scene::new(1000.0).until(1025.0);
        before.run(&SPEC, &[]).unwrap();
        assert_eq!(
            before.records(),
            [r#"t 1010.000000000 {"beat":1}"#, r#"t 1020.000000000 {"beat":2}"#]
        );
        let after = Scene::new(1030.0).reloaded(&before).until(1036.0);
        after.run(&SPEC, &[("every", "5s")]).unwrap();
        assert_eq!(after.records(), [r#"t 1035.000000000 {"beat":3}"#]);
    }

    #[test]
    fn a_record_that_the_pipeline_does_not_take_is_not_counted() {
        let before = Scene::new(1000.0).closed();
        before.run(&SPEC, &[]).unwrap();
        let after = Scene::new(1030.0).reloaded(&before).until(1045.0);
        after.run(&SPEC, &[]).unwrap();
        assert_eq!(after.bodies(), [r#"{"beat":1}"#]);
    }

    #[test]
    fn no_time_at_all_is_refused() {
        let error = build(&SPEC, &[("every", "0")]).err().unwrap();
        assert_eq!(
            (error.message.as_str(), error.help),
            ("every is 0", Some("give a time, as 10s".to_owned()))
        );
    }
}
