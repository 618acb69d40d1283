//! Options: from the text of a configuration to typed values, by a plugin's own table.

use std::time::Duration;

use flb_config::{
    Diagnostic, Diagnostics, Document, Expanded, Property, Secrecy, Section, SectionKind, Span,
    Variables, did_you_mean, is_secret_name, is_variable, masked, value,
};

/// What an option's text must be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// `on`, `off`, `true`, `false`, `yes`, `no`.
    Bool,
    /// A whole number.
    Int,
    /// A number.
    Double,
    /// A number of bytes: `32k` is 32,000.
    Size,
    /// A span of time: seconds, or with `m`, `h`, `d`.
    Time,
    /// Any text.
    Text,
    /// Texts separated by commas.
    List,
    /// Texts separated by blanks; one in double quotes may hold blanks.
    Words,
    /// As [`Kind::Words`], but only so many are separated; the rest of the text is one more.
    Fields(usize),
    /// One of these words, in any case.
    Choice(&'static [&'static str]),
}

/// One option of a plugin.
#[derive(Debug, Clone, Copy)]
pub struct OptionSpec {
    /// The key, in lower case. One that ends in `*` stands for all keys that begin like it; their texts are told by
    /// [`Options::keyed`].
    pub name: &'static str,
    /// What its text must be.
    pub kind: Kind,
    /// The value when the configuration has none, in the same text form.
    pub default: Option<&'static str>,
    /// Whether the key may be given more than once.
    pub multiple: bool,
    /// What of its text must not be shown.
    pub secrecy: Secrecy,
    /// One sentence for the help text.
    pub about: &'static str,
}

impl OptionSpec {
    /// An option that may be given once.
    pub const fn new(
        name: &'static str,
        kind: Kind,
        default: Option<&'static str>,
        about: &'static str,
    ) -> Self {
        Self { name, kind, default, multiple: false, secrecy: Secrecy::Open, about }
    }

    /// The option that may be given more than once.
    pub const fn repeated(self) -> Self {
        Self { multiple: true, ..self }
    }

    /// The option whose text is a secret. It is not empty by mistake: a variable in it must be set.
    pub const fn secret(self) -> Self {
        self.with(Secrecy::Secret)
    }

    /// The option with this of its text hidden.
    pub const fn with(self, secrecy: Secrecy) -> Self {
        Self { secrecy, ..self }
    }

    /// Whether a key is the option's: its name, or one that begins as a name with `*` says.
    pub fn stands_for(&self, key: &str) -> bool {
        match self.name.strip_suffix('*') {
            Some(beginning) => key.strip_prefix(beginning).is_some_and(|rest| !rest.is_empty()),
            None => self.name == key,
        }
    }
}

/// A checked value.
#[derive(Debug, Clone, PartialEq)]
enum Value {
    Bool(bool),
    Int(i64),
    Double(f64),
    Size(u64),
    Time(Duration),
    Text(String),
    List(Vec<String>),
    /// What the key has in place of the `*`, and the text.
    Keyed(String, String),
}

/// A plugin's options, checked against its table. Asking for an option by another name or kind than its table says is a bug
/// of the plugin and yields the kind's empty value.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Options {
    values: Vec<(&'static str, Value, Option<Span>)>,
}

impl Options {
    /// Checks the properties of a section against `specs`. Properties that `reserved` names belong to the pipeline and are
    /// passed over. `plugin` is the plugin's name, for messages. All mistakes are reported, and what is right is kept.
    pub fn read(
        plugin: &str,
        specs: &'static [OptionSpec],
        section: &Section,
        reserved: &[&str],
        variables: &Variables,
        diagnostics: &mut Diagnostics,
    ) -> Self {
        let mut options = Self::default();
        for property in &section.properties {
            let key = property.key.text.as_str();
            if reserved.contains(&key) {
                continue;
            }
            let Some(spec) = specs.iter().find(|spec| spec.stands_for(key)) else {
                diagnostics.push(unknown(plugin, specs, reserved, property));
                continue;
            };
            if !spec.multiple && options.has_key(spec, key) {
                diagnostics.push(repeated(plugin, property, section));
                continue;
            }
            let expanded = variables.expand(&property.value.text);
            if let Some(missing) = missing_secret(spec, property, &expanded) {
                diagnostics.push(missing);
                continue;
            }
            expanded.report(property.value.span, diagnostics);
            let text = expanded.text;
            if text.is_empty() {
                continue;
            }
            match parse_for(spec, key, &text) {
                Ok(value) => {
                    options.values.push((spec.name, value, Some(property.value.span)));
                }
                Err(error) => diagnostics.push(invalid(spec.kind, property, &error)),
            }
        }
        options.add_defaults(specs);
        options
    }

    fn add_defaults(&mut self, specs: &'static [OptionSpec]) {
        for spec in specs {
            let Some(default) = spec.default.filter(|_| !self.has(spec.name)) else { continue };
            if let Ok(value) = parse(spec.kind, default) {
                self.values.push((spec.name, value, None));
            }
        }
    }

    /// Whether the option was given or has a default.
    pub fn has(&self, name: &str) -> bool {
        self.values.iter().any(|(known, ..)| *known == name)
    }

    fn has_key(&self, spec: &OptionSpec, key: &str) -> bool {
        match spec.name.strip_suffix('*') {
            Some(beginning) => {
                self.keyed(spec.name).any(|(rest, _)| key.strip_prefix(beginning) == Some(rest))
            }
            None => self.has(spec.name),
        }
    }

    /// Where the configuration gives the option.
    pub fn span(&self, name: &str) -> Option<Span> {
        self.values.iter().find(|(known, ..)| *known == name).and_then(|(.., span)| *span)
    }

    fn all<'a>(&'a self, name: &str) -> impl Iterator<Item = &'a Value> {
        self.values.iter().filter(move |(known, ..)| *known == name).map(|(_, value, _)| value)
    }

    /// A [`Kind::Bool`].
    pub fn bool(&self, name: &str) -> bool {
        matches!(self.all(name).next(), Some(Value::Bool(true)))
    }

    /// A [`Kind::Int`].
    pub fn int(&self, name: &str) -> Option<i64> {
        self.all(name).find_map(|value| match value {
            Value::Int(int) => Some(*int),
            _ => None,
        })
    }

    /// A [`Kind::Double`].
    pub fn double(&self, name: &str) -> Option<f64> {
        self.all(name).find_map(|value| match value {
            Value::Double(double) => Some(*double),
            _ => None,
        })
    }

    /// A [`Kind::Size`], in bytes.
    pub fn size(&self, name: &str) -> Option<u64> {
        self.all(name).find_map(|value| match value {
            Value::Size(size) => Some(*size),
            _ => None,
        })
    }

    /// A [`Kind::Time`].
    pub fn time(&self, name: &str) -> Option<Duration> {
        self.all(name).find_map(|value| match value {
            Value::Time(time) => Some(*time),
            _ => None,
        })
    }

    /// A [`Kind::Text`] as written, or a [`Kind::Choice`] as its table spells it.
    pub fn text(&self, name: &str) -> Option<&str> {
        self.texts(name).next()
    }

    /// Every value of a [`Kind::Text`] that may be given more than once.
    pub fn texts<'a>(&'a self, name: &str) -> impl Iterator<Item = &'a str> {
        self.all(name).filter_map(|value| match value {
            Value::Text(text) => Some(text.as_str()),
            _ => None,
        })
    }

    /// The keys that an option whose name ends in `*` stands for, without what they have in common, and their texts.
    pub fn keyed<'a>(&'a self, name: &str) -> impl Iterator<Item = (&'a str, &'a str)> {
        self.all(name).filter_map(|value| match value {
            Value::Keyed(key, text) => Some((key.as_str(), text.as_str())),
            _ => None,
        })
    }

    /// Every list that the configuration gives, in its order, whatever the option: the option's name and the texts.
    pub fn lists(&self) -> impl Iterator<Item = (&'static str, &[String])> {
        self.values.iter().filter_map(|(name, value, _)| match value {
            Value::List(list) => Some((*name, list.as_slice())),
            _ => None,
        })
    }

    /// A [`Kind::List`], [`Kind::Words`] or [`Kind::Fields`].
    pub fn list(&self, name: &str) -> &[String] {
        self.all(name)
            .find_map(|value| match value {
                Value::List(list) => Some(list.as_slice()),
                _ => None,
            })
            .unwrap_or_default()
    }
}

/// Keeps diagnostics from showing the secrets of a document. `specs` tells the options of a section.
pub fn hide_secrets(document: &mut Document, specs: &dyn Fn(&Section) -> &'static [OptionSpec]) {
    let mut places = Vec::new();
    for section in &document.sections {
        find_secrets(section, specs, &mut places);
    }
    places.into_iter().for_each(|place| document.hide(place));
}

fn find_secrets(
    section: &Section,
    specs: &dyn Fn(&Section) -> &'static [OptionSpec],
    places: &mut Vec<Span>,
) {
    for Property { key, value } in &section.properties {
        let text = value.text.as_str();
        let secrecy = secrecy(section.kind, specs(section), &key.text);
        if !is_variable(text) && masked(&key.text, secrecy, text, text, false) != text {
            places.push(value.span);
        }
    }
    section.children.iter().for_each(|child| find_secrets(child, specs, places));
}

/// What of the text of a key must not be shown, in a section of this kind that takes these options.
pub fn secrecy(kind: SectionKind, specs: &[OptionSpec], key: &str) -> Secrecy {
    let known = specs.iter().find(|spec| spec.stands_for(key)).map(|spec| spec.secrecy);
    known.unwrap_or_else(|| Secrecy::of_unknown(key, kind))
}

fn parse_for(spec: &OptionSpec, key: &str, text: &str) -> Result<Value, value::ValueError> {
    let value = parse(spec.kind, text)?;
    let rest = spec.name.strip_suffix('*').and_then(|beginning| key.strip_prefix(beginning));
    Ok(match rest {
        Some(rest) => Value::Keyed(rest.to_owned(), text.to_owned()),
        None => value,
    })
}

fn parse(kind: Kind, text: &str) -> Result<Value, value::ValueError> {
    Ok(match kind {
        Kind::Bool => Value::Bool(value::parse_bool(text)?),
        Kind::Int => Value::Int(value::parse_int(text)?),
        Kind::Double => Value::Double(value::parse_double(text)?),
        Kind::Size => Value::Size(value::parse_size(text)?),
        Kind::Time => Value::Time(value::parse_time(text)?),
        Kind::Text => Value::Text(text.to_owned()),
        Kind::List => Value::List(value::parse_clist(text)),
        Kind::Words => Value::List(value::parse_slist(text, None)?),
        Kind::Fields(splits) => Value::List(value::parse_slist(text, Some(splits))?),
        Kind::Choice(words) => Value::Text(value::parse_choice(text, words)?.to_owned()),
    })
}

/// What to say of a secret that is not there: going on without would open a door that was to be locked.
fn missing_secret(
    spec: &OptionSpec,
    property: &Property,
    expanded: &Expanded,
) -> Option<Diagnostic> {
    let (key, text) = (property.key.text.as_str(), expanded.text.as_str());
    let named = Some(text)
        .filter(|_| !spec.name.ends_with('*'))
        .and_then(|text| text.split_once([' ', '=']));
    let (is_secret, value) = match (spec.secrecy, named) {
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

fn unknown(
    plugin: &str,
    specs: &[OptionSpec],
    reserved: &[&str],
    property: &Property,
) -> Diagnostic {
    let key = property.key.text.as_str();
    let allowed: Vec<&str> = specs.iter().map(|spec| spec.name).collect();
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
    did_you_mean(key, known)
}

fn repeated(plugin: &str, property: &Property, section: &Section) -> Diagnostic {
    let key = property.key.text.as_str();
    let times = section.properties.iter().filter(|other| other.key.text == key).count();
    let message = format!("[config] {plugin}: configuration property '{key}' is set {times} times");
    Diagnostic::error(message).at(property.key.span).help("give it once")
}

fn invalid(kind: Kind, property: &Property, error: &value::ValueError) -> Diagnostic {
    let key = property.key.text.as_str();
    let message = match kind {
        Kind::Bool => {
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
