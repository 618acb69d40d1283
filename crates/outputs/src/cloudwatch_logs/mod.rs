//! `cloudwatch_logs`: records as events of CloudWatch Logs, in streams that are made when they are needed.

mod api;
mod batches;
mod options;
#[cfg(test)]
mod tests;

use std::sync::Arc;

use flb_event::Chunk;
use flb_net::aws::Clock;
use flb_plugin::log::{Kinds, Label, Mishaps};
use flb_plugin::{
    BoxFuture, Build, BuildError, Flush, Metric, Metrics, Options, Output, OutputError, Spec,
};

use crate::fates::Fates;
use api::{Api, PutError};
use batches::{Batch, Batches, Packer};

pub(super) const SPEC: Spec<dyn Output> = Spec {
    name: "cloudwatch_logs",
    about: "Send records to Amazon CloudWatch Logs",
    options: options::OPTIONS,
    build: |options, build| Ok(Box::new(cloudwatch(options, build, Clock::system())?)),
};

/// Exported as `flb_output_refused_records_total`.
static REFUSED: Metric =
    Metric::new("refused", "Records that no try gets into a log stream, by the reason.")
        .in_units_of("records")
        .by("reason");

/// Exported as `flb_output_truncated_records_total`.
static TRUNCATED: Metric =
    Metric::new("truncated", "Records that are longer than an event may be, and were cut.")
        .in_units_of("records");

/// Exported as `flb_output_failed_requests_total`.
static FAILED: Metric =
    Metric::new("failed_requests", "Requests that failed, by reason.").by("reason");

fn cloudwatch(
    options: &Options,
    build: &Build<'_>,
    clock: Clock,
) -> Result<CloudWatchLogs, BuildError> {
    let label = Label::output(SPEC.name, build);
    Ok(CloudWatchLogs {
        packer: Arc::new(options::packer(options, build)?),
        api: options::api(label.clone(), options, build, clock)?,
        books: Books {
            label,
            metrics: build.metrics.clone(),
            refusals: Kinds::default(),
            truncated: Mishaps::default(),
        },
    })
}

struct CloudWatchLogs {
    packer: Arc<Packer>,
    api: Api,
    books: Books,
}

/// What is told and counted.
struct Books {
    label: Label,
    metrics: Metrics,
    refusals: Kinds,
    truncated: Mishaps,
}

impl Output for CloudWatchLogs {
    fn flush<'a>(&'a self, chunk: &'a Chunk) -> BoxFuture<'a, Flush> {
        Box::pin(async move {
            let (packer, records) = (Arc::clone(&self.packer), chunk.clone());
            match tokio::task::spawn_blocking(move || packer.batches(&records)).await {
                Ok(batches) => self.deliver(batches, chunk).await,
                Err(error) => Flush::Fail(OutputError(error.to_string())),
            }
        })
    }
}

impl CloudWatchLogs {
    async fn deliver(&self, batches: Batches, chunk: &Chunk) -> Flush {
        let mut fates = Fates::new(chunk.len());
        for (place, why) in &batches.unsendable {
            self.books.refuse(&mut fates, *place, why.reason(), why);
        }
        self.books.count_truncated(batches.truncated);
        for batch in &batches.batches {
            match self.api.put(batch).await {
                Ok(rejected) => {
                    for place in &batch.places {
                        fates.again[*place] = false;
                    }
                    for (place, reason) in rejected.places(batch) {
                        self.books.refuse(&mut fates, place, reason, &reason);
                    }
                }
                Err(error) => {
                    let is_away = error.is_away();
                    self.put_off(error, batch, &mut fates);
                    // What one stream meets with is none of the others' business, but nobody gets through to a service that is away.
                    if is_away {
                        break;
                    }
                }
            }
        }
        fates.of(chunk)
    }

    fn put_off(&self, error: PutError, batch: &Batch, fates: &mut Fates) {
        self.books.metrics.counter_of(&FAILED, &error.reason()).add(1);
        if fates.put_off.is_none() {
            let (label, api, stream) = (&self.books.label, &self.api, &batch.stream);
            let after = error.after();
            let reason = format!("{label} {api}, {stream}: {error}");
            fates.put_off(Flush::Retry { reason, after });
        }
    }
}

impl Books {
    fn refuse(&self, fates: &mut Fates, place: usize, reason: &str, why: &dyn std::fmt::Display) {
        fates.again[place] = false;
        fates.refused[place] = true;
        self.metrics.counter_of(&REFUSED, reason).add(1);
        if let Some(times) = self.refusals.another(reason) {
            tracing::error!("{} a record is refused: {why}{times}", self.label);
        }
    }

    fn count_truncated(&self, records: usize) {
        self.metrics.counter(&TRUNCATED).add(records as u64);
        for _ in 0..records {
            if let Some(total) = self.truncated.another() {
                let label = &self.label;
                tracing::warn!(
                    "{label} a record is cut to what an event may be long ({total} so far)"
                );
            }
        }
    }
}
