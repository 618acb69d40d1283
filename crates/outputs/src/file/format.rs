//! How records look in a file.

use super::{CSV_COLUMN_NAMES, DELIMITER, FORMAT, LABEL_DELIMITER, TEMPLATE};
use flb_event::json::Printer;
use flb_event::msgpack::{self, MsgpackError};
use flb_event::{Event, Tag, text};
use flb_plugin::Options;
use flb_plugin::keys::{Key, Text, Word};

use crate::date;

/// The names of the formats.
#[derive(Debug, Clone, Copy)]
pub(super) enum FormatName {
    OutFile,
    Plain,
    Csv,
    Ltsv,
    Template,
    Msgpack,
}

impl Word for FormatName {
    const ALL: &'static [(&'static str, Self)] = &[
        ("out_file", Self::OutFile),
        ("plain", Self::Plain),
        ("csv", Self::Csv),
        ("ltsv", Self::Ltsv),
        ("template", Self::Template),
        ("msgpack", Self::Msgpack),
    ];
}

/// How records look.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Format {
    /// `tag: [1.000000000, {"k":"v"}]`
    OutFile,
    /// `{"k":"v"}`
    Plain,
    /// `1.000000000,"v"`
    Csv { delimiter: String, column_names: bool },
    /// `"time":1.000000` and `"k":"v"`, between tabs.
    Ltsv { delimiter: String, label_delimiter: String },
    /// Text of the user's own.
    Template(Vec<Part>),
    /// The chunk's bytes.
    Msgpack,
}

/// A part of a template.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Part {
    Text(String),
    /// `{time}`
    Time,
    /// `{key}`
    Key(String),
}

impl Format {
    pub(super) fn new(options: &Options) -> Self {
        let delimiter = |key: Key<Option<Text>>, otherwise: &str| {
            options.get(key).map_or_else(|| otherwise.to_owned(), delimiter)
        };
        match options.get(FORMAT) {
            FormatName::Plain => Self::Plain,
            FormatName::Csv => Self::Csv {
                delimiter: delimiter(DELIMITER, ","),
                column_names: options.get(CSV_COLUMN_NAMES),
            },
            FormatName::Ltsv => Self::Ltsv {
                delimiter: delimiter(DELIMITER, "\t"),
                label_delimiter: delimiter(LABEL_DELIMITER, ":"),
            },
            FormatName::Template => Self::Template(template(options.get(TEMPLATE))),
            FormatName::Msgpack => Self::Msgpack,
            FormatName::OutFile => Self::OutFile,
        }
    }

    /// Appends a record as a line.
    pub(super) fn write(
        &self,
        tag: &Tag,
        event: Event<'_>,
        names_columns: bool,
        printer: &mut Printer,
        out: &mut Vec<u8>,
    ) -> Result<(), MsgpackError> {
        match self {
            Self::OutFile => {
                date::print(out, format_args!("{tag}: ["));
                text::write_time(event.time, out);
                out.extend_from_slice(b", ");
                printer.print(event.body, out)?;
                out.extend_from_slice(b"]\n");
            }
            Self::Plain => {
                printer.print(event.body, out)?;
                out.push(b'\n');
            }
            Self::Csv { delimiter, column_names } => {
                write_csv(event, delimiter, *column_names && names_columns, out)?;
            }
            Self::Ltsv { delimiter, label_delimiter } => {
                write_ltsv(event, delimiter, label_delimiter, out)?;
            }
            Self::Template(parts) => write_template(event, parts, out)?,
            Self::Msgpack => {}
        }
        Ok(())
    }
}

/// A delimiter by its name, or as it is.
fn delimiter(text: &str) -> String {
    match text.to_ascii_lowercase().as_str() {
        "\\t" | "tab" => "\t",
        "\\s" | "space" => " ",
        "comma" => ",",
        _ => text,
    }
    .to_owned()
}

fn template(text: &str) -> Vec<Part> {
    let mut parts = Vec::new();
    let mut rest = text;
    while let Some((before, behind)) = rest.split_once('{') {
        let Some((key, after)) = behind.split_once('}') else { break };
        parts.push(Part::Text(before.to_owned()));
        parts.push(if key == "time" { Part::Time } else { Part::Key(key.to_owned()) });
        rest = after;
    }
    parts.push(Part::Text(rest.to_owned()));
    parts
}

fn write_csv(
    event: Event<'_>,
    delimiter: &str,
    names_columns: bool,
    out: &mut Vec<u8>,
) -> Result<(), MsgpackError> {
    if names_columns {
        out.extend_from_slice(b"timestamp");
        for entry in msgpack::entries(event.body)? {
            out.extend_from_slice(delimiter.as_bytes());
            text::write(entry?.0, out)?;
        }
        out.push(b'\n');
    }
    text::write_time(event.time, out);
    for entry in msgpack::entries(event.body)? {
        out.extend_from_slice(delimiter.as_bytes());
        text::write(entry?.1, out)?;
    }
    out.push(b'\n');
    Ok(())
}

fn write_ltsv(
    event: Event<'_>,
    delimiter: &str,
    label_delimiter: &str,
    out: &mut Vec<u8>,
) -> Result<(), MsgpackError> {
    date::print(out, format_args!("\"time\"{label_delimiter}"));
    date::write_micros(event.time, out);
    for entry in msgpack::entries(event.body)? {
        let (key, value) = entry?;
        out.extend_from_slice(delimiter.as_bytes());
        text::write(key, out)?;
        out.extend_from_slice(label_delimiter.as_bytes());
        text::write(value, out)?;
    }
    out.push(b'\n');
    Ok(())
}

fn write_template(event: Event<'_>, parts: &[Part], out: &mut Vec<u8>) -> Result<(), MsgpackError> {
    for part in parts {
        match part {
            Part::Text(text) => out.extend_from_slice(text.as_bytes()),
            Part::Time => date::write_micros(event.time, out),
            Part::Key(key) => match value_of(event.body, key.as_bytes())? {
                None => date::print(out, format_args!("{{{key}}}")),
                Some(value) => match msgpack::as_str(value) {
                    Some(string) => out.extend_from_slice(string),
                    None => text::write(value, out)?,
                },
            },
        }
    }
    out.push(b'\n');
    Ok(())
}

/// The value of the first entry with this key.
fn value_of<'a>(body: &'a [u8], wanted: &[u8]) -> Result<Option<&'a [u8]>, MsgpackError> {
    for entry in msgpack::entries(body)? {
        let (key, value) = entry?;
        if msgpack::as_str(key) == Some(wanted) {
            return Ok(Some(value));
        }
    }
    Ok(None)
}
