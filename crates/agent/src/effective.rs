//! The configuration as it takes effect, in YAML: with what was included, variables filled in, defaults added, and secrets
//! hidden.

use std::fmt::Write as _;

use flb_config::{Document, Property, Secrecy, Section, SectionKind, Variables, masked};
use flb_pipeline::{Role, SERVICE_DEFAULTS, is_core_property, is_service_key};
use flb_plugin::{OptionSpec, Registry, Spec, secrecy};
use flb_text::is_wild;

/// Lists of sections, each with its key; parsers stand beside the pipeline.
const LISTS: [(&str, SectionKind); 3] = [
    ("parsers", SectionKind::Parser),
    ("multiline_parsers", SectionKind::MultilineParser),
    ("upstream_servers", SectionKind::Upstream),
];
const PIPELINE: [(&str, SectionKind); 3] = [
    ("inputs", SectionKind::Input),
    ("filters", SectionKind::Filter),
    ("outputs", SectionKind::Output),
];

/// The text. `variables` are those of the document, too.
pub(crate) fn yaml(document: &Document, variables: &Variables, registry: &Registry) -> String {
    let mut writer = Writer { variables, registry, out: String::new() };
    writer.service(document);
    for (key, kind) in LISTS {
        writer.list(document, key, kind, 0);
    }
    writer.line(0, "pipeline:");
    for (key, kind) in PIPELINE {
        writer.list(document, key, kind, 1);
    }
    writer.out
}

/// A section's kind, and the options that it takes.
type Known<'a> = (SectionKind, &'a [OptionSpec]);

struct Writer<'a> {
    variables: &'a Variables,
    registry: &'a Registry,
    out: String,
}

impl Writer<'_> {
    fn line(&mut self, indent: usize, text: &str) {
        // Writing to a String cannot fail.
        let _ = writeln!(self.out, "{:1$}{text}", "", 2 * indent);
    }

    /// All service sections as one. Parsers files are not named: what they say stands here, too.
    fn service(&mut self, document: &Document) {
        self.line(0, "service:");
        let mut last: Vec<&Property> = Vec::new();
        let sections = document.sections_of(SectionKind::Service);
        for property in sections.flat_map(|section| &section.properties) {
            let key = property.key.text.as_str();
            if key != "parsers_file" {
                // Of a key given twice the later one counts, unless it adds up.
                last.retain(|other| other.key.text != key || key == "wasm.trusted_keys");
                last.push(property);
            }
        }
        self.properties(1, &last, (SectionKind::Service, &[]));
        for (key, value) in SERVICE_DEFAULTS {
            if !last.iter().any(|property| property.key.text == key) {
                self.default(1, key, value);
            }
        }
    }

    fn list(&mut self, document: &Document, key: &str, kind: SectionKind, indent: usize) {
        let mut sections = document.sections_of(kind).enumerate().peekable();
        if sections.peek().is_some() {
            self.line(indent, &format!("{key}:"));
        }
        for (number, section) in sections {
            self.item(indent + 1, section, number);
        }
    }

    /// A section as an element of a list.
    fn item(&mut self, indent: usize, section: &Section, number: usize) {
        let start = self.out.len();
        let properties: Vec<&Property> = section.properties.iter().collect();
        let name = self.name(section);
        let specs = options(self.registry, section.kind, &name);
        self.properties(indent + 1, &properties, (section.kind, specs));
        self.defaults(indent + 1, section, &name, number, specs);
        self.children(indent + 1, section);
        // The first line gets the list's dash.
        let dash = start + 2 * indent;
        if self.out.len() > dash {
            self.out.replace_range(dash..=dash, "-");
        }
    }

    /// Keys that are given several times in a row become a list; apart from each other they stay, as their order may matter.
    fn properties(&mut self, indent: usize, properties: &[&Property], known: Known<'_>) {
        for run in properties.chunk_by(|left, right| left.key.text == right.key.text) {
            let key = run[0].key.text.as_str();
            let values: Vec<String> =
                run.iter().filter_map(|property| self.value(property, known)).collect();
            match values.as_slice() {
                [] => {}
                [value] => self.line(indent, &format!("{}: {value}", scalar(key))),
                several => {
                    self.line(indent, &format!("{}:", scalar(key)));
                    several.iter().for_each(|value| self.line(indent + 1, &format!("- {value}")));
                }
            }
        }
    }

    /// A value with its variables filled in, as it may be shown. Nothing for an empty one.
    fn value(&self, property: &Property, (kind, specs): Known<'_>) -> Option<String> {
        let written = &property.value.text;
        let expanded = self.variables.expand(written);
        let text = expanded.text.as_str();
        let key = property.key.text.as_str();
        let secrecy = match is_known(key, kind, specs) {
            true => secrecy(kind, specs, key),
            false => Secrecy::Secret,
        };
        let shown = || masked(key, secrecy, written, text, expanded.from_file);
        (!text.is_empty()).then(|| scalar(&shown()))
    }

    fn default(&mut self, indent: usize, key: &str, value: &str) {
        self.line(indent, &format!("{key}: {} # default", scalar(value)));
    }

    /// The name of a section's plugin.
    fn name(&self, section: &Section) -> String {
        let name = section.property("name").map(|name| self.variables.expand(&name.value.text));
        name.unwrap_or_default().text.to_lowercase()
    }

    fn defaults(
        &mut self,
        indent: usize,
        section: &Section,
        name: &str,
        number: usize,
        specs: &[OptionSpec],
    ) {
        let is_given = |key: &str| section.property(key).is_some();
        if section.kind == SectionKind::Input && !is_given("tag") {
            self.default(indent, "tag", &format!("{name}.{number}"));
        }
        for option in specs {
            if let Some(default) = option.default.filter(|_| !is_given(option.name)) {
                self.default(indent, option.name, default);
            }
        }
        if section.kind == SectionKind::Output && !is_given("retry_limit") {
            self.default(indent, "retry_limit", "1");
        }
    }

    fn children(&mut self, indent: usize, section: &Section) {
        for (key, kind) in [("nodes", SectionKind::Node), ("rules", SectionKind::Rule)] {
            self.items(indent, key, section, kind);
        }
        if section.children_of(SectionKind::Processor).next().is_some() {
            self.line(indent, "processors:");
            self.items(indent + 1, "logs", section, SectionKind::Processor);
        }
        for condition in section.children_of(SectionKind::Condition) {
            self.line(indent, "condition:");
            let properties: Vec<&Property> = condition.properties.iter().collect();
            self.properties(indent + 1, &properties, (condition.kind, &[]));
            self.children(indent + 1, condition);
        }
    }

    fn items(&mut self, indent: usize, key: &str, section: &Section, kind: SectionKind) {
        let mut items = section.children_of(kind).enumerate().peekable();
        if items.peek().is_some() {
            self.line(indent, &format!("{key}:"));
        }
        for (number, item) in items {
            self.item(indent + 1, item, number);
        }
    }
}

/// Whether a key means something where it stands. One that does not may be a secret's, misspelt.
fn is_known(key: &str, kind: SectionKind, specs: &[OptionSpec]) -> bool {
    let role = match kind {
        SectionKind::Service => return is_service_key(key),
        SectionKind::Input => Role::Input,
        SectionKind::Filter => Role::Filter,
        SectionKind::Processor => Role::Processor,
        SectionKind::Output => Role::Output,
        _ => return true,
    };
    // A filter's tag may stand for its match.
    let is_tag = role == Role::Filter && key == "tag";
    is_tag || is_core_property(role, key) || specs.iter().any(|spec| spec.stands_for(key))
}

/// The options that a section's plugin takes.
pub(crate) fn options(registry: &Registry, kind: SectionKind, name: &str) -> &'static [OptionSpec] {
    fn of<T: ?Sized>(specs: &'static [Spec<T>], name: &str) -> &'static [OptionSpec] {
        specs.iter().find(|spec| spec.name == name).map_or(&[], |spec| spec.options)
    }
    match kind {
        SectionKind::Input => of(registry.inputs, name),
        SectionKind::Filter | SectionKind::Processor => of(registry.filters, name),
        SectionKind::Output => of(registry.outputs, name),
        _ => &[],
    }
}

/// A text as YAML reads it back.
fn scalar(text: &str) -> String {
    let is_plain = |char: char| char.is_ascii_alphanumeric() || "_-./%+".contains(char);
    if text.starts_with(|first: char| first.is_ascii_alphanumeric() || first == '/')
        && text.chars().all(is_plain)
    {
        return text.to_owned();
    }
    let mut quoted = String::from("\"");
    for char in text.chars() {
        let _ = match char {
            '"' | '\\' => write!(quoted, "\\{char}"),
            '\n' => write!(quoted, "\\n"),
            '\t' => write!(quoted, "\\t"),
            '\0'..='\u{ffff}' if is_wild(char) => write!(quoted, "\\u{:04x}", u32::from(char)),
            char if is_wild(char) => write!(quoted, "\\U{:08x}", u32::from(char)),
            char => write!(quoted, "{char}"),
        };
    }
    quoted + "\""
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_scalar_shows_what_it_holds_and_steers_no_terminal() {
        assert_eq!(scalar("/var/log/*.log"), "\"/var/log/*.log\"");
        assert_eq!(scalar("a b\n\u{9b}\u{200b}\u{e0041}"), r#""a b\n\u009b\u200b\U000e0041""#);
    }
}
