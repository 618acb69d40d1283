//! The names of time zones that `%Z` knows: those that people write, which are not the names of places.

/// Names, with their minutes east of UTC.
const ZONE_NAMES: &[(&str, i64)] = &[
    ("GMT", 0),
    ("UTC", 0),
    ("Z", 0),
    ("UT", 0),
    ("EST", -300),
    ("EDT", -240),
    ("CST", -360),
    ("CDT", -300),
    ("MST", -420),
    ("MDT", -360),
    ("PST", -480),
    ("PDT", -420),
    ("AKST", -540),
    ("AKDT", -480),
    ("HST", -600),
    ("HADT", -540),
    ("AST", -240),
    ("ADT", -180),
    ("NST", -210),
    ("NDT", -150),
    ("WET", 0),
    ("WEST", 60),
    ("CET", 60),
    ("CEST", 120),
    ("EET", 120),
    ("EEST", 180),
    ("MSK", 180),
    ("ART", -180),
    ("BRT", -180),
    ("BRST", -120),
    ("CLT", -240),
    ("CLST", -180),
    ("AEST", 600),
    ("AEDT", 660),
    ("ACST", 570),
    ("ACDT", 630),
    ("AWST", 480),
    ("NZST", 720),
    ("NZDT", 780),
    ("JST", 540),
    ("KST", 540),
    ("SGT", 480),
    ("IST", 330),
    ("GST", 240),
    ("ICT", 420),
    ("WIB", 420),
    ("WITA", 480),
    ("WIT", 540),
    ("MYT", 480),
    ("BDT", 360),
    ("NPT", 345),
    ("WAT", 60),
    ("CAT", 120),
    ("EAT", 180),
    ("SAST", 120),
];

/// Zones that are named by letters: 1 to 12 hours east of UTC, and 1 to 12 hours west of it. `Z` is UTC, `J` none.
const EASTERN: &[u8] = b"ABCDEFGHIKLM";
const WESTERN: &[u8] = b"NOPQRSTUVWXY";

/// Minutes east of UTC of a zone's name, in any case.
pub(super) fn minutes_of(name: &[u8]) -> Option<i64> {
    let hours = |letters: &[u8]| {
        let letter = letters.iter().position(|letter| name.eq_ignore_ascii_case(&[*letter]))?;
        i64::try_from(letter + 1).ok()
    };
    let named = ZONE_NAMES.iter().find(|(known, _)| name.eq_ignore_ascii_case(known.as_bytes()));
    named
        .map(|(_, minutes)| *minutes)
        .or_else(|| Some(hours(EASTERN)? * 60))
        .or_else(|| Some(hours(WESTERN)? * -60))
}
