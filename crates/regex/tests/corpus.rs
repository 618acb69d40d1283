//! The matcher and the library find the same: in every file of `tests/corpus` (a pattern and lines; a fuzzer's find becomes one),
//! in lines that programs write, mutated, by all patterns of the corpus, the packaged parsers and the tests' configurations, and
//! in random texts by random patterns.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod oracle;

use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};

use flb_regex::Regex;

/// Numbers that are the same in every run.
struct Random(u64);

impl Random {
    fn below(&mut self, end: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 % end as u64) as usize
    }

    fn one_of<'a, T: ?Sized>(&mut self, all: &[&'a T]) -> &'a T {
        all[self.below(all.len())]
    }

    /// A place in a text and one behind it.
    fn part(&mut self, text: &[u8]) -> std::ops::Range<usize> {
        let start = self.below(text.len() + 1);
        start..start + self.below((text.len() - start).min(12) + 1)
    }
}

/// A pattern and lines that it is for.
#[derive(Clone)]
struct Subject {
    pattern: String,
    lines: Vec<Vec<u8>>,
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).ancestors().nth(2).unwrap().to_owned()
}

/// Every pattern of the configurations in a folder and below, to be tried on everything.
fn configured(folder: &Path) -> Vec<Subject> {
    let mut subjects = Vec::new();
    let mut entries: Vec<PathBuf> =
        fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    entries.sort();
    for path in entries {
        if path.is_dir() {
            subjects.extend(configured(&path));
        } else if path.extension().is_some_and(|extension| extension == "conf") {
            let text = String::from_utf8_lossy(&fs::read(path).unwrap()).into_owned();
            let words = text.lines().filter_map(|line| line.trim().split_once(char::is_whitespace));
            let patterns = words.filter(|(key, _)| key.eq_ignore_ascii_case("regex"));
            subjects.extend(patterns.map(|(_, pattern)| Subject {
                pattern: pattern.trim().to_owned(),
                lines: Vec::new(),
            }));
        }
    }
    subjects
}

/// The packaged parsers of format regex, each with the lines that its test has.
fn packaged() -> Vec<Subject> {
    let parsers = fs::read_to_string(root().join("packaging/parsers.conf")).unwrap();
    let value = |section: &str, key: &str| {
        let mut lines =
            section.lines().filter_map(|line| line.trim().split_once(char::is_whitespace));
        lines.find(|(name, _)| *name == key).map(|(_, value)| value.trim().to_owned())
    };
    let subject = |section: &str| {
        let name = value(section, "Name")?;
        let lines = fs::read(root().join(format!("tests/parsers/{name}.log"))).unwrap();
        let lines = lines.split(|byte| *byte == b'\n').map(<[u8]>::to_vec).collect();
        Some(Subject { pattern: value(section, "Regex")?, lines })
    };
    parsers.split("[PARSER]").skip(1).filter_map(subject).collect()
}

/// The files of the corpus.
fn corpus() -> Vec<Subject> {
    let files = flb_testkit::corpus(&root().join("crates/regex/tests/corpus"));
    let subject = |(_, data): (PathBuf, Vec<u8>)| {
        let mut lines = data.split(|byte| *byte == b'\n').map(<[u8]>::to_vec);
        let pattern = String::from_utf8_lossy(&lines.next().unwrap()).into_owned();
        Subject { pattern, lines: lines.collect() }
    };
    files.into_iter().map(subject).collect()
}

/// Changes a line as a program never would: bytes, parts of it, parts of another.
fn mutate(random: &mut Random, line: &mut Vec<u8>, other: &[u8]) {
    const PIECES: [&[u8]; 9] =
        [b"\n", b" ", b"\"", "é".as_bytes(), b"\xff", b"[", b"a", b"12", b"\xe2\x82"];
    let part = random.part(line);
    match random.below(5) {
        0 => drop(line.drain(part)),
        1 => {
            let piece = line[part.clone()].to_vec();
            line.splice(part.end..part.end, piece);
        }
        2 => drop(line.splice(part, other[random.part(other)].to_vec())),
        3 => drop(line.splice(part.start..part.start, random.one_of(&PIECES).to_vec())),
        _ => line
            .iter_mut()
            .skip(part.start)
            .take(1)
            .for_each(|byte| *byte = random.below(256) as u8),
    }
}

/// Tries each pattern on so many mutated lines.
fn try_mutated(count: usize) {
    let mut subjects = [packaged(), corpus(), configured(&root().join("tests"))].concat();
    assert!(subjects.len() > 60, "{}", subjects.len());
    let all: Vec<Vec<u8>> = subjects.iter().flat_map(|subject| subject.lines.clone()).collect();
    subjects.iter_mut().filter(|subject| subject.lines.is_empty()).for_each(|subject| {
        subject.lines.clone_from(&all);
    });
    let mut random = Random(0x1357_9bdf_2468_ace0);
    for Subject { pattern, lines } in &subjects {
        let Ok(regex) = Regex::new(pattern) else { continue };
        for _ in 0..count {
            let mut line = lines[random.below(lines.len())].clone();
            for _ in 0..random.below(4) {
                let other = &all[random.below(all.len())];
                mutate(&mut random, &mut line, other);
            }
            oracle::check_text(pattern, &regex, &line);
        }
    }
}

/// A pattern of few letters, so that it is often found in texts of the same.
fn pattern(random: &mut Random) -> String {
    let mut text = random.one_of(&["", "", "^", "^", r"\A", "(?i)", "/^"]).to_owned();
    let is_delimited = text.starts_with('/');
    let (mut groups, depth) = (0, 2);
    either(random, &mut text, &mut groups, depth);
    text.push_str(random.one_of(&["", "", "$", r"\z"]));
    if is_delimited {
        text.push_str(random.one_of(&["/i", "/m", "/mi", "/"]));
    }
    text
}

fn either(random: &mut Random, text: &mut String, groups: &mut usize, depth: usize) {
    for branch in 0..1 + random.below(4) / 2 {
        text.push_str(if branch > 0 { "|" } else { "" });
        for _ in 0..random.below(5) {
            part(random, text, groups, depth);
        }
    }
}

fn part(random: &mut Random, text: &mut String, groups: &mut usize, depth: usize) {
    const PLACES: [&str; 6] = ["^", "$", r"\b", r"\B", r"\A", r"\z"];
    const LETTERS: [&str; 20] = [
        "a", "b", "ab", " ", r"\d", r"\w", r"\s", r"\S", ".", "[ab]", "[^a]", "[^ ]", r"[^\n]",
        r"\n", "é", "[é]", "[^é]", "k", r"\xff", r"[\w-]",
    ];
    match random.below(if depth > 0 { 12 } else { 9 }) {
        0 => return text.push_str(random.one_of(&PLACES)),
        1..9 => text.push_str(random.one_of(&LETTERS)),
        9 => {
            *groups += 1;
            write!(text, "(?<g{groups}>").unwrap();
        }
        _ => text.push_str(random.one_of(&["(?:", "(?:", "(", "(?>", "(?=", "(?<!"])),
    }
    if text.ends_with("(?:") || text.ends_with(['>', '=', '!']) || text.ends_with('(') {
        either(random, text, groups, depth - 1);
        text.push(')');
    }
    const TIMES: [&str; 16] = [
        "", "", "", "", "*", "+", "?", "*?", "+?", "??", "{2}", "{1,3}", "{0,2}?", "{2,}", "{1,}?",
        "*+",
    ];
    text.push_str(random.one_of(&TIMES));
}

fn text(random: &mut Random) -> Vec<u8> {
    const PIECES: [&[u8]; 12] =
        [b"a", b"a", b"b", b"b", b" ", b"1", b"\n", b"K", "é".as_bytes(), b"\xff", b"\xc3", b"-"];
    (0..random.below(14)).flat_map(|_| random.one_of(&PIECES)).copied().collect()
}

/// Tries so many random patterns.
fn try_random(count: usize) {
    let mut random = Random(0xfeed_beef_0123_4567);
    for _ in 0..count {
        let pattern = pattern(&mut random);
        let Ok(regex) = Regex::new(&pattern) else { continue };
        for _ in 0..24 {
            oracle::check_text(&pattern, &regex, &text(&mut random));
        }
    }
}

#[test]
fn what_is_found_is_what_the_library_finds() {
    flb_testkit::replay(&root().join("crates/regex/tests/corpus"), oracle::check);
}

#[test]
fn mutated_lines_are_read_as_the_library_reads_them() {
    try_mutated(150);
}

#[test]
fn random_patterns_find_what_the_library_finds() {
    try_random(3_000);
}

/// Some minutes.
#[test]
#[ignore = "slow: millions of lines"]
fn mutated_lines_are_read_as_the_library_reads_them_by_the_million() {
    try_mutated(100_000);
}

/// Some minutes.
#[test]
#[ignore = "slow: a million patterns"]
fn random_patterns_find_what_the_library_finds_by_the_million() {
    try_random(1_000_000);
}
