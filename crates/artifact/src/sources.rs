//! Which lines of which files code was made from.

use serde::{Deserialize, Serialize};

/// The files that code was made from. Their lines are counted as those of one text, file behind file, so that one number is a
/// file and a line.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Sources(Vec<Source>);

/// A file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Source {
    path: String,
    /// As many as code comes from: up to the last such line.
    lines: u32,
}

/// Most lines in all: any two of their numbers have a difference of 32 bits.
const MOST: u32 = i32::MAX.cast_unsigned();

impl Sources {
    /// Whether nothing is known.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Adds a file, and says which number its first line has; nothing if there are too many lines.
    pub fn add(&mut self, path: String, lines: u32) -> Option<u32> {
        let first: u32 = self.0.iter().map(|source| source.lines).sum();
        first.checked_add(lines).filter(|end| *end <= MOST)?;
        self.0.push(Source { path, lines });
        Some(first)
    }

    /// The file and line with this number, such as `src/lib.rs:12`.
    pub fn place(&self, number: u32) -> Option<String> {
        let mut line = number;
        for source in &self.0 {
            match line.checked_sub(source.lines) {
                Some(rest) => line = rest,
                None => return Some(format!("{}:{}", source.path, line + 1)),
            }
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_is_a_line_of_a_file() {
        let mut sources = Sources::default();
        assert_eq!(sources.add("a.c".to_owned(), 3), Some(0));
        assert_eq!(sources.add("b.c".to_owned(), 2), Some(3));
        let places = [Some("a.c:1"), Some("a.c:3"), Some("b.c:1"), Some("b.c:2"), None, None];
        for (number, place) in [0, 2, 3, 4, 5, u32::MAX].into_iter().zip(places) {
            assert_eq!(sources.place(number).as_deref(), place);
        }
        assert_eq!(sources.add("c.c".to_owned(), MOST), None);
    }
}
