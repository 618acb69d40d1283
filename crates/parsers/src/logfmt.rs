//! `logfmt`: a line of pairs, separated by blanks: `level=info msg="it is \"up\"" ready`.

use std::borrow::Cow;

use flb_event::Timestamp;
use flb_plugin::{Build, BuildError, Options, ParseError, Parsed, Parser, Spec};

use super::fields::Common;
use super::unescape::{Escapes, unescape};
use super::{LOGFMT_NO_BARE_KEYS, OPTIONS};

pub(super) const SPEC: Spec<dyn Parser> = Spec {
    name: "logfmt",
    about: "Parse a line of key=value, separated by blanks",
    options: OPTIONS,
    build,
};

fn build(options: &Options, build: &Build<'_>) -> Result<Box<dyn Parser>, BuildError> {
    let refuses_bare_keys = options.get(LOGFMT_NO_BARE_KEYS);
    Ok(Box::new(Logfmt { common: Common::new(options, build)?, refuses_bare_keys }))
}

struct Logfmt {
    common: Common,
    refuses_bare_keys: bool,
}

impl Parser for Logfmt {
    fn parse(&self, line: &[u8], now: Timestamp, body: &mut Vec<u8>) -> Result<Parsed, ParseError> {
        let mut fields = self.common.begin(body, now);
        let mut rest = blanks(line);
        while !rest.is_empty() {
            let length = rest.iter().take_while(|byte| is_key(**byte)).count();
            let (key, behind) = rest.split_at(length);
            if key.is_empty() {
                return Err(fields.fail("a key is missing"));
            }
            rest = match behind {
                [b'=', b'"', quoted @ ..] => {
                    let Some((text, behind)) = quotation(quoted) else {
                        return Err(fields.fail("a quotation is not closed"));
                    };
                    fields.push(key, &text);
                    behind
                }
                [b'=', value @ ..] if value.first().is_some_and(|byte| *byte > b' ') => {
                    let length = value.iter().take_while(|byte| **byte > b' ').count();
                    fields.push(key, &value[..length]);
                    &value[length..]
                }
                [b'=', behind @ ..] => {
                    fields.push_bool(key, true);
                    behind
                }
                _ if self.refuses_bare_keys => return Err(fields.fail("a key has no value")),
                behind => {
                    fields.push_bool(key, true);
                    behind
                }
            };
            rest = blanks(rest);
        }
        if fields.is_empty() { Err(fields.fail("there is no pair")) } else { Ok(fields.end()) }
    }
}

/// The text behind its blanks.
fn blanks(text: &[u8]) -> &[u8] {
    let length = text.iter().take_while(|byte| **byte <= b' ').count();
    &text[length..]
}

fn is_key(byte: u8) -> bool {
    byte > b' ' && byte != b'=' && byte != b'"'
}

/// The text up to the closing quote, without its escapes, and what follows the quote.
fn quotation(text: &[u8]) -> Option<(Cow<'_, [u8]>, &[u8])> {
    let mut is_escaped = false;
    let end = text.iter().position(|byte| {
        let is_end = *byte == b'"' && !is_escaped;
        is_escaped = *byte == b'\\' && !is_escaped;
        is_end
    })?;
    let inside = &text[..end];
    let inside = match memchr::memchr(b'\\', inside) {
        Some(_) => Cow::Owned(unescape(inside, Escapes::Numbers)),
        None => Cow::Borrowed(inside),
    };
    Some((inside, &text[end + 1..]))
}

#[cfg(test)]
mod tests {
    use super::*;
    use flb_harness::ParserCheck;

    #[test]
    fn pairs_become_keys_and_values() {
        ParserCheck::new(&SPEC, &[("types", "n:integer")])
            .reads("a=b  n=12\turl=x?y=z", r#"{"a":"b","n":12,"url":"x?y=z"}"#)
            .reads(r#"m="it is \"up\"\n\u00e9" b=1"#, r#"{"m":"it is \"up\"\né","b":"1"}"#);
    }

    #[test]
    fn a_key_alone_is_true_unless_that_is_refused() {
        ParserCheck::new(&SPEC, &[])
            .reads(r#"a b= c="" d"#, r#"{"a":true,"b":true,"c":"","d":true}"#);
        ParserCheck::new(&SPEC, &[("logfmt_no_bare_keys", "on")])
            .reads("a=b", r#"{"a":"b"}"#)
            .refuses("a=b c", "a key has no value");
    }

    #[test]
    fn what_is_no_pair_is_a_failure() {
        ParserCheck::new(&SPEC, &[])
            .refuses("", "there is no pair")
            .refuses("a=b =c", "a key is missing")
            .refuses(r#"a="b"#, "a quotation is not closed")
            .refuses(r#""b""#, "a key is missing");
    }

    #[test]
    fn the_time_becomes_the_record_s() {
        ParserCheck::new(&SPEC, &[("time_format", "%s"), ("time_key", "ts")]).reads_at(
            "ts=5 a=b",
            5,
            r#"{"a":"b"}"#,
        );
    }
}
