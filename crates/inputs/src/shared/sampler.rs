//! What inputs that take a sample now and then have in common: one record an interval, until they are stopped.

use std::time::Duration;

use flb_event::{ChunkBuilder, Event, Tag};
use flb_plugin::{BoxFuture, Context, End, Input, InputError};

use super::clock;
use flb_plugin::log::{Label, Mishaps};

/// Takes samples.
pub(crate) trait Sample: Send {
    /// Appends the record's body, a msgpack map. False if there is nothing to say yet.
    fn sample(&mut self, body: &mut Vec<u8>) -> Result<bool, String>;
}

/// An input that emits a sample each interval.
pub(crate) struct Sampler<S> {
    pub(crate) tag: Tag,
    pub(crate) label: Label,
    pub(crate) interval: Duration,
    /// How many records; none is without end.
    pub(crate) limit: Option<u64>,
    pub(crate) source: S,
}

impl<S: Sample> Input for Sampler<S> {
    fn run<'a>(
        mut self: Box<Self>,
        context: &'a dyn Context,
    ) -> BoxFuture<'a, Result<End, InputError>>
    where
        Self: 'a,
    {
        Box::pin(async move {
            let failed = Mishaps::default();
            let mut emitted = 0;
            let mut body = Vec::new();
            while self.limit.is_none_or(|limit| emitted < limit) {
                if clock::stopped_within(context, self.interval).await {
                    break;
                }
                body.clear();
                match self.source.sample(&mut body) {
                    Ok(true) => {}
                    Ok(false) => continue,
                    Err(error) => {
                        if let Some(total) = failed.another() {
                            tracing::error!("{} no sample: {error} [{total} so far]", self.label);
                        }
                        continue;
                    }
                }
                let mut batch = ChunkBuilder::new(self.tag.clone());
                let event =
                    Event { time: context.now(), metadata: Event::NO_METADATA, body: &body };
                if batch.push(event).is_err() || context.emit(batch.build()).await.is_err() {
                    break;
                }
                emitted += 1;
            }
            Ok(End::Quiet)
        })
    }
}
