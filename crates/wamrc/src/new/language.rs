//! The languages that filters are written in: their files, and the SDK's, which is inside this program.

use crate::usage::UsageError;

/// A language.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Word {
    Rust,
    C,
    Go,
    Zig,
    AssemblyScript,
}

impl Word {
    /// What each is called on the command line, as is its folder of the SDK.
    pub(super) const ALL: [(&str, Self); 5] = [
        ("rust", Self::Rust),
        ("c", Self::C),
        ("go", Self::Go),
        ("zig", Self::Zig),
        ("assemblyscript", Self::AssemblyScript),
    ];

    /// What to write.
    pub(super) const HELP: &str = "write --lang rust, c, go, zig or assemblyscript";

    pub(super) fn read(name: &str) -> Result<Self, UsageError> {
        let word = Self::ALL.iter().find(|(known, _)| *known == name).map(|(_, word)| *word);
        word.ok_or_else(|| {
            UsageError::new(format!("'{name}' is no language of filters"), Self::HELP)
        })
    }
}

/// Paths and texts.
type Files = &'static [(&'static str, &'static str)];

/// What a folder of a language has.
pub(super) struct Language {
    pub(super) name: &'static str,
    /// The file with the filter.
    pub(super) source: &'static str,
    /// What must be installed, for people: stands behind "it needs".
    pub(super) needs: &'static str,
    /// Where that comes from, and what does without, for whoever has it not: stands behind a colon.
    pub(super) get: &'static str,
    /// The command by which CI gets that.
    pub(super) tools: &'static str,
    /// Names of packages of its SDK, which no filter can have beside them.
    pub(super) taken: &'static [&'static str],
    /// Its own files; names in double braces are filled in.
    pub(super) files: Files,
    /// The SDK's, for the folder `sdk`.
    pub(super) sdk: Files,
}

/// Files of the SDK in one language, by their paths there.
macro_rules! sdk {
    ($language:literal: $($path:literal)*) => {
        &[$(($path, include_str!(concat!("../../../../sdk/", $language, "/", $path)))),*]
    };
}

/// Files of a language's folder of templates, by their paths there.
macro_rules! templates {
    ($language:literal: $($path:literal from $file:literal)*) => {
        &[$(($path, include_str!(concat!("../../templates/", $language, "/", $file)))),*]
    };
}

impl Language {
    pub(super) fn of(word: Word) -> Self {
        match word {
            Word::Rust => RUST,
            Word::C => C,
            Word::Go => GO,
            Word::Zig => ZIG,
            Word::AssemblyScript => ASSEMBLYSCRIPT,
        }
    }
}

const RUST: Language = Language {
    name: "Rust",
    source: "src/lib.rs",
    needs: "Rust with the target wasm32-unknown-unknown (rustup target add)",
    get: "https://rustup.rs; a filter in C needs clang and lld only",
    tools: "rustup target add wasm32-unknown-unknown",
    taken: &["flb-filter", "flb-filter-macros"],
    files: templates!("rust": "Cargo.toml" from "Cargo.toml.in" "src/lib.rs" from "lib.rs.in" "Makefile" from "Makefile"),
    sdk: sdk!("rust": "Cargo.toml" "macros/Cargo.toml" "macros/src/lib.rs" "src/abi.rs" "src/apply.rs" "src/classic.rs"
        "src/context.rs" "src/emit.rs" "src/host.rs" "src/json.rs" "src/lib.rs" "src/panics.rs" "src/record.rs" "src/sha256.rs"
        "src/testing.rs" "src/time.rs" "src/value.rs" "src/write.rs"),
};

const C: Language = Language {
    name: "C",
    source: "filter.c",
    needs: "clang and lld",
    get: "apt-get install clang lld, or what your system calls them; a filter in Rust needs Rust only",
    tools: "sudo apt-get install -y clang lld",
    taken: &[],
    files: templates!("c": "filter.c" from "filter.c" "Makefile" from "Makefile"),
    sdk: sdk!("c": "flb_filter.h"),
};

const GO: Language = Language {
    name: "Go",
    source: "filter.go",
    needs: "Go 1.24 or newer",
    get: "https://go.dev/dl; a filter in C needs clang and lld only",
    tools: "go version",
    taken: &[],
    files: templates!("go": "filter.go" from "filter.go" "go.mod" from "go.mod.in" "Makefile" from "Makefile"),
    sdk: sdk!("go": "address_native.go" "address_wasm.go" "flb.go" "go.mod" "record.go" "value.go"),
};

const ZIG: Language = Language {
    name: "Zig",
    source: "filter.zig",
    needs: "Zig 0.17",
    get: "https://ziglang.org/download, or pip install ziglang==0.17.1; a filter in C needs clang and lld only",
    tools: "pip install --target \"$RUNNER_TEMP/zig\" ziglang==0.17.1 && echo \"$RUNNER_TEMP/zig/ziglang\" >> \"$GITHUB_PATH\"",
    taken: &[],
    files: templates!("zig": "filter.zig" from "filter.zig" "Makefile" from "Makefile"),
    sdk: sdk!("zig": "flb_filter.zig"),
};

const ASSEMBLYSCRIPT: Language = Language {
    name: "AssemblyScript",
    source: "filter.ts",
    needs: "Node with npm, which brings its compiler",
    get: "https://nodejs.org; a filter in C needs clang and lld only",
    tools: "npm install",
    taken: &[],
    files: templates!("assemblyscript": "filter.ts" from "filter.ts" "package.json" from "package.json" "Makefile" from "Makefile"),
    sdk: sdk!("assemblyscript": "flb_filter.ts"),
};

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::path::Path;

    use super::*;

    /// The files below a folder, but for tests.
    fn files(root: &Path, folder: &Path, found: &mut BTreeSet<String>) {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            let name = path.strip_prefix(root).unwrap().display().to_string();
            match path.is_dir() {
                true if name == "target" => {}
                true => files(root, &path, found),
                false if name.ends_with("_test.go") || name.ends_with("Cargo.lock") => {}
                false => {
                    found.insert(name);
                }
            }
        }
    }

    #[test]
    fn every_file_of_an_sdk_is_inside() {
        let sdk = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../sdk");
        for (name, word) in Word::ALL {
            let folder = sdk.join(name);
            let mut there = BTreeSet::new();
            files(&folder, &folder, &mut there);
            let inside = Language::of(word).sdk.iter().map(|(path, _)| (*path).to_owned());
            assert_eq!(inside.collect::<BTreeSet<_>>(), there, "{word:?}");
        }
    }
}
