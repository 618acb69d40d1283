//! YAML text to a tree of texts, lists and maps, each with its place. Texts are as written: `1`, `true` and `~` are texts,
//! too, since each property knows what it wants.

use saphyr_parser::{Event, Parser, ScalarStyle, Span as Marks};

use crate::diagnostic::{Diagnostic, Diagnostics};
use crate::document::{Source, SourceId, Span, Spanned};

/// How deep lists and maps may lie inside each other.
const MAX_NESTING: usize = 32;

/// A piece of YAML.
#[derive(Debug)]
pub(super) enum Node {
    Text(Spanned),
    List(Span, Vec<Node>),
    Map(Span, Vec<(Spanned, Node)>),
    /// A key without a value, or what was reported.
    Nothing(Span),
}

impl Node {
    pub(super) fn span(&self) -> Span {
        match self {
            Self::Text(text) => text.span,
            Self::List(span, _) | Self::Map(span, _) | Self::Nothing(span) => *span,
        }
    }

    /// What it is, for people.
    pub(super) fn describe(&self) -> &'static str {
        match self {
            Self::Text(_) => "a text",
            Self::List(..) => "a list",
            Self::Map(..) => "a map",
            Self::Nothing(_) => "nothing",
        }
    }
}

/// Reads one source. Nothing after a mistake that makes the rest unreadable.
pub(super) fn parse(
    source: SourceId,
    origin: &Source,
    diagnostics: &mut Diagnostics,
) -> Option<Node> {
    let bom = if origin.text.starts_with('\u{feff}') { '\u{feff}'.len_utf8() } else { 0 };
    let text = &origin.text[bom..];
    let places = Places { source, base: bom, offsets: Offsets::new(text), text };
    let mut builder = Builder { places, diagnostics, open: Vec::new(), done: None };
    for next in Parser::new_from_str(text) {
        match next {
            Ok((event, marks)) => {
                if !builder.take(event, marks) {
                    return None;
                }
            }
            Err(error) => {
                let span = builder.places.at(error.marker().index());
                let (line, column) = origin.line_and_column(span.range().start);
                let message = format!(
                    "[config] invalid YAML in file {} at line {line}, column {column}: {}",
                    origin.name,
                    error.info()
                );
                let line =
                    origin.text[..span.range().start].rsplit('\n').next().unwrap_or_default();
                let error = Diagnostic::error(message).at(span);
                let is_star =
                    line.contains(": *") || origin.text[span.range().start..].starts_with('*');
                builder.diagnostics.push(match is_star {
                    true => error.help("put quotes around a text that begins with *: '*'"),
                    false => error,
                });
                return None;
            }
        }
    }
    let nothing = Node::Nothing(builder.places.at(0));
    Some(builder.done.unwrap_or(nothing))
}

/// From the parser's marks, which count characters, to bytes of the source.
struct Places<'t> {
    source: SourceId,
    base: usize,
    offsets: Offsets<'t>,
    text: &'t str,
}

impl Places<'_> {
    fn bytes(&self, start: usize, end: usize) -> Span {
        let offset = |at: usize| u32::try_from(self.base + at).unwrap_or(u32::MAX);
        Span { source: self.source, start: offset(start), end: offset(end.max(start)) }
    }

    /// The place of one character.
    fn at(&self, index: usize) -> Span {
        let start = self.offsets.at(index);
        self.bytes(start, start)
    }

    /// A place without the line ends and blanks behind it, and no longer than its first line.
    fn span(&self, marks: Marks) -> Span {
        let (start, end) =
            (self.offsets.at(marks.start.index()), self.offsets.at(marks.end.index()));
        let text = self.text.get(start..end).unwrap_or_default();
        let line = text.lines().next().unwrap_or_default();
        self.bytes(start, start + line.trim_end().len())
    }
}

/// Where characters begin.
struct Offsets<'t> {
    text: &'t str,
    /// The byte where every [`Offsets::STEP`]th character begins.
    steps: Vec<usize>,
}

impl<'t> Offsets<'t> {
    const STEP: usize = 256;

    fn new(text: &'t str) -> Self {
        let steps = text.char_indices().map(|(at, _)| at).step_by(Self::STEP).collect();
        Self { text, steps }
    }

    fn at(&self, index: usize) -> usize {
        let Some(step) = self.steps.get(index / Self::STEP) else { return self.text.len() };
        let mut behind = self.text[*step..].char_indices();
        behind.nth(index % Self::STEP).map_or(self.text.len(), |(at, _)| step + at)
    }
}

/// A list or map whose end has not come.
enum Open {
    List(Span, Vec<Node>),
    Map(Span, Vec<(Spanned, Node)>, Option<Spanned>),
}

struct Builder<'t, 'd> {
    places: Places<'t>,
    diagnostics: &'d mut Diagnostics,
    open: Vec<Open>,
    done: Option<Node>,
}

impl Builder<'_, '_> {
    /// False when reading on is pointless.
    fn take(&mut self, event: Event<'_>, marks: Marks) -> bool {
        let span = self.places.span(marks);
        match event {
            Event::DocumentStart(_) if self.done.is_some() => {
                let error = Diagnostic::error("[config] YAML error: a second document in one file");
                self.diagnostics.push(error.at(span).help("put it into a file of its own"));
                return false;
            }
            Event::Scalar(_, ScalarStyle::Plain, ..) if span.range().is_empty() => {
                self.add(Node::Nothing(span));
            }
            Event::Scalar(text, ..) => {
                self.add(Node::Text(Spanned { text: text.into_owned(), span }));
            }
            Event::Alias(_) => {
                let error = Diagnostic::error("[config] YAML error: aliases are not supported");
                self.diagnostics.push(error.at(span).help("write out what it stands for"));
                self.add(Node::Nothing(span));
            }
            Event::SequenceStart(..) => return self.open(Open::List(span, Vec::new()), span),
            Event::MappingStart(..) => return self.open(Open::Map(span, Vec::new(), None), span),
            Event::SequenceEnd | Event::MappingEnd => match self.open.pop() {
                Some(Open::List(span, nodes)) => self.add(Node::List(span, nodes)),
                Some(Open::Map(span, entries, _)) => self.add(Node::Map(span, entries)),
                None => {}
            },
            Event::Nothing
            | Event::StreamStart
            | Event::StreamEnd
            | Event::DocumentStart(_)
            | Event::DocumentEnd => {}
        }
        true
    }

    fn open(&mut self, open: Open, span: Span) -> bool {
        if self.open.len() >= MAX_NESTING {
            let message = format!(
                "[config] YAML error: lists and maps lie more than {MAX_NESTING} deep inside each other"
            );
            self.diagnostics.push(Diagnostic::error(message).at(span));
            return false;
        }
        self.open.push(open);
        true
    }

    fn add(&mut self, node: Node) {
        match self.open.last_mut() {
            None => self.done = Some(node),
            Some(Open::List(_, nodes)) => nodes.push(node),
            Some(Open::Map(_, entries, key)) => match key.take() {
                Some(key) => entries.push((key, node)),
                None => *key = Some(as_key(node, self.diagnostics)),
            },
        }
    }
}

fn as_key(node: Node, diagnostics: &mut Diagnostics) -> Spanned {
    match node {
        Node::Text(text) => text,
        other => {
            let message = format!("[config] YAML error: {} as a key", other.describe());
            let error = Diagnostic::error(message).at(other.span());
            diagnostics.push(error.help("a key is a text"));
            Spanned { text: String::new(), span: other.span() }
        }
    }
}
