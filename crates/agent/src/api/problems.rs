//! What is wrong now: the state of each node, and a sentence for everything that somebody should look at.

use std::time::Duration;

use flb_pipeline::{InputReport, OutputReport, TroubleReport};

use super::history::{Figures, Recent};

/// How a node is, from good to bad.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum State {
    Ok,
    /// An input that waits for room.
    Paused,
    /// An output that puts some chunks off and takes others.
    Retrying,
    /// A node that failed, or lost records, in the last minute.
    Failing,
    /// An output that takes nothing, or an input that has ended with an error.
    Down,
}

impl State {
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Paused => "paused",
            Self::Retrying => "retrying",
            Self::Failing => "failing",
            Self::Down => "down",
        }
    }
}

/// Something that is wrong with a node.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Problem {
    pub(super) state: State,
    /// What is wrong, behind the node's name.
    pub(super) message: String,
    /// Why, if the node has said it to nobody but the pipeline.
    pub(super) reason: Option<String>,
    /// How long until it is tried again.
    pub(super) next_try: Option<Duration>,
}

impl Problem {
    fn new(state: State, message: String) -> Self {
        Self { state, message, reason: None, next_try: None }
    }
}

/// The worst of them.
pub(super) fn state(problems: &[Problem]) -> State {
    problems.iter().map(|problem| problem.state).max().unwrap_or(State::Ok)
}

pub(super) fn of_input(row: &InputReport, recent: &Recent) -> Vec<Problem> {
    let mut found = Vec::new();
    if row.failures > 0 {
        found.push(Problem::new(State::Down, "has ended with an error".to_owned()));
    }
    if recent.figures.dropped > 0 {
        let lost = records(recent.figures.dropped);
        let message = format!(
            "{lost} matched no output and {} lost{}",
            be(recent.figures.dropped),
            within(recent)
        );
        found.push(Problem::new(State::Failing, message));
    }
    if row.paused {
        let message =
            format!("is paused until outputs take some of its {} in memory", bytes(row.memory));
        found.push(Problem::new(State::Paused, message));
    }
    found
}

pub(super) fn of_filter(recent: &Recent) -> Vec<Problem> {
    let Figures { errors, dropped_by_failure, quarantined, failures, .. } = &recent.figures;
    if *errors == 0 {
        return Vec::new();
    }
    let classes = failures.iter().filter(|(_, count)| **count > 0);
    let classes: Vec<String> =
        classes.map(|(class, count)| format!("{count} {}", class.replace('_', " "))).collect();
    let classes =
        if classes.is_empty() { String::new() } else { format!(" ({})", classes.join(", ")) };
    let kept = errors.saturating_sub(dropped_by_failure + quarantined);
    let fates = [
        (*dropped_by_failure, "dropped"),
        (*quarantined, "in quarantine"),
        (kept, "kept as they were"),
    ];
    let fates = fates.iter().filter(|(count, _)| *count > 0);
    let fates: Vec<String> = fates.map(|(count, fate)| format!("{count} {fate}")).collect();
    let fates = if fates.is_empty() { String::new() } else { format!(": {}", fates.join(", ")) };
    let message = format!("failed {}{}{classes}{fates}", times(*errors), within(recent));
    vec![Problem::new(State::Failing, message)]
}

pub(super) fn of_output(row: &OutputReport, recent: &Recent) -> Vec<Problem> {
    let mut found: Vec<Problem> = row.trouble.iter().map(troubled).collect();
    let Figures { dropped, errors, .. } = recent.figures;
    if dropped > 0 {
        let message = format!("gave up {}{}", records(dropped), within(recent));
        found.push(Problem::new(State::Failing, message));
    } else if errors > 0 {
        let message = format!("failed {}{}", times(errors), within(recent));
        found.push(Problem::new(State::Failing, message));
    }
    found
}

fn troubled(trouble: &TroubleReport) -> Problem {
    let lasts = duration(trouble.lasts.as_secs());
    let tries = if trouble.failed == 1 {
        "1 try has".to_owned()
    } else {
        format!("{} tries have", trouble.failed)
    };
    let (state, message) = match trouble.is_down {
        true => (State::Down, format!("has taken nothing for {lasts}: {tries} failed")),
        false => (State::Retrying, format!("has put records off for {lasts}: {tries} failed")),
    };
    let (reason, next_try) = (Some(trouble.reason.clone()), trouble.next);
    Problem { state, message, reason, next_try }
}

fn records(count: u64) -> String {
    if count == 1 { "1 record".to_owned() } else { format!("{count} records") }
}

fn be(count: u64) -> &'static str {
    if count == 1 { "is" } else { "are" }
}

fn times(count: u64) -> String {
    if count == 1 { "once".to_owned() } else { format!("{count} times") }
}

/// Of a node that has been there for less than a minute.
fn within(recent: &Recent) -> String {
    match recent.seconds.round() as u64 {
        60.. => " in the last minute".to_owned(),
        seconds => format!(" in the last {}", duration(seconds.max(1))),
    }
}

/// A length of time in its two largest units: `3 min 20 s`.
pub(crate) fn duration(seconds: u64) -> String {
    let parts = [
        (seconds / 86_400, "d"),
        (seconds / 3600 % 24, "h"),
        (seconds / 60 % 60, "min"),
        (seconds % 60, "s"),
    ];
    let first = parts.iter().position(|(count, _)| *count > 0).unwrap_or(parts.len() - 1);
    let shown: Vec<String> = parts[first..]
        .iter()
        .take(2)
        .enumerate()
        .filter(|(at, (count, _))| *at == 0 || *count > 0)
        .map(|(_, (count, unit))| format!("{count} {unit}"))
        .collect();
    shown.join(" ")
}

/// A size for people: `1.5 MB`.
pub(crate) fn bytes(bytes: u64) -> String {
    const UNITS: [&str; 5] = ["B", "kB", "MB", "GB", "TB"];
    let (mut value, mut unit) = (bytes as f64, 0);
    while value >= 999.5 && unit + 1 < UNITS.len() {
        value /= 1000.0;
        unit += 1;
    }
    let digits = usize::from(unit > 0 && value < 9.95);
    format!("{value:.digits$} {}", UNITS[unit])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lengths_of_time_have_two_units_at_most() {
        let seconds = [0, 59, 60, 61, 3600, 90_000, 86_400 + 59];
        let expected = ["0 s", "59 s", "1 min", "1 min 1 s", "1 h", "1 d 1 h", "1 d"];
        assert_eq!(seconds.map(duration), expected);
    }

    #[test]
    fn sizes_are_for_people() {
        let sizes = [0, 999, 1000, 1_540_000, 61_000_000, 999_999];
        assert_eq!(sizes.map(bytes), ["0 B", "999 B", "1.0 kB", "1.5 MB", "61 MB", "1.0 MB"]);
    }

    #[test]
    fn an_output_that_takes_nothing_is_worse_than_one_that_takes_some() {
        let trouble = |failed, is_down| TroubleReport {
            lasts: Duration::from_secs(12),
            failed,
            is_down,
            reason: "away".to_owned(),
            next: Some(Duration::from_secs(4)),
        };
        let down = troubled(&trouble(4, true));
        assert_eq!(down.message, "has taken nothing for 12 s: 4 tries have failed");
        assert_eq!(
            (down.reason.as_deref(), down.next_try),
            (Some("away"), Some(Duration::from_secs(4)))
        );
        let some = troubled(&trouble(1, false));
        assert_eq!(some.message, "has put records off for 12 s: 1 try has failed");
        assert_eq!(state(&[some, down]), State::Down);
        assert_eq!(state(&[]), State::Ok);
    }

    #[test]
    fn a_node_that_has_just_started_tells_the_time_that_it_has_been_there() {
        let recent = |seconds| Recent { seconds, ..Recent::default() };
        assert_eq!(within(&recent(60.2)), " in the last minute");
        assert_eq!(within(&recent(7.4)), " in the last 7 s");
        assert_eq!(within(&recent(0.1)), " in the last 1 s");
    }
}
