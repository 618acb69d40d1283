//! The last warnings and errors of each instance, for whoever asks what is wrong with it. Bounded, whatever they say.

use std::collections::{BTreeMap, VecDeque};

use jiff::Timestamp;
use tracing::Level;

use super::line::Line;

/// Something that was said, once or several times in a row.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Said {
    /// When it was said last.
    pub(crate) time: Timestamp,
    pub(crate) is_error: bool,
    pub(crate) message: String,
    pub(crate) times: u64,
}

/// What was said, by the instance that it is about.
#[derive(Debug, Default)]
pub(super) struct Journal(BTreeMap<String, VecDeque<Said>>);

impl Journal {
    /// Lines of an instance that are kept.
    const LINES: usize = 10;
    /// Instances of which lines are kept.
    const INSTANCES: usize = 256;
    /// Characters of a line that are.
    const LONGEST: usize = 2000;

    /// Whether lines of this level are kept.
    pub(super) fn wants(level: Level) -> bool {
        level <= Level::WARN
    }

    pub(super) fn note(&mut self, instance: &str, line: &Line, time: Timestamp) {
        let help = line.help.as_deref().map(|help| format!("\nhelp: {help}"));
        let message = line.message.clone() + &help.unwrap_or_default();
        let message: String = message.chars().take(Self::LONGEST).collect();
        let is_error = line.level == Level::ERROR;
        let lines = self.0.entry(instance.to_owned()).or_default();
        match lines.back_mut() {
            Some(last) if last.message == message => {
                last.time = time;
                last.times += 1;
            }
            _ => lines.push_back(Said { time, is_error, message, times: 1 }),
        }
        if lines.len() > Self::LINES {
            lines.pop_front();
        }
        self.forget();
    }

    /// Lets go of the instance that has been silent for the longest time if there are too many.
    fn forget(&mut self) {
        if self.0.len() > Self::INSTANCES {
            let last = |(_, lines): &(&String, &VecDeque<Said>)| lines.back().map(|said| said.time);
            let silent = self.0.iter().min_by_key(last).map(|(instance, _)| instance.clone());
            silent.map(|instance| self.0.remove(&instance));
        }
    }

    /// What was said about an instance, the newest first.
    pub(super) fn of(&self, instance: &str) -> Vec<Said> {
        self.0.get(instance).into_iter().flatten().rev().cloned().collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn note(journal: &mut Journal, instance: &str, text: &str, second: i64) {
        let line = Line::new(Level::WARN, Some(instance), text);
        journal.note(instance, &line, Timestamp::from_second(second).unwrap());
    }

    #[test]
    fn the_newest_lines_come_first_and_one_that_is_said_again_is_counted() {
        let mut journal = Journal::default();
        for (second, text) in (1..).zip(["a", "b", "b", "a"]) {
            note(&mut journal, "i", text, second);
        }
        let said = journal.of("i");
        let told: Vec<_> = said
            .iter()
            .map(|said| (said.message.as_str(), said.times, said.time.as_second()))
            .collect();
        assert_eq!(told, [("a", 1, 4), ("b", 2, 3), ("a", 1, 1)]);
        assert_eq!(journal.of("other"), []);
    }

    #[test]
    fn so_much_is_kept_and_no_more() {
        let mut journal = Journal::default();
        (0..20).for_each(|number| {
            note(&mut journal, "first", &format!("{number}{}", "x".repeat(9000)), 1)
        });
        let said = journal.of("first");
        assert_eq!((said.len(), said[0].message.len()), (Journal::LINES, Journal::LONGEST));
        (0..1000).for_each(|number| note(&mut journal, &number.to_string(), "x", 2 + number));
        assert_eq!(journal.0.len(), Journal::INSTANCES);
        assert_eq!((journal.of("first").len(), journal.of("999").len()), (0, 1));
    }
}
