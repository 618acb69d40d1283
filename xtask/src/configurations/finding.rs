//! What the agent says of a configuration, made comparable with what it says of others.

/// One thing that was found.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Finding {
    pub(super) severity: Severity,
    pub(super) kind: Kind,
    pub(super) text: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Severity {
    Error,
    Warning,
}

/// What sort of thing it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Kind {
    Plugin,
    File,
    Option,
    Grammar,
    Other,
}

/// Words that tell what sort of thing a message is about, the most telling first.
const TELLING: &[(&str, Kind)] = &[
    ("a plugin name that doesn't exist", Kind::Plugin),
    ("could not open", Kind::File),
    ("no file matches", Kind::File),
    ("o such file", Kind::File),
    ("it cannot be made there", Kind::File),
    ("not found", Kind::File),
    ("property", Kind::Option),
    ("config value", Kind::Option),
    ("indentation", Kind::Grammar),
    ("header definition", Kind::Grammar),
    ("undefined value", Kind::Grammar),
    ("empty value", Kind::Grammar),
    ("section", Kind::Grammar),
    ("expected", Kind::Grammar),
];

impl Kind {
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Plugin => "plugin absent",
            Self::File => "file missing",
            Self::Option => "option",
            Self::Grammar => "grammar",
            Self::Other => "other",
        }
    }

    fn of(message: &str) -> Self {
        let telling = TELLING.iter().find(|(words, _)| message.contains(words));
        telling.map_or(Self::Other, |(_, kind)| *kind)
    }
}

/// The findings in what the agent says on standard error. `source` has the text of a file.
pub(super) fn findings(said: &str, source: &dyn Fn(&str) -> Option<String>) -> Vec<Finding> {
    let lines: Vec<&str> = said.lines().collect();
    let mut found = Vec::new();
    for (at, line) in lines.iter().enumerate() {
        let error = line.strip_prefix("error: ").map(|text| (Severity::Error, text));
        let warning = line.strip_prefix("warning: ").map(|text| (Severity::Warning, text));
        if let Some((severity, message)) = error.or(warning) {
            let place = lines.get(at + 1).and_then(|next| next.trim_start().strip_prefix("--> "));
            let kind = Kind::of(message);
            let text = match (kind, place.and_then(|place| section_of(place, source))) {
                (Kind::Plugin, Some(section)) => format!("{section} {}", quoted(message)),
                _ => comparable(message),
            };
            found.push(Finding { severity, kind, text });
        }
    }
    found
}

/// The message without what differs from one configuration to the next.
fn comparable(message: &str) -> String {
    let message = message.split(". The following properties").next().unwrap_or(message);
    let (mut text, mut behind_point) = (String::new(), false);
    for c in message.chars() {
        if !(behind_point && c.is_ascii_digit()) {
            text.push(c);
            behind_point = c == '.';
        }
    }
    text
}

/// The first text in quotes.
fn quoted(message: &str) -> String {
    message.split('\'').nth(1).unwrap_or(message).to_lowercase()
}

/// The kind of section that a place, `FILE:LINE:COLUMN`, is in.
fn section_of(place: &str, source: &dyn Fn(&str) -> Option<String>) -> Option<&'static str> {
    let mut parts = place.rsplitn(3, ':').skip(1);
    let line: usize = parts.next()?.parse().ok()?;
    let text = source(parts.next()?)?;
    let above: Vec<&str> = text.lines().take(line).collect();
    let words = [
        ("[input]", "input"),
        ("inputs:", "input"),
        ("[filter]", "filter"),
        ("filters:", "filter"),
        ("[output]", "output"),
        ("outputs:", "output"),
        ("processors:", "processor"),
    ];
    above.iter().rev().find_map(|line| {
        let line = line.trim_start().to_lowercase();
        words.iter().find(|(word, _)| line.starts_with(word)).map(|(_, section)| *section)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(said: &str, file: &str, expected: &[(Severity, Kind, &str)]) {
        let source = |name: &str| (name == "/x/agent.conf").then(|| file.to_owned());
        let found = findings(said, &source);
        let found: Vec<_> =
            found.iter().map(|one| (one.severity, one.kind, one.text.as_str())).collect();
        assert_eq!(found, expected);
    }

    #[test]
    fn an_absent_plugin_is_told_with_its_kind_of_section() {
        let said = "error: [config] section 'Lua' tried to instance a plugin name that doesn't exist\n \
                    --> /x/agent.conf:4:11\n  |\n4 |     Name  Lua\n  |           ^^^\n";
        let classic = "[INPUT]\n    Name dummy\n[Filter]\n    Name  Lua\n[OUTPUT]\n    Name null\n";
        let plugin = (Severity::Error, Kind::Plugin, "filter lua");
        check(said, classic, &[plugin]);
        let yaml = "pipeline:\n  filters:\n  - match: x\n    name:  Lua\n  outputs:\n";
        check(said, yaml, &[plugin]);
    }

    #[test]
    fn what_differs_from_one_configuration_to_the_next_is_left_out() {
        check(
            "[2026/12/01 10:00:00] [error] aborting\n\
             error: [config] tail: unknown configuration property 'x'. The following properties are allowed: a, b\n\
             warning: [router] NO match for null.13 output instance\n\
             error: could not open configuration file 'parsers.conf': entity not found\n",
            "",
            &[
                (
                    Severity::Error,
                    Kind::Option,
                    "[config] tail: unknown configuration property 'x'",
                ),
                (Severity::Warning, Kind::Other, "[router] NO match for null. output instance"),
                (
                    Severity::Error,
                    Kind::File,
                    "could not open configuration file 'parsers.conf': entity not found",
                ),
            ],
        );
    }
}
