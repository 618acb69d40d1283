//! What an output is in trouble with: since when, why, and when it is tried again.

use std::time::Duration;

use tokio::time::Instant;

/// So many failures in a row are an outage, whatever was taken before.
const OUTAGE: u64 = 3;
/// Characters of a reason that are kept.
const REASON: usize = 1000;

/// From an output's first failed try until nothing of it waits for another one.
#[derive(Debug)]
pub(crate) struct Trouble {
    since: Instant,
    /// Tries that failed, in all and since it took something.
    failed: u64,
    in_a_row: u64,
    reason: String,
    due: Option<Instant>,
}

/// An output's trouble at a moment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TroubleReport {
    /// For how long: since its first try failed.
    pub lasts: Duration,
    /// Tries that failed meanwhile.
    pub failed: u64,
    /// Whether it takes nothing: not in all that time, or not at the last three tries.
    pub is_down: bool,
    /// Why the last one failed.
    pub reason: String,
    /// How long until the next try; nothing when none waits.
    pub next: Option<Duration>,
}

impl Trouble {
    /// Notes a try that failed at this time.
    pub(crate) fn fail(trouble: &mut Option<Self>, now: Instant, reason: &str) {
        let begun =
            || Self { since: now, failed: 0, in_a_row: 0, reason: String::new(), due: None };
        let trouble = trouble.get_or_insert_with(begun);
        trouble.failed += 1;
        trouble.in_a_row += 1;
        trouble.reason = reason.chars().take(REASON).collect();
    }

    /// Notes that the output answered: its trouble is over unless something still waits for another try.
    pub(crate) fn answer(trouble: &mut Option<Self>, still_waits: bool) {
        match trouble {
            Some(trouble) if still_waits => trouble.in_a_row = 0,
            _ => *trouble = None,
        }
    }

    /// Notes when the next try is due.
    pub(crate) fn due(trouble: &mut Option<Self>, due: Option<Instant>) {
        if let Some(trouble) = trouble {
            trouble.due = due;
        }
    }

    pub(crate) fn report(&self, now: Instant) -> TroubleReport {
        TroubleReport {
            lasts: now.saturating_duration_since(self.since),
            failed: self.failed,
            is_down: self.in_a_row == self.failed || self.in_a_row >= OUTAGE,
            reason: self.reason.clone(),
            next: self.due.map(|due| due.saturating_duration_since(now)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What is told after these events: `x` fails, `o` is an answer while others wait, `.` one while none does.
    fn told(events: &str) -> Option<(u64, bool)> {
        let mut trouble = None;
        for event in events.chars() {
            match event {
                'x' => Trouble::fail(&mut trouble, Instant::now(), "away"),
                event => Trouble::answer(&mut trouble, event == 'o'),
            }
        }
        let report = trouble.map(|trouble| trouble.report(Instant::now()));
        report.map(|report| (report.failed, report.is_down))
    }

    #[test]
    fn an_output_is_down_while_it_takes_nothing() {
        assert_eq!(told(""), None);
        assert_eq!(told("x"), Some((1, true)));
        assert_eq!(told("xx"), Some((2, true)));
        assert_eq!(told("xxo"), Some((2, false)));
        assert_eq!(told("xxox"), Some((3, false)));
        assert_eq!(told("xoxxx"), Some((4, true)));
        assert_eq!(told("xx."), None);
        assert_eq!(told("xx.x"), Some((1, true)));
    }

    #[test]
    fn the_last_reason_and_the_wait_are_told() {
        let (now, mut trouble) = (Instant::now(), None);
        Trouble::fail(&mut trouble, now, "away");
        Trouble::fail(&mut trouble, now + Duration::from_secs(1), &"x".repeat(5000));
        Trouble::due(&mut trouble, Some(now + Duration::from_secs(5)));
        let report = trouble.unwrap().report(now + Duration::from_secs(2));
        assert_eq!((report.lasts.as_secs(), report.reason.len()), (2, REASON));
        assert_eq!(report.next, Some(Duration::from_secs(3)));
    }
}
