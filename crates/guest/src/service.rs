//! The keys of the service section that say which code may run.

use std::path::PathBuf;

use flb_config::Diagnostic;
use flb_config::value::{self, ValueError};
use flb_plugin::keys::{Bool, Key, Kind, Many, Options, Shape, Text};
use flb_plugin::{Service, keys};

keys! {
    /// All of them.
    pub const SERVICE;
    REQUIRE_SIGNATURE: Option<Bool> = Key::new(
        "wasm.require_signature",
        "Whether artifacts must be signed; on where keys are trusted",
    )
    .strict();
    pub TRUSTED_KEYS: Many<Files> = Key::new(
        "wasm.trusted_keys",
        "Files with the public keys of those who may sign",
    )
    .repeated()
    .strict();
    REQUIRED_NAME: Option<Text> = Key::new(
        "wasm.required_name",
        "The name that artifacts must be signed with, and perhaps the first version that will do",
    )
    .strict();
    pub REQUIRE_INTERRUPTION: Bool = Key::new(
        "wasm.require_interruption",
        "Refuse code whose calls no deadline ends",
    )
    .default("off")
    .strict();
    pub CACHE: Option<Text> = Key::new(
        "wasm.cache",
        "The folder of code that was compiled at start (default: in the user's cache)",
    )
    .strict();
}

/// Names of files, separated by commas.
#[derive(Debug)]
pub enum Files {}

impl Kind for Files {
    type Value<'a> = Vec<PathBuf>;
    const SHAPE: Shape = Shape::List;

    fn parse(text: &str) -> Result<Vec<PathBuf>, ValueError> {
        let files = value::parse_clist(text);
        if files.is_empty() {
            let hint = "name files with public keys: release.pub";
            return Err(ValueError::saying("no file is named", text, hint));
        }
        Ok(files.into_iter().map(PathBuf::from).collect())
    }
}

/// Files with the keys that an artifact must be signed by, if it must be signed. If nothing is said, it must be where there are keys.
pub(crate) fn signers(service: &Service) -> Option<Vec<PathBuf>> {
    let keys = service.keys.get(TRUSTED_KEYS).concat();
    service.keys.get(REQUIRE_SIGNATURE).unwrap_or(!keys.is_empty()).then_some(keys)
}

/// The name that an artifact must be signed with where its section says nothing else.
pub(crate) fn required_name(service: &Service) -> Option<&str> {
    service.keys.get(REQUIRED_NAME)
}

/// Whether code is refused whose calls no deadline ends.
pub(crate) fn requires_interruption(service: &Service) -> bool {
    service.keys.get(REQUIRE_INTERRUPTION)
}

/// The folder where code is kept that was compiled at start. A dry run keeps none.
pub(crate) fn cache(service: &Service) -> Option<PathBuf> {
    service.keys.get(CACHE).filter(|_| !service.dry_run).map(PathBuf::from)
}

/// Whoever names keys or asks for signatures must not get less by leaving out or contradicting the other.
pub fn doubtful_trust(keys: &Options) -> Option<Diagnostic> {
    let found = match (keys.get(REQUIRE_SIGNATURE), keys.get(TRUSTED_KEYS).is_empty()) {
        (Some(true), true) => {
            Diagnostic::error("signatures are required, and nobody is trusted to sign")
                .help("name files with public keys: wasm.trusted_keys release.pub")
        }
        (Some(false), false) => {
            Diagnostic::warning("anybody's code runs, although there are trusted keys")
                .help("leave wasm.require_signature out: with wasm.trusted_keys it is on")
        }
        _ => return None,
    };
    Some(match keys.span(REQUIRE_SIGNATURE) {
        Some(span) => found.at(span),
        None => found,
    })
}
