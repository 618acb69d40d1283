//! From a map of YAML to a section: its properties, and the processors, conditions, rules and nodes inside it.

use super::Reader;
use super::tree::Node;
use crate::diagnostic::Diagnostic;
use crate::document::{Property, Role, Section, SectionKind, Span, Spanned};

/// Signals that processors may be for, of which the agent has one.
const SIGNALS: [&str; 4] = ["logs", "metrics", "traces", "profiles"];

impl Reader<'_> {
    pub(super) fn read_service(&mut self, key: &Spanned, node: Node) {
        if self.service.is_some() {
            let message = "[config] YAML error: duplicated definition of 'service'";
            return self.error(message, key.span, "put all of its keys into one");
        }
        self.service = Some(key.span);
        let entries = self.entries(key, node);
        let section = self.section(SectionKind::Service, key.clone(), entries);
        self.document.sections.push(section);
    }

    /// A list of maps, each a section of its own.
    pub(super) fn read_plugins(&mut self, kind: SectionKind, key: &Spanned, node: Node) {
        for (item, entries) in self.maps(key, node) {
            let section = self.plugin(kind, item, entries);
            self.document.sections.push(section);
        }
    }

    /// The maps of a list, each with its place.
    fn maps(&mut self, key: &Spanned, node: Node) -> Vec<(Span, Vec<(Spanned, Node)>)> {
        const HELP: &str = "write each of them as - name: ...";
        let what = format!("'{}'", key.text);
        let items = match node {
            Node::List(_, items) => items,
            Node::Nothing(_) => return Vec::new(),
            other => {
                self.expected(&what, "a list of maps", &other, HELP);
                return Vec::new();
            }
        };
        let mut maps = Vec::new();
        for item in items {
            match item {
                Node::Map(span, entries) => maps.push((span, entries)),
                other => self.expected(&format!("an element of {what}"), "a map", &other, HELP),
            }
        }
        maps
    }

    /// A section that is named for what it configures, and stands where the plugin's name does.
    fn plugin(&mut self, kind: SectionKind, item: Span, entries: Vec<(Spanned, Node)>) -> Section {
        let named = entries.iter().find_map(|(key, node)| match node {
            Node::Text(text) if key.text.eq_ignore_ascii_case("name") => Some(text.span),
            _ => None,
        });
        let span = named.or(entries.first().map(|(key, _)| key.span)).unwrap_or(item);
        let name = Spanned { text: kind.name().to_owned(), span };
        self.section(kind, name, entries)
    }

    fn section(
        &mut self,
        kind: SectionKind,
        name: Spanned,
        entries: Vec<(Spanned, Node)>,
    ) -> Section {
        let mut section = Section::new(kind, name);
        for (key, node) in entries {
            self.read_entry(&mut section, key, node);
        }
        section
    }

    fn read_entry(&mut self, section: &mut Section, key: Spanned, node: Node) {
        use Role::{Filter, Input, Output, Processor};
        use SectionKind::{MultilineParser, Plugin, Service, Upstream};
        let key = Spanned { text: property_name(&key.text), span: key.span };
        match (section.kind, key.text.as_str(), node) {
            (Plugin(Input | Output), "processors", node) => {
                self.read_processors(section, &key, node)
            }
            (Plugin(Filter | Processor), "processors", _) => self.error(
                "[config] YAML error: processors belong to inputs and outputs",
                key.span,
                "write this one as a filter of its own, or move it to an input or output",
            ),
            (Plugin(Filter | Processor), "condition", node @ Node::Map(..)) => {
                self.read_condition(section, &key, node);
            }
            (Plugin(Input), "routes", _) => self.error(
                "[config] YAML error: 'routes' is not supported",
                key.span,
                "route by tag: give outputs a match, and inputs a tag",
            ),
            (Plugin(Input | Output) | Service, "telemetry", _) => {
                let warning = Diagnostic::warning("'telemetry' is not supported yet, and ignored");
                self.diagnostics.push(warning.at(key.span));
            }
            (MultilineParser, "rules", node) => self.read_states(section, &key, node),
            (Upstream, "nodes", node) => {
                for (item, entries) in self.maps(&key, node) {
                    let node = self.plugin(SectionKind::Node, item, entries);
                    section.children.push(node);
                }
            }
            (_, _, node) => self.read_property(section, key, node),
        }
    }

    fn read_property(&mut self, section: &mut Section, key: Spanned, node: Node) {
        let mut add = |key: &Spanned, value| {
            section.properties.push(Property { key: key.clone(), value });
        };
        match node {
            Node::Text(value) => add(&key, value),
            Node::Nothing(_) => {
                let message = format!("key '{}' has an empty value, and is ignored", key.text);
                self.diagnostics.push(Diagnostic::warning(message).at(key.span));
            }
            Node::List(span, items) => {
                let mut values = Vec::new();
                for item in items {
                    values.extend(self.text(&key, item));
                }
                // Parsers take a list as one text, all others take its elements one by one.
                if section.kind == SectionKind::Parser {
                    let texts: Vec<String> = values.into_iter().map(|value| value.text).collect();
                    add(&key, Spanned { text: texts.join(" "), span });
                } else {
                    values.into_iter().for_each(|value| add(&key, value));
                }
            }
            Node::Map(_, entries) => {
                let message =
                    format!("[config] YAML error: '{}' must be a text or a list", key.text);
                let error = Diagnostic::error(message).at(key.span);
                let inner = entries.first().map_or("key", |(inner, _)| inner.text.as_str());
                let help = format!("write {}.{inner}: ...", key.text);
                self.diagnostics.push(error.label("a map").help(help));
            }
        }
    }

    fn read_processors(&mut self, section: &mut Section, key: &Spanned, node: Node) {
        for (signal, node) in self.entries(key, node) {
            match signal.text.to_ascii_lowercase().as_str() {
                "logs" => {
                    for (item, entries) in self.maps(&signal, node) {
                        let processor = self.plugin(SectionKind::PROCESSOR, item, entries);
                        section.children.push(processor);
                    }
                }
                other if SIGNALS.contains(&other) => {
                    let message = format!("processors of {other} are ignored");
                    let warning = Diagnostic::warning(message).at(signal.span);
                    self.diagnostics.push(warning.label("this agent has logs only"));
                }
                _ => self.unknown_key(&signal, "'processors'", &SIGNALS),
            }
        }
    }

    /// A condition is a section in its filter's or processor's, and each rule one in the condition's.
    fn read_condition(&mut self, section: &mut Section, key: &Spanned, node: Node) {
        let mut condition = Section::new(SectionKind::Condition, key.clone());
        for (key, node) in self.entries(key, node) {
            match key.text.as_str() {
                "rules" => {
                    for (item, entries) in self.maps(&key, node) {
                        let first = entries.first().map_or(item, |(key, _)| key.span);
                        let name = Spanned { text: "rule".to_owned(), span: first };
                        let rule = self.section(SectionKind::Rule, name, entries);
                        condition.children.push(rule);
                    }
                }
                _ => self.read_property(&mut condition, key, node),
            }
        }
        section.children.push(condition);
    }

    /// Rules of a multiline parser, as the classic format writes them: `"state" "/regex/" "next state"`.
    fn read_states(&mut self, section: &mut Section, key: &Spanned, node: Node) {
        const PARTS: [&str; 3] = ["state", "regex", "next_state"];
        for (item, entries) in self.maps(key, node) {
            let mut parts: [Option<Spanned>; 3] = [const { None }; 3];
            for (key, node) in entries {
                let name = property_name(&key.text);
                match PARTS.iter().position(|part| *part == name) {
                    Some(part) => parts[part] = self.text(&key, node),
                    None => self.unknown_key(&key, "a rule", &PARTS),
                }
            }
            let [Some(state), Some(regex), Some(next)] = parts else {
                let message = "[config] YAML error: a rule needs 'state', 'regex' and 'next_state'";
                self.error(message, item, "write - state: ..., regex: ... and next_state: ...");
                continue;
            };
            let quoted = |part: &Spanned| format!("\"{}\"", part.text.replace('"', "\\\""));
            let text = [&state, &regex, &next].map(quoted).join(" ");
            let value = Spanned { text, span: regex.span };
            let key = Spanned { text: "rule".to_owned(), span: key.span };
            section.properties.push(Property { key, value });
        }
    }
}

/// A property's name as tables have it: `wasmPath`, `Wasm_Path` and `wasm_path` are one.
fn property_name(key: &str) -> String {
    let is_camel = key.starts_with(|first: char| first.is_ascii_lowercase()) && !key.contains('_');
    let mut name = String::with_capacity(key.len());
    for char in key.chars() {
        if is_camel && char.is_ascii_uppercase() {
            name.push('_');
        }
        name.push(char.to_ascii_lowercase());
    }
    name
}

#[cfg(test)]
mod tests {
    use super::property_name;

    #[test]
    fn names_of_all_styles_become_one() {
        for (key, name) in [
            ("wasmPath", "wasm_path"),
            ("functionName", "function_name"),
            ("Wasm_Path", "wasm_path"),
            ("Match", "match"),
            ("HTTP_Server", "http_server"),
            ("storage.type", "storage.type"),
            ("multiline.parser", "multiline.parser"),
            ("wasm_Path", "wasm_path"),
            ("", ""),
        ] {
            assert_eq!(property_name(key), name, "{key}");
        }
    }
}
