//! Who asks: a key, its secret, and the token that goes with both when they end.

use flb_event::{Accessor, json};
use jiff::Timestamp;

use super::xml::element;

/// A key and its secret.
#[derive(Clone, PartialEq, Eq)]
pub struct Credentials {
    /// The key's name.
    pub key_id: String,
    /// Its secret.
    pub secret: String,
    /// What is shown beside it, if it was lent.
    pub token: Option<String>,
    /// When it ends, if it does.
    pub until: Option<Timestamp>,
}

/// Names only.
impl std::fmt::Debug for Credentials {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Credentials").field("until", &self.until).finish_non_exhaustive()
    }
}

/// Why there are none.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CredentialsError {
    /// A place where they should be does not give them.
    #[error("no credentials: {place}: {why}")]
    Place {
        /// The place.
        place: &'static str,
        /// Why.
        why: String,
    },
    /// There is no place.
    #[error(
        "no credentials: neither in the environment (AWS_ACCESS_KEY_ID) nor in a profile, nor from a web identity, a container or an \
         instance's role"
    )]
    Nowhere,
}

impl CredentialsError {
    /// A place does not give them.
    pub(super) fn at(place: &'static str, why: impl ToString) -> Self {
        Self::Place { place, why: why.to_string() }
    }
}

impl Credentials {
    /// Reads what the services within a machine, and programs, say in JSON. Some call the token so, and some otherwise.
    pub(super) fn of_json(text: &[u8]) -> Result<Self, &'static str> {
        let mut object = Vec::new();
        json::parse_object(text, &mut object).map_err(|_| "the answer is no JSON object")?;
        let text = |name: &str| {
            let found = Accessor::of_key(name).find_str(&object)?;
            let text = std::str::from_utf8(found).ok()?;
            (is_shown(text) && !text.is_empty()).then(|| text.to_owned())
        };
        let until = text("Expiration").map(|until| until.parse().map_err(|_| "it ends at no time"));
        Ok(Self {
            key_id: text("AccessKeyId").ok_or("the answer has no AccessKeyId")?,
            secret: text("SecretAccessKey").ok_or("the answer has no SecretAccessKey")?,
            token: text("Token").or_else(|| text("SessionToken")),
            until: until.transpose()?,
        })
    }

    /// Reads what STS says in XML.
    pub(super) fn of_xml(xml: &[u8]) -> Result<Self, &'static str> {
        let xml = std::str::from_utf8(xml).map_err(|_| "the answer is not UTF-8")?;
        let text =
            |name: &str| element(xml, name).filter(|found| !found.is_empty() && is_shown(found));
        let until = text("Expiration").ok_or("the answer has no Expiration")?;
        Ok(Self {
            key_id: text("AccessKeyId").ok_or("the answer has no AccessKeyId")?,
            secret: text("SecretAccessKey").ok_or("the answer has no SecretAccessKey")?,
            token: Some(text("SessionToken").ok_or("the answer has no SessionToken")?),
            until: Some(until.parse().map_err(|_| "it ends at no time")?),
        })
    }
}

/// Whether a text may stand in a header.
pub(super) fn is_shown(text: &str) -> bool {
    text.bytes().all(|byte| matches!(byte, b' '..=b'~'))
}
