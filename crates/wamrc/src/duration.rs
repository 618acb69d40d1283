//! Lengths of time on the command line, all in one form: a number of seconds, or a number with its unit.

use std::time::Duration;

use crate::usage::UsageError;

/// How one is written, for help and for mistakes.
const HELP: &str = "write seconds, such as 0.5, or a unit: 800ns, 5us, 1.5ms, 2s";

/// `0.5`, `5us`, `1.5ms`.
pub(crate) fn duration(text: &str) -> Result<Duration, UsageError> {
    let at = text.find(|sign: char| !sign.is_ascii_digit() && sign != '.').unwrap_or(text.len());
    let (number, unit) = text.split_at(at);
    let unit = match unit {
        "ns" => 1e-9,
        "us" | "µs" => 1e-6,
        "ms" => 1e-3,
        "s" | "" => 1.0,
        _ => f64::NAN,
    };
    let seconds = number.parse().unwrap_or(f64::NAN) * unit;
    let time = Duration::try_from_secs_f64(seconds).ok().filter(|time| !time.is_zero());
    time.ok_or_else(|| UsageError::new(format!("'{text}' is no time"), HELP))
}

/// How long a call may take: between a millisecond and an hour, as in the agent's configuration.
pub(crate) fn deadline(text: &str) -> Result<Duration, UsageError> {
    let range = Duration::from_millis(1)..=Duration::from_secs(3600);
    let time = duration(text).ok().filter(|time| range.contains(time));
    time.ok_or_else(|| {
        UsageError::new(
            format!("'{text}' is no deadline"),
            "give between 1ms and 3600s, such as 0.5",
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_seconds_or_have_units() {
        let check = |text, nanoseconds| assert_eq!(duration(text).unwrap().as_nanos(), nanoseconds);
        check("800ns", 800);
        check("5us", 5_000);
        check("1.5ms", 1_500_000);
        check("2s", 2_000_000_000);
        check("0.2", 200_000_000);
        for wrong in ["", "us", "0us", "-1us", "1m", "1e9s", "..s", "0"] {
            assert!(duration(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn deadlines_are_those_of_the_agent() {
        assert_eq!(deadline("20ms").unwrap(), Duration::from_millis(20));
        for wrong in ["999us", "3601", "1h"] {
            assert!(deadline(wrong).is_err(), "{wrong}");
        }
    }
}
