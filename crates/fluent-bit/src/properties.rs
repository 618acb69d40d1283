//! The properties: those of flb-agent's filter `wasm`, and what there the service says.

use flb_config::{Diagnostics, Document, Property, Section, SectionKind, Span, Spanned, Variables};
use flb_guest::filter;
use flb_plugin::{BuildError, Kind, OptionSpec, Options, Service};

const TRUSTED_KEYS: OptionSpec = OptionSpec::new(
    "trusted_keys",
    Kind::List,
    None,
    "Files with public keys: the artifact must carry the signature of one of them",
);
const REQUIRE_INTERRUPTION: OptionSpec = OptionSpec::new(
    "require_interruption",
    Kind::Bool,
    Some("off"),
    "Refuse code whose calls no deadline ends",
);
const CACHE: OptionSpec = OptionSpec::new(
    "cache",
    Kind::Text,
    None,
    "The folder where code is kept that was compiled at the start (default: it is not)",
);
const ESCAPE_UNICODE: OptionSpec = OptionSpec::new(
    "json.escape_unicode",
    Kind::Bool,
    Some("on"),
    "Whether JSON text escapes non-ASCII characters",
);

/// What flb-agent has in its section of the service.
const OWN: [OptionSpec; 4] = [TRUSTED_KEYS, REQUIRE_INTERRUPTION, CACHE, ESCAPE_UNICODE];

/// Every property of the filter.
pub(crate) const ALL: &[OptionSpec] = &{
    let mut all = [OWN[0]; filter::ALL.len() + OWN.len()];
    let mut at = 0;
    while at < filter::ALL.len() {
        all[at] = filter::ALL[at];
        at += 1;
    }
    while at < all.len() {
        all[at] = OWN[at - filter::ALL.len()];
        at += 1;
    }
    all
};

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
    let service = service(&options);
    (!diagnostics.has_errors()).then_some((options, service))
}

fn options(given: Vec<(String, String)>, diagnostics: &mut Diagnostics) -> Options {
    // There is no text to point into: the agent has read it.
    let source = Document::default().add_source("the agent", "");
    let nowhere = |text| Spanned { text, span: Span { source, start: 0, end: 0 } };
    let mut section = Section::new(SectionKind::Filter, nowhere("filter".to_owned()));
    let is_ours = |key: &str| !AGENTS.contains(&key) && !key.starts_with("_debug.");
    section.properties = given
        .into_iter()
        .map(|(key, value)| (key.to_ascii_lowercase(), value))
        .filter(|(key, _)| is_ours(key))
        .map(|(key, value)| Property { key: nowhere(key), value: nowhere(value) })
        .collect();
    Options::read(crate::NAME, ALL, &section, &[], &Variables::default(), diagnostics)
}

fn service(options: &Options) -> Service {
    Service {
        escape_unicode: options.bool(ESCAPE_UNICODE.name),
        trusted_keys: options
            .has(TRUSTED_KEYS.name)
            .then(|| options.list(TRUSTED_KEYS.name).iter().map(Into::into).collect()),
        require_interruption: options.bool(REQUIRE_INTERRUPTION.name),
        code_cache: options.text(CACHE.name).map(Into::into),
        ..Service::default()
    }
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
        assert_eq!(options.text("wasm_path"), Some("a b.wasm"));
        assert!(options.texts("env").eq(["A=1", "B=2"]));
        assert!(options.keyed("config.*").eq([("level", "x")]));
        assert_eq!(service.trusted_keys, Some(vec!["a.pub".into(), "b.pub".into()]));
        assert!(!service.escape_unicode && !service.require_interruption);
        let (_, service) = read(Vec::new()).unwrap();
        assert!(service.escape_unicode && service.trusted_keys.is_none());
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
