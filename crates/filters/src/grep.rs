//! `grep`: keeps or drops records by regular expressions on their values.

use std::sync::Arc;

use flb_event::{Accessor, Chunk, Event};
use flb_plugin::keys::{Choice, Fields, Key, Many, Word};
use flb_plugin::{Build, BuildError, Filter, Options, Outlet, Regex, Spec, Table, keys};

use super::each::{Decision, each};

keys! {
    const KEYS;
    REGEX: Many<Fields<1>> = Key::new("regex", "KEY PATTERN: keep what matches").repeated();
    EXCLUDE: Many<Fields<1>> = Key::new("exclude", "KEY PATTERN: drop what matches").repeated();
    LOGICAL_OP: Choice<LogicalOp> =
        Key::new("logical_op", "Whether all rules or one of them must match").default("legacy");
}

pub(super) const SPEC: Spec<dyn Filter> = Spec {
    name: "grep",
    about: "Keep or drop records by the values of their keys",
    options: Table(&[KEYS]),
    build,
};

fn build(options: &Options, _: &Build<'_>) -> Result<Box<dyn Filter>, BuildError> {
    let rules = options.in_order(&[(REGEX, true), (EXCLUDE, false)]);
    let rules: Vec<Rule> = rules.into_iter().map(rule).collect::<Result<_, _>>()?;
    let LogicalOp(together) = options.get(LOGICAL_OP);
    let mode = match together {
        None => Mode::InTurn,
        Some(_) if rules.iter().any(|rule| rule.keeps != rules[0].keeps) => {
            return Err(BuildError::new("Both 'regex' and 'exclude' are set with a logical_op")
                .help("give one kind of rule only, or leave logical_op out"));
        }
        Some(together) => Mode::Together(together),
    };
    Ok(Box::new(Grep { rules: rules.into(), mode }))
}

fn rule((option, keeps, fields): (&str, bool, Vec<String>)) -> Result<Rule, BuildError> {
    let [key, pattern] = fields.as_slice() else {
        return Err(BuildError::new(format!(
            "invalid {option} '{}': a key and a pattern are expected",
            fields.join(" ")
        ))
        .help(format!("for example: {option} log ^error")));
    };
    let accessor = match key.starts_with('$') {
        true => Accessor::parse(key),
        false => Accessor::parse(&format!("${key}")).or_else(|_| Ok(Accessor::of_key(key))),
    };
    let key = accessor.map_err(|error| {
        BuildError::new(format!("invalid key of {option}: {error}")).help(error.hint())
    })?;
    let pattern = Regex::new(pattern).map_err(|error| BuildError::new(error.to_string()))?;
    Ok(Rule { keeps, key, pattern })
}

/// One line of the configuration.
#[derive(Debug)]
struct Rule {
    /// A `regex`, and no `exclude`.
    keeps: bool,
    key: Accessor,
    pattern: Regex,
}

impl Rule {
    /// Whether the value is a text and the pattern is found in it.
    fn matches(&self, event: &Event<'_>) -> bool {
        self.key
            .find_str(event.body)
            .is_some_and(|text| self.pattern.is_match(text).unwrap_or(false))
    }
}

/// How the rules work together.
#[derive(Debug, Clone, Copy)]
enum Mode {
    /// One after the other, until one decides.
    InTurn,
    /// All are of one kind, and their matches are combined.
    Together(Together),
}

#[derive(Debug, Clone, Copy)]
enum Together {
    All,
    One,
}

/// What `logical_op` says of several rules.
#[derive(Debug, Clone, Copy)]
struct LogicalOp(Option<Together>);

impl Word for LogicalOp {
    const ALL: &'static [(&'static str, Self)] = &[
        ("legacy", Self(None)),
        ("and", Self(Some(Together::All))),
        ("or", Self(Some(Together::One))),
    ];
}

#[derive(Clone)]
struct Grep {
    rules: Arc<[Rule]>,
    mode: Mode,
}

impl Filter for Grep {
    fn filter(&mut self, batch: Chunk, outlet: &mut Outlet) {
        each(batch, outlet, |event, _| match self.keeps(event) {
            true => Decision::Keep,
            false => Decision::Drop,
        })
    }

    fn fork(&self) -> Result<Box<dyn Filter>, BuildError> {
        Ok(Box::new(self.clone()))
    }
}

impl Grep {
    fn keeps(&self, event: &Event<'_>) -> bool {
        let Some(first) = self.rules.first() else { return true };
        match self.mode {
            Mode::InTurn => in_turn(&self.rules, event),
            Mode::Together(Together::All) => {
                self.rules.iter().all(|rule| rule.matches(event)) == first.keeps
            }
            Mode::Together(Together::One) => {
                self.rules.iter().any(|rule| rule.matches(event)) == first.keeps
            }
        }
    }
}

/// A `regex` decides either way, an `exclude` only when it matches.
fn in_turn(rules: &[Rule], event: &Event<'_>) -> bool {
    for rule in rules {
        match (rule.keeps, rule.matches(event)) {
            (true, matches) => return matches,
            (false, true) => return false,
            (false, false) => {}
        }
    }
    true
}

#[cfg(test)]
mod tests {
    use super::*;
    use flb_harness as testing;

    const LINES: &[&str] = &[
        r#"{"log":"error one","n":1}"#,
        r#"{"log":"info two","n":2,"k":{"app":"web"}}"#,
        r#"{"log":7}"#,
        r#"{"other":"error"}"#,
    ];

    /// The numbers of the lines that are kept.
    fn check(options: &[(&str, &str)], expected: &[usize]) {
        let mut filter = testing::build(&SPEC, options).unwrap();
        let records: Vec<(u32, u32, &str)> = LINES.iter().map(|line| (1, 0, *line)).collect();
        let outlet = testing::given(&mut *filter, testing::chunk("t", &records));
        let kept = testing::bodies(outlet.passed());
        let expected: Vec<&str> = expected.iter().map(|line| LINES[*line]).collect();
        assert_eq!(kept, expected, "{options:?}");
    }

    #[test]
    fn a_regex_keeps_what_matches_and_only_texts_match() {
        check(&[("regex", "log error")], &[0]);
        check(&[("regex", "$log ^(error|info) .*")], &[0, 1]);
        check(&[("regex", "log \\d")], &[]);
        check(&[("regex", "$k['app'] web")], &[1]);
    }

    #[test]
    fn an_exclude_drops_what_matches() {
        check(&[("exclude", "log error")], &[1, 2, 3]);
        check(&[("exclude", "log error"), ("exclude", "other .")], &[1, 2]);
    }

    #[test]
    fn in_turn_the_first_regex_decides() {
        check(&[("regex", "log o"), ("exclude", "log error")], &[0, 1]);
        check(&[("exclude", "log error"), ("regex", "log o")], &[1]);
        check(&[("regex", "log error"), ("regex", "log one")], &[0]);
        check(&[("regex", "log nothing"), ("regex", "log one")], &[]);
    }

    #[test]
    fn a_logical_op_combines_rules_of_one_kind() {
        check(&[("logical_op", "AND"), ("regex", "log error"), ("regex", "log one")], &[0]);
        check(&[("logical_op", "or"), ("regex", "log two"), ("regex", "other error")], &[1, 3]);
        check(
            &[("logical_op", "and"), ("exclude", "log error"), ("exclude", "log one")],
            &[1, 2, 3],
        );
        check(&[("logical_op", "or"), ("exclude", "log two"), ("exclude", "other .")], &[0, 2]);
    }

    #[test]
    fn no_rule_keeps_everything() {
        check(&[], &[0, 1, 2, 3]);
    }

    fn check_refused(options: &[(&str, &str)], message: &str) {
        let error = testing::build(&SPEC, options).err().unwrap();
        assert!(error.message.starts_with(message), "{}", error.message);
    }

    #[test]
    fn rules_that_cannot_be_are_refused() {
        check_refused(&[("regex", "log")], "invalid regex 'log': a key and a pattern");
        check_refused(&[("regex", "log (")], "'(' is not a regular expression");
        check_refused(&[("exclude", "$ a")], "invalid key of exclude");
        check_refused(
            &[("logical_op", "or"), ("regex", "a b"), ("exclude", "a b")],
            "Both 'regex' and 'exclude' are set",
        );
    }
}
