//! Two lists of lines, and where they differ, in colours.

use anstyle::{AnsiColor, Style};

use crate::output::Line;

/// How a line looks that was there before, or was wanted; how one looks that came.
const OLD: Style = AnsiColor::Red.on_default();
const NEW: Style = AnsiColor::Green.on_default();
/// How lines look that are the same.
const SAME: Style = Style::new();

/// The lines that differ, those of `old` with a minus, those of `new` with a plus. Of lines at the same place that have a beginning and
/// an end in common, what is between stands out.
pub(crate) fn differences(old: &[String], new: &[String]) -> Vec<Line> {
    let mut lines = Vec::new();
    for at in 0..old.len().max(new.len()) {
        match (old.get(at), new.get(at)) {
            (Some(old), Some(new)) if old == new => {
                lines.push(Line::of(SAME, format!("    {old}")))
            }
            (Some(old), Some(new)) => {
                let (start, end) = in_common(old, new);
                lines.push(marked(OLD, "  - ", old, (start, end)));
                lines.push(marked(NEW, "  + ", new, (start, end)));
            }
            (Some(old), None) => lines.push(Line::of(OLD, format!("  - {old}"))),
            (None, Some(new)) => lines.push(Line::of(NEW, format!("  + {new}"))),
            (None, None) => {}
        }
    }
    lines
}

/// Bytes that both begin and end with.
fn in_common(old: &str, new: &str) -> (usize, usize) {
    let same = |(old, new): &(char, char)| old == new;
    let bytes = |(letter, _): (char, char)| letter.len_utf8();
    let start: usize = old.chars().zip(new.chars()).take_while(same).map(bytes).sum();
    let (old, new) = (&old[start..], &new[start..]);
    let end = old.chars().rev().zip(new.chars().rev()).take_while(same).map(bytes).sum();
    (start, end)
}

fn marked(style: Style, sign: &str, text: &str, (start, end): (usize, usize)) -> Line {
    let (first, rest) = text.split_at(start);
    let (middle, last) = rest.split_at(rest.len() - end);
    Line::of(style, format!("{sign}{first}")).and(style.bold().underline(), middle).and(style, last)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_differs_stands_out() {
        let lists = [["same", "a grün b", "gone"].as_slice(), ["same", "a gräs b"].as_slice()];
        let [old, new] = lists.map(|list| list.iter().map(ToString::to_string).collect::<Vec<_>>());
        assert_eq!(
            differences(&old, &new),
            [
                Line::of(SAME, "    same"),
                Line::of(OLD, "  - a gr").and(OLD.bold().underline(), "ün").and(OLD, " b"),
                Line::of(NEW, "  + a gr").and(NEW.bold().underline(), "äs").and(NEW, " b"),
                Line::of(OLD, "  - gone"),
            ]
        );
        assert_eq!(differences(&new[..1], &[]), [Line::of(OLD, "  - same")]);
    }
}
