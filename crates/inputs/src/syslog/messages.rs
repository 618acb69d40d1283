//! Makes records of messages: what the parser finds in one, and what options add.

use flb_event::{ChunkBuilder, Timestamp, msgpack};
use flb_net::stream::Peer;
use flb_plugin::log::excerpt;

use crate::shared::complaints::{Complaint, Complaints};
use crate::shared::datagrams::Messages;
use crate::shared::records::{Entries, LineRecords};

/// Key of a message that the parser refuses.
pub(super) const KEY: &str = "log";

/// What can be wrong with messages and clients.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Wrong {
    Unparsed,
    TooLong,
    Cut,
    TooLarge,
    NoLength,
    BrokenOff,
}

impl Complaint for Wrong {
    const ALL: &'static [Self] = &[
        Self::Unparsed,
        Self::TooLong,
        Self::Cut,
        Self::TooLarge,
        Self::NoLength,
        Self::BrokenOff,
    ];

    fn index(self) -> usize {
        self as usize
    }

    fn text(self) -> &'static str {
        match self {
            Self::Unparsed => "a message is kept unparsed",
            Self::TooLong => "a message above buffer_max_size is skipped",
            Self::Cut => "a datagram above buffer_chunk_size is cut off",
            Self::TooLarge => "a record is lost",
            Self::NoLength => "the connection is closed",
            Self::BrokenOff => "the connection broke off",
        }
    }
}

/// Makes records of messages.
pub(super) struct Syslog {
    pub(super) records: LineRecords,
    pub(super) raw_key: Option<String>,
    pub(super) address_key: Option<String>,
    pub(super) complaints: Complaints<Wrong>,
}

impl Messages for Syslog {
    type Wrong = Wrong;
    const CUT: Wrong = Wrong::Cut;

    fn take(&self, message: &[u8], peer: &Peer, now: Timestamp, batch: &mut ChunkBuilder) {
        let mut bytes = Vec::new();
        if let Some(key) = &self.raw_key {
            msgpack::write_str(&mut bytes, key);
            msgpack::write_bin(&mut bytes, message);
        }
        if let Some(key) = &self.address_key {
            msgpack::write_str(&mut bytes, key);
            msgpack::write_str(&mut bytes, peer.to_string());
        }
        let count = u32::from(self.raw_key.is_some()) + u32::from(self.address_key.is_some());
        let wrong = |wrong, why: &dyn std::fmt::Display| {
            self.complaints.add(wrong, peer, format_args!("'{}' ({why})", excerpt(message)));
        };
        match self.records.push(batch, now, message, Entries { count, bytes: &bytes }) {
            Ok(None) => {}
            Ok(Some(error)) => wrong(Wrong::Unparsed, &error),
            Err(error) => wrong(Wrong::TooLarge, &error),
        }
    }

    fn complaints(&self) -> &Complaints<Wrong> {
        &self.complaints
    }
}
