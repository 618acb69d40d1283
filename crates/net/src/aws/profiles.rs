//! The shared files of profiles, which Amazon's programs keep in a user's `.aws`: `credentials`, and `config`.

use std::fs::File;
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};
use std::time::Duration;

use flb_config::Variables;

use super::credentials::{Credentials, CredentialsError, is_shown};
use super::ini::entries_of;
use crate::background::printed_by;

const PLACE: &str = "profile";
/// The largest file that is read.
const MOST: u64 = 1 << 20;
/// How long a profile's command may take, and what it may print.
const PATIENCE: Duration = Duration::from_secs(60);
const PRINTED: usize = 64 * 1024;

/// A profile of these files.
#[derive(Debug, Clone)]
pub(super) struct Profile {
    name: String,
    /// Whether somebody asks for it by its name, so that it must be there.
    is_named: bool,
    /// Each file, and whether its profiles are called `profile name`.
    files: Vec<(PathBuf, bool)>,
}

impl Profile {
    /// The profile of this name, or the one that the environment means.
    pub(super) fn of(name: Option<&str>, variables: &Variables) -> Self {
        let chosen = ["AWS_PROFILE", "AWS_DEFAULT_PROFILE"];
        let name = name.or_else(|| chosen.iter().find_map(|name| variables.get(name)));
        let in_home = |name: &str| Some(Path::new(variables.get("HOME")?).join(".aws").join(name));
        let file = |variable: &str, name: &str| {
            variables.get(variable).map(PathBuf::from).or_else(|| in_home(name))
        };
        let credentials = file("AWS_SHARED_CREDENTIALS_FILE", "credentials");
        let config = file("AWS_CONFIG_FILE", "config");
        let files = credentials.map(|path| (path, false)).into_iter();
        Self {
            is_named: name.is_some(),
            name: name.unwrap_or("default").to_owned(),
            files: files.chain(config.map(|path| (path, true))).collect(),
        }
    }

    /// What the files say now, if they say anything of it.
    pub(super) async fn credentials(&self) -> Result<Option<Credentials>, CredentialsError> {
        let mut texts = Vec::new();
        for (path, is_config) in &self.files {
            let text = text_of(path).map_err(|error| {
                CredentialsError::at(PLACE, format!("{}: {error}", path.display()))
            })?;
            texts.push((text.unwrap_or_default(), *is_config));
        }
        let entries =
            texts.iter().map(|(text, is_config)| entries_of(text, &self.name, *is_config));
        let entries = entries.flatten().collect::<Vec<_>>();
        if let Some(credentials) = keys_in(&entries) {
            return Ok(Some(credentials));
        }
        match value(&entries, "credential_process") {
            Some(command) => self.printed_by(command).await.map(Some),
            None if self.is_named => Err(CredentialsError::at(
                PLACE,
                format!("'{}' has neither keys nor a credential_process", self.name),
            )),
            None => Ok(None),
        }
    }

    async fn printed_by(&self, command: &str) -> Result<Credentials, CredentialsError> {
        let failed = |why: String| {
            CredentialsError::at(PLACE, format!("credential_process of '{}': {why}", self.name))
        };
        let printed = printed_by(command, PATIENCE, PRINTED).await;
        let printed = printed.map_err(|error| failed(error.to_string()))?;
        Credentials::of_json(&printed).map_err(|why| failed(why.to_owned()))
    }
}

/// A file's text, if it is there.
pub(super) fn text_of(path: &Path) -> io::Result<Option<String>> {
    let file = match File::open(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        opened => opened?,
    };
    let mut text = String::new();
    if file.take(MOST + 1).read_to_string(&mut text)? as u64 > MOST {
        return Err(io::Error::other("it is larger than 1 MiB"));
    }
    Ok(Some(text))
}

fn value<'t>(entries: &[(&'t str, &'t str)], key: &str) -> Option<&'t str> {
    let found = entries.iter().find(|(name, _)| name.eq_ignore_ascii_case(key));
    found.map(|(_, value)| *value).filter(|value| !value.is_empty())
}

/// The key that a profile has in the file.
fn keys_in(entries: &[(&str, &str)]) -> Option<Credentials> {
    let text = |key: &str| value(entries, key).filter(|text| is_shown(text)).map(str::to_owned);
    Some(Credentials {
        key_id: text("aws_access_key_id")?,
        secret: text("aws_secret_access_key")?,
        token: text("aws_session_token"),
        until: None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const FILE: &str = "# mine\n[default]\naws_access_key_id = A\naws_secret_access_key=B=\n\n[profile  other ]\n\
                        ; hers\nAWS_ACCESS_KEY_ID=C\n aws_secret_access_key = D\naws_session_token = E\n[half\nx=1\n";

    #[test]
    fn a_profile_has_its_entries() {
        let entries = |name: &str, is_config| entries_of(FILE, name, is_config);
        let keys = keys_in(&entries("default", false)).unwrap();
        assert_eq!((keys.key_id.as_str(), keys.secret.as_str(), keys.token), ("A", "B=", None));
        let keys = keys_in(&entries("other", true)).unwrap();
        assert_eq!((keys.key_id.as_str(), keys.token.as_deref()), ("C", Some("E")));
        assert_eq!(entries("half", false), [("x", "1")]);
        assert!(entries("other", false).is_empty() && entries("half", true).is_empty());
    }
}
