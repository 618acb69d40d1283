//! A chunk as a message of the Forward protocol. Pure: a chunk in, bytes out.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use flb_event::{Chunk, Event, Scene, Template, msgpack};
use flb_net::packing::gzip;
use sha2::{Digest, Sha512};

/// How messages look.
#[derive(Debug, Clone, Default)]
pub(super) struct Encoding {
    /// Sent instead of the chunk's own tag.
    pub(super) tag: Option<Template>,
    /// Whole seconds, for Fluentd 0.12.
    pub(super) time_as_integer: bool,
    /// Metadata goes with the records that have some.
    pub(super) metadata: bool,
    /// The entries are packed with gzip.
    pub(super) gzip: bool,
    /// The receiver shall acknowledge.
    pub(super) acknowledge: bool,
    /// Options are sent even if nothing needs them.
    pub(super) options: bool,
    /// Options of the user's own.
    pub(super) extra: Vec<(String, String)>,
}

/// A message, and how the receiver will call its chunk.
#[derive(Debug)]
pub(super) struct Encoded {
    /// The whole message.
    pub(super) bytes: Vec<u8>,
    /// What an acknowledgement must hold.
    pub(super) chunk: Option<String>,
}

impl Encoding {
    /// The chunk as one message. The same chunk always becomes the same message.
    pub(super) fn encode(&self, chunk: &Chunk) -> Encoded {
        let mut entries = Vec::with_capacity(chunk.bytes().len());
        for event in chunk.records() {
            self.entry(event, &mut entries);
        }
        let id = self.acknowledge.then(|| id(&entries));
        let mut out = Vec::with_capacity(entries.len() + 200);
        let has_options = self.has_options();
        msgpack::write_array_header(&mut out, if has_options { 3 } else { 2 });
        match &self.tag {
            Some(template) => {
                let mut tag = Vec::new();
                let scene = Scene { tag: chunk.tag(), body: Event::NO_METADATA, captures: &[] };
                template.write(&scene, &mut tag);
                msgpack::write_str(&mut out, tag);
            }
            None => msgpack::write_str(&mut out, chunk.tag().as_str()),
        }
        if self.gzip {
            msgpack::write_bin(&mut out, &gzip(&entries));
        } else {
            msgpack::write_array_header(&mut out, length(chunk));
            out.extend_from_slice(&entries);
        }
        if has_options {
            self.write_options(length(chunk), id.as_deref(), &mut out);
        }
        Encoded { bytes: out, chunk: id }
    }

    fn entry(&self, event: Event<'_>, out: &mut Vec<u8>) {
        msgpack::write_array_header(out, 2);
        // Receivers that know no metadata take entries without, so only those that have some are sent in the longer form.
        let has_metadata = self.metadata && event.metadata != Event::NO_METADATA;
        if has_metadata {
            msgpack::write_array_header(out, 2);
        }
        if self.time_as_integer {
            msgpack::write_uint(out, event.time.sec.into());
        } else {
            let (sec, nsec) = (event.time.sec.to_be_bytes(), event.time.nsec.to_be_bytes());
            msgpack::write_ext(out, 0, &[sec, nsec].concat());
        }
        if has_metadata {
            out.extend_from_slice(event.metadata);
        }
        out.extend_from_slice(event.body);
    }

    fn has_options(&self) -> bool {
        self.options || self.gzip || self.acknowledge || !self.extra.is_empty()
    }

    fn write_options(&self, size: u32, chunk: Option<&str>, out: &mut Vec<u8>) {
        let count = 2 + usize::from(self.gzip) + usize::from(chunk.is_some()) + self.extra.len();
        msgpack::write_map_header(out, u32::try_from(count).unwrap_or(u32::MAX));
        if let Some(chunk) = chunk {
            msgpack::write_str(out, "chunk");
            msgpack::write_str(out, chunk);
        }
        msgpack::write_str(out, "size");
        msgpack::write_uint(out, size.into());
        if self.gzip {
            msgpack::write_str(out, "compressed");
            msgpack::write_str(out, "gzip");
        }
        msgpack::write_str(out, "fluent_signal");
        msgpack::write_uint(out, 0);
        for (key, value) in &self.extra {
            msgpack::write_str(out, key);
            msgpack::write_str(out, value);
        }
    }
}

fn length(chunk: &Chunk) -> u32 {
    u32::try_from(chunk.len()).unwrap_or(u32::MAX)
}

/// Names entries by what they hold: sixteen bytes of their digest.
fn id(entries: &[u8]) -> String {
    STANDARD.encode(&Sha512::digest(entries)[..16])
}

#[cfg(test)]
mod tests {
    use super::*;
    use flb_event::{ChunkBuilder, Tag, Timestamp};
    use flb_harness::{chunk, json_text};

    fn check(encoding: &Encoding, chunk: &Chunk, expected: &str) {
        assert_eq!(json_text(&encoding.encode(chunk).bytes), expected);
    }

    fn two() -> Chunk {
        chunk("a.b", &[(7, 8, r#"{"n":1}"#), (9, 0, r#"{"n":2}"#)])
    }

    const TIMES: [&str; 2] = [
        "\\\\x00\\\\x00\\\\x00\\\\x07\\\\x00\\\\x00\\\\x00\\\\x08",
        "\\\\x00\\\\x00\\\\x00\\\\x09\\\\x00\\\\x00\\\\x00\\\\x00",
    ];

    #[test]
    fn a_chunk_is_one_message() {
        let [first, second] = TIMES.map(|time| format!("\"{time}\"").replace("\\\\", "\\"));
        let entries = format!(r#"[[{first},{{"n":1}}],[{second},{{"n":2}}]]"#);
        let entries = entries.replace('\\', "\\\\");
        check(&Encoding::default(), &two(), &format!(r#"["a.b",{entries}]"#));
    }

    #[test]
    fn times_can_be_whole_seconds() {
        let encoding = Encoding { time_as_integer: true, ..Encoding::default() };
        check(&encoding, &two(), r#"["a.b",[[7,{"n":1}],[9,{"n":2}]]]"#);
    }

    #[test]
    fn metadata_goes_with_those_that_have_some() {
        let mut builder = ChunkBuilder::new(Tag::new("t").unwrap());
        let (metadata, body) = (flb_harness::msgpack(r#"{"m":1}"#), [0x80]);
        for metadata in [&metadata, Event::NO_METADATA] {
            let time = Timestamp { sec: 7, nsec: 0 };
            builder.push(Event { time, metadata, body: &body }).unwrap();
        }
        let chunk = builder.build();
        let with = Encoding { time_as_integer: true, metadata: true, ..Encoding::default() };
        check(&with, &chunk, r#"["t",[[[7,{"m":1}],{}],[7,{}]]]"#);
        let without = Encoding { metadata: false, ..with };
        check(&without, &chunk, r#"["t",[[7,{}],[7,{}]]]"#);
    }

    #[test]
    fn options_say_what_the_receiver_needs() {
        let encoding = Encoding {
            tag: Some(Template::parse("x").unwrap()),
            time_as_integer: true,
            acknowledge: true,
            extra: vec![("k".to_owned(), "v".to_owned())],
            ..Encoding::default()
        };
        let Encoded { bytes, chunk } = encoding.encode(&two());
        let id = chunk.unwrap();
        assert_eq!(id.len(), 24);
        assert_eq!(
            json_text(&bytes),
            format!(
                r#"["x",[[7,{{"n":1}}],[9,{{"n":2}}]],{{"chunk":"{id}","size":2,"fluent_signal":0,"k":"v"}}]"#
            )
        );
        assert_eq!(encoding.encode(&two()).chunk, Some(id));
    }
}
