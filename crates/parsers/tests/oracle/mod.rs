//! What must hold of parsers and of multiline parsers, whatever they are given. Fuzz targets use this too.

use std::sync::LazyLock;

use flb_config::{Diagnostics, Document, Property, Section, SectionKind, Span, Spanned, Variables};
use flb_event::{Tag, Timestamp, msgpack};
use flb_parsers::multiline::{self, builtin_multiline};
use flb_plugin::{Build, Metrics, MultilineParsers, Options, Parser, Parsers, Service};

const NOW: Timestamp = Timestamp { sec: 1_700_000_000, nsec: 0 };

/// The first byte chooses a format. The first line behind it is its regular expression or its time format, the others are
/// parsed.
pub(crate) fn check_parser(data: &[u8]) {
    let Some((choice, rest)) = data.split_first() else { return };
    let (option, lines) = split_line(rest);
    let option = String::from_utf8_lossy(option);
    let formats = flb_parsers::ALL;
    let format = formats[usize::from(*choice) % formats.len()].name;
    let given: &[(&str, &str)] = match format {
        "regex" => &[("regex", &option), ("time_format", "%d/%b %H:%M:%S %z")],
        _ => &[("time_format", &option), ("types", "a:integer b:float c:hex d:bool")],
    };
    let more = [
        ("decode_field_as", "escaped_utf8 log do_next"),
        ("decode_field_as", "json log try_next"),
        ("decode_field_as", "mysql_quoted log"),
    ];
    let Some(parser) = build(format, &[given, &more].concat()) else { return };
    for line in lines.split(|byte| *byte == b'\n') {
        check_line(&*parser, line);
    }
}

/// A body comes of a line, or none at all.
fn check_line(parser: &dyn Parser, line: &[u8]) {
    let mut body = b"before".to_vec();
    let parsed = parser.parse(line, NOW, &mut body);
    let added = body.strip_prefix(b"before").expect("what was there stays");
    match parsed {
        Ok(parsed) => {
            assert_eq!(
                msgpack::map_len(added),
                Ok(added.len()),
                "one map: {}",
                line.escape_ascii()
            );
            assert!(parsed.time.is_none_or(|time| time.nsec < 1_000_000_000));
        }
        Err(_) => assert!(added.is_empty(), "nothing: {}", line.escape_ascii()),
    }
}

/// The first byte chooses a multiline parser, and none of the text may be lost.
pub(crate) fn check_multiline(data: &[u8]) {
    let Some((choice, text)) = data.split_first() else { return };
    static ALL: LazyLock<MultilineParsers> = LazyLock::new(builtin_multiline);
    let names: Vec<&str> = ALL.names().collect();
    let first = names[usize::from(*choice) % names.len()];
    for chosen in [vec![first], vec![first, "go", "java"], names.clone()] {
        check_joined(&ALL, &chosen, text);
    }
}

fn check_joined(all: &MultilineParsers, names: &[&str], text: &[u8]) {
    let joined = multiline::join_lines(all, names, text);
    let mut letters = 0;
    for (offset, record) in &joined {
        assert!(*offset <= text.len() as u64);
        letters += record.iter().filter(|byte| **byte != b'\n').count();
    }
    let is_text =
        names.iter().all(|name| all.find(name).is_some_and(|parser| parser.parser.is_none()));
    if is_text {
        let given = text.split(|byte| *byte == b'\n').map(<[u8]>::len).sum::<usize>();
        assert_eq!(letters, given, "{names:?} keep {}", text.escape_ascii());
        assert!(joined.is_sorted_by_key(|(offset, _)| *offset));
    }
}

fn split_line(data: &[u8]) -> (&[u8], &[u8]) {
    match data.iter().position(|byte| *byte == b'\n') {
        Some(length) => (&data[..length], &data[length + 1..]),
        None => (data, b""),
    }
}

/// A parser of these options; none if they are refused.
fn build(format: &str, given: &[(&str, &str)]) -> Option<Box<dyn Parser>> {
    let spec = flb_parsers::ALL.iter().find(|spec| spec.name == format)?;
    let mut document = Document::default();
    let source = document.add_source("oracle", "");
    let spanned =
        |text: &str| Spanned { text: text.to_owned(), span: Span { source, start: 0, end: 0 } };
    let properties =
        given.iter().map(|(key, value)| Property { key: spanned(key), value: spanned(value) });
    let section = Section {
        kind: SectionKind::Other,
        name: spanned("oracle"),
        properties: properties.collect(),
        children: Vec::new(),
    };
    let mut found = Diagnostics::default();
    let variables = Variables::default();
    let options = Options::read(format, spec.options, &section, &[], &variables, &mut found);
    let build = Build {
        instance: "oracle",
        tag: &Tag::new("").ok()?,
        parsers: &Parsers::default(),
        multiline: &MultilineParsers::default(),
        service: &Service::default(),
        metrics: &Metrics::default(),
    };
    (spec.build)(&options, &build).ok()
}
