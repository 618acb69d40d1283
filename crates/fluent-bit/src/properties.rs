//! The properties: those of flb-agent's filter `wasm`, and what there the service says.

use flb_config::{Diagnostics, Document, Property, Section, SectionKind, Span, Spanned, Variables};
use flb_guest::filter;
use flb_guest::service::{self, Files};
use flb_plugin::keys::{Bool, Key, Many, Text};
use flb_plugin::{BuildError, Options, Service, Table, keys};

keys! {
    /// What flb-agent has in its section of the service.
    const OWN;
    TRUSTED_KEYS: Many<Files> = service::TRUSTED_KEYS.named("trusted_keys");
    REQUIRE_INTERRUPTION: Bool = service::REQUIRE_INTERRUPTION.named("require_interruption");
    CACHE: Option<Text> = Key::new(
        "cache",
        "The folder where code is kept that was compiled at the start (default: it is not)",
    );
    ESCAPE_UNICODE: Bool = flb_plugin::ESCAPE_UNICODE;
}

/// Every property of the filter.
pub(crate) const ALL: Table = Table(&[filter::OWN, flb_guest::host::KEYS, OWN]);

/// What the agent itself knows of every filter and leaves among its properties.
const AGENTS: [&str; 2] = ["active", "condition"];

/// Checks the properties of one filter, and makes of them what they say. All mistakes are logged.
pub(crate) fn read(given: Vec<(String, String)>) -> Option<(Options, Service)> {
    let mut diagnostics = Diagnostics::default();
    let options = options(given, &mut diagnostics);
    for diagnostic in diagnostics.iter() {
        let help =
            diagnostic.help.as_ref().map_or_else(String::new, |help| format!("; help: {help}"));
        tracing::error!("{}{help}", diagnostic.message);
    }
    let service = service_of(&options);
    (!diagnostics.has_errors()).then_some((options, service))
}

fn options(given: Vec<(String, String)>, diagnostics: &mut Diagnostics) -> Options {
    // There is no text to point into: the agent has read it.
    let source = Document::default().add_source("the agent", "");
    let nowhere = |text| Spanned { text, span: Span { source, start: 0, end: 0 } };
    let mut section = Section::new(SectionKind::FILTER, nowhere("filter".to_owned()));
    let is_ours = |key: &str| !AGENTS.contains(&key) && !key.starts_with("_debug.");
    section.properties = given
        .into_iter()
        .map(|(key, value)| (key.to_ascii_lowercase(), value))
        .filter(|(key, _)| is_ours(key))
        .map(|(key, value)| Property { key: nowhere(key), value: nowhere(value) })
        .collect();
    Options::read(crate::NAME, ALL, &section, &[], &Variables::default(), diagnostics)
}

fn service_of(options: &Options) -> Service {
    let mut keys = Options::new(Table(&[service::SERVICE, flb_plugin::SERVICE]));
    keys.give(service::TRUSTED_KEYS, options, TRUSTED_KEYS);
    keys.give(service::REQUIRE_INTERRUPTION, options, REQUIRE_INTERRUPTION);
    keys.give(service::CACHE, options, CACHE);
    keys.give(flb_plugin::ESCAPE_UNICODE, options, ESCAPE_UNICODE);
    Service { keys, ..Service::default() }
}

/// What an error says, and what to do about it.
pub(crate) fn told(error: &BuildError) -> String {
    match &error.help {
        Some(help) => format!("{error}; help: {help}"),
        None => error.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use flb_guest::host;

    use super::*;

    fn given(pairs: &[(&str, &str)]) -> Vec<(String, String)> {
        pairs.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect()
    }

    #[test]
    fn properties_are_read_in_any_case_and_the_agents_own_passed_over() {
        let pairs = given(&[
            ("WASM_Path", "a b.wasm"),
            ("Env", "A=1"),
            ("env", "B=2"),
            ("Config.Level", "x"),
            ("Active", "true"),
            ("_debug.http.x", "y"),
            ("Trusted_Keys", "a.pub,b.pub"),
            ("json.escape_unicode", "off"),
        ]);
        let (options, service) = read(pairs).unwrap();
        assert_eq!(options.get(filter::WASM_PATH), Ok("a b.wasm"));
        assert_eq!(options.get(host::ENV), ["A=1", "B=2"]);
        assert_eq!(options.get(host::CONFIG), [("level", "x")]);
        let keys = service.keys.get(service::TRUSTED_KEYS);
        assert_eq!(keys, [["a.pub", "b.pub"].map(PathBuf::from)]);
        assert!(!service.escape_unicode() && !service.keys.get(service::REQUIRE_INTERRUPTION));
        let (_, service) = read(Vec::new()).unwrap();
        assert!(service.escape_unicode() && service.keys.get(service::TRUSTED_KEYS).is_empty());
    }

    #[test]
    fn a_key_that_nobody_knows_is_refused_with_what_was_meant() {
        let mut diagnostics = Diagnostics::default();
        options(given(&[("wasm_pth", "x"), ("deadline", "soon")]), &mut diagnostics);
        let helps: Vec<_> = diagnostics.iter().map(|one| one.help.as_deref()).collect();
        assert_eq!(helps.len(), 2);
        assert_eq!(helps[0], Some("did you mean 'wasm_path'?"));
        assert!(diagnostics.has_errors());
    }
}
