//! Conditions: which records a filter or processor is for. The others pass it by and keep their place.

use flb_config::{
    Diagnostic, Diagnostics, Property, Section, SectionKind, Span, Variables, did_you_mean,
};
use flb_event::msgpack::{Reader, Value};
use flb_event::{Accessor, Event};
use flb_plugin::Regex;

/// Rules, and whether one of them is enough. A rule about a field that is not there does not hold, whatever it asks.
#[derive(Debug, Clone)]
pub(crate) struct Condition {
    any: bool,
    rules: Vec<Rule>,
}

#[derive(Debug, Clone)]
struct Rule {
    field: Accessor,
    part: Part,
    test: Test,
}

/// Where a rule's field is.
#[derive(Debug, Clone, Copy)]
enum Part {
    Body,
    Metadata,
}

#[derive(Debug, Clone)]
enum Test {
    /// Equal to one of them, or to none.
    In(Vec<Operand>, bool),
    /// A number in this relation.
    Compare(Relation, f64),
    /// A text where the pattern is found, or is not.
    Regex(Regex, bool),
}

/// What a value is compared with.
#[derive(Debug, Clone)]
struct Operand {
    text: String,
    number: Option<f64>,
    integer: Option<i128>,
}

#[derive(Debug, Clone, Copy)]
enum Relation {
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
}

const OPERATORS: [&str; 10] =
    ["eq", "neq", "gt", "lt", "gte", "lte", "regex", "not_regex", "in", "not_in"];

impl Condition {
    /// Reads a section's condition, if it has one. All mistakes are reported.
    pub(crate) fn read(
        section: &Section,
        variables: &Variables,
        diagnostics: &mut Diagnostics,
    ) -> Option<Self> {
        let section = section.children_of(SectionKind::Condition).next()?;
        let mut reader = Read { variables, diagnostics };
        let mut any = false;
        for property in &section.properties {
            let text = reader.expand(property);
            match (property.key.text.as_str(), text.as_str()) {
                ("op", "and") => any = false,
                ("op", "or") => any = true,
                ("op", _) => reader.wrong(
                    property.value.span,
                    &format!("'{text}' is not 'and' or 'or'"),
                    "use and, or",
                ),
                (key, _) => reader.unknown(property.key.span, key, &["op", "rules"]),
            }
        }
        let rules = section.children_of(SectionKind::Rule).filter_map(|rule| reader.rule(rule));
        let rules: Vec<Rule> = rules.collect();
        if section.children_of(SectionKind::Rule).next().is_none() {
            reader.wrong(
                section.name.span,
                "it has no rules",
                "give it rules, each with field, op and value",
            );
        }
        Some(Self { any, rules })
    }

    /// Whether it holds for a record.
    pub(crate) fn holds(&self, event: &Event<'_>) -> bool {
        match self.any {
            true => self.rules.iter().any(|rule| rule.holds(event)),
            false => self.rules.iter().all(|rule| rule.holds(event)),
        }
    }
}

impl Rule {
    fn holds(&self, event: &Event<'_>) -> bool {
        let map = match self.part {
            Part::Body => event.body,
            Part::Metadata => event.metadata,
        };
        let Some(Ok(value)) = self.field.find(map).map(|raw| Reader::new(raw).next()) else {
            return false;
        };
        match &self.test {
            Test::In(operands, wanted) => {
                operands.iter().any(|operand| operand.equals(&value)) == *wanted
            }
            Test::Compare(relation, number) => {
                as_number(&value).is_some_and(|value| relation.holds(value, *number))
            }
            // A pattern that takes too many steps is not found.
            Test::Regex(regex, wanted) => match value {
                Value::Str(text) => regex.is_match(text).unwrap_or(false) == *wanted,
                _ => false,
            },
        }
    }
}

impl Operand {
    fn new(text: &str) -> Self {
        let number = text.parse().ok().filter(|number: &f64| number.is_finite());
        Self { text: text.to_owned(), number, integer: text.parse().ok() }
    }

    /// Numbers are equal by what they are worth, all else by how it is written.
    fn equals(&self, value: &Value<'_>) -> bool {
        match *value {
            Value::Str(text) | Value::Bin(text) => text == self.text.as_bytes(),
            Value::Uint(value) if self.integer.is_some() => self.integer == Some(value.into()),
            Value::Int(value) if self.integer.is_some() => self.integer == Some(value.into()),
            Value::Uint(_) | Value::Int(_) | Value::Float(_) => self.number == as_number(value),
            Value::Bool(value) => {
                self.text.eq_ignore_ascii_case(if value { "true" } else { "false" })
            }
            Value::Nil => self.text == "null",
            Value::Array(_) | Value::Map(_) | Value::Ext(..) => false,
        }
    }
}

#[expect(clippy::cast_precision_loss, reason = "comparisons are of doubles, as in Fluent Bit")]
fn as_number(value: &Value<'_>) -> Option<f64> {
    match *value {
        Value::Uint(value) => Some(value as f64),
        Value::Int(value) => Some(value as f64),
        Value::Float(value) => Some(value),
        _ => None,
    }
}

impl Relation {
    fn holds(self, left: f64, right: f64) -> bool {
        match self {
            Self::Less => left < right,
            Self::LessOrEqual => left <= right,
            Self::Greater => left > right,
            Self::GreaterOrEqual => left >= right,
        }
    }
}

/// Reads rules and says what is wrong with them.
struct Read<'a> {
    variables: &'a Variables,
    diagnostics: &'a mut Diagnostics,
}

impl Read<'_> {
    fn rule(&mut self, section: &Section) -> Option<Rule> {
        const KEYS: [&str; 4] = ["field", "op", "value", "context"];
        for property in &section.properties {
            if !KEYS.contains(&property.key.text.as_str()) {
                self.unknown(property.key.span, &property.key.text, &KEYS);
            }
        }
        let part = self.part(section);
        let field = self.field(section);
        let test = self.test(section);
        Some(Rule { field: field?, part: part?, test: test? })
    }

    fn part(&mut self, section: &Section) -> Option<Part> {
        let Some(property) = section.property("context") else { return Some(Part::Body) };
        match self.expand(property).as_str() {
            "body" => Some(Part::Body),
            "metadata" => Some(Part::Metadata),
            other => {
                let help = "use body, metadata";
                self.wrong(property.value.span, &format!("unknown context '{other}'"), help);
                None
            }
        }
    }

    fn field(&mut self, section: &Section) -> Option<Accessor> {
        let property = self.required(section, "field")?;
        match Accessor::parse(&self.expand(property)) {
            Ok(accessor) => Some(accessor),
            Err(error) => {
                self.wrong(property.value.span, &error.to_string(), &error.hint());
                None
            }
        }
    }

    fn test(&mut self, section: &Section) -> Option<Test> {
        let op = self.required(section, "op")?;
        let first = self.required(section, "value")?;
        let values = section.properties.iter().filter(|property| property.key.text == "value");
        let texts: Vec<String> = values.map(|property| self.expand(property)).collect();
        let text = texts.first()?;
        let name = self.expand(op);
        if texts.len() > 1 && !matches!(name.as_str(), "in" | "not_in") {
            self.wrong(
                first.value.span,
                &format!("'{name}' takes one value"),
                "use in or not_in for a list",
            );
            return None;
        }
        let operands = || texts.iter().map(|text| Operand::new(text)).collect();
        match name.as_str() {
            "eq" | "in" => Some(Test::In(operands(), true)),
            "neq" | "not_in" => Some(Test::In(operands(), false)),
            "lt" => self.compare(Relation::Less, text, first),
            "lte" => self.compare(Relation::LessOrEqual, text, first),
            "gt" => self.compare(Relation::Greater, text, first),
            "gte" => self.compare(Relation::GreaterOrEqual, text, first),
            "regex" => self.regex(text, true, first),
            "not_regex" => self.regex(text, false, first),
            other => {
                let help = match did_you_mean(other, OPERATORS) {
                    Some(near) => format!("did you mean '{near}'?"),
                    None => format!("there are {}", OPERATORS.join(", ")),
                };
                self.wrong(op.value.span, &format!("unknown operator '{other}'"), &help);
                None
            }
        }
    }

    fn compare(&mut self, relation: Relation, text: &str, at: &Property) -> Option<Test> {
        let number = Operand::new(text).number;
        if number.is_none() {
            self.wrong(
                at.value.span,
                &format!("'{text}' is not a number"),
                "use digits, like 5 or 0.5",
            );
        }
        Some(Test::Compare(relation, number?))
    }

    fn regex(&mut self, text: &str, wanted: bool, at: &Property) -> Option<Test> {
        match Regex::new(text) {
            Ok(regex) => Some(Test::Regex(regex, wanted)),
            Err(error) => {
                self.wrong(at.value.span, &error.to_string(), "write a pattern, or /pattern/i");
                None
            }
        }
    }

    fn required<'s>(&mut self, section: &'s Section, key: &str) -> Option<&'s Property> {
        let property = section.property(key);
        if property.is_none() {
            let help = "give it field, op and value";
            self.wrong(section.name.span, &format!("a rule is missing its '{key}'"), help);
        }
        property
    }

    fn expand(&mut self, property: &Property) -> String {
        let expanded = self.variables.expand(&property.value.text);
        expanded.report(property.value.span, self.diagnostics);
        expanded.text
    }

    fn unknown(&mut self, at: Span, key: &str, known: &[&str]) {
        let help = match did_you_mean(key, known.iter().copied()) {
            Some(near) => format!("did you mean '{near}'?"),
            None => format!("there are {}", known.join(", ")),
        };
        self.wrong(at, &format!("unknown key '{key}'"), &help);
    }

    fn wrong(&mut self, at: Span, what: &str, help: &str) {
        let error = Diagnostic::error(format!("[config] wrong condition: {what}")).at(at);
        self.diagnostics.push(error.help(help));
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use flb_config::{Document, FileKind, Memory, read_file};
    use flb_event::{Timestamp, json};

    use super::*;

    /// Reads the condition of the only processor.
    fn read(condition: &str) -> (Option<Condition>, String) {
        let text = format!(
            "pipeline: {{inputs: [{{name: dummy, processors: {{logs: [{{name: x, condition: {condition}}}]}}}}]}}"
        );
        let files = Memory([("main.yaml".into(), text)].into());
        let mut document = Document::default();
        let path = Path::new("main.yaml");
        let mut found = read_file(&mut document, path, FileKind::Main, &files);
        assert!(!found.has_errors(), "{}", found.render(document.sources()));
        let section = &document.sections[0].children[0];
        let condition = Condition::read(section, &Variables::default(), &mut found);
        let shown: Vec<String> = found
            .iter()
            .map(|one| format!("{}; {}", one.message, one.help.as_deref().unwrap_or_default()))
            .collect();
        (condition, shown.join("\n"))
    }

    /// Whether the condition holds for each of these records.
    fn check(condition: &str, records: &[(&str, bool)]) {
        let (read, mistakes) = read(condition);
        assert_eq!(mistakes, "");
        for (record, expected) in records {
            let mut body = Vec::new();
            json::parse(record.as_bytes(), &mut body).unwrap();
            let event =
                Event { time: Timestamp::default(), metadata: b"\x81\xa1m\x01", body: &body };
            let holds = read.as_ref().is_some_and(|condition| condition.holds(&event));
            assert_eq!(holds, *expected, "{condition} {record}");
        }
    }

    fn rule(rule: &str) -> String {
        format!("{{rules: [{{field: $a, {rule}}}]}}")
    }

    #[test]
    fn values_are_equal_by_what_they_mean() {
        let texts = [(r#"{"a":"x"}"#, true), (r#"{"a":"X"}"#, false), (r#"{"a":["x"]}"#, false)];
        check(&rule("op: eq, value: x"), &texts);
        let numbers = [
            (r#"{"a":5}"#, true),
            (r#"{"a":5.0}"#, true),
            (r#"{"a":"5"}"#, true),
            (r#"{"a":6}"#, false),
        ];
        check(&rule("op: eq, value: 5"), &numbers);
        let large =
            [(r#"{"a":18446744073709551615}"#, true), (r#"{"a":18446744073709551614}"#, false)];
        check(&rule("op: eq, value: 18446744073709551615"), &large);
        check(&rule("op: eq, value: -1.5"), &[(r#"{"a":-1.5}"#, true), (r#"{"a":-1}"#, false)]);
        check(&rule("op: eq, value: true"), &[(r#"{"a":true}"#, true), (r#"{"a":false}"#, false)]);
        check(&rule("op: eq, value: 'null'"), &[(r#"{"a":null}"#, true), (r#"{"a":0}"#, false)]);
        check(&rule("op: neq, value: 5"), &[(r#"{"a":5}"#, false), (r#"{"a":"x"}"#, true)]);
    }

    #[test]
    fn numbers_are_compared() {
        for (op, expected) in [
            ("lt", [true, false, false]),
            ("lte", [true, true, false]),
            ("gt", [false, false, true]),
            ("gte", [false, true, true]),
        ] {
            let records = [
                (r#"{"a":-1}"#, expected[0]),
                (r#"{"a":500}"#, expected[1]),
                (r#"{"a":500.5}"#, expected[2]),
            ];
            check(&rule(&format!("op: {op}, value: 500")), &records);
            check(
                &rule(&format!("op: {op}, value: 500")),
                &[(r#"{"a":"499"}"#, false), (r#"{"a":"x"}"#, false)],
            );
        }
    }

    #[test]
    fn texts_are_searched() {
        let records =
            [(r#"{"a":"an Error"}"#, true), (r#"{"a":"fine"}"#, false), (r#"{"a":1}"#, false)];
        check(&rule("op: regex, value: /err/i"), &records);
        let records =
            [(r#"{"a":"an Error"}"#, false), (r#"{"a":"fine"}"#, true), (r#"{"a":1}"#, false)];
        check(&rule("op: not_regex, value: /err/i"), &records);
    }

    #[test]
    fn a_list_has_a_value_or_has_it_not() {
        check(
            &rule("op: in, value: [x, 5]"),
            &[(r#"{"a":"x"}"#, true), (r#"{"a":5}"#, true), (r#"{"a":6}"#, false)],
        );
        check(&rule("op: not_in, value: [x, 5]"), &[(r#"{"a":"x"}"#, false), (r#"{"a":6}"#, true)]);
    }

    #[test]
    fn a_rule_about_nothing_does_not_hold() {
        for test in [
            "op: eq, value: x",
            "op: neq, value: x",
            "op: not_in, value: [x]",
            "op: not_regex, value: x",
            "op: lt, value: 5",
        ] {
            check(&rule(test), &[("{}", false), (r#"{"b":1}"#, false)]);
        }
    }

    #[test]
    fn rules_are_joined_by_and_or_or() {
        let rules =
            "rules: [{field: $a, op: eq, value: 1}, {field: \"$b['c']\", op: eq, value: 2}]";
        let records = |one: bool| {
            [
                (r#"{"a":1,"b":{"c":2}}"#, true),
                (r#"{"a":1}"#, one),
                (r#"{"b":{"c":2}}"#, one),
                ("{}", false),
            ]
        };
        check(&format!("{{{rules}}}"), &records(false));
        check(&format!("{{op: and, {rules}}}"), &records(false));
        check(&format!("{{op: or, {rules}}}"), &records(true));
    }

    #[test]
    fn a_field_may_be_metadata() {
        check("{rules: [{field: $m, op: eq, value: 1, context: metadata}]}", &[("{}", true)]);
        check("{rules: [{field: $m, op: eq, value: 1}]}", &[("{}", false)]);
    }

    #[test]
    fn all_mistakes_are_told() {
        let (_, mistakes) = read(
            "{op: xor, ops: and, rules: [{field: a, op: eqq, value: 1}, {op: lt, value: x}, {field: $a, op: regex, value: '('}, \
             {field: $a, op: eq, value: [1, 2], contxt: body}, {field: $a, op: eq, value: 1, context: tag}, {}]}",
        );
        let found: Vec<&str> = mistakes.lines().collect();
        let expected = [
            "'xor' is not 'and' or 'or'; use and, or",
            "unknown key 'ops'; did you mean 'op'?",
            "'a' does not begin with '$' and the name of a key; write $key, $map['key'] or $list[0]",
            "unknown operator 'eqq'; did you mean 'eq'?",
            "a rule is missing its 'field'; give it field, op and value",
            "'x' is not a number; use digits, like 5 or 0.5",
            "'(' is not a regular expression",
            "unknown key 'contxt'; did you mean 'context'?",
            "'eq' takes one value; use in or not_in for a list",
            "unknown context 'tag'; use body, metadata",
            "a rule is missing its 'field'; give it field, op and value",
            "a rule is missing its 'op'; give it field, op and value",
        ];
        assert_eq!(found.len(), expected.len(), "{mistakes}");
        for (found, expected) in found.iter().zip(expected) {
            let expected = format!("[config] wrong condition: {expected}");
            assert!(found.starts_with(&expected), "{found}\n{expected}");
        }
        assert!(read("{op: and}").1.contains("it has no rules"));
    }
}
