//! The configuration as it takes effect, in YAML: with what was included, variables filled in, defaults added, and secrets
//! hidden.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use flb_config::keys::{Row, Status, Table, secrecy};
use flb_config::{Document, Property, Role, Secrecy, Section, SectionKind, Variables, masked};
use flb_pipeline::{Instance, PARSERS_FILE, core_properties};
use flb_plugin::{Registry, Spec};
use flb_text::is_wild;

use crate::service::TABLE;

/// Lists of sections, each with its key; parsers stand beside the pipeline.
const LISTS: [(&str, SectionKind); 3] = [
    ("parsers", SectionKind::Parser),
    ("multiline_parsers", SectionKind::MultilineParser),
    ("upstream_servers", SectionKind::Upstream),
];
const PIPELINE: [(&str, SectionKind); 3] = [
    ("inputs", SectionKind::INPUT),
    ("filters", SectionKind::FILTER),
    ("outputs", SectionKind::OUTPUT),
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

/// An option of an instance as it may be shown.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Shown {
    pub(crate) key: String,
    pub(crate) value: String,
    /// Whether the configuration does not give it.
    pub(crate) is_default: bool,
}

/// The options of each instance of the pipeline at work, by the instance's whole name. Clones share them.
#[derive(Debug, Clone, Default)]
pub(crate) struct NodeOptions(Arc<Mutex<ByInstance>>);

/// Options by the whole name of who has them.
pub(crate) type ByInstance = BTreeMap<String, Vec<Shown>>;

impl NodeOptions {
    fn lock(&self) -> MutexGuard<'_, ByInstance> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Those of another pipeline take the place of these.
    pub(crate) fn set(&self, options: ByInstance) {
        *self.lock() = options;
    }

    /// Those of one instance.
    pub(crate) fn of(&self, instance: &Instance) -> Vec<Shown> {
        self.lock().get(&instance.to_string()).cloned().unwrap_or_default()
    }
}

/// The options of these instances, with secrets hidden. `variables` are those of the document, too.
pub(crate) fn node_options<'i>(
    document: &Document,
    variables: &Variables,
    registry: &Registry,
    instances: impl Iterator<Item = &'i Instance>,
) -> ByInstance {
    let writer = Writer { variables, registry, out: String::new() };
    let options = instances.filter_map(|instance| {
        let section = section_of(document, instance)?;
        Some((instance.to_string(), writer.shown_of(section, instance.number)))
    });
    options.collect()
}

/// The section that an instance was made of.
fn section_of<'d>(document: &'d Document, instance: &Instance) -> Option<&'d Section> {
    match &instance.owner {
        Some(owner) => {
            let owner = section_of(document, owner)?;
            owner.children_of(SectionKind::PROCESSOR).nth(instance.number)
        }
        None => document.sections_of(SectionKind::Plugin(instance.role)).nth(instance.number),
    }
}

/// A section's kind, and the keys that its plugin or the service takes.
type Known = (SectionKind, Table);

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
            if key != PARSERS_FILE.name() {
                // Of a key given twice the later one counts, unless it adds up.
                let adds_up = TABLE.find(key).is_some_and(|row| row.is_repeated);
                last.retain(|other| other.key.text != key || adds_up);
                last.push(property);
            }
        }
        self.properties(1, &last, (SectionKind::Service, TABLE));
        let is_given = |key: &str| last.iter().any(|property| property.key.text == key);
        self.defaults_of(1, TABLE.rows().filter(|row| !is_given(row.name)));
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
        let table = options(self.registry, section.kind, &name);
        self.properties(indent + 1, &properties, (section.kind, table));
        self.defaults(indent + 1, section, &name, number, table);
        self.children(indent + 1, section);
        // The first line gets the list's dash.
        let dash = start + 2 * indent;
        if self.out.len() > dash {
            self.out.replace_range(dash..=dash, "-");
        }
    }

    /// Keys that are given several times in a row become a list; apart from each other they stay, as their order may matter.
    fn properties(&mut self, indent: usize, properties: &[&Property], known: Known) {
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

    /// All options of a section, those that are given first.
    fn shown_of(&self, section: &Section, number: usize) -> Vec<Shown> {
        let name = self.name(section);
        let table = options(self.registry, section.kind, &name);
        let given = section.properties.iter().filter_map(|property| {
            let value = self.shown(property, (section.kind, table))?;
            Some(Shown { key: property.key.text.clone(), value, is_default: false })
        });
        let open = left_open(section, &name, number, table);
        let open = open.into_iter().map(|(key, value)| Shown { key, value, is_default: true });
        given.chain(open).collect()
    }

    /// A value as it may be shown, in YAML.
    fn value(&self, property: &Property, known: Known) -> Option<String> {
        self.shown(property, known).map(|shown| scalar(&shown))
    }

    /// A value with its variables filled in, as it may be shown. Nothing for an empty one.
    fn shown(&self, property: &Property, (kind, table): Known) -> Option<String> {
        let written = &property.value.text;
        let expanded = self.variables.expand(written);
        let text = expanded.text.as_str();
        let key = property.key.text.as_str();
        let secrecy = match is_known(key, kind, table) {
            true => secrecy(kind, table, key),
            false => Secrecy::Secret,
        };
        let shown = || masked(key, secrecy, written, text, expanded.from_file);
        (!text.is_empty()).then(shown)
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
        table: Table,
    ) {
        for (key, value) in left_open(section, name, number, table) {
            self.default(indent, &key, &value);
        }
    }

    fn defaults_of(&mut self, indent: usize, rows: impl Iterator<Item = &'static Row>) {
        for (key, value) in defaults_of(rows) {
            self.default(indent, key, value);
        }
    }

    fn children(&mut self, indent: usize, section: &Section) {
        for (key, kind) in [("nodes", SectionKind::Node), ("rules", SectionKind::Rule)] {
            self.items(indent, key, section, kind);
        }
        if section.children_of(SectionKind::PROCESSOR).next().is_some() {
            self.line(indent, "processors:");
            self.items(indent + 1, "logs", section, SectionKind::PROCESSOR);
        }
        for condition in section.children_of(SectionKind::Condition) {
            self.line(indent, "condition:");
            let properties: Vec<&Property> = condition.properties.iter().collect();
            self.properties(indent + 1, &properties, (condition.kind, Table::default()));
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

/// What keys are that nobody has given, as far as that means something.
fn defaults_of(
    rows: impl Iterator<Item = &'static Row>,
) -> impl Iterator<Item = (&'static str, &'static str)> {
    rows.filter(|row| row.status == Status::Works).filter_map(|row| Some((row.name, row.default?)))
}

/// What keys are that a section does not give.
fn left_open(section: &Section, name: &str, number: usize, table: Table) -> Vec<(String, String)> {
    let is_given = |key: &str| section.property(key).is_some();
    let mut open = Vec::new();
    if section.kind == SectionKind::INPUT && !is_given("tag") {
        open.push(("tag".to_owned(), format!("{name}.{number}")));
    }
    let is_own = |key: &str| table.names().any(|name| name == key);
    let core = match section.kind {
        SectionKind::Plugin(role) => core_properties(role),
        _ => Table::default(),
    };
    let rows = table.rows().chain(core.rows().filter(|row| !is_own(row.name)));
    let defaults = defaults_of(rows.filter(|row| !is_given(row.name)));
    open.extend(defaults.map(|(key, value)| (key.to_owned(), value.to_owned())));
    open
}

/// Whether a key means something where it stands. One that does not may be a secret's, misspelt.
fn is_known(key: &str, kind: SectionKind, table: Table) -> bool {
    let is_core = match kind {
        SectionKind::Service => false,
        // A filter's tag may stand for its match.
        SectionKind::FILTER if key == "tag" => true,
        SectionKind::Plugin(role) => core_properties(role).find(key).is_some(),
        _ => true,
    };
    is_core || table.find(key).is_some()
}

/// The options that a section's plugin takes.
pub(crate) fn options(registry: &Registry, kind: SectionKind, name: &str) -> Table {
    fn of<T: ?Sized>(specs: &'static [Spec<T>], name: &str) -> Table {
        let found = specs.iter().find(|spec| spec.name == name);
        found.map(|spec| spec.options).unwrap_or_default()
    }
    match kind {
        SectionKind::Plugin(Role::Input) => of(registry.inputs, name),
        SectionKind::Plugin(Role::Filter | Role::Processor) => of(registry.filters, name),
        SectionKind::Plugin(Role::Output) => of(registry.outputs, name),
        _ => Table::default(),
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
