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
    if all(&found) != all(&expected) {
        // Once in some hundred thousand random patterns the library finds another turn of a loop after other texts than at first.
        let fresh = Regex::new(pattern).expect("it is a pattern");
        let expected = fresh.ask_library(text).expect("it took few steps before");
        assert_eq!(all(&found), all(&expected), "{pattern:?} on b\"{}\"", text.escape_ascii());
    }
    assert_eq!(
        regex.is_match(text),
        Ok(found.is_some()),
        "{pattern:?} on b\"{}\"",
        text.escape_ascii()
    );
}

fn ranges(groups: &Groups<'_>) -> Vec<Option<(usize, usize)>> {
    let range = |group| groups.range(group).map(|range| (range.start, range.end));
    (0..48).map(range).collect()
}
