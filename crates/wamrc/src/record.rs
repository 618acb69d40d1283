//! A record from the command line, and as it is shown.

use std::io::Read as _;

use anyhow::Context as _;
use flb_event::Timestamp;
use flb_event::json::{self, JsonOptions};
use flb_text::excerpt;

use crate::input::unread;
use crate::usage::UsageError;

/// The record's body that `--record` gives: as it stands there, or in a file, or on stdin.
pub(crate) fn record(text: Option<&str>) -> anyhow::Result<Option<Vec<u8>>> {
    let Some(text) = text else { return Ok(None) };
    let text = match text.strip_prefix('@') {
        Some(path) => std::fs::read(path).map_err(|error| unread(path.as_ref(), error))?,
        None if text == "-" => {
            let mut text = Vec::new();
            std::io::stdin().lock().read_to_end(&mut text).context("cannot read stdin")?;
            text
        }
        None => text.as_bytes().to_vec(),
    };
    Ok(Some(body(&text)?))
}

/// A record's body: JSON text as msgpack.
pub(crate) fn body(record: &[u8]) -> Result<Vec<u8>, UsageError> {
    let mut body = Vec::new();
    let end = json::parse_object(record, &mut body).map_err(|error| {
        UsageError::new(
            format!("the record is no JSON object: {error}"),
            "write it like '{\"log\":\"hello\"}'",
        )
    })?;
    let rest = record[end..].trim_ascii();
    if !rest.is_empty() {
        let message = format!("'{}' follows the record", excerpt(rest, 80));
        return Err(UsageError::new(message, "give one record at a time"));
    }
    Ok(body)
}

/// `SEC` or `SEC.FRACTION`.
pub(crate) fn time(text: &str) -> Result<Timestamp, UsageError> {
    let wrong = || {
        UsageError::new(format!("'{text}' is not a time"), "give seconds since 1970: 1700000000.5")
    };
    let (sec, fraction) = text.split_once('.').unwrap_or((text, "0"));
    let digits = !fraction.is_empty() && fraction.bytes().all(|digit| digit.is_ascii_digit());
    if !digits || fraction.len() > 9 {
        return Err(wrong());
    }
    Ok(Timestamp {
        sec: sec.parse().map_err(|_| wrong())?,
        nsec: format!("{fraction:0<9}").parse().map_err(|_| wrong())?,
    })
}

/// A body as JSON.
pub(crate) fn text(body: &[u8]) -> anyhow::Result<String> {
    let mut out = Vec::new();
    json::write(body, &mut out, JsonOptions { escape_unicode: false })?;
    Ok(String::from_utf8_lossy(&out).into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_is_seconds_with_a_fraction() {
        let check = |text: &str, sec, nsec| {
            assert_eq!(time(text).unwrap(), Timestamp { sec, nsec }, "{text}");
        };
        check("0", 0, 0);
        check("1700000000.5", 1_700_000_000, 500_000_000);
        check("1.000000001", 1, 1);
        for wrong in ["", "x", "1.", "-1", "1.0000000001", "1.-5", "4294967296"] {
            assert!(time(wrong).is_err(), "{wrong}");
        }
    }
}
