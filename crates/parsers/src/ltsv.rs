//! `ltsv`: a line of labels and values, separated by tabs: `host:a.example<TAB>size:12`.

use flb_event::Timestamp;
use flb_plugin::{Build, BuildError, Options, ParseError, Parsed, Parser, Spec};

use super::OPTIONS;
use super::fields::Common;

pub(super) const SPEC: Spec<dyn Parser> = Spec {
    name: "ltsv",
    about: "Parse a line of label:value, separated by tabs",
    options: OPTIONS,
    build,
};

fn build(options: &Options, build: &Build<'_>) -> Result<Box<dyn Parser>, BuildError> {
    Ok(Box::new(Ltsv { common: Common::new(options, build)? }))
}

struct Ltsv {
    common: Common,
}

impl Parser for Ltsv {
    fn parse(&self, line: &[u8], now: Timestamp, body: &mut Vec<u8>) -> Result<Parsed, ParseError> {
        let line = line.trim_ascii_end();
        let mut fields = self.common.begin(body, now);
        for field in line.split(|byte| *byte == b'\t').filter(|field| !field.is_empty()) {
            let colon = memchr::memchr(b':', field).filter(|length| is_label(&field[..*length]));
            let Some(length) = colon else {
                return Err(fields.fail("a field has no label"));
            };
            fields.push(&field[..length], &field[length + 1..]);
        }
        if fields.is_empty() { Err(fields.fail("there is no field")) } else { Ok(fields.end()) }
    }
}

fn is_label(text: &[u8]) -> bool {
    let is_letter = |byte: &u8| byte.is_ascii_alphanumeric() || b"_.-".contains(byte);
    !text.is_empty() && text.iter().all(is_letter)
}

#[cfg(test)]
mod tests {
    use super::*;
    use flb_harness::ParserCheck;

    #[test]
    fn labels_become_keys() {
        ParserCheck::new(&SPEC, &[("types", "size:integer")]).reads(
            "host:a:80\tsize:12\tempty:\t\tb:c\r",
            r#"{"host":"a:80","size":12,"empty":"","b":"c"}"#,
        );
    }

    #[test]
    fn the_time_becomes_the_record_s() {
        ParserCheck::new(&SPEC, &[("time_format", "[%d/%b/%Y:%H:%M:%S %z]")])
            .reads_at("time:[02/Jan/1970:00:00:00 +0000]\ta:b", 86_400, r#"{"a":"b"}"#)
            .reads_at("time:[02/Jan/1970:00:00:00 +0000]", 86_400, "{}");
    }

    #[test]
    fn a_time_that_is_not_understood_is_no_loss() {
        ParserCheck::new(&SPEC, &[("time_format", "%Y")])
            .reads("time:now\ta:b", r#"{"time":"now","a":"b"}"#);
    }

    #[test]
    fn a_field_without_a_label_is_a_failure() {
        ParserCheck::new(&SPEC, &[])
            .refuses("a:b\tc", "a field has no label")
            .refuses("a b:c", "a field has no label")
            .refuses(":c", "a field has no label")
            .refuses("\t", "there is no field");
    }
}
