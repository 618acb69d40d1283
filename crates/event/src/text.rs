//! The arrow notation of records: `{"k"=>"v", "list"=>[1, nil]}`, the default of the stdout output.
//!
//! To be read by people. Strings are not escaped, so nothing can parse it back.

use std::io::Write as _;

use crate::Timestamp;
use crate::msgpack::{MAX_DEPTH, MsgpackError, Reader, Value};

/// Appends the first value of `value` as msgpack-c's `msgpack_object_print` prints it: floats as C's `%f`, an extension
/// as `(ext: 1)"\x00"`, bytes with `\xNN` for all that is not printable ASCII. Strings stand between quotes as they
/// are, but for bytes that are not UTF-8: those appear as `\xNN` too. After an error `out` is as it was before.
pub fn write(value: &[u8], out: &mut Vec<u8>) -> Result<(), MsgpackError> {
    let start = out.len();
    let written = write_next(&mut Reader::new(value), 0, out);
    if written.is_err() {
        out.truncate(start);
    }
    written
}

/// Appends seconds and nanoseconds: `1666270588.271704000`.
pub fn write_time(time: Timestamp, out: &mut Vec<u8>) {
    write!(out, "{}.{:09}", time.sec, time.nsec).expect("a Vec takes all bytes");
}

/// As [`write()`] for the reader's next value, which lies inside `depth` containers. After an error `out` has a part of it.
pub(crate) fn write_next(
    reader: &mut Reader<'_>,
    depth: usize,
    out: &mut Vec<u8>,
) -> Result<(), MsgpackError> {
    let at = reader.position();
    match reader.next()? {
        Value::Nil => out.extend_from_slice(b"nil"),
        Value::Bool(true) => out.extend_from_slice(b"true"),
        Value::Bool(false) => out.extend_from_slice(b"false"),
        Value::Uint(value) => out.extend_from_slice(itoa::Buffer::new().format(value).as_bytes()),
        Value::Int(value) => out.extend_from_slice(itoa::Buffer::new().format(value).as_bytes()),
        Value::Float(value) => float(value, out),
        Value::Str(text) => string(text, out),
        Value::Bin(bytes) => quoted(bytes, out),
        Value::Ext(kind, bytes) => {
            out.extend_from_slice(b"(ext: ");
            out.extend_from_slice(itoa::Buffer::new().format(kind).as_bytes());
            out.push(b')');
            quoted(bytes, out);
        }
        Value::Array(_) | Value::Map(_) if depth == MAX_DEPTH => {
            return Err(MsgpackError::TooDeep { at });
        }
        Value::Array(len) => {
            out.push(b'[');
            for index in 0..len {
                comma(index, out);
                write_next(reader, depth + 1, out)?;
            }
            out.push(b']');
        }
        Value::Map(len) => {
            out.push(b'{');
            for index in 0..len {
                comma(index, out);
                write_next(reader, depth + 1, out)?;
                out.extend_from_slice(b"=>");
                write_next(reader, depth + 1, out)?;
            }
            out.push(b'}');
        }
    }
    Ok(())
}

fn comma(index: u32, out: &mut Vec<u8>) {
    if index > 0 {
        out.extend_from_slice(b", ");
    }
}

/// C's `%f`.
fn float(value: f64, out: &mut Vec<u8>) {
    if value.is_sign_negative() {
        out.push(b'-');
    }
    let positive = value.abs();
    if positive.is_nan() {
        out.extend_from_slice(b"nan");
    } else {
        // Rust prints infinity as C does.
        write!(out, "{positive:.6}").expect("a Vec takes all bytes");
    }
}

fn string(text: &[u8], out: &mut Vec<u8>) {
    out.push(b'"');
    if std::str::from_utf8(text).is_ok() {
        out.extend_from_slice(text);
    } else {
        for chunk in text.utf8_chunks() {
            out.extend_from_slice(chunk.valid().as_bytes());
            for byte in chunk.invalid() {
                hex(*byte, out);
            }
        }
    }
    out.push(b'"');
}

fn quoted(bytes: &[u8], out: &mut Vec<u8>) {
    out.push(b'"');
    for byte in bytes {
        match byte {
            b'"' => out.extend_from_slice(b"\\\""),
            b' '..=b'~' => out.push(*byte),
            _ => hex(*byte, out),
        }
    }
    out.push(b'"');
}

fn hex(byte: u8, out: &mut Vec<u8>) {
    write!(out, "\\x{byte:02x}").expect("a Vec takes all bytes");
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(value: &[u8], expected: &[u8]) {
        let mut out = b"> ".to_vec();
        write(value, &mut out).unwrap();
        let text = out.strip_prefix(b"> ").unwrap();
        assert_eq!(text, expected, "{}", String::from_utf8_lossy(text));
    }

    #[test]
    fn a_time_has_nine_digits_behind_the_point() {
        let mut out = b"> ".to_vec();
        write_time(Timestamp { sec: 5, nsec: 7 }, &mut out);
        assert_eq!(out, b"> 5.000000007");
    }

    fn check_json(json: &str, expected: &str) {
        let mut value = Vec::new();
        crate::json::parse(json.as_bytes(), &mut value).unwrap();
        check(&value, expected.as_bytes());
    }

    fn check_float(value: f64, expected: &str) {
        check(&[&[0xcb], &value.to_be_bytes()[..]].concat(), expected.as_bytes());
    }

    #[test]
    fn containers_take_arrows_and_a_blank_after_each_comma() {
        check_json(r#"{"message":"dummy"}"#, r#"{"message"=>"dummy"}"#);
        check_json(
            r#"{"a":{"b":{"c":[1,[2,{"d":null}]]}},"e":{},"f":[]}"#,
            r#"{"a"=>{"b"=>{"c"=>[1, [2, {"d"=>nil}]]}}, "e"=>{}, "f"=>[]}"#,
        );
        check_json(
            "[true,false,-5,18446744073709551615]",
            "[true, false, -5, 18446744073709551615]",
        );
        check(b"\x82\x01\x02\x91\xc0\xc3", b"{1=>2, [nil]=>true}");
    }

    #[test]
    fn strings_are_not_escaped() {
        check_json(
            r#""h\u00e9 \ud83d\ude00 \" \\ / \n\u0001\u007f""#,
            "\"hé 😀 \" \\ / \n\u{1}\u{7f}\"",
        );
        check_json(r#"{"original":"{\"a\":1}"}"#, r#"{"original"=>"{"a":1}"}"#);
    }

    #[test]
    fn bytes_that_are_not_utf8_are_shown_in_hex() {
        check(b"\xa4x\xff\xfey", br#""x\xff\xfey""#);
        check(b"\xa2\xe2\x82", br#""\xe2\x82""#);
    }

    #[test]
    fn bytes_and_extensions_show_what_is_not_printable_in_hex() {
        check(b"\xc4\x06a\"\x00\x7f\xff ", br#""a\"\x00\x7f\xff ""#);
        check(b"\xd5\x05\x01b", br#"(ext: 5)"\x01b""#);
        check(b"\xd4\xff\x00", br#"(ext: -1)"\x00""#);
    }

    #[test]
    fn floats_have_six_decimals() {
        check_float(1.5, "1.500000");
        check_float(-2.5e-10, "-0.000000");
        check_float(std::f64::consts::PI, "3.141593");
        check_float(1e22, "10000000000000000000000.000000");
        check_float(0.5e-6, "0.000000");
        check_float(1.5e-6, "0.000002");
        check_float(f64::INFINITY, "inf");
        check_float(f64::NEG_INFINITY, "-inf");
        check_float(f64::NAN, "nan");
        check_float(-f64::NAN, "-nan");
    }

    #[test]
    fn an_error_leaves_the_buffer_as_it_was() {
        let mut out = b"before".to_vec();
        assert_eq!(write(b"\x92\x01", &mut out), Err(MsgpackError::Truncated { at: 2 }));
        let deep = [0x91; MAX_DEPTH + 1];
        assert_eq!(write(&deep, &mut out), Err(MsgpackError::TooDeep { at: MAX_DEPTH }));
        assert_eq!(out, b"before");
    }
}
