//! How a record's time is written.

use std::io::Write as _;

use flb_event::Timestamp;
use flb_event::json::{self, JsonOptions};
use flb_event::msgpack::{MsgpackError, write_float};
use flb_plugin::keys::Word;

/// The forms of a time in JSON, as `json_date_format` names them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum DateFormat {
    /// `1666270588.271704`: a float of 16 digits.
    Double,
    /// `"2022-10-20T12:56:28.271704Z"`
    Iso8601,
    /// `"2022-10-20T12:56:28.271704123Z"`
    #[cfg(feature = "kafka")]
    Iso8601Nanos,
    /// `"2022-10-20 12:56:28.271704"`
    JavaSqlTimestamp,
    /// `1666270588`
    Epoch,
    /// `1666270588271`
    EpochMillis,
}

impl Word for DateFormat {
    const ALL: &'static [(&'static str, Self)] = &[
        ("double", Self::Double),
        ("iso8601", Self::Iso8601),
        ("java_sql_timestamp", Self::JavaSqlTimestamp),
        ("epoch", Self::Epoch),
        ("epoch_ms", Self::EpochMillis),
        ("epoch_millis", Self::EpochMillis),
        ("epoch_milliseconds", Self::EpochMillis),
    ];
}

impl DateFormat {
    /// Appends `time` as a JSON value.
    pub(super) fn write(self, time: Timestamp, out: &mut Vec<u8>) -> Result<(), MsgpackError> {
        match self {
            Self::Double => {
                let mut float = Vec::with_capacity(9);
                write_float(&mut float, time.as_f64());
                json::write(&float, out, JsonOptions::default())?;
            }
            Self::Iso8601 => calendar(time, "T", "Z", 6, out),
            #[cfg(feature = "kafka")]
            Self::Iso8601Nanos => calendar(time, "T", "Z", 9, out),
            Self::JavaSqlTimestamp => calendar(time, " ", "", 6, out),
            Self::Epoch => print(out, format_args!("{}", time.sec)),
            Self::EpochMillis => {
                let millis = u64::from(time.sec) * 1000 + u64::from(time.nsec / 1_000_000);
                print(out, format_args!("{millis}"));
            }
        }
        Ok(())
    }
}

/// Date and time of the day in UTC, with so many digits behind the second, as a JSON string.
fn calendar(time: Timestamp, between: &str, end: &str, digits: usize, out: &mut Vec<u8>) {
    let date = civil(time);
    let fraction = time.nsec / (digits..9).fold(1, |unit, _| unit * 10);
    print(
        out,
        format_args!(
            "\"{:04}-{:02}-{:02}{between}{:02}:{:02}:{:02}.{fraction:0digits$}{end}\"",
            date.year(),
            date.month(),
            date.day(),
            date.hour(),
            date.minute(),
            date.second(),
        ),
    );
}

/// The time now.
pub(super) fn now() -> Timestamp {
    let now = jiff::Timestamp::now();
    let part = |number: i64| u32::try_from(number).unwrap_or(0);
    Timestamp { sec: part(now.as_second()), nsec: part(now.subsec_nanosecond().into()) }
}

/// Date and time of the day in UTC.
pub(super) fn civil(time: Timestamp) -> jiff::civil::DateTime {
    let instant = jiff::Timestamp::from_second(i64::from(time.sec))
        .expect("jiff knows the years that 32 bits of seconds reach");
    jiff::tz::Offset::UTC.to_datetime(instant)
}

/// Appends seconds to the microsecond, as C's `%f` prints the double: `1666270588.271704`.
pub(super) fn write_micros(time: Timestamp, out: &mut Vec<u8>) {
    print(out, format_args!("{:.6}", time.as_f64()));
}

/// Appends formatted text.
pub(super) fn print(out: &mut Vec<u8>, text: std::fmt::Arguments<'_>) {
    out.write_fmt(text).expect("a Vec takes all bytes");
}

#[cfg(test)]
mod tests {
    use super::*;
    use flb_plugin::keys::{Choice, Kind as _};

    const TIME: Timestamp = Timestamp { sec: 1_700_000_000, nsec: 123_456_789 };

    fn check(name: &str, expected: &str) {
        let mut out = Vec::new();
        Choice::<DateFormat>::parse(name).unwrap().write(TIME, &mut out).unwrap();
        assert_eq!(String::from_utf8(out).unwrap(), expected, "{name}");
    }

    #[test]
    fn a_time_is_written_in_each_format() {
        check("double", "1700000000.123457");
        check("iso8601", "\"2023-11-14T22:13:20.123456Z\"");
        check("java_sql_timestamp", "\"2023-11-14 22:13:20.123456\"");
        check("epoch", "1700000000");
        for name in ["epoch_ms", "epoch_millis", "epoch_milliseconds"] {
            check(name, "1700000000123");
        }
    }

    #[test]
    fn the_first_and_the_last_second_have_a_date() {
        for (sec, date) in [(0, "1970-01-01T00:00:00"), (u32::MAX, "2106-02-07T06:28:15")] {
            let mut out = Vec::new();
            DateFormat::Iso8601.write(Timestamp { sec, nsec: 0 }, &mut out).unwrap();
            assert_eq!(String::from_utf8(out).unwrap(), format!("\"{date}.000000Z\""));
        }
    }

    #[test]
    fn a_plain_time_has_six_digits() {
        let mut out = Vec::new();
        write_micros(TIME, &mut out);
        assert_eq!(out, b"1700000000.123457");
    }
}
