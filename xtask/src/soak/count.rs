//! What a receiver has of numbered lines.

use std::fmt;
use std::fs::File;
use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};

use anyhow::Result;

/// What became of all lines.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Counts {
    pub(super) lost: usize,
    twice: usize,
    /// Came for the first time behind a later line.
    pub(super) late: usize,
    /// Are no lines as they were written.
    pub(super) torn: usize,
}

impl fmt::Display for Counts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { lost, twice, late, torn } = self;
        write!(f, "{lost} lost, {twice} came again, {late} out of order, {torn} torn")
    }
}

impl Counts {
    pub(super) fn add(&mut self, other: &Self) {
        self.lost += other.lost;
        self.twice += other.twice;
        self.late += other.late;
        self.torn += other.torn;
    }
}

/// Looks for the lines 0 to `lines` in the file; one that is not there has none of them.
pub(super) fn count(path: &Path, lines: usize) -> Result<Counts> {
    match File::open(path) {
        Ok(file) => count_in(BufReader::new(file), lines),
        Err(_) => Ok(Counts { lost: lines, ..Counts::default() }),
    }
}

/// The same in several files, of which each has a part.
pub(super) fn count_in_all(paths: &[PathBuf], lines: usize) -> Result<Counts> {
    let files = paths.iter().filter_map(|path| File::open(path).ok());
    let none: Box<dyn Read> = Box::new(std::io::empty());
    let all = files.fold(none, |before, file| Box::new(before.chain(file)));
    count_in(BufReader::new(all), lines)
}

fn count_in(received: impl BufRead, lines: usize) -> Result<Counts> {
    let mut seen = vec![0_u32; lines];
    let mut counts = Counts::default();
    let mut latest = 0;
    for line in received.split(b'\n') {
        let line = line?;
        let found: Vec<usize> = numbers(&line).filter(|number| *number < lines).collect();
        // Who is killed while it writes leaves a piece of a line, and the next one writes behind it.
        counts.torn += usize::from(found.len() != 1);
        for number in found {
            seen[number] += 1;
            counts.late += usize::from(seen[number] == 1 && number < latest);
            latest = latest.max(number);
        }
    }
    counts.lost = seen.iter().filter(|times| **times == 0).count();
    counts.twice = seen.iter().map(|times| times.saturating_sub(1) as usize).sum();
    Ok(counts)
}

/// The number of a line in what the agents made of it; of several, if they stand in one.
fn numbers(line: &[u8]) -> impl Iterator<Item = usize> {
    let text = std::str::from_utf8(line).unwrap_or_default();
    text.split("line ").skip(1).filter_map(|rest| rest.split_once('.')?.0.parse().ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_line_is_looked_for_and_what_is_odd_is_counted() {
        let received = r#"{"log":"line 0. ="}
{"log":"line 2. ="}
{"log":"line 1. ="}
{"log":"line 2. ="}
{"log":"li
{"log":"line 9. ="}
"#;
        let counts = count_in(received.as_bytes(), 5).unwrap();
        assert_eq!(counts, Counts { lost: 2, twice: 1, late: 1, torn: 2 });
    }

    #[test]
    fn what_is_written_behind_a_piece_of_a_line_counts() {
        let received =
            "{\"log\":\"li{\"log\":\"line 0. =\"}\n{\"log\":\"line 1. ={\"log\":\"line 2. =\"}\n";
        let counts = count_in(received.as_bytes(), 3).unwrap();
        assert_eq!(counts, Counts { torn: 1, ..Counts::default() });
    }
}
