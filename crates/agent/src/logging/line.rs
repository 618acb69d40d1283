//! A line of the log: as text, `[2026/01/31 12:00:00.000] [ info] [engine] text`, or as a JSON object.

use std::fmt;

use flb_config::{Diagnostic, Document, Severity};
use flb_text::{tame, tame_json};
use jiff::Zoned;
use serde_json::Value;
use tracing::Level;

/// One line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Line {
    pub(super) level: Level,
    /// Who says it: an instance, `input:tail:tail.0`, or a part of the agent.
    pub(super) component: Option<String>,
    pub(super) message: String,
    /// Where in the configuration: `agent.conf:3:5`.
    place: Option<String>,
    /// What stands beside that place.
    note: Option<String>,
    /// What to do about it.
    pub(super) help: Option<String>,
}

impl Line {
    /// What `instance` says, or else the one whose name in brackets the text begins with.
    pub(super) fn new(level: Level, instance: Option<&str>, text: &str) -> Self {
        let text = text.trim_end();
        let (component, message) = match (split_label(text), instance) {
            (Some((label, rest)), _) => (Some(label), rest),
            (None, instance) => (instance, text),
        };
        Self {
            level,
            component: component.map(str::to_owned),
            message: message.to_owned(),
            place: None,
            note: None,
            help: None,
        }
    }

    /// What is to be said about a configuration.
    pub(super) fn of(diagnostic: &Diagnostic, document: &Document) -> Self {
        let level = match diagnostic.severity {
            Severity::Error => Level::ERROR,
            Severity::Warning => Level::WARN,
        };
        let place = diagnostic.span.and_then(|span| {
            let source = document.source(span)?;
            let (line, column) = source.line_and_column(span.range().start);
            Some(format!("{}:{line}:{column}", source.name))
        });
        Self {
            place,
            note: diagnostic.label.clone(),
            help: diagnostic.help.clone(),
            ..Self::new(level, Some("config"), &diagnostic.message)
        }
    }

    /// As text, of this time.
    pub(super) fn to_text(&self, time: &Zoned) -> String {
        let (time, level) = (time.strftime("%Y/%m/%d %H:%M:%S%.3f"), name(self.level));
        let component = self.component.as_deref().map(|name| format!("[{name}] "));
        let component = component.unwrap_or_default();
        let help = self.help.as_deref().map(|help| format!("help: {}\n", Tame(help)));
        let help = help.unwrap_or_default();
        format!("[{time}] [{level:>5}] {}{}\n{help}", Tame(&component), Tame(&self.message))
    }

    /// As a JSON object, of this time. What is not known has no key.
    pub(super) fn to_json(&self, time: &Zoned) -> String {
        let time = time.strftime("%Y-%m-%dT%H:%M:%S%.3f%:z").to_string();
        let fields = [
            ("time", Some(time.as_str())),
            ("level", Some(name(self.level))),
            ("component", self.component.as_deref().map(str::trim_end)),
            ("message", Some(self.message.as_str())),
            ("place", self.place.as_deref()),
            ("note", self.note.as_deref()),
            ("help", self.help.as_deref()),
        ];
        let fields = fields.into_iter().filter_map(|(key, value)| Some((key, value?)));
        let pairs: Vec<String> =
            fields.map(|(key, value)| format!("\"{key}\":{}", quoted(value))).collect();
        format!("{{{}}}\n", pairs.join(","))
    }
}

/// `[engine] text` as `engine` and `text`. An address in brackets is no label.
fn split_label(text: &str) -> Option<(&str, &str)> {
    let (label, rest) = text.strip_prefix('[')?.split_once("] ")?;
    label.starts_with(|first: char| first.is_ascii_alphabetic()).then_some((label, rest))
}

fn name(level: Level) -> &'static str {
    match level {
        Level::ERROR => "error",
        Level::WARN => "warn",
        Level::INFO => "info",
        Level::DEBUG => "debug",
        Level::TRACE => "trace",
    }
}

/// A JSON string. What could steer a terminal is escaped, so that the log can be looked at as it is.
fn quoted(text: &str) -> String {
    tame_json(&Value::from(text).to_string()).into_owned()
}

/// Text from outside, which must neither steer a terminal nor look like another line of the log: line ends are indented,
/// other control characters escaped.
struct Tame<'a>(&'a str);

impl fmt::Display for Tame<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&tame(self.0).replace('\n', "\n    "))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn time() -> Zoned {
        "2026-01-31T12:00:00.5+01:00[+01:00]".parse().unwrap()
    }

    /// The line that comes of `text`, as text and as JSON, both without the time.
    fn check(instance: Option<&str>, text: &str, expected: [&str; 2]) {
        let line = Line::new(Level::INFO, instance, text);
        let json = line.to_json(&time());
        let fields: Value = serde_json::from_str(&json).unwrap();
        assert_eq!(fields["message"], line.message, "the message survives");
        let shown = line.to_text(&time());
        assert_eq!(shown, format!("[2026/01/31 12:00:00.500] [ info] {}\n", expected[0]));
        assert_eq!(
            json,
            format!(
                "{{\"time\":\"2026-01-31T12:00:00.500+01:00\",\"level\":\"info\",{}}}\n",
                expected[1]
            )
        );
    }

    #[test]
    fn a_line_has_time_level_and_who_says_it() {
        check(None, "hello\n", ["hello", r#""message":"hello""#]);
        check(None, "[engine] up", ["[engine] up", r#""component":"engine","message":"up""#]);
        let named = ["[input:dummy:a b] up", r#""component":"input:dummy:a b","message":"up""#];
        check(Some("input:dummy:a b"), "up", named);
        check(Some("input:dummy:a b"), "[input:dummy:a b] up", named);
        let parser = ["[parser:json] up", r#""component":"parser:json","message":"up""#];
        check(Some("input:dummy:a b"), "[parser:json] up", parser);
        let address = ["[in] [::1] is away", r#""component":"in","message":"[::1] is away""#];
        check(Some("in"), "[::1] is away", address);
    }

    #[test]
    fn text_from_outside_is_tame() {
        check(
            Some("in\u{9b}"),
            "a\nb\x1b[0m\tc \u{202e}ö\r\n",
            [
                "[in\\u{9b}] a\n    b\\u{1b}[0m\tc \\u{202e}ö",
                r#""component":"in\u009b","message":"a\nb\u001b[0m\tc \u202eö""#,
            ],
        );
    }

    #[test]
    fn a_diagnostic_keeps_place_note_and_help() {
        let mut document = Document::default();
        let source = document.add_source("a.conf", "[INPUT]\n  Nme x\n");
        let span = flb_config::Span { source, start: 10, end: 13 };
        let diagnostic = Diagnostic::error("no name").at(span).label("this").help("that");
        let json: Value =
            serde_json::from_str(&Line::of(&diagnostic, &document).to_json(&time())).unwrap();
        assert_eq!(
            json,
            serde_json::json!({
                "time": "2026-01-31T12:00:00.500+01:00", "level": "error", "component": "config",
                "message": "no name", "place": "a.conf:2:3", "note": "this", "help": "that",
            })
        );
    }
}
