//! Random inputs through the checks that every input must pass.

#![expect(clippy::unwrap_used, reason = "helpers of a test panic as the test does")]

mod oracle;

use oracle::{check_edits, check_json, check_msgpack, check_sdk};
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::select;
use rmpv::Value;

/// Whole values, of every kind.
fn any_value() -> impl Strategy<Value = Value> {
    let key = prop_oneof![4 => "[a-c]{0,2}".prop_map(Value::from), 1 => any_scalar()];
    any_scalar().prop_recursive(6, 64, 40, move |inner| {
        prop_oneof![
            vec(inner.clone(), 0..20).prop_map(Value::Array),
            vec((key.clone(), inner), 0..40).prop_map(Value::Map),
        ]
    })
}

fn any_scalar() -> impl Strategy<Value = Value> {
    prop_oneof![
        Just(Value::Nil),
        any::<bool>().prop_map(Value::from),
        any::<u64>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        (-70_000_i64..70_000).prop_map(Value::from),
        any::<f32>().prop_map(Value::F32),
        any::<u64>().prop_map(|bits| Value::F64(f64::from_bits(bits))),
        (0_u32..100_000).prop_map(|thousandths| Value::F64(f64::from(thousandths) / 1000.0)),
        "[ -~]{0,40}".prop_map(Value::from),
        any::<String>().prop_map(Value::from),
        nearly_utf8().prop_map(Value::Binary),
        (any::<i8>(), vec(any::<u8>(), 0..20)).prop_map(|(kind, bytes)| Value::Ext(kind, bytes)),
    ]
}

/// Pieces of characters, whole and broken.
fn nearly_utf8() -> impl Strategy<Value = Vec<u8>> {
    let bytes =
        b"a\"\\\n\x7f\x80\xbf\xc0\xc3\xa9\xe2\x82\xac\xed\xa0\xf0\x9f\x98\x80\xf4\x90\xf8\xfc\xff";
    vec(select(&bytes[..]), 0..24)
}

/// A map and edits that often name its keys and places, as the oracle takes them.
fn edits() -> impl Strategy<Value = Vec<u8>> {
    let key = prop_oneof![4 => "[a-c]{0,2}".prop_map(Value::from), 1 => any_scalar()];
    let map = vec((key, any_value()), 0..20).prop_map(Value::Map);
    let bytes = |bytes: Vec<u8>| [vec![bytes.len() as u8], bytes].concat();
    let text = "[a-c]{0,2}".prop_map(move |text| bytes(text.into_bytes()));
    let value = prop_oneof![
        8 => any_scalar().prop_map(packed),
        2 => any_value().prop_map(packed),
        1 => nearly_msgpack(),
    ];
    let value = value.prop_map(move |value| bytes(value.into_iter().take(255).collect()));
    let keyed = (select(&[0_u8, 1, 3][..]), text.clone(), value.clone(), text.clone());
    let keyed = keyed.prop_map(|(kind, key, value, to)| {
        [vec![kind], key, if kind == 3 { to } else { value }].concat()
    });
    let delete = text.prop_map(|key| [vec![2], key].concat());
    let put = (0_u16..60, value.clone())
        .prop_map(|(at, value)| [vec![4], at.to_le_bytes().to_vec(), value].concat());
    let all = value.prop_map(|value| [vec![5], value].concat());
    let edit = prop_oneof![6 => keyed, 2 => delete, 3 => put, 1 => all];
    (map, vec(edit, 0..6)).prop_map(|(map, edits)| {
        let map = packed(map);
        let length = u16::try_from(map.len()).unwrap_or(u16::MAX);
        [length.to_le_bytes().to_vec(), map, edits.concat()].concat()
    })
}

fn packed(value: Value) -> Vec<u8> {
    let mut out = Vec::new();
    rmpv::encode::write_value(&mut out, &value).unwrap();
    out
}

/// Bytes that often make a value: markers, with small numbers behind them.
fn nearly_msgpack() -> impl Strategy<Value = Vec<u8>> {
    let byte = prop_oneof![
        3 => 0_u8..4,
        3 => 0x80_u8..0x85,
        3 => 0x90_u8..0x95,
        2 => 0xa0_u8..0xa4,
        3 => 0xc0_u8..=0xdf,
        1 => any::<u8>(),
    ];
    vec(byte, 0..80)
}

/// Pieces of JSON in any order.
fn nearly_json() -> impl Strategy<Value = Vec<u8>> {
    let piece = select(
        &[
            "{",
            "}",
            "[",
            "]",
            ",",
            ":",
            " ",
            "\n",
            "\"",
            "\"a\"",
            "\"\":",
            "{\"k\":",
            "true",
            "false",
            "null",
            "tru",
            "0",
            "-",
            "-0",
            "12",
            "007",
            ".5",
            "1.5",
            "e3",
            "E-2",
            "+",
            "1e400",
            "18446744073709551615",
            "18446744073709551616",
            "-9223372036854775809",
            "\\",
            "\\n",
            "\\u",
            "\\u00e9",
            "\\ud83d",
            "\\ude00",
            "d83d",
            "\\x",
            "/",
            "é",
            "\u{1}",
            "NaN",
            "'",
        ][..],
    );
    vec(piece, 0..24).prop_map(|pieces| pieces.concat().into_bytes())
}

/// Good JSON with blanks in it, and now and then one byte changed.
fn damaged_json() -> impl Strategy<Value = Vec<u8>> {
    (any_value(), any::<bool>(), any::<Option<(prop::sample::Index, u8)>>()).prop_map(
        |(value, pretty, damage)| {
            let mut data = Vec::new();
            rmpv::encode::write_value(&mut data, &value).unwrap();
            let mut text = Vec::new();
            flb_event::json::write(&data, &mut text, Default::default()).unwrap();
            if pretty && let Ok(json) = serde_json::from_slice::<serde_json::Value>(&text) {
                text = serde_json::to_vec_pretty(&json).unwrap();
            }
            if let Some((index, byte)) = damage {
                let at = index.index(text.len());
                text[at] = byte;
            }
            text
        },
    )
}

proptest! {
    #[test]
    fn edits_of_maps(data in edits()) {
        check_edits(&data);
    }

    #[test]
    fn damaged_edits(mut data in edits(), damage in vec((any::<prop::sample::Index>(), any::<u8>()), 0..4)) {
        for (at, byte) in damage {
            let at = at.index(data.len());
            data[at] = byte;
        }
        check_edits(&data);
    }

    #[test]
    fn well_formed_msgpack(value in any_value()) {
        let mut data = Vec::new();
        rmpv::encode::write_value(&mut data, &value).unwrap();
        assert_eq!(flb_event::msgpack::value_len(&data), Ok(data.len()));
        check_msgpack(&data);
    }

    #[test]
    fn the_sdk_reads_and_edits_as_the_host_does(
        edits in vec(any::<[u8; 4]>(), 0..6),
        entries in vec(("[a-c]{0,2}".prop_map(Value::from), any_value()), 0..20),
        is_long: bool,
    ) {
        let mut data = vec![edits.len() as u8];
        data.extend(edits.as_flattened());
        let header = data.len();
        rmpv::encode::write_value(&mut data, &Value::Map(entries.clone())).unwrap();
        if is_long {
            let short = if entries.len() < 16 { 1 } else { 3 };
            data.splice(header..header + short, [0xdf, 0, 0, 0, entries.len() as u8]);
        }
        check_sdk(&data);
    }

    #[test]
    fn truncated_msgpack(value in any_value(), cut: prop::sample::Index) {
        let mut data = Vec::new();
        rmpv::encode::write_value(&mut data, &value).unwrap();
        data.truncate(cut.index(data.len()));
        assert!(flb_event::msgpack::value_len(&data).is_err());
        check_msgpack(&data);
    }

    #[test]
    fn bytes_as_msgpack(data in vec(any::<u8>(), 0..200)) {
        check_msgpack(&data);
    }

    #[test]
    fn markers_as_msgpack(data in nearly_msgpack()) {
        check_msgpack(&data);
    }

    #[test]
    fn strings_as_msgpack(text in nearly_utf8()) {
        let mut data = Vec::new();
        flb_event::msgpack::write_str(&mut data, &text);
        check_msgpack(&data);
    }

    #[test]
    fn well_formed_json(text in damaged_json()) {
        check_json(&text);
    }

    #[test]
    fn pieces_as_json(text in nearly_json()) {
        check_json(&text);
    }

    #[test]
    fn characters_as_json(text in "[\\[\\]{}\",:\\\\u0-9.eE+ \\-]{0,40}") {
        check_json(text.as_bytes());
    }

    #[test]
    fn numbers_as_json(text in "-?[0-9]{1,25}(\\.[0-9]{1,25})?([eE][+-]?[0-9]{1,3})?") {
        check_json(text.as_bytes());
    }

    #[test]
    fn strings_as_json(text in nearly_utf8()) {
        check_json(&[b"\"", &text[..], b"\""].concat());
    }
}
