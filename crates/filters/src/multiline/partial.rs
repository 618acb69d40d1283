//! Joins the pieces of a message that Docker has cut: they say themselves which message they belong to, and which is the last one.

use std::time::Duration;

use flb_event::{Timestamp, msgpack};

use flb_event::msgpack::map;
use flb_parsers::multiline::{Join, Joined, Out, What, is_over};

/// The fields of a piece, which the whole message does not have.
const MARKS: [&[u8]; 4] = [b"partial_message", b"partial_id", b"partial_ordinal", b"partial_last"];

/// Messages of which the last piece has not come.
pub(super) struct Pieces {
    key: Vec<u8>,
    wait: Duration,
    /// The most bytes that are joined.
    limit: usize,
    messages: Vec<Message>,
}

struct Message {
    id: Vec<u8>,
    /// The first piece's body.
    body: Vec<u8>,
    text: Vec<u8>,
    time: Timestamp,
    offset: u64,
    /// When the last piece came.
    since: Timestamp,
}

/// What a record says of itself.
#[derive(Default)]
struct Marks<'a> {
    is_piece: bool,
    is_last: bool,
    id: Option<&'a [u8]>,
    text: Option<&'a [u8]>,
}

impl Pieces {
    /// Those whose text stands under `key`.
    pub(super) fn new(key: &str, wait: Duration, limit: usize) -> Self {
        Self { key: key.as_bytes().to_vec(), wait, limit, messages: Vec::new() }
    }

    fn marks<'a>(&self, body: &'a [u8]) -> Marks<'a> {
        let mut marks = Marks::default();
        for (name, value) in msgpack::entries(body).into_iter().flatten().flatten() {
            let (Some(name), text) = (msgpack::as_str(name), msgpack::as_str(value)) else {
                continue;
            };
            let is_true =
                value == [0xc3] || text.is_some_and(|text| text.eq_ignore_ascii_case(b"true"));
            match name {
                b"partial_message" => marks.is_piece = is_true,
                b"partial_last" => marks.is_last = is_true,
                b"partial_id" => marks.id = text,
                name if name == self.key => marks.text = text,
                _ => {}
            }
        }
        marks
    }

    fn flush_if(&mut self, out: &mut Out<'_>, is_meant: impl Fn(&Message) -> bool) {
        let key = &self.key;
        self.messages.retain(|message| {
            let is_meant = is_meant(message);
            if is_meant {
                let body = message.whole(key);
                out(Joined { what: What::Body(&body), time: message.time, offset: message.offset });
            }
            !is_meant
        });
    }
}

impl Message {
    /// The first piece's body with all of the text and without the marks.
    fn whole(&self, key: &[u8]) -> Vec<u8> {
        let mut whole = vec![0x80];
        let mut count = 0;
        for (name, value) in msgpack::entries(&self.body).into_iter().flatten().flatten() {
            let text = msgpack::as_str(name);
            if text.is_some_and(|text| MARKS.contains(&text)) {
                continue;
            }
            whole.extend_from_slice(name);
            match text == Some(key) {
                true => msgpack::write_str(&mut whole, &self.text),
                false => whole.extend_from_slice(value),
            }
            count += 1;
        }
        map::set_len(&mut whole, 0, count);
        whole
    }
}

impl Join for Pieces {
    fn push(&mut self, body: &[u8], offset: u64, now: Timestamp, out: &mut Out<'_>) {
        let Marks { is_piece: true, is_last, id: Some(id), text: Some(text) } = self.marks(body)
        else {
            return out(Joined { what: What::Text(body), time: now, offset });
        };
        let is_it = |message: &Message| message.id == id;
        let is_too_long =
            |message: &Message| is_it(message) && message.text.len() + text.len() > self.limit;
        if self.messages.iter().any(is_too_long) {
            self.flush_if(out, is_it);
        }
        match self.messages.iter_mut().find(|message| is_it(message)) {
            Some(message) => {
                message.text.extend_from_slice(text);
                message.since = now;
            }
            None => self.messages.push(Message {
                id: id.to_vec(),
                body: body.to_vec(),
                text: text.to_vec(),
                time: now,
                offset,
                since: now,
            }),
        }
        if is_last {
            self.flush_if(out, is_it);
        }
    }

    fn flush(&mut self, out: &mut Out<'_>) {
        self.flush_if(out, |_| true);
    }

    fn flush_due(&mut self, now: Timestamp, out: &mut Out<'_>) {
        let wait = self.wait;
        self.flush_if(out, |message| is_over(message.since, wait, now));
    }

    fn waits_from(&self) -> Option<u64> {
        self.messages.iter().map(|message| message.offset).min()
    }
}
