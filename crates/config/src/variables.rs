//! Variables: `${NAME}` in values.

use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::diagnostic::{Diagnostic, Diagnostics};
use crate::document::Span;
use crate::files::{Files, Memory};

/// What `${NAME}` stands for: first what the configuration sets, then the environment, then for
/// `HOSTNAME` the host's name. A variable whose value is `file:///some/path` stands for that file's
/// text.
#[derive(Clone)]
pub struct Variables {
    set: BTreeMap<String, String>,
    environment: BTreeMap<String, String>,
    hostname: Option<String>,
    files: Arc<dyn Files + Send + Sync>,
}

impl Default for Variables {
    /// No variables and no files.
    fn default() -> Self {
        Self::new(BTreeMap::new(), None, Arc::new(Memory::default()))
    }
}

impl fmt::Debug for Variables {
    /// Names only: values may be secrets.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Variables")
            .field("set", &self.set.keys())
            .field("environment", &self.environment.keys())
            .field("hostname", &self.hostname)
            .finish_non_exhaustive()
    }
}

/// A text with its variables filled in.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Expanded {
    /// The text.
    pub text: String,
    /// The variables that are not set and have no default, in the order used; each stands as empty
    /// text.
    pub unset: Vec<String>,
    /// Whether some of it is the text of a file, which is where secrets are kept.
    pub from_file: bool,
    /// The variables whose file could not be read, in the order used; each stands as empty text.
    pub unreadable: Vec<Unreadable>,
}

/// A variable that names a file which cannot be read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unreadable {
    /// The variable's name.
    pub name: String,
    /// The file.
    pub path: PathBuf,
    /// Why it cannot be read.
    pub error: String,
}

impl Expanded {
    /// Tells what went wrong: unset variables as warnings, unreadable files as errors. `span` is
    /// the value's place.
    pub fn report(&self, span: Span, diagnostics: &mut Diagnostics) {
        diagnostics.extend(self.unset.iter().map(|name| {
            Diagnostic::warning(format!("variable ${{{name}}} is used but not set"))
                .at(span)
                .help(format!("write ${{{name}:-text}} to give it a default"))
        }));
        diagnostics.extend(self.unreadable.iter().map(|Unreadable { name, path, error }| {
            let path = path.display();
            let message = format!("could not read '{path}' for variable ${{{name}}}: {error}");
            Diagnostic::error(message).at(span)
        }));
    }
}

impl Variables {
    /// Variables from the process's environment and the host's name, with nothing set yet. `files`
    /// reads the files that values name, when the variables are used.
    pub fn new(
        environment: BTreeMap<String, String>,
        hostname: Option<String>,
        files: Arc<dyn Files + Send + Sync>,
    ) -> Self {
        Self { set: BTreeMap::new(), environment, hostname, files }
    }

    /// Sets a variable, over the environment and over what was set before.
    pub fn set(&mut self, name: impl Into<String>, value: impl Into<String>) {
        self.set.insert(name.into(), value.into());
    }

    /// The value of a variable that is set and not empty.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.lookup(name).filter(|value| !value.is_empty())
    }

    /// Those that the configuration sets, and the host's name, each with what it stands for.
    pub fn given(&self) -> impl Iterator<Item = (&str, String)> {
        let host = self.hostname.as_ref().map(|_| "HOSTNAME");
        let host = host.filter(|name| !self.set.contains_key(*name));
        let names = self.set.keys().map(String::as_str).chain(host);
        names.map(|name| (name, self.expand(&format!("${{{name}}}")).text))
    }

    /// Fills in every `${NAME}` and `${NAME:-default}` of `text`, once: what is filled in is not
    /// looked at again. A `${` that is never closed stays as it is.
    pub fn expand(&self, text: &str) -> Expanded {
        let mut expanded = Expanded::default();
        let mut rest = text;
        while let Some((before, reference, behind)) = split_reference(rest) {
            expanded.text.push_str(before);
            self.fill_in(reference, &mut expanded);
            rest = behind;
        }
        expanded.text.push_str(rest);
        expanded
    }

    fn fill_in(&self, reference: &str, expanded: &mut Expanded) {
        let (name, default) = match reference.split_once(":-") {
            Some((name, default)) => (name, Some(default)),
            None => (reference, None),
        };
        match (self.lookup(name), default) {
            (None, None) => expanded.unset.push(name.to_owned()),
            (None | Some(""), Some(default)) => expanded.text.push_str(default),
            (Some(value), _) => match value.strip_prefix("file://") {
                Some(path) if path.starts_with('/') => {
                    self.fill_in_file(name, Path::new(path), expanded);
                }
                _ => expanded.text.push_str(value),
            },
        }
    }

    fn fill_in_file(&self, name: &str, path: &Path, expanded: &mut Expanded) {
        match self.files.read(path) {
            Ok(text) => {
                expanded.from_file = true;
                expanded.text.push_str(without_line_end(&text));
            }
            Err(error) => expanded.unreadable.push(Unreadable {
                name: name.to_owned(),
                path: path.to_owned(),
                error: error.to_string(),
            }),
        }
    }

    /// An empty variable of the environment counts as unset.
    fn lookup(&self, name: &str) -> Option<&str> {
        let environment = || self.environment.get(name).filter(|value| !value.is_empty());
        let hostname = || self.hostname.as_ref().filter(|_| name == "HOSTNAME");
        self.set.get(name).or_else(environment).or_else(hostname).map(String::as_str)
    }
}

/// What stands before the first `${…}`, inside it, and behind it.
fn split_reference(text: &str) -> Option<(&str, &str, &str)> {
    let (before, inside) = text.split_once("${")?;
    let (reference, behind) = inside.split_once('}')?;
    Some((before, reference, behind))
}

/// The text without one line end behind it.
fn without_line_end(text: &str) -> &str {
    let Some(line) = text.strip_suffix('\n') else { return text };
    line.strip_suffix('\r').unwrap_or(line)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn variables() -> Variables {
        let environment = [
            ("HOME", "/root"),
            ("EMPTY", ""),
            ("BOTH", "environment"),
            ("SECRET", "file:///secret"),
            ("LOST", "file:///lost"),
            ("RELATIVE", "file://secret"),
        ];
        let environment = environment.map(|(name, value)| (name.to_owned(), value.to_owned()));
        let files = Memory([("/secret".into(), "pass word\n\n".to_owned())].into());
        let host = Some("box".to_owned());
        let mut variables = Variables::new(environment.into(), host, Arc::new(files));
        variables.set("BOTH", "first");
        variables.set("BOTH", "configuration");
        variables.set("NOTHING", "");
        variables.set("NESTED", "${HOME}");
        variables
    }

    /// Checks the text, behind it the names of unset variables, and the messages about files.
    fn check(text: &str, expected: &str) {
        let Expanded { mut text, unset, unreadable, .. } = variables().expand(text);
        for name in unset {
            text += &format!(" !{name}");
        }
        for Unreadable { name, path, error } in unreadable {
            text += &format!(" {name}: {}: {error}", path.display());
        }
        assert_eq!(text, expected);
    }

    #[test]
    fn what_the_configuration_sets_can_be_told() {
        let variables = variables();
        let given: Vec<_> = variables.given().collect();
        let expected = [
            ("BOTH", "configuration"),
            ("NESTED", "${HOME}"),
            ("NOTHING", ""),
            ("HOSTNAME", "box"),
        ];
        assert_eq!(given, expected.map(|(name, text)| (name, text.to_owned())));
    }

    #[test]
    fn text_without_variables_stays() {
        for text in ["", "$HOME", "{HOME}", "$ {HOME}", "a ${HOME", "größe", "${", "a$"] {
            check(text, text);
        }
    }

    #[test]
    fn a_variable_is_filled_in_wherever_it_stands() {
        check("${HOME}", "/root");
        check("a${HOME}b${HOME}}", "a/rootb/root}");
        check("$${HOME}", "$/root");
    }

    #[test]
    fn the_configuration_goes_before_the_environment_and_the_host() {
        check("${BOTH}", "configuration");
        check("${HOSTNAME}", "box");
        let mut variables = variables();
        variables.environment.insert("HOSTNAME".to_owned(), "given".to_owned());
        assert_eq!(variables.expand("${HOSTNAME}").text, "given");
    }

    #[test]
    fn unset_variables_are_empty_and_reported() {
        check("a${X}b${Y}c${X}", "abc !X !Y !X");
        check("${EMPTY}", " !EMPTY");
        check("${home}", " !home");
        check("${NOTHING}", "");
    }

    #[test]
    fn a_default_stands_in_for_unset_and_empty() {
        check("${X:-a b}", "a b");
        check("${X:-}", "");
        check("${EMPTY:-d}${NOTHING:-d}${HOME:-d}", "dd/root");
        check("${X:-a:-b}", "a:-b");
    }

    #[test]
    fn what_is_filled_in_is_not_looked_at_again() {
        check("${NESTED}", "${HOME}");
        check("${X:-${HOME}}", "${HOME}");
    }

    #[test]
    fn a_file_is_read_without_its_last_line_end() {
        check("<${SECRET}>", "<pass word\n>");
        check("<${LOST}>", "<> LOST: /lost: entity not found");
        check("${RELATIVE} ${X:-file:///secret}", "file://secret file:///secret");
    }

    #[test]
    fn a_report_has_warnings_and_errors() {
        let mut document = crate::Document::default();
        let source = document.add_source("a.conf", "${X}${LOST}");
        let mut diagnostics = Diagnostics::default();
        let span = Span { source, start: 0, end: 11 };
        variables().expand("${X}${LOST}").report(span, &mut diagnostics);
        let messages: Vec<_> = diagnostics.iter().map(|one| one.message.as_str()).collect();
        let expected = [
            "variable ${X} is used but not set",
            "could not read '/lost' for variable ${LOST}: entity not found",
        ];
        assert_eq!(messages, expected);
        assert!(diagnostics.has_errors());
    }

    #[test]
    fn debug_output_keeps_secrets() {
        let shown = format!("{:?}", variables());
        assert!(shown.contains("HOME") && !shown.contains("/root"), "{shown}");
    }
}
