//! `regex`: a line that a regular expression is found in; its named groups become the record.

use flb_event::Timestamp;
use flb_plugin::log::Label;
use flb_plugin::{Build, BuildError, Options, ParseError, Parsed, Parser, Regex, Spec};

use super::fields::{Column, Common};
use super::{OPTIONS, REGEX, SKIP_EMPTY_VALUES};

pub(super) const SPEC: Spec<dyn Parser> = Spec {
    name: "regex",
    about: "Parse a line by a regular expression with named groups",
    options: OPTIONS,
    build,
};

fn build(options: &Options, build: &Build<'_>) -> Result<Box<dyn Parser>, BuildError> {
    let Some(pattern) = options.get(REGEX) else {
        return Err(BuildError::new("a parser of format regex needs a 'Regex'")
            .help("add one with named groups: Regex ^(?<host>[^ ]*) (?<message>.*)$"));
    };
    let regex = Regex::new(pattern).map_err(|error| BuildError::new(error.to_string()))?;
    if regex.names().len() == 0 {
        let label = Label::parser(build);
        tracing::warn!(
            "{label} '{pattern}' has no named groups, so no line is taken; name what shall become a key: (?<key>...)"
        );
    }
    let common = Common::new(options, build)?;
    let skips_empty = options.get(SKIP_EMPTY_VALUES);
    let columns = regex.names().map(|(group, name)| (group, common.column(name.as_bytes())));
    Ok(Box::new(RegexParser { columns: columns.collect(), regex, common, skips_empty }))
}

struct RegexParser {
    regex: Regex,
    /// The named groups, and what becomes of them.
    columns: Vec<(usize, Column)>,
    common: Common,
    skips_empty: bool,
}

impl Parser for RegexParser {
    fn parse(&self, line: &[u8], now: Timestamp, body: &mut Vec<u8>) -> Result<Parsed, ParseError> {
        let found = self.regex.find(line).map_err(|error| ParseError(error.to_string()))?;
        let groups = found.ok_or_else(|| ParseError("the pattern is not found".to_owned()))?;
        if self.columns.is_empty() {
            return Err(ParseError("the pattern has no named groups".to_owned()));
        }
        let mut fields = self.common.begin(body, now);
        for (group, column) in &self.columns {
            let value = groups.get(*group).unwrap_or_default();
            if !value.is_empty() || !self.skips_empty {
                fields.push_in(column, value);
            }
        }
        Ok(fields.end())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use flb_harness::ParserCheck;

    const APACHE: &str = r#"^(?<host>[^ ]*) [^ ]* (?<user>[^ ]*) \[(?<time>[^\]]*)\] "(?<method>\S+)(?: +(?<path>[^ ]*) +\S*)?" (?<code>[^ ]*) (?<size>[^ ]*)(?: "(?<referer>[^\"]*)" "(?<agent>.*)")?$"#;

    #[test]
    fn named_groups_become_keys_in_their_order() {
        ParserCheck::new(&SPEC, &[("regex", r"^(?<b>\S+) (x|y) (?<a>.*)$")])
            .reads("1 x 2 3", r#"{"b":"1","a":"2 3"}"#)
            .refuses("1 z 2", "the pattern is not found");
    }

    #[test]
    fn an_access_log_is_read_with_types_and_time() {
        let line = r#"10.0.0.1 - - [10/Oct/2023:13:55:36 -0700] "GET /a HTTP/1.1" 200 -"#;
        ParserCheck::new(
            &SPEC,
            &[
                ("regex", APACHE),
                ("time_key", "time"),
                ("time_format", "%d/%b/%Y:%H:%M:%S %z"),
                ("types", "code:integer size:integer"),
            ],
        )
        .reads_at(
            line,
            1_696_971_336,
            r#"{"host":"10.0.0.1","user":"-","method":"GET","path":"/a","code":200,"size":0}"#,
        );
    }

    #[test]
    fn empty_values_are_left_out_unless_they_are_wanted() {
        let regex = ("regex", r"^(?<a>\w*),(?<b>\w*)(?<c>!)?$");
        ParserCheck::new(&SPEC, &[regex]).reads(",x", r#"{"b":"x"}"#).reads(",", "{}");
        ParserCheck::new(&SPEC, &[regex, ("skip_empty_values", "off")])
            .reads(",x", r#"{"a":"","b":"x","c":""}"#);
    }

    #[test]
    fn more_groups_than_fifteen_are_no_matter() {
        let pattern: String = (0..20).map(|group| format!("(?<k{group}>.)")).collect();
        let body: Vec<String> = (0..20).map(|group| format!("\"k{group}\":\"x\"")).collect();
        ParserCheck::new(&SPEC, &[("regex", &pattern)])
            .reads(&"x".repeat(20), &format!("{{{}}}", body.join(",")));
    }

    #[test]
    fn a_time_that_is_not_understood_stays_in_the_record() {
        ParserCheck::new(&SPEC, &[("regex", "^(?<time>.*)$"), ("time_format", "%Y")])
            .reads("x", r#"{"time":"x"}"#)
            .reads_at("1970", 0, "{}");
    }

    #[test]
    fn a_pattern_without_named_groups_takes_no_line() {
        ParserCheck::new(&SPEC, &[("regex", "^(a)$")])
            .refuses("a", "the pattern has no named groups")
            .refuses("b", "the pattern is not found");
    }

    #[test]
    fn a_pattern_is_needed() {
        let refused =
            |given: &[(&str, &str)]| flb_harness::build(&SPEC, given).err().unwrap().message;
        assert_eq!(refused(&[]), "a parser of format regex needs a 'Regex'");
        assert!(refused(&[("regex", "(?<a")]).contains("is not a regular expression"));
    }
}
