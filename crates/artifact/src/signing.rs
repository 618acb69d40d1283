//! Who made an artifact: Ed25519 signatures over its digest, and whom to trust.

use std::fmt;
use std::str::FromStr;

use ed25519_dalek::{Signature, Signer as _, SigningKey, VerifyingKey};

use crate::Sha256Hex;

/// What the text form of a secret key begins with.
const SECRET: &str = "flb-secret-key:";
/// What the text form of a public key begins with.
const PUBLIC: &str = "flb-public-key:";
/// Signatures are over these words and the digest, so that no other use of the key can be passed off as one.
const CONTEXT: &[u8] = b"flb artifact digest\n";

/// A text is no key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "not a key: expected '{expected}' and 64 hexadecimal digits; help: make one with flb-wamrc keygen"
)]
pub struct KeyError {
    /// What the key's text begins with.
    pub expected: &'static str,
}

/// Signs artifacts. Its text form is a secret.
#[derive(Clone)]
pub struct SecretKey(SigningKey);

impl SecretKey {
    /// The key of 32 random bytes.
    pub fn from_random(bytes: [u8; 32]) -> Self {
        Self(SigningKey::from_bytes(&bytes))
    }

    /// The key that verifies what this one signs.
    pub fn public(&self) -> PublicKey {
        PublicKey(self.0.verifying_key().to_bytes())
    }

    /// The secret's text form: one line.
    pub fn to_text(&self) -> String {
        format!("{SECRET}{}\n", Sha256Hex(self.0.to_bytes()))
    }

    pub(crate) fn sign(&self, digest: &Sha256Hex) -> [u8; 64] {
        self.0.sign(&message(digest)).to_bytes()
    }
}

impl fmt::Debug for SecretKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SecretKey(..)")
    }
}

impl FromStr for SecretKey {
    type Err = KeyError;

    fn from_str(text: &str) -> Result<Self, KeyError> {
        Ok(Self::from_random(parse(text, SECRET)?))
    }
}

/// Verifies signatures. Its bytes are a point of the curve.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct PublicKey([u8; 32]);

impl PublicKey {
    /// The key's bytes; `None` when they are no point of the curve.
    pub(crate) fn from_bytes(bytes: &[u8; 32]) -> Option<Self> {
        VerifyingKey::from_bytes(bytes).ok().map(|_| Self(*bytes))
    }

    pub(crate) fn to_bytes(self) -> [u8; 32] {
        self.0
    }

    pub(crate) fn verifies(&self, digest: &Sha256Hex, signature: &[u8; 64]) -> bool {
        let signature = Signature::from_bytes(signature);
        VerifyingKey::from_bytes(&self.0)
            .is_ok_and(|key| key.verify_strict(&message(digest), &signature).is_ok())
    }
}

impl fmt::Display for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{PUBLIC}{}", Sha256Hex(self.0))
    }
}

impl fmt::Debug for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for PublicKey {
    type Err = KeyError;

    fn from_str(text: &str) -> Result<Self, KeyError> {
        Self::from_bytes(&parse(text, PUBLIC)?).ok_or(KeyError { expected: PUBLIC })
    }
}

fn message(digest: &Sha256Hex) -> Vec<u8> {
    [CONTEXT, &digest.0].concat()
}

fn parse(text: &str, expected: &'static str) -> Result<[u8; 32], KeyError> {
    let digits = text.trim().strip_prefix(expected).ok_or(KeyError { expected })?;
    Sha256Hex::try_from(digits.to_owned()).map(|key| key.0).map_err(|_| KeyError { expected })
}

/// Whose artifacts may run.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Trust {
    keys: Option<Vec<PublicKey>>,
}

impl Trust {
    /// Anybody's, signed or not.
    pub fn anyone() -> Self {
        Self::default()
    }

    /// Only those that one of these keys signed.
    pub fn only(keys: Vec<PublicKey>) -> Self {
        Self { keys: Some(keys) }
    }

    /// Whether an artifact with this signer may run.
    pub fn accepts(&self, signer: Option<PublicKey>) -> bool {
        match &self.keys {
            None => true,
            Some(keys) => signer.is_some_and(|signer| keys.contains(&signer)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_survive_their_text_form() {
        let secret = SecretKey::from_random([3; 32]);
        let again: SecretKey = secret.to_text().parse().unwrap();
        assert_eq!(again.public(), secret.public());
        assert_eq!(secret.public().to_string().parse(), Ok(secret.public()));
        assert_eq!(secret.to_text().parse::<PublicKey>(), Err(KeyError { expected: PUBLIC }));
    }

    #[test]
    fn only_the_signed_digest_verifies() {
        let secret = SecretKey::from_random([3; 32]);
        let (digest, other) = (Sha256Hex([1; 32]), Sha256Hex([2; 32]));
        let signature = secret.sign(&digest);
        assert!(secret.public().verifies(&digest, &signature));
        assert!(!secret.public().verifies(&other, &signature));
        assert!(!SecretKey::from_random([4; 32]).public().verifies(&digest, &signature));
    }

    #[test]
    fn trust_asks_for_a_known_signer_only_when_told_to() {
        let [mine, other] = [3, 4].map(|byte| SecretKey::from_random([byte; 32]).public());
        assert!(Trust::anyone().accepts(None));
        let trust = Trust::only(vec![mine]);
        assert!(trust.accepts(Some(mine)));
        assert!(!trust.accepts(Some(other)));
        assert!(!trust.accepts(None));
    }
}
