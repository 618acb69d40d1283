//! Diagnostics: what is wrong, where, and what to do; collected, then shown all at once.

use std::ops::Range;

use annotate_snippets::{AnnotationKind, Group, Level, Message, Renderer, Snippet};
use flb_text::tame;

use crate::document::{Source, Span};
use crate::secrecy::{MASK, secret_of_line};

/// How bad a [`Diagnostic`] is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Severity {
    /// The configuration cannot be used.
    Error,
    /// The configuration can be used, though probably not as its author thinks.
    Warning,
}

/// One thing to tell the author of a configuration.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Diagnostic {
    /// How bad it is.
    pub severity: Severity,
    /// What is wrong, in one line.
    pub message: String,
    /// Where.
    pub span: Option<Span>,
    /// A place on the same lines that may hold a secret, and is not shown.
    pub hidden: Option<Span>,
    /// A few words to stand beside the marked place.
    pub label: Option<String>,
    /// What to do about it.
    pub help: Option<String>,
}

impl Diagnostic {
    /// An error: the configuration cannot be used.
    pub fn error(message: impl Into<String>) -> Self {
        Self::new(Severity::Error, message.into())
    }

    /// A warning: the configuration can be used all the same.
    pub fn warning(message: impl Into<String>) -> Self {
        Self::new(Severity::Warning, message.into())
    }

    fn new(severity: Severity, message: String) -> Self {
        Self { severity, message, span: None, hidden: None, label: None, help: None }
    }

    /// Says where.
    pub fn at(self, span: Span) -> Self {
        Self { span: Some(span), ..self }
    }

    /// Keeps a place from being shown, which may hold a secret.
    pub fn hiding(self, span: Span) -> Self {
        Self { hidden: Some(span), ..self }
    }

    /// Puts a few words beside the marked place.
    pub fn label(self, label: impl Into<String>) -> Self {
        Self { label: Some(label.into()), ..self }
    }

    /// Says what to do.
    pub fn help(self, help: impl Into<String>) -> Self {
        Self { help: Some(help.into()), ..self }
    }

    /// Anything in it may come from a file, so all of it is tamed.
    fn group<'a>(&'a self, sources: &'a [Source]) -> Group<'a> {
        let level = match self.severity {
            Severity::Error => Level::ERROR,
            Severity::Warning => Level::WARNING,
        };
        Group::with_title(level.primary_title(tame(&self.message)))
            .elements(self.snippet(sources))
            .elements(self.help_message())
    }

    fn snippet<'a>(
        &'a self,
        sources: &'a [Source],
    ) -> Option<Snippet<'a, annotate_snippets::Annotation<'a>>> {
        let span = self.span?;
        let source = sources.get(span.source.0 as usize)?;
        let own = self.hidden.filter(|hidden| hidden.source == span.source).map(Span::range);
        let excerpt = Excerpt::around(span.range(), source, own);
        let label = self.label.as_deref().map(tame);
        Some(
            Snippet::source(excerpt.text)
                .path(tame(&source.name))
                .line_start(excerpt.line)
                .annotation(AnnotationKind::Primary.span(excerpt.marked).label(label)),
        )
    }

    fn help_message(&self) -> Option<Message<'_>> {
        let help = self.help.as_deref()?;
        Some(Level::HELP.message(tame(help)))
    }
}

/// The whole lines around a marked place, so that the renderer need not walk the rest of the file.
struct Excerpt {
    text: String,
    /// The number of its first line, counted from 1.
    line: usize,
    /// The marked bytes within `text`.
    marked: Range<usize>,
}

impl Excerpt {
    /// Any range will do: one that leaves the text or cuts a character is moved onto it. `own` is hidden, too.
    fn around(range: Range<usize>, source: &Source, own: Option<Range<usize>>) -> Self {
        let text = source.text.as_str();
        let start = text.floor_char_boundary(range.start);
        let end = text.ceil_char_boundary(range.end).max(start);
        let first = text[..start].rfind('\n').map_or(0, |at| at + 1);
        let last = text[end..].find('\n').map_or(text.len(), |at| end + at);
        let excerpt = text[first..last].trim_end_matches('\r');
        let (mut start, mut end) =
            ((start - first).min(excerpt.len()), (end - first).min(excerpt.len()));
        let hidden = hidden(excerpt, first, source.hidden.iter().cloned().chain(own));
        for hidden in &hidden {
            // What is marked in part is marked whole.
            if hidden.start < end && start < hidden.end {
                (start, end) = (start.min(hidden.start), end.max(hidden.end));
            } else if hidden.contains(&start) && start == end {
                (start, end) = (hidden.start, hidden.start);
            }
        }
        let mut text = shown(excerpt, 0..start, &hidden);
        let start_shown = text.len();
        text.push_str(&shown(excerpt, start..end, &hidden));
        let marked = start_shown..text.len();
        text.push_str(&shown(excerpt, end..excerpt.len(), &hidden));
        Self { text, line: source.line(first), marked }
    }
}

/// The places within an excerpt that are not to be shown, in order and apart from each other: those that are known, which
/// count from the beginning of the source, and those that a line's first word tells.
fn hidden(
    excerpt: &str,
    first: usize,
    known: impl Iterator<Item = Range<usize>>,
) -> Vec<Range<usize>> {
    let within =
        |at: usize| excerpt.ceil_char_boundary(at.saturating_sub(first).min(excerpt.len()));
    let known = known.map(|range| within(range.start)..within(range.end));
    let mut at = 0;
    let told = excerpt.split_inclusive('\n').filter_map(|line| {
        let start = at;
        at += line.len();
        let secret = secret_of_line(line.trim_end_matches(['\r', '\n']))?;
        Some(start + secret.start..start + secret.end)
    });
    let mut all: Vec<Range<usize>> = known.chain(told).filter(|range| !range.is_empty()).collect();
    all.sort_by_key(|range| range.start);
    let mut apart: Vec<Range<usize>> = Vec::with_capacity(all.len());
    for range in all {
        match apart.last_mut() {
            Some(last) if range.start <= last.end => last.end = last.end.max(range.end),
            _ => apart.push(range),
        }
    }
    apart
}

/// A part of an excerpt as it may be shown. No hidden place lies across its ends.
fn shown(excerpt: &str, part: Range<usize>, hidden: &[Range<usize>]) -> String {
    let mut text = String::new();
    let mut at = part.start;
    for hidden in
        hidden.iter().filter(|hidden| part.start <= hidden.start && hidden.end <= part.end)
    {
        text.push_str(&tame(&excerpt[at..hidden.start]));
        text.push_str(MASK);
        at = hidden.end;
    }
    text.push_str(&tame(&excerpt[at..part.end]));
    text
}

/// Diagnostics in the order they were found.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Diagnostics {
    all: Vec<Diagnostic>,
    errors: usize,
}

impl Diagnostics {
    /// Adds one.
    pub fn push(&mut self, diagnostic: Diagnostic) {
        self.errors += usize::from(diagnostic.severity == Severity::Error);
        self.all.push(diagnostic);
    }

    /// Whether any of them is an error.
    pub fn has_errors(&self) -> bool {
        self.errors > 0
    }

    /// All of them, in order.
    pub fn iter(&self) -> std::slice::Iter<'_, Diagnostic> {
        self.all.iter()
    }

    /// How many.
    pub fn len(&self) -> usize {
        self.all.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.all.is_empty()
    }

    /// All of them as plain text for people, with the lines they are about. `sources` are those of
    /// the document that the spans belong to.
    pub fn render(&self, sources: &[Source]) -> String {
        self.render_by(&Renderer::plain(), sources)
    }

    /// The same with terminal colours.
    pub fn render_coloured(&self, sources: &[Source]) -> String {
        self.render_by(&Renderer::styled(), sources)
    }

    fn render_by(&self, renderer: &Renderer, sources: &[Source]) -> String {
        let rendered = self.iter().map(|one| renderer.render(&[one.group(sources)]) + "\n");
        rendered.collect::<Vec<_>>().join("\n")
    }
}

impl Extend<Diagnostic> for Diagnostics {
    fn extend<I: IntoIterator<Item = Diagnostic>>(&mut self, more: I) {
        more.into_iter().for_each(|one| self.push(one));
    }
}

impl From<Diagnostic> for Diagnostics {
    fn from(one: Diagnostic) -> Self {
        let mut all = Self::default();
        all.push(one);
        all
    }
}

impl IntoIterator for Diagnostics {
    type Item = Diagnostic;
    type IntoIter = std::vec::IntoIter<Diagnostic>;

    fn into_iter(self) -> Self::IntoIter {
        self.all.into_iter()
    }
}

impl<'a> IntoIterator for &'a Diagnostics {
    type Item = &'a Diagnostic;
    type IntoIter = std::slice::Iter<'a, Diagnostic>;

    fn into_iter(self) -> Self::IntoIter {
        self.iter()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::document::Document;

    const TEXT: &str = "[INPUT]\r\n    Näme dümmy\r\n\tTag a";

    fn document() -> Document {
        let mut document = Document::default();
        document.add_source("a.conf", TEXT);
        document
    }

    fn span(start: usize, end: usize) -> Span {
        let offset = |at| u32::try_from(at).unwrap();
        Span { source: crate::SourceId(0), start: offset(start), end: offset(end) }
    }

    /// The place, and the marked line with what is below it.
    fn check(diagnostic: Diagnostic, expected: &str) {
        let shown = Diagnostics::from(diagnostic).render(document().sources());
        assert_eq!(shown, expected, "\n{shown}");
    }

    #[test]
    fn a_place_is_shown_with_its_line_label_and_help() {
        check(
            Diagnostic::error("no good").at(span(14, 17)).label("this").help("that"),
            "\
error: no good
 --> a.conf:2:6
  |
2 |     Näme dümmy
  |      ^^ this
  |
  = help: that
",
        );
    }

    #[test]
    fn without_a_place_there_is_only_the_message() {
        check(Diagnostic::warning("odd").label("unseen"), "warning: odd\n");
        check(Diagnostic::error("no").help("yes"), "error: no\n |\n = help: yes\n");
    }

    #[test]
    fn a_span_beyond_the_text_or_within_a_character_is_moved() {
        check(
            Diagnostic::error("a").at(span(900, 901)),
            "error: a\n --> a.conf:3:7\n  |\n3 |     Tag a\n  |          ^\n",
        );
        check(
            Diagnostic::error("b").at(span(15, 15)),
            "error: b\n --> a.conf:2:6\n  |\n2 |     Näme dümmy\n  |      ^\n",
        );
        check(
            Diagnostic::error("c").at(span(7, 8)),
            "error: c\n --> a.conf:1:8\n  |\n1 | [INPUT]\n  |        ^\n",
        );
        let elsewhere = Span { source: crate::SourceId(7), ..span(0, 1) };
        check(Diagnostic::error("d").at(elsewhere), "error: d\n");
    }

    /// What is shown of a text with these secrets when these bytes are marked.
    fn check_hidden(text: &str, hidden: &[&str], marked: &str, expected: &str) {
        let mut document = Document::default();
        let source = document.add_source("a.conf", text);
        let place = |part: &str| {
            let start = text.find(part).unwrap();
            let offset = |at| u32::try_from(at).unwrap();
            Span { source, start: offset(start), end: offset(start + part.len()) }
        };
        hidden.iter().for_each(|part| document.hide(place(part)));
        let shown = Diagnostics::from(Diagnostic::error("x").at(place(marked)));
        let shown = shown.render(document.sources());
        assert!(shown.contains(expected) && !shown.contains("hush"), "{expected}\n{shown}");
    }

    #[test]
    fn secrets_are_not_shown_and_the_place_is() {
        let key = "    Any_Key hush\r\n";
        check_hidden(key, &["hush"], "Any_Key", "1 |     Any_Key ********\n  |     ^^^^^^^");
        check_hidden(key, &["hush"], "hush", "1 |     Any_Key ********\n  |             ^^^^^^^^");
        check_hidden(key, &["hush"], "us", "1 |     Any_Key ********\n  |             ^^^^^^^^");
        check_hidden(
            "{a: hush, b: c}",
            &["hush"],
            "b",
            "1 | {a: ********, b: c}\n  |               ^",
        );
        check_hidden("a: |\n  hush\n  hush", &["hush\n  hush"], "a", "1 | a: |\n");
        check_hidden("a\n  hush\n  hush\nb", &["hush\n  hush"], "a\n  hush\n  hush\nb", MASK);
        check_hidden("Shared_Key\thush", &[], "\t", "********");
        check_hidden("@SET TOKEN =hush", &[], "TOKEN", "********");
    }

    #[test]
    fn a_diagnostic_can_hide_what_nobody_else_knows() {
        let diagnostic = Diagnostic::error("x").at(span(13, 18)).hiding(span(19, 26));
        let shown = Diagnostics::from(diagnostic).render(document().sources());
        assert!(shown.contains("Näme ********\n"), "{shown}");
    }

    #[test]
    fn several_lines_are_shown_whole() {
        check(
            Diagnostic::error("a").at(span(1, 17)),
            "\
error: a
 --> a.conf:1:2
  |
1 |   [INPUT]
  |  __^
2 | |     Näme dümmy
  | |_______^
",
        );
    }

    #[test]
    fn control_characters_do_not_reach_the_terminal() {
        let escape = "\u{1b}[31m\u{9b}32m";
        let diagnostic = Diagnostic::error(escape).at(span(0, 1)).label(escape).help(escape);
        let shown = Diagnostics::from(diagnostic.clone()).render(document().sources());
        assert!(!shown.contains(['\u{1b}', '\u{9b}']), "{shown}");
        let coloured = Diagnostics::from(diagnostic).render_coloured(document().sources());
        assert!(coloured.contains('\u{1b}') && !coloured.contains(escape), "{coloured}");
    }

    #[test]
    fn they_stay_in_order_with_a_line_between() {
        let mut all = Diagnostics::default();
        assert_eq!(all.render(&[]), "");
        all.push(Diagnostic::warning("first"));
        assert!(!all.has_errors());
        all.extend(Diagnostics::from(Diagnostic::error("second")));
        assert!(all.has_errors());
        assert_eq!(all.render(&[]), "warning: first\n\nerror: second\n");
    }
}
