//! What becomes of a chunk's records at the brokers, record by record.

use std::sync::{Mutex, MutexGuard, PoisonError};

use rdkafka::error::RDKafkaErrorCode;
use tokio::sync::Notify;

/// What became of a record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fate {
    /// Nobody has asked for it yet.
    Unsent,
    /// It is in the queue, or on its way.
    Sent,
    /// A broker has it.
    Delivered,
    /// It may get through another time.
    Again(RDKafkaErrorCode),
    /// It never will.
    Refused,
}

impl Fate {
    /// By what was said of its message.
    pub(super) fn of(code: RDKafkaErrorCode) -> Self {
        match is_hopeless(code) {
            true => Self::Refused,
            false => Self::Again(code),
        }
    }

    /// Whether it has to come again.
    pub(super) fn is_open(self) -> bool {
        matches!(self, Self::Unsent | Self::Sent | Self::Again(_))
    }
}

/// Whether it is the record's own fault, so that no other try would help it. Topics can be made, and rights be given.
fn is_hopeless(code: RDKafkaErrorCode) -> bool {
    use RDKafkaErrorCode as Code;
    matches!(
        code,
        Code::MessageSizeTooLarge
            | Code::InvalidMessage
            | Code::InvalidMessageSize
            | Code::InvalidRecord
            | Code::InvalidTimestamp
            | Code::InvalidTopic
    )
}

/// The fates of a chunk's records, as reports come in.
#[derive(Debug)]
pub(super) struct Delivery {
    state: Mutex<State>,
    all_told: Notify,
}

#[derive(Debug)]
struct State {
    fates: Vec<Fate>,
    /// How many reports are still to come.
    open: usize,
}

impl Delivery {
    pub(super) fn new(records: usize) -> Self {
        let state = State { fates: vec![Fate::Unsent; records], open: 0 };
        Self { state: Mutex::new(state), all_told: Notify::new() }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A record is about to be sent: its report is to come.
    pub(super) fn sending(&self, at: usize) {
        let mut state = self.lock();
        state.fates[at] = Fate::Sent;
        state.open += 1;
    }

    /// A record was sent, and this became of it.
    pub(super) fn report(&self, at: usize, fate: Fate) {
        let mut state = self.lock();
        state.fates[at] = fate;
        state.open -= 1;
        if state.open == 0 {
            self.all_told.notify_one();
        }
    }

    /// A record is not sent at all.
    pub(super) fn refuse(&self, at: usize) {
        self.lock().fates[at] = Fate::Refused;
    }

    /// Completes when the report of every record that was sent is in.
    pub(super) async fn settled(&self) {
        while self.lock().open > 0 {
            self.all_told.notified().await;
        }
    }

    /// What became of each record.
    pub(super) fn fates(&self) -> Vec<Fate> {
        self.lock().fates.clone()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_that_is_at_fault_is_refused_and_any_other_comes_again() {
        use RDKafkaErrorCode as Code;
        for code in [Code::MessageSizeTooLarge, Code::InvalidTopic, Code::InvalidRecord] {
            assert_eq!(Fate::of(code), Fate::Refused);
        }
        for code in [
            Code::MessageTimedOut,
            Code::UnknownTopic,
            Code::UnknownTopicOrPartition,
            Code::TopicAuthorizationFailed,
            Code::NotEnoughReplicas,
            Code::PurgeInflight,
            Code::Unknown,
        ] {
            assert_eq!(Fate::of(code), Fate::Again(code));
        }
    }

    #[test]
    fn a_delivery_is_settled_by_its_last_report() {
        let delivery = std::sync::Arc::new(Delivery::new(3));
        delivery.sending(0);
        delivery.sending(1);
        let reports = std::sync::Arc::clone(&delivery);
        let thread = std::thread::spawn(move || {
            reports.report(1, Fate::Delivered);
            reports.report(0, Fate::Again(RDKafkaErrorCode::MessageTimedOut));
        });
        flb_harness::block_on(delivery.settled());
        thread.join().unwrap();
        let again = Fate::Again(RDKafkaErrorCode::MessageTimedOut);
        assert_eq!(delivery.fates(), [again, Fate::Delivered, Fate::Unsent]);
    }
}
