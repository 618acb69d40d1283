//! Which filter an artifact is, and which release of it, as its signer says. Part of the metadata, so the digest and the
//! signature cover it.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// A filter's name and the release's version. Worth as much as the signature that covers it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Release {
    /// Which filter.
    pub name: Name,
    /// Which release of it.
    pub version: Version,
}

impl fmt::Display for Release {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.name, self.version)
    }
}

/// What is no name or version, and what one looks like.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ReleaseError {
    /// No name.
    #[error("'{0}' is no name of a filter; help: use up to 64 letters, digits, '.', '_' and '-'")]
    Name(String),
    /// No version.
    #[error("'{0}' is no version; help: use up to four numbers with dots between, such as 1.4.0")]
    Version(String),
}

/// A filter's name: up to 64 ASCII letters, digits, `.`, `_` and `-`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
pub struct Name(String);

impl FromStr for Name {
    type Err = ReleaseError;

    fn from_str(text: &str) -> Result<Self, ReleaseError> {
        let is_fit = |byte: u8| byte.is_ascii_alphanumeric() || b"._-".contains(&byte);
        if (1..=64).contains(&text.len()) && text.bytes().all(is_fit) {
            Ok(Self(text.to_owned()))
        } else {
            Err(ReleaseError::Name(text.to_owned()))
        }
    }
}

impl TryFrom<String> for Name {
    type Error = ReleaseError;

    fn try_from(text: String) -> Result<Self, ReleaseError> {
        text.parse()
    }
}

impl From<Name> for String {
    fn from(name: Name) -> Self {
        name.0
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Up to four numbers with dots between. Numbers that are not given are 0.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
pub struct Version(Vec<u32>);

impl Version {
    /// Whether it is this version or a later one.
    pub fn is_at_least(&self, other: &Self) -> bool {
        let number = |version: &Self, at: usize| version.0.get(at).copied().unwrap_or(0);
        let numbers = |version: &Self| [0, 1, 2, 3].map(|at| number(version, at));
        numbers(self) >= numbers(other)
    }
}

impl FromStr for Version {
    type Err = ReleaseError;

    fn from_str(text: &str) -> Result<Self, ReleaseError> {
        let number = |part: &str| {
            let is_number = part.bytes().all(|byte| byte.is_ascii_digit());
            part.parse().ok().filter(|_| is_number)
        };
        let numbers: Option<Vec<u32>> = text.split('.').map(number).collect();
        let numbers = numbers.filter(|numbers| numbers.len() <= 4);
        numbers.map(Self).ok_or_else(|| ReleaseError::Version(text.to_owned()))
    }
}

impl TryFrom<String> for Version {
    type Error = ReleaseError;

    fn try_from(text: String) -> Result<Self, ReleaseError> {
        text.parse()
    }
}

impl From<Version> for String {
    fn from(version: Version) -> Self {
        version.to_string()
    }
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let numbers: Vec<String> = self.0.iter().map(u32::to_string).collect();
        f.write_str(&numbers.join("."))
    }
}

/// Which filter an artifact must be: `redact`, or `redact 1.4` for 1.4 and later.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Required {
    name: Name,
    minimum: Option<Version>,
}

impl Required {
    /// Whether a release will do.
    pub fn admits(&self, found: Option<&Release>) -> bool {
        found.is_some_and(|release| {
            let is_new = |minimum| release.version.is_at_least(minimum);
            release.name == self.name && self.minimum.as_ref().is_none_or(is_new)
        })
    }
}

impl FromStr for Required {
    type Err = ReleaseError;

    fn from_str(text: &str) -> Result<Self, ReleaseError> {
        let text = text.trim();
        let (name, minimum) = match text.split_once(char::is_whitespace) {
            Some((name, minimum)) => (name, Some(minimum.trim_start().parse()?)),
            None => (text, None),
        };
        Ok(Self { name: name.parse()?, minimum })
    }
}

impl fmt::Display for Required {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.name)?;
        self.minimum.as_ref().map_or(Ok(()), |minimum| write!(f, " {minimum} or later"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(required: &str, name: &str, version: &str, expected: bool) {
        let release = Release { name: name.parse().unwrap(), version: version.parse().unwrap() };
        let required: Required = required.parse().unwrap();
        assert_eq!(required.admits(Some(&release)), expected, "{required}, {release}");
        assert!(!required.admits(None));
    }

    #[test]
    fn a_release_is_admitted_by_its_name_and_from_its_version_on() {
        check("redact", "redact", "0", true);
        check("redact", "Redact", "1", false);
        check("redact 1.4", "redact", "1.4.0", true);
        check("redact  1.4.0", "redact", "1.4", true);
        check("redact 1.4", "redact", "1.10", true);
        check("redact 1.4", "redact", "1.3.9.9", false);
        check("redact 1.4", "enrich", "2", false);
    }

    #[test]
    fn what_is_no_name_or_version_is_refused() {
        for text in
            ["", "a b", "a 1.", "a 1..2", "a 1.2.3.4.5", "a +1", "a -1", "a 1.2-rc1", "a\u{1b}"]
        {
            assert!(text.parse::<Required>().is_err(), "{text}");
        }
        assert!("n".repeat(64).parse::<Name>().is_ok());
        assert!("n".repeat(65).parse::<Name>().is_err());
        assert!("4294967296".parse::<Version>().is_err());
        assert_eq!("01.2".parse::<Version>().unwrap().to_string(), "1.2");
    }
}
