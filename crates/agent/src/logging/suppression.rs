//! `log_suppress_interval`: of lines of an instance that begin alike, one an interval is logged; the others are counted.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

/// As many different lines of an instance are remembered; then the oldest one is forgotten.
const REMEMBERED: usize = 10;

/// What the instances have said of late.
#[derive(Debug, Default)]
pub(super) struct Suppression(BTreeMap<String, Said>);

/// What one instance has said of late.
#[derive(Debug, Default)]
struct Said {
    lines: Vec<(String, Instant)>,
    /// Lines that were not logged, since the last one that was.
    silent: u64,
}

impl Suppression {
    /// Whether this line shall be logged: then the number of those that were not, since the last one.
    pub(super) fn admit(
        &mut self,
        instance: &str,
        message: &str,
        interval: Duration,
        now: Instant,
    ) -> Option<u64> {
        if !self.0.contains_key(instance) {
            self.0.insert(instance.to_owned(), Said::default());
        }
        let said = self.0.get_mut(instance)?;
        said.lines.retain(|(_, at)| now.saturating_duration_since(*at) < interval);
        if said.lines.iter().any(|(line, _)| is_alike(line, message)) {
            said.silent += 1;
            return None;
        }
        if said.lines.len() == REMEMBERED {
            said.lines.remove(0);
        }
        said.lines.push((message.to_owned(), now));
        Some(std::mem::take(&mut said.silent))
    }

    /// The instances whose last lines were not logged, with how many those are.
    pub(super) fn rest(&mut self) -> Vec<(String, u64)> {
        let rest = std::mem::take(&mut self.0).into_iter();
        rest.map(|(name, said)| (name, said.silent)).filter(|(_, silent)| *silent > 0).collect()
    }
}

/// Whether the first half of `message` begins `line`: what comes behind is often a number or an address.
fn is_alike(line: &str, message: &str) -> bool {
    let half = &message.as_bytes()[..message.len() / 2];
    !half.is_empty() && line.as_bytes().starts_with(half)
}

#[cfg(test)]
mod tests {
    use super::*;

    const INTERVAL: Duration = Duration::from_secs(10);

    #[test]
    fn of_lines_that_begin_alike_one_an_interval_is_logged() {
        let (mut suppression, start) = (Suppression::default(), Instant::now());
        let mut admit = |instance: &str, message: &str, second: u64| {
            suppression.admit(instance, message, INTERVAL, start + Duration::from_secs(second))
        };
        assert_eq!(admit("a", "connection 17 refused", 0), Some(0));
        assert_eq!(admit("a", "connection 18 timed out", 1), None);
        assert_eq!(admit("b", "connection 18 timed out", 1), Some(0));
        assert_eq!(admit("a", "something else", 2), Some(1));
        assert_eq!(admit("a", "connection 19 refused", 9), None);
        assert_eq!(admit("a", "connection 20 refused", 10), Some(1));
        assert_eq!(admit("a", "connection 20 refused", 11), None);
        assert_eq!(suppression.rest(), [("a".to_owned(), 1)]);
    }

    #[test]
    fn memory_is_bounded() {
        let (mut suppression, now) = (Suppression::default(), Instant::now());
        for number in 0..100 {
            assert_eq!(
                suppression.admit("a", &format!("{number:03} so far"), INTERVAL, now),
                Some(0)
            );
        }
        assert_eq!(suppression.0["a"].lines.len(), REMEMBERED);
    }
}
