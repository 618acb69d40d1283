//! Values: from text to a number, a switch, a list. What Fluent Bit understands is understood
//! alike; what it would quietly take for something else (`5x` as 5, `abc` as 0) is an error.

use std::time::Duration;

/// A text that is not what it should be.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct ValueError {
    /// What is wrong.
    pub message: String,
    /// The text.
    pub found: String,
    /// What to write instead.
    pub hint: String,
}

impl ValueError {
    /// A text that is not what is expected, said with its article: `a size`.
    pub fn new(expected: &str, found: &str, hint: impl Into<String>) -> Self {
        Self::saying(format!("'{found}' is not {expected}"), found, hint)
    }

    /// A text that something else is wrong with.
    pub fn saying(message: impl Into<String>, found: &str, hint: impl Into<String>) -> Self {
        Self { message: message.into(), found: found.to_owned(), hint: hint.into() }
    }
}

/// `on`, `true`, `yes` or `off`, `false`, `no`, in any case.
pub fn parse_bool(text: &str) -> Result<bool, ValueError> {
    let is = |words: [&str; 3]| words.iter().any(|word| word.eq_ignore_ascii_case(text));
    if is(["on", "true", "yes"]) {
        Ok(true)
    } else if is(["off", "false", "no"]) {
        Ok(false)
    } else {
        let hint = "use on, true or yes, or else off, false or no";
        Err(ValueError::new("on or off", text, hint))
    }
}

/// A whole number, with or without a sign.
pub fn parse_int(text: &str) -> Result<i64, ValueError> {
    text.parse().map_err(|_| {
        let hint = format!("use digits only, from {} to {}", i64::MIN, i64::MAX);
        ValueError::new("a whole number", text, hint)
    })
}

/// A number, perhaps with a fraction.
pub fn parse_double(text: &str) -> Result<f64, ValueError> {
    let number = text.parse().ok().filter(|number: &f64| number.is_finite());
    number.ok_or_else(|| ValueError::new("a number", text, "use digits, like 5 or 0.5"))
}

/// A number of bytes: `4096`, `32k`, `1.5M`, `2GB`. The units are decimal (`1k` is 1000); `false`
/// is 0. A fraction of a byte is cut.
pub fn parse_size(text: &str) -> Result<u64, ValueError> {
    if text.eq_ignore_ascii_case("false") {
        return Ok(0);
    }
    decimal_size(text).ok_or_else(|| {
        let hint = "use a number with k, m or g, which are decimal: 1k = 1000";
        ValueError::new("a size", text, hint)
    })
}

fn decimal_size(text: &str) -> Option<u64> {
    let (number, unit) = split_unit(text);
    let scale: u64 = match unit.to_ascii_lowercase().as_str() {
        "" => 1,
        "k" | "kb" => 1_000,
        "m" | "mb" => 1_000_000,
        "g" | "gb" => 1_000_000_000,
        _ => return None,
    };
    let (whole, fraction) = number.split_once('.').unwrap_or((number, "0"));
    let whole: u64 = whole.parse().ok()?;
    whole.checked_mul(scale)?.checked_add(scaled_fraction(fraction, scale)?)
}

/// `0.digits * scale`, exactly: in floating point, `2.3m` is only nearly 2.3 million. As scales are
/// powers of ten, a digit is worth a whole number of bytes or is cut.
fn scaled_fraction(digits: &str, scale: u64) -> Option<u64> {
    let mut bytes = 0;
    let mut worth = scale;
    for digit in digits.chars() {
        worth /= 10;
        bytes += u64::from(digit.to_digit(10)?) * worth;
    }
    (!digits.is_empty()).then_some(bytes)
}

/// A span of time: whole seconds, or whole minutes, hours or days with `m`, `h`, `d`.
pub fn parse_time(text: &str) -> Result<Duration, ValueError> {
    let (number, unit) = split_unit(text);
    let scale = match unit.to_ascii_lowercase().as_str() {
        "" | "s" => Some(1),
        "m" => Some(60),
        "h" => Some(3_600),
        "d" => Some(86_400),
        _ => None,
    };
    let seconds = scale.and_then(|scale| number.parse::<u64>().ok()?.checked_mul(scale));
    seconds.map(Duration::from_secs).ok_or_else(|| {
        let hint = "use whole seconds, or a whole number with m, h or d: 90, 15m, 2h, 1d";
        ValueError::new("a time", text, hint)
    })
}

/// Splits `1.5MB` into `1.5` and `MB`.
fn split_unit(text: &str) -> (&str, &str) {
    let end = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
    text.split_at(end)
}

/// What one of the words stands for, which may be in any case.
pub fn parse_word<T: Copy>(text: &str, words: &[(&'static str, T)]) -> Result<T, ValueError> {
    let found = words.iter().find(|(word, _)| word.eq_ignore_ascii_case(text));
    found.map(|(_, meaning)| *meaning).ok_or_else(|| {
        let names = || words.iter().map(|(word, _)| *word);
        let hint = match crate::did_you_mean(text, names()) {
            Some(near) => format!("did you mean '{near}'?"),
            None => format!("use one of {}", names().collect::<Vec<_>>().join(", ")),
        };
        ValueError::new("one of the known words", text, hint)
    })
}

/// The texts between commas, without the blanks around them; empty ones are left out.
pub fn parse_clist(text: &str) -> Vec<String> {
    let elements = text.split(',').map(str::trim).filter(|element| !element.is_empty());
    elements.map(str::to_owned).collect()
}

/// The texts between blanks. One in double quotes may hold blanks, and `\"` for a quote. With
/// `splits`, the text is split so many times at most, and what is left is the last element as it
/// stands.
pub fn parse_slist(text: &str, splits: Option<usize>) -> Result<Vec<String>, ValueError> {
    let mut elements = Vec::new();
    let mut rest = text.trim_matches(' ');
    while !rest.is_empty() {
        if splits.is_some_and(|splits| elements.len() >= splits) {
            elements.push(rest.to_owned());
            break;
        }
        let (element, behind) = match rest.strip_prefix('"') {
            Some(quoted) => unquote(quoted).ok_or_else(|| unclosed(rest))?,
            None => {
                let (element, behind) = rest.split_once(' ').unwrap_or((rest, ""));
                (element.to_owned(), behind)
            }
        };
        elements.push(element);
        rest = behind.trim_start_matches(' ');
    }
    Ok(elements)
}

/// What stands before the closing quote, and what behind it.
fn unquote(text: &str) -> Option<(String, &str)> {
    let mut element = String::new();
    let mut rest = text;
    loop {
        let quote = rest.find('"')?;
        let (before, behind) = (&rest[..quote], &rest[quote + 1..]);
        match before.strip_suffix('\\') {
            Some(before) => {
                element.push_str(before);
                element.push('"');
                rest = behind;
            }
            None => {
                element.push_str(before);
                return Some((element, behind));
            }
        }
    }
}

fn unclosed(rest: &str) -> ValueError {
    ValueError::new(
        "a closed quotation",
        rest,
        "end it with a double quote, and write \\\" for one inside",
    )
}

#[cfg(test)]
mod tests {
    use std::fmt::Debug;

    use super::*;

    fn check<T: Debug>(parse: fn(&str) -> Result<T, ValueError>, cases: &[(&str, &str)]) {
        for (text, expected) in cases {
            let actual = match parse(text) {
                Ok(value) => format!("{value:?}"),
                Err(error) => format!("{error}; {}", error.hint),
            };
            assert_eq!(actual, *expected, "of {text:?}");
        }
    }

    #[test]
    fn a_switch_is_on_or_off() {
        for (text, value) in [("on", "true"), ("TRUE", "true"), ("Yes", "true")] {
            check(parse_bool, &[(text, value)]);
        }
        for (text, value) in [("off", "false"), ("False", "false"), ("NO", "false")] {
            check(parse_bool, &[(text, value)]);
        }
        const HINT: &str = "use on, true or yes, or else off, false or no";
        for text in ["", "1", "0", "enabled", "on "] {
            check(parse_bool, &[(text, &format!("'{text}' is not on or off; {HINT}"))]);
        }
    }

    #[test]
    fn a_whole_number_is_digits_and_nothing_else() {
        check(parse_int, &[("5", "5"), ("-1", "-1"), ("+7", "7"), ("007", "7")]);
        const HINT: &str = "use digits only, from -9223372036854775808 to 9223372036854775807";
        for text in ["", "5x", "abc", "1.5", "1k", "0x10", " 5", "9223372036854775808"] {
            check(parse_int, &[(text, &format!("'{text}' is not a whole number; {HINT}"))]);
        }
    }

    #[test]
    fn a_number_may_have_a_fraction() {
        check(parse_double, &[("5", "5.0"), ("0.5", "0.5"), ("-2", "-2.0"), ("1e3", "1000.0")]);
        for text in ["", "5s", "inf", "nan", "1,5"] {
            let message = format!("'{text}' is not a number; use digits, like 5 or 0.5");
            check(parse_double, &[(text, &message)]);
        }
    }

    #[test]
    fn units_of_size_are_decimal() {
        check(
            parse_size,
            &[
                ("0", "0"),
                ("4096", "4096"),
                ("1k", "1000"),
                ("32KB", "32000"),
                ("5M", "5000000"),
                ("5mb", "5000000"),
                ("2G", "2000000000"),
                ("2Gb", "2000000000"),
                ("1.5k", "1500"),
                ("2.3m", "2300000"),
                ("0.0019k", "1"),
                ("1.9", "1"),
                ("False", "0"),
                ("18446744073.709551615g", "18446744073709551615"),
            ],
        );
        const HINT: &str = "use a number with k, m or g, which are decimal: 1k = 1000";
        let wrong = ["", "k", "-1", "1MiB", "1 k", "1.k", ".5k", "1.2.3k", "1e3", "off", "1t"];
        for text in wrong.into_iter().chain(["18446744073.709551616g", "18446744073709551616"]) {
            check(parse_size, &[(text, &format!("'{text}' is not a size; {HINT}"))]);
        }
    }

    #[test]
    fn a_time_is_seconds_or_has_a_unit() {
        check(
            parse_time,
            &[
                ("0", "0ns"),
                ("90", "90s"),
                ("90s", "90s"),
                ("2m", "120s"),
                ("1H", "3600s"),
                ("1d", "86400s"),
            ],
        );
        const HINT: &str = "use whole seconds, or a whole number with m, h or d: 90, 15m, 2h, 1d";
        for text in ["", "m", "-1", "1.5", "0.5h", "5 m", "1w", "5ms", "999999999999999999d"] {
            check(parse_time, &[(text, &format!("'{text}' is not a time; {HINT}"))]);
        }
    }

    #[test]
    fn a_choice_is_one_of_the_words() {
        const WORDS: [(&str, u8); 3] = [("json", 1), ("Regex", 2), ("ltsv", 3)];
        check(
            |text| parse_word(text, &WORDS),
            &[
                ("json", "1"),
                ("REGEX", "2"),
                ("jsno", "'jsno' is not one of the known words; did you mean 'json'?"),
                ("xml", "'xml' is not one of the known words; use one of json, Regex, ltsv"),
            ],
        );
    }

    #[test]
    fn commas_separate() {
        check(
            |text| Ok(parse_clist(text)),
            &[
                ("", "[]"),
                ("a", "[\"a\"]"),
                (" a ,b c,, d,", "[\"a\", \"b c\", \"d\"]"),
                ("\"a,b\"", "[\"\\\"a\", \"b\\\"\"]"),
            ],
        );
    }

    #[test]
    fn blanks_separate_outside_quotes() {
        check(
            |text| parse_slist(text, None),
            &[
                ("", "[]"),
                ("  a   b ", "[\"a\", \"b\"]"),
                ("a\tb", "[\"a\\tb\"]"),
                (r#""a b" c"#, "[\"a b\", \"c\"]"),
                (r#""" x"#, "[\"\", \"x\"]"),
                (r#""a \" \d b""#, r#"["a \" \\d b"]"#),
                (r#"a"b c"d"#, r#"["a\"b", "c\"d"]"#),
                (
                    r#"a "b c"#,
                    r#"'"b c' is not a closed quotation; end it with a double quote, and write \" for one inside"#,
                ),
            ],
        );
    }

    #[test]
    fn the_last_of_so_many_splits_keeps_the_rest() {
        check(
            |text| parse_slist(text, Some(1)),
            &[
                ("key", "[\"key\"]"),
                ("key  a  b ", "[\"key\", \"a  b\"]"),
                (r#""my key" "a" b"#, r#"["my key", "\"a\" b"]"#),
                (r#"key "open"#, r#"["key", "\"open"]"#),
            ],
        );
    }
}
