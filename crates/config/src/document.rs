//! What a configuration says: sections and their properties in the order given, each with its place
//! in the text.

use std::ops::Range;

/// Which source of a [`Document`] a span is in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SourceId(pub(crate) u32);

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

/// What a section configures.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SectionKind {
    /// `[SERVICE]`: the agent itself.
    Service,
    /// `[INPUT]`
    Input,
    /// `[FILTER]`
    Filter,
    /// `[OUTPUT]`
    Output,
    /// `[PARSER]`, in a parsers file.
    Parser,
    /// `[MULTILINE_PARSER]`, in a parsers file.
    MultilineParser,
    /// Any other name: kept, and ignored by the agent.
    Other,
}

impl SectionKind {
    pub(crate) const NAMES: [(&str, Self); 6] = [
        ("service", Self::Service),
        ("input", Self::Input),
        ("filter", Self::Filter),
        ("output", Self::Output),
        ("parser", Self::Parser),
        ("multiline_parser", Self::MultilineParser),
    ];

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
}

impl Section {
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
}

impl Source {
    /// The number of the line that a byte is in, counted from 1.
    pub fn line(&self, offset: usize) -> usize {
        1 + self.text.bytes().take(offset).filter(|byte| *byte == b'\n').count()
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
        self.sources.push(Source { name: name.to_owned(), text: text.to_owned() });
        SourceId(u32::try_from(self.sources.len() - 1).unwrap_or(u32::MAX))
    }

    /// The sources, in the order of their ids.
    pub fn sources(&self) -> &[Source] {
        &self.sources
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
        let moved = |mut spanned: Spanned| {
            spanned.span.source.0 += shift;
            spanned
        };
        self.sources.extend(other.sources);
        self.variables.extend(other.variables);
        self.sections.extend(other.sections.into_iter().map(|section| {
            Section {
                kind: section.kind,
                name: moved(section.name),
                properties: section
                    .properties
                    .into_iter()
                    .map(|property| Property {
                        key: moved(property.key),
                        value: moved(property.value),
                    })
                    .collect(),
            }
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
        document.sections.push(Section {
            kind: SectionKind::of(text),
            name: spanned.clone(),
            properties: vec![Property { key: spanned.clone(), value: spanned }],
        });
        document
    }

    #[test]
    fn places_move_along_when_documents_are_joined() {
        let mut all = document("input");
        all.append(document("OUTPUT"));
        all.append(document("custom"));
        for section in &all.sections {
            let Property { key, value } = &section.properties[0];
            for spanned in [&section.name, key, value] {
                let source = all.source(spanned.span).unwrap();
                assert_eq!(source.text[spanned.span.range()], spanned.text);
            }
        }
        let kinds: Vec<_> = all.sections.iter().map(|section| section.kind).collect();
        assert_eq!(kinds, [SectionKind::Input, SectionKind::Output, SectionKind::Other]);
        assert_eq!(all.variables.len(), 3);
    }

    #[test]
    fn lines_count_from_one() {
        let source = Source { name: String::new(), text: "a\nb\n".to_owned() };
        assert_eq!([0, 1, 2, 4, 99].map(|offset| source.line(offset)), [1, 1, 2, 3, 3]);
    }
}
