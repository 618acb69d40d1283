//! `latest`: keeps the last record in a file, for whoever only wants to know how things stand.

use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use flb_event::Chunk;
use flb_event::json::{self, JsonOptions};
use flb_files::Unfinished;
use flb_plugin::keys::{Key, Required, Text};
use flb_plugin::{
    BoxFuture, Build, BuildError, Flush, Options, Output, OutputError, Spec, Table, keys,
};

keys! {
    const KEYS;
    PATH: Required<Text> =
        Key::new("path", "The file").required("no 'path' was given", "add Path latest.json");
}

pub(super) const SPEC: Spec<dyn Output> = Spec {
    name: "latest",
    about: "Keep the last record in a file",
    options: Table(&[KEYS]),
    build,
};

fn build(options: &Options, build: &Build<'_>) -> Result<Box<dyn Output>, BuildError> {
    let json = JsonOptions { escape_unicode: build.service.escape_unicode() };
    Ok(Box::new(Latest { path: options.get(PATH)?.into(), json }))
}

struct Latest {
    path: PathBuf,
    json: JsonOptions,
}

impl Output for Latest {
    fn flush<'a>(&'a self, chunk: &'a Chunk) -> BoxFuture<'a, Flush> {
        Box::pin(async move {
            let mut text = Vec::new();
            let Some(last) = chunk.records().last() else { return Flush::Done };
            if let Err(error) = json::write(last.body, &mut text, self.json) {
                // No other try would print it.
                return Flush::Fail(OutputError(error.to_string()));
            }
            text.push(b'\n');
            let path = self.path.clone();
            match tokio::task::spawn_blocking(move || replace(&path, &text)).await {
                Ok(Ok(())) => Flush::Done,
                Ok(Err(error)) => {
                    let reason = format!("cannot write to {}: {error}", self.path.display());
                    Flush::Retry { reason, after: None }
                }
                Err(error) => Flush::Fail(OutputError(error.to_string())),
            }
        })
    }
}

/// Whoever reads the file finds the old record or the new one, and never half of it.
fn replace(path: &Path, text: &[u8]) -> io::Result<()> {
    let mut file = Unfinished::beside(path)?;
    file.file().write_all(text)?;
    file.take(path)
}

#[cfg(test)]
mod tests {
    use super::*;
    use flb_harness::{block_on, build, chunk};

    #[test]
    fn the_last_record_stands_in_the_file() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("latest.json");
        let output = build(&SPEC, &[("path", path.to_str().unwrap())]).unwrap();
        for (records, expected) in [
            (&[(1, 0, r#"{"a":1}"#), (2, 0, r#"{"a":"é"}"#)][..], "{\"a\":\"\\u00e9\"}\n"),
            (&[(3, 0, r#"{"b":2}"#)], "{\"b\":2}\n"),
        ] {
            let flushed = block_on(output.flush(&chunk("t", records)));
            assert!(matches!(flushed, Flush::Done), "{flushed:?}");
            assert_eq!(std::fs::read_to_string(&path).unwrap(), expected);
        }
    }

    #[test]
    fn a_folder_that_is_not_there_may_come() {
        let output = build(&SPEC, &[("path", "/no/such/folder/latest.json")]).unwrap();
        let flushed = block_on(output.flush(&chunk("t", &[(1, 0, "{}")])));
        assert!(matches!(flushed, Flush::Retry { .. }), "{flushed:?}");
    }
}
