//! Failures that are the same: of one class, with one message, at one place.

use flb_runtime::FilterError;
use flb_text::tame_line;
use serde_json::json as object;

use crate::output::{say, say_json};

/// How many lines of a group are named.
const NAMED: usize = 5;

/// Failures by what they have in common, in the order in which they were first seen.
#[derive(Default)]
pub(crate) struct Groups(Vec<Group>);

struct Group {
    class: &'static str,
    message: String,
    /// The guest's functions, innermost first.
    place: Vec<String>,
    /// Numbers of lines in the quarantine.
    lines: Vec<usize>,
}

impl Groups {
    pub(crate) fn add(&mut self, line: usize, error: &FilterError) {
        let (class, message, place) = (error.class().name(), error.to_string(), error.backtrace());
        let is_same = |group: &&mut Group| {
            group.class == class && group.message == message && group.place == place
        };
        match self.0.iter_mut().find(is_same) {
            Some(group) => group.lines.push(line),
            None => self.0.push(Group { class, message, place: place.to_vec(), lines: vec![line] }),
        }
    }

    /// Says what there is, the largest groups first.
    pub(crate) fn tell(&self, as_json: bool) -> anyhow::Result<()> {
        let mut groups: Vec<&Group> = self.0.iter().collect();
        groups.sort_by_key(|group| std::cmp::Reverse(group.lines.len()));
        groups.into_iter().try_for_each(|group| match as_json {
            true => say_json(group.object()),
            false => say(&group.text()),
        })
    }
}

impl Group {
    fn text(&self) -> String {
        let Self { class, message, place, lines } = self;
        let records = if lines.len() == 1 { "record" } else { "records" };
        let mut text = format!("{} {records}: {class}: {}\n", lines.len(), tame_line(message));
        for function in place.iter().skip(1) {
            text += &format!("    called by {}\n", tame_line(function));
        }
        let named: Vec<String> = lines.iter().take(NAMED).map(ToString::to_string).collect();
        let more = if lines.len() > NAMED { ", .." } else { "" };
        text + &format!("    on lines {}{more}\n", named.join(", "))
    }

    fn object(&self) -> serde_json::Value {
        let Self { class, message, place, lines } = self;
        object!({
            "records": lines.len(), "class": class, "message": message,
            "backtrace": place, "lines": lines,
        })
    }
}
