//! The YAML format: the same configuration as the classic one, and what only YAML can say: processors, conditions, parsers
//! beside the pipeline. Reads on after a mistake, unless it makes the rest unreadable.

mod sections;
mod tree;

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use crate::classic::FileKind;
use crate::diagnostic::{Diagnostic, Diagnostics};
use crate::did_you_mean;
use crate::document::{Document, SectionKind, Span, Spanned};
use crate::files::{Files, folders_of, glob_in};
use crate::limits::{MAX_DEPTH, MAX_DIAGNOSTICS, MAX_FILES};
use tree::Node;

/// Whether a file is read as YAML: by its name.
pub fn is_yaml(path: &Path) -> bool {
    path.extension().is_some_and(|extension| extension == "yaml" || extension == "yml")
}

/// Reads a YAML file and all that it includes, and appends what it understands to `document`; else as
/// [`read_classic`](crate::read_classic).
pub fn read_yaml(
    document: &mut Document,
    path: &Path,
    kind: FileKind,
    files: &dyn Files,
) -> Diagnostics {
    let mut reader = Reader {
        document,
        diagnostics: Diagnostics::default(),
        files,
        kind,
        seen: BTreeSet::new(),
        depth: 0,
        service: None,
    };
    match files.read(path) {
        Ok(text) => reader.read_text(path, &text),
        Err(error) => {
            let message =
                format!("could not open configuration file '{}': {error}", path.display());
            reader.diagnostics.push(Diagnostic::error(message));
        }
    }
    let mut shown = Diagnostics::default();
    let many = reader.diagnostics.len() > MAX_DIAGNOSTICS && reader.diagnostics.has_errors();
    shown.extend(reader.diagnostics.into_iter().take(if many {
        MAX_DIAGNOSTICS
    } else {
        usize::MAX
    }));
    if many {
        shown.push(Diagnostic::error("too many mistakes; the rest is not shown"));
    }
    shown
}

/// What is common to a file and all that it includes.
struct Reader<'a> {
    document: &'a mut Document,
    diagnostics: Diagnostics,
    files: &'a dyn Files,
    kind: FileKind,
    /// What [`Files::identity`] says of the files read so far.
    seen: BTreeSet<PathBuf>,
    depth: usize,
    /// Where the service section is.
    service: Option<Span>,
}

type Read = fn(&mut Reader<'_>, &Spanned, Node);

/// The keys of a file, each with what reads it and whether parsers files may have it.
const TOP: [(&str, Read, bool); 7] = [
    ("env", |reader, key, node| reader.read_env(key, node), true),
    ("includes", |reader, key, node| reader.read_includes(key, node), true),
    ("service", |reader, key, node| reader.read_service(key, node), false),
    ("pipeline", |reader, key, node| reader.read_pipeline(key, node), false),
    ("parsers", |reader, key, node| reader.read_plugins(SectionKind::Parser, key, node), true),
    (
        "multiline_parsers",
        |reader, key, node| reader.read_plugins(SectionKind::MultilineParser, key, node),
        true,
    ),
    (
        "upstream_servers",
        |reader, key, node| reader.read_plugins(SectionKind::Upstream, key, node),
        true,
    ),
];

/// Keys that Fluent Bit knows and the agent has nothing for.
const OTHERS: [&str; 4] = ["customs", "extensions", "plugins", "stream_processor"];

const PIPELINE: [(&str, SectionKind); 3] = [
    ("inputs", SectionKind::INPUT),
    ("filters", SectionKind::FILTER),
    ("outputs", SectionKind::OUTPUT),
];

impl Reader<'_> {
    fn read_text(&mut self, path: &Path, text: &str) {
        self.seen.insert(self.files.identity(path));
        let id = self.document.add_source(&path.to_string_lossy(), text);
        let source = &self.document.sources[id.index()];
        let Some(tree) = tree::parse(id, source, &mut self.diagnostics) else { return };
        let entries = match tree {
            Node::Map(_, entries) => entries,
            Node::Nothing(_) => return,
            other => {
                return self.expected(
                    "a configuration",
                    "a map",
                    &other,
                    "begin with service: or pipeline:",
                );
            }
        };
        for (key, node) in entries {
            self.read_top(&key, node);
        }
    }

    fn read_top(&mut self, key: &Spanned, node: Node) {
        let is = |name: &str| name.eq_ignore_ascii_case(&key.text);
        if let Some((name, read, in_parsers)) = TOP.iter().find(|(name, ..)| is(name)) {
            if self.kind == FileKind::Parsers && !in_parsers {
                let message = format!("section '{name}' is ignored in a parsers file");
                return self.diagnostics.push(Diagnostic::warning(message).at(key.span));
            }
            return read(self, key, node);
        }
        if OTHERS.into_iter().any(is) {
            let message = format!("section '{}' is not supported yet, and ignored", key.text);
            return self.diagnostics.push(Diagnostic::warning(message).at(key.span));
        }
        let known = TOP.iter().map(|(name, ..)| *name).chain(OTHERS);
        // Those of the pipeline belong one level deeper.
        let warning = Diagnostic::warning(format!("unknown section '{}' is ignored", key.text));
        self.diagnostics.push(
            match did_you_mean(&key.text, known.clone()) {
                _ if PIPELINE.iter().any(|(name, _)| is(name)) => {
                    warning.help(format!("put '{}' below 'pipeline:'", key.text))
                }
                Some(near) => warning.help(format!("did you mean '{near}'?")),
                None => warning.help(format!("there are {}", known.collect::<Vec<_>>().join(", "))),
            }
            .at(key.span),
        );
    }

    fn read_pipeline(&mut self, key: &Spanned, node: Node) {
        for (name, node) in self.entries(key, node) {
            match PIPELINE.iter().find(|(known, _)| known.eq_ignore_ascii_case(&name.text)) {
                Some((_, kind)) => self.read_plugins(*kind, &name, node),
                None => {
                    let message =
                        format!("[config] YAML error: unknown key '{}' in 'pipeline'", name.text);
                    let help = match did_you_mean(&name.text, PIPELINE.map(|(known, _)| known)) {
                        Some(near) => format!("did you mean '{near}'?"),
                        None => "there are inputs, filters, outputs".to_owned(),
                    };
                    self.diagnostics.push(Diagnostic::error(message).at(name.span).help(help));
                }
            }
        }
    }

    /// `NAME: value`, or a list of maps with `name` and `value` or `uri`.
    fn read_env(&mut self, key: &Spanned, node: Node) {
        let Node::List(_, items) = node else {
            for (name, node) in self.entries(key, node) {
                if let Some(value) = self.text(&name, node) {
                    self.document.variables.push((name.text, value.text));
                }
            }
            return;
        };
        for item in items {
            self.read_variable(key, item);
        }
    }

    fn read_variable(&mut self, key: &Spanned, item: Node) {
        let place = item.span();
        let (mut name, mut value) = (None, None);
        for (key, node) in self.entries(key, item) {
            match key.text.as_str() {
                "name" => name = self.text(&key, node),
                "value" | "uri" => value = self.text(&key, node),
                "refresh_interval" => {
                    let warning =
                        Diagnostic::warning("'refresh_interval' has no effect").at(key.span);
                    self.diagnostics
                        .push(warning.label("variables are read when the agent starts"));
                }
                _ => self.unknown_key(
                    &key,
                    "a variable",
                    &["name", "value", "uri", "refresh_interval"],
                ),
            }
        }
        match (name, value) {
            (Some(name), Some(value)) => {
                self.document.variables.push((name.text, value.text));
            }
            _ => self.error(
                "a variable needs a name and a value",
                place,
                "write - name: X and value: Y",
            ),
        }
    }

    fn read_includes(&mut self, key: &Spanned, node: Node) {
        let items = match node {
            Node::Nothing(_) => return,
            Node::List(_, items) => items,
            other => {
                return self.expected(
                    &format!("'{}'", key.text),
                    "a list",
                    &other,
                    "write each file as - path",
                );
            }
        };
        for item in items {
            if let Some(path) = self.text(key, item) {
                self.include(&path);
            }
        }
    }

    fn include(&mut self, named: &Spanned) {
        if self.depth >= MAX_DEPTH {
            let message = format!("files include each other more than {MAX_DEPTH} deep");
            return self.diagnostics.push(Diagnostic::error(message).at(named.span));
        }
        let including = self.document.source(named.span).map_or("", |source| &source.name);
        let folders = folders_of(Path::new(including), self.files);
        let paths = if named.text.contains('*') {
            match glob_in(&folders, &named.text, self.files) {
                Ok(paths) if paths.is_empty() => {
                    let folders: Vec<_> =
                        folders.iter().map(|folder| format!("'{}'", folder.display())).collect();
                    return self.error(
                        &format!("no file matches '{}'", named.text),
                        named.span,
                        &format!("patterns are looked for in {}", folders.join(" and ")),
                    );
                }
                Ok(paths) => paths,
                Err(error) => {
                    let message = format!("could not look for '{}': {error}", named.text);
                    return self.diagnostics.push(Diagnostic::error(message).at(named.span));
                }
            }
        } else {
            let mut paths = folders.iter().map(|folder| folder.join(&named.text));
            let there = paths.clone().find(|path| self.files.read(path).is_ok());
            there.or_else(|| paths.next()).into_iter().collect()
        };
        self.depth += 1;
        for path in paths {
            if !self.include_one(&path, named.span) {
                break;
            }
        }
        self.depth -= 1;
    }

    /// False when no more files may be read.
    fn include_one(&mut self, path: &Path, at: Span) -> bool {
        if self.seen.len() >= MAX_FILES {
            let message = format!("more than {MAX_FILES} files in one configuration");
            self.diagnostics.push(Diagnostic::error(message).at(at));
            return false;
        }
        if !is_yaml(path) {
            let message = format!("'{}' is not a YAML file", path.display());
            self.error(&message, at, "a YAML file includes files that end with .yaml or .yml");
            return true;
        }
        let text = match self.files.read(path) {
            Ok(text) => text,
            Err(error) => {
                let message =
                    format!("could not open configuration file '{}': {error}", path.display());
                let help = "a path is taken from the folder of the file that includes it";
                self.error(&message, at, help);
                return true;
            }
        };
        if self.seen.contains(&self.files.identity(path)) {
            let message =
                format!("read twice: '{}' is already in this configuration", path.display());
            self.error(&message, at, "include each file once");
            return true;
        }
        self.read_text(path, &text);
        true
    }

    /// The entries of a map; of anything else none, which is said.
    fn entries(&mut self, key: &Spanned, node: Node) -> Vec<(Spanned, Node)> {
        match node {
            Node::Map(_, entries) => entries,
            Node::Nothing(_) => Vec::new(),
            other => {
                self.expected(
                    &format!("'{}'", key.text),
                    "a map",
                    &other,
                    "write key: value below it",
                );
                Vec::new()
            }
        }
    }

    /// A text; anything else is said to be wrong.
    fn text(&mut self, key: &Spanned, node: Node) -> Option<Spanned> {
        match node {
            Node::Text(text) => Some(text),
            Node::Nothing(span) => Some(Spanned { text: String::new(), span }),
            other => {
                self.expected(
                    &format!("'{}'", key.text),
                    "a text",
                    &other,
                    "write it behind the key",
                );
                None
            }
        }
    }

    fn unknown_key(&mut self, key: &Spanned, of: &str, known: &[&str]) {
        let message = format!("[config] YAML error: unknown key '{}' of {of}", key.text);
        let help = match did_you_mean(&key.text, known.iter().copied()) {
            Some(near) => format!("did you mean '{near}'?"),
            None => format!("there are {}", known.join(", ")),
        };
        self.diagnostics.push(Diagnostic::error(message).at(key.span).help(help));
    }

    fn expected(&mut self, what: &str, kind: &str, found: &Node, help: &str) {
        let message = format!("[config] YAML error: {what} must be {kind}");
        let error = Diagnostic::error(message).at(found.span());
        self.diagnostics.push(error.label(found.describe()).help(help));
    }

    fn error(&mut self, message: &str, at: Span, help: &str) {
        self.diagnostics.push(Diagnostic::error(message).at(at).help(help));
    }
}
