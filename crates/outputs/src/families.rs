//! Records of the input `fluentbit_metrics`, read as the metrics that they are.

use flb_event::msgpack::{self, MsgpackError, Reader, Value};
use flb_event::{Accessor, Chunk};
use flb_plugin::BuildError;
use flb_plugin::families::{Families, Number, Sample};
use flb_plugin::log::{Label, Mishaps, name_only};

const NO_METRIC: &str = "it is no metric: send what the input fluentbit_metrics takes";

/// The families of a chunk's records, and how many records are none.
pub(super) fn families_of(chunk: &Chunk, label: &Label, strange: &Mishaps) -> (Families, usize) {
    let (mut families, mut left_out) = (Families::default(), 0);
    for event in chunk.records() {
        if read(event.body, &mut families).is_none() {
            left_out += 1;
            strange.left_out(label, &NO_METRIC);
        }
    }
    (families, left_out)
}

/// A label that an option gives: `name value`.
pub(super) fn label_of(text: &str) -> Result<(String, String), BuildError> {
    let parts = text.trim().split_once(char::is_whitespace);
    let is_name = |name: &str| {
        let mut letters = name.bytes();
        let first = letters.next().is_some_and(|byte| byte.is_ascii_alphabetic() || byte == b'_');
        first && letters.all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
    };
    match parts.filter(|(name, _)| is_name(name)) {
        Some((name, value)) => Ok((name.to_owned(), value.trim().to_owned())),
        None => Err(BuildError::new(format!("add_label{}: it is not a label", name_only(text)))
            .help("write: add_label name value")),
    }
}

/// Adds the family of a record; none if it is not one.
fn read(body: &[u8], families: &mut Families) -> Option<()> {
    let name = text(body, "name").filter(|name| is_metric(name))?;
    let elements = msgpack::elements(member(body, "samples")?).ok()?;
    let samples = elements.map(|raw| sample(raw.ok()?, &name)).collect::<Option<Vec<_>>>()?;
    let kind = text(body, "type").unwrap_or_else(|| "untyped".to_owned());
    let help = text(body, "help").unwrap_or_default();
    families.family(&name, &kind, &help).samples = samples;
    Some(())
}

/// One value of the family of this name.
fn sample(raw: &[u8], family: &str) -> Option<Sample> {
    let suffix = text(raw, "name")?.strip_prefix(family)?.to_owned();
    let value = match Reader::new(member(raw, "value")?).next().ok()? {
        Value::Uint(number) => Number::Whole(number),
        Value::Int(number) => Number::Real(number as f64),
        Value::Float(number) => Number::Real(number),
        _ => return None,
    };
    let labels = labels(member(raw, "labels").unwrap_or(&[0x80])).ok()?;
    Some(Sample { suffix, labels, value })
}

/// Whether it is a name that a scraper can read.
fn is_metric(name: &str) -> bool {
    !name.is_empty()
        && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b':'))
}

fn labels(map: &[u8]) -> Result<Vec<(String, String)>, MsgpackError> {
    let mut labels = Vec::new();
    for entry in msgpack::entries(map)? {
        let (name, value) = entry?;
        let text = |raw: &[u8]| {
            let mut text = Vec::new();
            flb_event::write_text(raw, &mut text);
            String::from_utf8_lossy(&text).into_owned()
        };
        labels.push((text(name), text(value)));
    }
    Ok(labels)
}

fn member<'a>(map: &'a [u8], key: &str) -> Option<&'a [u8]> {
    Accessor::of_key(key).find(map)
}

fn text(map: &[u8], key: &str) -> Option<String> {
    let text = member(map, key).and_then(msgpack::as_str)?;
    Some(String::from_utf8_lossy(text).into_owned())
}
