//! `/api/v1/tap/{kind}/{name}`: one record on its way through a node, before and after, without its secrets.

use std::sync::Arc;
use std::time::Duration;

use flb_pipeline::{Instance, Sample, Taken, Tap};
use flb_plugin::Tally;
use serde_json::{Value, json};
use tokio::time::{Instant, sleep};

use super::Api;
use super::pipeline::kind;
use super::redaction::redacted;

/// How long a record is waited for.
const PATIENCE: Duration = Duration::from_secs(5);
/// How often it is looked for.
const LOOK: Duration = Duration::from_millis(10);

/// The next record at this node; `fate` is nothing if none came in time. One is asked for at a time.
pub(super) async fn sample(api: &Api, instance: &Instance) -> Option<Value> {
    let _turn = api.taps.lock().await;
    let tap = Asked(api.teller.meter.tap(instance.role, &instance.name)?);
    tap.0.ask();
    let end = Instant::now() + PATIENCE;
    let sample = loop {
        match tap.0.take() {
            None if Instant::now() < end => sleep(LOOK).await,
            found => break found,
        }
    };
    Some(told(instance, sample.as_ref()))
}

/// A tap that is closed when nobody waits any more.
struct Asked(Arc<Tap>);

impl Drop for Asked {
    fn drop(&mut self) {
        self.0.close();
    }
}

fn told(instance: &Instance, sample: Option<&Sample>) -> Value {
    let after = sample.map(|sample| &*sample.after).unwrap_or_default();
    json!({
        "kind": kind(instance.role),
        "name": &*instance.name,
        "fate": sample.map(fate),
        "before": sample.and_then(|sample| sample.before.as_ref()).map(record),
        "after": after.iter().map(record).collect::<Vec<_>>(),
        "more": sample.map_or(0, |sample| sample.more),
    })
}

fn record(taken: &Taken) -> Value {
    // What stands there was written as JSON.
    let read = |text: &str| serde_json::from_str(text).map(redacted).unwrap_or_default();
    json!({
        "tag": taken.tag.as_str(),
        "time": taken.time.as_f64(),
        "metadata": read(&taken.metadata),
        "body": read(&taken.body),
    })
}

/// What became of the record, in a word or two.
fn fate(sample: &Sample) -> &'static str {
    let moves = sample
        .before
        .as_ref()
        .is_some_and(|before| sample.after.iter().any(|after| after.tag != before.tag));
    match &sample.tally {
        None if sample.before.is_none() => "taken in",
        None => "handed over",
        Some(tally) => match tally {
            Tally { failed, .. } if failed.quarantined > 0 => "failed, in quarantine",
            Tally { failed, .. } if failed.dropped > 0 => "failed, dropped",
            Tally { failed, .. } if failed.kept > 0 => "failed, kept as it was",
            _ if moves => "goes on under another tag",
            Tally { emitted_extra: 1.., .. } => "became several",
            Tally { replaced: 1.., .. } => "changed",
            Tally { dropped: 1.., .. } => "dropped",
            Tally { kept: 1.., .. } => "kept as it was",
            _ if sample.after.is_empty() => "waits in the filter",
            _ => "passed by",
        },
    }
}

#[cfg(test)]
mod tests {
    use flb_plugin::Fates;

    use super::*;

    fn check(tally: Tally, expected: &str) {
        let sample = Sample { before: None, after: Vec::new(), more: 0, tally: Some(tally) };
        assert_eq!(fate(&sample), expected);
    }

    #[test]
    fn what_became_of_a_record_has_a_word() {
        check(Tally { kept: 1, ..Tally::default() }, "kept as it was");
        check(Tally { replaced: 1, ..Tally::default() }, "changed");
        check(Tally { replaced: 1, emitted_extra: 2, ..Tally::default() }, "became several");
        check(Tally { dropped: 1, ..Tally::default() }, "dropped");
        check(Tally::default(), "waits in the filter");
        let failed = Fates { quarantined: 1, ..Fates::default() };
        check(Tally { failed, ..Tally::default() }, "failed, in quarantine");
        let failed = Fates { kept: 1, ..Fates::default() };
        check(Tally { kept: 1, failed, ..Tally::default() }, "failed, kept as it was");
        let none = Sample { before: None, after: Vec::new(), more: 0, tally: None };
        assert_eq!(fate(&none), "taken in");
    }
}
