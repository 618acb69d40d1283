//! Times by a format, as strptime reads them: `%Y-%m-%dT%H:%M:%S.%L%z`. The format is taken apart once.

use flb_event::Timestamp;
use jiff::civil::{Date, Time};
use jiff::tz::{Offset, TimeZone};

use super::zone_names::minutes_of;

/// A format of times.
#[derive(Debug, Clone)]
pub(super) struct TimeFormat {
    parts: Vec<Part>,
    zone: Zone,
    says_year: bool,
    /// The first conversion that is not known, with its `%`. No text has what it asks for.
    unknown: Option<String>,
}

/// The zone of times that name none.
#[derive(Debug, Clone)]
pub(super) enum Zone {
    /// So many seconds east of UTC.
    Offset(i64),
    /// A place with its own rules.
    Named(TimeZone),
}

impl Zone {
    /// The instant of a local time, which is in seconds since the local 1970.
    fn instant(&self, local: i64) -> Option<i64> {
        match self {
            Self::Offset(offset) => Some(local - offset),
            Self::Named(zone) => {
                let local = Offset::UTC.to_datetime(jiff::Timestamp::from_second(local).ok()?);
                Some(zone.to_timestamp(local).ok()?.as_second())
            }
        }
    }

    /// The date at an instant.
    fn date(&self, now: Timestamp) -> Option<Date> {
        let sec = i64::from(now.sec);
        Some(match self {
            Self::Offset(offset) => {
                Offset::UTC.to_datetime(jiff::Timestamp::from_second(sec + offset).ok()?).date()
            }
            Self::Named(zone) => zone.to_datetime(jiff::Timestamp::from_second(sec).ok()?).date(),
        })
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Part {
    /// This very byte.
    Byte(u8),
    /// Blanks, as many as there are.
    Blanks,
    Field(Field),
    /// Nothing can stand here.
    Never,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Field {
    Century,
    Year,
    ShortYear,
    Month,
    MonthName,
    Day,
    DayOfYear,
    Hour,
    Hour12,
    Half,
    Minute,
    Second,
    Fraction,
    Epoch,
    Zone,
    ZoneName,
    WeekdayName,
    /// A number that says nothing new, of at most this many digits: a week, a weekday.
    Number(u8),
}

impl TimeFormat {
    /// Takes a format apart. `zone` is for times without one.
    pub(super) fn new(format: &str, zone: Zone) -> Self {
        let mut parts = Vec::new();
        let unknown = take_apart(format, &mut parts).err();
        let says_year = parts
            .iter()
            .any(|part| matches!(part, Part::Field(Field::Year | Field::ShortYear | Field::Epoch)));
        Self { parts, zone, says_year, unknown }
    }

    /// The first conversion that is not known. With one, no time is understood as a whole.
    pub(super) fn unknown(&self) -> Option<&str> {
        self.unknown.as_deref()
    }

    /// Reads a time. Whether the text has the whole format comes with it; if it has not, the time is what was read so far,
    /// with the rest from the start of 1970. `None` if there is no such time. What follows the time is not looked at.
    ///
    /// A format without a year means the last such day before `now`, give or take a day; what else it leaves open is today's.
    pub(super) fn parse(&self, text: &[u8], now: Timestamp) -> (Option<Timestamp>, bool) {
        let mut reading = Reading::new(text);
        if !self.says_year
            && let Some(today) = self.zone.date(now)
        {
            reading.year = today.year().into();
            reading.month = today.month().into();
            reading.day = today.day().into();
        }
        let is_whole = self.parts.iter().all(|part| reading.read(*part).is_some());
        let time = reading.time(&self.zone);
        let is_ahead = time.is_some_and(|time| time.sec > now.sec.saturating_add(86_400));
        if !self.says_year && is_ahead {
            reading.year -= 1;
            return (reading.time(&self.zone).or(time), is_whole);
        }
        (time, is_whole)
    }
}

/// Takes a format apart, up to the first conversion that is not known.
fn take_apart(format: &str, parts: &mut Vec<Part>) -> Result<(), String> {
    let mut letters = format.chars();
    while let Some(letter) = letters.next() {
        if letter.is_ascii_whitespace() {
            parts.push(Part::Blanks);
        } else if letter != '%' {
            parts.extend(letter.encode_utf8(&mut [0; 4]).bytes().map(Part::Byte));
        } else {
            // The modifiers E and O mean other forms in some languages; not in English.
            let conversion = letters.find(|letter| !matches!(letter, 'E' | 'O'));
            let known = conversion.ok_or("%".to_owned()).and_then(|letter| convert(letter, parts));
            known.inspect_err(|_| parts.push(Part::Never))?;
        }
    }
    Ok(())
}

fn convert(conversion: char, parts: &mut Vec<Part>) -> Result<(), String> {
    let field = match conversion {
        '%' => {
            parts.push(Part::Byte(b'%'));
            return Ok(());
        }
        'n' | 't' => {
            parts.push(Part::Blanks);
            return Ok(());
        }
        'c' => return take_apart("%a %b %e %H:%M:%S %Y", parts),
        'D' | 'x' => return take_apart("%m/%d/%y", parts),
        'F' => return take_apart("%Y-%m-%d", parts),
        'R' => return take_apart("%H:%M", parts),
        'r' => return take_apart("%I:%M:%S %p", parts),
        'T' | 'X' => return take_apart("%H:%M:%S", parts),
        'a' | 'A' => Field::WeekdayName,
        'b' | 'B' | 'h' => Field::MonthName,
        'C' => Field::Century,
        'd' | 'e' => Field::Day,
        'G' => Field::Number(4),
        'g' | 'U' | 'V' | 'W' => Field::Number(2),
        'H' | 'k' => Field::Hour,
        'I' | 'l' => Field::Hour12,
        'j' => Field::DayOfYear,
        'L' => Field::Fraction,
        'M' => Field::Minute,
        'm' => Field::Month,
        'p' => Field::Half,
        'S' => Field::Second,
        's' => Field::Epoch,
        'u' | 'w' => Field::Number(1),
        'Y' => Field::Year,
        'y' => Field::ShortYear,
        'Z' => Field::ZoneName,
        'z' => Field::Zone,
        other => return Err(format!("%{other}")),
    };
    parts.push(Part::Field(field));
    Ok(())
}

const MONTHS: &[&str] = &[
    "January",
    "February",
    "March",
    "April",
    "May",
    "June",
    "July",
    "August",
    "September",
    "October",
    "November",
    "December",
];

const WEEKDAYS: &[&str] =
    &["Sunday", "Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday"];

/// Names of zones that `%z` knows beside numbers, with their hours east of UTC.
const ZONES: &[(&str, i64)] = &[
    ("UTC", 0),
    ("GMT", 0),
    ("UT", 0),
    ("EST", -5),
    ("EDT", -4),
    ("CST", -6),
    ("CDT", -5),
    ("MST", -7),
    ("MDT", -6),
    ("PST", -8),
    ("PDT", -7),
    ("Z", 0),
];

/// A time on its way.
struct Reading<'t> {
    rest: &'t [u8],
    century: Option<i64>,
    /// Within the century, if there is one.
    year: i64,
    month: i64,
    day: i64,
    day_of_year: Option<i64>,
    hour: i64,
    /// After noon, or before, on a clock of 12 hours.
    half: Option<i64>,
    minute: i64,
    second: i64,
    nsec: u32,
    epoch: Option<i64>,
    /// Seconds east of UTC, if the time says so.
    offset: Option<i64>,
}

impl<'t> Reading<'t> {
    fn new(text: &'t [u8]) -> Self {
        Self {
            rest: text,
            century: None,
            year: 1970,
            month: 1,
            day: 1,
            day_of_year: None,
            hour: 0,
            half: None,
            minute: 0,
            second: 0,
            nsec: 0,
            epoch: None,
            offset: None,
        }
    }

    /// Reads one part; `None` if something else stands there.
    fn read(&mut self, part: Part) -> Option<()> {
        match part {
            Part::Byte(byte) => self.rest = self.rest.strip_prefix(&[byte])?,
            Part::Blanks => self.rest = self.rest.trim_ascii_start(),
            Part::Field(field) => self.read_field(field)?,
            Part::Never => return None,
        }
        Some(())
    }

    fn read_field(&mut self, field: Field) -> Option<()> {
        match field {
            Field::Century => self.century = Some(self.number(2, 0..=99)?),
            Field::Year => self.year = self.number(4, 0..=9999)?,
            Field::ShortYear => {
                let year = self.number(2, 0..=99)?;
                self.year = year + if year < 69 { 2000 } else { 1900 };
            }
            Field::Month => self.month = self.number(2, 1..=12)?,
            Field::MonthName => self.month = self.name(MONTHS, 3)? + 1,
            Field::Day => self.day = self.number(2, 1..=31)?,
            Field::DayOfYear => self.day_of_year = Some(self.number(3, 1..=366)?),
            Field::Hour => self.hour = self.number(2, 0..=23)?,
            Field::Hour12 => self.hour = self.number(2, 1..=12)?,
            Field::Half => self.half = Some(self.half()?),
            Field::Minute => self.minute = self.number(2, 0..=59)?,
            Field::Second => self.second = self.number(2, 0..=60)?,
            Field::Fraction => self.nsec = self.fraction()?,
            Field::Epoch => self.epoch = Some(self.number(10, 0..=i64::from(u32::MAX))?),
            Field::Zone => self.offset = Some(self.zone()?),
            Field::ZoneName => self.offset = Some(self.zone_name()?),
            Field::WeekdayName => _ = self.name(WEEKDAYS, 3)?,
            Field::Number(digits) => _ = self.number(usize::from(digits), 0..=9999)?,
        }
        Some(())
    }

    /// A number of at most so many digits, perhaps after blanks.
    fn number(&mut self, digits: usize, range: std::ops::RangeInclusive<i64>) -> Option<i64> {
        let text = self.rest.trim_ascii_start();
        let length = text.iter().take(digits).take_while(|byte| byte.is_ascii_digit()).count();
        let (number, rest) = text.split_at(length);
        let number = value(number)?;
        self.rest = rest;
        range.contains(&number).then_some(number)
    }

    /// The digits behind the point: nine count.
    fn fraction(&mut self) -> Option<u32> {
        let length = self.rest.iter().take_while(|byte| byte.is_ascii_digit()).count();
        let (digits, rest) = self.rest.split_at(length);
        let digits = &digits[..length.min(9)];
        self.rest = rest;
        let scale = 10_i64.pow(9 - u32::try_from(digits.len()).ok()?);
        u32::try_from(value(digits)? * scale).ok()
    }

    /// Which of `names` stands here, whole or by its first letters, in any case.
    fn name(&mut self, names: &[&str], letters: usize) -> Option<i64> {
        let (first, behind) = self.rest.split_at_checked(letters)?;
        let first = in_any_case(first);
        let index =
            names.iter().position(|name| in_any_case(&name.as_bytes()[..letters]) == first)?;
        self.take(names[index].as_bytes()).unwrap_or_else(|| self.rest = behind);
        i64::try_from(index).ok()
    }

    /// Takes a word, in any case.
    fn take(&mut self, word: &[u8]) -> Option<()> {
        let (text, rest) = self.rest.split_at_checked(word.len())?;
        if !text.eq_ignore_ascii_case(word) {
            return None;
        }
        self.rest = rest;
        Some(())
    }

    /// Before noon or after. A clock of 12 hours has no hour 13, nor 0 after noon.
    fn half(&mut self) -> Option<i64> {
        let half = self.name(&["AM", "PM"], 2)?;
        (self.hour <= 12).then_some(half)
    }

    /// Seconds east of UTC, by a name as people write it. A number will do.
    fn zone_name(&mut self) -> Option<i64> {
        let text = self.rest.trim_ascii_start();
        let length = text.iter().take_while(|byte| byte.is_ascii_alphanumeric()).count();
        let (name, rest) = text.split_at(length);
        let Some(minutes) = minutes_of(name) else { return self.zone() };
        self.rest = rest;
        Some(minutes * 60)
    }

    /// Seconds east of UTC.
    fn zone(&mut self) -> Option<i64> {
        self.rest = self.rest.trim_ascii_start();
        if let Some((offset, rest)) = numeric_offset(self.rest) {
            self.rest = rest;
            return Some(offset);
        }
        let named = ZONES.iter().find(|(name, _)| self.take(name.as_bytes()).is_some());
        named.map(|(_, hours)| hours * 3600)
    }

    /// The time that was read; `None` if there is no such date, or 32 bits of seconds do not reach it.
    fn time(&self, zone: &Zone) -> Option<Timestamp> {
        let instant = || match self.offset {
            Some(offset) => Some(self.local_seconds()? - offset),
            None => zone.instant(self.local_seconds()?),
        };
        let sec = self.epoch.or_else(instant)?;
        Some(Timestamp { sec: u32::try_from(sec).ok()?, nsec: self.nsec })
    }

    fn local_seconds(&self) -> Option<i64> {
        let year = self.century.map_or(self.year, |century| century * 100 + self.year % 100);
        let (month, day) = self.day_of_year.map_or((self.month, self.day), |_| (1, 1));
        let date = Date::new(
            i16::try_from(year).ok()?,
            i8::try_from(month).ok()?,
            i8::try_from(day).ok()?,
        );
        let midnight = date.ok()?.to_datetime(Time::midnight());
        let midnight = Offset::UTC.to_timestamp(midnight).ok()?.as_second();
        let days = self.day_of_year.map_or(0, |day| day - 1);
        let hour = match self.half {
            // Twelve o'clock comes first.
            Some(half) => self.hour % 12 + half * 12,
            None => self.hour,
        };
        Some(midnight + days * 86_400 + hour * 3600 + self.minute * 60 + self.second)
    }
}

/// A few letters as one number, the same in any case: the bit that makes them small makes nothing else a letter.
fn in_any_case(letters: &[u8]) -> u32 {
    letters.iter().fold(0, |number, letter| number << 8 | u32::from(letter | 0x20))
}

/// The value of digits; none without any.
fn value(digits: &[u8]) -> Option<i64> {
    let number = digits.iter().fold(0, |number, digit| number * 10 + i64::from(digit - b'0'));
    (!digits.is_empty()).then_some(number)
}

/// Seconds east of UTC of a whole text: `Z`, `+02`, `+0200`, `-03:30`.
pub(super) fn offset(text: &str) -> Option<i64> {
    if text.eq_ignore_ascii_case("z") {
        return Some(0);
    }
    let (offset, rest) = numeric_offset(text.as_bytes())?;
    rest.is_empty().then_some(offset)
}

/// Seconds east of UTC, and what follows.
fn numeric_offset(text: &[u8]) -> Option<(i64, &[u8])> {
    let (sign, rest) = match text {
        [b'+', rest @ ..] => (1, rest),
        [b'-', rest @ ..] => (-1, rest),
        _ => return None,
    };
    let two = |text: &[u8]| {
        let digits = text.get(..2).filter(|digits| digits.iter().all(u8::is_ascii_digit));
        digits.and_then(value)
    };
    let hours = two(rest)?;
    let rest = &rest[2..];
    let behind = rest.strip_prefix(b":").unwrap_or(rest);
    match two(behind) {
        Some(minutes) => Some((sign * (hours * 3600 + minutes * 60), &behind[2..])),
        None => Some((sign * hours * 3600, rest)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(format: &str, text: &str, expected: &str) {
        check_in(Zone::Offset(0), "2023-11-14T22:13:20Z", format, text, expected);
    }

    fn check_in(zone: Zone, now: &str, format: &str, text: &str, expected: &str) {
        let format = TimeFormat::new(format, zone);
        let now: jiff::Timestamp = now.parse().unwrap();
        let now = Timestamp { sec: u32::try_from(now.as_second()).unwrap(), nsec: 0 };
        let (time, is_whole) = format.parse(text.as_bytes(), now);
        let shown = time.map_or("none".to_owned(), |time| {
            let date = jiff::Timestamp::from_second(i64::from(time.sec)).unwrap();
            format!("{date} {}", time.nsec)
        });
        let note = if is_whole { "" } else { " in part" };
        assert_eq!(format!("{shown}{note}"), expected, "{text}");
    }

    #[test]
    fn the_usual_formats_are_read() {
        check(
            "%Y-%m-%dT%H:%M:%S.%L%z",
            "2024-02-29T01:02:03.5+02:00",
            "2024-02-28T23:02:03Z 500000000",
        );
        check("%d/%b/%Y:%H:%M:%S %z", "10/Oct/2023:13:55:36 -0700", "2023-10-10T20:55:36Z 0");
        check("%Y-%m-%dT%H:%M:%S", "2023-11-14T22:13:20 more", "2023-11-14T22:13:20Z 0");
        check("%s.%L", "1700000000.123456789999", "2023-11-14T22:13:20Z 123456789");
        check("%c", "Tue Nov 14 22:13:20 2023", "2023-11-14T22:13:20Z 0");
        check("%F %T", "2023-11-14   22:13:20", "2023-11-14T22:13:20Z 0");
        check("%D %r", "11/14/23 10:13:20 PM", "2023-11-14T22:13:20Z 0");
        check("%A, %B %e %Y %I%p", "tuesday, NOVEMBER  4 2023 12am", "2023-11-04T00:00:00Z 0");
        check("%Y-%j", "2024-060", "2024-02-29T00:00:00Z 0");
        check("%C%y %m", "2023 11", "2023-11-01T00:00:00Z 0");
        check("%y%%", "70%", "1970-01-01T00:00:00Z 0");
        check("%G-W%V-%u %Y", "2023-W01-1 2023", "2023-01-01T00:00:00Z 0");
        check("%Y-%m-%d %H:%M:%S", "2016-12-31 23:59:60", "2017-01-01T00:00:00Z 0");
    }

    #[test]
    fn zones_have_names_and_numbers() {
        for zone in ["Z", "UTC", "gmt", "UT", "+0000", "-00:00", "+00"] {
            check("%Y %H%z", &format!("2023 05{zone}"), "2023-01-01T05:00:00Z 0");
        }
        check("%Y %H %Z", "2023 05 EST", "2023-01-01T10:00:00Z 0");
        check("%Y %H%z x", "2023 05-0330 x", "2023-01-01T08:30:00Z 0");
        check("%Y %H%z", "2023 05CEST", "2023-01-01T05:00:00Z 0 in part");
    }

    #[test]
    fn zones_have_the_names_that_people_write() {
        for (zone, time) in [
            ("UTC", "12:00:00Z 0"),
            ("CEST", "10:00:00Z 0"),
            ("cet", "11:00:00Z 0"),
            ("NST", "15:30:00Z 0"),
            ("NPT", "06:15:00Z 0"),
            ("IST", "06:30:00Z 0"),
            ("AEDT", "01:00:00Z 0"),
            ("A", "11:00:00Z 0"),
            ("M, x", "00:00:00Z 0"),
            ("n", "13:00:00Z 0"),
            ("X", "23:00:00Z 0"),
            ("+0200", "10:00:00Z 0"),
            ("J", "12:00:00Z 0 in part"),
            ("CESTX", "12:00:00Z 0 in part"),
            ("MESZ", "12:00:00Z 0 in part"),
        ] {
            check("%F %H %Z", &format!("2023-01-01 12 {zone}"), &format!("2023-01-01T{time}"));
        }
    }

    #[test]
    fn the_half_of_the_day_goes_with_either_clock() {
        let check = |format: &str, time: &str, expected: &str| {
            let (format, text) = (format!("%F {format}"), format!("2023-01-01 {time}"));
            check(&format, &text, &format!("2023-01-01T{expected}"));
        };
        for format in ["%H:%M:%S %p", "%I:%M:%S %p", "%T %p", "%X %p", "%k:%M:%S %p", "%r"] {
            check(format, "12:05:00 PM", "12:05:00Z 0");
            check(format, "12:05:00 AM", "00:05:00Z 0");
            check(format, "01:05:00 pm", "13:05:00Z 0");
            check(format, "11:05:00 AM", "11:05:00Z 0");
        }
        check("%H:%M %p", "13:05 PM", "13:05:00Z 0 in part");
        check("%H:%M %p", "13:05 AM", "13:05:00Z 0 in part");
        check("%p %H:%M", "PM 01:05", "13:05:00Z 0");
        check("%I:%M", "12:30", "12:30:00Z 0");
        check("%l:%M", "1:30", "01:30:00Z 0");
    }

    #[test]
    fn digits_of_a_second_are_kept_as_they_are() {
        for (digits, nsec) in [
            ("53414", 534_140_000),
            ("53413", 534_130_000),
            ("1", 100_000_000),
            ("000000001", 1),
            ("123456789", 123_456_789),
            ("9999999999", 999_999_999),
        ] {
            let text = format!("2021-02-01T01:40:03.{digits}Z");
            check("%Y-%m-%dT%H:%M:%S.%L%z", &text, &format!("2021-02-01T01:40:03Z {nsec}"));
            check(
                "%s.%L",
                &format!("1612143603.{digits}"),
                &format!("2021-02-01T01:40:03Z {nsec}"),
            );
        }
    }

    #[test]
    fn what_was_read_before_something_else_is_kept() {
        check("%Y-%m-%d", "2023-11", "2023-11-01T00:00:00Z 0 in part");
        check("%Y-%m-%d", "", "1970-01-01T00:00:00Z 0 in part");
        check("%Y %H", "2023 24", "2023-01-01T00:00:00Z 0 in part");
    }

    #[test]
    fn there_are_dates_that_are_none() {
        check("%Y-%m-%d", "2023-02-29", "none");
        check("%Y", "1969", "none");
        check("%Y", "2107", "none");
    }

    #[test]
    fn a_conversion_that_is_not_known_is_never_there() {
        let unknown =
            |format| TimeFormat::new(format, Zone::Offset(0)).unknown().map(str::to_owned);
        for (format, first) in [
            ("%Y %", "%"),
            ("%Y %Q%N", "%Q"),
            ("%N", "%N"),
            ("%f", "%f"),
            ("%:z", "%:"),
            ("%6N", "%6"),
        ] {
            assert_eq!(unknown(format), Some(first.to_owned()), "{format}");
        }
        assert_eq!(unknown("%Y-%m-%dT%H:%M:%S.%L%z"), None);
        check("%Y.%N", "2023.123", "2023-01-01T00:00:00Z 0 in part");
    }

    #[test]
    fn a_date_without_a_year_is_the_last_one() {
        let utc = || Zone::Offset(0);
        let format = "%b %d %H:%M:%S";
        let check = |now, text, expected| check_in(utc(), now, format, text, expected);
        check("2024-03-01T12:00:00Z", "Feb 29 11:00:00", "2024-02-29T11:00:00Z 0");
        check("2024-03-01T12:00:00Z", "Mar  2 11:00:00", "2024-03-02T11:00:00Z 0");
        check("2024-03-01T12:00:00Z", "Mar  3 11:00:00", "2023-03-03T11:00:00Z 0");
        check("2024-01-01T00:00:05Z", "Dec 31 23:59:59", "2023-12-31T23:59:59Z 0");
        check_in(utc(), "2024-03-01T12:00:00Z", "%H:%M", "07:30", "2024-03-01T07:30:00Z 0");
        let west = Zone::Offset(-3600);
        check_in(west, "2024-01-01T00:30:00Z", "%H:%M", "23:10", "2024-01-01T00:10:00Z 0");
    }

    #[test]
    fn a_zone_may_have_rules_of_its_own() {
        let Ok(vienna) = TimeZone::posix("CET-1CEST,M3.5.0,M10.5.0/3") else { panic!("a zone") };
        let check = |text, expected| {
            let zone = Zone::Named(vienna.clone());
            check_in(zone, "2024-01-01T00:00:00Z", "%Y-%m-%d %H", text, expected);
        };
        check("2024-01-01 12", "2024-01-01T11:00:00Z 0");
        check("2024-07-01 12", "2024-07-01T10:00:00Z 0");
    }

    #[test]
    fn offsets_are_whole_texts() {
        assert_eq!(offset("+0200"), Some(7200));
        assert_eq!(offset("-03:30"), Some(-12_600));
        assert_eq!(offset("z"), Some(0));
        for text in ["", "2", "+2", "+0200x", "0200"] {
            assert_eq!(offset(text), None, "{text}");
        }
    }
}
