//! A record's time, and its text.

use crate::write::{Encode, Writer};

/// When a record happened.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Time {
    /// Seconds since 1970.
    pub sec: u32,
    /// Nanoseconds, less than 1,000,000,000.
    pub nsec: u32,
}

/// What [`Time::rfc3339`] makes.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Rfc3339([u8; 30]);

impl Time {
    /// The time in words, by RFC 3339 and in UTC: a text of 30 letters.
    ///
    /// ```
    /// let time = flb_filter::Time { sec: 1_795_355_380, nsec: 917_655_454 };
    /// assert_eq!(&*time.rfc3339(), b"2026-11-22T13:49:40.917655454Z");
    /// ```
    pub fn rfc3339(self) -> Rfc3339 {
        // A year is taken to begin in March, so that the leap day is its last: then 400 years are always 146,097 days,
        // and the months before a month have (153 * month + 2) / 5.
        let Self { sec, nsec } = self;
        let days = sec / 86_400 + 719_468;
        let (era, day) = (days / 146_097, days % 146_097);
        let year = (day - day / 1_460 + day / 36_524 - day / 146_096) / 365;
        let day = day - (365 * year + year / 4 - year / 100);
        let month = (5 * day + 2) / 153;
        let day = day - (153 * month + 2) / 5 + 1;
        let year = era * 400 + year;
        let (year, month) = if month < 10 { (year, month + 3) } else { (year + 1, month - 9) };

        let mut text = *b"0000-00-00T00:00:00.000000000Z";
        let mut rest = &mut text[..];
        for (width, number) in [
            (4, year),
            (2, month),
            (2, day),
            (2, sec / 3_600 % 24),
            (2, sec / 60 % 60),
            (2, sec % 60),
            (9, nsec),
        ] {
            let Some((digits, behind)) = rest.split_at_mut_checked(width) else { break };
            let mut left = number;
            for digit in digits.iter_mut().rev() {
                *digit = b'0' + (left % 10) as u8;
                left /= 10;
            }
            rest = behind.get_mut(1..).unwrap_or_default();
        }
        Rfc3339(text)
    }
}

impl core::ops::Deref for Rfc3339 {
    type Target = [u8];
    fn deref(&self) -> &[u8] {
        &self.0
    }
}

impl AsRef<[u8]> for Rfc3339 {
    fn as_ref(&self) -> &[u8] {
        &self.0
    }
}

impl Encode for Rfc3339 {
    fn encode(self, to: &mut Writer<'_>) {
        crate::Text(&self.0).encode(to);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::format;

    #[test]
    fn days_are_dated() {
        for (sec, date) in [
            (0, "1970-01-01T00:00:00"),
            (951_782_400, "2000-02-29T00:00:00"),
            (1_795_355_380, "2026-11-22T13:49:40"),
            (u32::MAX, "2106-02-07T06:28:15"),
        ] {
            let text = Time { sec, nsec: 7 }.rfc3339();
            assert_eq!(core::str::from_utf8(&text).unwrap(), format!("{date}.000000007Z"));
        }
    }
}
