//! From a plugin's section to its options, or to what is wrong with it.

use super::kinds::Shape;
use super::options::Options;
use super::row::{Row, Table};
use crate::diagnostic::{Diagnostic, Diagnostics};
use crate::document::{Property, Section};
use crate::secrecy::{Secrecy, is_secret_name};
use crate::value::ValueError;
use crate::variables::{Expanded, Variables};

impl Options {
    /// Checks the properties of a section against a plugin's table. Properties that `reserved` names belong to the pipeline and
    /// are passed over. `plugin` is the plugin's name, for messages. All mistakes are reported, and what is right is kept.
    pub fn read(
        plugin: &str,
        table: Table,
        section: &Section,
        reserved: &[&str],
        variables: &Variables,
        diagnostics: &mut Diagnostics,
    ) -> Self {
        let mut options = Self::new(table);
        for property in &section.properties {
            let key = property.key.text.as_str();
            if reserved.contains(&key) {
                continue;
            }
            let Some(row) = table.find(key) else {
                diagnostics.push(unknown(plugin, table, reserved, property));
                continue;
            };
            if !row.is_repeated && options.has(row, key) {
                diagnostics.push(repeated(plugin, property, section));
                continue;
            }
            let expanded = variables.expand(&property.value.text);
            if let Some(missing) = missing_secret(row, property, &expanded) {
                diagnostics.push(missing);
                continue;
            }
            expanded.report(property.value.span, diagnostics);
            if let Err(error) = options.add(row, key, &expanded.text, Some(property.value.span)) {
                diagnostics.push(invalid(row, property, &error));
            }
        }
        options
    }
}

/// What to say of a secret that is not there: going on without would open a door that was to be locked.
fn missing_secret(row: &Row, property: &Property, expanded: &Expanded) -> Option<Diagnostic> {
    let (key, text) = (property.key.text.as_str(), expanded.text.as_str());
    let named = Some(text)
        .filter(|_| !row.name.ends_with('*'))
        .and_then(|text| text.split_once([' ', '=']));
    let (is_secret, value) = match (row.secrecy, named) {
        (Secrecy::Secret, _) => (true, text.trim()),
        // The name says whether a value such as `Authorization Bearer ${TOKEN}` is one. Blanks at its end were before a
        // variable that stands for nothing.
        (Secrecy::Named, Some((_, value))) if value.ends_with(' ') => (is_secret_name(text), ""),
        (Secrecy::Named, Some((name, value))) => (is_secret_name(name), value),
        (Secrecy::Named, None) => (is_secret_name(key), text),
        _ => return None,
    };
    let why = match expanded.unset.first() {
        _ if !is_secret || !expanded.unreadable.is_empty() => return None,
        Some(name) => format!("variable ${{{name}}} is not set"),
        None if value.is_empty() => "its value is empty".to_owned(),
        None => return None,
    };
    let message = format!("[config] '{key}' is a secret, and {why}");
    let help = "give it a value, or take the property out to go without";
    Some(Diagnostic::error(message).at(property.value.span).help(help))
}

fn unknown(plugin: &str, table: Table, reserved: &[&str], property: &Property) -> Diagnostic {
    let key = property.key.text.as_str();
    let allowed: Vec<&str> = table.names().collect();
    let message = format!(
        "[config] {plugin}: unknown configuration property '{key}'. The following properties are allowed: {}.",
        enumerate(&allowed)
    );
    let known = allowed.iter().chain(reserved).copied();
    let diagnostic = Diagnostic::error(message).at(property.key.span).hiding(property.value.span);
    match suggestion(key, known, reserved) {
        Some(near) => diagnostic.help(format!("did you mean '{near}'?")),
        None => diagnostic,
    }
}

/// The key that was probably meant. `tag` on a filter or an output is the classic slip for `match`.
fn suggestion<'a>(
    key: &str,
    known: impl IntoIterator<Item = &'a str>,
    reserved: &[&str],
) -> Option<&'a str> {
    if key == "tag" && reserved.contains(&"match") {
        return Some("Match");
    }
    crate::did_you_mean(key, known)
}

fn repeated(plugin: &str, property: &Property, section: &Section) -> Diagnostic {
    let key = property.key.text.as_str();
    let times = section.properties.iter().filter(|other| other.key.text == key).count();
    let message = format!("[config] {plugin}: configuration property '{key}' is set {times} times");
    Diagnostic::error(message).at(property.key.span).help("give it once")
}

fn invalid(row: &Row, property: &Property, error: &ValueError) -> Diagnostic {
    let key = property.key.text.as_str();
    let message = match row.shape {
        Shape::Bool => {
            format!("[config map] invalid value for boolean property '{key}={}'", error.found)
        }
        _ => format!("[config map] invalid value for property '{key}': {error}"),
    };
    Diagnostic::error(message).at(property.value.span).help(error.hint.as_str())
}

/// `a, b, and c`
fn enumerate(names: &[&str]) -> String {
    match names {
        [] => "none".to_owned(),
        [one] => (*one).to_owned(),
        [all @ .., last] => format!("{}, and {last}", all.join(", ")),
    }
}
