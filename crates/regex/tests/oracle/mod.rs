//! What must hold of any regular expression on any text: what is found is what the library finds. The fuzz target uses this too.

use flb_regex::{Groups, Regex};

/// The first line is a pattern; it is tried on each of the others, and on all of them as one text.
pub(crate) fn check(data: &[u8]) {
    let (pattern, text) = match data.iter().position(|byte| *byte == b'\n') {
        Some(end) => (&data[..end], &data[end + 1..]),
        None => (data, &data[..0]),
    };
    let pattern = String::from_utf8_lossy(pattern);
    let Ok(regex) = Regex::new(&pattern) else { return };
    for line in text.split(|byte| *byte == b'\n').chain([text]) {
        check_text(&pattern, &regex, line);
    }
}

/// Compares each group. Where the library takes too many steps, anything may be found.
pub(crate) fn check_text(pattern: &str, regex: &Regex, text: &[u8]) {
    let Ok(expected) = regex.ask_library(text) else { return };
    let found = regex.find(text).expect("the library would have found it");
    let all = |groups: &Option<Groups<'_>>| groups.as_ref().map(ranges);
    if all(&found) != all(&expected) && !is_an_answer(pattern, text, &all(&found)) {
        let (found, expected) = (all(&found), all(&expected));
        assert_eq!(found, expected, "{pattern:?} on b\"{}\"", text.escape_ascii());
    }
    assert_eq!(
        regex.is_match(text),
        Ok(found.is_some()),
        "{pattern:?} on b\"{}\"",
        text.escape_ascii()
    );
}

/// Whether the library finds this at first, or after other texts: what it was asked before changes which turn of a loop it finds
/// last, once in some ten thousand random patterns.
fn is_an_answer(pattern: &str, text: &[u8], found: &Option<Vec<Range>>) -> bool {
    let fresh = Regex::new(pattern).expect("it is a pattern");
    let before = text.split(|byte| *byte == b'\n');
    let mut answers = [text].into_iter().chain(before).chain([text]).filter_map(|asked| {
        let answer = fresh.ask_library(asked).ok()?;
        (asked == text).then(|| answer.as_ref().map(ranges))
    });
    answers.any(|answer| answer == *found)
}

type Range = Option<(usize, usize)>;

fn ranges(groups: &Groups<'_>) -> Vec<Range> {
    let range = |group| groups.range(group).map(|range| (range.start, range.end));
    (0..48).map(range).collect()
}
