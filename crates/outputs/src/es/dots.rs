//! Keys without dots, for servers that take a dot for a map.

use flb_event::msgpack::{self, MsgpackError, Reader, Value};

/// A map or list that is being copied.
struct Open {
    /// Values that are still to come, a map's keys among them.
    left: u64,
    is_map: bool,
}

impl Open {
    /// Takes the next value; whether it is a key.
    fn take(&mut self) -> bool {
        let is_key = self.is_map && self.left.is_multiple_of(2);
        self.left -= 1;
        is_key
    }
}

/// Appends a body with `_` for each dot in a key, however deep it lies.
pub(super) fn without_dots(body: &[u8], out: &mut Vec<u8>) -> Result<(), MsgpackError> {
    // First of all whole, as the depth is bounded there.
    let body = Reader::new(body).skip()?;
    let mut reader = Reader::new(body);
    let mut open: Vec<Open> = Vec::new();
    while !reader.is_at_end() {
        let is_key = open.last_mut().is_some_and(Open::take);
        let start = reader.position();
        match reader.next()? {
            Value::Str(text) if is_key => {
                let text: Vec<u8> =
                    text.iter().map(|byte| if *byte == b'.' { b'_' } else { *byte }).collect();
                msgpack::write_str(out, text);
            }
            value => {
                out.extend_from_slice(&body[start..reader.position()]);
                match value {
                    Value::Map(len) => open.push(Open { left: u64::from(len) * 2, is_map: true }),
                    Value::Array(len) => open.push(Open { left: len.into(), is_map: false }),
                    _ => {}
                }
            }
        }
        while open.last().is_some_and(|open| open.left == 0) {
            open.pop();
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use flb_harness::{json_text, msgpack};

    #[test]
    fn keys_lose_their_dots_and_values_keep_them() {
        for (body, expected) in [
            (r#"{"a.b":"c.d"}"#, r#"{"a_b":"c.d"}"#),
            (
                r#"{"x":[{"a..b":{"c.":[]}},"e.f",{}],".":1}"#,
                r#"{"x":[{"a__b":{"c_":[]}},"e.f",{}],"_":1}"#,
            ),
            (r#"{"m":{},"l":[[]],"a.b":1}"#, r#"{"m":{},"l":[[]],"a_b":1}"#),
            ("{}", "{}"),
        ] {
            let mut out = Vec::new();
            without_dots(&msgpack(body), &mut out).unwrap();
            assert_eq!(json_text(&out), expected);
        }
    }

    #[test]
    fn what_is_no_msgpack_is_an_error() {
        assert!(without_dots(b"\x81\xa1a", &mut Vec::new()).is_err());
        assert!(without_dots(&[0x91; 1000], &mut Vec::new()).is_err());
    }
}
