//! What is wrong with what comes in: counted by kind, and logged ever more rarely.

use std::fmt;

use flb_net::stream::Peer;
use flb_plugin::log::{Label, Mishaps};

/// A closed list of what can go wrong.
pub(crate) trait Complaint: Copy + 'static {
    /// Every kind, in the order of their numbers.
    const ALL: &'static [Self];

    /// The kind's place in the list.
    fn index(self) -> usize;

    /// What it means for the records.
    fn text(self) -> &'static str;
}

/// Counts of each kind.
#[derive(Debug)]
pub(crate) struct Complaints<C> {
    label: Label,
    counts: Vec<Mishaps>,
    kind: std::marker::PhantomData<fn(C)>,
}

impl<C: Complaint> Complaints<C> {
    /// Nothing so far.
    pub(crate) fn new(label: Label) -> Self {
        let counts = C::ALL.iter().map(|_| Mishaps::default()).collect();
        Self { label, counts, kind: std::marker::PhantomData }
    }

    /// The prefix of log lines.
    pub(crate) fn label(&self) -> &Label {
        &self.label
    }

    /// Counts one; the total so far if this one shall be logged.
    pub(crate) fn another(&self, complaint: C) -> Option<u64> {
        self.counts[complaint.index()].another()
    }

    /// Counts one of a client's, and logs it unless there were many.
    pub(crate) fn add(&self, complaint: C, peer: &Peer, why: impl fmt::Display) {
        if let Some(total) = self.another(complaint) {
            let text = complaint.text();
            tracing::warn!("{} {peer}: {text}: {why} [{total} so far]", self.label);
        }
    }

    /// Says how often each thing happened.
    pub(crate) fn sum_up(&self) {
        for (complaint, count) in C::ALL.iter().zip(&self.counts) {
            if count.total() > 1 {
                let (label, text) = (&self.label, complaint.text());
                tracing::warn!("{label} in all, {} times: {text}", count.total());
            }
        }
    }
}
