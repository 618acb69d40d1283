//! What must hold for every input, checked against `rmpv` and `serde_json`. Panics where it does not.

mod edits;
mod sdk;

use flb_event::json::{self, JsonOptions, Reason};
use flb_event::msgpack::{self, MAX_DEPTH, MsgpackError, Reader, Value};
use flb_event::text;
use rmpv::ValueRef;
use serde_json::Value as Json;

pub(crate) use edits::check_edits;
pub(crate) use sdk::check_sdk;

const RAW: JsonOptions = JsonOptions { escape_unicode: false };
const ESCAPED: JsonOptions = JsonOptions { escape_unicode: true };

/// Any bytes taken as msgpack: our view agrees with `rmpv`, and all that is well-formed can be printed.
pub(crate) fn check_msgpack(data: &[u8]) {
    let checked = msgpack::value_len(data);
    let mut rest = data;
    let theirs = rmpv::decode::read_value_ref(&mut rest);
    match (&checked, &theirs) {
        (Ok(len), Ok(_)) => assert_eq!(*len, data.len() - rest.len(), "{data:02x?}"),
        // rmpv takes 0xc1 for nil and lets containers nest deeper.
        (Err(MsgpackError::BadMarker { at }), _) => assert_eq!(data[*at], 0xc1),
        (Err(MsgpackError::TooDeep { at }), _) => assert!(*at >= MAX_DEPTH),
        (Err(_), Err(_)) => {}
        _ => panic!("{checked:?}, but rmpv says {theirs:?}: {data:02x?}"),
    }
    check_map(data, &checked);
    let printed = [RAW, ESCAPED].map(|options| {
        let mut out = Vec::new();
        let result = json::write(data, &mut out, options);
        assert_eq!(result.as_ref().err(), checked.as_ref().err(), "{data:02x?}");
        out
    });
    for options in [RAW, ESCAPED] {
        check_printed_members(data, options);
    }
    let shown = text::write(data, &mut Vec::new());
    assert_eq!(shown.as_ref().err(), checked.as_ref().err(), "{data:02x?}");
    if let (Ok(len), Ok(theirs)) = (checked, theirs) {
        check_rewritten(&data[..len], &theirs);
        check_printed(&theirs, &printed);
    }
}

fn check_map(data: &[u8], checked: &Result<usize, MsgpackError>) {
    match msgpack::entries(data) {
        Ok(mut entries) => {
            assert_eq!(&msgpack::map_len(data), checked);
            let (len, header_len) = msgpack::map_header(data).unwrap();
            let all = entries.by_ref().take(1 << 20).collect::<Result<Vec<_>, _>>();
            match (all, checked) {
                (Ok(all), Ok(map_len)) => {
                    let bytes: usize = all.iter().map(|(key, value)| key.len() + value.len()).sum();
                    assert_eq!((all.len(), bytes), (len as usize, map_len - header_len));
                }
                // An entry nests one level less than its map.
                (Ok(_), Err(error)) => assert!(matches!(error, MsgpackError::TooDeep { .. })),
                (Err(_), Err(_)) => assert_eq!(entries.next(), None),
                (Err(error), Ok(_)) => panic!("{error}: {data:02x?}"),
            }
        }
        Err(error) => assert_eq!(msgpack::map_len(data), Err(error)),
    }
}

/// Reading each value and writing it again gives what `rmpv` encodes.
fn check_rewritten(data: &[u8], theirs: &ValueRef<'_>) {
    let mut reader = Reader::new(data);
    let mut written = Vec::new();
    while !reader.is_at_end() {
        match reader.next().unwrap() {
            Value::Nil => msgpack::write_nil(&mut written),
            Value::Bool(value) => msgpack::write_bool(&mut written, value),
            Value::Uint(value) => msgpack::write_uint(&mut written, value),
            Value::Int(value) => {
                assert!(value < 0);
                msgpack::write_int(&mut written, value);
            }
            Value::Float(value) => msgpack::write_float(&mut written, value),
            // rmpv holds such a string to be bytes.
            Value::Str(text) if std::str::from_utf8(text).is_err() => {
                msgpack::write_bin(&mut written, text);
            }
            Value::Str(text) => msgpack::write_str(&mut written, text),
            Value::Bin(bytes) => msgpack::write_bin(&mut written, bytes),
            Value::Array(len) => msgpack::write_array_header(&mut written, len),
            Value::Map(len) => msgpack::write_map_header(&mut written, len),
            Value::Ext(kind, bytes) => msgpack::write_ext(&mut written, kind, bytes),
        }
    }
    let mut encoded = Vec::new();
    rmpv::encode::write_value_ref(&mut encoded, &widened(theirs)).unwrap();
    assert_eq!(written, encoded, "{data:02x?}");
}

/// We have one kind of float.
fn widened<'a>(value: &ValueRef<'a>) -> ValueRef<'a> {
    match value {
        ValueRef::F32(value) => ValueRef::F64((*value).into()),
        ValueRef::Array(values) => ValueRef::Array(values.iter().map(widened).collect()),
        ValueRef::Map(entries) => {
            ValueRef::Map(entries.iter().map(|(k, v)| (widened(k), widened(v))).collect())
        }
        _ => value.clone(),
    }
}

/// `printed` without and with `escape_unicode`.
fn check_printed(value: &ValueRef<'_>, printed: &[Vec<u8>; 2]) {
    for (text, options) in printed.iter().zip([RAW, ESCAPED]) {
        let shown = String::from_utf8(text.clone()).expect("JSON is UTF-8");
        assert!(!shown.bytes().any(|byte| byte < 0x20 || byte == 0x7f), "{shown}");
        match serde_json::from_str::<Json>(&shown) {
            Ok(theirs) => {
                if let Some(expected) = expected(value, options) {
                    assert_alike(&theirs, &expected, &shown);
                }
            }
            // They stop one level earlier than we do, and at the greatest double rounded up.
            Err(error) => assert!(
                error.to_string().contains("recursion limit")
                    || error.to_string().contains("out of range"),
                "{error}: {shown}"
            ),
        }
        check_reprinted(text);
    }
}

/// Text, parsed and printed again without escapes, stays.
fn check_reprinted(text: &[u8]) {
    let reprint = |text: &[u8]| {
        let mut value = Vec::new();
        let parsed = match json::parse(text, &mut value) {
            Ok(parsed) => parsed,
            Err(error) => {
                assert_eq!(error.reason, Reason::Infinite, "{error}");
                return None;
            }
        };
        assert_eq!(parsed.consumed, text.len());
        assert_eq!(msgpack::value_len(&value), Ok(value.len()));
        let mut again = Vec::new();
        json::write(&value, &mut again, RAW).unwrap();
        Some(again)
    };
    if let Some(once) = reprint(text) {
        assert_eq!(reprint(&once).map(lossy), Some(lossy(once)));
    }
}

fn lossy(text: Vec<u8>) -> String {
    String::from_utf8_lossy(&text).into_owned()
}

/// What our text must say, or `None` if a key is not a string (its text is nobody's standard).
fn expected(value: &ValueRef<'_>, options: JsonOptions) -> Option<Json> {
    Some(match value {
        ValueRef::Nil => Json::Null,
        ValueRef::Boolean(value) => (*value).into(),
        ValueRef::Integer(value) => match value.as_u64() {
            Some(value) => value.into(),
            None => value.as_i64().expect("an integer is one or the other").into(),
        },
        ValueRef::F32(value) => Json::from(f64::from(*value)),
        ValueRef::F64(value) => Json::from(*value),
        ValueRef::String(text) => expected_string(text.as_bytes(), options).into(),
        ValueRef::Binary(bytes) => expected_string(bytes, options).into(),
        ValueRef::Array(values) => {
            Json::Array(values.iter().map(|value| expected(value, options)).collect::<Option<_>>()?)
        }
        ValueRef::Map(entries) => {
            let mut map = serde_json::Map::new();
            for (key, value) in entries {
                let ValueRef::String(key) = key else {
                    return None;
                };
                // Keys that print alike without being alike are a matter of order alone.
                std::str::from_utf8(key.as_bytes()).ok()?;
                map.insert(expected_string(key.as_bytes(), options), expected(value, options)?);
            }
            Json::Object(map)
        }
        ValueRef::Ext(_, bytes) => {
            bytes.iter().map(|byte| format!("\\x{byte:02x}")).collect::<String>().into()
        }
    })
}

fn expected_string(mut bytes: &[u8], options: JsonOptions) -> String {
    let mut text = String::new();
    while let Some(first) = bytes.first() {
        let valid =
            (1..=bytes.len().min(4)).find_map(|len| std::str::from_utf8(&bytes[..len]).ok());
        if let Some(character) = valid {
            text.push_str(character);
            bytes = &bytes[character.len()..];
            continue;
        }
        let announced = match first {
            ..0xc0 => 1,
            ..0xe0 => 2,
            ..0xf0 => 3,
            ..0xf8 => 4,
            ..0xfc => 5,
            _ => 6,
        };
        if !options.escape_unicode {
            text.push('\u{fffd}');
        } else if announced <= bytes.len() {
            text.push(char::from_u32(0xe000 + u32::from(*first)).unwrap());
        }
        bytes = &bytes[1..];
    }
    text
}

/// Equal, but for the last digits of floats, and for -0.
fn assert_alike(left: &Json, right: &Json, context: &str) {
    match (left, right) {
        (Json::Number(a), Json::Number(b)) if a.is_f64() || b.is_f64() => {
            let (a, b) = (a.as_f64().unwrap(), b.as_f64().unwrap());
            assert!((a - b).abs() <= b.abs() * 1e-15 + 1e-323, "{a} {b}: {context}");
        }
        (Json::Array(a), Json::Array(b)) => {
            assert_eq!(a.len(), b.len(), "{context}");
            a.iter().zip(b).for_each(|(a, b)| assert_alike(a, b, context));
        }
        (Json::Object(a), Json::Object(b)) => {
            assert!(a.keys().eq(b.keys()), "{context}");
            a.values().zip(b.values()).for_each(|(a, b)| assert_alike(a, b, context));
        }
        _ => assert_eq!(left, right, "{context}"),
    }
}

/// Any bytes taken as JSON: we accept and mean what `serde_json` does, but for the exceptions we document.
pub(crate) fn check_json(text: &[u8]) {
    let mut value = b"before".to_vec();
    let parsed = json::parse(text, &mut value);
    let theirs = serde_json::Deserializer::from_slice(text).into_iter::<Json>().next();
    let shown = String::from_utf8_lossy(text);
    let parsed = match parsed {
        Ok(parsed) => parsed,
        Err(error) => {
            assert_eq!(value, b"before");
            assert!(error.offset <= text.len());
            assert_eq!(error.reason == Reason::End, error.offset == text.len(), "{error}: {shown}");
            assert!(!matches!(theirs, Some(Ok(_))), "{error}: {shown}");
            return;
        }
    };
    let value = &value[b"before".len()..];
    assert_eq!(msgpack::value_len(value), Ok(value.len()), "{shown}");
    let mut object = Vec::new();
    let is_object = json::parse_object(text, &mut object).is_ok();
    assert_eq!(
        (is_object, object),
        (value_is_map(value), if is_object { value.to_vec() } else { vec![] })
    );
    let consumed = &text[..parsed.consumed];
    match serde_json::from_slice::<Json>(consumed) {
        Ok(theirs) => {
            let ours = rmpv::decode::read_value_ref(&mut &*value).unwrap();
            assert_alike(&expected(&ours, RAW).expect("keys are text"), &theirs, &shown);
        }
        // Without its slow feature serde_json takes some numbers just below the greatest double for too large.
        Err(error) => assert!(
            is_our_exception(consumed) || error.to_string().contains("out of range"),
            "{error}: {shown}"
        ),
    }
    check_msgpack(value);
}

/// A text that begins as a printed one did parses to the same value, whether its beginning is parsed or copied.
fn check_printed_members(data: &[u8], options: JsonOptions) {
    let mut printer = json::Printer::new(options);
    let mut text = Vec::new();
    // The first call's leavings must not matter to the second.
    let _ = printer.print(data, &mut Vec::new());
    if printer.print(data, &mut text).is_err() {
        assert_eq!(printer.members(), []);
        return;
    }
    let members = printer.members();
    let sent = json::Sent { text: &text, map: data, members };
    let places = members.iter().take(20).flat_map(|member| member.text - 1..=member.text + 1);
    for place in places.chain([0, 1, text.len() / 2, text.len()]) {
        let beginning = &text[..place.min(text.len())];
        for rest in
            ["", "}", " }", ",\"new\":[1,{}]}", ",}", "0}", "e5,\"a\":1}", "\":2}", "]}", "\0"]
        {
            check_again(&[beginning, rest.as_bytes()].concat(), sent);
        }
    }
    check_again(&text, sent);
    check_again(&[&text, &b" trailing"[..]].concat(), sent);
}

fn check_again(answer: &[u8], sent: json::Sent<'_>) {
    let (mut again, mut parsed) = (b"before".to_vec(), b"before".to_vec());
    let ours = json::parse_again(answer, sent, &mut again);
    assert_eq!(ours, json::parse_object(answer, &mut parsed), "{}", answer.escape_ascii());
    assert_eq!(again, parsed, "{}", answer.escape_ascii());
}

fn value_is_map(value: &[u8]) -> bool {
    msgpack::map_header(value).is_ok()
}

/// Control characters and invalid UTF-8 in strings, lone surrogates, and the last level of nesting.
fn is_our_exception(text: &[u8]) -> bool {
    let depth = text.iter().filter(|byte| matches!(byte, b'[' | b'{')).count();
    text.iter().any(|byte| *byte < 0x20)
        || std::str::from_utf8(text).is_err()
        || text.windows(3).any(|part| part[..2] == *b"\\u" && part[2].eq_ignore_ascii_case(&b'd'))
        || depth >= MAX_DEPTH
}
