//! What a configuration says: sections and their properties in the order given, each with its place
//! in the text.

use std::fmt;
use std::ops::Range;

/// Which source of a [`Document`] a span is in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SourceId(pub(crate) u32);

impl SourceId {
    pub(crate) fn index(self) -> usize {
        self.0 as usize
    }
}

/// A place in the text: bytes `start..end` of one source.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Span {
    /// The file, or the command line.
    pub source: SourceId,
    /// First byte.
    pub start: u32,
    /// One past the last byte.
    pub end: u32,
}

impl Span {
    /// The span's bytes within its source.
    pub fn range(self) -> Range<usize> {
        self.start as usize..self.end as usize
    }
}

/// A text and where it stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Spanned {
    /// The text as written, variables not yet expanded.
    pub text: String,
    /// Where.
    pub span: Span,
}

/// One `key value` line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Property {
    /// The key, in lower case.
    pub key: Spanned,
    /// The value, variables not yet expanded.
    pub value: Spanned,
}

/// What a plugin is there for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Role {
    /// Where records come from: `[INPUT]`.
    Input,
    /// What decides about them: `[FILTER]`.
    Filter,
    /// A filter that belongs to one input or output: a child of that section.
    Processor,
    /// Where they go: `[OUTPUT]`.
    Output,
}

impl Role {
    /// The role's name, in lower case.
    pub fn name(self) -> &'static str {
        match self {
            Self::Input => "input",
            Self::Filter => "filter",
            Self::Processor => "processor",
            Self::Output => "output",
        }
    }
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// What a section configures.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SectionKind {
    /// `[SERVICE]`: the agent itself.
    Service,
    /// A plugin.
    Plugin(Role),
    /// `[PARSER]`, in a parsers file.
    Parser,
    /// `[MULTILINE_PARSER]`, in a parsers file.
    MultilineParser,
    /// `[UPSTREAM]`: a set of servers, each a [`Node`](Self::Node) among its children.
    Upstream,
    /// `[NODE]`: one server of a set.
    Node,
    /// Which records a filter or processor is for: its child. Has a child for each rule.
    Condition,
    /// One rule of a condition.
    Rule,
    /// Any other name: kept, and ignored by the agent.
    Other,
}

impl SectionKind {
    /// `[INPUT]`
    pub const INPUT: Self = Self::Plugin(Role::Input);
    /// `[FILTER]`
    pub const FILTER: Self = Self::Plugin(Role::Filter);
    /// A filter below an input or output.
    pub const PROCESSOR: Self = Self::Plugin(Role::Processor);
    /// `[OUTPUT]`
    pub const OUTPUT: Self = Self::Plugin(Role::Output);

    pub(crate) const NAMES: [(&str, Self); 8] = [
        ("service", Self::Service),
        ("input", Self::INPUT),
        ("filter", Self::FILTER),
        ("output", Self::OUTPUT),
        ("parser", Self::Parser),
        ("multiline_parser", Self::MultilineParser),
        ("upstream", Self::Upstream),
        ("node", Self::Node),
    ];

    /// The kind's name, in lower case.
    pub fn name(self) -> &'static str {
        match self {
            Self::Plugin(role) => role.name(),
            Self::Condition => "condition",
            Self::Rule => "rule",
            _ => {
                Self::NAMES.iter().find(|(_, kind)| *kind == self).map_or("other", |(name, _)| name)
            }
        }
    }

    /// The kind that a section's name says, in any case.
    pub fn of(name: &str) -> Self {
        Self::NAMES
            .iter()
            .find(|(known, _)| known.eq_ignore_ascii_case(name))
            .map_or(Self::Other, |(_, kind)| *kind)
    }
}

/// A section: its kind, its name as written, and its properties in order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Section {
    /// What it configures.
    pub kind: SectionKind,
    /// The name as written, with its place.
    pub name: Spanned,
    /// The properties, in the order given; keys may repeat.
    pub properties: Vec<Property>,
    /// The sections inside, in the order given: an input's processors, a processor's condition.
    pub children: Vec<Section>,
}

impl Section {
    /// A section without properties.
    pub fn new(kind: SectionKind, name: Spanned) -> Self {
        Self { kind, name, properties: Vec::new(), children: Vec::new() }
    }

    /// The children of one kind, in order.
    pub fn children_of(&self, kind: SectionKind) -> impl Iterator<Item = &Section> {
        self.children.iter().filter(move |child| child.kind == kind)
    }

    /// Moves all places by so many sources.
    fn shift(&mut self, sources: u32) {
        let properties = self.properties.iter_mut();
        let spanned = properties.flat_map(|property| [&mut property.key, &mut property.value]);
        for spanned in spanned.chain([&mut self.name]) {
            spanned.span.source.0 += sources;
        }
        for child in &mut self.children {
            child.shift(sources);
        }
    }

    /// The first property with this key (in lower case).
    pub fn property(&self, key: &str) -> Option<&Property> {
        self.properties.iter().find(|property| property.key.text == key)
    }
}

/// A text that sections came from.
#[derive(Debug, Clone)]
pub struct Source {
    /// The file's path as given, or `command line`.
    pub name: String,
    /// The whole text.
    pub text: String,
    /// Places that hold secrets, which are not shown.
    pub(crate) hidden: Vec<Range<usize>>,
}

impl Source {
    /// The number of the line that a byte is in, counted from 1.
    pub fn line(&self, offset: usize) -> usize {
        1 + self.text.bytes().take(offset).filter(|byte| *byte == b'\n').count()
    }

    /// The numbers of the line and of the character within it that a byte is in, both counted from 1.
    pub fn line_and_column(&self, offset: usize) -> (usize, usize) {
        let before = &self.text[..self.text.floor_char_boundary(offset)];
        let start = before.rfind('\n').map_or(0, |at| at + 1);
        (self.line(offset), 1 + before[start..].chars().count())
    }
}

/// One or more sources, read into sections.
#[derive(Debug, Clone, Default)]
pub struct Document {
    pub(crate) sources: Vec<Source>,
    /// All sections in the order given.
    pub sections: Vec<Section>,
    /// `@SET` and `env:` variables, in the order given.
    pub variables: Vec<(String, String)>,
}

impl Document {
    /// Adds a text that spans can point into.
    pub fn add_source(&mut self, name: &str, text: &str) -> SourceId {
        let (name, text) = (name.to_owned(), text.to_owned());
        self.sources.push(Source { name, text, hidden: Vec::new() });
        SourceId(u32::try_from(self.sources.len() - 1).unwrap_or(u32::MAX))
    }

    /// The sources, in the order of their ids.
    pub fn sources(&self) -> &[Source] {
        &self.sources
    }

    /// Keeps a place from being shown in diagnostics.
    pub fn hide(&mut self, span: Span) {
        if let Some(source) = self.sources.get_mut(span.source.index()) {
            source.hidden.push(span.range());
        }
    }

    /// The source that a span is in.
    pub fn source(&self, span: Span) -> Option<&Source> {
        self.sources.get(span.source.0 as usize)
    }

    /// The sections of one kind, in order.
    pub fn sections_of(&self, kind: SectionKind) -> impl Iterator<Item = &Section> {
        self.sections.iter().filter(move |section| section.kind == kind)
    }

    /// Appends all of `other` behind what is here: sources, sections, variables.
    pub fn append(&mut self, other: Document) {
        let shift = u32::try_from(self.sources.len()).unwrap_or(u32::MAX);
        self.sources.extend(other.sources);
        self.variables.extend(other.variables);
        self.sections.extend(other.sections.into_iter().map(|mut section| {
            section.shift(shift);
            section
        }));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A document of one section and one property, at places that say `text`.
    fn document(text: &str) -> Document {
        let mut document = Document::default();
        let source = document.add_source(text, text);
        let end = u32::try_from(text.len()).unwrap();
        let spanned = Spanned { text: text.to_owned(), span: Span { source, start: 0, end } };
        document.variables.push((text.to_owned(), text.to_owned()));
        let mut section = Section::new(SectionKind::of(text), spanned.clone());
        section.properties.push(Property { key: spanned.clone(), value: spanned });
        section.children.push(section.clone());
        document.sections.push(section);
        document
    }

    #[test]
    fn places_move_along_when_documents_are_joined() {
        let mut all = document("input");
        all.append(document("OUTPUT"));
        all.append(document("custom"));
        for section in &all.sections {
            for section in [section, &section.children[0]] {
                let Property { key, value } = &section.properties[0];
                for spanned in [&section.name, key, value] {
                    let source = all.source(spanned.span).unwrap();
                    assert_eq!(source.text[spanned.span.range()], spanned.text);
                }
            }
        }
        let kinds: Vec<_> = all.sections.iter().map(|section| section.kind).collect();
        assert_eq!(kinds, [SectionKind::INPUT, SectionKind::OUTPUT, SectionKind::Other]);
        assert_eq!(all.variables.len(), 3);
    }

    #[test]
    fn lines_count_from_one() {
        let text = "a\nb\n".to_owned();
        let source = Source { name: String::new(), text, hidden: Vec::new() };
        assert_eq!([0, 1, 2, 4, 99].map(|offset| source.line(offset)), [1, 1, 2, 3, 3]);
    }
}
